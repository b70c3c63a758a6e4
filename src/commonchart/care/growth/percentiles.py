"""One measurement of a child as z-score and percentile, or the reason why it has none."""

from __future__ import annotations

from datetime import date
from decimal import Decimal
from math import exp, log
from statistics import NormalDist
from typing import cast

from msgspec import Struct

from commonchart.care.calculators.body import corrected_age
from commonchart.care.calculators.quantities import BMI, HEAD, HEIGHT, WEIGHT, Quantity
from commonchart.care.calculators.sheet import Given
from commonchart.care.growth.tables import (
    CDC,
    CDC_EXTENDED,
    MONTH,
    WHO,
    WHO_UNTIL_MONTHS,
    Lms,
    Measure,
    Sex,
    cdc,
    last_month,
    who,
)

NORMAL = NormalDist()
QUANTITIES: dict[str, Quantity] = {
    "weight": WEIGHT, "length": HEIGHT, "bmi": BMI, "head": HEAD, "weight-for-length": WEIGHT,
}  # fmt: skip
# beyond these z-scores a measurement is taken for a mistake (WHO flags; CDC's are no narrower)
_FLAGS = {"weight": (-6, 6), "length": (-6, 6), "bmi": (-5, 8), "head": (-5, 5), "weight-for-length": (-5, 5)}
_ADJUSTED = {"weight", "bmi", "weight-for-length"}


class Child(Struct, frozen=True):
    """Whose growth it is. `gestation_days` at birth, None when not recorded; `sex` "" with `sex_problem`."""

    born: date | None
    sex: str
    gestation_days: int | None = None
    sex_problem: str = ""


class Plotted(Struct, frozen=True):
    """One measurement on its chart. `problem` says why there is no percentile; then z and percentile are None.

    `months` is the age it was judged by, `at` its place across the chart: the age in months, or the length in cm.
    """

    measure: Measure
    given: Given
    value: float | None
    unit: str
    months: float | None
    z: float | None = None
    percentile: float | None = None
    standard: str = ""
    problem: str = ""
    notes: tuple[str, ...] = ()
    at: float | None = None

    @property
    def text(self) -> str:
        """The percentile in words: "62nd percentile (z 0.31)"."""
        if self.percentile is None or self.z is None:
            return self.problem
        return f"{ordinal(self.percentile)} percentile (z {self.z:+.2f})"


def plotted(child: Child, measure: Measure, given: Given, length: Given | None = None) -> Plotted:
    """A measurement against its standard; weight-for-length also needs the length of the same day."""
    quantity = QUANTITIES[measure]
    value, problem = _value(given, quantity)
    problem = problem or _person(child) or ("" if given.day else "cannot compute: no date")
    if problem or value is None or child.born is None or given.day is None:
        return Plotted(measure, given, value, quantity.unit, None, problem=problem)
    if given.day < child.born:
        return Plotted(
            measure, given, value, quantity.unit, None, problem="cannot compute: dated before birth"
        )
    age = corrected_age(child.born, given.day, child.gestation_days)
    whole = (given.day - child.born).days / MONTH
    notes = (age.why,) if age.why else ()
    found = Plotted(measure, given, value, quantity.unit, age.days / MONTH, notes=notes)
    at, problem = _place(measure, age.days, length)
    return _missing(found, problem) if problem else _scored(found, cast(Sex, child.sex), at, whole)


def _value(given: Given, quantity: Quantity) -> tuple[float | None, str]:
    if not isinstance(given.value, Decimal) or given.comparator:
        return None, f"cannot compute: {quantity.label} is not an exact number"
    value = quantity.convert(given.value, given.unit)
    if value is None:
        return None, f"cannot compute: unit {given.unit or 'missing'}, {quantity.unit} is needed"
    if not quantity.low <= value <= quantity.high:
        return None, f"cannot compute: {quantity.label} is implausible, check the measurement"
    return float(value), ""


def _person(child: Child) -> str:
    if child.born is None:
        return "cannot compute: missing date of birth"
    if child.sex not in ("female", "male"):
        return f"cannot compute: missing sex{f' ({child.sex_problem})' if child.sex_problem else ''}"
    return ""


def _place(measure: Measure, days: int, length: Given | None) -> tuple[float, str]:
    """Where on the chart: age in days, or the length of the day in cm."""
    if measure != "weight-for-length":
        return days, ""
    if length is None:
        return 0, "cannot compute: missing length of the same day"
    value, problem = _value(length, HEIGHT)
    return value or 0, problem


def _scored(found: Plotted, sex: Sex, at: float, calendar_months: float) -> Plotted:
    if calendar_months < WHO_UNTIL_MONTHS:
        figures, standard = who(found.measure, sex, at), WHO
    elif found.measure == "weight-for-length":
        figures, standard = None, CDC
    else:
        figures, standard = cdc(found.measure, sex, at / MONTH), CDC
    if figures is None or found.value is None:
        return _missing(found, _outside(found.measure))
    z = z_score(figures, found.value, adjusted=standard == WHO and found.measure in _ADJUSTED)
    percentile = NORMAL.cdf(z) * 100
    if standard == CDC and found.measure == "bmi" and percentile >= 95:
        z, percentile = _extended(figures, found.value, sex, at / MONTH)
        standard = CDC_EXTENDED
    low, high = _FLAGS[found.measure]
    if not low <= z <= high:
        return _missing(found, f"z-score {z:+.1f} is implausible: check the measurement, the age and the sex")
    return Plotted(
        found.measure, found.given, found.value, found.unit, found.months, round(z, 2), round(percentile, 2),
        standard, notes=found.notes, at=at if found.measure == "weight-for-length" else found.months,
    )  # fmt: skip


def _missing(found: Plotted, problem: str) -> Plotted:
    return Plotted(
        found.measure, found.given, found.value, found.unit, found.months, problem=problem, notes=found.notes
    )


def _outside(measure: Measure) -> str:
    if measure == "weight-for-length":
        return "outside the chart: weight-for-length is for lengths of 45 to 110 cm under 24 months"
    return f"outside the chart: it ends at {last_month(measure):g} months"


def z_score(figures: Lms, value: float, adjusted: bool = False) -> float:
    """z = ((x/M)^L - 1) / (L S). `adjusted`: beyond 3 SD of weights by the distance between SD 2 and 3 (WHO 2006, 7.3)."""
    power, median, spread = figures
    z = (
        log(value / median) / spread
        if abs(power) < 1e-9
        else ((value / median) ** power - 1) / (power * spread)
    )
    if not adjusted or abs(z) <= 3:
        return z
    side = 1 if z > 0 else -1
    third, second = at_z(figures, 3 * side), at_z(figures, 2 * side)
    return 3 * side + (value - third) / abs(third - second)


def at_z(figures: Lms, z: float) -> float:
    """The value at a z-score: the inverse of `z_score`."""
    power, median, spread = figures
    if abs(power) < 1e-9:
        return median * exp(spread * z)
    return float(median * (1 + power * spread * z) ** (1 / power))


def _extended(figures: Lms, value: float, sex: Sex, months: float) -> tuple[float, float]:
    """Above the 95th percentile of BMI a half-normal tail takes over (CDC 2022)."""
    years = months / 12
    sigma = (
        0.3728 + 0.5196 * years - 0.0091 * years**2
        if sex == "male"
        else 0.8334 + 0.3712 * years - 0.0011 * years**2
    )
    edge = at_z(figures, NORMAL.inv_cdf(0.95))
    percentile = 90 + 10 * NORMAL.cdf((value - edge) / sigma)
    return NORMAL.inv_cdf(min(percentile, 99.99999) / 100), percentile


def ordinal(percentile: float) -> str:
    """1st, 22nd, 99.6th; the ends as "below the 0.1st" and "above the 99.9th"."""
    if percentile < 0.1:
        return "below the 0.1st"
    if percentile > 99.9:
        return "above the 99.9th"
    if percentile < 1 or percentile > 99:
        return f"{percentile:.1f}th" if not f"{percentile:.1f}".endswith("1") else f"{percentile:.1f}st"
    whole = round(percentile)
    return f"{whole}{ {1: 'st', 2: 'nd', 3: 'rd'}.get(whole % 10 if whole // 10 != 1 else 0, 'th') }"
