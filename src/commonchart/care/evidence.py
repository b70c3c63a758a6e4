"""Dated facts out of resources: what rules see of a chart, each with its source and whether it may be used.

A fact that may not satisfy anything (entered in error, preliminary, implausible, in the future) is kept with the reason,
so that an explanation can say what was not used.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from datetime import UTC, date, datetime
from decimal import Decimal
from typing import Any, Literal

from msgspec import Struct

from commonchart.fhir import dates
from commonchart.fhir.outcome import Invalid

Kind = Literal[
    "condition", "observation", "procedure", "report", "medication", "immunization", "service", "document"
]

SYSTEMS = {
    "http://loinc.org": "loinc",
    "http://snomed.info/sct": "sct",
    "http://hl7.org/fhir/sid/icd-10-cm": "icd10",
    "http://hl7.org/fhir/sid/icd-10": "icd10",
    "http://www.ama-assn.org/go/cpt": "cpt",
    "https://www.cms.gov/Medicare/Coding/HCPCSReleaseCodeSets": "hcpcs",
    "http://hl7.org/fhir/sid/cvx": "cvx",
    "http://www.nlm.nih.gov/research/umls/rxnorm": "rxnorm",
}

Code = tuple[str, str]


class Fact(Struct, frozen=True):
    """One dated fact. `unusable` says why it may not satisfy a rule, "" if it may. `ref` is "Type/id".

    `day` is the first day it may mean (a year means its 1 January), None without a date; `shown` is the date as written.
    """

    kind: Kind
    codes: frozenset[Code]
    text: str
    day: date | None
    shown: str
    ref: str
    unusable: str = ""
    active: bool = True
    ended: date | None = None
    value: Decimal | None = None
    comparator: str = ""
    unit: str = ""
    words: str = ""
    part_of: str = ""

    @property
    def coded(self) -> bool:
        """Whether any of its codes is in a system that rules know."""
        return bool(self.codes)


class Person(Struct, frozen=True):
    """Whom the rules are asked about. `sex` is "female", "male" or "" with `sex_problem` saying why it is not known."""

    id: str
    born: date | None
    born_problem: str = ""
    sex: str = ""
    sex_source: str = ""
    sex_problem: str = ""
    died: bool = False
    asian: bool | None = None


class Evidence(Struct, frozen=True):
    """Everything the rules may look at, by kind, newest first."""

    facts: tuple[Fact, ...]

    def of(self, *kinds: str) -> Iterator[Fact]:
        """Facts of these kinds."""
        return (fact for fact in self.facts if fact.kind in kinds)


def evidence(resources: Iterable[dict[str, Any]]) -> Evidence:
    """The facts of a person's resources, newest first; what is no fact for rules is left out."""
    found = [fact for resource in resources for fact in _facts(resource)]
    found.sort(key=lambda fact: (fact.day or date.min, fact.ref), reverse=True)
    return Evidence(tuple(found))


def _facts(resource: dict[str, Any]) -> Iterator[Fact]:
    make = _MAKERS.get(resource.get("resourceType", ""))
    return make(resource) if make else iter(())


def codes_of(*concepts: Any) -> frozenset[Code]:
    """The codes of CodeableConcepts in systems that rules know, by short system name."""
    out: set[Code] = set()
    for concept in concepts:
        for coding in (concept or {}).get("coding") or () if isinstance(concept, dict) else ():
            system = SYSTEMS.get(coding.get("system", ""))
            if system and coding.get("code"):
                out.add((system, coding["code"]))
    return frozenset(out)


def words_of(concept: Any) -> str:
    """A concept in words: its text, else a display, else a code."""
    if not isinstance(concept, dict):
        return ""
    codings = concept.get("coding") or []
    shown = next((c["display"] for c in codings if c.get("display")), "")
    return concept.get("text") or shown or next((c["code"] for c in codings if c.get("code")), "")


def first_day(text: Any) -> date | None:
    """The first day a FHIR date may mean, None if it is none."""
    try:
        return dates.bounds(text)[0].astimezone(UTC).date() if isinstance(text, str) else None
    except Invalid:
        return None


def _when(resource: dict[str, Any], *names: str) -> str:
    for name in names:
        value = resource.get(name)
        if isinstance(value, dict):
            value = value.get("start") or value.get("end")
        if isinstance(value, str) and value:
            return value
    return ""


def _ref(resource: dict[str, Any]) -> str:
    return f"{resource['resourceType']}/{resource.get('id', '')}"


# ---- makers ----------------------------------------------------------------------------------------------------

_LIVE = {"active", "recurrence", "relapse"}


def _status_of(concept: Any) -> str:
    codings = (concept or {}).get("coding") or [] if isinstance(concept, dict) else []
    return next((c["code"] for c in codings if c.get("code")), "")


def _condition(resource: dict[str, Any]) -> Iterator[Fact]:
    verified = _status_of(resource.get("verificationStatus"))
    unusable = {
        "entered-in-error": "entered in error",
        "refuted": "ruled out",
        "unconfirmed": "not confirmed",
        "provisional": "provisional",
        "differential": "one of several possibilities",
    }.get(verified, "")
    clinical = _status_of(resource.get("clinicalStatus"))
    abated = any(name.startswith("abatement") for name in resource)
    shown = _when(resource, "onsetDateTime", "onsetPeriod", "recordedDate")
    yield Fact(
        "condition", codes_of(resource.get("code")), words_of(resource.get("code")), first_day(shown), shown, _ref(resource),
        unusable, clinical in _LIVE if clinical else not abated, first_day(_when(resource, "abatementDateTime", "abatementPeriod")),
    )  # fmt: skip


_OBSERVED = {
    "registered": "no result yet",
    "preliminary": "preliminary",
    "cancelled": "cancelled",
    "entered-in-error": "entered in error",
    "unknown": "status not known",
}


def _observation(resource: dict[str, Any]) -> Iterator[Fact]:
    shown = _when(resource, "effectiveDateTime", "effectivePeriod", "effectiveInstant", "issued")
    unusable = _OBSERVED.get(resource.get("status", ""), "")
    yield _measured(resource, resource, shown, unusable, "")
    for part in resource.get("component") or ():
        yield _measured(part, resource, shown, unusable, _ref(resource))


def _measured(
    part: dict[str, Any], resource: dict[str, Any], shown: str, unusable: str, part_of: str
) -> Fact:
    quantity = part.get("valueQuantity") or {}
    number = quantity.get("value")
    if number is None:
        number = part.get("valueInteger")
    words = part.get("valueString") or words_of(part.get("valueCodeableConcept"))
    interpretation = " ".join(words_of(one) for one in part.get("interpretation") or ())
    return Fact(
        "observation", codes_of(part.get("code"), part.get("valueCodeableConcept")), words_of(part.get("code")),
        first_day(shown), shown, _ref(resource), unusable,
        value=Decimal(number) if number is not None and not isinstance(number, bool) else None,
        comparator=quantity.get("comparator", ""), unit=quantity.get("code") or quantity.get("unit", ""),
        words=" ".join(filter(None, (words, interpretation))), part_of=part_of,
    )  # fmt: skip


def _procedure(resource: dict[str, Any]) -> Iterator[Fact]:
    status = resource.get("status", "")
    unusable = "" if status == "completed" else f"{status.replace('-', ' ') or 'status not known'}"
    shown = _when(resource, "performedDateTime", "performedPeriod")
    yield Fact(
        "procedure", codes_of(resource.get("code")), words_of(resource.get("code")), first_day(shown), shown, _ref(resource),
        unusable, words=words_of(resource.get("outcome")),
    )  # fmt: skip


def _report(resource: dict[str, Any]) -> Iterator[Fact]:
    status = resource.get("status", "")
    unusable = (
        "" if status in ("final", "amended", "corrected", "appended") else f"{status or 'status not known'}"
    )
    shown = _when(resource, "effectiveDateTime", "effectivePeriod", "issued")
    conclusions = resource.get("conclusionCode") or []
    words = " ".join(filter(None, (resource.get("conclusion", ""), *(words_of(c) for c in conclusions))))
    yield Fact(
        "report", codes_of(resource.get("code"), *conclusions), words_of(resource.get("code")), first_day(shown), shown,
        _ref(resource), unusable, words=words,
    )  # fmt: skip


def _medication(resource: dict[str, Any]) -> Iterator[Fact]:
    concept = resource.get("medicationCodeableConcept")
    status = resource.get("status", "")
    shown = _when(resource, "authoredOn", "effectiveDateTime", "effectivePeriod")
    yield Fact(
        "medication", codes_of(concept), words_of(concept), first_day(shown), shown, _ref(resource),
        "entered in error" if status == "entered-in-error" else "", status in ("active", "on-hold", "intended"),
    )  # fmt: skip


def _immunization(resource: dict[str, Any]) -> Iterator[Fact]:
    status = resource.get("status", "")
    shown = _when(resource, "occurrenceDateTime")
    yield Fact(
        "immunization", codes_of(resource.get("vaccineCode")), words_of(resource.get("vaccineCode")), first_day(shown), shown,
        _ref(resource), "" if status == "completed" else status.replace("-", " "),
    )  # fmt: skip


def _service(resource: dict[str, Any]) -> Iterator[Fact]:
    concepts = (
        resource.get("type") or [] if resource["resourceType"] == "Encounter" else [resource.get("code")]
    )
    status = resource.get("status", "")
    shown = _when(resource, "period", "authoredOn")
    wrong = status in ("entered-in-error", "cancelled", "revoked") or resource.get("doNotPerform") is True
    yield Fact(
        "service", codes_of(*concepts), ", ".join(filter(None, map(words_of, concepts))), first_day(shown), shown,
        _ref(resource), status.replace("-", " ") if wrong else "", status in ("active", "in-progress", "arrived", "completed"),
    )  # fmt: skip


_MAKERS = {
    "Condition": _condition,
    "Observation": _observation,
    "Procedure": _procedure,
    "DiagnosticReport": _report,
    "MedicationRequest": _medication,
    "MedicationStatement": _medication,
    "Immunization": _immunization,
    "Encounter": _service,
    "ServiceRequest": _service,
}
TYPES = tuple(_MAKERS)


# ---- the person ------------------------------------------------------------------------------------------------

_PARAMETER = "http://hl7.org/fhir/StructureDefinition/patient-sexParameterForClinicalUse"
_SEXES = (
    ("http://hl7.org/fhir/us/core/StructureDefinition/us-core-sex", "recorded sex"),
    ("http://hl7.org/fhir/us/core/StructureDefinition/us-core-birthsex", "sex at birth"),
)
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
        trouble,
        _died(patient, as_of),
        _asian(patient),
    )


def _died(patient: dict[str, Any], as_of: date) -> bool:
    day = first_day(patient.get("deceasedDateTime"))
    return patient.get("deceasedBoolean") is True or (day is not None and day <= as_of)


def _sex(patient: dict[str, Any]) -> tuple[str, str, str]:
    found: list[tuple[str, str]] = []
    extensions = patient.get("extension") or []
    for url, source in ((_PARAMETER, "sex parameter for clinical use"), *_SEXES):
        for extension in extensions:
            if extension.get("url") == url:
                found.append((_SEX_WORDS.get(_coded_value(extension).lower(), ""), source))
    found.append((_SEX_WORDS.get(patient.get("gender", ""), ""), "administrative gender"))
    known = [(sex, source) for sex, source in found if sex]
    if not known:
        return "", "", "sex is not recorded in a way that rules can use"
    if len({sex for sex, _ in known}) > 1:
        said = " and ".join(f"{source} {sex}" for sex, source in known)
        return "", "", f"the record disagrees with itself: {said}"
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


def moment_day(now: datetime) -> date:
    """The day of a moment, in UTC: what a worker passes as `as_of`."""
    return now.astimezone(UTC).date()
