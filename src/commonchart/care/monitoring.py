"""Rules that a measurement is repeated: when, by whether the last one was in its target; and what sets off an alert."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import date
from decimal import Decimal
from typing import Any

from msgspec import Struct
from msgspec.structs import replace

from commonchart.care.accuracy import Measured, quotients, series
from commonchart.care.calendar import after, span_words
from commonchart.care.chart import Chart
from commonchart.care.evidence import Fact
from commonchart.care.explain import shown_day
from commonchart.care.plans import interval, target
from commonchart.care.population import began
from commonchart.care.quarantine import jumped
from commonchart.care.results import under, within
from commonchart.care.schema import Monitor
from commonchart.care.verdict import Question, Unused, Verdict, not_used


class Limits(Struct, frozen=True):
    """The target of one analyte for one patient. `goal` is the Goal that set it, if the pack did not."""

    at_least: Decimal | None = None
    below: Decimal | None = None
    at_most: Decimal | None = None
    goal: Fact | None = None


class _Set(Struct, frozen=True):
    """One occasion: a value per analyte, or why it cannot be read."""

    values: tuple[Measured, ...]
    problem: str = ""


def monitored(asked: Question) -> Verdict:
    """Due by the last usable measurement; a newer one that cannot be read makes it cannot-tell."""
    rule = asked.rule.monitor
    assert rule is not None
    found, unused = _latest(asked, rule)
    would = f"A final {asked.rule.title} with a value and unit"
    if asked.rule.interval_by_clinician and interval(asked) is None and not found:
        return Verdict("not-applicable", "Measured only as planned for this patient: no interval is set.")
    if not found:
        because = "None is recorded that counts." if unused else "None is recorded."
        return asked.waiting(_since(asked), because, unused=unused, satisfied_by=would)
    occasion, facts = found[0], tuple(m.fact for m in found[0].values)
    if occasion.problem:
        return _unread(
            asked,
            facts,
            unused,
            would,
            f"cannot be read: {occasion.problem}",
            "Ask the laboratory for value and unit of",
        )
    limits = [limits_of(asked, rule, n) for n in range(len(rule.analytes))]
    inside = _inside(limits, occasion.values)
    if inside is None:
        words = "is only known as a limit that the target lies beyond"
        return _unread(asked, facts, unused, would, words, "Ask for the exact")
    verdict = _timed(asked, rule, occasion, limits, inside, unused, would)
    alarm = _alert(rule, found)
    return (
        replace(verdict, within="alert", because=f"ALERT: {alarm}. {verdict.because}") if alarm else verdict
    )


def _unread(
    asked: Question, facts: tuple[Fact, ...], unused: tuple[Unused, ...], would: str, words: str, ask: str
) -> Verdict:
    return Verdict(
        "cannot-tell", f"The last one, on {shown_day(facts[0])}, {words}.", used=facts, unused=unused,
        question=f"{ask} {asked.rule.title}", satisfied_by=would, next_change_on=asked.later(), asks=("read-result",),
    )  # fmt: skip


def _timed(
    asked: Question, rule: Monitor, occasion: _Set, limits: list[Limits], inside: bool, unused: tuple[Unused, ...], would: str
) -> Verdict:  # fmt: skip
    facts = tuple(m.fact for m in occasion.values)
    day = facts[0].day
    assert day is not None
    span, why = _span(asked, rule, day, inside)
    values = "/".join(shown(m) for m in occasion.values)
    unit = asked.pack.analytes[rule.analytes[0]].unit
    words = target_words(limits)
    placed = f", was {'in' if inside else 'outside'} the target {words}" if words else ""
    whose = " set for this patient" if any(one.goal for one in limits) else ""
    when = f": again after {span_words(span)}" if span else ""
    because = f"The last one, {values} {unit} on {shown_day(facts[0])}{placed}{whose}{when}{why}."
    goals = tuple(one.goal for one in limits if one.goal)
    more: dict[str, Any] = {
        "used": (*facts, *goals),
        "unused": unused,
        "satisfied_by": would,
        "within": ("in" if inside else "out") if words else "",
    }
    until = after(day, span) if span else date.max
    return (
        asked.done(until, because, **more) if until > asked.as_of else asked.waiting(until, because, **more)
    )


def _span(asked: Question, rule: Monitor, day: date, inside: bool) -> tuple[str, str]:
    own = interval(asked)
    if own:
        return own[0], f", as set for this patient ({own[1].declined or 'no reason recorded'})"
    if asked.rule.interval_by_clinician:
        return "", "; no interval is set for this patient"
    start = began(asked) if rule.phases else None
    for phase in rule.phases if start else ():
        assert start is not None
        if start <= day < after(start, phase.until):
            return phase.every, f" in the first {span_words(phase.until)} of treatment"
    return (rule.inside if inside else rule.outside), ""


def shown(one: Measured) -> str:
    """A value as it is written, with its comparator."""
    assert one.value is not None
    text = f"{one.value:.1f}" if one.value != one.value.to_integral_value() else f"{one.value:.0f}"
    sign = one.fact.comparator or (("<" if one.at_most else ">") if one.fact.value is None else "")
    return f"{sign}{text}"


def limits_of(asked: Question, rule: Monitor, n: int) -> Limits:
    """The target of the n-th analyte: the patient's own goal, else the pack's."""
    own = target(asked, rule.analytes[n])
    if own is not None:
        high = {"at_most": own.high} if own.high_included else {"below": own.high}
        return Limits(at_least=own.low, goal=own.fact, **high)
    return Limits(
        *(
            getattr(rule, name)[n] if getattr(rule, name) else None
            for name in ("at_least", "below", "at_most")
        )
    )


def target_words(limits: list[Limits]) -> str:
    """The target in words, such as "< 130/80" or ">= 45"; "" where there is none."""
    parts = []
    for sign, name in ((">=", "at_least"), ("<", "below"), ("<=", "at_most")):
        found = [getattr(one, name) for one in limits]
        if any(limit is not None for limit in found):
            parts.append(f"{sign} " + "/".join("-" if limit is None else str(limit) for limit in found))
    return " and ".join(parts)


def _inside(limits: list[Limits], values: tuple[Measured, ...]) -> bool | None:
    """Whether all values are inside; None when a comparator (">5") leaves it open."""
    pairs = zip(limits, values, strict=True)
    answers = [within(one, limit.at_least, limit.below, limit.at_most) for limit, one in pairs]
    if False in answers:
        return False
    return None if None in answers else True


def _alert(rule: Monitor, found: list[_Set]) -> str:
    """What sets off an alert; "" if nothing does. Every reading of the last day counts, not only the last or the lowest."""
    for n, one in _readings(found):
        said = _beyond(rule, n, one)
        if said:
            return f"{shown(one)} is {said}"
    change = rule.alert_change
    if change is not None:
        first = found[0].values[0]
        for earlier in found[1:]:
            if not earlier.problem and (reason := jumped(change, earlier.values[0], first)):
                return reason
    return ""


def _readings(found: list[_Set]) -> Iterator[tuple[int, Measured]]:
    last = found[0].values[0].fact.day
    for occasion in found:
        if not occasion.problem and occasion.values[0].fact.day == last:
            yield from enumerate(occasion.values)


def _beyond(rule: Monitor, n: int, one: Measured) -> str:
    if rule.alert_below and under(one, rule.alert_below[n]):
        return f"below {rule.alert_below[n]}"
    if rule.alert_from and under(one, rule.alert_from[n]) is False:
        return f"{rule.alert_from[n]} or more"
    if rule.alert_above and under(one, rule.alert_above[n], included=True) is False:
        return f"above {rule.alert_above[n]}"
    return ""


def _latest(asked: Question, rule: Monitor) -> tuple[list[_Set], tuple[Unused, ...]]:
    """The occasions that count, newest first; one that cannot be read only where it is the newest."""
    unused: list[Unused] = []
    out: list[_Set] = []
    all_of = [measurements(asked.chart, name) for name in rule.analytes]
    for first in all_of[0]:
        if first.fact.kind != "observation":
            continue
        reason = unusable(asked.chart, first)
        if reason:
            unused.append(not_used(first.fact, reason))
            continue
        occasion = _with_partners(first, all_of[1:])
        if not occasion.problem or not out:
            out.append(occasion)
        if len(out) > 1 and rule.alert_change is None and first.fact.day != out[0].values[0].fact.day:
            break
    return out[:24], tuple(unused[:6])


def measurements(chart: Chart, name: str) -> list[Measured]:
    """Every measurement of an analyte, newest first: reported ones, and those worked out of two others."""
    pack, by_set = chart.pack, chart.by_set
    analyte = pack.analytes[name]
    found = series(pack, name, by_set.get(analyte.codes, ()))
    if analyte.ratio:
        parts = [by_set.get(pack.analytes[part].codes, ()) for part in analyte.ratio]
        found += quotients(pack, name, *parts)
        found.sort(key=lambda m: m.fact.day or date.min, reverse=True)
    return found


def unusable(chart: Chart, one: Measured) -> str:
    """Why a measurement may not count on this day; "" if it may."""
    reason = chart.unusable(one.fact)
    if reason:
        return reason
    if one.fact.day is None:
        return "no date"
    if chart.person.born and one.fact.day < chart.person.born:
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
    """Since when it should have been measured: from the first sign of the condition, the drug, or the age."""
    days = [f.day for f in asked.active(asked.rule.applies.conditions) if f.day]
    if asked.rule.applies.drugs:
        start = began(asked)
        days += [start] if start else []
    first, start = min(days, default=None), asked.window[0]
    return max(first, start) if first and start else first or start
