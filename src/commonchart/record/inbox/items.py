"""Items of the inbox, and every act on them. The rows are locked before they are changed."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from typing import TYPE_CHECKING

from msgspec import Struct

from commonchart.record.keys import patient_key

if TYPE_CHECKING:
    from commonchart.record.database import Connection

_ITEM = (
    "tenant, patient, item, org, owner, owner_by, kind, title, content, version, partial, batch, taken, received, state, "
    "changed, corrected, forwarded_to, forwarded_by, forward_note"
)
ITEM = ", ".join(f"i.{name}" for name in _ITEM.split(", "))
_NAMES = _ITEM.split(", ")
_KEY = "pk = %s AND tenant = %s AND patient = %s AND item = %s"
UNSEEN = "waits for somebody who may see it"
"""How `owner_by` begins where nobody who works there may see the result, as far as was known when it was put."""
_ACT = "tenant, patient, item, n, at, actor, absent, act, version, content, note, resource, batch, undone"


class Item(Struct, frozen=True):
    """One item; `content` is `care.inbox.judge.Judged` as JSON, `changed` a JSON list, `kind` a place in its KINDS."""

    tenant: int
    patient: str
    item: str
    org: str
    owner: str
    owner_by: str
    kind: int
    title: str
    content: str
    version: str
    partial: bool
    batch: bool
    taken: datetime | None
    received: datetime
    state: str
    changed: str = ""
    corrected: str = ""
    forwarded_to: str = ""
    forwarded_by: str = ""
    forward_note: str = ""


class Act(Struct, frozen=True):
    """What somebody did with an item, `absent`: for whom; `resource` what it made; `undone` when it was taken back."""

    tenant: int
    patient: str
    item: str
    n: int
    at: datetime
    actor: str
    absent: str
    act: str
    version: str
    content: str = ""
    note: str = ""
    resource: str = ""
    batch: str = ""
    undone: datetime | None = None


async def read(conn: Connection, tenant: int, patient: str, item: str, *, lock: bool = False) -> Item | None:
    """One item; locked until the transaction ends where something is to be done with it."""
    rows = await conn.fetch(
        f"SELECT {_ITEM} FROM inbox_item WHERE {_KEY}" + (" FOR UPDATE" if lock else ""),
        (patient_key(patient), tenant, patient, item),
    )
    return Item(*rows[0]) if rows else None


async def held(conn: Connection, tenant: int, keys: Sequence[tuple[str, str]]) -> set[tuple[str, str]]:
    """Those of the (patient, item) that there is a row of."""
    rows = await conn.fetch(
        "SELECT i.patient, i.item FROM unnest(%s::bigint[], %s::text[], %s::text[]) k(pk, patient, item) "
        "JOIN inbox_item i ON i.pk = k.pk AND i.tenant = %s AND i.patient = k.patient AND i.item = k.item",
        ([patient_key(p) for p, _ in keys], [p for p, _ in keys], [i for _, i in keys], tenant),
    )
    return {(row[0], row[1]) for row in rows}


async def put(conn: Connection, one: Item) -> None:
    """Keep an item as it now is."""
    held = ", ".join(
        f"{name} = excluded.{name}" for name in _NAMES if name not in ("tenant", "patient", "item")
    )
    await conn.fetch(
        f"INSERT INTO inbox_item (pk, {_ITEM}) VALUES ({', '.join(['%s'] * (len(_NAMES) + 1))}) "
        f"ON CONFLICT (pk, tenant, patient, item) DO UPDATE SET {held}",
        (patient_key(one.patient), *(getattr(one, name) for name in _NAMES)),
    )


async def drop(conn: Connection, tenant: int, patient: str, item: str) -> None:
    """An item that has become part of another one; what was done with it is kept."""
    await conn.fetch(f"DELETE FROM inbox_item WHERE {_KEY}", (patient_key(patient), tenant, patient, item))


async def orphaned(conn: Connection, reason: str) -> int:
    """Open items of users who work no more for whom they were addressed to fall into the pool; how many."""
    cursor = await conn.execute(
        "UPDATE inbox_item i SET owner = '', owner_by = %s FROM app_user u WHERE u.tenant = i.tenant AND u.id = i.owner "
        "AND NOT (u.active AND EXISTS (SELECT 1 FROM membership m WHERE m.actor = u.id AND (m.org = i.org OR i.org = '') "
        "AND m.since IS NOT NULL AND m.ended IS NULL)) AND i.state = 'open' AND i.owner <> ''",
        (reason,),
    )
    return cursor.rowcount


async def with_user(conn: Connection, tenant: int, user: str, org: str | None = None) -> list[Item]:
    """Open items that are addressed or forwarded to somebody (of one organisation, or of all), the most urgent first, locked."""
    rows = await conn.fetch(
        f"SELECT {_ITEM} FROM inbox_item WHERE tenant = %s AND state = 'open' AND (owner = %s OR forwarded_to = %s) "
        "AND (%s::text IS NULL OR org = %s) ORDER BY kind, received, patient, item FOR UPDATE",
        (tenant, user, user, org, org),
    )
    return [Item(*row) for row in rows]


async def kinds_with(conn: Connection, tenant: int, user: str, org: str | None = None) -> dict[int, int]:
    """How many of these there are of each kind; those with an unanswered critical value are of kind 0, too."""
    rows = await conn.fetch(
        "SELECT CASE WHEN EXISTS (SELECT 1 FROM critical_alert a WHERE a.pk = i.pk AND a.tenant = i.tenant AND a.patient = i.patient "
        "AND a.item = i.item AND a.state = 'open') THEN 0 ELSE i.kind END, count(*) FROM inbox_item i "
        "WHERE i.tenant = %s AND i.state = 'open' AND (i.owner = %s OR i.forwarded_to = %s) "
        "AND (%s::text IS NULL OR i.org = %s) GROUP BY 1",
        (tenant, user, user, org, org),
    )
    return {row[0]: row[1] for row in rows}


async def unseen(conn: Connection, tenant: int, org: str) -> int:
    """How many open items of an organisation wait for somebody who may see them."""
    rows = await conn.fetch(
        "SELECT count(*) FROM inbox_item WHERE tenant = %s AND state = 'open' AND owner = '' AND org IN ('', %s) "
        "AND starts_with(owner_by, %s)",
        (tenant, org, UNSEEN),
    )
    n: int = rows[0][0]
    return n


async def acted(conn: Connection, one: Act) -> None:
    """Keep an act as the next one of its item; `n` is not read."""
    names = _ACT.split(", ")
    values = [getattr(one, name) for name in names if name != "n"]
    await conn.fetch(
        f"INSERT INTO inbox_act (pk, {', '.join(name for name in names if name != 'n')}, n) "
        f"SELECT {', '.join(['%s'] * len(names))}, coalesce(max(n), 0) + 1 FROM inbox_act WHERE {_KEY}",
        (patient_key(one.patient), *values, patient_key(one.patient), one.tenant, one.patient, one.item),
    )


async def acts(conn: Connection, tenant: int, patient: str, item: str) -> list[Act]:
    """Everything that was done with an item, newest first."""
    rows = await conn.fetch(
        f"SELECT {_ACT} FROM inbox_act WHERE {_KEY} ORDER BY n DESC",
        (patient_key(patient), tenant, patient, item),
    )
    return [Act(*row) for row in rows]


async def about(conn: Connection, tenant: int, patient: str, ref: str) -> list[Act]:
    """Signings of any item that a resource ("Type/id") was part of, newest first."""
    rows = await conn.fetch(
        f"SELECT {_ACT} FROM inbox_act WHERE pk = %s AND tenant = %s AND patient = %s AND act IN ('signed', 'seen') "
        "AND position(%s IN version) > 0 ORDER BY at DESC",
        (patient_key(patient), tenant, patient, f"{ref}/"),
    )
    found = [Act(*row) for row in rows]
    return [one for one in found if any(part.rpartition("/")[0] == ref for part in one.version.split())]


async def last_signed(conn: Connection, tenant: int, patient: str, item: str) -> Act | None:
    """The newest signing or acknowledgement that was not taken back."""
    found = await acts(conn, tenant, patient, item)
    return next((one for one in found if one.act in ("signed", "seen") and one.undone is None), None)


async def batch(conn: Connection, tenant: int, name: str) -> list[Act]:
    """What was signed together and not taken back, locked."""
    rows = await conn.fetch(
        f"SELECT {_ACT} FROM inbox_act WHERE tenant = %s AND batch = %s AND undone IS NULL ORDER BY patient, item FOR UPDATE",
        (tenant, name),
    )
    return [Act(*row) for row in rows]


async def undo(conn: Connection, one: Act, now: datetime) -> None:
    """An act counts no more."""
    await conn.fetch(
        f"UPDATE inbox_act SET undone = %s WHERE {_KEY} AND n = %s",
        (now, patient_key(one.patient), one.tenant, one.patient, one.item, one.n),
    )
