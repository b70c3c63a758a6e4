"""What a person is due for, rule by rule, with the reason: a pure function of evidence, person, pack and date.

Each answer carries the dates at which it will change by itself, so that it stays right until `next_change_on` without
being computed again (docs/decisions/0007). Missing data gives "cannot-tell" with the question to ask, never silence.
"""

from __future__ import annotations

from collections.abc import Collection
from datetime import date
from typing import Any, Literal

from msgspec import Struct
from msgspec.structs import replace

from commonchart.care.asking import told
from commonchart.care.chart import Chart
from commonchart.care.evidence import Evidence, first_day
from commonchart.care.explain import describe
from commonchart.care.monitoring import monitored
from commonchart.care.person import Person
from commonchart.care.plans import put_off
from commonchart.care.population import Plan, plan, too_old
from commonchart.care.schema import Pack, Rule
from commonchart.care.screening import screened
from commonchart.care.verdict import Question, Verdict

Status = Literal[
    "overdue", "due", "cannot-tell", "due-soon", "deferred", "declined", "up-to-date", "excluded", "not-applicable"
]  # fmt: skip
STATUSES: tuple[str, ...] = (
    "overdue",
    "due",
    "cannot-tell",
    "due-soon",
    "deferred",
    "declined",
    "up-to-date",
    "excluded",
    "not-applicable",
)


class Due(Struct, frozen=True, gc=False):
    """One rule's answer for one person: a row of the due table. `why` is the whole explanation.

    `within` is "in", "out" or "alert" where the answer rests on a measurement, "" otherwise.
    """

    rule: str
    kind: str
    title: str
    status: str
    due_on: date | None
    overdue_on: date | None
    until: date | None
    next_change_on: date | None
    why: dict[str, Any]
    pack: str
    version: str
    within: str = ""


def assess(
    evidence: Evidence,
    person: Person,
    pack: Pack,
    as_of: date,
    released: Collection[str] = (),
    rejected: Collection[str] = (),
) -> list[Due]:
    """The answer of every rule of the pack. Nobody who has died is due for anything: then the list is empty.

    `released` are the references ("Observation/1") of results that a clinician took out of quarantine, `rejected` those that
    a clinician keeps out for good.
    """
    return answers(charted(evidence, person, pack, as_of, released, rejected))


def charted(
    evidence: Evidence, person: Person, pack: Pack, as_of: date, released: Collection[str] = (), rejected: Collection[str] = ()
) -> Chart:  # fmt: skip
    """What `answers` asks: the facts as clinicians settled them."""
    return Chart(evidence.settled(released, rejected), person, pack, as_of, released)


def answers(chart: Chart) -> list[Due]:
    """The answer of every rule of the chart's pack, as `assess` gives them."""
    pack = chart.pack
    if chart.person.died:
        return []
    quiet = chart.future is None and chart.person.born is not None
    return [
        (_idle(chart, rule) if quiet else None) or _due(_answer(Question(chart, rule)), pack, rule) for rule in pack.rules
    ]  # fmt: skip


def kept(due: Due) -> bool:
    """Whether an answer is worth a row: not that of a rule that is not about this person and never will be by time alone.

    Most rules are about few people; 180 rows each to say so would be most of the due table.
    """
    return due.status != "not-applicable" or due.next_change_on is not None


_NOT_DONE = ("Goal/", "ServiceRequest/", "Condition/", "Coverage/", "FamilyMemberHistory/", "Patient/")


def last_done(due: Due) -> date | None:
    """The day of the newest evidence that the answer rests on; None where none counts, or where it rests on something else."""
    if due.status in ("excluded", "not-applicable"):
        return None
    used = (one for one in due.why.get("used") or () if not str(one.get("link", "")).startswith(_NOT_DONE))
    return max((day for one in used if (day := first_day(one.get("when")))), default=None)


def measured_within(due: Due) -> str:
    """in, out or alert; "none" for something measured without a value that counts; "" for anything else."""
    if due.within or due.kind != "monitoring" or due.status in ("excluded", "not-applicable"):
        return due.within
    return "none" if due.status == "cannot-tell" or last_done(due) is None else ""


def _idle(chart: Chart, rule: Rule) -> Due | None:
    """The answer of a rule that is not about this person at all, made once for everybody: most rules are about few people."""
    made: Plan = chart.pack.planned(rule.id, plan)
    without = made.needs and made.needs.isdisjoint(chart.touched) and not chart.unnamed(made.drugs)
    because = made.without if without else too_old(chart, rule)
    if not because:
        return None
    key = f"{rule.id} too old" if not without else rule.id
    found = chart.pack.idle.get(key)
    if found is None:
        found = chart.pack.idle[key] = _due(Verdict("not-applicable", because), chart.pack, rule)
    return found


def _due(verdict: Verdict, pack: Pack, rule: Rule) -> Due:
    return Due(
        rule.id, rule.kind, rule.title, verdict.status, verdict.due_on, verdict.overdue_on, verdict.until, verdict.next_change_on,
        describe(rule, pack, verdict), pack.id, f"{pack.version}/{rule.version}", verdict.within,
    )  # fmt: skip


def _answer(asked: Question) -> Verdict:
    made: Plan = asked.pack.planned(asked.rule.id, plan)
    for step in made.steps:
        verdict = step(asked)
        if verdict is not None:
            return put_off(asked, _with_next_change(asked, told(asked, verdict)))
    verdict = monitored(asked) if asked.rule.monitor else screened(asked)
    return put_off(asked, _noted(asked, _with_next_change(asked, verdict)))


def _noted(asked: Question, verdict: Verdict) -> Verdict:
    """A conflict about sex is shown with every answer that rests on sex."""
    note = asked.person.sex_note
    return replace(verdict, note=note) if note and asked.rule.applies.sex else verdict


def _with_next_change(asked: Question, verdict: Verdict) -> Verdict:
    """No answer outlives a day that was looked at: an end of age, of a condition, a fact of the future."""
    coming = asked.later(verdict.next_change_on)
    return verdict if coming == verdict.next_change_on else replace(verdict, next_change_on=coming)
