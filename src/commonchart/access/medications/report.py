"""How often each stopping alert is overridden, by rule and by clinician, so that noisy ones get mended.

Overridden: the user went on with a reason. Accepted: the order was changed, withdrawn, or left for an hour without going on.
"""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import TYPE_CHECKING, Any

from msgspec import Struct

from commonchart.access import audit, panels
from commonchart.fhir.outcome import NotFound

if TYPE_CHECKING:
    from commonchart.access.records import Records

NOISY_RATE, NOISY_SHOWN = 0.9, 20
LEFT = timedelta(hours=1)
MOST_EVENTS = 200
_STATE = "CASE WHEN e.state = 'shown' AND e.at < %s THEN 'left' ELSE e.state END"
_STATES = ("'overridden'", "'changed', 'withdrawn', 'left'", "'shown'")
# shown, overridden, accepted, waiting: takes the moment before which nobody goes on any more four times
_TALLY = ", ".join((f"count({_STATE})", *(f"count(*) FILTER (WHERE {_STATE} IN ({one}))" for one in _STATES)))
_FROM = "FROM alert_event e LEFT JOIN app_user u ON u.id = e.actor AND u.tenant = e.tenant"


class Period(Struct, frozen=True):
    """What is counted: shown from `since` until before `until`, to one user or everybody."""

    since: datetime
    until: datetime
    actor: str = ""


class Tally(Struct, frozen=True):
    """How often an alert was shown, and what became of it. `waiting`: not decided yet."""

    shown: int
    overridden: int
    accepted: int
    waiting: int

    @property
    def rate(self) -> float | None:
        """The share that was overridden of those decided, None while none is."""
        decided = self.overridden + self.accepted
        return self.overridden / decided if decided else None

    @property
    def noisy(self) -> bool:
        """More than 90 % overridden of at least 20 decided."""
        rate = self.rate
        return rate is not None and rate > NOISY_RATE and self.overridden + self.accepted >= NOISY_SHOWN


class Rule(Struct, frozen=True):
    """One rule in the report: the last words it was shown with, its tally, and the reasons given, most frequent first."""

    rule: str
    origin: str
    title: str
    tally: Tally
    reasons: tuple[tuple[str, int], ...] = ()


class Person(Struct, frozen=True):
    """One user in the report."""

    actor: str
    name: str
    tally: Tally


class Report(Struct, frozen=True):
    """Rules, noisy ones first, and users."""

    rules: tuple[Rule, ...]
    people: tuple[Person, ...]


class Event(Struct, frozen=True):
    """One showing: when, about whom, to whom, what was to be done, and what they did."""

    at: datetime
    patient: str
    name: str
    about: str
    title: str
    state: str
    reason: str


async def report(records: Records, period: Period) -> Report:
    """The report of a period: what the people of the actor's organisation were shown. Raises Forbidden, NotFound."""
    await _allowed(records)
    where, args = _where(records, period)
    left = records.clock() - LEFT
    async with records.database.connection() as conn:
        cursor = await conn.execute(
            f"SELECT e.rule, min(e.origin), (array_agg(e.title ORDER BY e.at DESC))[1], {_TALLY} {_FROM} WHERE {where} "
            "GROUP BY e.rule",
            [*[left] * 4, *args],
        )
        rules = await cursor.fetchall()
        cursor = await conn.execute(
            f"SELECT e.rule, e.reason, count(*) {_FROM} WHERE {where} AND e.state = 'overridden' GROUP BY 1, 2 "
            "ORDER BY 3 DESC, 2",
            args,
        )
        reasons = await cursor.fetchall()
        cursor = await conn.execute(
            f"SELECT e.actor, coalesce(max(u.name), e.actor), {_TALLY} {_FROM} WHERE {where} GROUP BY e.actor "
            "ORDER BY 2",
            [*[left] * 4, *args],
        )
        people = await cursor.fetchall()
        await audit.note(conn, records.actor, records.clock(), "alert-report", query=_said(period))
    made = (
        Rule(
            rule,
            origin,
            title,
            Tally(*counts),
            tuple((why, int(n)) for of, why, n in reasons if of == rule)[:5],
        )
        for rule, origin, title, *counts in rules
    )
    ordered = sorted(
        made, key=lambda one: (not one.tally.noisy, -(one.tally.rate or 0), -one.tally.shown, one.rule)
    )
    return Report(
        tuple(ordered), tuple(Person(actor, name, Tally(*counts)) for actor, name, *counts in people)
    )


async def events(records: Records, period: Period, rule: str) -> list[Event]:
    """The showings of a rule, newest first, about patients of whom nothing is withheld. Raises Forbidden, NotFound."""
    await _allowed(records)
    where, args = _where(records, period)
    scope, of_whom = panels.each(records.visible)
    async with records.whole.connection() as conn:
        cursor = await conn.execute(
            f"SELECT e.at, e.patient, coalesce(u.name, e.actor), e.about, e.title, {_STATE}, e.reason {_FROM} WHERE {where} "
            f"AND e.rule = %s AND EXISTS (SELECT 1 FROM (SELECT e.pk, e.tenant, e.patient) p WHERE {scope}) "
            "ORDER BY e.at DESC, e.id LIMIT %s",
            [records.clock() - LEFT, *args, rule, *of_whom, MOST_EVENTS],
        )
        found = [Event(*row) for row in await cursor.fetchall()]
        who = sorted({one.patient for one in found})
        await audit.note(
            conn, records.actor, records.clock(), "alert-report", patients=who, query=_said(period)
        )
    return found


async def _allowed(records: Records) -> None:
    await records.require("search", "MedicationRequest")
    if not records.visible.everything:
        raise NotFound("There is no alert report here")


def _where(records: Records, period: Period) -> tuple[str, list[Any]]:
    where, args = (
        "e.tenant = %s AND e.at >= %s AND e.at < %s",
        [records.actor.tenant, period.since, period.until],
    )
    if not records.visible.whole:
        where, args = f"{where} AND e.org = %s", [*args, records.actor.org]
    if period.actor:
        where, args = f"{where} AND e.actor = %s", [*args, period.actor]
    return where, args


def _said(period: Period) -> str:
    return f"{period.since.date()} to {period.until.date()}" + (f" of {period.actor}" if period.actor else "")
