"""Whom a result says that it is about: the name, birth date, sex and record number that it carries, against its patient's.

A result carries them in `subject.display`, in `subject.identifier` and in a contained Patient. What it does not state
cannot disagree; a display of one word, or with digits, states no name.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Iterable, Iterator
from datetime import date
from typing import Any

from commonchart.care.evidence import first_day
from commonchart.care.person import person
from commonchart.care.quarantine import Stated, identity

JsonObject = dict[str, Any]
TYPES = frozenset({"Observation", "DiagnosticReport"})
_WORD = re.compile(r"[^\W\d_]+")


def mistaken(resources: Iterable[JsonObject]) -> dict[str, str]:
    """ "Type/id" -> why a result seems to be somebody else's, of those whose Patient is among the resources."""
    held = list(resources)
    patients = {f"Patient/{one.get('id', '')}": one for one in held if one.get("resourceType") == "Patient"}
    out = {}
    for one in held:
        if one.get("resourceType") in TYPES and (reason := _reason(one, patients)):
            out[f"{one['resourceType']}/{one.get('id', '')}"] = reason
    return out


def _reason(resource: JsonObject, patients: dict[str, JsonObject]) -> str:
    subject = resource.get("subject") or {}
    inside = [one for one in resource.get("contained") or () if one.get("resourceType") == "Patient"]
    if not inside and "display" not in subject and "identifier" not in subject:
        return ""
    patient = patients.get(str(subject.get("reference", "")))
    return "" if patient is None else mismatch(resource, patient)


def mismatch(resource: JsonObject, patient: JsonObject) -> str:
    """Why a result seems to be about another person than its patient; "" where everything that both state agrees."""
    subject = resource.get("subject") or {}
    inside = [one for one in resource.get("contained") or () if one.get("resourceType") == "Patient"]
    numbers = [subject.get("identifier"), *(n for one in inside for n in one.get("identifier") or ())]
    who = person(patient, date.max)
    own = _families(patient)
    found = [identity(_said(one, own), _first(own), who) for one in inside]
    found.append(identity(Stated(_other_name(str(subject.get("display") or ""), own)), _first(own), who))
    if any(_other_number(number, patient) for number in numbers if isinstance(number, dict)):
        found.append("record number on the result is not the patient's")
    return "; ".join(dict.fromkeys(one for one in found if one))


def _said(stated: JsonObject, own: list[str]) -> Stated:
    families = _families(stated)
    same = {_folded(one) for one in families} & {_folded(one) for one in own}
    other = families[0] if families and own and not same else ""
    sex = stated.get("gender", "")
    return Stated(other, first_day(stated.get("birthDate")), sex if sex in ("female", "male") else "")


def _families(patient: JsonObject) -> list[str]:
    """Every family name a person has or had."""
    return [str(name["family"]) for name in patient.get("name") or () if name.get("family")]


def _first(names: list[str]) -> str:
    return names[0] if names else ""


def _other_name(display: str, own: list[str]) -> str:
    """The family name that a display states, "" where it holds one of the patient's or states none."""
    words = list(_words(display))
    if not own or len(words) < 2 or any(letter.isdigit() for letter in display):
        return ""
    if any(set(_words(name)) <= set(words) for name in own):
        return ""
    return display.partition(",")[0].strip() if "," in display else words[-1]


def _words(text: str) -> Iterator[str]:
    return (found for found in _WORD.findall(_folded(text)))


def _folded(text: str) -> str:
    plain = unicodedata.normalize("NFKD", text)
    return "".join(letter for letter in plain if not unicodedata.combining(letter)).casefold()


def _other_number(stated: JsonObject, patient: JsonObject) -> bool:
    """Whether a number of a system in which the patient has a number is none of theirs."""
    system, value = stated.get("system"), stated.get("value")
    own = {one.get("value") for one in patient.get("identifier") or () if one.get("system") == system}
    return bool(system and value and own) and value not in own
