"""What a measure sees of a resource: one dated fact each, with the QI-Core spellings of time, negation and reason read once.

Sources: QI-Core 4.1.1 and 6.0.0 profiles; prevalence, intervals and medication periods as the published libraries
QICoreCommon and CumulativeMedicationDuration state them.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from typing import Any

from msgspec import Struct

from commonchart.care.evidence import first_day
from commonchart.fhir import dates
from commonchart.fhir.outcome import Invalid
from commonchart.measures.value_sets import Coded

_TICK = timedelta(microseconds=1)


class Part(Struct, frozen=True):
    """One component of an observation, such as the systolic pressure."""

    codes: frozenset[Coded]
    value: Decimal | None
    unit: str = ""


class Fact(Struct, frozen=True):
    """One fact. `start` and `end` are its first and last moment, None where not known (an `end` of None goes on).

    `dated` says when it entered the story: a fact dated after the period does not exist for it. `status` is the resource's,
    for a condition its verification; `clinical` is a condition's clinical status, `meaning` the codes of a coded value, `supply`
    the moments that an order of a drug covers. `referred`: the order names its drug only by reference to a Medication.
    """

    kind: str
    ref: str
    codes: frozenset[Coded]
    start: datetime | None = None
    end: datetime | None = None
    dated: datetime | None = None
    issued: datetime | None = None
    status: str = ""
    intent: str = ""
    clinical: str = ""
    negated: bool = False
    categories: frozenset[str] = frozenset()
    valued: bool = False
    value: Decimal | None = None
    unit: str = ""
    meaning: frozenset[Coded] = frozenset()
    reasons: frozenset[Coded] = frozenset()
    sites: frozenset[Coded] = frozenset()
    outcome: frozenset[Coded] = frozenset()
    setting: str = ""
    within: str = ""
    parts: tuple[Part, ...] = ()
    supply: tuple[datetime, datetime] | None = None
    referred: bool = False

    @property
    def latest(self) -> datetime | None:
        """The end where it has one, else the start (QICoreCommon `latest`)."""
        return self.end or self.start


class Patient(Struct, frozen=True):
    """Whom a measure is about: birth date as a full date or none, gender, the us-core-sex code, and the moment of death."""

    born: date | None = None
    gender: str = ""
    sex: str = ""
    died: datetime | None = None


def facts(
    resources: Iterable[dict[str, Any]], wanted: Callable[[frozenset[Coded]], bool] = bool
) -> list[Fact]:
    """The facts of a patient's resources with codes that are `wanted`; types that no measure reads are left out."""
    listed = list(resources)
    drugs = {f"Medication/{r.get('id')}": r.get("code") for r in listed if r["resourceType"] == "Medication"}
    around = _Around(drugs, patient(listed).born)
    coded = ((r, _coded(r, around)) for r in listed if r["resourceType"] in _MAKERS)
    return [_MAKERS[r["resourceType"]](r, codes, around) for r, codes in coded if wanted(codes)]


def settings(resources: Iterable[dict[str, Any]]) -> dict[str, str]:
    """The class (AMB, IMP, EMER ...) of every encounter, by its id."""
    return {
        r.get("id", ""): (r.get("class") or {}).get("code", "")
        for r in resources
        if r["resourceType"] == "Encounter"
    }


class _Around(Struct, frozen=True):
    """What a fact needs to know of its neighbours: drugs by reference, and when the patient was born."""

    drugs: dict[str, Any]
    born: date | None


_SEX = "http://hl7.org/fhir/us/core/StructureDefinition/us-core-sex"


def patient(resources: Iterable[dict[str, Any]]) -> Patient:
    """The Patient among the resources; an empty one where there is none."""
    found = next((r for r in resources if r["resourceType"] == "Patient"), {})
    sex = next((e.get("valueCode", "") for e in found.get("extension", ()) if e.get("url") == _SEX), "")
    text = found.get("birthDate", "")
    born = first_day(text) if len(text) == 10 else None
    return Patient(born, found.get("gender", ""), sex, _first(found.get("deceasedDateTime")))


# ---- elements --------------------------------------------------------------------------------------------------


def _bounds(text: Any) -> tuple[datetime | None, datetime | None]:
    """First and last moment of a date or a period; None where absent or unreadable."""
    if isinstance(text, dict):
        return _first(text.get("start")), _last(text.get("end"))
    return _first(text), _last(text)


def _first(text: Any) -> datetime | None:
    try:
        return dates.bounds(text)[0] if isinstance(text, str) else None
    except Invalid:
        return None


def _last(text: Any) -> datetime | None:
    try:
        return dates.bounds(text)[1] - _TICK if isinstance(text, str) else None
    except Invalid:
        return None


def _choice(resource: dict[str, Any], name: str) -> tuple[datetime | None, datetime | None]:
    """A dateTime or a Period, whichever the choice element holds."""
    return _bounds(resource.get(name + "DateTime") or resource.get(name + "Period") or {})


def _at_age(age: Any, born: date | None, after: int = 0) -> datetime | None:
    """The birthday on which the patient turned this age in years (or so many years `after`), None where it is not known."""
    if (
        born is None
        or not isinstance(age, dict)
        or age.get("code", age.get("unit")) not in ("a", "year", "years")
    ):
        return None
    years = int(age.get("value") or 0) + after
    if not 0 <= years <= 150:
        return None
    try:
        return datetime(born.year + years, born.month, born.day, tzinfo=UTC)
    except ValueError:
        return datetime(born.year + years, 3, 1, tzinfo=UTC)


def _codes(*concepts: Any) -> frozenset[Coded]:
    return frozenset(
        (coding.get("system", ""), coding["code"])
        for concept in concepts
        if isinstance(concept, dict)
        for coding in concept.get("coding") or ()
        if coding.get("code")
    )


def _plain(concepts: Any) -> frozenset[str]:
    return frozenset(code for _, code in _codes(*(concepts or ())))


def _ref(resource: dict[str, Any]) -> str:
    return f"{resource['resourceType']}/{resource.get('id', '')}"


_REASONS = (
    "http://hl7.org/fhir/us/qicore/StructureDefinition/qicore-notDoneReason",
    "http://hl7.org/fhir/us/qicore/StructureDefinition/qicore-doNotPerformReason",
    "http://hl7.org/fhir/us/qicore/StructureDefinition/qicore-reasonRefused",
)
_NEGATIONS = (
    "http://hl7.org/fhir/us/qicore/StructureDefinition/qicore-doNotPerform",
    "http://hl7.org/fhir/us/qicore/StructureDefinition/qicore-doNotPeform",
    "http://hl7.org/fhir/5.0/StructureDefinition/extension-DeviceRequest.doNotPerform",
)


def _reasons(resource: dict[str, Any]) -> frozenset[Coded]:
    extensions = [
        e.get("valueCodeableConcept") for e in resource.get("extension", ()) if e.get("url") in _REASONS
    ]
    return _codes(*(resource.get("reasonCode") or ()), *extensions)


def _negated(resource: dict[str, Any]) -> bool:
    """Whether a request says that something shall not be done, in any of the spellings that QI-Core has had."""
    marks = [
        e.get("valueBoolean") for e in resource.get("modifierExtension", ()) if e.get("url") in _NEGATIONS
    ]
    return resource.get("doNotPerform") is True or True in marks


_CODED = ("code", "codeCodeableConcept", "medicationCodeableConcept")


def _coded(resource: dict[str, Any], around: _Around) -> frozenset[Coded]:
    """What a resource is about: its code, the types of an encounter, the drug of an order."""
    if resource["resourceType"] == "Encounter":
        return _codes(*(resource.get("type") or ()))
    drug = around.drugs.get((resource.get("medicationReference") or {}).get("reference", ""))
    return _codes(drug, *(resource[name] for name in _CODED if name in resource))


# ---- makers ----------------------------------------------------------------------------------------------------


def _condition(resource: dict[str, Any], codes: frozenset[Coded], around: _Around) -> Fact:
    start = _choice(resource, "onset")[0] or _at_age(resource.get("onsetAge"), around.born)
    end = _choice(resource, "abatement")[1] or _at_age(resource.get("abatementAge"), around.born, after=1)
    return Fact(
        "Condition", _ref(resource), codes, start, end,
        start or _first(resource.get("recordedDate")),
        status=next(iter(_plain([resource.get("verificationStatus")])), ""),
        clinical=next(iter(_plain([resource.get("clinicalStatus")])), ""),
        categories=_plain(resource.get("category")), sites=_codes(*(resource.get("bodySite") or ())),
    )  # fmt: skip


def _encounter(resource: dict[str, Any], codes: frozenset[Coded], around: _Around) -> Fact:
    start, end = _bounds(resource.get("period") or {})
    leaving = (resource.get("hospitalization") or {}).get("dischargeDisposition")
    return Fact(
        "Encounter", _ref(resource), codes, start, end, start,
        status=resource.get("status", ""), setting=(resource.get("class") or {}).get("code", ""), outcome=_codes(leaving),
    )  # fmt: skip


def _observation(resource: dict[str, Any], codes: frozenset[Coded], around: _Around) -> Fact:
    start, end = _choice(resource, "effective")
    issued = _first(resource.get("issued"))
    number, unit = _number(resource)
    return Fact(
        "Observation", _ref(resource), codes, start, end, start or issued, issued,
        status=resource.get("status", ""), categories=_plain(resource.get("category")),
        valued=any(name.startswith("value") for name in resource), value=number, unit=unit,
        meaning=_codes(resource.get("valueCodeableConcept")), reasons=_reasons(resource),
        within=(resource.get("encounter") or {}).get("reference", "").rpartition("/")[2],
        parts=tuple(Part(_codes(p.get("code")), *_number(p)) for p in resource.get("component") or ()),
    )  # fmt: skip


def _number(part: dict[str, Any]) -> tuple[Decimal | None, str]:
    quantity = part.get("valueQuantity") or {}
    value = quantity.get("value")
    return None if value is None else Decimal(value), quantity.get("code") or quantity.get("unit", "")


def _procedure(resource: dict[str, Any], codes: frozenset[Coded], around: _Around) -> Fact:
    start, end = _choice(resource, "performed")
    return Fact(
        "Procedure", _ref(resource), codes, start, end, start,
        status=resource.get("status", ""), reasons=_reasons(resource),
    )  # fmt: skip


def _request(resource: dict[str, Any], codes: frozenset[Coded], around: _Around) -> Fact:
    start, end = _bounds(resource.get("authoredOn"))
    kind = resource["resourceType"]
    return Fact(
        kind, _ref(resource), codes, start, end, start,
        status=resource.get("status", ""), intent=resource.get("intent", ""), negated=_negated(resource),
        reasons=_reasons(resource), supply=_supply(resource) if kind == "MedicationRequest" else None,
        referred="medicationReference" in resource,
    )  # fmt: skip


_MAKERS: dict[str, Callable[[dict[str, Any], frozenset[Coded], _Around], Fact]] = {
    "Condition": _condition,
    "Encounter": _encounter,
    "Observation": _observation,
    "Procedure": _procedure,
    "ServiceRequest": _request,
    "DeviceRequest": _request,
    "MedicationRequest": _request,
}
TYPES = (*_MAKERS, "Medication", "Patient")


# ---- how long an order lasts -----------------------------------------------------------------------------------

_DAYS = {
    "h": Decimal(1) / 24, "hour": Decimal(1) / 24, "hours": Decimal(1) / 24,
    "d": Decimal(1), "day": Decimal(1), "days": Decimal(1),
    "wk": Decimal(7), "week": Decimal(7), "weeks": Decimal(7),
    "mo": Decimal(30), "month": Decimal(30), "months": Decimal(30),
    "a": Decimal(365), "year": Decimal(365), "years": Decimal(365),
}  # fmt: skip


def _supply(order: dict[str, Any]) -> tuple[datetime, datetime] | None:
    """The days that an order of a drug covers, None where they cannot be told.

    The start is that of the dosage's bounds, else the day it was written, else that of its validity; the length is the days of
    supply (or quantity by dose and frequency) times the fills, else up to the end of the bounds.
    """
    dispense = order.get("dispenseRequest") or {}
    dosage = (order.get("dosageInstruction") or [{}])[0]
    since, until = _bounds(((dosage.get("timing") or {}).get("repeat") or {}).get("boundsPeriod") or {})
    start = (
        since
        or _first(order.get("authoredOn"))
        or _first((dispense.get("validityPeriod") or {}).get("start"))
    )
    if start is None:
        return None
    day = start.replace(hour=0, minute=0, second=0, microsecond=0)
    days = _days(dispense, dosage)
    if days is None:
        return (day, until) if until else None
    fills = 1 + int(dispense.get("numberOfRepeatsAllowed") or 0)
    return day, day + timedelta(days=min(float(days * fills), 36_500)) - _TICK


def _days(dispense: dict[str, Any], dosage: dict[str, Any]) -> Decimal | None:
    supplied = dispense.get("expectedSupplyDuration") or {}
    unit = _DAYS.get(supplied.get("code") or supplied.get("unit", ""))
    if supplied.get("value") is not None and unit:
        return Decimal(supplied["value"]) * unit
    quantity = (dispense.get("quantity") or {}).get("value")
    dose = _dose((dosage.get("doseAndRate") or [{}])[0])
    if quantity is None or not dose:
        return None
    return Decimal(quantity) / (dose * _daily((dosage.get("timing") or {}).get("repeat") or {}))


def _dose(rate: dict[str, Any]) -> Decimal | None:
    dose = (rate.get("doseRange") or {}).get("high") or rate.get("doseQuantity") or {}
    return Decimal(dose["value"]) if dose.get("value") else None


def _daily(repeat: dict[str, Any]) -> Decimal:
    """Doses a day: frequency in its period, else the times of day named, else one."""
    often = repeat.get("frequencyMax") or repeat.get("frequency")
    unit = _DAYS.get(repeat.get("periodUnit", ""))
    if often and repeat.get("period") and unit:
        return Decimal(often) / (Decimal(repeat["period"]) * unit)
    return Decimal(len(repeat.get("timeOfDay") or ()) or 1)
