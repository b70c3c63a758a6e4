"""Small valid resources, made here; `bad` changes one thing in a copy of one."""

from __future__ import annotations

import copy
from decimal import Decimal
from typing import Any

LEAVE_OUT = object()

PATIENT: dict[str, Any] = {
    "resourceType": "Patient",
    "id": "p1",
    "meta": {"lastUpdated": "2026-11-18T10:00:00.000Z", "tag": [{"system": "urn:x", "code": "y"}]},
    "text": {"status": "generated", "div": '<div xmlns="http://www.w3.org/1999/xhtml">Ada</div>'},
    "extension": [{"url": "http://example.org/nickname", "valueString": "Ada"}],
    "identifier": [{"use": "usual", "system": "http://example.org/mrn", "value": "12345"}],
    "active": True,
    "name": [
        {
            "use": "official",
            "family": "Abara",
            "given": ["Ada", None],
            "_given": [None, {"extension": [{"url": "http://example.org/unknown", "valueCode": "masked"}]}],
        }
    ],
    "telecom": [{"system": "phone", "value": "555-0100", "rank": 1}],
    "gender": "female",
    "birthDate": "1985-12-10",
    "_birthDate": {
        "extension": [{"url": "http://example.org/time", "valueDateTime": "1985-12-10T14:35:45-05:00"}]
    },
    "deceasedBoolean": False,
    "multipleBirthInteger": 2,
    "maritalStatus": {"text": "married"},
    "contact": [{"relationship": [{"text": "sister"}], "name": {"text": "Eve"}}],
    "generalPractitioner": [{"reference": "Practitioner/d1"}],
    "managingOrganization": {"reference": "#o1"},
    "link": [{"other": {"reference": "Patient/p2"}, "type": "seealso"}],
    "contained": [{"resourceType": "Organization", "id": "o1", "name": "Practice"}],
    "photo": [{"contentType": "image/png", "data": "aGVsbG8=", "size": 5, "hash": "aGVsbG8="}],
}

OBSERVATION: dict[str, Any] = {
    "resourceType": "Observation",
    "id": "b1",
    "status": "final",
    "category": [
        {
            "coding": [
                {"system": "http://terminology.hl7.org/CodeSystem/observation-category", "code": "laboratory"}
            ]
        }
    ],
    "code": {"coding": [{"system": "http://loinc.org", "code": "4548-4"}], "text": "A1c"},
    "subject": {"reference": "Patient/p1", "type": "Patient"},
    "effectiveDateTime": "2026-11-01",
    "issued": "2026-11-01T09:30:00Z",
    "valueQuantity": {
        "value": Decimal("7.10"),
        "comparator": "<",
        "unit": "%",
        "system": "http://unitsofmeasure.org",
        "code": "%",
    },
    "referenceRange": [{"high": {"value": 6}}],
    "component": [{"code": {"text": "part"}, "valueString": "x"}],
}

QUESTIONNAIRE: dict[str, Any] = {
    "resourceType": "Questionnaire",
    "url": "http://example.org/q",
    "status": "draft",
    "item": [
        {
            "linkId": "1",
            "type": "group",
            "item": [{"linkId": "1.1", "type": "open-choice", "maxLength": 3, "required": True}],
        }
    ],
}

ALLERGY: dict[str, Any] = {
    "resourceType": "AllergyIntolerance",
    "clinicalStatus": {
        "coding": [
            {"system": "http://terminology.hl7.org/CodeSystem/allergyintolerance-clinical", "code": "active"},
            {"system": "http://example.org/local", "code": "A"},
        ]
    },
    "code": {"text": "penicillin"},
    "patient": {"reference": "Patient/p1"},
    "criticality": "high",
}

COVERAGE: dict[str, Any] = {
    "resourceType": "Coverage",
    "status": "active",
    "beneficiary": {"reference": "Patient/p1"},
    "payor": [{"reference": "Organization/o1"}],
    "order": 1,
}

CLAIM_MONEY: dict[str, Any] = {
    "resourceType": "Invoice",
    "status": "issued",
    "totalNet": {"value": Decimal("10.00"), "currency": "USD"},
}

PARAMETERS: dict[str, Any] = {
    "resourceType": "Parameters",
    "parameter": [
        {"name": "patient", "resource": copy.deepcopy(PATIENT)},
        {
            "name": "many",
            "part": [{"name": "count", "valueUnsignedInt": 0}, {"name": "at", "valueTime": "10:00:00"}],
        },
    ],
}

BUNDLE: dict[str, Any] = {
    "resourceType": "Bundle",
    "type": "transaction",
    "entry": [
        {
            "fullUrl": "urn:uuid:0c3151bd-1cbf-4d64-b04d-cd9187a4c6e0",
            "resource": copy.deepcopy(PATIENT),
            "request": {"method": "POST", "url": "Patient"},
        },
        {
            "resource": OBSERVATION
            | {"subject": {"reference": "urn:uuid:0c3151bd-1cbf-4d64-b04d-cd9187a4c6e0"}},
            "request": {"method": "PUT", "url": "Observation/b1"},
        },
        {
            "resource": OBSERVATION
            | {"subject": {"reference": "Patient?identifier=http://example.org/mrn|12345"}},
            "request": {"method": "PUT", "url": "Observation/b2"},
        },
    ],
}

GOOD: tuple[dict[str, Any], ...] = (
    PATIENT,
    OBSERVATION,
    QUESTIONNAIRE,
    ALLERGY,
    COVERAGE,
    CLAIM_MONEY,
    PARAMETERS,
    BUNDLE,
)


def changed(resource: dict[str, Any], path: str, value: Any) -> dict[str, Any]:
    """A deep copy with `value` at a path such as `name.0.family`, or without what is there for LEAVE_OUT."""
    out = copy.deepcopy(resource)
    *way, last = path.split(".")
    node: Any = out
    for step in way:
        node = node[int(step)] if isinstance(node, list) else node[step]
    key: Any = int(last) if isinstance(node, list) else last
    if value is LEAVE_OUT:
        del node[key]
    elif isinstance(node, list) and key == len(node):
        node.append(value)
    else:
        node[key] = value
    return out
