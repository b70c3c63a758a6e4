"""SMART scopes in plain words."""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence

from msgspec import Struct

from commonchart.access import scopes
from commonchart.access.scopes import Scope

VERBS = (("c", "add"), ("u", "change"), ("d", "delete"))
WHOSE = {
    "patient": "of this patient",
    "user": "of everybody whose record you may open",
    "system": "of everybody",
}
TYPES = {
    "*": "everything in the record",
    "AllergyIntolerance": "allergies",
    "CarePlan": "care plans",
    "CareTeam": "care teams",
    "Appointment": "appointments",
    "Communication": "messages",
    "Condition": "problems and diagnoses",
    "Consent": "consents",
    "Coverage": "insurance",
    "DiagnosticReport": "reports of tests",
    "DocumentReference": "documents and notes",
    "Encounter": "visits",
    "FamilyMemberHistory": "family history",
    "Immunization": "vaccinations",
    "MedicationRequest": "prescriptions",
    "MedicationStatement": "medicines taken",
    "Observation": "results, vital signs and other measurements",
    "Patient": "name, birth date, address and other personal details",
    "Practitioner": "clinicians",
    "Organization": "organisations",
    "Location": "places",
    "Procedure": "procedures and surgeries",
    "Provenance": "signatures and sources",
    "RelatedPerson": "relatives and contacts",
    "ServiceRequest": "orders and referrals",
    "Task": "tasks",
}
SPECIAL = {
    "openid": "Know who you are",
    "fhirUser": "See your own entry in the record (your name and role)",
    "profile": "Know your name",
    "offline_access": "Keep this access when you are not here, for up to 180 days",
    "online_access": "Keep this access for as long as you are signed in",
}


class Choice(Struct, frozen=True):
    """One line of the consent page: the scope, in words, and whether it lets the app change something."""

    text: str
    words: str
    writes: bool = False


def in_words(text: str) -> Choice | None:
    """A scope in words, None for those that nobody chooses (which patient is open)."""
    found = scopes.parse(text)
    if found is not None:
        return Choice(text, _resource(found), bool(set("cud") & set(found.letters)))
    return Choice(text, SPECIAL[text]) if text in SPECIAL else None


def choices(texts: Iterable[str]) -> list[Choice]:
    """What a person may untick: the record first, then who they are, then how long."""
    made = [choice for choice in map(in_words, texts) if choice is not None]
    return sorted(made, key=lambda one: (one.text in SPECIAL, one.text in scopes.LASTING))


def fixed(texts: Sequence[str]) -> list[str]:
    """What goes with the rest and is not chosen."""
    return [text for text in texts if in_words(text) is None]


def _resource(one: Scope) -> str:
    verbs = _verbs(one.letters)
    narrowed = f" ({'; '.join(_codes(values) for _, values in one.only)})" if one.only else ""
    return f"{verbs} {_type(one.rtype)}{narrowed} {WHOSE[one.context]}"


def _verbs(letters: str) -> str:
    words = ["see"] if set("rs") & set(letters) else []
    words += [verb for letter, verb in VERBS if letter in letters]
    text = words[0] if len(words) == 1 else f"{', '.join(words[:-1])} and {words[-1]}"
    return text[0].upper() + text[1:]


def _type(rtype: str) -> str:
    return TYPES.get(rtype) or re.sub(r"(?<=[a-z])(?=[A-Z])", " ", rtype).lower() + " entries"


def _codes(values: Sequence[str]) -> str:
    return "only " + " or ".join(value.rpartition("|")[2].replace("-", " ") for value in values)
