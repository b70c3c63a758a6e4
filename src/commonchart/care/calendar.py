"""Ages and intervals to the day."""

from __future__ import annotations

import re
from datetime import date, timedelta
from functools import lru_cache

_SPAN = re.compile(r"(\d+)(d|w|m|y)")


def add_months(day: date, months: int) -> date:
    """The same day of the month so many months later, or the first of the next where there is no such day."""
    total = day.month - 1 + months
    year, month = day.year + total // 12, total % 12 + 1
    if not 1 <= year <= 9998:
        return date.max if year > 9998 else date.min
    try:
        return date(year, month, day.day)
    except ValueError:
        return date(year + month // 12, month % 12 + 1, 1)


def birthday(born: date, age: int) -> date:
    """The day somebody turns `age`; born on 29 February, it is 1 March in other years."""
    return add_months(born, 12 * age)


def age_on(born: date, day: date) -> int:
    """Whole years of age on a day."""
    years = day.year - born.year
    return years if day >= birthday(born, years) else years - 1


def days_after(day: date, days: int) -> date:
    """So many days later, at most the end of the calendar."""
    if days < 0:
        return day + timedelta(days=days) if (day - date.min).days > -days else date.min
    return day + timedelta(days=days) if (date.max - day).days > days else date.max


def is_span(text: str) -> bool:
    """Whether a text is a length of time: 3d, 2w, 18m, 11y."""
    return bool(_SPAN.fullmatch(text))


@lru_cache(1024)
def _parts(span: str) -> tuple[int, int]:
    found = _SPAN.fullmatch(span)
    if found is None:
        raise ValueError(f"{span} is no length of time")
    n, unit = int(found[1]), found[2]
    return {"d": (0, n), "w": (0, 7 * n), "m": (n, 0), "y": (12 * n, 0)}[unit]


def after(day: date, span: str) -> date:
    """The day so much later: `after(born, "18m")`."""
    months, days = _parts(span)
    return days_after(add_months(day, months), days) if day < date.max else day


def span_words(span: str) -> str:
    """A length of time in words: 18m is "18 months"; 0d is "for good", as rules use it."""
    months, days = _parts(span)
    if not months and not days:
        return "for good"
    if days:
        return f"{days // 7} weeks" if days % 7 == 0 and days > 7 else f"{days} days"
    if months % 12 == 0:
        return "1 year" if months == 12 else f"{months // 12} years"
    return "1 month" if months == 1 else f"{months} months"
