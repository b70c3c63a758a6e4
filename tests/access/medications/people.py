"""A person who takes something, by resources as they are stored."""

from __future__ import annotations

from typing import Any

from commonchart.access.records import Put, Records
from commonchart.fhir.validate import validate

ADA = {"resourceType": "Patient", "id": "ada", "birthDate": "1960-05-10", "gender": "male"}
VERIFIED = "http://terminology.hl7.org/CodeSystem/allergyintolerance-verification"
CLINICAL = "http://terminology.hl7.org/CodeSystem/allergyintolerance-clinical"


def order(id: str, text: str, sig: str = "1 tablet once a day", **more: Any) -> dict[str, Any]:
    return {
        "resourceType": "MedicationRequest", "id": id, "status": "active", "intent": "order",
        "subject": {"reference": "Patient/ada"}, "medicationCodeableConcept": {"text": text},
        "dosageInstruction": [{"text": sig}],
    } | more  # fmt: skip


def allergy(id: str, text: str, patient: str = "ada", **more: Any) -> dict[str, Any]:
    return {
        "resourceType": "AllergyIntolerance", "id": id, "type": "allergy", "code": {"text": text},
        "clinicalStatus": {"coding": [{"system": CLINICAL, "code": "active"}]},
        "verificationStatus": {"coding": [{"system": VERIFIED, "code": "confirmed"}]},
        "patient": {"reference": f"Patient/{patient}"},
    } | more  # fmt: skip


async def put(records: Records, *bodies: dict[str, Any], source: str = "") -> None:
    await records.commit([Put(validate(body), body["id"]) for body in bodies], source=source)
