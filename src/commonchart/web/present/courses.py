"""The course of a measurement against its target: a chart, its numbers, and how long it was in range, in words."""

from __future__ import annotations

from collections.abc import Mapping
from decimal import Decimal

from msgspec import Struct

from commonchart.care.course import MONTHS, Course
from commonchart.care.trends import Control, Trend
from commonchart.web.present import trend
from commonchart.web.present.readings import Flag, Reading
from commonchart.web.present.tables import Fact
from commonchart.web.present.values import number
from commonchart.web.present.zone import Zone

_SHOWN = 24
_WAYS = {
    "better": "moving towards the target",
    "worse": "moving away from the target",
    "steady": "steady against the target",
}


class Line(Struct, frozen=True):
    """One reading in the table."""

    when: str
    value: str
    state: str
    fact: Fact | None
    struck: bool


class Drawn(Struct, frozen=True):
    """One analyte as it is shown."""

    label: str
    unit: str
    target: str
    whose: str
    share: str
    months: str
    way: str
    chart: trend.Chart | None
    lines: tuple[Line, ...]
    more: int


def drawn(one: Course, facts: Mapping[str, Fact], zone: Zone) -> Drawn:
    """What is shown of a course; `facts` are the stored readings by reference."""
    whose = (
        f"set for this patient{f' by {one.limits.goal.by}' if one.limits.goal.by else ''}"
        if one.limits.goal
        else "of the rule"
    )
    lines = tuple(_line(one, n, facts, zone) for n in range(min(len(one.readings), _SHOWN)))
    share, months = _share(one.control) if one.target else ("", "")
    return Drawn(
        one.label, one.unit, one.target, whose if one.target else "", share, months, _way(one.trend, one.unit) if one.target else "",
        _chart(one, facts), lines, len(one.readings) - len(lines),
    )  # fmt: skip


def _line(one: Course, n: int, facts: Mapping[str, Fact], zone: Zone) -> Line:
    found = one.readings[n]
    raw = (
        f"{found.fact.comparator}{number(found.fact.value)} {found.fact.unit}"
        if found.fact.value is not None
        else found.fact.words
    )
    if found.value is None:
        return Line(
            zone.moment(found.fact.shown),
            raw.strip(),
            f"not used: {found.words}",
            facts.get(found.fact.ref),
            True,
        )
    state = {True: "in the target", False: "outside", None: "cannot tell"}[found.inside] if one.target else ""
    value = f"{found.words}{number(_short(found.value))} {one.unit}"
    return Line(zone.moment(found.fact.shown), value, state, facts.get(found.fact.ref), False)


def _short(value: Decimal) -> Decimal:
    return value.quantize(Decimal("0.1")) if value != value.to_integral_value() else value.to_integral_value()


def _share(control: Control) -> tuple[str, str]:
    """The share of known months in range, and what it is made of."""
    parts = [f"{control.inside} in range", f"{control.outside} out of range"]
    parts += [f"{control.unknown} not known: nothing was measured for too long"] if control.unknown else []
    words = f"Of the last {MONTHS} months: {', '.join(parts)}."
    return f"{control.share * 100:.0f} %" if control.share is not None else "not known", words


def _way(found: Trend | None, unit: str) -> str:
    if found is None:
        return "Fewer than three readings in two years: no trend."
    sign = "+" if found.per_year > 0 else ""
    by = f"{sign}{number(_short(found.per_year))} {unit} a year"
    return f"Over two years: {_WAYS[found.way]}, {by}, by {found.count} readings."


def _chart(one: Course, facts: Mapping[str, Fact]) -> trend.Chart | None:
    """The readings that count as a chart, with the target as its band."""
    found = [made for n in range(len(one.readings)) if (made := _reading(one, n, facts)) is not None]
    return trend.chart(found)


def _reading(one: Course, n: int, facts: Mapping[str, Fact]) -> Reading | None:
    held = one.readings[n]
    fact = facts.get(held.fact.ref)
    if held.value is None or fact is None:
        return None
    high = one.limits.below if one.limits.below is not None else one.limits.at_most
    value = _short(held.value)
    return Reading(
        fact, one.analyte, one.label, number(value), one.unit, value, flag=_flag(one, held.value, held.inside),
        range=one.target, low=one.limits.at_least, high=high, day=held.fact.shown[:10], at=held.fact.shown,
    )  # fmt: skip


def _flag(one: Course, value: Decimal, inside: bool | None) -> Flag:
    if inside is not False:
        return Flag()
    low = one.limits.at_least is not None and value < one.limits.at_least
    return Flag("L" if low else "H")
