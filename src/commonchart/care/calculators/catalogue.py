"""The calculators of the chart's page, each over the same inputs, and an answer as an Observation that says how it came about."""

from __future__ import annotations

from collections.abc import Callable
from datetime import date
from typing import Any

from msgspec import Struct

from commonchart.care.calculators import body, heart, kidney, liver
from commonchart.care.calculators.from_fhir import Inputs
from commonchart.care.calculators.sheet import Given, Result

VERSION = "1"
"""Of the formulas as they are programmed here: it changes whenever an answer would."""
SYSTEM = "https://commonchart.example/calculator"
CHECKED = "The men's ASCVD coefficients of PREVENT were compared with independent implementations, not with the publication itself"


class Calculator(Struct, frozen=True):
    """One calculator. `loinc` is the code of its answer, "" where only our own is used; `review` says what was not checked."""

    id: str
    run: Callable[[Inputs, Given | None, date], Result]
    loinc: str = ""
    review: str = ""


def _facts(given: Inputs) -> dict[str, Given]:
    return {**given.numbers, **given.truths}


def _meld(given: Inputs, on: date) -> Result:
    n = given.numbers
    return liver.meld(
        n.get("bilirubin"), n.get("inr"), n.get("creatinine"), n.get("sodium"), n.get("albumin"), given.sex,
        given.truths.get("dialysis"), given.born, on,
    )  # fmt: skip


def _clearance(given: Inputs, on: date) -> Result:
    n = given.numbers
    return kidney.creatinine_clearance(n.get("creatinine"), n.get("weight"), given.sex, given.born, on)


CALCULATORS: tuple[Calculator, ...] = (
    Calculator("bmi", lambda g, _, on: body.bmi(g.numbers.get("weight"), g.numbers.get("height")), "39156-5"),
    Calculator("egfr", lambda g, _, on: kidney.egfr(g.numbers.get("creatinine"), g.sex, g.born, on), "98979-8"),
    Calculator("clearance", lambda g, _, on: _clearance(g, on)),
    Calculator("prevent-cvd", lambda g, _, on: heart.prevent_cvd(_facts(g), g.sex, g.born, on)),
    Calculator("prevent-ascvd", lambda g, _, on: heart.prevent_ascvd(_facts(g), g.sex, g.born, on), review=CHECKED),
    Calculator("pooled-cohort", lambda g, race, on: heart.pooled_cohort(_facts(g), g.sex, race, g.born, on)),
    Calculator("cha2ds2-vasc", lambda g, _, on: heart.cha2ds2_vasc(_facts(g), g.sex, g.born, on)),
    Calculator("meld", lambda g, _, on: _meld(g, on)),
    Calculator("fib4", lambda g, _, on: liver.fib4(
        g.numbers.get("ast"), g.numbers.get("alt"), g.numbers.get("platelets"), g.born, on
    )),
)  # fmt: skip


def why_not_kept(result: Result) -> str:
    """Why an answer cannot become an Observation, "" if it can: its numbers must be in the record."""
    if result.value is None:
        return "there is no answer"
    typed = [
        one.name for one in result.inputs if not isinstance(one.given.value, bool | str) and not one.given.ref
    ]
    return (
        f"{' and '.join(typed)} {'is' if len(typed) == 1 else 'are'} not in the record: record it first"
        if typed
        else ""
    )


def observation(made: Calculator, result: Result, patient: str, now: str) -> dict[str, Any]:
    """The answer as a final Observation: what it is derived from, by which formula, and every input as used.

    It is true of the day of its newest measurement, not of the day on which it was computed.
    """
    days = [
        one.given.day for one in result.inputs if one.given.day and one.given.ref.startswith("Observation/")
    ]
    refs = dict.fromkeys(one.given.ref for one in result.inputs if one.given.ref.startswith("Observation/"))
    codings = [{"system": SYSTEM, "code": made.id}]
    if made.loinc:
        codings.insert(0, {"system": "http://loinc.org", "code": made.loinc})
    quantity: dict[str, Any] = {"value": result.value}
    if result.unit:
        quantity |= {"unit": result.unit}
        if result.unit != "points":
            quantity |= {"system": "http://unitsofmeasure.org", "code": result.unit}
    used = "; ".join(f"{one.name} {one.value}" for one in result.inputs)
    return {
        "resourceType": "Observation", "status": "final", "subject": {"reference": f"Patient/{patient}"},
        "code": {"coding": codings, "text": result.name}, "valueQuantity": quantity,
        "effectiveDateTime": max(days).isoformat() if days else now[:10], "issued": now,
        "method": {"text": f"{result.source}; formula version {VERSION}"},
        "derivedFrom": [{"reference": ref} for ref in refs],
        "note": [{"text": f"Computed from {used}" + (f". {'; '.join(result.notes)}" if result.notes else "")}],
    }  # fmt: skip
