"""Medicines, allergies and people as functions, checked on a day."""

from __future__ import annotations

from datetime import date
from typing import Any

from commonchart.care.medications.answers import Alert, Checked
from commonchart.care.medications.checking import check, review
from commonchart.care.medications.from_fhir import medication, record
from commonchart.care.medications.inputs import Record, Withheld
from commonchart.care.medications.pack import built_in

TODAY = date(2026, 11, 25)
RXNORM, SCT = "http://www.nlm.nih.gov/research/umls/rxnorm", "http://snomed.info/sct"
_count = 0


def _id() -> str:
    global _count
    _count += 1
    return f"m{_count}"


def patient(born: str = "1970-05-10", sex: str = "male") -> dict[str, Any]:
    return {
        k: v for k, v in {"resourceType": "Patient", "id": "p", "birthDate": born, "gender": sex}.items() if v
    }


def med(
    text: str, sig: str = "", status: str = "active", rtype: str = "MedicationRequest", **more: Any
) -> dict[str, Any]:
    """A medicine by its name; `sig` is a dose in words."""
    out = {"resourceType": rtype, "id": _id(), "status": status, "medicationCodeableConcept": {"text": text}}
    if sig:
        out["dosageInstruction" if rtype == "MedicationRequest" else "dosage"] = [{"text": sig}]
    return out | more


def dosed(
    text: str, value: float, unit: str, times: int = 1, period: float = 1, per: str = "d", **more: Any
) -> dict[str, Any]:
    """A medicine with a structured dose."""
    line = {
        "doseAndRate": [{"doseQuantity": {"value": value, "code": unit}}],
        "timing": {"repeat": {"frequency": times, "period": period, "periodUnit": per}},
    }
    return med(text, dosageInstruction=[line | more])


def allergy(text: str, verified: str = "confirmed", clinical: str = "active", **more: Any) -> dict[str, Any]:
    return {
        "resourceType": "AllergyIntolerance", "id": _id(), "code": {"text": text}, "type": "allergy",
        "verificationStatus": {"coding": [{"code": verified}]}, "clinicalStatus": {"coding": [{"code": clinical}]},
    } | more  # fmt: skip


NKA = allergy("", code={"coding": [{"system": SCT, "code": "716186003"}]})


def measured(loinc: str, value: float, unit: str, when: str = "2026-10-01", **more: Any) -> dict[str, Any]:
    return {
        "resourceType": "Observation", "id": _id(), "status": "final", "effectiveDateTime": when,
        "code": {"coding": [{"system": "http://loinc.org", "code": loinc}]},
        "valueQuantity": {"value": value, "code": unit},
    } | more  # fmt: skip


def creatinine(value: float, when: str = "2026-10-01") -> dict[str, Any]:
    return measured("2160-0", value, "mg/dL", when)


def weight(value: float, when: str = "2026-10-01") -> dict[str, Any]:
    return measured("29463-7", value, "kg", when)


def pregnant(code: str = "Z33.1", since: str = "2026-09-01", clinical: str = "active") -> dict[str, Any]:
    return {
        "resourceType": "Condition", "id": _id(), "onsetDateTime": since,
        "clinicalStatus": {"coding": [{"code": clinical}]},
        "code": {"coding": [{"system": "http://hl7.org/fhir/sid/icd-10-cm", "code": code}], "text": "Pregnancy"},
    }  # fmt: skip


def of(*resources: dict[str, Any], who: dict[str, Any] | None = None, on: date = TODAY) -> Record:
    return record(who or patient(), resources, built_in(), on)


def reviewed(
    *resources: dict[str, Any], who: dict[str, Any] | None = None, on: date = TODAY, **more: Any
) -> Checked:
    return review(of(*resources, who=who, on=on), built_in(), on, **more)


def ordered(
    order: dict[str, Any], *resources: dict[str, Any], who: dict[str, Any] | None = None,
    approved: frozenset[str] = frozenset(), withheld: Withheld | None = None,
) -> Checked:  # fmt: skip
    known = of(*resources, who=who)
    new = medication(order, built_in())
    return check(new, known.medications, known.allergies, known.facts, built_in(), TODAY, approved, withheld)


def rules(answer: Checked, kind: str = "") -> dict[str, Alert]:
    return {one.rule: one for one in answer.alerts if not kind or one.kind == kind}
