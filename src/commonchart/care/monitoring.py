"""Rules that a measurement is repeated: when, by whether the last one was in its target."""

from __future__ import annotations

from datetime import date

from msgspec import Struct

from commonchart.care.calendar import add_months
from commonchart.care.evidence import Fact
from commonchart.care.explain import shown_day
from commonchart.care.measures import Measured, series
from commonchart.care.rules import Monitor
from commonchart.care.verdict import Question, Unused, Verdict, not_used


class _Set(Struct, frozen=True):
    """One occasion: a value per analyte, or why it cannot be read."""

    values: tuple[Measured, ...]
    problem: str = ""


def monitored(asked: Question) -> Verdict:
    """Due by the last usable measurement; a newer one that cannot be read makes it cannot-tell."""
    rule = asked.rule.monitor
    assert rule is not None
    occasion, unused = _latest(asked, rule)
    would = f"A final {asked.rule.title} with a value and unit"
    if occasion is None:
        return asked.waiting(
            _since(asked),
            "None is recorded that counts." if unused else "None is recorded.",
            unused=unused,
            satisfied_by=would,
        )
    facts = tuple(m.fact for m in occasion.values)
    if occasion.problem:
        return Verdict(
            "cannot-tell", f"The last one, on {shown_day(facts[0])}, cannot be read: {occasion.problem}.", used=facts, unused=unused,
            question=f"Ask the laboratory for value and unit of {asked.rule.title}", satisfied_by=would,
            next_change_on=asked.later(*asked.future),
        )  # fmt: skip
    verdict = in_target(rule, occasion.values)
    if verdict is None:
        return Verdict(
            "cannot-tell", f"The last one, on {shown_day(facts[0])}, is only known as a limit that the target lies beyond.",
            used=facts, unused=unused, question=f"Ask for the exact {asked.rule.title}", satisfied_by=would,
            next_change_on=asked.later(*asked.future),
        )  # fmt: skip
    return _timed(asked, rule, occasion, verdict, unused, would)


def _timed(
    asked: Question, rule: Monitor, occasion: _Set, inside: bool, unused: tuple[Unused, ...], would: str
) -> Verdict:
    facts = tuple(m.fact for m in occasion.values)
    day = facts[0].day
    assert day is not None
    months = rule.months_in if inside else rule.months_out
    until = add_months(day, months)
    values = "/".join(_shown(m) for m in occasion.values)
    unit = asked.pack.analytes[rule.analytes[0]].unit
    where = "in" if inside else "outside"
    because = f"The last one, {values} {unit} on {shown_day(facts[0])}, was {where} the target {target(rule)}: again after {months} months."
    if until > asked.as_of:
        return asked.done(until, because, used=facts, unused=unused, satisfied_by=would)
    return asked.waiting(until, because, used=facts, unused=unused, satisfied_by=would)


def _shown(one: Measured) -> str:
    assert one.value is not None
    text = f"{one.value:.1f}" if one.value != one.value.to_integral_value() else f"{one.value:.0f}"
    return f"{one.fact.comparator}{text}"


def target(rule: Monitor) -> str:
    """The target in words, such as "< 130/80" or ">= 45"."""
    parts = []
    if rule.at_least:
        parts.append(">= " + "/".join(str(limit) for limit in rule.at_least))
    if rule.below:
        parts.append("< " + "/".join(str(limit) for limit in rule.below))
    return " and ".join(parts)


def in_target(rule: Monitor, values: tuple[Measured, ...]) -> bool | None:
    """Whether all values are inside; None when a comparator (">5") leaves it open."""
    answers = []
    for n, one in enumerate(values):
        value = one.value
        assert value is not None
        if rule.below:
            answers.append(_side(value < rule.below[n], one.at_least, value < rule.below[n]))
        if rule.at_least:
            answers.append(_side(value >= rule.at_least[n], one.at_most, value >= rule.at_least[n]))
    if False in answers:
        return False
    return None if None in answers else True


def _side(inside: bool, beyond: bool, opens: bool) -> bool | None:
    return None if beyond and opens else inside


def _latest(asked: Question, rule: Monitor) -> tuple[_Set | None, tuple[Unused, ...]]:
    unused: list[Unused] = []
    unread: _Set | None = None
    facts = list(asked.evidence.of("observation"))
    firsts = series(asked.pack, rule.analytes[0], facts)
    others = [series(asked.pack, name, facts) for name in rule.analytes[1:]]
    for first in firsts:
        reason = _unusable(asked, first)
        if reason:
            unused.append(not_used(first.fact, reason))
            continue
        occasion = _with_partners(first, others)
        if not occasion.problem:
            newer = unread is not None and (unread.values[0].fact.day or date.min) > (
                first.fact.day or date.min
            )
            return (unread if newer else occasion), tuple(unused[:6])
        unread = unread or occasion
    return unread, tuple(unused[:6])


def _unusable(asked: Question, one: Measured) -> str:
    fact: Fact = one.fact
    if fact.unusable:
        return fact.unusable
    if fact.day is None:
        return "no date"
    if fact.day > asked.as_of:
        return "dated in the future"
    if asked.person.born and fact.day < asked.person.born:
        return "dated before birth"
    return one.problem if "implausible" in one.problem else ""


def _with_partners(first: Measured, others: list[list[Measured]]) -> _Set:
    values = [first]
    for partner in others:
        same = [m for m in partner if m.fact.ref == first.fact.ref] or [
            m for m in partner if m.fact.shown == first.fact.shown
        ]
        if not same:
            return _Set((first,), "one half of a pair")
        values.append(same[0])
    problem = next((m.problem for m in values if m.problem), "")
    return _Set(tuple(values), problem)


def _since(asked: Question) -> date | None:
    """Since when it should have been measured: from the first sign of the condition, or of the age."""
    wanted = asked.rule.applies.conditions
    days = [f.day for f in asked.known("condition") if f.day and f.active and asked.in_any(wanted, f)]
    start = asked.window[0]
    began = min(days, default=None)
    return max(began, start) if began and start else began or start
