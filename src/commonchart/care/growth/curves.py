"""The percentile lines of a chart, as data: a renderer draws them and the child's points on them."""

from __future__ import annotations

from collections.abc import Sequence

from msgspec import Struct

from commonchart.care.growth.percentiles import NORMAL, Child, Plotted, at_z
from commonchart.care.growth.tables import (
    CDC,
    MONTH,
    WHO,
    WHO_UNTIL_MONTHS,
    Measure,
    Sex,
    cdc,
    last_month,
    who,
)

PERCENTILES = (3, 10, 25, 50, 75, 90, 97)


class Line(Struct, frozen=True):
    """One percentile line: (age in months or length in cm, value)."""

    percentile: int
    spots: tuple[tuple[float, float], ...]


class Curves(Struct, frozen=True):
    """A chart of one measure: its lines, what lies across, and whose figures they are."""

    measure: Measure
    sex: Sex
    across: str
    unit: str
    start: float
    end: float
    lines: tuple[Line, ...]
    source: str


def infant(measure: Measure, sex: Sex) -> Curves:
    """WHO curves from birth to 24 months, or over length from 45 to 110 cm."""
    if measure == "weight-for-length":
        places = [float(cm) for cm in range(45, 111)]
        return _curves(measure, sex, "length, cm", places, [who(measure, sex, cm) for cm in places], WHO)
    months = [n / 2 for n in range(2 * WHO_UNTIL_MONTHS + 1)]
    return _curves(measure, sex, "age, months", months, [who(measure, sex, m * MONTH) for m in months], WHO)


def child(measure: Measure, sex: Sex) -> Curves:
    """CDC curves from 24 months to 20 years (head circumference: 36 months). Not for weight-for-length."""
    months = [float(n) for n in range(WHO_UNTIL_MONTHS, int(last_month(measure)) + 1)]
    return _curves(measure, sex, "age, months", months, [cdc(measure, sex, m) for m in months], CDC)


def _curves(
    measure: Measure, sex: Sex, across: str, places: list[float], figures: Sequence[object], source: str
) -> Curves:
    found = [(at, lms) for at, lms in zip(places, figures, strict=True) if lms is not None]
    lines = tuple(
        Line(p, tuple((at, round(at_z(lms, NORMAL.inv_cdf(p / 100)), 3)) for at, lms in found))  # type: ignore[arg-type]
        for p in PERCENTILES
    )
    unit = {"weight": "kg", "weight-for-length": "kg", "bmi": "kg/m2"}.get(measure, "cm")
    return Curves(measure, sex, across, unit, found[0][0], found[-1][0], lines, source)


def fitting(child_: Child, measure: Measure, points: Sequence[Plotted]) -> Curves | None:
    """The chart for the newest of a child's points: WHO's while under 24 months; None without sex or points."""
    ages = [point.months for point in points if point.months is not None]
    if child_.sex not in ("female", "male") or not ages:
        return None
    sex: Sex = "female" if child_.sex == "female" else "male"
    young = max(ages) < WHO_UNTIL_MONTHS or measure == "weight-for-length"
    return infant(measure, sex) if young else child(measure, sex)
