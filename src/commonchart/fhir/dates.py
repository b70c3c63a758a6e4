"""FHIR dates as intervals: a partial date means every moment it may name, [lo, hi) in UTC.

http://hl7.org/fhir/R4/datatypes.html#dateTime and http://hl7.org/fhir/R4/search.html#date. A date without a zone is
taken as UTC. Open ends of a period are `MIN` and `MAX`. R4 allows leap seconds: `:60` is read as the second before it,
so that it stays on its day. 24:00 and the year 0000 do not exist.
"""

from __future__ import annotations

import re
from datetime import UTC, datetime, timedelta, timezone
from functools import lru_cache
from typing import Any

from commonchart.fhir.outcome import Invalid

MIN = datetime(1, 1, 1, tzinfo=UTC)
MAX = datetime(9999, 12, 31, 23, 59, 59, 999999, tzinfo=UTC)

_SHAPE = re.compile(
    r"(\d{4})(?:-(\d\d)(?:-(\d\d)(?:T(\d\d):(\d\d)(?::(\d\d)(?:\.(\d+))?)?(Z|[+-]\d\d:\d\d)?)?)?)?",
    re.ASCII,
)
_RULE = "must be YYYY, YYYY-MM, YYYY-MM-DD or YYYY-MM-DDThh:mm:ss with a zone"

Bounds = tuple[datetime, datetime]


@lru_cache(maxsize=65536)
def bounds(text: str) -> Bounds:
    """The interval that a FHIR date, dateTime or instant stands for, half open, in UTC. Raises Invalid."""
    found = _SHAPE.fullmatch(text) if isinstance(text, str) and len(text) < 48 else None
    if found is None:
        raise Invalid(f"A date {_RULE}", code="value")
    year, month, day, hour, *_rest, zone = found.groups()
    try:
        if hour is not None:
            return _moment(found.groups(), _zone(zone))
        lo = datetime(int(year), int(month or 1), int(day or 1), tzinfo=UTC)
        return lo, _after(lo, month, day)
    except (ValueError, OverflowError):
        raise Invalid(f"A date {_RULE}, and exist in the calendar", code="value") from None


def _after(lo: datetime, month: str | None, day: str | None) -> datetime:
    if day is not None:
        return _plus(lo, timedelta(days=1))
    if month is not None:
        return MAX if (lo.year, lo.month) == (9999, 12) else _next_month(lo)
    return MAX if lo.year == 9999 else lo.replace(year=lo.year + 1)


def _next_month(lo: datetime) -> datetime:
    return lo.replace(year=lo.year + lo.month // 12, month=lo.month % 12 + 1)


def _plus(lo: datetime, step: timedelta) -> datetime:
    try:
        return lo + step
    except OverflowError:
        return MAX


def _moment(parts: tuple[str | None, ...], zone: timezone) -> Bounds:
    year, month, day, hour, minute, second, fraction = (part or "0" for part in parts[:7])
    micro = int(fraction[:6].ljust(6, "0"))
    whole = 59 if second == "60" else int(second)
    local = datetime(int(year), int(month), int(day), int(hour), int(minute), whole, micro, tzinfo=zone)
    lo = min(local.astimezone(UTC), MAX - timedelta(microseconds=1))
    return lo, _plus(lo, _length(parts[5], parts[6]))


def _length(second: str | None, fraction: str | None) -> timedelta:
    if second is None:
        return timedelta(minutes=1)
    if fraction is None:
        return timedelta(seconds=1)
    return timedelta(microseconds=10 ** max(0, 6 - len(fraction)))


def _zone(text: str | None) -> timezone:
    if text is None or text == "Z":
        return UTC
    hours, minutes = int(text[1:3]), int(text[4:6])
    if minutes > 59 or hours * 60 + minutes > 14 * 60:
        raise ValueError
    return timezone((1 if text[0] == "+" else -1) * timedelta(hours=hours, minutes=minutes))


def period_bounds(period: dict[str, Any]) -> Bounds:
    """The interval of a FHIR Period; a missing end is open (`MIN` or `MAX`). Raises Invalid."""
    start, end = period.get("start"), period.get("end")
    return bounds(start)[0] if start else MIN, bounds(end)[1] if end else MAX


def instant(moment: datetime) -> str:
    """A moment as a FHIR instant in UTC to the millisecond, such as 2026-11-18T10:00:00.000Z."""
    return moment.astimezone(UTC).isoformat(timespec="milliseconds")[:23] + "Z"
