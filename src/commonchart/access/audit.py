"""The audit trail: one row per act, written in the statement or transaction of the act. Ids only, never contents."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from typing import TYPE_CHECKING, Any

from msgspec import Struct

from commonchart.access.actors import Actor
from commonchart.record.connection import Asked
from commonchart.record.rows import Written
from commonchart.search.compile import Statement

if TYPE_CHECKING:
    from commonchart.record.database import Connection

OK, MINOR, SERIOUS = 0, 4, 8

_WHO = "at, tenant, actor, role, org, client, purpose, action, outcome"


class Event(Struct, frozen=True):
    """One row of the trail."""

    at: datetime
    actor: str
    role: str
    org: str
    client: str
    purpose: str
    action: str
    outcome: int
    rtype: str | None
    id: str | None
    vid: int | None
    patients: list[str]
    query: str | None
    detail: str | None


def _who(actor: Actor, now: datetime, action: str, outcome: int) -> tuple[Any, ...]:
    return now, actor.tenant, actor.user, actor.role, actor.org, actor.client, actor.purpose, action, outcome


def noted(
    statement: Statement, actor: Actor, now: datetime, action: str, query: str, rtype: str | None = None
) -> Statement:
    """The statement with its audit row in one: the row names the patients of what was found (column `patient`)."""
    sql = (
        f"WITH found AS MATERIALIZED ({statement.sql}), noted AS (INSERT INTO audit ({_WHO}, rtype, query, patients) "
        "SELECT %s, %s, %s, %s, %s, %s, %s, %s, %s, %s, %s, "
        "coalesce((SELECT array_agg(DISTINCT patient) FILTER (WHERE patient IS NOT NULL) FROM found), '{}')) "
        "SELECT * FROM found"
    )
    return Statement(sql, (*statement.args, *_who(actor, now, action, OK), rtype, query))


def counted(statement: Statement, actor: Actor, now: datetime, query: str, rtype: str) -> Statement:
    """A count with its audit row in one."""
    sql = (
        f"WITH found AS MATERIALIZED ({statement.sql}), noted AS (INSERT INTO audit ({_WHO}, rtype, query) "
        "VALUES (%s, %s, %s, %s, %s, %s, %s, %s, %s, %s, %s)) SELECT * FROM found"
    )
    return Statement(sql, (*statement.args, *_who(actor, now, "search", OK), rtype, query))


def read(statement: Statement, actor: Actor, now: datetime, action: str) -> Statement:
    """A read of one version with its audit row in one. What is not found leaves no row here: the caller notes the miss."""
    sql = (
        f"WITH found AS MATERIALIZED ({statement.sql}), noted AS (INSERT INTO audit ({_WHO}, rtype, id, vid, patients) "
        "SELECT %s, %s, %s, %s, %s, %s, %s, %s, %s, rtype, id, vid, "
        "CASE WHEN patient IS NULL THEN '{}' ELSE ARRAY[patient] END FROM found) SELECT * FROM found"
    )
    return Statement(sql, (*statement.args, *_who(actor, now, action, OK)))


async def note(
    conn: Connection,
    actor: Actor,
    now: datetime,
    action: str,
    *,
    outcome: int = OK,
    rtype: str | None = None,
    id: str | None = None,
    patients: Sequence[str] = (),
    query: str | None = None,
    detail: str | None = None,
) -> None:
    """Write one row, in the transaction of the connection."""
    await conn.fetch(
        f"INSERT INTO audit ({_WHO}, rtype, id, patients, query, detail) "
        "VALUES (%s, %s, %s, %s, %s, %s, %s, %s, %s, %s, %s, %s, %s, %s)",
        (*_who(actor, now, action, outcome), rtype, id, list(patients), query, detail),
    )


_WRITE = f"INSERT INTO audit ({_WHO}, rtype, id, vid, patients) VALUES ({', '.join(['%s'] * 13)})"


def of_writes(actor: Actor, now: datetime, written: Sequence[Written]) -> list[Asked]:
    """One row per version that was written, in one statement."""
    done = [w for w in written if w.state != "unchanged"]
    if len(done) == 1:
        one = done[0].stored
        who = _who(actor, now, done[0].state.removesuffix("d"), OK)
        return [(_WRITE, (*who, one.rtype, one.id, one.vid, [one.patient] if one.patient else []))]
    if not done:
        return []
    sql = (
        f"INSERT INTO audit ({_WHO}, rtype, id, vid, patients) "
        "SELECT %s, %s, %s, %s, %s, %s, %s, k.action, 0, k.rtype, k.id, k.vid, "
        "CASE WHEN k.patient IS NULL THEN '{}' ELSE ARRAY[k.patient] END "
        "FROM unnest(%s::text[], %s::text[], %s::text[], %s::int[], %s::text[]) AS k(action, rtype, id, vid, patient)"
    )
    args = (
        *_who(actor, now, "", OK)[:7],
        [w.state.removesuffix("d") for w in done],
        [w.stored.rtype for w in done],
        [w.stored.id for w in done],
        [w.stored.vid for w in done],
        [w.stored.patient for w in done],
    )
    return [(sql, args)]


async def of_patient(conn: Connection, tenant: int, patient: str, limit: int) -> list[Event]:
    """What was done with this patient's record, newest first."""
    cursor = await conn.execute(
        "SELECT at, actor, role, org, client, purpose, action, outcome, rtype, id, vid, patients, query, detail FROM audit "
        "WHERE tenant = %s AND patients @> ARRAY[%s] ORDER BY seq DESC LIMIT %s",
        (tenant, patient, limit),
    )
    return [Event(*row) for row in await cursor.fetchall()]
