"""What a changed rule would do, before it is used: begun by an actor, worked out by the worker, read patient by patient."""

from __future__ import annotations

from typing import TYPE_CHECKING
from uuid import uuid4

from msgspec import Struct

from commonchart.access import audit, panels, rules
from commonchart.care.rules import built_in
from commonchart.fhir.outcome import NotFound
from commonchart.record import rule_previews as previews
from commonchart.record import rules as record
from commonchart.record import store
from commonchart.record.changes import CHANNEL
from commonchart.record.rows import Stored
from commonchart.record.rule_previews import Changed, Preview
from commonchart.record.rules import Choice
from commonchart.record.schema import VERSION_COLUMNS

if TYPE_CHECKING:
    from commonchart.access.records import Records

OPEN = ("due", "overdue")
UNKNOWN = "cannot-tell"
GROUPS = ("more", "fewer", "unknown", "known", "dates")


class Row(Struct, frozen=True):
    """Somebody whose answer would be another, with their Patient as stored."""

    changed: Changed
    patient: Stored


class Summary(Struct, frozen=True):
    """How many people would change in which way.

    `more` become due or overdue, `fewer` are no longer, `unknown` become cannot tell, `known` are no longer, `dates`: the same
    status from another day on. `before` and `after` are people by status.
    """

    more: int
    fewer: int
    unknown: int
    known: int
    dates: int
    before: dict[str, int]
    after: dict[str, int]
    moves: dict[tuple[str, str], int]


def summary(one: Preview, dates: int = 0) -> Summary:
    """The counts of a preview, added up."""
    moves: dict[tuple[str, str], int] = {}
    before: dict[str, int] = {}
    after: dict[str, int] = {}
    for key, n in one.numbers.items():
        old, arrow, new = key.partition(">")
        if arrow:
            moves[old, new] = n
            before[old] = before.get(old, 0) + n
            after[new] = after.get(new, 0) + n
    by_group = {
        group: sum(n for move, n in moves.items() if _is(move, group)) for group in GROUPS if group != "dates"
    }
    return Summary(**by_group, dates=dates, before=before, after=after, moves=moves)


def _is(move: tuple[str, str], group: str) -> bool:
    old, new = move
    return {
        "more": new in OPEN and old not in OPEN, "fewer": old in OPEN and new not in OPEN,
        "unknown": new == UNKNOWN != old, "known": old == UNKNOWN != new,
    }[group]  # fmt: skip


_GROUP_SQL = {
    "more": "c.after IN ('due', 'overdue') AND c.before NOT IN ('due', 'overdue')",
    "fewer": "c.before IN ('due', 'overdue') AND c.after NOT IN ('due', 'overdue')",
    "unknown": "c.after = 'cannot-tell' AND c.before <> 'cannot-tell'",
    "known": "c.before = 'cannot-tell' AND c.after <> 'cannot-tell'",
    "dates": "c.before = c.after",
    "": "TRUE",
}


async def begin(records: Records, rule: str, choice: Choice) -> Preview:
    """Try a version (or the one in the box, or none) on everybody; nothing is used yet.

    Raises Forbidden, NotFound, Invalid when it does not fit the other rules.
    """
    await rules.deciding(records)
    actor, now = records.actor, records.clock()
    async with records.whole.connection() as conn:
        await record.alone(conn, actor.tenant)
        before = (await record.active(conn, actor.tenant)).pack
        known = {one.n for one in await record.versions(conn, actor.tenant, rule)}
        there = {
            record.SITE: choice.n in known, record.BOX: rule in built_in().by_id, record.OFF: rule in before.by_id,
        }  # fmt: skip
        if not there[choice.state]:
            raise NotFound("There is no such version of this rule, or it is not used anyhow")
        after = await record.chosen(conn, actor.tenant, rule, choice)
        one = Preview(
            actor.tenant, uuid4().hex, rule, choice.state, choice.n, before.hash, after.hash, now.date(), "running", "", 0,
            await previews.people(conn, actor.tenant), "{}", actor.user, actor.name, now, None, "",
        )  # fmt: skip
        await previews.begin(conn, one)
        await audit.note(conn, actor, now, "begin-rule-preview", id=rule, detail=f"{choice.state} {choice.n}")
        await conn.execute("SELECT pg_notify(%s, '')", (CHANNEL,))
        return one


async def of_rule(records: Records, rule: str) -> Preview:
    """The latest preview of a rule. Raises Forbidden, NotFound."""
    await rules.reading(records)
    async with records.whole.connection() as conn:
        found = await previews.of_rule(conn, records.actor.tenant, rule)
    if found is None:
        raise NotFound("No preview of this rule has been made")
    return found


async def dates(records: Records, one: Preview) -> int:
    """How many people would keep their status and have another day."""
    return await _count(records, one, "dates")


async def _count(records: Records, one: Preview, group: str) -> int:
    async with records.whole.connection() as conn:
        cursor = await conn.execute(
            f"SELECT count(*) FROM rule_preview_change c WHERE c.tenant = %s AND c.preview = %s AND {_GROUP_SQL[group]}",
            (one.tenant, one.id),
        )
        row = await cursor.fetchone()
    return int(row[0]) if row else 0


async def people(
    records: Records, one: Preview, group: str = "", *, limit: int, offset: int
) -> tuple[list[Row], int]:
    """Who would change so, as far as the actor may see them, by name; and how many they are. Raises Forbidden."""
    await rules.reading(records)
    predicate, args = records.visible.predicate("r")
    where = (
        "FROM rule_preview_change c JOIN resource r ON r.pk = c.pk AND r.tenant = c.tenant AND r.rtype = 'Patient' "
        f"AND r.id = c.patient WHERE {predicate} AND NOT r.deleted AND c.tenant = %s AND c.preview = %s AND {_GROUP_SQL[group]}"
    )
    values = [*args, one.tenant, one.id]
    if not panels.whole(records.visible):  # what would change may rest on what is withheld
        scope, more = panels.scope(records.visible)
        where += f" AND EXISTS (SELECT 1 FROM panel_member p WHERE p.pk = c.pk AND p.patient = c.patient AND {scope})"
        values += more
    columns = ", ".join(f"r.{name}" for name in VERSION_COLUMNS.split(", "))
    async with records.whole.connection() as conn:
        cursor = await conn.execute(f"SELECT count(*) {where}", values)
        found = await cursor.fetchone()
        cursor = await conn.execute(
            f"SELECT c.patient, c.before, c.after, c.before_due, c.after_due, c.because, {columns} {where} "
            "ORDER BY c.after, c.before, c.patient LIMIT %s OFFSET %s",
            [*values, limit, offset],
        )
        rows = [Row(Changed(*row[:6]), store.row_stored(row[6:])) for row in await cursor.fetchall()]
        await audit.note(
            conn, records.actor, records.clock(), "read-rule-preview", id=one.rule,
            patients=sorted(row.changed.patient for row in rows), query=group,
        )  # fmt: skip
    return rows, int(found[0]) if found else 0
