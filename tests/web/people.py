"""Synthetic people as resources, for looking at pages and for the journeys. Everybody and everything here is invented."""

from __future__ import annotations

from base64 import b64encode
from decimal import Decimal
from typing import Any

Resource = dict[str, Any]
LOINC, SNOMED, ICD = "http://loinc.org", "http://snomed.info/sct", "http://hl7.org/fhir/sid/icd-10-cm"
V3, TERM = "http://terminology.hl7.org/CodeSystem/v3-", "http://terminology.hl7.org/CodeSystem/"


def organizations() -> list[Resource]:
    """A practice, a hospital and a laboratory."""
    names = {
        "alder": "Alder Street Family Practice",
        "northgate": "Northgate General Hospital",
        "meridian": "Meridian Laboratory",
    }
    return [
        {"resourceType": "Organization", "id": id, "active": True, "name": name} for id, name in names.items()
    ]


def wrenfield() -> Resource:
    """The clinician."""
    return {
        "resourceType": "Practitioner",
        "id": "wrenfield",
        "name": [{"family": "Wrenfield", "given": ["Sage"], "suffix": ["NP"]}],
    }


def ines() -> Resource:
    """A woman of 58."""
    return {
        "resourceType": "Patient",
        "id": "ines",
        "active": True,
        "identifier": [
            {
                "type": {"coding": [{"system": TERM + "v2-0203", "code": "MR"}]},
                "system": "urn:oid:1.2.3",
                "value": "004 417 726",
            }
        ],
        "name": [{"use": "official", "family": "Hallowbrook", "given": ["Inés"]}],
        "telecom": [{"system": "phone", "value": "555 0142", "use": "mobile"}],
        "gender": "female",
        "birthDate": "1968-03-14",
        "address": [{"line": ["4 Mill Lane"], "city": "Alder", "state": "OH", "postalCode": "44001"}],
        "generalPractitioner": [{"reference": "Practitioner/wrenfield"}],
        "contact": [
            {
                "relationship": [{"text": "husband"}],
                "name": {"text": "Rui Hallowbrook"},
                "telecom": [{"system": "phone", "value": "555 0143"}],
            }
        ],
    }


def absent() -> Resource:
    """A man of whom nothing is recorded but his name."""
    return {"resourceType": "Patient", "id": "blank", "name": [{"family": "Quillfeather", "given": ["Tom"]}]}


def died() -> Resource:
    """A man who died."""
    return {"resourceType": "Patient", "id": "late", "name": [{"family": "Stonewell", "given": ["Abel"]}], "gender": "male",
            "birthDate": "1931-05", "deceasedDateTime": "2025-02-03"}  # fmt: skip


def concept(text: str, code: str = "", system: str = SNOMED) -> Resource:
    """A CodeableConcept."""
    return {"text": text} | ({"coding": [{"system": system, "code": code}]} if code else {})


def about(rtype: str, id: str, patient: str = "ines", **body: Any) -> Resource:
    """A resource about a patient."""
    who = (
        "patient"
        if rtype in ("AllergyIntolerance", "Immunization", "FamilyMemberHistory", "RelatedPerson")
        else "beneficiary"
        if rtype == "Coverage"
        else "subject"
    )
    return {"resourceType": rtype, "id": id, who: {"reference": f"Patient/{patient}"}} | body


def _status(kind: str, code: str) -> Resource:
    return {"coding": [{"system": f"{TERM}{kind}", "code": code}]}


def condition(id: str, text: str, code: str, since: str, *, active: bool = True, **more: Any) -> Resource:
    """A problem."""
    return about(
        "Condition", id, clinicalStatus=_status("condition-clinical", "active" if active else "resolved"),
        verificationStatus=_status("condition-ver-status", "confirmed"), code=concept(text, code, ICD), onsetDateTime=since, **more,
    )  # fmt: skip


def reading(
    id: str,
    text: str,
    code: str,
    day: str,
    value: str,
    unit: str,
    low: str = "",
    high: str = "",
    flag: str = "",
    category: str = "laboratory",
    lab: str = "meridian",
) -> Resource:
    """A numeric Observation."""
    range_ = {name: {"value": Decimal(v), "unit": unit} for name, v in (("low", low), ("high", high)) if v}
    return about(
        "Observation", id, status="final", category=[{"coding": [{"system": f"{TERM}observation-category", "code": category}]}],
        code=concept(text, code, LOINC), effectiveDateTime=day, valueQuantity={"value": Decimal(value), "unit": unit},
        performer=[{"reference": f"Organization/{lab}"}],
        **({"referenceRange": [range_]} if range_ else {}),
        **({"interpretation": [{"coding": [{"system": f"{V3}ObservationInterpretation", "code": flag}]}]} if flag else {}),
    )  # fmt: skip


def pressure(id: str, day: str, top: str, bottom: str, flag: str = "") -> Resource:
    """A blood pressure."""
    parts = [(("8480-6", "Systolic"), top), (("8462-4", "Diastolic"), bottom)]
    return about(
        "Observation", id, status="final", category=[{"coding": [{"system": f"{TERM}observation-category", "code": "vital-signs"}]}],
        code=concept("Blood pressure", "85354-9", LOINC), effectiveDateTime=day, performer=[{"reference": "Organization/alder"}],
        component=[{"code": concept(text, code, LOINC), "valueQuantity": {"value": Decimal(v), "unit": "mmHg"}} for (code, text), v in parts],
        **({"interpretation": [{"coding": [{"system": f"{V3}ObservationInterpretation", "code": flag}]}]} if flag else {}),
    )  # fmt: skip


def visit(id: str, text: str, day: str, kind: str = "AMB", org: str = "alder", until: str = "") -> Resource:
    """An Encounter."""
    stay = {"hospitalization": {"dischargeDisposition": concept("home")}} if kind == "IMP" else {}
    return about(
        "Encounter", id, status="finished", type=[concept(text)], period={"start": day, "end": until or day},
        serviceProvider={"reference": f"Organization/{org}"}, participant=[{"individual": {"reference": "Practitioner/wrenfield"}}],
        **{"class": {"system": f"{V3}ActCode", "code": kind}}, **stay,
    )  # fmt: skip


def chart() -> list[Resource]:
    """The whole chart of Inés."""
    note = b64encode(b"Seen for diabetes review.\nHbA1c above target; diet first.").decode()
    done = {"status": "completed"}
    return [
        ines(),
        visit("v1", "Diabetes review", "2026-05-06T09:00:00Z"),
        visit("v2", "Emergency: ankle sprain, right", "2026-09-03T20:10:00Z", "EMER", "northgate"),
        visit("v3", "Hysterectomy admission", "2011-06-01T08:00:00Z", "IMP", "northgate", "2011-06-04T11:00:00Z"),
        condition("c1", "Type 2 diabetes with kidney disease", "E11.22", "2014", encounter={"reference": "Encounter/v1"}),
        condition("c2", "CKD stage 3a, albuminuria A2", "N18.31", "2025-08"),
        condition("c3", "Hypertension with CKD", "I12.9", "2016"),
        condition("c4", "Iron deficiency anemia", "D50.9", "2009", active=False, abatementDateTime="2011-12"),
        about("AllergyIntolerance", "a1", clinicalStatus=_status("allergyintolerance-clinical", "active"), code=concept("Penicillin"),
              verificationStatus=_status("allergyintolerance-verification", "confirmed"),
              reaction=[{"manifestation": [concept("anaphylaxis")], "severity": "severe"}], recordedDate="2009-02-01"),
        about("AllergyIntolerance", "a2", clinicalStatus=_status("allergyintolerance-clinical", "active"), code=concept("Sulfonamide antibiotics"),
              reaction=[{"manifestation": [concept("rash")], "severity": "mild"}], recordedDate="2012"),
        about("MedicationRequest", "m1", status="active", intent="order", medicationCodeableConcept=concept("Metformin ER"), authoredOn="2014-03-02",
              dosageInstruction=[{"text": "1,000 mg twice daily"}], requester={"reference": "Practitioner/wrenfield"}),
        about("MedicationStatement", "m2", status="active", medicationCodeableConcept=concept("Ibuprofen"), effectivePeriod={"start": "2026-09-03"},
              dosage=[{"text": "400 mg as needed"}], informationSource={"reference": "Organization/northgate"}),
        about("MedicationRequest", "m3", status="stopped", intent="order", medicationCodeableConcept=concept("Lisinopril"), authoredOn="2015"),
        about("Immunization", "i1", vaccineCode=concept("Influenza", "150", "http://hl7.org/fhir/sid/cvx"), occurrenceDateTime="2025-10-14", lotNumber="K7", primarySource=True, **done),
        about("Procedure", "p1", code=concept("Hysterectomy"), performedDateTime="2011-06-01", encounter={"reference": "Encounter/v3"}, **done),
        about("FamilyMemberHistory", "f1", relationship=concept("mother"), condition=[{"code": concept("breast cancer"), "onsetAge": {"value": 61, "unit": "years", "system": "http://unitsofmeasure.org", "code": "a"}}], deceasedBoolean=False, **done),
        about("DocumentReference", "d1", status="current", type=concept("Progress note"), date="2026-05-06T09:40:00Z", author=[{"reference": "Practitioner/wrenfield"}],
              content=[{"attachment": {"contentType": "text/plain", "title": "Diabetes review", "data": note}}]),
        about("Coverage", "k1", status="active", payor=[{"display": "Lakeside Health Plan"}], subscriberId="LH-20417", period={"start": "2026-01-01"}),
        about("RelatedPerson", "r1", name=[{"text": "Lia Hallowbrook"}], relationship=[concept("daughter")], telecom=[{"system": "phone", "value": "555 0177"}]),
        *(reading(f"h{n}", "HbA1c", "4548-4", day, value, "%", "4.0", "5.6") for n, (day, value) in enumerate(
            [("2024-03-05", "7.1"), ("2024-10-10", "7.2"), ("2025-05-13", "7.4"), ("2025-11-11", "7.9"), ("2026-02-03", "8.1"), ("2026-05-06", "8.4")])),
        reading("e1", "eGFR", "98979-8", "2026-05-06", "54", "mL/min/1.73 m²", low="60"),
        reading("e2", "eGFR", "98979-8", "2026-08-12", "52", "mL/min/1.73 m²", low="60"),
        reading("k2", "Potassium", "2823-3", "2026-08-12", "6.4", "mmol/L", "3.5", "5.0", flag="HH"),
        reading("g1", "Hemoglobin", "718-7", "2026-08-12", "12.3", "g/dL", "12.0", "15.5"),
        reading("w1", "Weight", "29463-7", "2026-08-12", "88.3", "kg", category="vital-signs", lab="alder"),
        reading("w2", "Weight", "29463-7", "2026-11-18", "86.4", "kg", category="vital-signs", lab="alder"),
        reading("hr", "Heart rate", "8867-4", "2026-11-18", "78", "/min", "60", "100", category="vital-signs", lab="alder"),
        pressure("b1", "2026-09-03T20:30:00Z", "182", "98", "HH"),
        pressure("b2", "2026-11-18T09:40:00Z", "146", "88", "H"),
        reading("wrong", "HbA1c", "4548-4", "2026-11-02", "84", "%", "4.0", "5.6") | {"status": "entered-in-error"},
    ]  # fmt: skip


def everybody() -> list[Resource]:
    """All of it, in an order in which references resolve."""
    return [*organizations(), wrenfield(), absent(), died(), *chart()]
