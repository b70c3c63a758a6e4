"""A result in words before numbers: what it is, how it stands against its own range, and pictures with the same in text."""

from __future__ import annotations

from collections.abc import Sequence
from decimal import Decimal

from msgspec import Struct

from commonchart.care import plain_words
from commonchart.web.portal import days
from commonchart.web.present import codes, dates
from commonchart.web.present.readings import Reading
from commonchart.web.present.values import number, short

LEFT, WIDE = 10, 340
DRAWN = 6
_TAGS = {
    "": ("ok", "In the usual range"), "H": ("high", "Above the usual range"), "L": ("high", "Below the usual range"),
    "A": ("high", "Not the usual finding"), "HH": ("over", "Far outside the usual range"),
    "LL": ("over", "Far outside the usual range"), "AA": ("over", "Far outside the usual range"),
}  # fmt: skip
_RANK = ("over", "high", "ask", "off", "ok")


class Ruler(Struct, frozen=True):
    """Where a value lies: x positions of 0 to 360, and the sentence that says the same."""

    x: float
    value: str
    band: tuple[float, float]
    low: str
    high: str
    words: str


class Spot(Struct, frozen=True):
    """One value of the picture over time."""

    x: float
    y: float
    text: str
    month: str
    year: str


class Course(Struct, frozen=True):
    """Some values over time, drawn evenly; `line` is an SVG polyline, `words` the same in text."""

    spots: tuple[Spot, ...]
    line: str
    band: tuple[float, float] | None
    words: str


def words_of(one: Reading) -> plain_words.Words | None:
    """Our words for the test, if there are any."""
    body = one.fact.body
    return plain_words.of(
        (str(coding.get("system", "")), str(coding.get("code", "")))
        for coding in (body.get("code") or {}).get("coding") or ()
    )


def name_of(one: Reading) -> str:
    """The test in everyday words, else as the lab calls it."""
    known = words_of(one)
    return known.name if known else codes.concept(one.fact.body.get("code"))


def value(one: Reading) -> str:
    """`7.8 %`."""
    return f"{one.brief} {one.unit}".strip()


def said(found: Sequence[Reading]) -> str:
    """The values and their day: `7.8 % on 5 November 2026`."""
    shown = "; ".join(value(one) for one in found[:3])
    when = days.day(found[0].day)
    return f"{shown}{f' on {when}' if when else ''}{'. Not final yet' if found[0].status else ''}"


def tag(one: Reading) -> tuple[str, str]:
    """(kind, words) of how it stands. Without a range and a flag nothing is called usual."""
    if one.status in ("preliminary", "registered", "partial"):
        return "off", "Not final yet"
    if not one.flag.mark and one.number is None:
        return "off", "See the words of the lab"
    if not one.flag.mark and one.low is None and one.high is None and not _called_normal(one):
        return "off", "No usual range is given"
    return _TAGS[one.flag.mark]


def _called_normal(one: Reading) -> bool:
    said = {code.code for part in one.fact.body.get("interpretation") or () for code in codes.codings(part)}
    return bool(said & {"N", "NEG", "ND"})


def worst(found: Sequence[Reading]) -> tuple[str, str]:
    """The most telling of several."""
    return min((tag(one) for one in found), key=lambda pair: _RANK.index(pair[0]))


def ruler(one: Reading) -> Ruler | None:
    """The value on a line with the lab's range on it; None where there is no number, or nothing to compare it with."""
    if one.number is None or one.second is not None or (one.low is None and one.high is None):
        return None
    low, high, at = one.low, one.high, one.number
    wide = high - low if low is not None and high is not None else abs(high or low or Decimal(1))
    span = wide or Decimal(1)
    least = min(at - span / 6, low - span / 2 if low is not None else min(Decimal(0), at))
    most = max(at + span / 6, (high if high is not None else (low or Decimal(0)) + span) + span / 2)

    def x(v: Decimal) -> float:
        return round(float(LEFT + WIDE * (v - least) / (most - least)), 1)

    band = (x(low) if low is not None else float(LEFT), x(high) if high is not None else float(LEFT + WIDE))
    side = {"ok": "inside", "high": "outside", "over": "outside"}.get(tag(one)[0], "beside")
    usual = one.range.replace("–", " to ").replace("≥", "at least").replace("≤", "at most")
    words = f"Your value, {value(one)}, is {side} the usual range, which is {usual}."
    return Ruler(
        x(at),
        one.brief,
        band,
        number(low) if low is not None else "",
        number(high) if high is not None else "",
        words,
    )


def course(found: Sequence[Reading]) -> Course | None:
    """The last values in one unit, oldest first; None for fewer than two."""
    drawn = [one for one in found if one.number is not None and not one.struck and dates.first_day(one.day)]
    drawn.sort(key=lambda one: (one.day, dates.order(one.at)))
    drawn = [one for one in drawn if one.unit == drawn[-1].unit][-DRAWN:] if drawn else []
    if len(drawn) < 2:
        return None
    numbers = [one.number for one in drawn if one.number is not None]
    low, high = drawn[-1].low, drawn[-1].high
    least = min([*numbers, *([low] if low is not None else [])])
    most = max([*numbers, *([high] if high is not None else [])])
    span = (most - least) or abs(most) or Decimal(1)

    def y(v: Decimal) -> float:
        return round(float(176 - 130 * (v - least) / span), 1)

    step = 292 / (len(drawn) - 1)
    spots = tuple(
        Spot(round(34 + step * n, 1), y(one.number or Decimal(0)), short(one.text), *_month(one.day))
        for n, one in enumerate(drawn)
    )
    band = (
        None
        if low is None and high is None
        else (y(high if high is not None else most), y(low if low is not None else least))
    )
    told = ", ".join(f"{one.text} in {days.day(one.day[:7])}" for one in drawn)
    return Course(
        spots, " ".join(f"{s.x},{s.y}" for s in spots), band, f"{name_of(drawn[-1])} over time: {told}."
    )


def _month(text: str) -> tuple[str, str]:
    """`Nov`, `2026`."""
    parts = days.day(text[:7]).split(" ")
    return (parts[0][:3], parts[1]) if len(parts) == 2 else ("", parts[0])


def change(found: Sequence[Reading]) -> str:
    """The newest against the one before, in words; `found` newest first."""
    if len(found) < 2 or found[0].number is None or found[1].number is None or found[0].unit != found[1].unit:
        return ""
    by = found[0].number - found[1].number
    before = f"last time ({value(found[1])}, {days.day(found[1].day)})"
    return f"The same as {before}." if not by else f"{'Higher' if by > 0 else 'Lower'} than {before}."
