"""PID, PD1 and NK1 as FHIR Patient and RelatedPerson. http://hl7.org/fhir/uv/v2mappings: PID[Patient], NK1[RelatedPerson]."""

from __future__ import annotations

import re
from typing import Any

from commonchart.exchange.v2 import tables
from commonchart.exchange.v2.reading import (
    REQUIRED,
    TABLE_VALUE,
    Element,
    Reading,
    address,
    concept,
    date_time,
    identifier,
    number,
    person_name,
    present,
    telecom,
)

US_CORE = "http://hl7.org/fhir/us/core/StructureDefinition/"
MAIDEN = "http://hl7.org/fhir/StructureDefinition/patient-mothersMaidenName"
ETHNICITY = {"H": "2135-2", "N": "2186-5"}  # HL7 table 0189
_CDCREC = re.compile(r"\d{4}-\d")
OMB = {
    "us-core-race": frozenset({"1002-5", "2028-9", "2054-5", "2076-8", "2106-3", "2131-1"}),
    "us-core-ethnicity": frozenset({"2135-2", "2186-5"}),
}


def patient(pid: Reading) -> Element:
    """The Patient of a PID; what is missing or wrong is noted, an unusable name or birth date as an error."""
    pid.skip(1)
    out: Element = {"resourceType": "Patient"} | present(
        identifier=_identifiers(pid),
        name=_names(pid),
        birthDate=date_time(pid.first(7), day_only=True, severity="E"),
        gender=_gender(pid, 8),
        address=[one for one in map(address, pid.reps(11)) if one],
        telecom=_telecoms(pid, (13, "home"), (14, "work"), (40, "")),
        communication=_languages(pid),
        maritalStatus=concept(pid.first(16), "HL70002"),
        extension=[*_maiden_name(pid), *_race(pid, 10, "us-core-race"), *_race(pid, 22, "us-core-ethnicity")],
    )
    return out | _birth(pid) | _death(pid)


def _identifiers(pid: Reading) -> list[Element]:
    listed = [one for one in map(identifier, pid.reps(3)) if one]
    found = listed + [one for field in (2, 4) for one in map(identifier, pid.reps(field)) if one]
    ssn = pid.text(19)
    if ssn:
        kind = {"coding": [{"system": tables.KINDS, "code": "SS"}]}
        found.append({"type": kind, "system": tables.SSN, "value": ssn})
    if not listed:
        pid.note(3, "A patient is known by at least one identifier", "E", REQUIRED)
    return [one for n, one in enumerate(found) if one not in found[:n]]


def _names(pid: Reading) -> list[Element]:
    found = [one for field in (5, 9) for one in map(person_name, pid.reps(field)) if one]
    if not any("family" in one for one in found):
        pid.note(5, "A patient has a family name", "E", REQUIRED)
    return found


def _gender(reading: Reading, field: int) -> str:
    code = reading.text(field)
    if code and code not in tables.GENDERS:
        reading.note(field, "This administrative sex is not known here and was not kept", "W", TABLE_VALUE)
    return tables.GENDERS.get(code, "")


def _telecoms(reading: Reading, *fields: tuple[int, str]) -> list[Element]:
    return [one for field, use in fields for one in (telecom(rep, use) for rep in reading.reps(field)) if one]


def _languages(pid: Reading) -> list[Element]:
    found = concept(pid.first(15), "HL70296")
    return [{"language": found, "preferred": True}] if found else []


def _maiden_name(pid: Reading) -> list[Element]:
    rep = pid.first(6)
    family = rep.get(1) if rep else ""
    if rep:
        rep.get(7)
    return [{"url": MAIDEN, "valueString": family}] if family else []


def _race(pid: Reading, field: int, name: str) -> list[Element]:
    """Race or ethnicity as US Core writes it; a code that is not OMB's is kept as detail."""
    parts: list[Element] = []
    words: list[str] = []
    for rep in pid.reps(field):
        code, text, table = rep.get(1), rep.get(2), rep.get(3)
        words.append(text or code)
        code = ETHNICITY.get(code, code) if field == 22 else code
        if tables.system_of(table or "HL70005") != tables.CDCREC or not _CDCREC.fullmatch(code):
            rep.note("Not a code of CDC's race and ethnicity; kept as text", "I", TABLE_VALUE)
            continue
        kind = "ombCategory" if code in OMB[name] else "detailed"
        parts.append({"url": kind, "valueCoding": present(system=tables.CDCREC, code=code, display=text)})
    if not words:
        return []
    return [{"url": US_CORE + name, "extension": [*parts, {"url": "text", "valueString": ", ".join(words)}]}]


def _birth(pid: Reading) -> Element:
    order, many = number(pid.first(25)), pid.text(24)
    if order is not None and order == int(order) and order > 0 and many != "N":
        return {"multipleBirthInteger": int(order)}
    return {"multipleBirthBoolean": many == "Y"} if many in ("Y", "N") else {}


def _death(pid: Reading) -> Element:
    when, dead = date_time(pid.first(29)), pid.text(30)
    if when and dead != "N":
        return {"deceasedDateTime": when}
    if when:
        pid.note(29, "A date of death, and PID-30 says alive: neither was kept", "W")
        return {}
    return {"deceasedBoolean": dead == "Y"} if dead in ("Y", "N") else {}


def protection(pd1: Reading) -> None:
    """What PD1 says of sharing is told, since the record does not enforce it."""
    if pd1.text(12) == "Y":
        pd1.note(
            12, "The patient asks not to be shared; Commonchart does not enforce this: a person must", "W"
        )


def related_person(nk1: Reading, patient: str) -> Element | None:
    """The RelatedPerson of an NK1, None without a name."""
    nk1.skip(1)
    names = [one for one in map(person_name, nk1.reps(2)) if one]
    if not names:
        nk1.note(2, "A relative without a name was not kept", "W", REQUIRED)
        return None
    kinds = [concept(nk1.first(3), "HL70063"), concept(nk1.first(7), "HL70131")]
    out: dict[str, Any] = {"resourceType": "RelatedPerson", "patient": {"reference": patient}}
    return out | present(
        name=names,
        relationship=[one for one in kinds if one],
        address=[one for one in map(address, nk1.reps(4)) if one],
        telecom=_telecoms(nk1, (5, ""), (6, "work")),
        gender=_gender(nk1, 15),
        birthDate=date_time(nk1.first(16), day_only=True),
        identifier=[one for one in map(identifier, nk1.reps(33)) if one],
    )


def record_numbers(resource: Element) -> list[tuple[str, str]]:
    """(system, value) of the identifiers that name one patient of one keeper, record numbers first; no SSN."""
    found = [one for one in resource.get("identifier", []) if one.get("system") and one.get("value")]
    found.sort(key=lambda one: _kind(one) != "MR")
    return [(one["system"], one["value"]) for one in found if one["system"] != tables.SSN]


def _kind(one: Element) -> str:
    return next((c.get("code", "") for c in one.get("type", {}).get("coding", [])), "")
