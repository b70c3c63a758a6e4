"""A trend as geometry for an SVG drawn on the server; the numbers always stand in a table beside it."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import date
from decimal import Decimal

from msgspec import Struct

from commonchart.web.present import dates
from commonchart.web.present.readings import Reading
from commonchart.web.present.values import number, short

WIDTH, HEIGHT, LEFT, TOP, BOTTOM = 640, 260, 46, 14, 26
_STEPS = [Decimal(n) for n in ("1", "2", "5", "10")]


class Point(Struct, frozen=True):
    """One drawn value."""

    x: float
    y: float
    text: str
    mark: str
    label: bool = False


class Tick(Struct, frozen=True):
    """One grid line and its words."""

    at: float
    text: str


class Chart(Struct, frozen=True):
    """Everything that the template draws; paths are SVG path data."""

    title: str
    lines: tuple[str, ...]
    points: tuple[Point, ...]
    ticks: tuple[Tick, ...]
    years: tuple[Tick, ...]
    band: tuple[float, float] | None
    band_words: str
    width: int = WIDTH
    height: int = HEIGHT
    left: int = LEFT
    top: int = TOP
    bottom: int = HEIGHT - BOTTOM


class Spark(Struct, frozen=True):
    """A trend in a table cell: 92 by 20."""

    path: str
    x: float
    y: float
    band: tuple[float, float] | None
    words: str


def chart(found: Sequence[Reading]) -> Chart | None:
    """The chart of one test's readings, None when fewer than two numbers in one unit can be drawn."""
    drawn = _drawable(found)
    if len(drawn) < 2:
        return None
    days = [when for when, _ in drawn]
    low, high = _band(drawn)
    every = [value for _, one in drawn for value in (one.number, one.second) if value is not None]
    bottom, top, step = scale(
        min([*every, *([low] if low is not None else [])]),
        max([*every, *([high] if high is not None else [])]),
    )
    across = max((days[-1] - days[0]).days, 1)

    def x(when: date) -> float:
        return round(LEFT + 8 + (WIDTH - LEFT - 20) * (when - days[0]).days / across, 1)

    def y(value: Decimal) -> float:
        return round(float(HEIGHT - BOTTOM - (HEIGHT - BOTTOM - TOP) * (value - bottom) / (top - bottom)), 1)

    band = (
        None
        if low is None and high is None
        else (y(high if high is not None else top), y(low if low is not None else bottom))
    )
    points = [
        _point(x(when), y(value), one)
        for when, one in drawn
        for value in (one.number, one.second)
        if value is not None
    ]
    return Chart(
        _title(drawn),
        tuple(path for path in (_path(drawn, x, y, second) for second in (False, True)) if path),
        tuple(_labelled(points) if all(one.second is None for _, one in drawn) else points),
        tuple(
            Tick(y(bottom + step * n), number(bottom + step * n))
            for n in range(int((top - bottom) / step) + 1)
        ),
        _years(days, x),
        band,
        next((one.range for _, one in reversed(drawn) if one.range), ""),
    )


def spark(found: Sequence[Reading]) -> Spark | None:
    """The small trend of the newest readings, None for fewer than two numbers."""
    drawn = _drawable(found)[-8:]
    if len(drawn) < 2:
        return None
    numbers = [(when, one.number) for when, one in drawn if one.number is not None]
    low, high = _band(drawn)
    return small(numbers, low, high, ", ".join(one.text for _, one in drawn))


def small(
    points: Sequence[tuple[date, Decimal]], low: Decimal | None, high: Decimal | None, words: str
) -> Spark:
    """The small trend of at least two numbers, oldest first, with the band between `low` and `high`."""
    numbers = [value for _, value in points]
    least, most = min(numbers), max(numbers)
    pad = (most - least) / 8 or abs(most) / 8 or Decimal(1)
    least, most = least - pad, most + pad
    across = max((points[-1][0] - points[0][0]).days, 1)

    def y(value: Decimal) -> float:
        return round(float(20 - 20 * (min(max(value, least), most) - least) / (most - least)), 1)

    xs = [round(2 + 86 * (when - points[0][0]).days / across, 1) for when, _ in points]
    ys = [y(value) for value in numbers]
    band = (
        None
        if low is None and high is None
        else (y(high if high is not None else most), y(low if low is not None else least))
    )
    return Spark("M" + " ".join(f"{a} {b}" for a, b in zip(xs, ys, strict=True)), xs[-1], ys[-1], band, words)


def scale(least: Decimal, most: Decimal) -> tuple[Decimal, Decimal, Decimal]:
    """Round bottom, top and step with three to seven lines: `scale(7.1, 8.4)` is 7, 8.5 and 0.5."""
    span = most - least
    if span <= abs(most) / 1_000_000:
        span = abs(most) / 5 or Decimal(1)
    power = Decimal(10) ** (span / 4).adjusted()
    step = next(power * n for n in _STEPS if span / (power * n) <= 5)
    bottom = (least // step) * step
    if least < bottom:
        bottom -= step
    top = bottom
    while top < most or top == bottom:
        top += step
    return bottom, top, step


def _drawable(found: Sequence[Reading]) -> list[tuple[date, Reading]]:
    """Standing numbers with a day, oldest first, in the unit of the newest."""
    dated = [
        (when, one)
        for one in found
        if one.number is not None and not one.struck and (when := dates.first_day(one.day))
    ]
    dated.sort(key=lambda pair: (pair[0], pair[1].at))
    return [(when, one) for when, one in dated if one.unit == dated[-1][1].unit]


def _band(drawn: Sequence[tuple[date, Reading]]) -> tuple[Decimal | None, Decimal | None]:
    for _, one in reversed(drawn):
        if one.low is not None or one.high is not None:
            return one.low, one.high
    return None, None


def _point(x: float, y: float, one: Reading) -> Point:
    return Point(x, y, short(one.text), one.flag.mark)


def _labelled(points: list[Point]) -> list[Point]:
    """Mark the points that have room for their number."""
    last = -99.0
    out: list[Point] = []
    for point in sorted(points, key=lambda p: -p.x):
        room = len(points) <= 14 and (last < 0 or last - point.x > 34)
        if room:
            last = point.x
        out.append(Point(point.x, point.y, point.text, point.mark, label=room))
    return out[::-1]


def _path(drawn: Sequence[tuple[date, Reading]], x: object, y: object, second: bool) -> str:
    pairs = [(when, one.second if second else one.number) for when, one in drawn]
    return _joined([(x(when), y(value)) for when, value in pairs if value is not None])  # type: ignore[operator]


def _joined(spots: Sequence[tuple[float, float]]) -> str:
    return "M" + " ".join(f"{a} {b}" for a, b in spots) if len(spots) > 1 else ""


def _years(days: Sequence[date], x: object) -> tuple[Tick, ...]:
    span = days[-1].year - days[0].year
    every = max(1, span // 8)
    starts = [date(year, 1, 1) for year in range(days[0].year + 1, days[-1].year + 1, every)]
    if not starts:
        return (Tick(LEFT + 8, dates.of_date(days[0])[3:]),)
    return tuple(Tick(x(start), str(start.year)) for start in starts)  # type: ignore[operator]


def _title(drawn: Sequence[tuple[date, Reading]]) -> str:
    first, last = drawn[0], drawn[-1]
    unit = f" {last[1].unit}" if last[1].unit else ""
    return (
        f"{last[1].name}: {first[1].text} on {dates.of_date(first[0])}, {last[1].text}{unit} on {dates.of_date(last[0])}; "
        f"{len(drawn)} values"
    )
