"""Measurements and reports as resources: one value, a panel with its report, vitals with blood pressure as a pair."""

from __future__ import annotations

from datetime import datetime, timedelta
from decimal import Decimal
from typing import Any

from commonchart.demo.codes import LOINC, PANELS, SHOWN, SNOMED, TERM, TESTS, UCUM, Test, concept, term
from commonchart.demo.folder import Folder, Resource, stamp
from commonchart.demo.places import LAB_ACTOR, LABORATORY, reference

FLAGS = TERM + "v3-ObservationInterpretation"


def quantity(value: Decimal, unit: str) -> Resource:
    """A UCUM Quantity."""
    return {"value": value, "unit": SHOWN.get(unit, unit), "system": UCUM, "code": unit}


def category(code: str) -> list[Resource]:
    """Observation.category."""
    return [term("observation-category", code)]


def flag(test: Test, value: Decimal) -> str:
    """N, L, H, LL, HH, or nothing where there is no range."""
    number = float(value)
    if test.critical_high is not None and number > test.critical_high:
        return "HH"
    if test.critical_low is not None and number < test.critical_low:
        return "LL"
    if test.high is not None and number > test.high:
        return "H"
    if test.low is not None and number < test.low:
        return "L"
    return "N" if test.low is not None or test.high is not None else ""


def measured(key: str, value: Decimal, subject: Resource, when: datetime, visit: Resource | None) -> Resource:
    """The body of one laboratory result or vital sign."""
    test = TESTS[key]
    body: dict[str, Any] = {
        "status": "final",
        "code": concept(test.text, (LOINC, test.code)),
        "subject": subject,
        "effectiveDateTime": stamp(when),
        "valueQuantity": quantity(value, test.unit),
    }
    if visit:
        body["encounter"] = visit
    found = flag(test, value)
    if found:
        body["interpretation"] = [{"coding": [{"system": FLAGS, "code": found}]}]
    limits = {
        name: quantity(Decimal(str(limit)), test.unit)
        for name, limit in (("low", test.low), ("high", test.high))
        if limit is not None
    }
    if limits:
        body["referenceRange"] = [limits]
    return body


def vital(folder: Folder, key: str, value: Decimal, when: datetime, visit: Resource, tag: str) -> None:
    """Record one vital sign."""
    body = measured(key, value, folder.subject(), when, visit)
    folder.keep("Observation", f"{key}-{tag}", when, {**body, "category": category("vital-signs")})


def blood_pressure(
    folder: Folder, systolic: int, diastolic: int, when: datetime, visit: Resource, tag: str
) -> None:
    """Record a blood pressure: one observation with two components."""
    parts = [
        {"code": concept(text, (LOINC, code)), "valueQuantity": quantity(Decimal(value), "mm[Hg]")}
        for text, code, value in (
            ("Systolic blood pressure", "8480-6", systolic),
            ("Diastolic blood pressure", "8462-4", diastolic),
        )
    ]
    high = systolic >= 140 or diastolic >= 90
    folder.keep(
        "Observation", f"bp-{tag}", when,
        {
            "status": "final", "category": category("vital-signs"), "code": concept("Blood pressure", (LOINC, "85354-9")),
            "subject": folder.subject(), "encounter": visit, "effectiveDateTime": stamp(when), "component": parts,
            "interpretation": [{"coding": [{"system": FLAGS, "code": "H" if high else "N"}]}],
        },
    )  # fmt: skip


def panel(
    folder: Folder, name: str, values: dict[str, Decimal], when: datetime, visit: Resource | None, tag: str,
    *, preliminary: bool = False,
) -> None:  # fmt: skip
    """Record a panel by the laboratory: results some hours after the blood was taken, and the report over them.

    A preliminary one is recorded the same evening and made final the next day, as further versions.
    """
    made = PANELS[name]
    known = when + timedelta(hours=9)
    lab: dict[str, Any] = {"org": LABORATORY, "actor": LAB_ACTOR}
    state = "preliminary" if preliminary else "final"
    results = []
    for key, value in values.items():
        body = measured(key, value, folder.subject(), when, visit) | {
            "category": category("laboratory"), "status": state, "issued": stamp(known),
            "performer": [reference("Organization", LABORATORY)],
        }  # fmt: skip
        results.append(folder.keep("Observation", f"{key}-{tag}", known, body, **lab))
    report = {
        "status": state, "category": [term("v2-0074", "LAB")], "code": concept(made.text, (LOINC, made.code)),
        "subject": folder.subject(), "effectiveDateTime": stamp(when), "issued": stamp(known),
        "performer": [reference("Organization", LABORATORY)], "result": results,
    } | ({"encounter": visit} if visit else {})  # fmt: skip
    folder.keep("DiagnosticReport", f"{name}-{tag}", known, report, **lab)
    if preliminary:
        later = known + timedelta(hours=15)
        for key in values:
            folder.change("Observation", f"{key}-{tag}", later, status="final", issued=stamp(later))
        folder.change("DiagnosticReport", f"{name}-{tag}", later, status="final", issued=stamp(later))


def answered(
    folder: Folder, key: str, loinc: str, text: str, answer: Resource, when: datetime, visit: Resource | None,
    kind: str = "social-history",
) -> None:  # fmt: skip
    """Record an answer in words, or a screening result."""
    body = {
        "status": "final", "category": category(kind), "code": concept(text, (LOINC, loinc)), "subject": folder.subject(),
        "effectiveDateTime": stamp(when), "valueCodeableConcept": answer,
    } | ({"encounter": visit} if visit else {})  # fmt: skip
    folder.keep("Observation", key, when, body)


SMOKING = {
    "never": concept("Never smoked", (SNOMED, "266919005")),
    "former": concept("Used to smoke", (SNOMED, "8517006")),
    "current": concept("Smokes", (SNOMED, "77176002")),
}
