"""Ages and intervals to the day."""

from __future__ import annotations

from datetime import date, timedelta


def add_months(day: date, months: int) -> date:
    """The same day of the month so many months later, or the first of the next where there is no such day."""
    total = day.month - 1 + months
    year, month = day.year + total // 12, total % 12 + 1
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
    return day + timedelta(days=days) if (date.max - day).days > days else date.max
