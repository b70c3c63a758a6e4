"""Dates as clinicians read them: dd-Mmm-yyyy, with the precision that was recorded (ui.md 4.1, NHS CUI)."""

from __future__ import annotations

import re
from datetime import UTC, date, datetime
from typing import Any

from commonchart.fhir.dates import bounds
from commonchart.fhir.outcome import Invalid

MONTHS = ("Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec")
FIRST, LAST = date(1850, 1, 1), date(2300, 12, 31)
"""Days that may be typed."""
_FHIR = re.compile(r"^(\d{4})(?:-(\d\d)(?:-(\d\d)(?:T(\d\d):(\d\d).*)?)?)?$", re.DOTALL)
_TYPED = re.compile(r"^(\d{1,2})[- ./]([A-Za-z]{3})[A-Za-z]*[- ./,]+(\d{4})$")


def day(text: str | None) -> str:
    """`1985-12-10T08:15Z` as `10-Dec-1985`; `1985-12` as `Dec-1985`; `1985` as `1985`; nothing as an empty string."""
    found = _FHIR.match(text or "")
    if not found:
        return text or ""
    year, month, dom = found.group(1, 2, 3)
    if not month:
        return year
    name = MONTHS[int(month) - 1] if 1 <= int(month) <= 12 else month
    return f"{dom}-{name}-{year}" if dom else f"{name}-{year}"


def moment(text: str | None) -> str:
    """The day and, where recorded and not midnight, the time as written, with its offset: `10-Dec-1985 08:15 UTC-06:00`."""
    found = _FHIR.match(text or "")
    if not found or not found.group(4) or found.group(4, 5) == ("00", "00"):
        return day(text)
    return f"{day(text)} {found.group(4)}:{found.group(5)} {_offset(text or '')}".rstrip()


def _offset(text: str) -> str:
    found = re.search(r"(?:Z|([+-]\d\d:\d\d))$", text)
    if not found:
        return ""
    return "UTC" if found.group(1) in (None, "+00:00", "-00:00") else f"UTC{found.group(1)}"


def period(value: dict[str, Any] | None) -> str:
    """`03-Sep-2026 to 05-Sep-2026`, `since ...`, `until ...`, one day when both ends are the same day."""
    start, end = day((value or {}).get("start")), day((value or {}).get("end"))
    if start and end:
        return start if start == end else f"{start} to {end}"
    if start:
        return f"since {start}"
    return f"until {end}" if end else ""


def of_date(value: date) -> str:
    """A Python date as `10-Dec-1985`."""
    return f"{value.day:02d}-{MONTHS[value.month - 1]}-{value.year:04d}"


def order(text: str) -> datetime:
    """Where a FHIR dateTime stands in time: its first moment, whatever the offset it was written with; before all if unreadable."""
    try:
        return bounds(text)[0]
    except Invalid:
        return datetime.min.replace(tzinfo=UTC)


def first_day(text: str | None) -> date | None:
    """The first day that a (possibly partial) FHIR date can mean, None when absent or unreadable."""
    found = _FHIR.match(text or "")
    if not found:
        return None
    try:
        return date(int(found.group(1)), int(found.group(2) or 1), int(found.group(3) or 1))
    except ValueError:
        return None


def typed(text: str, at: str = "as_of") -> date:
    """A day as a person or a date field gives it: `2024-03-12`, `12-Mar-2024`, `12 March 2024`.

    Raises Invalid at the field `at`, also for a day that no record and no plan can mean: with it nothing can be counted.
    """
    words = _TYPED.match(text.strip())
    try:
        if words:
            found = date(
                int(words.group(3)),
                [m.lower() for m in MONTHS].index(words.group(2).lower()) + 1,
                int(words.group(1)),
            )
        else:
            found = date.fromisoformat(text.strip())
    except ValueError:
        raise Invalid("Enter a date like 12-Mar-2024 or 2024-03-12", at=at) from None
    if not FIRST <= found <= LAST:
        raise Invalid(f"Enter a date between {FIRST.year} and {LAST.year}", at=at)
    return found


def age(born: str | None, on: date) -> str:
    """Age on a day: `9d`, `7w`, `14m`, `4y 3m`, `58y`; `about` for a birth date without a day, empty when unknowable."""
    start = first_day(born)
    if start is None or on < start:
        return ""
    about = "about " if len(born or "") < 10 else ""
    if (on - start).days < 28:
        return f"{about}{(on - start).days}d"
    months = (on.year - start.year) * 12 + on.month - start.month - (on.day < start.day)
    if months < 12:
        return f"{about}{(on - start).days // 7}w"
    if months < 24:
        return f"{about}{months}m"
    if months < 18 * 12 and months % 12 and not about:
        return f"{months // 12}y {months % 12}m"
    return f"{about}{months // 12}y"


def ago(then: date, now: date) -> str:
    """How long before `now`, roughly: `today`, `3 days`, `5 weeks`, `7 months`, `2 years 8 months`."""
    days = (now - then).days
    if days <= 0:
        return "today"
    if days < 14:
        return _count(days, "day")
    months = (now.year - then.year) * 12 + now.month - then.month - (now.day < then.day)
    if months < 2:
        return _count(days // 7, "week")
    if months < 24:
        return _count(months, "month")
    rest = f" {_count(months % 12, 'month')}" if months % 12 and months < 120 else ""
    return _count(months // 12, "year") + rest


def _count(n: int, unit: str) -> str:
    return f"{n} {unit}" if n == 1 else f"{n} {unit}s"
