"""Answers to the questions of rules, as they are kept: a QuestionnaireResponse, and the facts that derive from it.

Every answer is an Observation coded with the question (docs/decisions/0017); where a public code says the same, that code stands
beside it: never smoked (LOINC 72166-2, US Core), the due date (LOINC 11778-8), a birth (a Condition, ICD-10-CM Z37.9). "I do not know"
and "I would rather not say" are answers too (FHIR R4 data-absent-reason). `derivedFrom` leads back to the response.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from datetime import datetime
from typing import Any, Literal

from msgspec import Struct

from commonchart.care.evidence import QUESTION_SYSTEM
from commonchart.care.questions import PRE_VISIT, Asked, version
from commonchart.care.schema import Pack

JsonObject = dict[str, Any]
LOINC, SNOMED, ICD10CM = "http://loinc.org", "http://snomed.info/sct", "http://hl7.org/fhir/sid/icd-10-cm"
TERM = "http://terminology.hl7.org/CodeSystem/"
_ABSENT_URL = "http://hl7.org/fhir/StructureDefinition/data-absent-reason"
_SEX_URL = "http://hl7.org/fhir/StructureDefinition/patient-sexParameterForClinicalUse"
UNSAID = {"unknown": "asked-unknown", "declined": "asked-declined"}
_UNSAID_WORDS = {"unknown": "Asked but unknown", "declined": "Asked but declined"}


class Given(Struct, frozen=True):
    """One answer: `said` is yes, no, unknown or declined; `day` a date (FHIR) that was asked for; `birth`: it ended in one."""

    asked: Asked
    said: Literal["yes", "no", "unknown", "declined"]
    day: str = ""
    birth: bool = False


class Written(Struct, frozen=True):
    """About whom, when, by whom, and whose words they are. `author` and `informant` are FHIR References."""

    patient: str
    now: datetime
    author: JsonObject
    informant: JsonObject
    response: str

    @property
    def at(self) -> str:
        """The moment as FHIR writes it."""
        return self.now.isoformat(timespec="seconds")


def response(given: Iterable[Given], pack: Pack, written: Written) -> JsonObject:
    """The QuestionnaireResponse: every answer with its question as it was asked."""
    out: JsonObject = {
        "resourceType": "QuestionnaireResponse", "id": written.response, "questionnaire": f"{PRE_VISIT}|{version(pack)}",
        "status": "completed", "subject": {"reference": f"Patient/{written.patient}"}, "authored": written.at,
        "item": [{"linkId": one.asked.id, "text": one.asked.text, "answer": [_value(one)]} for one in given],
    }  # fmt: skip
    return out | {
        name: who for name, who in (("author", written.author), ("source", written.informant)) if who
    }


def _value(one: Given) -> JsonObject:
    dated = one.asked.kind in ("date", "born")
    if one.said in UNSAID:
        beside = {"extension": [{"url": _ABSENT_URL, "valueCode": UNSAID[one.said]}]}
        return {"_valueDate" if dated else "_valueBoolean": beside}
    if one.asked.kind in ("sex", "body"):
        return {"valueString": one.day}
    return {"valueDate": one.day} if dated else {"valueBoolean": one.said == "yes"}


def facts(given: Iterable[Given], written: Written) -> list[JsonObject]:
    """The facts that derive from the answers; what changes the Patient itself (birth date, sex) is not among them."""
    return [fact for one in given for fact in _facts(one, written)]


def _facts(one: Given, written: Written) -> Iterator[JsonObject]:
    if one.said in UNSAID:
        yield _observation(one, written) | {"dataAbsentReason": _unsaid(one.said)}
    elif one.asked.kind == "boolean":
        yield _yes_or_no(one, written)
    elif one.asked.kind == "date":
        yield _due_date(one, written)
    elif one.asked.kind == "ended":
        yield from _ended(one, written)


def _unsaid(said: str) -> JsonObject:
    coding = {"system": f"{TERM}data-absent-reason", "code": UNSAID[said]}
    return {"coding": [coding], "text": _UNSAID_WORDS[said]}


def _observation(
    one: Given, written: Written, *more: tuple[str, str], category: str = "survey"
) -> JsonObject:
    codings = [*more, (QUESTION_SYSTEM, one.asked.id)]
    out: JsonObject = {
        "resourceType": "Observation", "status": "final",
        "category": [{"coding": [{"system": f"{TERM}observation-category", "code": category}]}],
        "code": {"coding": [{"system": system, "code": code} for system, code in codings], "text": one.asked.text},
        "subject": {"reference": f"Patient/{written.patient}"}, "effectiveDateTime": written.at,
        "issued": written.now.isoformat(timespec="milliseconds"),
        "derivedFrom": [{"reference": f"QuestionnaireResponse/{written.response}"}],
    }  # fmt: skip
    performers = [who for who in (written.informant, written.author) if who]
    return out | ({"performer": performers[:1]} if performers else {})


def _yes_or_no(one: Given, written: Written) -> JsonObject:
    if (one.asked.id, one.said) == ("ever-smoked", "no"):
        never = {"coding": [{"system": SNOMED, "code": "266919005"}], "text": "Never smoked"}
        smoking = _observation(one, written, (LOINC, "72166-2"), category="social-history")
        return smoking | {"valueCodeableConcept": never}
    return _observation(one, written) | {"valueBoolean": one.said == "yes"}


def _due_date(one: Given, written: Written) -> JsonObject:
    return _observation(one, written, (LOINC, "11778-8")) | {"valueDateTime": one.day}


def _ended(one: Given, written: Written) -> Iterator[JsonObject]:
    """The end of a pregnancy on its day; or that it goes on, which needs a due date to be believed after 45 weeks."""
    if one.said == "yes":
        yield _observation(one, written) | {"valueBoolean": True, "effectiveDateTime": one.day}
        if one.birth:
            yield _birth(one, written)
        return
    yield _observation(one, written) | {"valueBoolean": False}
    due = Asked("due-date", "When is the baby due?", "date", "patient", False, ())
    yield _due_date(Given(due, "yes", one.day), written)


def _birth(one: Given, written: Written) -> JsonObject:
    return {
        "resourceType": "Condition", "subject": {"reference": f"Patient/{written.patient}"}, "onsetDateTime": one.day,
        "abatementDateTime": one.day, "recordedDate": written.at,
        "clinicalStatus": {"coding": [{"system": f"{TERM}condition-clinical", "code": "resolved"}]},
        "verificationStatus": {"coding": [{"system": f"{TERM}condition-ver-status", "code": "confirmed"}]},
        "code": {"coding": [{"system": ICD10CM, "code": "Z37.9"}], "text": "Birth"},
    }  # fmt: skip


def with_sex(patient: JsonObject, sex: Literal["female", "male"]) -> JsonObject:
    """The Patient with a sex parameter for clinical use, which decides where a record disagrees with itself."""
    coding = {"system": f"{TERM}sex-parameter-for-clinical-use", "code": f"{sex}-typical"}
    said = {"url": _SEX_URL, "extension": [{"url": "value", "valueCodeableConcept": {"coding": [coding]}}]}
    kept = [one for one in patient.get("extension") or () if one.get("url") != _SEX_URL]
    return patient | {"extension": [*kept, said]}


def confirmed(condition: JsonObject, true: bool) -> JsonObject:
    """The Condition as confirmed, or as ruled out."""
    code = "confirmed" if true else "refuted"
    coding = {"system": f"{TERM}condition-ver-status", "code": code}
    return condition | {"verificationStatus": {"coding": [coding]}}
