"""Previews of a changed rule: everybody's answer by the rules as they are and as they would be, some people at a time.

The same pure `assess` as for the due table, over the stored facts, on the day the preview was asked for; the due table is
not written. Each batch keeps how far it has come in the transaction of what it found, so that a crash loses one batch.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from datetime import date, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

from msgspec import Struct

from commonchart.access import audit, users
from commonchart.care.assess import Due, assess
from commonchart.care.evidence import Evidence
from commonchart.care.facts import evidence
from commonchart.care.person import Person, person
from commonchart.care.rules import remade
from commonchart.care.schema import Pack
from commonchart.fhir.outcome import Refused
from commonchart.jobs.due import wanted_tokens
from commonchart.record import due, rules
from commonchart.record import rule_previews as previews
from commonchart.record.people import linked_on
from commonchart.record.rule_previews import Changed, Preview
from commonchart.record.rules import Choice

if TYPE_CHECKING:
    from commonchart.record.database import Connection, Database

PATIENTS = 100
GONE = "-"
"""What a deleted record counts as."""


class Compared(Struct, frozen=True):
    """The one rule before and after, each with everything it names."""

    before: Pack
    after: Pack


async def lane(database: Database, clock: Callable[[], datetime], site: Any = Path()) -> int:
    """Work out the next people of the oldest preview; how many, 0 when nothing waits."""
    async with database.connection() as conn:
        one = await previews.take(conn)
        if one is None:
            return 0
        try:
            compared = await _compared(conn, one)
        except Refused as refusal:
            await previews.end(conn, one, "failed", clock(), str(refusal))
            return 1
        if compared is None:
            why = "The rules were changed while this was worked out: begin again"
            await previews.end(conn, one, "failed", clock(), why)
            return 1
        return await _batch(conn, one, compared, clock())


async def _batch(conn: Connection, one: Preview, compared: Compared, now: datetime) -> int:
    people = await previews.next_people(conn, one, PATIENTS)
    if not people:
        await previews.end(conn, one, "done", now)
        return 1
    changed: list[Changed] = []
    counts: Counter[str] = Counter()
    for patient in people:
        found = await _answers(conn, one, patient, compared)
        if found is None:
            counts[GONE] += 1
            continue
        counts[f"{found.before}>{found.after}"] += 1
        if (found.before, found.before_due) != (found.after, found.after_due):
            changed.append(found)
    await previews.advance(conn, one, people[-1], changed, counts)
    await audit.note(
        conn, users.system(one.tenant, "rule-preview"), now, "preview-rule", id=one.rule, patients=people
    )
    return len(people)


async def _compared(conn: Connection, one: Preview) -> Compared | None:
    """The two packs, unless they are no longer those that the preview began with."""
    before = (await rules.active(conn, one.tenant)).pack
    after = await rules.chosen(conn, one.tenant, one.rule, Choice(one.state, one.n))
    if (before.hash, after.hash) != (one.before_hash, one.after_hash):
        return None
    return Compared(_only(before, one.rule), _only(after, one.rule))


_ONLY: dict[tuple[str, str], Pack] = {}


def _only(pack: Pack, rule: str) -> Pack:
    """The pack with nothing but this rule (or nothing at all), remembered with what it has learnt."""
    key = pack.hash, rule
    if key not in _ONLY:
        if len(_ONLY) > 8:
            _ONLY.clear()
        _ONLY[key] = remade(pack, rules=tuple(one for one in pack.rules if one.id == rule))
    return _ONLY[key]


async def _answers(conn: Connection, one: Preview, patient: str, compared: Compared) -> Changed | None:
    """The answers about one patient; None for a deleted one."""
    same = await linked_on(conn, one.tenant, patient)
    tokens = {*wanted_tokens(compared.before), *wanted_tokens(compared.after)}
    found = await due.resources(conn, one.tenant, same, tuple(sorted(tokens)))
    own = next((r for r in found if r["resourceType"] == "Patient" and r.get("id") == patient), None)
    if own is None:
        return None
    facts, whom = evidence(found), person(own, one.as_of)
    before, after = (_answer(facts, whom, pack, one.as_of) for pack in (compared.before, compared.after))
    return Changed(
        patient, before.status if before else "", after.status if after else "",
        before.due_on if before else None, after.due_on if after else None,
        str((after or before).why["because"]) if after or before else "",  # type: ignore[union-attr]
    )  # fmt: skip


def _answer(facts: Evidence, whom: Person, pack: Pack, day: date) -> Due | None:
    """What the rule says; None where it says nothing: it is not used, not about this person, or they have died."""
    found = assess(facts, whom, pack, day)
    return found[0] if found and found[0].status != "not-applicable" else None
