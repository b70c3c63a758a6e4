"""Marking a fact as entered in error: it stays in the record, says so, and counts for nothing.

FHIR R4 spells it three ways: a status of its own, a verification status, or (for people) inactive.
"""

from __future__ import annotations

from typing import Any

from commonchart.fhir.outcome import Invalid
from commonchart.web.forms.fhir import TERM
from commonchart.web.forms.fields import Context

_VERIFIED = {"Condition": "condition-ver-status", "AllergyIntolerance": "allergyintolerance-verification"}
_STATUS = frozenset(
    {
        "Observation",
        "MedicationStatement",
        "MedicationRequest",
        "MedicationAdministration",
        "MedicationDispense",
        "Immunization",
        "Procedure",
        "FamilyMemberHistory",
        "Coverage",
        "Encounter",
        "DocumentReference",
        "DiagnosticReport",
        "Composition",
        "ServiceRequest",
        "QuestionnaireResponse",
    }
)
TYPES = frozenset(_VERIFIED) | _STATUS | {"RelatedPerson", "Goal"}


def retracted(resource: dict[str, Any], reason: str, context: Context) -> dict[str, Any]:
    """The resource as entered in error, with the reason as a note where the type has notes.

    Raises Invalid if the type cannot say so or the reason is missing.
    """
    rtype = resource["resourceType"]
    reason = reason.strip()
    if rtype not in TYPES:
        raise Invalid(f"A {rtype} cannot be marked as entered in error", at="reason")
    if not 3 <= len(reason) <= 1000:
        raise Invalid("Enter why this is an error, in 3 to 1,000 characters", at="reason", code="required")
    return _marked(resource, rtype) | _reasoned(resource, rtype, reason, context)


def is_retracted(resource: dict[str, Any]) -> bool:
    """Whether a resource says that it was entered in error."""
    codings = resource.get("verificationStatus", {}).get("coding", [])
    said = (resource.get("status"), resource.get("lifecycleStatus"))
    return "entered-in-error" in said or any(c.get("code") == "entered-in-error" for c in codings)


def _marked(resource: dict[str, Any], rtype: str) -> dict[str, Any]:
    out = dict(resource)
    if rtype in _VERIFIED:
        out.pop("clinicalStatus", None)
        out["verificationStatus"] = {
            "coding": [{"system": TERM + _VERIFIED[rtype], "code": "entered-in-error"}]
        }
    elif rtype == "RelatedPerson":
        out["active"] = False
    elif rtype == "Goal":
        out["lifecycleStatus"] = "entered-in-error"
    else:
        out["status"] = "entered-in-error"
    return out


_NOTED = TYPES - {
    "RelatedPerson",
    "Coverage",
    "Encounter",
    "DocumentReference",
    "DiagnosticReport",
    "Composition",
    "QuestionnaireResponse",
}


def _reasoned(resource: dict[str, Any], rtype: str, reason: str, context: Context) -> dict[str, Any]:
    if rtype not in _NOTED:
        return {}
    entry = {
        "authorString": context.author or "Not recorded",
        "time": context.now.isoformat(timespec="seconds"),
    }
    return {"note": [*resource.get("note", []), entry | {"text": f"Entered in error: {reason}"}]}
