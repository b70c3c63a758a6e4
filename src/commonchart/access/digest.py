"""The digest of a clinician: today's patients and what each is due for, and the state of their panel.

Rules that nobody has reviewed or approved are not in it, only how many were left out.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from datetime import date, datetime, timedelta
from typing import TYPE_CHECKING, Any

from msgspec import Struct

from commonchart.access import approvals, audit, policy
from commonchart.access.due import OPEN, ORDER
from commonchart.access.outreach.known import names_of
from commonchart.access.outreach.policy import policy_of
from commonchart.fhir import json
from commonchart.fhir.outcome import NotFound
from commonchart.record import due, rules
from commonchart.record.due import DueRow
from commonchart.record.keys import token

if TYPE_CHECKING:
    from commonchart.access.records import Records
    from commonchart.record.database import Connection

GONE = ("cancelled", "noshow", "entered-in-error")


class Visitor(Struct, frozen=True):
    """Somebody who comes today: when (the first of several), and what is open for them, most urgent first.

    `unreviewed` is how many open items are left out, since no clinician has approved their rules.
    """

    patient: str
    name: str
    at: datetime
    due: tuple[DueRow, ...]
    unreviewed: int = 0


class Line(Struct, frozen=True):
    """One rule over a panel: how many people are in which status, and how many became up to date in the last week."""

    rule: str
    title: str
    statuses: dict[str, int]
    done: int


class Panel(Struct, frozen=True):
    """The patients of a clinician (or of everybody), by rule; reminders sent to them in the last week.

    `unreviewed` is how many rules are left out, since no clinician has approved them.
    """

    people: int
    lines: tuple[Line, ...]
    reminded: int
    unreviewed: int = 0


async def today(records: Records) -> list[Visitor]:
    """The patients with an Appointment today (the site's day): the clinician's own, everybody's for others. Raises Forbidden."""
    await _allowed(records)
    now = records.clock()
    async with records.database.connection() as conn:
        lo, hi = (await policy_of(conn, records.actor.tenant)).day_bounds(now)
        times = await _appointments(conn, records, lo, hi)
        names = await names_of(conn, records, list(times))
        visitors = [
            await _visitor(conn, records, id, names[id], at) for id, at in times.items() if id in names
        ]
        await audit.note(conn, records.actor, now, "digest", patients=sorted(times), query="day")
    return sorted(visitors, key=lambda one: (one.at, one.name))


async def panel(records: Records) -> Panel:
    """The panel of the clinician, by rule. Raises Forbidden."""
    await _allowed(records)
    now = records.clock()
    where, args = _panel(records)
    async with records.database.connection() as conn:
        people = await _number(conn, f"SELECT count(*) FROM resource r WHERE {where}", args)
        lines, left_out = await _lines(conn, records, where, args, now.date() - timedelta(days=7))
        reminded = await _number(
            conn, "SELECT count(*) FROM outreach_message m JOIN resource r ON r.pk = m.pk AND r.tenant = m.tenant AND r.rtype = "
            f"'Patient' AND r.id = m.patient WHERE {where} AND m.state = 'sent' AND m.sent_at > %s",
            [*args, now - timedelta(days=7)],
        )  # fmt: skip
        await audit.note(conn, records.actor, now, "digest", query="week")
    return Panel(people, tuple(lines), reminded, left_out)


async def _allowed(records: Records) -> None:
    await records.require("search", "Condition")
    await records.require("search", "Appointment")
    if not policy.visible(records.actor).everything:
        raise NotFound("There is no digest here")


def _panel(records: Records) -> tuple[str, list[Any]]:
    predicate, args = records.visible.predicate("r")
    where, values = f"{predicate} AND r.rtype = 'Patient' AND NOT r.deleted", list(args)
    if records.actor.practitioner:
        where += " AND (r.tokens || '{}'::bigint[]) && %s::bigint[]"
        values.append([token("general-practitioner", f"Practitioner/{records.actor.practitioner}")])
    return where, values


async def _number(conn: Connection, sql: str, args: Sequence[Any]) -> int:
    row = await (await conn.execute(sql, args)).fetchone()
    return int(row[0]) if row else 0


async def _lines(
    conn: Connection, records: Records, where: str, args: Sequence[Any], since: date
) -> tuple[Iterable[Line], int]:
    """The rules of a panel that were reviewed or approved, and how many others are left out."""
    deciding, more = records.visible.due("d")
    cursor = await conn.execute(
        "SELECT d.rule, max(d.title), d.status, count(*), count(*) FILTER (WHERE d.status = 'up-to-date' AND "
        "EXISTS (SELECT 1 FROM json_array_elements(d.why::json->'used') u WHERE u->>'when' >= %s)), "
        f"d.version, position('{approvals.NEEDED}' in d.why) > 0 "
        "FROM due d JOIN resource r ON r.pk = d.pk AND r.tenant = d.tenant AND r.rtype = 'Patient' AND r.id = d.patient "
        f"WHERE {where} AND {deciding} GROUP BY d.rule, d.status, d.version, 7",
        [since.isoformat(), *args, *more],
    )
    approved = await rules.standing(conn, records.actor.tenant)
    found: dict[str, Line] = {}
    left_out: set[str] = set()
    for rule, title, status, n, done, version, needed in await cursor.fetchall():
        if needed and (rule, version.rpartition("/")[2]) not in approved:
            left_out.add(rule)
            continue
        line = found.get(rule, Line(rule, title, {}, 0))
        sums = {**line.statuses, status: line.statuses.get(status, 0) + int(n)}
        found[rule] = Line(rule, title, sums, line.done + int(done))
    asked = [
        one for one in found.values() if any(one.statuses.get(status) for status in (*OPEN, "up-to-date"))
    ]
    return sorted(asked, key=lambda one: one.title), len(left_out)


async def _appointments(
    conn: Connection, records: Records, lo: datetime, hi: datetime
) -> dict[str, datetime]:
    predicate, args = records.visible.predicate("r")
    cursor = await conn.execute(
        f"SELECT r.patient, r.body FROM resource r WHERE {predicate} AND r.rtype = 'Appointment' AND NOT r.deleted "
        "AND r.date_lo >= %s AND r.date_lo < %s AND r.patient IS NOT NULL ORDER BY r.date_lo DESC, r.id",
        (*args, lo, hi),
    )
    out: dict[str, datetime] = {}
    for patient, text in await cursor.fetchall():
        body = json.decode(text.encode())
        if body.get("status") not in GONE and _is_with(body, records.actor.practitioner):
            out[patient] = datetime.fromisoformat(body["start"].replace("Z", "+00:00"))
    return out


def _is_with(body: dict[str, Any], practitioner: str | None) -> bool:
    """Whether the appointment is with this clinician; without one, or when it names none, it is everybody's."""
    named = [
        actor
        for one in body.get("participant") or ()
        if (actor := str((one.get("actor") or {}).get("reference", ""))).startswith("Practitioner/")
    ]
    return not practitioner or not named or f"Practitioner/{practitioner}" in named


async def _visitor(conn: Connection, records: Records, patient: str, name: str, at: datetime) -> Visitor:
    tenant = records.actor.tenant
    seen = await due.of_patient(conn, tenant, patient, records.visible.due("d"))
    rows = await approvals.told(conn, tenant, seen)
    waiting = [one for one in rows if one.status in OPEN]
    shown = sorted(
        (one for one in waiting if approvals.stands(one)),
        key=lambda one: (ORDER.index(one.status), one.title),
    )
    return Visitor(patient, name, at, tuple(shown), len(waiting) - len(shown))
