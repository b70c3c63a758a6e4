"""Measurements over time against their target: what needs attention, where it is going, how long it was in range."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from datetime import date
from decimal import Decimal
from typing import Literal

from msgspec import Struct

from commonchart.care.accuracy import Measured
from commonchart.care.assess import Due
from commonchart.care.calendar import add_months
from commonchart.care.monitoring import Limits
from commonchart.care.results import within

_URGENCY = ("alert", "out", "in", "")
_STATUS = ("overdue", "due", "cannot-tell", "due-soon", "deferred", "declined", "up-to-date")


class Trend(Struct, frozen=True):
    """The straight line through the values of a span. `per_year` is in the analyte's unit; `way` is seen from the target."""

    count: int
    first: Decimal
    last: Decimal
    per_year: Decimal
    way: Literal["better", "worse", "steady"]


class Control(Struct, frozen=True):
    """How many months were in range, out of range, and not known because nothing was measured for too long."""

    inside: int
    outside: int
    unknown: int

    @property
    def share(self) -> Decimal | None:
        """The share of known months that were in range, 0 to 1; None where none is known."""
        known = self.inside + self.outside
        return Decimal(self.inside) / known if known else None


def attention(due: Iterable[Due]) -> list[Due]:
    """Overdue monitoring and values out of range in one list: alerts first, then out of range, then by how overdue."""
    found = [one for one in due if one.kind == "monitoring" and _wanted(one)]
    return sorted(
        found,
        key=lambda one: (
            _URGENCY.index(one.within),
            _STATUS.index(one.status),
            one.due_on or date.max,
            one.rule,
        ),
    )


def _wanted(one: Due) -> bool:
    return one.within in ("alert", "out") or one.status in ("overdue", "due", "cannot-tell")


def _usable(found: Iterable[Measured], start: date, end: date) -> list[Measured]:
    """Exact, usable values of a span, oldest first."""
    kept = [
        m for m in found
        if m.value is not None and not m.fact.unusable and m.fact.day and start <= m.fact.day <= end
    ]  # fmt: skip
    return sorted(kept, key=lambda m: (m.fact.day or date.min, m.fact.shown))


def trend(found: Iterable[Measured], limits: Limits, start: date, end: date) -> Trend | None:
    """The trend of exact values between two days (both included); None with fewer than three on different days."""
    kept = [m for m in _usable(found, start, end) if not (m.at_least or m.at_most)]
    if len({m.fact.day for m in kept}) < 3:
        return None
    points = [
        (Decimal((m.fact.day - start).days), m.value) for m in kept if m.fact.day and m.value is not None
    ]
    slope = _slope(points)
    first, last = points[0][1], points[-1][1]
    return Trend(
        len(points),
        first,
        last,
        (slope * Decimal("365.25")).quantize(Decimal("0.001")),
        _way(points, slope, limits),
    )


def _slope(points: Sequence[tuple[Decimal, Decimal]]) -> Decimal:
    n = len(points)
    mean_x = sum((x for x, _ in points), Decimal(0)) / n
    mean_y = sum((y for _, y in points), Decimal(0)) / n
    spread = sum(((x - mean_x) ** 2 for x, _ in points), Decimal(0))
    return sum(((x - mean_x) * (y - mean_y) for x, y in points), Decimal(0)) / spread


def _way(
    points: Sequence[tuple[Decimal, Decimal]], slope: Decimal, limits: Limits
) -> Literal["better", "worse", "steady"]:
    """Better or worse by the distance of the line's ends from the target; steady where both are equally far."""
    days = points[-1][0] - points[0][0]
    mean_y = sum((y for _, y in points), Decimal(0)) / len(points)
    before, after = (
        _distance(mean_y + slope * days * half, limits) for half in (Decimal("-0.5"), Decimal("0.5"))
    )
    margin = abs(mean_y) / 100
    if abs(after - before) <= margin:
        return "steady"
    return "better" if after < before else "worse"


def _distance(value: Decimal, limits: Limits) -> Decimal:
    high = limits.below if limits.below is not None else limits.at_most
    if high is not None and value > high:
        return value - high
    if limits.at_least is not None and value < limits.at_least:
        return limits.at_least - value
    return Decimal(0)


def control(found: Iterable[Measured], limits: Limits, start: date, months: int, *, holds: int) -> Control:
    """Each of so many months from `start` by the last value known in it, carried forward for at most `holds` months."""
    kept = _usable(found, date.min, date.max)
    inside = outside = unknown = 0
    for n in range(months):
        end = add_months(start, n + 1)
        known = [m for m in kept if m.fact.day and add_months(end, -holds - 1) <= m.fact.day < end]
        answer = within(known[-1], limits.at_least, limits.below, limits.at_most) if known else None
        inside, outside, unknown = (
            inside + (answer is True),
            outside + (answer is False),
            unknown + (answer is None),
        )
    return Control(inside, outside, unknown)
