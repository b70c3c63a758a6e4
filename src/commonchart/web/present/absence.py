"""`Known to have none` against `none recorded`: negation codes and Lists with `emptyReason` `nilknown`."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from commonchart.web.present import codes, dates
from commonchart.web.present.tables import Fact, entered_in_error

# Bare identifiers: SNOMED CT findings of absence, and the IPS absent-or-unknown codes.
_NONE_CODES = {
    "716186003", "409137002", "160245001", "787481004", "1234391000000102", "787480003", "160244002",
    "no-known-allergies", "no-known-problems", "no-known-medications", "no-known-procedures",
    "no-known-immunizations", "no-known-medication-allergies",
}  # fmt: skip
_UNKNOWN_CODES = {
    "no-allergy-info",
    "no-problem-info",
    "no-medication-info",
    "no-procedure-info",
    "no-immunization-info",
    "1631000175102",
}
_LISTS = {"52472-8": "AllergyIntolerance", "48765-2": "AllergyIntolerance", "11450-4": "Condition", "10160-0": "MedicationRequest",
          "11369-6": "Immunization", "47519-4": "Procedure", "10157-6": "FamilyMemberHistory"}  # fmt: skip


def is_absence(body: dict[str, Any]) -> bool:
    """Does this resource say that there is nothing, rather than something?"""
    return any(code.code in _NONE_CODES | _UNKNOWN_CODES for code in codes.codings(_subject_code(body)))


def known_none(facts: Sequence[Fact], rtype: str) -> str:
    """When it was recorded that there are none (`recorded 03-Feb-2026`); empty when nobody said so."""
    for fact in facts:
        if not entered_in_error(fact.body) and _says_none(fact, rtype):
            said = fact.body.get("recordedDate") or fact.body.get("date") or fact.body.get("authoredOn")
            return f"recorded {dates.day(said)}" if said else "recorded without a date"
    return ""


def _says_none(fact: Fact, rtype: str) -> bool:
    if fact.rtype == "List":
        about = {_LISTS.get(code.code) for code in codes.codings(fact.body.get("code"))}
        return (
            rtype in about
            and codes.said(fact.body.get("emptyReason")) == "nilknown"
            and fact.body.get("status") == "current"
        )
    same = fact.rtype == rtype or {fact.rtype, rtype} == {"MedicationRequest", "MedicationStatement"}
    return same and any(code.code in _NONE_CODES for code in codes.codings(_subject_code(fact.body)))


def _subject_code(body: dict[str, Any]) -> dict[str, Any]:
    value = body.get("code") or body.get("medicationCodeableConcept") or body.get("vaccineCode") or {}
    return value if isinstance(value, dict) else {}
