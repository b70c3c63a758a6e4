"""Heart and vessels: CHA2DS2-VASc, the pooled cohort equations of 2013, and PREVENT of 2023 (base model, 10 years)."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import date
from math import exp, log

from commonchart.care.calculators import quantities as q
from commonchart.care.calculators.kidney import SEXES
from commonchart.care.calculators.sheet import Given, Result, Sheet

VASC = "CHA2DS2-VASc: Lip et al., Chest 2010;137:263"
PCE = "Pooled cohort equations: Goff et al., Circulation 2014;129(suppl 2):S49, appendix 7"
PREVENT = "PREVENT base model: Khan et al., Circulation 2024;149:430, supplemental table S12"

Facts = Mapping[str, Given]


def cha2ds2_vasc(facts: Facts, sex: Given | None, born: date | None, on: date) -> Result:
    """Points 0 to 9. `facts`: heart failure, hypertension, diabetes, stroke, vascular disease; each must be known."""
    sheet = Sheet("CHA2DS2-VASc", VASC)
    weights = {"heart failure": 1, "hypertension": 1, "diabetes": 1, "stroke": 2, "vascular disease": 1}
    points = sum(weight * sheet.truth(facts.get(name), name) for name, weight in weights.items())
    points += sheet.word(sex, "sex", SEXES) == "female"
    age = sheet.age(born, on)
    sheet.inside(age, 18, 120, "age", "years")
    if sheet.stopped:
        return sheet.refused()
    return sheet.answer(points + (2 if age >= 75 else 1 if age >= 65 else 0), "points", 0)


# ---- pooled cohort equations ------------------------------------------------------------------------------------

# ln age, ln age squared, ln TC, ln age * ln TC, ln HDL, ln age * ln HDL, ln treated SBP, ln age * that, ln untreated SBP,
# ln age * that, smoker, ln age * smoker, diabetes; then mean and baseline survival
_POOLED = {
    ("female", "white"): (-29.799, 4.884, 13.540, -3.114, -13.578, 3.149, 2.019, 0, 1.957, 0, 7.574, -1.665, 0.661, -29.18, 0.9665),
    ("female", "black"): (17.114, 0, 0.940, 0, -18.920, 4.475, 29.291, -6.432, 27.820, -6.087, 0.691, 0, 0.874, 86.61, 0.9533),
    ("male", "white"): (12.344, 0, 11.853, -2.664, -7.990, 1.769, 1.797, 0, 1.764, 0, 7.837, -1.795, 0.658, 61.18, 0.9144),
    ("male", "black"): (2.469, 0, 0.302, 0, -0.307, 0, 1.916, 0, 1.809, 0, 0.549, 0, 0.645, 19.54, 0.8954),
}  # fmt: skip


def pooled_cohort(facts: Facts, sex: Given | None, race: Given | None, born: date | None, on: date) -> Result:
    """Ten-year risk of hard ASCVD, %, for 40 to 79 years without it. `race`: "white" (also for others) or "black".

    `facts`: total cholesterol, hdl, systolic (numbers); blood pressure treated, diabetes, smoker, ascvd (yes or no).
    """
    sheet = Sheet("ASCVD risk, 10 years (pooled cohort equations)", PCE)
    given = _lipids(sheet, facts)
    treated, diabetes, smoker = _yes_no(sheet, facts)
    group = (
        sheet.word(sex, "sex", SEXES),
        sheet.word(race, "race, as this equation uses it", ("white", "black")),
    )
    age = sheet.age(born, on)
    _ranges(sheet, (age, 40, 79), (given[0], 130, 320), (given[1], 20, 100), (given[2], 90, 200))
    if sheet.stopped:
        return sheet.refused()
    return sheet.answer(_pooled(group, age, *given, treated, diabetes, smoker) * 100, "%", 1)


def _pooled(
    group: tuple[str, str], age: float, total: float, hdl: float, systolic: float,
    treated: bool, diabetes: bool, smoker: bool,
) -> float:  # fmt: skip
    *weights, mean, survival = _POOLED[group]
    a, s = log(age), log(systolic)
    terms = (
        a, a * a, log(total), a * log(total), log(hdl), a * log(hdl), s * treated, a * s * treated,
        s * (not treated), a * s * (not treated), smoker, a * smoker, diabetes,
    )  # fmt: skip
    score = sum(weight * term for weight, term in zip(weights, terms, strict=True))
    return float(1 - survival ** exp(score - mean))


# ---- PREVENT ----------------------------------------------------------------------------------------------------

# constant, age, non-HDL, HDL, SBP under 110, SBP from 110, diabetes, smoker, eGFR under 60, eGFR from 60, treated pressure,
# statin, treated * SBP, statin * non-HDL, then age * (non-HDL, HDL, SBP, diabetes, smoker, eGFR under 60)
_PREVENT = {
    ("female", "cvd"): (-3.307728, 0.7939329, 0.0305239, -0.1606857, -0.2394003, 0.360078, 0.8667604, 0.5360739, 0.6045917, 0.0433769, 0.3151672, -0.1477655, -0.0663612, 0.1197879, -0.0819715, 0.0306769, -0.0946348, -0.27057, -0.078715, -0.1637806),
    ("male", "cvd"): (-3.031168, 0.7688528, 0.0736174, -0.0954431, -0.4347345, 0.3362658, 0.7692857, 0.4386871, 0.5378979, 0.0164827, 0.288879, -0.1337349, -0.0475924, 0.150273, -0.0517874, 0.0191169, -0.1049477, -0.2251948, -0.0895067, -0.1543702),
    ("female", "ascvd"): (-3.819975, 0.719883, 0.1176967, -0.151185, -0.0835358, 0.3592852, 0.8348585, 0.4831078, 0.4864619, 0.0397779, 0.2265309, -0.0592374, -0.0395762, 0.0844423, -0.0567839, 0.0325692, -0.1035985, -0.2417542, -0.0791142, -0.1671492),
    ("male", "ascvd"): (-3.500655, 0.7099847, 0.1658663, -0.1144285, -0.2837212, 0.3239977, 0.7189597, 0.3956973, 0.3690075, 0.0203619, 0.2036522, -0.0865581, -0.0322916, 0.114563, -0.0300005, 0.0232747, -0.0927024, -0.2018525, -0.0970527, -0.1217081),
}  # fmt: skip
_MMOL = 0.02586


def prevent_cvd(facts: Facts, sex: Given | None, born: date | None, on: date) -> Result:
    """PREVENT ten-year risk of all cardiovascular disease (ASCVD and heart failure), %, for 30 to 79 years without it."""
    return _prevent("Cardiovascular risk, 10 years (PREVENT)", "cvd", facts, sex, born, on)


def prevent_ascvd(facts: Facts, sex: Given | None, born: date | None, on: date) -> Result:
    """PREVENT ten-year risk of ASCVD, %. `facts` as for `pooled_cohort`, with egfr and statin."""
    return _prevent("ASCVD risk, 10 years (PREVENT)", "ascvd", facts, sex, born, on)


def _prevent(name: str, outcome: str, facts: Facts, sex: Given | None, born: date | None, on: date) -> Result:
    sheet = Sheet(name, PREVENT)
    given = _lipids(sheet, facts)
    egfr = sheet.number(facts.get("egfr"), q.EGFR)
    flags = (*_yes_no(sheet, facts), sheet.truth(facts.get("statin"), "whether on a statin"))
    group = sheet.word(sex, "sex", SEXES)
    age = sheet.age(born, on)
    _ranges(sheet, (age, 30, 79), (given[0], 130, 320), (given[1], 20, 100), (given[2], 90, 200))
    sheet.inside(egfr, 15, 140, "eGFR", "mL/min/1.73 m2")
    if sheet.stopped:
        return sheet.refused()
    odds = exp(_log_odds(_PREVENT[group, outcome], age, *given, egfr, *flags))
    return sheet.answer(odds / (1 + odds) * 100, "%", 1)


def _log_odds(
    weights: tuple[float, ...], age: float, total: float, hdl: float, systolic: float, egfr: float,
    treated: bool, diabetes: bool, smoker: bool, statin: bool,
) -> float:  # fmt: skip
    a = (age - 55) / 10
    fat, good = (total - hdl) * _MMOL - 3.5, (hdl * _MMOL - 1.3) / 0.3
    low, high = (min(systolic, 110) - 110) / 20, (max(systolic, 110) - 130) / 20
    weak, fair = (min(egfr, 60) - 60) / -15, (max(egfr, 60) - 90) / -15
    terms = (
        1, a, fat, good, low, high, diabetes, smoker, weak, fair, treated, statin, treated * high, statin * fat,
        a * fat, a * good, a * high, a * diabetes, a * smoker, a * weak,
    )  # fmt: skip
    return sum(weight * term for weight, term in zip(weights, terms, strict=True))


# ---- both -------------------------------------------------------------------------------------------------------


def _lipids(sheet: Sheet, facts: Facts) -> tuple[float, float, float]:
    return (
        sheet.number(facts.get("total cholesterol"), q.CHOLESTEROL),
        sheet.number(facts.get("hdl"), q.HDL),
        sheet.number(facts.get("systolic"), q.SYSTOLIC),
    )


def _yes_no(sheet: Sheet, facts: Facts) -> tuple[bool, bool, bool]:
    if sheet.truth(facts.get("ascvd"), "whether cardiovascular disease is known"):
        sheet.wrong.append(
            "outside the range the formula was made for (people without cardiovascular disease)"
        )
    return (
        sheet.truth(facts.get("blood pressure treated"), "whether blood pressure is treated"),
        sheet.truth(facts.get("diabetes"), "diabetes"),
        sheet.truth(facts.get("smoker"), "whether a current smoker"),
    )


def _ranges(sheet: Sheet, *ranges: tuple[float, float, float]) -> None:
    names = (
        ("age", "years"),
        ("total cholesterol", "mg/dL"),
        ("HDL", "mg/dL"),
        ("systolic pressure", "mm[Hg]"),
    )
    for (value, low, high), (label, unit) in zip(ranges, names, strict=True):
        sheet.inside(value, low, high, label, unit)
