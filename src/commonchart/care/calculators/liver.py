"""Liver scores: MELD 3.0 and FIB-4."""

from __future__ import annotations

from datetime import date
from math import log, sqrt

from commonchart.care.calculators import quantities as q
from commonchart.care.calculators.kidney import SEXES
from commonchart.care.calculators.sheet import Given, Result, Sheet

MELD_3 = "MELD 3.0: Kim et al., Gastroenterology 2021;161:1887; OPTN policy since July 2023"
FIB_4 = "FIB-4: Sterling et al., Hepatology 2006;43:1317"


def meld(
    bilirubin: Given | None,
    inr: Given | None,
    creatinine: Given | None,
    sodium: Given | None,
    albumin: Given | None,
    sex: Given | None,
    dialysis: Given | None,
    born: date | None,
    on: date,
) -> Result:
    """MELD 3.0, 6 to 40, for adults. Dialysis (twice in the last week, or 24 h of CVVHD) sets creatinine to 3.0 mg/dL."""
    sheet = Sheet("MELD 3.0", MELD_3)
    values = [
        sheet.number(given, quantity)
        for given, quantity in (
            (bilirubin, q.BILIRUBIN),
            (inr, q.INR),
            (sodium, q.SODIUM),
            (albumin, q.ALBUMIN),
        )
    ]
    on_dialysis = sheet.truth(dialysis, "whether on dialysis")
    kidney = 3.0 if on_dialysis else sheet.number(creatinine, q.CREATININE)
    female = sheet.word(sex, "sex", SEXES) == "female"
    sheet.inside(sheet.age(born, on), 18, 120, "age", "years")
    if sheet.stopped:
        return sheet.refused()
    bili, ratio, salt, protein = values
    return sheet.answer(_meld(bili, ratio, salt, protein, kidney, female), "points", 0)


def _meld(bili: float, inr: float, sodium: float, albumin: float, creatinine: float, female: bool) -> float:
    bilirubin, ratio = log(max(bili, 1)), log(max(inr, 1))
    kidney = log(min(max(creatinine, 1), 3))
    low_sodium = 137 - min(max(sodium, 125), 137)
    low_albumin = 3.5 - min(max(albumin, 1.5), 3.5)
    raw = (
        (1.33 if female else 0) + 4.56 * bilirubin + 0.82 * low_sodium - 0.24 * low_sodium * bilirubin
        + 9.09 * ratio + 11.14 * kidney + 1.85 * low_albumin - 1.83 * low_albumin * kidney + 6
    )  # fmt: skip
    return min(max(raw, 6), 40)


def fib4(
    ast: Given | None, alt: Given | None, platelets: Given | None, born: date | None, on: date
) -> Result:
    """FIB-4 = age * AST / (platelets * sqrt(ALT)); made for 35 to 65 years, other adults get a note."""
    sheet = Sheet("FIB-4", FIB_4)
    u_ast, u_alt = sheet.number(ast, q.AST), sheet.number(alt, q.ALT)
    count = sheet.number(platelets, q.PLATELETS)
    age = sheet.age(born, on)
    sheet.inside(age, 18, 120, "age", "years")
    if sheet.stopped:
        return sheet.refused()
    if not 35 <= age <= 65:
        sheet.notes.append(
            "less reliable outside 35 to 65 years; above 65 the lower limit is 2.0 instead of 1.3"
        )
    return sheet.answer(age * u_ast / (count * sqrt(u_alt)), "", 2)
