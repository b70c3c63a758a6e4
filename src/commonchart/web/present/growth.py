"""A growth chart as geometry for an SVG drawn on the server, with the same numbers as rows of a table."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from decimal import Decimal

from msgspec import Struct

from commonchart.care.growth.curves import Curves
from commonchart.care.growth.percentiles import Plotted
from commonchart.web.present import dates
from commonchart.web.present.trend import BOTTOM, HEIGHT, LEFT, TOP, WIDTH, Point, Tick, scale
from commonchart.web.present.values import number

RIGHT = 34
LINE_SPOTS = 30
NAMES = {
    "weight": "Weight for age", "length": "Length or height for age", "bmi": "BMI for age",
    "head": "Head circumference for age", "weight-for-length": "Weight for length",
}  # fmt: skip


class Curve(Struct, frozen=True):
    """One percentile line; its number stands at its end, so that no colour has to say which it is."""

    path: str
    label: str
    y: float
    middle: bool


class GrowthRow(Struct, frozen=True):
    """One measurement in the table: drawn or not, and why not."""

    day: str
    age: str
    value: str
    percentile: str
    z: str
    standard: str
    notes: str
    ref: str


class GrowthChart(Struct, frozen=True):
    """Everything that the macro draws; `rows` repeats every number, newest first."""

    title: str
    describe: str
    across: str
    unit: str
    curves: tuple[Curve, ...]
    points: tuple[Point, ...]
    path: str
    ticks: tuple[Tick, ...]
    below: tuple[Tick, ...]
    rows: tuple[GrowthRow, ...]
    source: str
    width: int = WIDTH
    height: int = HEIGHT
    left: int = LEFT
    top: int = TOP
    bottom: int = HEIGHT - BOTTOM
    right: int = WIDTH - RIGHT


def chart(curves: Curves, found: Sequence[Plotted]) -> GrowthChart:
    """The chart of a child's measurements on their percentile lines; what cannot be drawn still has its row."""
    drawn = [
        (at, one) for one in found if (at := _at(one, curves)) is not None and one.percentile is not None
    ]
    drawn.sort(key=lambda pair: pair[0])
    x, y, ticks = _axes(curves, [one.value for _, one in drawn if one.value is not None])
    spots = [(x(at), y(one.value), one) for at, one in drawn if one.value is not None]
    return GrowthChart(
        NAMES[curves.measure],
        _describe(curves, [one for _, one in drawn], len(found)),
        curves.across,
        curves.unit,
        tuple(_curve(line.percentile, [(x(a), y(v)) for a, v in _some(line.spots)]) for line in curves.lines),
        tuple(
            Point(a, b, number(Decimal(str(one.value))), "", label=n == len(spots) - 1)
            for n, (a, b, one) in enumerate(spots)
        ),
        _path([(a, b) for a, b, _ in spots]),
        ticks,
        _below(curves, x),
        rows(found),
        curves.source,
    )


def _at(one: Plotted, curves: Curves) -> float | None:
    """Where across the chart, None outside of it."""
    return one.at if one.at is not None and curves.start <= one.at <= curves.end else None


def _axes(
    curves: Curves, values: Sequence[float]
) -> tuple[Callable[[float], float], Callable[[float], float], tuple[Tick, ...]]:
    every = [value for line in curves.lines for _, value in line.spots] + list(values)
    bottom, top, step = scale(Decimal(str(min(every))), Decimal(str(max(every))))
    low, span, wide = float(bottom), float(top - bottom), curves.end - curves.start

    def x(at: float) -> float:
        return round(LEFT + 8 + (WIDTH - RIGHT - LEFT - 16) * (at - curves.start) / wide, 1)

    def y(value: float) -> float:
        return round(HEIGHT - BOTTOM - (HEIGHT - BOTTOM - TOP) * (value - low) / span, 1)

    count = int((top - bottom) / step) + 1
    return x, y, tuple(Tick(y(float(bottom + step * n)), number(bottom + step * n)) for n in range(count))


def _some(spots: Sequence[tuple[float, float]]) -> list[tuple[float, float]]:
    """Enough of a line's spots to look the same: the first, the last, and every n-th between."""
    every = max(1, len(spots) // LINE_SPOTS)
    return [*spots[:-1:every], spots[-1]]


def _curve(percentile: int, spots: Sequence[tuple[float, float]]) -> Curve:
    return Curve(_path(spots), str(percentile), spots[-1][1], percentile == 50)


def _path(spots: Sequence[tuple[float, float]]) -> str:
    return "M" + " ".join(f"{a} {b}" for a, b in spots) if len(spots) > 1 else ""


def _below(curves: Curves, x: Callable[[float], float]) -> tuple[Tick, ...]:
    """Marks across: every 3 months under two years, every two years after, every 10 cm of length."""
    if curves.across.startswith("length"):
        return tuple(Tick(x(cm), str(cm)) for cm in range(50, int(curves.end) + 1, 10))
    if curves.end <= 24:
        return tuple(Tick(x(month), str(month)) for month in range(0, 25, 3))
    every = 24 if curves.end > 36 else 3
    return tuple(
        Tick(x(month), f"{month // 12} y" if every == 24 else str(month))
        for month in range(int(curves.start), int(curves.end) + 1, every)
    )


def _describe(curves: Curves, drawn: Sequence[Plotted], total: int) -> str:
    said = f"{NAMES[curves.measure]}, {'girls' if curves.sex == 'female' else 'boys'}, {curves.source}."
    if not drawn:
        return f"{said} None of {total} measurements can be drawn; the table says why."
    last = max(drawn, key=lambda one: str(one.given.day))
    return f"{said} {len(drawn)} of {total} measurements; the newest is at the {last.text}. The numbers are in the table."


def rows(found: Sequence[Plotted]) -> tuple[GrowthRow, ...]:
    """Every measurement for the table, newest first."""
    return tuple(_row(one) for one in sorted(found, key=lambda one: str(one.given.day), reverse=True))


def _row(one: Plotted) -> GrowthRow:
    value = (
        f"{number(Decimal(str(round(one.value, 2))))} {one.unit}" if one.value is not None else "not usable"
    )
    return GrowthRow(
        dates.of_date(one.given.day) if one.given.day else "not recorded",
        age(one.months),
        value,
        one.text.split(" (")[0] if one.percentile is not None else one.problem,
        f"{one.z:+.2f}" if one.z is not None else "",
        one.standard,
        "; ".join(one.notes),
        one.given.ref,
    )


def age(months: float | None) -> str:
    """An age in the words of its size: "3 weeks", "7 months", "4 years 2 months"; corrected where the row says so."""
    if months is None:
        return "not known"
    if months < 2:
        return f"{int(months * 30.4375 // 7)} weeks"
    if months < 24:
        return f"{int(months)} months"
    years, rest = divmod(int(months), 12)
    return f"{years} years" + (f" {rest} months" if rest else "")
