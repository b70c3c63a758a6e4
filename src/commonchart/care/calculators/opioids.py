"""Morphine milligram equivalents a day, by the factors of CDC's guideline of 2022."""

from __future__ import annotations

from collections.abc import Sequence
from decimal import Decimal

from msgspec import Struct

from commonchart.care.calculators.quantities import DOSE, PATCH
from commonchart.care.calculators.sheet import Given, Result, Sheet

CDC_2022 = (
    "CDC Clinical Practice Guideline for Prescribing Opioids for Pain, 2022 (MMWR 71, RR-3), table of factors"
)
FACTORS = {
    "codeine": Decimal("0.15"),
    "hydrocodone": Decimal(1),
    "hydromorphone": Decimal(5),
    "methadone": Decimal("4.7"),
    "morphine": Decimal(1),
    "oxycodone": Decimal("1.5"),
    "oxymorphone": Decimal(3),
    "tapentadol": Decimal("0.4"),
    "tramadol": Decimal("0.2"),
}
FENTANYL_PATCH = Decimal("2.4")


class Opioid(Struct, frozen=True):
    """One opioid taken: its ingredient, mg a day (a patch: ug/h), the route, and whether only as needed."""

    ingredient: str
    daily: Given | None
    route: str = "oral"
    as_needed: bool = False


def mme(opioids: Sequence[Opioid]) -> Result:
    """The sum over all opioids, MME/day. One that cannot be counted stops the sum: a part would look like the whole."""
    sheet = Sheet("Morphine milligram equivalents", CDC_2022)
    total = sum((_one(sheet, opioid) for opioid in opioids), 0.0)
    if sheet.stopped:
        return sheet.refused()
    if any(opioid.as_needed for opioid in opioids):
        sheet.notes.append("as-needed doses are counted in full")
    return sheet.answer(total, "MME/d", 1)


def _one(sheet: Sheet, opioid: Opioid) -> float:
    name = opioid.ingredient
    patch = name == "fentanyl" and opioid.route == "transdermal"
    factor = FENTANYL_PATCH if patch else FACTORS.get(name)
    if factor is None or (not patch and opioid.route != "oral"):
        sheet.wrong.append(f"no factor for {name} by the {opioid.route} route")
        return 0.0
    if opioid.daily is None:
        sheet.missing.append(f"daily dose of {name}")
        return 0.0
    return sheet.number(opioid.daily, PATCH if patch else DOSE) * float(factor)
