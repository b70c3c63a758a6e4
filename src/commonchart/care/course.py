"""The course of what a rule watches in one patient: its readings against the target, where they go, how long they were in it.

For showing beside a stored answer; it decides nothing, and no rule runs here.
"""

from __future__ import annotations

from collections.abc import Iterable
from datetime import date
from decimal import Decimal
from typing import Any

from msgspec import Struct

from commonchart.care.accuracy import Measured, series
from commonchart.care.calendar import add_months
from commonchart.care.chart import Chart
from commonchart.care.evidence import SYSTEMS, Fact
from commonchart.care.facts import evidence
from commonchart.care.monitoring import Limits, limits_of, target_words
from commonchart.care.person import person
from commonchart.care.results import within
from commonchart.care.schema import Pack, Rule
from commonchart.care.trends import Control, Trend, control, trend
from commonchart.care.verdict import Question

MONTHS = 12
_URLS = {short: url for url, short in reversed(SYSTEMS.items())}


class Reading(Struct, frozen=True):
    """One reading: the value in the analyte's unit or why there is none, and whether it was in the target."""

    fact: Fact
    value: Decimal | None
    words: str
    inside: bool | None


class Course(Struct, frozen=True):
    """One analyte. `readings` newest first; `control` over the last twelve months; `trend` over the last two years."""

    analyte: str
    label: str
    unit: str
    limits: Limits
    target: str
    readings: tuple[Reading, ...]
    control: Control
    trend: Trend | None


def codes(rule: Rule, pack: Pack) -> list[str]:
    """ "system|code" of the Observations that a rule watches."""
    names = rule.monitor.analytes if rule.monitor else ()
    held = [pack.sets[pack.analytes[name].codes] for name in names]
    found = [
        f"{_URLS[one]}|{code}"
        for s in held
        for one in ("loinc", "sct", "question")
        for code in getattr(s, one)
    ]
    return list(dict.fromkeys([*found, *(_PANELS if "systolic" in names else ())]))


_PANELS = ("http://loinc.org|85354-9", "http://loinc.org|55284-4")


def courses(
    rule: Rule, pack: Pack, patient: dict[str, Any], resources: Iterable[dict[str, Any]], as_of: date
) -> list[Course]:
    """The course of each analyte that a rule watches, out of a patient's Observations and Goals; none for other rules."""
    if rule.monitor is None:
        return []
    chart = Chart(evidence(resources), person(patient, as_of), pack, as_of)
    asked = Question(chart, rule)
    return [_course(asked, n, name) for n, name in enumerate(rule.monitor.analytes)]


def _course(asked: Question, n: int, name: str) -> Course:
    assert asked.rule.monitor
    analyte, limits = asked.pack.analytes[name], limits_of(asked, asked.rule.monitor, n)
    facts = (f for f in asked.chart.by_set.get(analyte.codes, ()) if f.kind == "observation" and f.day)
    found = [one for one in series(asked.pack, name, facts) if (one.fact.day or date.max) <= asked.as_of]
    usable = [one for one in found if not asked.chart.unusable(one.fact)]
    start = add_months(asked.as_of, -MONTHS)
    return Course(
        name, analyte.label, analyte.unit, limits, target_words([limits]), tuple(_reading(asked, one, limits) for one in found),
        control(usable, limits, start, MONTHS, holds=_holds(asked.rule)), trend(usable, limits, add_months(asked.as_of, -24), asked.as_of),
    )  # fmt: skip


def _holds(rule: Rule) -> int:
    """How many months a value speaks for: as long as the rule lets pass inside the target, and a month."""
    assert rule.monitor
    span = rule.monitor.inside
    number, unit = int(span[:-1]), span[-1]
    return max(1, {"d": number // 30, "w": number // 4, "m": number, "y": 12 * number}[unit])


def _reading(asked: Question, one: Measured, limits: Limits) -> Reading:
    problem = asked.chart.unusable(one.fact) or one.problem
    if problem:
        return Reading(one.fact, None, problem, None)
    sign = "" if one.value is None else one.fact.comparator
    return Reading(one.fact, one.value, sign, within(one, limits.at_least, limits.below, limits.at_most))
