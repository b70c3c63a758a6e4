"""Partial dates, date-times and times: what is known of them, and no more.

http://hl7.org/fhirpath/N1/#date-time-arithmetic, #comparison. Fields are year, month, day, hour, minute, second.
"""

from __future__ import annotations

import calendar
import re
from datetime import datetime, timedelta
from decimal import Decimal
from functools import lru_cache

from msgspec import Struct

from commonchart.fhir.outcome import Invalid

_DATE = r"(\d{4})(?:-(\d\d)(?:-(\d\d))?)?"
_TIME = r"(\d\d)(?::(\d\d)(?::(\d\d(?:\.\d+)?))?)?"
_FULL = re.compile(rf"{_DATE}(?:(T)(?:{_TIME})?(Z|[+-]\d\d:\d\d)?)?")
_CLOCK = re.compile(rf"T?{_TIME}")
UNITS = ("year", "month", "day", "hour", "minute", "second")
_UCUM = {"wk": "week", "d": "day", "h": "hour", "min": "minute", "s": "second", "ms": "millisecond"}
# `'month'` in quotes is no UCUM code, so it can only be meant as the word
CALENDAR_WORDS = frozenset({"year", "month", *_UCUM.values()})
_SECONDS = {"week": 604800, "day": 86400, "hour": 3600, "minute": 60, "second": 1}
_LAST = {1: 12, 3: 23, 4: 59}
_DAY = 86400


class Moment(Struct, frozen=True):
    """A date, dateTime or time to the precision stated: `fields` holds only what is known, seconds as a decimal."""

    kind: str
    fields: tuple[int | Decimal, ...]
    zone: int | None = None

    def __str__(self) -> str:
        """The literal without its @ (and without T for a time)."""
        if self.kind == "time":
            return _clock(self.fields)
        day = "-".join(f"{n:04}" if at == 0 else f"{n:02}" for at, n in enumerate(self.fields[:3]))
        if self.kind == "date":
            return day
        if len(self.fields) <= 3:
            return day
        return f"{day}T{_clock(self.fields[3:])}{_zone(self.zone)}"


def _clock(fields: tuple[int | Decimal, ...]) -> str:
    out = [f"{int(n):02}" for n in fields[:2]]
    if len(fields) > 2:
        second = fields[2]
        whole, dot, part = (format(second, "f") if isinstance(second, Decimal) else str(second)).partition(
            "."
        )
        out.append(whole.zfill(2) + dot + part)
    return ":".join(out)


def _zone(zone: int | None) -> str:
    if zone is None:
        return ""
    sign, minutes = ("-", -zone) if zone < 0 else ("+", zone)
    return "Z" if zone == 0 else f"{sign}{minutes // 60:02}:{minutes % 60:02}"


@lru_cache(4096)
def moment(text: str, kind: str = "") -> Moment | None:
    """The text as a moment: of this kind, or a date, or a dateTime where it has a T. None when it is no such thing."""
    if kind == "time":
        found = _CLOCK.fullmatch(text)
        return _checked("time", found.groups(), None) if found else None
    found = _FULL.fullmatch(text)
    if found is None:
        return None
    known = found.groups()
    if known[7] and known[4] is None:
        return None
    if kind == "date" and known[3]:
        return None
    made = kind or ("dateTime" if known[3] else "date")
    return _checked(made, (*known[:3], *known[4:7]), _minutes(known[7]))


def _minutes(text: str | None) -> int | None:
    if text is None:
        return None
    if text == "Z":
        return 0
    minutes = int(text[1:3]) * 60 + int(text[4:])
    return -minutes if text[0] == "-" else minutes


def _checked(kind: str, texts: tuple[str | None, ...], zone: int | None) -> Moment | None:
    fields: list[int | Decimal] = []
    for text in texts:
        if text is None:
            break
        fields.append(Decimal(text) if "." in text else int(text))
    return Moment(kind, tuple(fields), zone) if _possible(kind, fields) else None


def _possible(kind: str, fields: list[int | Decimal]) -> bool:
    clock = fields if kind == "time" else fields[3:]
    if any(n >= most for n, most in zip(clock, (24, 60, 60), strict=False)):
        return False
    if kind == "time":
        return True
    year, month, day = (*(int(n) for n in fields[:3]), 1, 1)[:3]
    return year >= 1 and 1 <= month <= 12 and 1 <= day <= calendar.monthrange(year, month)[1]


def of_clock(now: datetime, kind: str) -> Moment:
    """A moment from the environment's clock."""
    second = Decimal(now.second) + Decimal(now.microsecond // 1000).scaleb(-3)
    zone = now.utcoffset()
    minutes = None if zone is None else int(zone.total_seconds()) // 60
    if kind == "date":
        return Moment("date", (now.year, now.month, now.day))
    if kind == "time":
        return Moment("time", (now.hour, now.minute, second))
    return Moment("dateTime", (now.year, now.month, now.day, now.hour, now.minute, second), minutes)


# ---- comparison ------------------------------------------------------------------------------------------------


def compared(a: Moment, b: Moment) -> int | None:
    """-1, 0 or 1; None when the precision or a missing zone leaves it open. Times only with times."""
    if (a.kind == "time") != (b.kind == "time"):
        return None
    if a.kind != "time" and len(a.fields) > 3 and len(b.fields) > 3:
        if (a.zone is None) != (b.zone is None):
            return _apart(a, b)
        a, b = at_zone(a, 0), at_zone(b, 0)
    for x, y in zip(a.fields, b.fields, strict=False):
        if x != y:
            return -1 if x < y else 1
    return 0 if len(a.fields) == len(b.fields) else None


def _apart(a: Moment, b: Moment) -> int | None:
    """With one zone unknown: decided only where they are more than the width of all zones apart."""
    gap = _instant(a) - _instant(b)
    return None if abs(gap) <= 26 * 3600 else (-1 if gap < 0 else 1)


def _instant(one: Moment) -> Decimal:
    fields = (*one.fields, 0, 0)[:6]
    days = datetime(int(fields[0]), int(fields[1]), int(fields[2])).toordinal()
    clock = int(fields[3]) * 3600 + int(fields[4]) * 60 - (one.zone or 0) * 60
    return Decimal(days * _DAY + clock) + fields[5]


def at_zone(one: Moment, zone: int) -> Moment:
    """The same instant told in another zone (the moment itself when it has none, or no hours)."""
    if one.zone is None or one.zone == zone or len(one.fields) <= 3:
        return one
    try:
        begin = datetime(*(int(n) for n in (*one.fields, 0)[:5]))  # type: ignore[arg-type]
        moved = begin + timedelta(minutes=zone - one.zone)
    except (OverflowError, ValueError):
        return one
    fields = (moved.year, moved.month, moved.day, moved.hour, moved.minute, *one.fields[5:])
    return Moment(one.kind, fields[: len(one.fields)] if len(one.fields) > 4 else fields[:5], zone)


# ---- arithmetic ------------------------------------------------------------------------------------------------


def added(one: Moment, amount: Decimal, unit: str, calendar_unit: bool) -> Moment | None:
    """Moved by a duration; None beyond the years 1 to 9999. Raises Invalid for a unit that is no exact duration."""
    word = unit.removesuffix("s")
    name = word if calendar_unit or word in CALENDAR_WORDS else _UCUM.get(unit, "")
    if not name:
        raise Invalid(f"FHIRPath: a {one.kind} cannot be moved by that unit")
    if name == "millisecond":
        name, amount = "second", amount / 1000
    try:
        if name in ("year", "month"):
            return _by_months(one, int(amount) * (12 if name == "year" else 1))
        return _by_seconds(one, amount if name == "second" else Decimal(int(amount)), name)
    except (OverflowError, ValueError):
        return None


def _by_months(one: Moment, months: int) -> Moment | None:
    if one.kind == "time":
        raise Invalid("FHIRPath: a time cannot be moved by months")
    known = len(one.fields)
    if known == 1:
        months = int(months / 12) * 12
    total = int(one.fields[0]) * 12 + (int(one.fields[1]) if known > 1 else 1) - 1 + months
    year, month = divmod(total, 12)
    if not 1 <= year <= 9999:
        return None
    out: tuple[int | Decimal, ...] = (year, month + 1)
    if known > 2:
        out = (*out, min(int(one.fields[2]), calendar.monthrange(year, month + 1)[1]), *one.fields[3:])
    return Moment(one.kind, out[:known], one.zone)


def _by_seconds(one: Moment, amount: Decimal, name: str) -> Moment | None:
    if one.kind == "time":
        return _turned(one, amount * _SECONDS[name])
    known = len(one.fields)
    if known < 3:
        days = int(amount * _SECONDS[name] / _DAY)
        return _by_months(one, int(days / 365) * 12 if known == 1 else int(days / 30))
    step = {3: _DAY, 4: 3600, 5: 60}.get(known)
    seconds = amount * _SECONDS[name]
    if step:
        seconds = Decimal(int(seconds / step) * step)
    whole, part = divmod((one.fields[5] if known > 5 else Decimal(0)) + seconds, 60)
    begin = datetime(*(int(n) for n in (*one.fields[:5], 0, 0)[:5]))  # type: ignore[arg-type]
    moved = begin + timedelta(minutes=int(whole))
    if part < 0:
        moved, part = moved - timedelta(minutes=1), part + 60
    fields = (moved.year, moved.month, moved.day, moved.hour, moved.minute, _like(part, one.fields))
    return Moment(one.kind, fields[:known], one.zone)


def _like(second: Decimal | int, fields: tuple[int | Decimal, ...]) -> int | Decimal:
    if isinstance(fields[-1], Decimal) or second != int(second):
        return Decimal(second).quantize(Decimal("0.001"))
    return int(second)


def _turned(one: Moment, seconds: Decimal) -> Moment:
    """A time moved round the clock."""
    hour, minute, second = (*one.fields, 0, 0)[:3]
    total = (int(hour) * 3600 + int(minute) * 60 + second + seconds) % _DAY
    total = total + _DAY if total < 0 else total
    minutes, rest = int(total // 60), total % 60
    known = len(one.fields)
    return Moment("time", (minutes // 60, minutes % 60, _like(rest, one.fields))[:known])


# ---- boundaries ------------------------------------------------------------------------------------------------

DIGITS = {4: 1, 6: 2, 8: 3, 10: 4, 12: 5, 14: 6, 17: 6}
CLOCK_DIGITS = {2: 1, 4: 2, 6: 3, 9: 3}


def precision(one: Moment) -> int:
    """The digits of the literal: 4 for a year, 8 for a date, 17 for milliseconds; 9 for a full time."""
    clock = one.kind == "time"
    known = len(one.fields)
    if known == (3 if clock else 6) and isinstance(one.fields[-1], Decimal):
        return 9 if clock else 17
    return known * 2 if clock else known * 2 + 2


def boundary(one: Moment, digits: int | None, high: bool) -> Moment | None:
    """The first or last moment that this one may be, to so many digits; None where they fit no precision."""
    if one.kind == "time":
        wanted = CLOCK_DIGITS.get(9 if digits is None else digits)
        return None if wanted is None else _filled(one, wanted, high, digits in (None, 9))
    default = 8 if one.kind == "date" else 17
    wanted = DIGITS.get(default if digits is None else digits)
    if wanted is None:
        return None
    return _filled(one, wanted, high, (digits or default) == 17)


def _filled(one: Moment, wanted: int, high: bool, fraction: bool) -> Moment:
    fields = list(one.fields)
    base = 3 if one.kind == "time" else 0
    if len(fields) + base == 4:
        fields.append(0)  # an hour alone is read as its first minute, as FHIR writes no hour without minutes
    while len(fields) < wanted:
        at = len(fields) + base
        fields.append(_edge(at, fields, high))
    if fraction and not isinstance(fields[wanted - 1], Decimal):
        fields[wanted - 1] = Decimal(f"{fields[wanted - 1]}.{'999' if high else '000'}")
    known = tuple(fields[:wanted])
    zone = one.zone
    if base == 0 and wanted > 3 and zone is None:
        zone = -720 if high else 840
    return Moment(_kind(one, wanted), known, zone if base == 0 and wanted > 3 else None)


def _kind(one: Moment, wanted: int) -> str:
    return "dateTime" if one.kind == "date" and wanted > 3 else one.kind


def _edge(at: int, fields: list[int | Decimal], high: bool) -> int:
    if at == 1:
        return 12 if high else 1
    if at == 2:
        return calendar.monthrange(int(fields[0]), int(fields[1]))[1] if high else 1
    return (23 if at == 3 else 59) if high else 0
