"""How much, how often: from FHIR Dosage, or from a text where nothing is structured; what cannot be read is said."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from decimal import Decimal
from typing import Any

from msgspec import Struct

from commonchart.care.medications.naming import Drug

_DAYS = {
    "s": Decimal(1) / 86400, "min": Decimal(1) / 1440, "h": Decimal(1) / 24, "d": Decimal(1), "wk": Decimal(7),
    "mo": Decimal("30.4375"), "a": Decimal("365.25"),
}  # fmt: skip
_CODES: dict[str, Decimal | int] = {
    "QD": 1, "BID": 2, "TID": 3, "QID": 4, "AM": 1, "PM": 1, "HS": 1, "BED": 1, "Q1H": 24, "Q2H": 12, "Q3H": 8, "Q4H": 6,
    "Q6H": 4, "Q8H": 3, "Q12H": 2, "WK": Decimal(1) / 7, "QOD": Decimal(1) / 2, "MO": 1 / Decimal("30.4375"),
}  # fmt: skip
_COUNTED = {
    "tablet", "tablets", "tab", "tabs", "{tbl}", "tbl", "capsule", "capsules", "cap", "caps", "{capsule}", "puff", "puffs",
    "actuat", "patch", "patches", "{patch}", "suppository", "supp", "drop",
}  # fmt: skip
_MASS = {
    "mg": Decimal(1), "g": Decimal(1000), "ug": Decimal("0.001"), "mcg": Decimal("0.001"), "µg": Decimal("0.001"),
    "ng": Decimal("0.000001"), "kg": Decimal(1000000),
}  # fmt: skip


class Dose(Struct, frozen=True):
    """One dosage: `amount` in `unit` at once (the largest allowed), `a_day` times a day. "" problem when both are known."""

    amount: Decimal | None = None
    unit: str = ""
    a_day: Decimal | None = None
    most_a_day: Decimal | None = None
    per_kg: bool = False
    as_needed: bool = False
    from_text: bool = False
    problem: str = ""

    @property
    def days_between(self) -> Decimal | None:
        """Days from one dose to the next."""
        return 1 / self.a_day if self.a_day else None


def read(instructions: Sequence[Mapping[str, Any]]) -> Dose:
    """The one dosage of these instructions; several are not added up, because they may follow one another."""
    if not instructions:
        return Dose(problem="no dose recorded")
    doses = [_one(entry) for entry in instructions]
    if len(doses) > 1:
        return Dose(problem="several dosage instructions", as_needed=any(d.as_needed for d in doses))
    return doses[0]


def _one(entry: Mapping[str, Any]) -> Dose:
    amount, unit, per_kg, problem = _quantity(entry.get("doseAndRate") or ())
    a_day = _frequency(entry.get("timing") or {})
    needed = entry.get("asNeededBoolean") is True or bool(entry.get("asNeededCodeableConcept"))
    if amount is None and a_day is None and not problem and entry.get("text"):
        return _from_text(str(entry["text"]), needed)
    if amount is None:
        problem = problem or "no dose recorded"
    most = _most(entry.get("maxDosePerPeriod"))
    if a_day is None and most is None and not problem:
        problem = "how often is not recorded"
    return Dose(amount, unit, a_day, most, per_kg, needed, False, problem)


def _quantity(rates: Sequence[Mapping[str, Any]]) -> tuple[Decimal | None, str, bool, str]:
    """The largest dose of the alternatives."""
    found: list[tuple[Decimal, str]] = []
    for rate in rates:
        high = (rate.get("doseRange") or {}).get("high")
        quantity = rate.get("doseQuantity") or high
        if quantity and quantity.get("value") is not None:
            found.append(
                (Decimal(str(quantity["value"])), str(quantity.get("code") or quantity.get("unit") or ""))
            )
        elif rate:
            return None, "", False, "the dose is a rate or has no number"
    if not found:
        return None, "", False, ""
    amount, unit = max(found)
    if amount <= 0:
        return None, unit, False, "the dose is not a positive number"
    bare = unit.lower().removesuffix("/kg")
    return amount, bare, unit.lower().endswith("/kg"), "" if bare else "the dose has no unit"


def _frequency(timing: Mapping[str, Any]) -> Decimal | None:
    repeat = timing.get("repeat") or {}
    period, unit = repeat.get("period"), _DAYS.get(str(repeat.get("periodUnit")))
    if period and unit:
        count = Decimal(str(repeat.get("frequencyMax") or repeat.get("frequency") or 1))
        days = max(len(repeat.get("dayOfWeek") or ()), len(repeat.get("when") or ()), 1)
        return count * days / (Decimal(str(period)) * unit)
    if repeat.get("dayOfWeek"):
        return Decimal(len(repeat["dayOfWeek"])) / 7
    if repeat.get("when"):
        return Decimal(len(repeat["when"]))
    codings = (timing.get("code") or {}).get("coding") or ()
    return next((Decimal(_CODES[c["code"]]) for c in codings if c.get("code") in _CODES), None)


def _most(ratio: Any) -> Decimal | None:
    """`maxDosePerPeriod` per day, in the unit of its numerator (the unit of the dose is taken to be the same)."""
    if not isinstance(ratio, dict):
        return None
    top, bottom = ratio.get("numerator") or {}, ratio.get("denominator") or {}
    unit = _DAYS.get(str(bottom.get("code") or bottom.get("unit") or "d"))
    if (
        top.get("value") is None
        or not unit
        or str(top.get("code") or top.get("unit") or "").lower() not in _MASS
    ):
        return None
    factor = _MASS[str(top.get("code") or top.get("unit")).lower()]
    return Decimal(str(top["value"])) * factor / (Decimal(str(bottom.get("value") or 1)) * unit)


# ---- from a text ------------------------------------------------------------------------------------------------

_AMOUNT = re.compile(
    r"\b(?:(\d+(?:\.\d+)?)\s*(?:-|to)\s*)?(\d+(?:\.\d+)?|one|two|half|three)\s*"
    r"(mg/kg|mg|mcg|ug|g|tablets?|tabs?|capsules?|caps?|puffs?|ml)\b", re.I,
)  # fmt: skip
_WORDS = {
    "half": Decimal("0.5"),
    "one": Decimal(1),
    "two": Decimal(2),
    "three": Decimal(3),
    "four": Decimal(4),
}
_OFTEN: tuple[tuple[re.Pattern[str], Decimal], ...] = tuple(
    (re.compile(rf"\b(?:{words})\b", re.I), times)
    for words, times in (
        (r"once weekly|once a week|weekly|every week|every 7 days", Decimal(1) / 7),
        (r"every other day|every 2 days|on alternate days", Decimal(1) / 2),
        (r"once daily|once a day|daily|every day|each day|qd|at bedtime|nightly|every morning|every evening|every 24 hours|q24h", Decimal(1)),
        (r"twice daily|twice a day|two times a day|2 times a day|bid|every 12 hours|q12h", Decimal(2)),
        (r"three times daily|three times a day|3 times a day|tid|every 8 hours|q8h", Decimal(3)),
        (r"four times daily|four times a day|4 times a day|qid|every 6 hours|q6h", Decimal(4)),
        (r"every 4 hours|q4h", Decimal(6)),
    )
)  # fmt: skip


def _from_text(text: str, needed: bool) -> Dose:
    """A dose from words, only where exactly one amount and one frequency can be read."""
    needed = needed or bool(re.search(r"\b(as needed|prn|if needed)\b", text, re.I))
    amounts = _AMOUNT.findall(text)
    often = set(_times(text))
    if len(amounts) != 1 or len(often) != 1:
        return Dose(
            as_needed=needed,
            from_text=True,
            problem="the dose is only a text that cannot be read for certain",
        )
    _, number, unit = amounts[0]
    amount = _WORDS.get(number.lower()) or Decimal(number)
    unit = unit.lower()
    return Dose(amount, unit.removesuffix("/kg"), often.pop(), None, unit.endswith("/kg"), needed, True)


def _times(text: str) -> list[Decimal]:
    """The frequencies in a text; "twice daily" is not also "daily"."""
    found: list[Decimal] = []
    left = text
    for pattern, times in sorted(_OFTEN, key=lambda pair: -max(map(len, pair[0].pattern.split("|")))):
        changed = pattern.sub(" ", left)
        if changed != left and not (times == 1 and found):
            found.append(times)
        left = changed
    return found


# ---- amounts ----------------------------------------------------------------------------------------------------


class Amount(Struct, frozen=True):
    """An amount of one ingredient at once, and a day, in the unit asked for; `problem` says what is not known."""

    single: Decimal | None = None
    daily: Decimal | None = None
    problem: str = ""


def amount(drug: Drug, dose: Dose, ingredient: str, unit: str, weight_kg: Decimal | None) -> Amount:
    """How much of an ingredient a dosage gives, in mg (or `unit`)."""
    if dose.amount is None:
        return Amount(None, dose.most_a_day, dose.problem or "no dose recorded")
    single, problem = _single(drug, dose, ingredient, unit)
    if single is not None and dose.per_kg:
        if weight_kg is None:
            return Amount(problem="the dose is per kg and no weight is known")
        single *= weight_kg
    if single is None:
        return Amount(problem=problem)
    daily = single * dose.a_day if dose.a_day else dose.most_a_day
    if dose.most_a_day is not None and daily is not None:
        daily = min(daily, dose.most_a_day)
    return Amount(single, daily, "" if daily is not None else dose.problem or "how often is not recorded")


def _single(drug: Drug, dose: Dose, ingredient: str, unit: str) -> tuple[Decimal | None, str]:
    assert dose.amount is not None
    if not dose.unit:
        return None, "the dose has no unit"
    if (given := _in(dose.amount, dose.unit, unit)) is not None:
        if len(drug.ingredients) > 1:
            return None, f"the dose in {dose.unit} does not say of which ingredient"
        return given, ""
    strength = drug.strengths.get(ingredient)
    if strength is None:
        return None, f"the dose is in {dose.unit} and the strength is not known"
    value, mass, per = strength
    fits = (dose.unit == "ml" and per == "ml") or (dose.unit in _COUNTED and per in ("", "actuat"))
    each = _in(value, mass, unit)
    if not fits or each is None:
        return (
            None,
            f"the dose in {dose.unit} does not fit the strength {value} {mass}{'/' + per if per else ''}",
        )
    return dose.amount * each, ""


def _in(value: Decimal, given: str, wanted: str) -> Decimal | None:
    given = given.lower()
    if given == wanted.lower():
        return value
    factor = _MASS.get(given)
    return value * factor if factor is not None and wanted == "mg" else None
