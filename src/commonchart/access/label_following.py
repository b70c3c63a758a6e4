"""Labels by hand, in what is made of the entry: raised at once and taken off again, in the transaction of the act.

What was worked out (`due`) is labelled at once too, all of the person's, until the worker has worked it out anew.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from functools import partial
from typing import TYPE_CHECKING, Any

from commonchart.access.labelled import REFERRING, ROUNDS, stored, taken
from commonchart.care import labels_by_hand
from commonchart.care.labels import MEMBERS, labels, members
from commonchart.fhir import json
from commonchart.record.due import READ
from commonchart.record.keys import token
from commonchart.record.rows import Stored

if TYPE_CHECKING:
    from commonchart.record.database import Connection

Key = tuple[str, str]
Body = dict[str, Any]
# elements behind the search parameters of `REFERRING` that `members` does not follow
_MADE_OF = MEMBERS | {"basedOn", "diagnosis", "indication"}


async def masks(conn: Connection, tenant: int, entry: Stored) -> tuple[int, dict[Key, int]]:
    """The labels of an entry that was read, and those of what it is made of that have any."""
    found = await stored(conn, tenant, [*_of(json.decode(entry.body or b"{}")), (entry.rtype, entry.id)])
    return found.pop((entry.rtype, entry.id), 0), found


def _of(body: Body) -> list[Key]:
    return members(body, _MADE_OF)


async def _referring(conn: Connection, tenant: int, keys: Iterable[Key]) -> dict[Key, Body]:
    """What refers to these as to what it is made of, living."""
    hashes = [token(param, f"{rtype}/{id}") for rtype, id in keys for param in REFERRING]
    if not hashes:
        return {}
    rows = await conn.fetch(
        "SELECT r.rtype, r.id, r.body FROM resource r WHERE r.tenant = %s AND r.tokens && %s::bigint[] AND NOT r.deleted",
        (tenant, hashes),
    )
    return {(row[0], row[1]): json.decode(row[2].encode()) for row in rows}


async def rose(conn: Connection, tenant: int, entry: Stored, label: str, patients: Sequence[str]) -> None:
    """Label what is made of the entry, what is made of that, and every answer about these patients."""
    mask = labels()[label].mask
    done: set[Key] = set()
    new: list[Key] = [(entry.rtype, entry.id)]
    for _ in range(ROUNDS):
        new = [key for key in await _referring(conn, tenant, new) if key not in done]
        done |= set(new)
        for table in ("resource", "history"):
            await _set(conn, tenant, table, {(*key, 0): mask for key in new}, raising=True)
    if {entry.rtype, *(rtype for rtype, _ in done)} & READ:
        await conn.execute(
            "UPDATE due SET labels = labels | %s WHERE tenant = %s AND patient = ANY(%s)",
            (mask, tenant, list(patients)),
        )


async def fell(conn: Connection, tenant: int, entry: Stored, label: str) -> None:
    """Take the label off the versions before, and off what is made of the entry, where nothing else makes them carry it."""
    mask = labels()[label].mask
    new: list[Key] = [(entry.rtype, entry.id)]
    body = labels_by_hand.taken_off(json.decode(entry.body or b"{}"), label)
    await _fell_before(
        conn, tenant, new[0], mask, lambda one: _left(labels_by_hand.without(one, label), body)
    )
    for _ in range(ROUNDS):
        referring = await _referring(conn, tenant, new)
        new = await _free(conn, tenant, referring, mask)
        await _set(conn, tenant, "resource", {(*key, 0): ~mask for key in new}, raising=False)
        for key in new:
            await _fell_before(conn, tenant, key, mask, partial(_left, now=referring[key]))


def _left(then: Body, now: Body) -> int:
    """The labels of a version before, less what is lifted now."""
    return labels_by_hand.kept(then, labels_by_hand.lifts(now))


async def _free(conn: Connection, tenant: int, found: Mapping[Key, Body], mask: int) -> list[Key]:
    """Those that carry the label neither by themselves nor by anything else that they are made of."""
    made_of = {key: _of(body) for key, body in found.items()}
    held = await stored(conn, tenant, sorted({one for keys in made_of.values() for one in keys}))
    return [
        key
        for key, body in found.items()
        if not (labels_by_hand.kept(body) | taken(held, made_of[key])) & mask
    ]


async def _fell_before(
    conn: Connection, tenant: int, key: Key, mask: int, left: Callable[[Body], int]
) -> None:
    """The superseded versions of one that carry the label neither by what is `left` of theirs nor by what they are made of."""
    rows = await conn.fetch(
        "SELECT h.vid, h.body FROM resource_loc l JOIN history h ON h.pk = ANY(l.pk || l.former) AND h.tenant = l.tenant "
        "AND h.rtype = l.rtype AND h.id = l.id WHERE l.tenant = %s AND l.rtype = %s AND l.id = %s AND h.labels & %s <> 0",
        (tenant, *key, mask),
    )
    bodies = {row[0]: json.decode(row[1].encode()) for row in rows if row[1]}
    held = await stored(conn, tenant, sorted({one for body in bodies.values() for one in _of(body)}))
    free = {
        (*key, vid): ~mask for vid, body in bodies.items() if not (left(body) | taken(held, _of(body))) & mask
    }
    await _set(conn, tenant, "history", free, raising=False)


async def _set(
    conn: Connection, tenant: int, table: str, wanted: Mapping[tuple[str, str, int], int], *, raising: bool
) -> None:
    """Raise or clear the labels of these rows; version 0 is every one."""
    if not wanted:
        return
    change = "labels | k.mask" if raising else "labels & k.mask"
    pks = "l.pk || l.former" if table == "history" else "ARRAY[l.pk]"
    await conn.execute(
        f"UPDATE {table} r SET labels = r.{change} FROM unnest(%s::text[], %s::text[], %s::int[], %s::bigint[]) "
        "AS k(rtype, id, vid, mask) JOIN resource_loc l ON l.tenant = %s AND l.rtype = k.rtype AND l.id = k.id "
        f"WHERE r.pk = ANY({pks}) AND r.tenant = l.tenant AND r.rtype = l.rtype AND r.id = l.id AND (k.vid = 0 OR r.vid = k.vid)",
        (*(list(column) for column in zip(*wanted, strict=True)), list(wanted.values()), tenant),
    )
