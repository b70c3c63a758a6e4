"""Cells of a condition registry, and the bars and months of the dashboard, as they are shown."""

from __future__ import annotations

import re
from collections.abc import Sequence
from datetime import date

from msgspec import Struct

from commonchart.care.registries import Cell, Column
from commonchart.web.present import dates
from commonchart.web.present.due import STATUSES
from commonchart.web.present.readings import Flag
from commonchart.web.present.trend import Spark, small

_FLAGS = {
    ("out", "H"): Flag("H", "high"), ("out", "L"): Flag("L", "low"),
    ("alert", "H"): Flag("HH", "high, alert"), ("alert", "L"): Flag("LL", "low, alert"),
    ("alert", ""): Flag("AA", "alert"), ("out", ""): Flag("A", "out of range"),
}  # fmt: skip


_DOSE = re.compile(r", dose \d+$")


def of_everybody(title: str) -> str:
    """The title of a rule as it is for everybody: a vaccine's without the dose that one patient is at."""
    return _DOSE.sub("", title)


class Shown(Struct, frozen=True):
    """One cell: the value with its flag, how old it is, the small trend, what is due, and what does not count."""

    text: str
    flag: Flag
    aged: str
    spark: Spark | None
    mark: str
    due: str
    doubt: str
    name: str


def cell(column: Column, one: Cell, today: date) -> Shown:
    """A cell of a column on a day."""
    mark, word = (
        STATUSES.get(one.status, ("", "")) if one.status in ("overdue", "due", "cannot-tell") else ("", "")
    )
    text = one.text or (dates.of_date(one.day) if one.day and not column.analytes else "")
    return Shown(
        text, _FLAGS.get((one.within, one.way), Flag()) if one.text else Flag(),
        months(one.day, today) if one.day else "", _spark(one, column), mark, word, one.doubt, column.label,
    )  # fmt: skip


def months(day: date, today: date) -> str:
    """How old something is, in a cell: "12 d", "5 mo", "3 y"."""
    days = (today - day).days
    if days < 60:
        return f"{max(0, days)} d"
    return f"{days * 12 // 365} mo" if days < 730 else f"{days // 365} y"


def _spark(one: Cell, column: Column) -> Spark | None:
    words = ", ".join(f"{value:f}" for _, value in one.points)
    return (
        small(one.points, one.low, one.high, f"{words} {column.unit}".strip())
        if len(one.points) > 1
        else None
    )


class Months(Struct, frozen=True):
    """Days that are kept, as a line for an SVG of 560 by 160: percent up to date of those asked."""

    path: str
    points: tuple[tuple[float, float, str], ...]
    ticks: tuple[tuple[float, str], ...]
    words: str


def history(found: Sequence[tuple[date, int, int]]) -> Months | None:
    """(day, how many up to date, how many asked) as a line; None for fewer than two days."""
    known = [(day, round(100 * done / asked)) for day, done, asked in found if asked]
    if len(known) < 2:
        return None
    across = max((known[-1][0] - known[0][0]).days, 1)
    spots = [
        (round(40 + 500 * (day - known[0][0]).days / across, 1), round(136 - 1.26 * share, 1), f"{share} %")
        for day, share in known
    ]
    words = "; ".join(f"{dates.of_date(day)} {share} %" for day, share in known)
    ticks = tuple((round(136 - 1.26 * share, 1), f"{share}") for share in (0, 25, 50, 75, 100))
    return Months("M" + " ".join(f"{x} {y}" for x, y, _ in spots), tuple(spots), ticks, words)
