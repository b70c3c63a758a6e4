"""How each type of resource becomes facts.

Negation has four spellings (clinical corrections): `doNotPerform`, QI-Core's modifier extension (also as it is misspelt), the
R5 extension on DeviceRequest, and a cancelled Observation with a reason. Each gives a fact that satisfies nothing and
carries the reason.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from datetime import date
from decimal import Decimal, InvalidOperation
from typing import Any

from msgspec.structs import replace

from commonchart.care.evidence import (
    DECISION_SYSTEM,
    NOT_FOR_THEM,
    Evidence,
    Fact,
    codes_of,
    first_day,
    first_moment,
    words_of,
)
from commonchart.care.stated import mistaken

JsonObject = dict[str, Any]


def evidence(resources: Iterable[JsonObject]) -> Evidence:
    """The facts of a person's resources, newest first; what is no fact for rules is left out."""
    held = list(resources)
    medicines = {f"Medication/{r.get('id')}": r for r in held if r.get("resourceType") == "Medication"}
    found = [fact for resource in held for fact in _facts(resource, medicines)]
    found = _once_told(held, found)
    found.sort(key=lambda fact: (first_moment(fact.shown), fact.ref), reverse=True)
    return Evidence(tuple(found), mistaken(held))


def _once_told(held: list[JsonObject], found: list[Fact]) -> list[Fact]:
    """An answer that was made an Observation of its own counts there, so that correcting the Observation corrects the answer.

    The other way round, what was derived from a questionnaire that was entered in error counts no more.
    """
    made = {one for r in held if r.get("resourceType") == "Observation" for one in _told_by(r)}
    if not made:
        return found
    wrong = {
        _ref(r)
        for r in held
        if r.get("resourceType") == "QuestionnaireResponse" and r.get("status") == "entered-in-error"
    }
    derived = {_ref(r): _sources(r) & wrong for r in held if wrong and r.get("derivedFrom")}
    return [
        replace(fact, unusable="its questionnaire was entered in error") if derived.get(fact.ref) else fact
        for fact in found
        if not any((fact.ref, code) in made for system, code in fact.codes if system == "question")
    ]


def _told_by(observation: JsonObject) -> Iterator[tuple[str, str]]:
    """(questionnaire response, question) of what an Observation was made from."""
    if not observation.get("derivedFrom"):
        return iter(())
    questions = [code for system, code in codes_of(observation.get("code")) if system == "question"]
    return ((source, code) for source in _sources(observation) for code in questions)


def _sources(resource: JsonObject) -> set[str]:
    return {
        str(one.get("reference", ""))
        for one in resource.get("derivedFrom") or ()
        if str(one.get("reference", "")).startswith("QuestionnaireResponse/")
    }


def _facts(resource: JsonObject, medicines: dict[str, JsonObject]) -> Iterator[Fact]:
    kind = resource.get("resourceType", "")
    if kind in ("MedicationRequest", "MedicationStatement"):
        return _medication(resource, medicines)
    make = _MAKERS.get(kind)
    return make(resource) if make else iter(())


def _when(resource: JsonObject, *names: str) -> str:
    for name in names:
        value = resource.get(name)
        if isinstance(value, dict):
            value = value.get("start") or value.get("end")
        if isinstance(value, str) and value:
            return value
    return ""


def _end(resource: JsonObject, *names: str) -> date | None:
    """The last day of a period, or the day an end is given for."""
    for name in names:
        value = resource.get(name)
        text = value.get("end") if isinstance(value, dict) else value
        if isinstance(text, str) and text:
            return first_day(text)
    return None


def _ref(resource: JsonObject) -> str:
    return f"{resource['resourceType']}/{resource.get('id', '')}"


def _status_of(concept: Any) -> str:
    codings = (concept or {}).get("coding") or [] if isinstance(concept, dict) else []
    return next((c["code"] for c in codings if c.get("code")), "")


def _number(value: Any) -> Decimal | None:
    if value is None or isinstance(value, bool):
        return None
    if isinstance(value, Decimal) and value.is_finite():
        return value
    try:
        number = Decimal(str(value))
    except InvalidOperation:
        return None
    return number if number.is_finite() else None


# ---- what was not done -----------------------------------------------------------------------------------------

_REFUSALS = {"PATOBJ", "105480006", "183932001", "183944003", "183945002", "408367005", "413310006", "413312003",
             "416432009", "443390004", "134397009", "183948000", "160934008", "182895007", "401084003", "406149000",
             "413311005", "183957004", "183965005", "183966005"}  # fmt: skip


def _negated(resource: JsonObject) -> bool:
    if resource.get("doNotPerform") is True:
        return True
    extensions = [*(resource.get("modifierExtension") or ()), *(resource.get("extension") or ())]
    return any(
        "donotpe" in str(e.get("url", "")).lower() and e.get("valueBoolean") is True for e in extensions
    )


def _reason(resource: JsonObject) -> tuple[str, bool]:
    """Why something was not done, in words, and whether the patient refused."""
    concepts = [resource.get("statusReason"), *(resource.get("reasonCode") or ())]
    for extension in [*(resource.get("extension") or ()), *(resource.get("modifierExtension") or ())]:
        url = str(extension.get("url", "")).lower()
        if "notdonereason" in url or "donotperformreason" in url:
            concepts.append(extension.get("valueCodeableConcept"))
    concepts = [c for c in concepts if isinstance(c, dict)]
    said = next((words_of(c) for c in concepts if words_of(c)), "")
    note = next((n.get("text", "") for n in resource.get("note") or () if n.get("text")), "")
    codes = {coding.get("code") for c in concepts for coding in c.get("coding") or ()}
    refused = bool(codes & _REFUSALS) or "refus" in said.lower() or "declin" in said.lower()
    return said or note, refused


# ---- makers ----------------------------------------------------------------------------------------------------

_LIVE = {"active", "recurrence", "relapse"}
_DOUBTS = {
    "entered-in-error": "entered in error",
    "refuted": "ruled out",
    "unconfirmed": "not confirmed",
    "provisional": "provisional",
    "differential": "one of several possibilities",
}


def _condition(resource: JsonObject) -> Iterator[Fact]:
    clinical = _status_of(resource.get("clinicalStatus"))
    abated = any(name.startswith("abatement") for name in resource)
    shown = _when(resource, "onsetDateTime", "onsetPeriod", "recordedDate")
    sites = [s for s in resource.get("bodySite") or () if isinstance(s, dict)]
    yield Fact(
        "condition", codes_of(resource.get("code")), words_of(resource.get("code")), first_day(shown), shown, _ref(resource),
        _DOUBTS.get(_status_of(resource.get("verificationStatus")), ""), clinical in _LIVE if clinical else not abated,
        _end(resource, "abatementDateTime", "abatementPeriod", "onsetPeriod"), answers=codes_of(*sites),
    )  # fmt: skip


_OBSERVED = {
    "registered": "no result yet",
    "preliminary": "preliminary",
    "cancelled": "cancelled",
    "entered-in-error": "entered in error",
    "unknown": "status not known",
}


def _observation(resource: JsonObject) -> Iterator[Fact]:
    shown = _when(resource, "effectiveDateTime", "effectivePeriod", "effectiveInstant", "issued")
    unusable = _OBSERVED.get(resource.get("status", ""), "")
    declined, refused = _reason(resource) if unusable == "cancelled" else ("", False)
    yield _measured(resource, resource, shown, unusable, "", declined, refused)
    for part in resource.get("component") or ():
        yield _measured(part, resource, shown, unusable, _ref(resource))


def _measured(
    part: JsonObject, resource: JsonObject, shown: str, unusable: str, part_of: str, declined: str = "", refused: bool = False
) -> Fact:  # fmt: skip
    quantity = part.get("valueQuantity") or {}
    number = quantity.get("value")
    number = part.get("valueInteger") if number is None else number
    concept = part.get("valueCodeableConcept")
    said, flags = _interpreted(part["interpretation"]) if "interpretation" in part else ("", _NONE)
    low, high = _reference_range(part) if "referenceRange" in part else (None, None)
    words = part.get("valueString") or (words_of(concept) if concept else "")
    return Fact(
        "observation", codes_of(part.get("code")), words_of(part.get("code")), first_day(shown), shown, _ref(resource), unusable,
        value=_number(number), comparator=quantity.get("comparator", ""), unit=quantity.get("code") or quantity.get("unit", ""),
        words=f"{words} {said}" if words and said else words or said, part_of=part_of,
        answers=codes_of(concept) if concept else _NONE, flags=flags,
        truth=part.get("valueBoolean"), moment=first_day(part.get("valueDateTime")), declined=declined, refused=refused,
        range_low=low, range_high=high, absent="dataAbsentReason" in part,
        ended=_end(resource, "effectivePeriod") if "effectivePeriod" in resource else None,
        unsaid=_asked(_status_of(part["dataAbsentReason"])) if "dataAbsentReason" in part else "",
    )  # fmt: skip


_NONE: frozenset[Any] = frozenset()


def _interpreted(concepts: list[Any]) -> tuple[str, frozenset[str]]:
    """Interpretations in words, and their codes."""
    return " ".join(map(words_of, concepts)), frozenset(map(_status_of, concepts)) - {""}


def _asked(reason: str) -> str:
    """The reason for no answer, where somebody was asked."""
    return reason if reason in ("asked-unknown", "asked-declined") else ""


def _reference_range(part: JsonObject) -> tuple[Decimal | None, Decimal | None]:
    """The laboratory's own limits, if it gives exactly one range."""
    ranges = part.get("referenceRange") or []
    if len(ranges) != 1:
        return None, None
    return tuple(_number((ranges[0].get(end) or {}).get("value")) for end in ("low", "high"))  # type: ignore[return-value]


def _procedure(resource: JsonObject) -> Iterator[Fact]:
    status = resource.get("status", "")
    unusable = "" if status == "completed" else f"{status.replace('-', ' ') or 'status not known'}"
    if _negated(resource):
        unusable = "not done"
    declined, refused = _reason(resource) if unusable in ("not done", "stopped") else ("", False)
    shown = _when(resource, "performedDateTime", "performedPeriod") or _recorded(resource)
    sites = [s for s in resource.get("bodySite") or () if isinstance(s, dict)]
    yield Fact(
        "procedure", codes_of(resource.get("code")), words_of(resource.get("code")), first_day(shown), shown, _ref(resource),
        unusable, words=words_of(resource.get("outcome")), answers=codes_of(resource.get("outcome"), *sites),
        ended=_end(resource, "performedPeriod"), declined=declined, refused=refused,
    )  # fmt: skip


def _recorded(resource: JsonObject) -> str:
    """When something that was not done was written down (QI-Core)."""
    found = (
        e.get("valueDateTime") for e in resource.get("extension") or () if "recorded" in e.get("url", "")
    )
    return next((text for text in found if isinstance(text, str)), "")


def _report(resource: JsonObject) -> Iterator[Fact]:
    status = resource.get("status", "")
    unusable = (
        "" if status in ("final", "amended", "corrected", "appended") else f"{status or 'status not known'}"
    )
    shown = _when(resource, "effectiveDateTime", "effectivePeriod", "issued")
    conclusions = resource.get("conclusionCode") or []
    words = " ".join(filter(None, (resource.get("conclusion", ""), *(words_of(c) for c in conclusions))))
    yield Fact(
        "report", codes_of(resource.get("code")), words_of(resource.get("code")), first_day(shown), shown,
        _ref(resource), unusable, words=words, answers=codes_of(*conclusions),
    )  # fmt: skip


def _medication(resource: JsonObject, medicines: dict[str, JsonObject]) -> Iterator[Fact]:
    concept = resource.get("medicationCodeableConcept") or _by_reference(resource, medicines)
    status = resource.get("status", "")
    negated = _negated(resource)
    wrong = {
        "entered-in-error": "entered in error",
        "cancelled": "cancelled",
        "draft": "a draft",
        "not-taken": "not taken",
    }
    declined, refused = _reason(resource) if negated or status == "not-taken" else ("", False)
    yield Fact(
        "medication", codes_of(concept), words_of(concept), first_day(shown := _when(resource, "authoredOn", "effectiveDateTime", "effectivePeriod")),
        shown, _ref(resource), "not to be given" if negated else wrong.get(status, ""), status in ("active", "on-hold", "intended"),
        _end(resource, "effectivePeriod") or _dosage_end(resource),
        declined=declined, refused=refused,
    )  # fmt: skip


def _by_reference(resource: JsonObject, medicines: dict[str, JsonObject]) -> Any:
    reference = (resource.get("medicationReference") or {}).get("reference", "")
    if reference.startswith("#"):
        inside = (c for c in resource.get("contained") or () if c.get("id") == reference[1:])
        return (next(inside, None) or {}).get("code")
    return (medicines.get("/".join(reference.split("/")[-2:])) or {}).get("code")


def _dosage_end(resource: JsonObject) -> date | None:
    ends = [
        _end(((d.get("timing") or {}).get("repeat") or {}), "boundsPeriod")
        for d in resource.get("dosageInstruction") or ()
    ]
    known = [end for end in ends if end is not None]
    return max(known) if known and len(known) == len(ends) else None


def _immunization(resource: JsonObject) -> Iterator[Fact]:
    status = resource.get("status", "")
    shown = _when(resource, "occurrenceDateTime")
    yield Fact(
        "immunization", codes_of(resource.get("vaccineCode")), words_of(resource.get("vaccineCode")), first_day(shown), shown,
        _ref(resource), "" if status == "completed" else status.replace("-", " "),
    )  # fmt: skip


_NO_VISIT = {"entered-in-error": "entered in error", "cancelled": "cancelled", "planned": "planned"}


def _visit(resource: JsonObject) -> Iterator[Fact]:
    """A visit, and, on the day it ends, where the patient went from there."""
    concepts = resource.get("type") or []
    shown, end = _when(resource, "period"), _end(resource, "period")
    unusable, words = (
        _NO_VISIT.get(resource.get("status", ""), ""),
        ", ".join(filter(None, map(words_of, concepts))),
    )
    codes = codes_of(*concepts, *(resource.get("reasonCode") or ()))
    yield Fact("visit", codes, words, first_day(shown), shown, _ref(resource), unusable, ended=end)
    leaving = (resource.get("hospitalization") or {}).get("dischargeDisposition")
    if leaving:
        day = str((resource.get("period") or {}).get("end", ""))
        yield Fact(
            "visit", codes_of(leaving), words_of(leaving), first_day(day), day, _ref(resource), unusable
        )


_NO_ORDER = {"entered-in-error": "entered in error", "revoked": "revoked", "draft": "a draft"}


def _order(resource: JsonObject) -> Iterator[Fact]:
    concept = resource.get("code") or resource.get("codeCodeableConcept")
    shown = _when(resource, "authoredOn", "occurrenceDateTime", "occurrencePeriod")
    codes, status = codes_of(concept), resource.get("status", "")
    planned = any(system == "rule" for system, _ in codes)
    negated = _negated(resource)
    declined, refused = _reason(resource) if negated or planned else ("", False)
    unusable = _NO_ORDER.get(status, "") or ("not to be done" if negated and not planned else "")
    ends = _end(resource, "occurrencePeriod") or _end(_repeat(resource), "boundsPeriod") if planned else None
    yield Fact(
        "plan" if planned else "order", codes, words_of(concept), first_day(shown), shown, _ref(resource), unusable,
        status in ("active", "on-hold", "completed"), ends, declined=declined, refused=refused, by=_who(resource.get("requester")),
        span=_span(resource), truth=not negated, aside=planned and _set_aside(resource),
    )  # fmt: skip


def _set_aside(resource: JsonObject) -> bool:
    """Whether a plan says that its rule is not for this patient."""
    return any(
        coding.get("system") == DECISION_SYSTEM and coding.get("code") == NOT_FOR_THEM
        for reason in resource.get("reasonCode") or ()
        for coding in reason.get("coding") or ()
    )


def _repeat(resource: JsonObject) -> JsonObject:
    return (resource.get("occurrenceTiming") or {}).get("repeat") or {}


def _who(reference: Any) -> str:
    return (
        (reference or {}).get("display") or (reference or {}).get("reference") or ""
        if isinstance(reference, dict)
        else ""
    )


def _span(resource: JsonObject) -> str:
    """How often a plan wants something: 24m out of a Timing; "" if it does not say."""
    repeat = _repeat(resource)
    number, unit = (
        _number(repeat.get("period")),
        {"d": "d", "wk": "w", "mo": "m", "a": "y"}.get(repeat.get("periodUnit", "")),
    )
    return f"{int(number)}{unit}" if number and unit and number == int(number) and number > 0 else ""


def _coverage(resource: JsonObject) -> Iterator[Fact]:
    shown = _when(resource, "period")
    yield Fact(
        "coverage", codes_of(resource.get("type")), words_of(resource.get("type")), first_day(shown), shown, _ref(resource),
        "" if resource.get("status") == "active" else "not active", ended=_end(resource, "period"),
    )  # fmt: skip


def _family(resource: JsonObject) -> Iterator[Fact]:
    whom = codes_of(resource.get("relationship"))
    for condition in resource.get("condition") or ():
        concept = condition.get("code")
        yield Fact(
            "family", codes_of(concept), f"{words_of(resource.get('relationship'))}: {words_of(concept)}",
            first_day(resource.get("date")), resource.get("date", ""), _ref(resource),
            "entered in error" if resource.get("status") == "entered-in-error" else "", answers=whom,
        )  # fmt: skip


def _allergy(resource: JsonObject) -> Iterator[Fact]:
    clinical = _status_of(resource.get("clinicalStatus"))
    shown = _when(resource, "onsetDateTime", "recordedDate")
    yield Fact(
        "allergy", codes_of(resource.get("code")), words_of(resource.get("code")), first_day(shown), shown, _ref(resource),
        _DOUBTS.get(_status_of(resource.get("verificationStatus")), "") if clinical == "active" or not clinical else "not active",
    )  # fmt: skip


_GOAL_WRONG = {
    "proposed": "only proposed",
    "rejected": "rejected",
    "cancelled": "cancelled",
    "entered-in-error": "entered in error",
}


def _goal(resource: JsonObject) -> Iterator[Fact]:
    shown = _when(resource, "statusDate", "startDate")
    unusable = _GOAL_WRONG.get(resource.get("lifecycleStatus", ""), "")
    live = resource.get("lifecycleStatus") in ("planned", "accepted", "active", "on-hold")
    for target in resource.get("target") or ():
        quantity, low, high, comparator = target.get("detailQuantity") or {}, None, None, ""
        unit = quantity.get("code") or quantity.get("unit", "")
        if quantity:
            comparator = quantity.get("comparator", "")
            number = _number(quantity.get("value"))
            low, high = (number, None) if comparator.startswith(">") else (None, number)
        else:
            ends = target.get("detailRange") or {}
            low, high = (_number((ends.get(end) or {}).get("value")) for end in ("low", "high"))
            unit = next(
                (q.get("code") or q.get("unit", "") for q in (ends.get("high"), ends.get("low")) if q), ""
            )
        yield Fact(
            "goal", codes_of(target.get("measure")), words_of(resource.get("description")), first_day(shown), shown, _ref(resource),
            unusable, live, comparator=comparator, unit=unit, low=low, high=high, by=_who(resource.get("expressedBy")),
        )  # fmt: skip


QUESTIONNAIRE = "https://commonchart.example/questionnaire/"


def _response(resource: JsonObject) -> Iterator[Fact]:
    """Answers to our own questions; those of other questionnaires are no facts for rules."""
    if not str(resource.get("questionnaire", "")).startswith(QUESTIONNAIRE):
        return
    shown, status = _when(resource, "authored"), resource.get("status", "")
    unusable = "" if status in ("completed", "amended") else status.replace("-", " ") or "status not known"
    for item in _items(resource.get("item") or ()):
        for answer in item.get("answer") or ():
            yield _answer(item, answer, resource, shown, unusable)


def _items(items: Iterable[JsonObject]) -> Iterator[JsonObject]:
    for item in items:
        yield item
        yield from _items(item.get("item") or ())


def _answer(item: JsonObject, answer: JsonObject, resource: JsonObject, shown: str, unusable: str) -> Fact:
    coding, unsaid = answer.get("valueCoding"), _asked(_unsaid(answer))
    number = answer.get("valueDecimal", answer.get("valueInteger"))
    number = (answer.get("valueQuantity") or {}).get("value") if number is None else number
    return Fact(
        "observation", frozenset({("question", str(item.get("linkId", "")))}), item.get("text", ""), first_day(shown), shown,
        _ref(resource), unusable, value=_number(number), truth=answer.get("valueBoolean"), moment=first_day(answer.get("valueDate")),
        answers=codes_of({"coding": [coding]}) if coding else frozenset(), words=answer.get("valueString", ""),
        by=_who(resource.get("author") or resource.get("source")), absent=bool(unsaid), unsaid=unsaid,
    )  # fmt: skip


_ABSENT = "http://hl7.org/fhir/StructureDefinition/data-absent-reason"


def _unsaid(answer: JsonObject) -> str:
    """Why an answer has no value: the extension beside it (FHIR R4, data-absent-reason)."""
    for name, beside in answer.items():
        if name.startswith("_value") and isinstance(beside, dict):
            found = (e.get("valueCode", "") for e in beside.get("extension") or () if e.get("url") == _ABSENT)
            return str(next(found, ""))
    return ""


_MAKERS: dict[str, Callable[[JsonObject], Iterator[Fact]]] = {
    "Condition": _condition,
    "Observation": _observation,
    "Procedure": _procedure,
    "DiagnosticReport": _report,
    "Immunization": _immunization,
    "Encounter": _visit,
    "ServiceRequest": _order,
    "DeviceRequest": _order,
    "Coverage": _coverage,
    "FamilyMemberHistory": _family,
    "AllergyIntolerance": _allergy,
    "Goal": _goal,
    "QuestionnaireResponse": _response,
}
TYPES = (*_MAKERS, "MedicationRequest", "MedicationStatement", "Medication")
