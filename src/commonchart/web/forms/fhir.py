"""Small FHIR pieces that forms read and write: concepts, quantities, references, narrowing a base resource."""

from __future__ import annotations

from collections.abc import Iterable
from decimal import Decimal
from typing import Any

from commonchart.web.forms.fields import Context, Values

UCUM = "http://unitsofmeasure.org"
LOINC = "http://loinc.org"
ICD10CM = "http://hl7.org/fhir/sid/icd-10-cm"
SNOMED = "http://snomed.info/sct"
RXNORM = "http://www.nlm.nih.gov/research/umls/rxnorm"
CVX = "http://hl7.org/fhir/sid/cvx"
TERM = "http://terminology.hl7.org/CodeSystem/"


def concept(text: str, *codings: tuple[str, str]) -> dict[str, Any]:
    """A CodeableConcept in the writer's words, with the codes that were given."""
    out: dict[str, Any] = {}
    coded = [{"system": system, "code": code} for system, code in codings if code]
    if coded:
        out["coding"] = coded
    if text:
        out["text"] = text
    return out


def term(system: str, code: str) -> dict[str, Any]:
    """A CodeableConcept of one code from an HL7 terminology code system."""
    return {"coding": [{"system": TERM + system, "code": code}]}


def quantity(value: str, unit: str, code: str = "") -> dict[str, Any]:
    """A UCUM Quantity, the number exactly as typed."""
    return {"value": Decimal(value), "unit": unit, "system": UCUM, "code": code or unit}


def merged(base: dict[str, Any] | None, start: dict[str, Any], change: dict[str, Any]) -> dict[str, Any]:
    """`base` (or `start` for a new one) with the elements of `change`; an empty value removes the element."""
    out = dict(base) if base else dict(start)
    for name, value in change.items():
        if value in (None, "", [], {}):
            out.pop(name, None)
        else:
            out[name] = value
    return out


def recoded(old: Any, text: str, *codings: tuple[str, str]) -> dict[str, Any]:
    """A corrected CodeableConcept: the codes of systems that the form does not show stay while the words do."""
    new = concept(text, *codings)
    if isinstance(old, dict) and old.get("text", display(old)) == text:
        shown = {system for system, _ in codings}
        kept = [coding for coding in old.get("coding", []) if coding.get("system") not in shown]
        if kept:
            new["coding"] = kept + new.get("coding", [])
    return new


def code_of(value: Any, *systems: str) -> str:
    """The first code of a CodeableConcept in one of the systems, "" if none."""
    codings = value.get("coding", []) if isinstance(value, dict) else []
    return next((c.get("code", "") for c in codings if c.get("system") in systems), "")


def display(value: Any) -> str:
    """A CodeableConcept in words: its text, else a display, else a code."""
    if not isinstance(value, dict):
        return ""
    codings = value.get("coding", [])
    words: Iterable[str] = (c.get("display") or "" for c in codings)
    return (
        value.get("text") or next(filter(None, words), "") or next((c.get("code", "") for c in codings), "")
    )


def subject(context: Context) -> dict[str, Any]:
    """The reference to the patient the form is about."""
    return {"reference": f"Patient/{context.patient}"}


def author(context: Context) -> dict[str, Any]:
    """Who wrote it: a reference where the user is a practitioner, always with the name."""
    out: dict[str, Any] = {"display": context.author} if context.author else {}
    if context.practitioner:
        out["reference"] = f"Practitioner/{context.practitioner}"
    return out


def note(text: str, context: Context, old: Any = None) -> list[dict[str, Any]]:
    """`note` as the form leaves it: untouched if the words are the same, else one annotation with author and time."""
    if isinstance(old, list) and note_text({"note": old}) == text:
        return old
    if not text:
        return []
    out: dict[str, Any] = {"time": context.now.isoformat(timespec="seconds"), "text": text}
    if context.author:
        out = {"authorString": context.author, **out}
    return [out]


def note_text(resource: dict[str, Any]) -> str:
    """The words of a resource's notes, one paragraph each."""
    return "\n\n".join(entry.get("text", "") for entry in resource.get("note", []))


def encountered(context: Context) -> dict[str, Any] | None:
    """The reference to the visit that the fact was recorded in, if any."""
    return {"reference": f"Encounter/{context.encounter}"} if context.encounter else None


def number_text(value: Any) -> str:
    """A number element as text, "" if absent."""
    return "" if value is None else str(value)


def first(values: Any) -> dict[str, Any]:
    """The first of a repeating element, or an empty one."""
    return values[0] if isinstance(values, list) and values else {}


def given(values: Values, *names: str) -> bool:
    """Whether any of the named fields was filled."""
    return any(values.get(name) for name in names)
