"""Ages and intervals as offsets ("18y-4d"), and days as numbers: proleptic ordinals, so that comparing costs nothing.

Adding (CALCDT-5, CALCDT-6): years, then months with the day of the month kept; a day that does not exist becomes the first
of the following month; then weeks and days.
"""

from __future__ import annotations

import re
from datetime import date
from functools import lru_cache

from commonchart.fhir.outcome import Invalid

Offset = tuple[int, int]
"""Months and days to add."""

FIRST, LAST = 1, date.max.toordinal()
NEVER = date(2999, 12, 31).toordinal()
_WHOLE = re.compile(r"\d{1,4}[ymwd]([+-]\d{1,4}[ymwd])*")
_PART = re.compile(r"([+-]?)(\d+)([ymwd])")
_MONTHS = {"y": 12, "m": 1}
_DAYS = {"w": 7, "d": 1}
_WORDS = {"y": "year", "m": "month", "w": "week", "d": "day"}


def offset(text: str) -> Offset | None:
    """What an offset adds, None for "". Raises Invalid for anything that is no offset."""
    if not text:
        return None
    if not _WHOLE.fullmatch(text):
        raise Invalid(f"{text!r} is no offset such as 18y-4d", code="value")
    months = days = 0
    for sign, number, unit in _PART.findall(text):
        amount = -int(number) if sign == "-" else int(number)
        months += amount * _MONTHS.get(unit, 0)
        days += amount * _DAYS.get(unit, 0)
    return months, days


@lru_cache(maxsize=1 << 17)
def add(day: int, what: Offset) -> int:
    """The day so much later (an ordinal), kept inside the calendar."""
    months, days = what
    if months:
        day = _add_months(day, months)
    return min(max(day + days, FIRST), LAST)


def _add_months(day: int, months: int) -> int:
    start = date.fromordinal(day)
    total = start.year * 12 + start.month - 1 + months
    year, month = divmod(total, 12)
    if not 1 <= year <= 9999:
        return FIRST if year < 1 else LAST
    try:
        return date(year, month + 1, start.day).toordinal()
    except ValueError:
        return date(year, month + 1, 28).toordinal() + _to_next_month(year, month + 1)


def _to_next_month(year: int, month: int) -> int:
    """Days from the 28th to the first of the next month, for a month too short for the day asked."""
    following = date(year + 1, 1, 1) if month == 12 else date(year, month + 1, 1)
    return following.toordinal() - date(year, month, 28).toordinal()


def nominal(what: Offset) -> int:
    """About how many days: to put offsets in order."""
    return int(what[0] * 30.4375) + what[1]


def in_words(text: str) -> str:
    """An offset as one would say it: "18 years less 4 days"."""
    said = []
    for sign, number, unit in _PART.findall(text):
        joint = {"-": "less ", "+": "and "}.get(sign, "")
        said.append(f"{joint}{int(number)} {_WORDS[unit]}{'' if int(number) == 1 else 's'}")
    return " ".join(said)


class Ages(dict[Offset, int]):
    """The days on which a person reaches ages, each computed once."""

    def __init__(self, born: int) -> None:
        super().__init__()
        self.born = born

    def __missing__(self, what: Offset) -> int:
        day = self[what] = add(self.born, what)
        return day
