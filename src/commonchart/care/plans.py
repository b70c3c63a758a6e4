"""What a clinician decided for one patient and one rule: put off, refused, another interval, another target.

A ServiceRequest coded with the rule (system `https://commonchart.example/rule`) carries it: `doNotPerform` puts it off
until the end of `occurrencePeriod`, records a refusal (a reason of patient objection) or that the rule is not for this patient;
`occurrenceTiming` sets the interval, until its bounds end. A Goal with the measurement's code sets the target (docs/decisions/0017). Something that satisfies the rule and
was not done, with a reason, counts like a deferral for a year.
"""

from __future__ import annotations

from collections.abc import Iterator
from datetime import date
from decimal import Decimal

from msgspec import Struct
from msgspec.structs import replace

from commonchart.care.accuracy import converted
from commonchart.care.calendar import add_months, is_span
from commonchart.care.evidence import Fact
from commonchart.care.explain import shown_day
from commonchart.care.verdict import Question, Verdict

_HOLDS_MONTHS = 12
OPEN = ("overdue", "due", "due-soon", "cannot-tell")


class Deferral(Struct, frozen=True):
    """A decision not to do it: until when it holds (exclusive)."""

    fact: Fact
    until: date
    refused: bool

    @property
    def status(self) -> str:
        """What it makes of an answer that asks for something."""
        if self.fact.aside:
            return "not-applicable"
        return "declined" if self.refused else "deferred"


class Target(Struct, frozen=True):
    """A patient's own limits for an analyte, in its unit; both may be None."""

    low: Decimal | None
    high: Decimal | None
    high_included: bool
    fact: Fact


def put_off(asked: Question, verdict: Verdict) -> Verdict:
    """The verdict, or deferred/declined instead where somebody decided so; a result that came later is not put off by it."""
    if verdict.status not in OPEN or "read-result" in verdict.asks:
        return verdict
    found = deferral(asked)
    if found is None or (_serious(verdict) and _newer(verdict, found)):
        return verdict
    fact, word = found.fact, found.status
    if word == "not-applicable" and not asked.rule.may_be_set_aside:
        return verdict
    by = f" by {fact.by}" if fact.by else ""
    because = f"{_SAID[word]}{by} on {shown_day(fact)}: {fact.declined or 'no reason recorded'}."
    coming = asked.later(found.until)
    return replace(
        verdict, status=word, because=because, due_on=found.until, overdue_on=None, until=found.until, next_change_on=coming,
        used=(fact, *verdict.used), note=verdict.because,
    )  # fmt: skip


_SAID = {
    "declined": "Declined",
    "deferred": "Deferred",
    "not-applicable": "Set aside as not for this patient",
}


def _serious(verdict: Verdict) -> bool:
    """Whether a result waits for what it calls for, or sets off an alert: no older decision puts that off."""
    return verdict.follow_up or verdict.within == "alert"


def _newer(verdict: Verdict, found: Deferral) -> bool:
    first, decided = verdict.used[0].day if verdict.used else None, found.fact.day
    return bool(first and decided and first > decided)


def deferral(asked: Question) -> Deferral | None:
    """The newest decision not to do what the rule asks for that still holds."""
    for fact in sorted(_decisions(asked), key=lambda f: f.day or date.min, reverse=True):
        until = (
            fact.ended
            if fact.kind == "plan" and fact.ended
            else add_months(fact.day or date.min, _HOLDS_MONTHS)
        )
        if asked.as_of < until:
            return Deferral(fact, until, fact.refused)
    return None


def _decisions(asked: Question) -> Iterator[Fact]:
    for fact in _plans(asked):
        if fact.truth is False:
            yield fact
    for name in _sets(asked):
        for fact in asked.chart.by_set.get(name, ()):
            if (
                fact.declined
                and fact.unusable
                and fact.kind != "plan"
                and fact.day
                and fact.day <= asked.as_of
            ):
                yield fact


def _sets(asked: Question) -> list[str]:
    rule = asked.rule
    names = [name for way in rule.satisfied_by for name in (way.codes, way.follow_up) if name]
    if rule.monitor:
        names += [asked.pack.analytes[name].codes for name in rule.monitor.analytes]
    return list(dict.fromkeys(names))


def _plans(asked: Question) -> list[Fact]:
    found = asked.chart.plans.get(asked.rule.id, ())
    return [f for f in found if f.active and not asked.chart.unusable(f)]


def interval(asked: Question) -> tuple[str, Fact] | None:
    """How often a clinician wants it for this patient, if somebody said so."""
    for fact in _plans(asked):
        if fact.truth and is_span(fact.span) and (fact.ended is None or asked.as_of < fact.ended):
            asked.turn(fact.ended)
            return fact.span, fact
    return None


def target(asked: Question, name: str) -> Target | None:
    """This patient's own target for an analyte, from the newest goal whose unit can be read."""
    analyte = asked.pack.analytes[name]
    for fact in asked.held(analyte.codes, "goal"):
        if not fact.active:
            continue
        low, high = (None if n is None else converted(analyte, n, fact.unit) for n in (fact.low, fact.high))
        if (low, high) != (None, None):
            return Target(low, high, fact.comparator != "<", fact)
    return None
