"""From a chart to the engine: FHIR R4 resources as person, doses and observations, and what was not considered, each with why.

Codes map through the schedule's own coded values (SNOMED CT, CVX, CDC PHIN), or through maps passed in (NDC or local vaccine
codes; ICD-10-CM, LOINC or local codes of conditions and results). The same dose recorded twice counts once: two records are one
dose if they are of the same day, against the same antigens, equally potent, and their lots do not differ; the one recorded by
whoever gave it is counted, and both are kept.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from datetime import date, timedelta
from typing import Any

from msgspec import Struct

from commonchart.care import facts as chart
from commonchart.care import person as people
from commonchart.care.evidence import first_day, words_of
from commonchart.care.immunizations.answer import Dose, Observation, Person
from commonchart.care.immunizations.compile import Schedule
from commonchart.fhir import dates

Code = tuple[str, str]
"""System URL and code."""

CVX_SYSTEMS = ("http://hl7.org/fhir/sid/cvx", "urn:oid:2.16.840.1.113883.12.292")
ICD10_SYSTEMS = ("http://hl7.org/fhir/sid/icd-10-cm", "http://hl7.org/fhir/sid/icd-10")
MVX_SYSTEMS = ("http://hl7.org/fhir/sid/mvx", "urn:oid:2.16.840.1.113883.12.227")
NO_VACCINE = ("998", "999")
REFUSED_UNTIL = "http://commonchart.org/StructureDefinition/refused-until"
PREGNANT, PREGNANCY_BEGAN = "007", "170"
TRANSPLANT, TRANSPLANTED_ON = "004", "171"
PREGNANCY_DAYS = 300
_BIRTH_PLACE = "http://hl7.org/fhir/StructureDefinition/patient-birthPlace"
_LAST_PERIOD, _DUE_DATE = ("http://loinc.org", "8665-2"), ("http://loinc.org", "11778-8")
_WORDS = (
    "antibod",
    " ab ",
    "igg",
    "titer",
    "titre",
    "immun",
    "pregnan",
    "gestation",
    "transplant",
    "splen",
    "allerg",
    "vaccin",
)
_POSITIVE = {
    "POS",
    "10828004",
    "DET",
    "260373001",
    "LA6576-8",
    "LA9633-4",
    "52101004",
    "LA33-6",
    "373066001",
    "H",
}


class Maps(Struct, frozen=True):
    """Codes that a site maps itself: vaccine codes to CVX, and any other codes to observations of the schedule.

    `icd10` are (prefix without the dot, prefixes left out, observation) of ICD-10-CM.
    """

    vaccines: Mapping[Code, str] = {}
    observations: Mapping[Code, tuple[str, ...]] = {}
    icd10: tuple[tuple[str, tuple[str, ...], str], ...] = ()

    def of(self, system: str, code: str) -> tuple[str, ...]:
        """The observations that a code is mapped to."""
        whole = self.observations.get((system, code), ())
        return (*whole, *self._by_prefix(code)) if system in ICD10_SYSTEMS else whole

    def _by_prefix(self, code: str) -> Iterator[str]:
        bare = code.replace(".", "").upper()
        for prefix, left_out, one in self.icd10:
            if bare.startswith(prefix) and not any(bare.startswith(other) for other in left_out):
                yield one


class Given(Struct, frozen=True):
    """Where a dose comes from: its resource, the day as written, whether historical, and other records of the same dose."""

    ref: str
    shown: str
    historical: bool
    lot: str
    same_as: tuple[str, ...] = ()


class Refusal(Struct, frozen=True):
    """A dose that was not given, with its day, the reason recorded, and until when it stands (None: not said)."""

    ref: str
    cvx: str
    on: date | None
    reason: str
    until: date | None = None


class NotConsidered(Struct, frozen=True):
    """A resource that the engine did not see, in words, and why."""

    ref: str
    text: str
    reason: str


class Facts(Struct, frozen=True):
    """What the engine is asked with. `given` is by dose id (the id of a dose is its resource's "Immunization/id").
    `unrelated` counts results and procedures that no schedule is about: blood pressures and the like. `mapped` are the
    observations known only through a map, not by the schedule's own codes."""

    person: Person
    doses: tuple[Dose, ...]
    observations: tuple[Observation, ...]
    given: Mapping[str, Given]
    refusals: tuple[Refusal, ...]
    not_considered: tuple[NotConsidered, ...]
    unrelated: int = 0
    mapped: frozenset[str] = frozenset()


_NO_MAPS = Maps()


def facts(
    patient: Mapping[str, Any],
    resources: Iterable[Mapping[str, Any]],
    schedule: Schedule,
    as_of: date,
    maps: Maps = _NO_MAPS,
) -> Facts:
    """The engine's facts of a Patient and their resources; resources of other types are left out."""
    reading = _Reading(schedule, as_of, maps)
    for resource in resources:
        reading.take(dict(resource))
    doses, given = _once(reading.doses, reading.given, schedule)
    return Facts(
        person(dict(patient), as_of),
        doses,
        tuple(reading.observations),
        given,
        tuple(reading.refusals),
        tuple(reading.not_considered),
        reading.unrelated,
        frozenset(reading.mapped - reading.own),
    )


def observed(schedule: Schedule) -> Iterator[Code]:
    """(system URL, code) of everything that makes an Observation worth reading, by its code or by its coded value."""
    yield from (code for code in schedule.coded if code[0] not in CVX_SYSTEMS)
    yield from (_LAST_PERIOD, _DUE_DATE)


def person(patient: dict[str, Any], as_of: date) -> Person:
    """Whom the engine is asked about, by the rules of `care.person` for sex and birth date."""
    found = people.person(patient, as_of)
    countries = [
        (one.get("valueAddress") or {}).get("country", "")
        for one in patient.get("extension") or ()
        if one.get("url") == _BIRTH_PLACE
    ]
    died = first_day(patient.get("deceasedDateTime"))
    country = countries[0] if countries else ""
    return Person(found.born, found.sex or "unknown", country, died if found.died else None, found.died)


class _Reading:
    """The resources of one person as they are read."""

    def __init__(self, schedule: Schedule, as_of: date, maps: Maps) -> None:
        self.schedule = schedule
        self.as_of = as_of
        self.maps = maps
        self.doses: list[Dose] = []
        self.given: dict[str, Given] = {}
        self.refusals: list[Refusal] = []
        self.observations: list[Observation] = []
        self.own: set[str] = set()
        self.mapped: set[str] = set()
        self.not_considered: list[NotConsidered] = []
        self.unrelated = 0
        self.words = (*_WORDS, *(name.lower() for name in schedule.antigens if len(name) > 3))
        self.history = frozenset(code for antigen in schedule.antigens.values() for code in antigen.immune_if)

    def take(self, resource: dict[str, Any]) -> None:
        """Read one resource."""
        kind = resource.get("resourceType", "")
        if kind == "Immunization":
            self._immunization(resource)
        elif kind == "AllergyIntolerance":
            self._allergy(resource)
        elif kind in ("Condition", "Observation", "Procedure"):
            self._fact(resource)

    def leave(self, resource: dict[str, Any], reason: str, concept: Any = None) -> None:
        """Note a resource that is not considered."""
        said = words_of(concept if concept is not None else resource.get("code"))
        self.not_considered.append(NotConsidered(_ref(resource), said or "no name", reason))

    # ---- doses -------------------------------------------------------------------------------------------------

    def _immunization(self, resource: dict[str, Any]) -> None:
        concept = resource.get("vaccineCode")
        status = resource.get("status", "")
        cvx = self._cvx(concept)
        on, shown = _day_given(resource)
        if status == "not-done":
            reason, until = words_of(resource.get("statusReason")), _until(resource)
            self.refusals.append(Refusal(_ref(resource), cvx, on, reason, until))
        elif status != "completed":
            self.leave(resource, status.replace("-", " ") or "its status is not known", concept)
        elif not cvx:
            self.leave(resource, "its vaccine has no CVX code and none is mapped", concept)
        elif cvx in NO_VACCINE:
            self.leave(resource, f"CVX {cvx} names no vaccine", concept)
        else:
            ref = _ref(resource)
            self.doses.append(_dose(resource, ref, cvx, on))
            historical = resource.get("primarySource") is False
            self.given[ref] = Given(ref, shown, historical, str(resource.get("lotNumber") or ""))
            if on is None:
                self.leave(
                    resource, f"its day is not known ({shown or 'no date'}): shown, not evaluated", concept
                )

    def _cvx(self, concept: Any) -> str:
        codings = list(_codings(concept))
        for system, code in codings:
            if system in CVX_SYSTEMS and code.isdigit():
                return code.zfill(2)
        return next((self.maps.vaccines[one] for one in codings if one in self.maps.vaccines), "")

    # ---- observations of the schedule --------------------------------------------------------------------------

    def _codes(self, *concepts: Any, vaccines: bool = False) -> tuple[str, ...]:
        """The schedule's observations that codes mean. A vaccine's code means one only where it is an allergen."""
        found: dict[str, None] = {}
        for concept in concepts:
            for system, code in _codings(concept):
                if system in CVX_SYSTEMS:
                    system, code = CVX_SYSTEMS[0], code.zfill(2)
                    if not vaccines:
                        continue
                own, mapped = self.schedule.coded.get((system, code), ()), self.maps.of(system, code)
                self.own.update(own)
                self.mapped.update(one for one in mapped if one in self.schedule.observations)
                found |= dict.fromkeys((*own, *(one for one in mapped if one in self.schedule.observations)))
        return tuple(found)

    def _allergy(self, resource: dict[str, Any]) -> None:
        verified, clinical = (
            _first_code(resource.get(name)) for name in ("verificationStatus", "clinicalStatus")
        )
        reactions = [
            one
            for reaction in resource.get("reaction") or ()
            for one in (reaction.get("substance"), *(reaction.get("manifestation") or ()))
        ]
        codes = self._codes(resource.get("code"), *reactions, vaccines=True)
        if verified in ("entered-in-error", "refuted"):
            self.leave(resource, verified.replace("-", " "))
        elif clinical in ("inactive", "resolved"):
            self.leave(resource, f"{clinical} allergy")
        elif not codes:
            self.leave(resource, "its codes are none that the schedule knows")
        else:
            shown = resource.get("onsetDateTime") or resource.get("recordedDate")
            self._seen(codes, first_day(shown), resource)

    def _fact(self, resource: dict[str, Any]) -> None:
        if resource["resourceType"] == "Observation" and self._pregnancy_dates(resource):
            return
        found = next(iter(chart.evidence([resource]).of("condition", "observation", "procedure")), None)
        codes = self._of_fact(resource)
        if found is None or not codes:
            self._unknown(resource)
        elif found.unusable:
            self.leave(resource, found.unusable)
        elif not found.active and not (past := tuple(code for code in codes if code in self.history)):
            self.leave(resource, "no longer active")
        else:
            self._seen(codes if found.active else past, found.day, resource)

    def _unknown(self, resource: dict[str, Any]) -> None:
        """Conditions are always said; of results and procedures, those whose words name what the schedule is about."""
        said = words_of(resource.get("code")).lower()
        if self._codes(resource.get("code")):
            self.leave(resource, "its result is not positive, or does not say")
        elif resource["resourceType"] == "Condition" or any(word in said for word in self.words):
            self.leave(resource, "its codes are none that the schedule knows")
        else:
            self.unrelated += 1

    def _of_fact(self, resource: dict[str, Any]) -> tuple[str, ...]:
        """A result means something by its value; by its code alone only where the result is positive."""
        if resource["resourceType"] != "Observation":
            return self._codes(resource.get("code"))
        by_value = self._codes(resource.get("valueCodeableConcept"))
        return by_value or (self._codes(resource.get("code")) if _positive(resource) else ())

    def _pregnancy_dates(self, resource: dict[str, Any]) -> bool:
        """The onset of a pregnancy from the last period or the expected delivery."""
        codings = set(_codings(resource.get("code")))
        value = first_day(resource.get("valueDateTime"))
        if value is None or resource.get("status") == "entered-in-error":
            return False
        began = (
            value
            if _LAST_PERIOD in codings
            else value - timedelta(days=280)
            if _DUE_DATE in codings
            else None
        )
        if began is None:
            return False
        if timedelta(0) <= self.as_of - began <= timedelta(days=PREGNANCY_DAYS):
            self.observations.append(Observation(PREGNANCY_BEGAN, began, _ref(resource)))
        else:
            self.leave(resource, "of an earlier pregnancy")
        return True

    def _seen(self, codes: Iterable[str], on: date | None, resource: dict[str, Any]) -> None:
        ref = _ref(resource)
        for code in codes:
            if code == PREGNANT and on is not None and (self.as_of - on).days > PREGNANCY_DAYS:
                self.leave(resource, f"pregnancy recorded on {on}, more than {PREGNANCY_DAYS} days ago: ask")
                continue
            self.observations.append(Observation(code, on, ref))
            if code == TRANSPLANT and on is not None:
                self.observations.append(Observation(TRANSPLANTED_ON, on, ref))


def _ref(resource: Mapping[str, Any]) -> str:
    return f"{resource.get('resourceType', '')}/{resource.get('id', '')}"


def _codings(concept: Any) -> Iterator[Code]:
    codings = concept.get("coding") if isinstance(concept, dict) else None
    for coding in codings or ():
        if isinstance(coding, dict) and coding.get("system") and coding.get("code"):
            yield str(coding["system"]), str(coding["code"])


def _first_code(concept: Any) -> str:
    codings = (concept or {}).get("coding") or [] if isinstance(concept, dict) else []
    return next((str(one["code"]) for one in codings if one.get("code")), "")


def _positive(resource: Mapping[str, Any]) -> bool:
    """Whether a result says yes: a true value, a positive interpretation or coded value."""
    if resource.get("valueBoolean") is True:
        return True
    said = [*(resource.get("interpretation") or ()), resource.get("valueCodeableConcept")]
    return any(code in _POSITIVE for concept in said for _, code in _codings(concept))


def _day_given(resource: Mapping[str, Any]) -> tuple[date | None, str]:
    """The day as it was written where given (no change of zone), None unless it is a whole day; and what was written."""
    shown = str(resource.get("occurrenceDateTime") or resource.get("occurrenceString") or "")
    try:
        return (date.fromisoformat(shown[:10]) if len(shown) >= 10 else None), shown
    except ValueError:
        return None, shown


def _until(resource: Mapping[str, Any]) -> date | None:
    """The last day on which a refusal stands, as our forms record it."""
    found = [
        one.get("valueDate") for one in resource.get("extension") or () if one.get("url") == REFUSED_UNTIL
    ]
    return first_day(found[0]) if found else None


def _dose(resource: Mapping[str, Any], ref: str, cvx: str, on: date | None) -> Dose:
    reasons = ", ".join(filter(None, map(words_of, resource.get("subpotentReason") or ())))
    flaw = (f"sub-potent{f' ({reasons})' if reasons else ''}") if resource.get("isSubpotent") is True else ""
    expired = _last_day(resource.get("expirationDate"))
    identifier = (resource.get("manufacturer") or {}).get("identifier") or {}
    mvx = identifier.get("value", "") if identifier.get("system") in MVX_SYSTEMS else ""
    return Dose(ref, cvx, on, mvx, "", expired, flaw)


def _last_day(text: Any) -> date | None:
    """The last day a FHIR date may mean: a lot that expires in a month is good until its end."""
    if first_day(text) is None:
        return None
    return (dates.bounds(text)[1] - timedelta(days=1)).date()


def _once(
    doses: list[Dose], given: dict[str, Given], schedule: Schedule
) -> tuple[tuple[Dose, ...], dict[str, Given]]:
    """Records of the same dose counted once: the first-hand one, else the one with a lot, else the first."""
    kept: list[Dose] = []
    ranked = sorted(doses, key=lambda dose: (given[dose.id].historical, not given[dose.id].lot, dose.id))
    sources = dict(given)
    for dose in ranked:
        same = next((one for one in kept if _same(one, dose, given, schedule)), None)
        if same is None:
            kept.append(dose)
        else:
            first = sources[same.id]
            sources[same.id] = Given(
                first.ref, first.shown, first.historical, first.lot, (*first.same_as, dose.id)
            )
    return tuple(kept), sources


def _same(one: Dose, other: Dose, given: Mapping[str, Given], schedule: Schedule) -> bool:
    lots = given[one.id].lot, given[other.id].lot
    if one.on is None or one.on != other.on or one.flaw != other.flaw or (all(lots) and lots[0] != lots[1]):
        return False
    return (
        one.cvx == other.cvx or _antigens(one.cvx, schedule) == _antigens(other.cvx, schedule) != frozenset()
    )


def _antigens(cvx: str, schedule: Schedule) -> frozenset[str]:
    found = schedule.vaccines.get(cvx)
    return frozenset(name for name, _, _ in found.antigens) if found is not None else frozenset()
