"""Kidney function: CKD-EPI 2021 (creatinine), CKD-EPI 2012 (cystatin C) and Cockcroft-Gault."""

from __future__ import annotations

from datetime import date
from typing import Literal

from commonchart.care.calculators.body import ideal_weight_kg
from commonchart.care.calculators.quantities import CREATININE, CYSTATIN, HEIGHT, WEIGHT
from commonchart.care.calculators.sheet import Given, Result, Sheet

SEXES = ("female", "male")
Weighed = Literal["actual", "ideal", "adjusted"]
CKD_EPI = "CKD-EPI 2021, creatinine, without race: Inker et al., N Engl J Med 2021;385:1737"
CKD_EPI_CYSTATIN = "CKD-EPI 2012, cystatin C: Inker et al., N Engl J Med 2012;367:20"
COCKCROFT = "Cockcroft and Gault, Nephron 1976;16:31"


def egfr(creatinine: Given | None, sex: Given | None, born: date | None, on: date) -> Result:
    """Estimated GFR, mL/min/1.73 m2, for adults. Creatinine must be steady and IDMS-traceable, which is not known here."""
    sheet = Sheet("eGFR (CKD-EPI 2021)", CKD_EPI)
    mg_dl = sheet.number(creatinine, CREATININE)
    female = sheet.word(sex, "sex", SEXES) == "female"
    age = sheet.age(born, on)
    sheet.inside(age, 18, 120, "age", "years")
    if sheet.stopped:
        return sheet.refused()
    kappa, alpha = (0.7, -0.241) if female else (0.9, -0.302)
    ratio = mg_dl / kappa
    value = 142 * min(ratio, 1) ** alpha * max(ratio, 1) ** -1.200 * 0.9938**age * (1.012 if female else 1)
    return sheet.answer(value, "mL/min/{1.73_m2}", 0)


def egfr_cystatin(cystatin: Given | None, sex: Given | None, born: date | None, on: date) -> Result:
    """Estimated GFR from cystatin C, mL/min/1.73 m2, for adults."""
    sheet = Sheet("eGFR (CKD-EPI 2012, cystatin C)", CKD_EPI_CYSTATIN)
    mg_l = sheet.number(cystatin, CYSTATIN)
    female = sheet.word(sex, "sex", SEXES) == "female"
    age = sheet.age(born, on)
    sheet.inside(age, 18, 120, "age", "years")
    if sheet.stopped:
        return sheet.refused()
    ratio = mg_l / 0.8
    value = 133 * min(ratio, 1) ** -0.499 * max(ratio, 1) ** -1.328 * 0.996**age * (0.932 if female else 1)
    return sheet.answer(value, "mL/min/{1.73_m2}", 0)


def creatinine_clearance(
    creatinine: Given | None,
    weight: Given | None,
    sex: Given | None,
    born: date | None,
    on: date,
    height: Given | None = None,
    by: Weighed = "actual",
) -> Result:
    """Cockcroft-Gault clearance, mL/min, by actual, ideal (Devine) or adjusted (ideal + 0.4 of the excess) weight."""
    sheet = Sheet(f"Creatinine clearance (Cockcroft-Gault, {by} weight)", COCKCROFT)
    mg_dl, kg = sheet.number(creatinine, CREATININE), sheet.number(weight, WEIGHT)
    female = sheet.word(sex, "sex", SEXES) == "female"
    age = sheet.age(born, on)
    sheet.inside(age, 18, 120, "age", "years")
    if by != "actual":
        kg = _dosing_weight(sheet, kg, sheet.number(height, HEIGHT), "female" if female else "male", by)
    if sheet.stopped:
        return sheet.refused()
    return sheet.answer((140 - age) * kg / (72 * mg_dl) * (0.85 if female else 1), "mL/min", 0)


def _dosing_weight(sheet: Sheet, kg: float, cm: float, sex: str, by: Weighed) -> float:
    sheet.inside(cm, 152.4, 272, "height for the ideal weight", "cm")
    if sheet.stopped:
        return kg
    ideal = ideal_weight_kg(cm, sex)
    sheet.notes.append(f"ideal weight {ideal:.1f} kg (Devine 1974)")
    return ideal if by == "ideal" else ideal + 0.4 * max(kg - ideal, 0)
