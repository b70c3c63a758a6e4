"""Body mass index, ideal and adjusted weight, and the corrected age of infants born too early."""

from __future__ import annotations

from datetime import date, timedelta

from msgspec import Struct

from commonchart.care.calculators.quantities import HEIGHT, WEIGHT
from commonchart.care.calculators.sheet import Given, Result, Sheet

TERM_DAYS = 40 * 7
PRETERM_DAYS = 37 * 7
CORRECTED_UNTIL_MONTHS = 24


def bmi(weight: Given | None, height: Given | None) -> Result:
    """Weight over height squared, kg/m2 (Quetelet). Both must be recorded; a height of a child soon is too old: see `growth`."""
    sheet = Sheet("BMI", "Quetelet index: weight (kg) / height (m) squared")
    kg, cm = sheet.number(weight, WEIGHT), sheet.number(height, HEIGHT)
    if sheet.stopped:
        return sheet.refused()
    value = kg / (cm / 100) ** 2
    if not 5 <= value <= 200:
        sheet.wrong.append("weight and height do not fit each other")
        return sheet.refused()
    return sheet.answer(value, "kg/m2", 1)


def ideal_weight_kg(height_cm: float, sex: str) -> float:
    """Devine 1974: 50 (men) or 45.5 (women) kg plus 2.3 kg for each inch over 60; for adults of at least 60 inches."""
    return (50.0 if sex == "male" else 45.5) + 2.3 * (height_cm / 2.54 - 60)


class Corrected(Struct, frozen=True):
    """The age to judge an infant by. `corrected` says whether it differs from the age by the calendar."""

    days: int
    corrected: bool
    why: str


def corrected_age(born: date, on: date, gestation_days: int | None) -> Corrected:
    """Age in days, less the days missing to 40 weeks for births before 37 weeks, until 24 months of age.

    American Academy of Pediatrics, Engle 2004 (Pediatrics 114:1362). Never below zero; unknown gestation is said.
    """
    days = (on - born).days
    if days > CORRECTED_UNTIL_MONTHS * 30.4375:
        return Corrected(days, False, "")
    if gestation_days is None:
        return Corrected(days, False, "gestational age at birth not recorded: age not corrected")
    if gestation_days >= PRETERM_DAYS:
        return Corrected(days, False, "")
    weeks, rest = divmod(gestation_days, 7)
    early = TERM_DAYS - gestation_days
    return Corrected(max(days - early, 0), True, f"corrected for birth at {weeks}+{rest} weeks")


def term_date(born: date, gestation_days: int) -> date:
    """The day on which 40 weeks were complete."""
    return born + timedelta(days=TERM_DAYS - gestation_days)
