"""Critical alerts and the notices about them. An alert is one value of one Observation; a notice one person's e-mail."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from datetime import datetime
from typing import TYPE_CHECKING

from msgspec import Struct

from commonchart.record.keys import patient_key

if TYPE_CHECKING:
    from commonchart.record.database import Connection

_ALERT = (
    "tenant, patient, ref, part, n, item, org, owner, what, raised, level, next_at, state, ended, ended_by, ended_level, "
    "read_back, called, done, looked, unseen, unseen_since"
)
_NAMES = _ALERT.split(", ")
_KEY = "pk = %s AND tenant = %s AND patient = %s AND ref = %s AND part = %s AND n = %s"
_NOTICE = "tenant, patient, ref, part, n, user_id, level, kind, created, state, attempts"
BESIDE, UNSEEN = "beside", "unseen"
"""Kinds of notices: to others who may open it where those of the step may not, and to who is told that no clinician may. Others have none."""
SHUT = "may not open it now"
"""Why a notice was not sent to somebody who, once they may, is told after all."""


class Alert(Struct, frozen=True):
    """One critical value; `what` is `care.inbox.judge.Line` as JSON. `level` is the step it is at.

    `unseen`: why no clinician of the steps may open it (`access.inbox.sight`), "" where one may; `looked`: when that was last asked.
    """

    tenant: int
    patient: str
    ref: str
    part: str
    n: int
    item: str
    org: str
    owner: str
    what: str
    raised: datetime
    level: int
    next_at: datetime | None
    state: str = "open"
    ended: datetime | None = None
    ended_by: str = ""
    ended_level: int | None = None
    read_back: str = ""
    called: str = ""
    done: str = ""
    looked: datetime | None = None
    unseen: str = ""
    unseen_since: datetime | None = None

    @property
    def key(self) -> tuple[object, ...]:
        """What its row is found by."""
        return patient_key(self.patient), self.tenant, self.patient, self.ref, self.part, self.n


class Notice(Struct, frozen=True):
    """One e-mail about an alert to one user, at the step that made them responsible; `kind` is "", BESIDE or UNSEEN."""

    tenant: int
    patient: str
    ref: str
    part: str
    n: int
    user: str
    level: int
    kind: str
    created: datetime
    state: str = "waiting"
    attempts: int = 0

    @property
    def key(self) -> tuple[object, ...]:
        """What its row is found by."""
        return patient_key(self.patient), self.tenant, self.patient, self.ref, self.part, self.n, self.user


async def of_item(conn: Connection, tenant: int, patient: str, refs: Iterable[str]) -> list[Alert]:
    """Every alert about these Observations, newest first, locked."""
    rows = await conn.fetch(
        f"SELECT {_ALERT} FROM critical_alert WHERE pk = %s AND tenant = %s AND patient = %s AND ref = ANY(%s) "
        "ORDER BY n DESC FOR UPDATE",
        (patient_key(patient), tenant, patient, sorted(set(refs))),
    )
    return [Alert(*row) for row in rows]


async def put(conn: Connection, one: Alert) -> None:
    """Keep an alert as it now is."""
    same = ", ".join(f"{name} = excluded.{name}" for name in _NAMES[5:])
    await conn.fetch(
        f"INSERT INTO critical_alert (pk, {_ALERT}) VALUES ({', '.join(['%s'] * (len(_NAMES) + 1))}) "
        f"ON CONFLICT (pk, tenant, patient, ref, part, n) DO UPDATE SET {same}",
        (patient_key(one.patient), *(getattr(one, name) for name in _NAMES)),
    )


async def open_ones(conn: Connection, tenant: int) -> list[Alert]:
    """Every alert of a tenant that nobody has acknowledged, the oldest first."""
    rows = await conn.fetch(
        f"SELECT {_ALERT} FROM critical_alert WHERE tenant = %s AND state = 'open' ORDER BY raised, ref, part",
        (tenant,),
    )
    return [Alert(*row) for row in rows]


async def elsewhere(conn: Connection, tenant: int, user: str, orgs: Sequence[str]) -> dict[str, int]:
    """How many open alerts are addressed to somebody or have reached them, by organisation, of those given: a number and no more."""
    if not orgs:
        return {}
    rows = await conn.fetch(
        "SELECT a.org, count(*) FROM critical_alert a WHERE a.tenant = %s AND a.state = 'open' AND a.org = ANY(%s) "
        "AND (a.owner = %s OR EXISTS (SELECT 1 FROM critical_notice n WHERE n.pk = a.pk AND n.tenant = a.tenant "
        "AND n.patient = a.patient AND n.ref = a.ref AND n.part = a.part AND n.n = a.n AND n.user_id = %s AND n.kind <> 'unseen')) "
        "GROUP BY a.org",
        (tenant, list(orgs), user, user),
    )
    return {row[0]: row[1] for row in rows}


async def readdressed(
    conn: Connection, tenant: int, user: str, to: str, of: Sequence[str], org: str | None = None
) -> int:
    """The open alerts of somebody (for one organisation) become another's where they are `of` these items, else everybody's; how many.

    Their steps go on as they were.
    """
    cursor = await conn.execute(
        "UPDATE critical_alert SET owner = CASE WHEN item = ANY(%s) THEN %s ELSE '' END WHERE tenant = %s AND owner = %s "
        "AND state = 'open' AND (%s::text IS NULL OR org = %s)",
        (list(of), to, tenant, user, org, org),
    )
    return cursor.rowcount


async def tenants(conn: Connection) -> list[int]:
    """Who has open alerts, or notices to be sent."""
    rows = await conn.fetch(
        "SELECT tenant FROM critical_alert WHERE state = 'open' UNION SELECT tenant FROM critical_notice "
        "WHERE state IN ('waiting', 'sending')"
    )
    return [row[0] for row in rows]


async def next_late(conn: Connection, tenant: int, now: datetime) -> Alert | None:
    """An open alert whose next step has come, locked; others' locks are passed over."""
    rows = await conn.fetch(
        f"SELECT {_ALERT} FROM critical_alert WHERE tenant = %s AND state = 'open' AND next_at <= %s "
        "ORDER BY next_at LIMIT 1 FOR UPDATE SKIP LOCKED",
        (tenant, now),
    )
    return Alert(*rows[0]) if rows else None


async def next_unlooked(conn: Connection, tenant: int, before: datetime) -> Alert | None:
    """An open alert of which it was not asked since `before` whether somebody may open it, locked; others' locks are passed over."""
    rows = await conn.fetch(
        f"SELECT {_ALERT} FROM critical_alert WHERE tenant = %s AND state = 'open' AND (looked IS NULL OR looked <= %s) "
        "ORDER BY looked NULLS FIRST, raised LIMIT 1 FOR UPDATE SKIP LOCKED",
        (tenant, before),
    )
    return Alert(*rows[0]) if rows else None


async def unseen(conn: Connection, tenant: int, org: str, user: str) -> list[Alert]:
    """The open alerts of an organisation that no clinician may open, and those that this user was told so of, the oldest first."""
    rows = await conn.fetch(
        f"SELECT {', '.join(f'a.{name}' for name in _NAMES)} FROM critical_alert a WHERE a.tenant = %s AND a.state = 'open' "
        "AND a.unseen <> '' AND (a.org IN ('', %s) OR EXISTS (SELECT 1 FROM critical_notice n WHERE n.pk = a.pk "
        "AND n.tenant = a.tenant AND n.patient = a.patient AND n.ref = a.ref AND n.part = a.part AND n.n = a.n "
        "AND n.user_id = %s AND n.kind = 'unseen')) ORDER BY a.raised, a.ref, a.part",
        (tenant, org, user),
    )
    return [Alert(*row) for row in rows]


async def beside(conn: Connection, tenant: int, user: str) -> set[str]:
    """The items of open alerts that went to this user because those of the step may not open them."""
    rows = await conn.fetch(
        "SELECT a.item FROM critical_alert a JOIN critical_notice n ON n.pk = a.pk AND n.tenant = a.tenant "
        "AND n.patient = a.patient AND n.ref = a.ref AND n.part = a.part AND n.n = a.n AND n.user_id = %s AND n.kind = 'beside' "
        "WHERE a.tenant = %s AND a.state = 'open'",
        (user, tenant),
    )
    return {row[0] for row in rows}


async def raised(conn: Connection, tenant: int, since: datetime, until: datetime) -> list[Alert]:
    """Alerts raised from `since` (included) to `until` (excluded), the oldest first."""
    rows = await conn.fetch(
        f"SELECT {_ALERT} FROM critical_alert WHERE tenant = %s AND raised >= %s AND raised < %s ORDER BY raised, ref, part LIMIT 10000",
        (tenant, since, until),
    )
    return [Alert(*row) for row in rows]


async def notify(conn: Connection, one: Alert, users: Iterable[str], now: datetime, kind: str = "") -> int:
    """These people are to be told, unless they are already; how many are new.

    Again where they were told that no clinician may open it, and that it is so again.
    """
    rows = await conn.fetch(
        "INSERT INTO critical_notice AS c (pk, tenant, patient, ref, part, n, user_id, level, state, created, kind) "
        "SELECT %s, %s, %s, %s, %s, %s, u, %s, 'waiting', %s, %s FROM unnest(%s::text[]) u "
        "ON CONFLICT (pk, tenant, patient, ref, part, n, user_id) DO UPDATE SET kind = excluded.kind, state = 'waiting', "
        "level = excluded.level, created = excluded.created, next_try = NULL, held_until = NULL, error = '', sent_at = NULL "
        "WHERE (c.kind = 'unseen') <> (excluded.kind = 'unseen') OR (c.kind = 'unseen' AND c.created < %s) "
        "OR (c.state = 'none' AND c.error = %s) RETURNING 1",
        (*one.key, one.level, now, kind, sorted(set(users)), one.unseen_since, SHUT),
    )
    return len(rows)


async def take_notice(conn: Connection, tenant: int, now: datetime, until: datetime) -> Notice | None:
    """The next notice that may be sent, marked as being sent; one whose sender is gone is sent again."""
    rows = await conn.fetch(
        "WITH x AS MATERIALIZED (SELECT pk, patient, ref, part, n, user_id FROM critical_notice WHERE tenant = %s AND "
        "((state = 'waiting' AND (next_try IS NULL OR next_try <= %s)) OR (state = 'sending' AND held_until <= %s)) "
        "ORDER BY created, user_id LIMIT 1 FOR UPDATE SKIP LOCKED) "
        "UPDATE critical_notice c SET state = 'sending', attempts = attempts + 1, held_until = %s FROM x WHERE c.pk = x.pk "
        "AND c.tenant = %s AND c.patient = x.patient AND c.ref = x.ref AND c.part = x.part AND c.n = x.n AND c.user_id = x.user_id "
        f"RETURNING {', '.join(f'c.{name}' for name in _NOTICE.split(', '))}",
        (tenant, now, now, until, tenant),
    )
    return Notice(*rows[0]) if rows else None


async def settle_notice(
    conn: Connection,
    one: Notice,
    state: str,
    *,
    now: datetime | None = None,
    error: str = "",
    again: datetime | None = None,
) -> None:
    """What became of a notice: sent, none (nowhere to send it, or no need any more), failed, or waiting for another try.

    Nothing where it was asked for anew meanwhile.
    """
    await conn.fetch(
        f"UPDATE critical_notice SET state = %s, error = %s, next_try = %s, held_until = NULL, sent_at = %s WHERE {_KEY} AND user_id = %s "
        "AND created = %s",
        (state, error, again, now if state == "sent" else None, *one.key, one.created),
    )


async def notices(conn: Connection, one: Alert) -> list[tuple[str, int, str, datetime | None, str, str]]:
    """(user, level, state, when sent, what went wrong, kind) of an alert."""
    rows = await conn.fetch(
        f"SELECT user_id, level, state, sent_at, error, kind FROM critical_notice WHERE {_KEY} ORDER BY level, user_id",
        one.key,
    )
    return [(row[0], row[1], row[2], row[3], row[4], row[5]) for row in rows]


async def still_open(conn: Connection, one: Notice) -> Alert | None:
    """The alert that a notice is about; None once somebody has acknowledged it."""
    rows = await conn.fetch(
        f"SELECT {_ALERT} FROM critical_alert WHERE {_KEY} AND state = 'open'", one.key[:6]
    )
    return Alert(*rows[0]) if rows else None
