"""Resources as the practice records them: small builders, coded where we may, worded in our own words."""

from __future__ import annotations

import base64
from datetime import date, datetime
from decimal import Decimal
from typing import Any

LOINC = "http://loinc.org"
SCT = "http://snomed.info/sct"
ICD = "http://hl7.org/fhir/sid/icd-10-cm"
RX = "http://www.nlm.nih.gov/research/umls/rxnorm"
CVX = "http://hl7.org/fhir/sid/cvx"
UCUM = "http://unitsofmeasure.org"
TERM = "http://terminology.hl7.org/CodeSystem/"

Resource = dict[str, Any]

# code: label, unit shown, UCUM, range low, high (None: no range here), category
LABS: dict[str, tuple[str, str, str, str | None, str | None]] = {
    "4548-4": ("Haemoglobin A1c", "%", "%", "4.0", "5.6"),
    "2339-0": ("Glucose", "mg/dL", "mg/dL", "70", "99"),
    "2160-0": ("Creatinine", "mg/dL", "mg/dL", "0.50", "1.10"),
    "98979-8": ("eGFR (CKD-EPI 2021)", "mL/min/1.73 m²", "mL/min/{1.73_m2}", "60", None),
    "2823-3": ("Potassium", "mmol/L", "mmol/L", "3.5", "5.0"),
    "2951-2": ("Sodium", "mmol/L", "mmol/L", "135", "145"),
    "14959-1": ("Albumin/creatinine ratio, urine", "mg/g", "mg/g", None, "30"),
    "2089-1": ("LDL cholesterol", "mg/dL", "mg/dL", None, "130"),
    "2085-9": ("HDL cholesterol", "mg/dL", "mg/dL", "40", None),
    "2093-3": ("Cholesterol, total", "mg/dL", "mg/dL", None, "200"),
    "2571-8": ("Triglycerides", "mg/dL", "mg/dL", None, "150"),
    "718-7": ("Haemoglobin", "g/dL", "g/dL", "12.0", "15.5"),
    "6690-2": ("White cells", "10³/µL", "10*3/uL", "4.0", "11.0"),
    "777-3": ("Platelets", "10³/µL", "10*3/uL", "150", "400"),
    "3016-3": ("TSH", "mIU/L", "m[IU]/L", "0.4", "4.0"),
    "1742-6": ("ALT", "U/L", "U/L", None, "40"),
    "6301-6": ("INR", "", "{INR}", "0.8", "1.2"),
    "2777-1": ("Phosphate", "mg/dL", "mg/dL", "2.5", "4.5"),
    "17861-6": ("Calcium", "mg/dL", "mg/dL", "8.5", "10.5"),
    "1751-7": ("Albumin", "g/dL", "g/dL", "3.5", "5.0"),
}
VITALS: dict[str, tuple[str, str, str]] = {
    "8867-4": ("Heart rate", "/min", "/min"),
    "9279-1": ("Respiratory rate", "/min", "/min"),
    "8310-5": ("Body temperature", "°C", "Cel"),
    "2708-6": ("Oxygen saturation", "%", "%"),
    "29463-7": ("Body weight", "kg", "kg"),
    "8302-2": ("Body height", "cm", "cm"),
    "39156-5": ("Body mass index", "kg/m²", "kg/m2"),
}


def concept(text: str, *codings: tuple[str, str]) -> Resource:
    """A CodeableConcept in our words with bare codes."""
    out: Resource = (
        {"coding": [{"system": s, "code": c} for s, c in codings if c]} if any(c for _, c in codings) else {}
    )
    return {**out, "text": text}


def term(system: str, code: str) -> Resource:
    """A concept of an HL7 terminology system."""
    return {"coding": [{"system": TERM + system, "code": code}]}


def ref(rtype: str, id: str, display: str = "") -> Resource:
    """A reference."""
    return {"reference": f"{rtype}/{id}", **({"display": display} if display else {})}


def number(value: float | Decimal | str, places: int = 1) -> Decimal:
    """A value with as many decimals as the analyser prints."""
    return Decimal(str(value)).quantize(Decimal(1).scaleb(-places))


def quantity(value: Decimal, shown: str, code: str) -> Resource:
    """A UCUM quantity."""
    return {"value": value, **({"unit": shown} if shown else {}), "system": UCUM, "code": code}


def _flag(value: Decimal, low: str | None, high: str | None) -> str:
    if low is not None and value < Decimal(low):
        return "L"
    return "H" if high is not None and value > Decimal(high) else "N"


def lab(
    code: str, value: Decimal, when: str, patient: str, laboratory: str, encounter: str | None = None
) -> Resource:
    """A laboratory result with its range and flag."""
    label, shown, ucum, low, high = LABS[code]
    limits = {
        end: quantity(Decimal(v), shown, ucum) for end, v in (("low", low), ("high", high)) if v is not None
    }
    out: Resource = {
        "resourceType": "Observation",
        "status": "final",
        "category": [term("observation-category", "laboratory")],
        "code": concept(label, (LOINC, code)),
        "subject": ref("Patient", patient),
        "effectiveDateTime": when,
        "performer": [ref("Organization", laboratory)],
        "valueQuantity": quantity(value, shown, ucum),
        "interpretation": [term("v3-ObservationInterpretation", _flag(value, low, high))],
    }
    if encounter:
        out["encounter"] = ref("Encounter", encounter)
    if limits:
        out["referenceRange"] = [limits]
    return out


def vital(code: str, value: Decimal, when: str, patient: str, encounter: str) -> Resource:
    """A vital sign."""
    label, shown, ucum = VITALS[code]
    return _vital(concept(label, (LOINC, code)), when, patient, encounter) | {
        "valueQuantity": quantity(value, shown, ucum)
    }


def _vital(code: Resource, when: str, patient: str, encounter: str) -> Resource:
    return {
        "resourceType": "Observation",
        "status": "final",
        "category": [term("observation-category", "vital-signs")],
        "code": code,
        "subject": ref("Patient", patient),
        "encounter": ref("Encounter", encounter),
        "effectiveDateTime": when,
    }


def pressure(systolic: int, diastolic: int, when: str, patient: str, encounter: str) -> Resource:
    """A blood pressure as one panel."""
    pair = (
        ("8480-6", "Systolic blood pressure", systolic),
        ("8462-4", "Diastolic blood pressure", diastolic),
    )
    parts = [
        {"code": concept(label, (LOINC, code)), "valueQuantity": quantity(Decimal(value), "mmHg", "mm[Hg]")}
        for code, label, value in pair
    ]
    return _vital(concept("Blood pressure", (LOINC, "85354-9")), when, patient, encounter) | {
        "component": parts
    }


def answer(
    code: str,
    label: str,
    value: Resource | int,
    when: str,
    patient: str,
    encounter: str | None,
    category: str,
) -> Resource:
    """A questionnaire score or coded answer, such as PHQ-9 or tobacco status."""
    out: Resource = {
        "resourceType": "Observation",
        "status": "final",
        "category": [term("observation-category", category)],
        "code": concept(label, (LOINC, code)),
        "subject": ref("Patient", patient),
        "effectiveDateTime": when,
    }
    if encounter:
        out["encounter"] = ref("Encounter", encounter)
    if isinstance(value, int):
        return out | {"valueQuantity": quantity(Decimal(value), "score", "{score}")}
    return out | {"valueCodeableConcept": value}


def condition(
    text: str, icd: str, patient: str, since: str, recorded: str, *, sct: str = "", status: str = "active"
) -> Resource:
    """A problem of the list."""
    return {
        "resourceType": "Condition",
        "clinicalStatus": term("condition-clinical", status),
        "verificationStatus": term("condition-ver-status", "confirmed"),
        "category": [term("condition-category", "problem-list-item")],
        "code": concept(text, (ICD, icd), (SCT, sct)),
        "subject": ref("Patient", patient),
        "onsetDateTime": since,
        "recordedDate": recorded,
    }


def medication(
    text: str,
    rx: str,
    dose: str,
    patient: str,
    when: str,
    doctor: str,
    *,
    reason: str = "",
    status: str = "active",
) -> Resource:
    """An order as the practice wrote it."""
    out: Resource = {
        "resourceType": "MedicationRequest",
        "status": status,
        "intent": "order",
        "medicationCodeableConcept": concept(text, (RX, rx)),
        "subject": ref("Patient", patient),
        "authoredOn": when,
        "requester": ref("Practitioner", doctor),
        "dosageInstruction": dosage(dose),
    }
    return out | ({"reasonCode": [{"text": reason}]} if reason else {})


def dosage(dose: str) -> list[Resource]:
    """The words of a dose, and what they mean as Timing where they are regular."""
    if "when needed" in dose:
        return [{"text": dose, "asNeededBoolean": True}]
    repeat = {"frequency": 2 if "twice" in dose else 1, "period": 1, "periodUnit": "d"}
    return [{"text": dose, "timing": {"repeat": repeat}}]


def allergy(
    text: str, patient: str, recorded: str, *, category: str, reaction: str, severity: str, high: bool = False
) -> Resource:
    """An allergy with its reaction."""
    return {
        "resourceType": "AllergyIntolerance",
        "clinicalStatus": term("allergyintolerance-clinical", "active"),
        "verificationStatus": term("allergyintolerance-verification", "confirmed"),
        "type": "allergy",
        "category": [category],
        "criticality": "high" if high else "low",
        "code": {"text": text},
        "patient": ref("Patient", patient),
        "recordedDate": recorded,
        "reaction": [{"manifestation": [{"text": reaction}], "severity": severity}],
    }


def no_allergies(patient: str, recorded: str) -> Resource:
    """Asked, and none known: a fact of its own."""
    return {
        "resourceType": "AllergyIntolerance",
        "clinicalStatus": term("allergyintolerance-clinical", "active"),
        "verificationStatus": term("allergyintolerance-verification", "confirmed"),
        "code": concept("No known allergies", (SCT, "716186003")),
        "patient": ref("Patient", patient),
        "recordedDate": recorded,
    }


def immunization(
    text: str,
    cvx: str,
    patient: str,
    when: str,
    recorded: str,
    *,
    lot: str = "",
    here: bool = True,
    refused: bool = False,
) -> Resource:
    """A dose given, reported, or declined."""
    out: Resource = {
        "resourceType": "Immunization",
        "status": "not-done" if refused else "completed",
        "vaccineCode": concept(text, (CVX, cvx)),
        "patient": ref("Patient", patient),
        "occurrenceDateTime": when,
        "recorded": recorded,
        "primarySource": here,
    }
    if refused:
        out["statusReason"] = concept("Declined by patient or parent", (TERM + "v3-ActReason", "PATOBJ"))
    if lot:
        out["lotNumber"] = lot
    return out


def procedure(
    text: str,
    patient: str,
    when: str,
    *,
    sct: str = "",
    cpt: str = "",
    encounter: str | None = None,
    outcome: str = "",
) -> Resource:
    """Something done."""
    out: Resource = {
        "resourceType": "Procedure",
        "status": "completed",
        "code": concept(text, (SCT, sct), ("http://www.ama-assn.org/go/cpt", cpt)),
        "subject": ref("Patient", patient),
        "performedDateTime": when,
    }
    if encounter:
        out["encounter"] = ref("Encounter", encounter)
    return out | ({"outcome": {"text": outcome}} if outcome else {})


def report(
    text: str,
    code: str,
    patient: str,
    when: str,
    performer: str,
    *,
    conclusion: str = "",
    results: list[str] | None = None,
    category: str = "LAB",
) -> Resource:
    """A report: a panel of results, or a reading of images or cells."""
    out: Resource = {
        "resourceType": "DiagnosticReport",
        "status": "final",
        "category": [term("v2-0074", category)],
        "code": concept(text, (LOINC, code)),
        "subject": ref("Patient", patient),
        "effectiveDateTime": when,
        "performer": [ref("Organization", performer)],
    }
    if conclusion:
        out["conclusion"] = conclusion
    return out | ({"result": [ref("Observation", one) for one in results]} if results else {})


def note(
    title: str,
    code: str,
    text: str,
    patient: str,
    when: str,
    doctor: str,
    encounter: str,
    status: str = "final",
) -> Resource:
    """A note of plain text."""
    attachment = {
        "contentType": "text/plain; charset=utf-8",
        "data": base64.b64encode(text.encode()).decode(),
        "title": title,
        "creation": when,
    }
    return {
        "resourceType": "DocumentReference",
        "status": "current",
        "docStatus": status,
        "type": concept(title, (LOINC, code)),
        "subject": ref("Patient", patient),
        "date": when,
        "author": [ref("Practitioner", doctor)],
        "authenticator": ref("Practitioner", doctor),
        "content": [{"attachment": attachment}],
        "context": {"encounter": [ref("Encounter", encounter)]},
    }


def encounter(
    kind: str, reason: str, patient: str, start: str, end: str, org: str, doctor: str, *, location: str = ""
) -> Resource:
    """A visit: AMB, VR, EMER or IMP."""
    out: Resource = {
        "resourceType": "Encounter",
        "status": "finished",
        "class": {"system": TERM + "v3-ActCode", "code": kind},
        "subject": ref("Patient", patient),
        "participant": [{"individual": ref("Practitioner", doctor)}],
        "period": {"start": start, "end": end},
        "reasonCode": [{"text": reason}],
        "serviceProvider": ref("Organization", org),
    }
    if location:
        out["location"] = [{"location": ref("Location", location)}]
    if kind == "IMP":
        out["hospitalization"] = {
            "dischargeDisposition": concept("Home", (TERM + "discharge-disposition", "home"))
        }
    return out


def egfr(creatinine: float, age: int, female: bool) -> float:
    """eGFR by CKD-EPI 2021 without race (Inker 2021), mL/min/1.73 m2."""
    kappa, alpha = (0.7, -0.241) if female else (0.9, -0.302)
    ratio = creatinine / kappa
    value = 142 * min(ratio, 1) ** alpha * max(ratio, 1) ** -1.2 * 0.9938**age
    return float(value * 1.012 if female else value)


def kidney_stage(value: int) -> tuple[str, str]:
    """The KDIGO stage of an eGFR: ICD-10-CM code and words."""
    stages = (
        (90, "N18.1", "1"),
        (60, "N18.2", "2"),
        (45, "N18.31", "3a"),
        (30, "N18.32", "3b"),
        (15, "N18.4", "4"),
    )
    code, stage = next(((code, stage) for limit, code, stage in stages if value >= limit), ("N18.5", "5"))
    return code, f"Chronic kidney disease, stage {stage}"


def instant(moment: datetime) -> str:
    """A moment as FHIR writes it."""
    return moment.strftime("%Y-%m-%dT%H:%M:%SZ")


def day(value: date) -> str:
    """A date as FHIR writes it."""
    return value.isoformat()
