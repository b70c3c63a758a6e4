"""Whom rules are asked about: birth date, sex by the order of the clinical corrections, descent, death."""

from __future__ import annotations

from datetime import date
from typing import Any

from msgspec import Struct

from commonchart.care.evidence import first_day


class Person(Struct, frozen=True):
    """Whom the rules are asked about. `sex` is "female", "male" or "" with `sex_problem` saying why it is not known.

    `sex_note` is a conflict that the sex parameter for clinical use decides: it is shown, not resolved silently.
    """

    id: str
    born: date | None
    born_problem: str = ""
    sex: str = ""
    sex_source: str = ""
    sex_problem: str = ""
    died: bool = False
    asian: bool | None = None
    sex_note: str = ""
    died_on: date | None = None


_PARAMETER = "http://hl7.org/fhir/StructureDefinition/patient-sexParameterForClinicalUse"
_SEXES = (
    ("http://hl7.org/fhir/us/core/StructureDefinition/us-core-sex", "recorded sex"),
    ("http://hl7.org/fhir/us/core/StructureDefinition/us-core-birthsex", "sex at birth"),
)
_CLINICAL = "sex parameter for clinical use"
_RACE = "http://hl7.org/fhir/us/core/StructureDefinition/us-core-race"
_SEX_WORDS = {
    "female": "female", "f": "female", "248152002": "female", "female-typical": "female",
    "male": "male", "m": "male", "248153007": "male", "male-typical": "male",
}  # fmt: skip


def person(patient: dict[str, Any], as_of: date) -> Person:
    """What rules need of a Patient. Sex by the order of the clinical corrections; a conflict is said, not resolved."""
    born_text = patient.get("birthDate", "")
    problem = "" if len(born_text) == 10 else "not recorded" if not born_text else "known only in part"
    sex, source, trouble = _sex(patient)
    return Person(
        patient.get("id", ""),
        first_day(born_text) if not problem else None,
        problem,
        sex,
        source,
        "" if sex else trouble,
        _died(patient, as_of),
        _asian(patient),
        trouble if sex else "",
        first_day(patient.get("deceasedDateTime")),
    )


def _died(patient: dict[str, Any], as_of: date) -> bool:
    day = first_day(patient.get("deceasedDateTime"))
    return patient.get("deceasedBoolean") is True or (day is not None and day <= as_of)


def _sex(patient: dict[str, Any]) -> tuple[str, str, str]:
    found: list[tuple[str, str]] = []
    extensions = patient.get("extension") or []
    for url, source in ((_PARAMETER, _CLINICAL), *_SEXES):
        for extension in extensions:
            if extension.get("url") == url:
                found.append((_SEX_WORDS.get(_coded_value(extension).lower(), ""), source))
    found.append((_SEX_WORDS.get(patient.get("gender", ""), ""), "administrative gender"))
    known = [(sex, source) for sex, source in found if sex]
    if not known:
        return "", "", "sex is not recorded in a way that rules can use"
    if len({sex for sex, _ in known}) > 1:
        said = "the record disagrees with itself: " + " and ".join(f"{source} {sex}" for sex, source in known)
        return (*known[0], said) if known[0][1] == _CLINICAL else ("", "", said)
    return known[0][0], known[0][1], ""


def _coded_value(extension: dict[str, Any]) -> str:
    if extension.get("extension"):
        inner = [e for e in extension["extension"] if e.get("url") == "value"]
        return _coded_value(inner[0]) if inner else ""
    concept = extension.get("valueCodeableConcept") or {}
    codings = concept.get("coding") or ([extension["valueCoding"]] if extension.get("valueCoding") else [])
    return str(extension.get("valueCode") or next((c.get("code", "") for c in codings), ""))


def _asian(patient: dict[str, Any]) -> bool | None:
    races = [e for e in patient.get("extension") or () if e.get("url") == _RACE]
    codes = {
        (part.get("valueCoding") or {}).get("code")
        for race in races
        for part in race.get("extension") or ()
        if part.get("url") == "ombCategory"
    } - {None, "UNK", "ASKU"}
    return None if not codes else "2028-9" in codes
