"""Patients as functions: evidence written the short way, assessed on a day."""

from __future__ import annotations

from datetime import date
from typing import Any

from commonchart.care.assess import Due, assess
from commonchart.care.facts import evidence
from commonchart.care.person import person
from commonchart.care.rules import built_in

TODAY = date(2026, 11, 18)
LOINC, SCT, ICD = "http://loinc.org", "http://snomed.info/sct", "http://hl7.org/fhir/sid/icd-10-cm"
_count = 0


def _id() -> str:
    global _count
    _count += 1
    return f"r{_count}"


def concept(*codes: tuple[str, str], text: str = "") -> dict[str, Any]:
    out: dict[str, Any] = {"coding": [{"system": s, "code": c} for s, c in codes]} if codes else {}
    return out | ({"text": text} if text else {})


def patient(born: str = "1970-05-10", sex: str = "female", **more: Any) -> dict[str, Any]:
    out = {"resourceType": "Patient", "id": "p", "birthDate": born, "gender": sex} | more
    return {k: v for k, v in out.items() if v}


def condition(
    *codes: tuple[str, str],
    since: str = "2015-01-01",
    text: str = "A problem",
    verified: str = "confirmed",
    clinical: str = "active",
) -> dict[str, Any]:
    return {
        "resourceType": "Condition", "id": _id(), "code": concept(*codes, text=text), "onsetDateTime": since,
        "clinicalStatus": concept(("x", clinical)), "verificationStatus": concept(("x", verified)),
    }  # fmt: skip


def observation(
    loinc: str,
    when: str = "2026-10-01",
    value: Any = None,
    unit: str = "",
    words: str = "",
    status: str = "final",
    comparator: str = "",
) -> dict[str, Any]:
    out: dict[str, Any] = {
        "resourceType": "Observation", "id": _id(), "status": status, "code": concept((LOINC, loinc), text="A test"),
        "effectiveDateTime": when,
    }  # fmt: skip
    if value is not None:
        out["valueQuantity"] = {"value": value, "code": unit} | (
            {"comparator": comparator} if comparator else {}
        )
    if words:
        out["valueString"] = words
    return out


def pressure(systolic: int, diastolic: int, when: str = "2026-10-01") -> dict[str, Any]:
    parts = [
        {"code": concept((LOINC, code)), "valueQuantity": {"value": value, "code": "mm[Hg]"}}
        for code, value in (("8480-6", systolic), ("8462-4", diastolic))
    ]
    return observation("85354-9", when) | {"component": parts}


def procedure(
    system: str, code: str, when: str, status: str = "completed", outcome: str = ""
) -> dict[str, Any]:
    out = {
        "resourceType": "Procedure",
        "id": _id(),
        "status": status,
        "code": concept((system, code)),
        "performedDateTime": when,
    }
    return out | ({"outcome": {"text": outcome}} if outcome else {})


def report(loinc: str, when: str, conclusion: str = "", status: str = "final") -> dict[str, Any]:
    return {
        "resourceType": "DiagnosticReport",
        "id": _id(),
        "status": status,
        "code": concept((LOINC, loinc)),
        "effectiveDateTime": when,
        "conclusion": conclusion,
    }


def due(rule: str, *resources: dict[str, Any], who: dict[str, Any] | None = None, on: date = TODAY) -> Due:
    """One rule's answer."""
    return next(one for one in every(*resources, who=who, on=on) if one.rule == rule)


def every(*resources: dict[str, Any], who: dict[str, Any] | None = None, on: date = TODAY) -> list[Due]:
    """Every rule's answer."""
    return assess(evidence(resources), person(who or patient(), on), built_in(), on)


DIABETES = (ICD, "E11.9")
