"""What the front desk and the first visit write down: the person, insurance, relatives, allergies, family history."""

from __future__ import annotations

from datetime import date, datetime, timedelta
from typing import Any

from commonchart.demo.codes import ICD, RXNORM, SNOMED, TERM, concept, term
from commonchart.demo.folder import Folder, Resource, named, stamp, years_before
from commonchart.demo.people import RACES, STREETS, Plan
from commonchart.demo.places import CLINICIANS, NAMES, PAYERS, PRACTICE, reference

CORE = "http://hl7.org/fhir/us/core/StructureDefinition/"
MRN = "urn:commonchart:demo:mrn"

ALLERGIES: dict[str, tuple[str, str, str, str, str]] = {
    "penicillin": ("Penicillin", "7980", "medication", "high", "Hives and swelling of the face"),
    "sulfa": ("Sulfamethoxazole", "10180", "medication", "low", "Rash"),
    "latex": ("Latex", "", "environment", "low", "Contact dermatitis"),
    "peanut": ("Peanut", "", "food", "high", "Anaphylaxis"),
    "ibuprofen": ("Ibuprofen", "5640", "medication", "low", "Wheeze"),
    "codeine": ("Codeine", "2670", "medication", "low", "Vomiting"),
}


def register(folder: Folder, plan: Plan, since: datetime) -> None:
    """The Patient and all that is asked on the first day."""
    folder.name = f"{plan.given} {plan.family}"
    folder.keep("Patient", "", since, patient(plan, folder))
    _coverage(folder, plan, since)
    _relatives(folder, plan, since)
    for key in plan.allergies:
        allergy(folder, key, since + timedelta(minutes=20))
    _family_history(folder, plan, since)
    if len(plan.ill) > 2:
        _team(folder, plan, since)


def born_on(plan: Plan, until: date) -> date:
    """The birth date."""
    return years_before(until, plan.age)


def patient(plan: Plan, folder: Folder) -> Resource:
    """The Patient's body."""
    number = int(named(plan.key, "number")[:8], 16)
    code, race = RACES[plan.race]
    body: dict[str, Any] = {
        "extension": _extensions(plan, code, race),
        "identifier": [
            {"type": term("v2-0203", "MR"), "system": MRN, "value": f"A{number % 10_000_000:07d}"}
        ],
        "active": True,
        "name": [{"use": "official", "family": plan.family, "given": [plan.given]}],
        "telecom": _phones(plan, folder.dice.randrange(10_000)),
        "gender": plan.sex,
        "birthDate": born_on(plan, folder.until).isoformat(),
        "address": [_address(plan)],
        "generalPractitioner": [reference("Practitioner", CLINICIANS[plan.clinician])],
        "managingOrganization": reference("Organization", PRACTICE),
    }
    return {name: value for name, value in body.items() if value}


def _extensions(plan: Plan, code: str, race: str) -> list[Resource]:
    sex = {
        "url": f"{CORE}us-core-birthsex",
        "valueCode": {"female": "F", "male": "M"}.get(plan.sex, "UNK"),
    }
    if not code:
        return [sex]
    coding = {"system": "urn:oid:2.16.840.1.113883.6.238", "code": code, "display": race}
    said = [{"url": "ombCategory", "valueCoding": coding}, {"url": "text", "valueString": race}]
    return [{"url": f"{CORE}us-core-race", "extension": said}, sex]


def _phones(plan: Plan, last: int) -> list[Resource]:
    phones = [
        {
            "system": "phone",
            "value": f"+1-555-{200 + plan.house % 700:03d}-{plan.house * 37 % 10_000:04d}",
            "use": "home",
        }
    ]
    if plan.role == "head":
        phones.append(
            {"system": "phone", "value": f"+1-555-{900 - plan.house % 90:03d}-{last:04d}", "use": "mobile"}
        )
    return phones


def _address(plan: Plan) -> Resource:
    line = f"{plan.house * 7 % 198 + 1} {STREETS[plan.house % len(STREETS)]}"
    return {
        "use": "home",
        "line": [line],
        "city": "Alderton",
        "state": "OH",
        "postalCode": f"44{plan.house % 90 + 1:03d}",
        "country": "US",
    }


def _coverage(folder: Folder, plan: Plan, since: datetime) -> None:
    payer = (
        "Silver Meadow Senior Plan" if plan.age >= 65 else folder.dice.choice(("Harborlight Mutual", "Harborlight Mutual", "Pinecrest Community Plan", ""))
    )  # fmt: skip
    if not payer:
        return
    body = {
        "status": "active", "type": {"text": "Health insurance"}, "subscriberId": f"H{plan.house:05d}", "beneficiary": folder.subject(),
        "relationship": term("subscriber-relationship", "self" if plan.role == "head" else "child"),
        "period": {"start": since.date().replace(month=1, day=1).isoformat()}, "payor": [reference("Organization", PAYERS[payer])],
        "class": [{"type": term("coverage-class", "plan"), "value": f"{payer.split()[0].upper()}-1", "name": payer}],
    }  # fmt: skip
    folder.keep("Coverage", "1", since, body)


def _relatives(folder: Folder, plan: Plan, since: datetime) -> None:
    if plan.role == "child":
        given, code, words = folder.dice.choice(("Marisol", "Tove", "Anjali", "Hélène")), "MTH", "Mother"
    elif folder.dice.random() < 0.45:
        given, code, words = (
            folder.dice.choice(("Emil", "Rosa", "Daniyal", "Noor", "Åsa")),
            "FAMMEMB",
            "Next of kin",
        )
    else:
        return
    body = {
        "active": True, "patient": folder.subject(),
        "relationship": [{"coding": [{"system": TERM + "v3-RoleCode", "code": code}], "text": words}],
        "name": [{"family": plan.family, "given": [given]}], "telecom": _phones(plan, 0)[:1], "address": [_address(plan)],
    }  # fmt: skip
    folder.keep("RelatedPerson", "1", since, body)


def allergy(folder: Folder, key: str, when: datetime) -> None:
    """Record one allergy, or that there is known to be none."""
    body: dict[str, Any] = {
        "clinicalStatus": term("allergyintolerance-clinical", "active"),
        "verificationStatus": term("allergyintolerance-verification", "confirmed"),
        "patient": folder.subject(), "recordedDate": stamp(when), "recorder": reference("Practitioner", folder.actor),
    }  # fmt: skip
    if key == "none":
        body["code"] = concept("No known allergies", (SNOMED, "716186003"))
    else:
        text, code, kind, criticality, reaction = ALLERGIES[key]
        severity = "severe" if criticality == "high" else "mild"
        body |= {
            "type": "allergy", "category": [kind], "criticality": criticality, "code": concept(text, (RXNORM, code)),
            "reaction": [{"manifestation": [{"text": reaction}], "severity": severity}],
        }  # fmt: skip
    folder.keep("AllergyIntolerance", key, when, body)


_INHERITED = (("Type 2 diabetes", "E11.9"), ("High blood pressure", "I10"), ("Heart attack", "I21.9"), ("Stroke", "I63.9"),
              ("Breast cancer", "C50.919"), ("Bowel cancer", "C18.9"), ("Depression", "F32.9"))  # fmt: skip


def _family_history(folder: Folder, plan: Plan, since: datetime) -> None:
    for code, words, sex in (("MTH", "Mother", "female"), ("FTH", "Father", "male")):
        if folder.dice.random() < 0.35:
            text, icd = folder.dice.choice(_INHERITED)
            onset = folder.dice.randrange(38, 80)
            body = {
                "status": "completed", "patient": folder.subject(), "date": stamp(since),
                "relationship": {"coding": [{"system": TERM + "v3-RoleCode", "code": code}], "text": words},
                "sex": {"coding": [{"system": "http://hl7.org/fhir/administrative-gender", "code": sex}]},
                "condition": [{"code": concept(text, (ICD, icd)), "onsetAge": _years(onset)}],
            }  # fmt: skip
            folder.keep("FamilyMemberHistory", code, since, body)


def _years(count: int) -> Resource:
    return {"value": count, "unit": "years", "system": "http://unitsofmeasure.org", "code": "a"}


def _team(folder: Folder, plan: Plan, since: datetime) -> None:
    members = [CLINICIANS[plan.clinician], CLINICIANS[2]]
    body = {
        "status": "active", "name": f"Care team of {folder.name}", "subject": folder.subject(), "period": {"start": since.date().isoformat()},
        "participant": [{"member": {**reference("Practitioner", one), "display": NAMES[one]}} for one in dict.fromkeys(members)],
    }  # fmt: skip
    folder.keep("CareTeam", "1", since, body)
