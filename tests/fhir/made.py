"""A resource of any type with every element filled in once, made from the definitions."""

from __future__ import annotations

from decimal import Decimal
from typing import Any

from commonchart.fhir.definitions import Element, r4

VALUES: dict[str, Any] = {
    "base64Binary": "aGVsbG8=",
    "boolean": True,
    "canonical": "http://example.org/x|1",
    "code": "x",
    "date": "2026-11-18",
    "dateTime": "2026-11-18T10:00:00Z",
    "decimal": Decimal("1.10"),
    "id": "x-1",
    "instant": "2026-11-18T10:00:00.000Z",
    "integer": -1,
    "markdown": "*x*",
    "oid": "urn:oid:1.2.3",
    "positiveInt": 1,
    "string": "x",
    "time": "10:00:00",
    "unsignedInt": 0,
    "uri": "http://example.org/x",
    "url": "http://example.org/x",
    "uuid": "urn:uuid:0c3151bd-1cbf-4d64-b04d-cd9187a4c6e0",
    "xhtml": '<div xmlns="http://www.w3.org/1999/xhtml">x</div>',
}
STATED = {
    "http://hl7.org/fhir/ValueSet/currencies": ("urn:iso:std:iso:4217", "USD"),
    "http://hl7.org/fhir/ValueSet/mimetypes": ("urn:ietf:bcp:13", "text/plain"),
    "http://hl7.org/fhir/ValueSet/ucum-units": ("http://unitsofmeasure.org", "mg"),
    "http://loinc.org/vs/LL379-9": ("http://loinc.org", "LA9658-1"),
}
DEPTH = 4


def made(rtype: str) -> dict[str, Any]:
    """Every element of the type down to `DEPTH`, only what is required below."""
    return {"resourceType": rtype} | _filled(rtype, 0)


def _filled(type_name: str, depth: int) -> dict[str, Any]:
    if type_name == "Extension":
        return {"url": "http://example.org/x", "valueString": "x"}
    out: dict[str, Any] = {}
    for element in r4().elements(type_name).values():
        if element.min or (
            depth < DEPTH and element.name not in ("contained", "extension", "modifierExtension")
        ):
            name, child = next(iter(element.spelled().items()))
            value = _value(element, child, depth)
            out[name] = value if element.max == 1 else [value]
    return out or {"extension": [_filled("Extension", depth)]}


def _value(element: Element, type_name: str, depth: int) -> Any:
    if element.strength == "required" and type_name in ("code", "Coding", "CodeableConcept"):
        system, code = STATED.get(element.value_set) or _first_code(element.value_set)
        coding = {"system": system, "code": code}
        return {"code": code, "Coding": coding, "CodeableConcept": {"coding": [coding]}}[type_name]
    if type_name == "Reference":
        return {"reference": _target(element)}
    if type_name == "Resource":
        return {"resourceType": "Basic", "code": {"text": "x"}}
    if type_name in VALUES:
        return VALUES[type_name]
    return _filled(type_name, depth + 1)


def _first_code(value_set: str) -> tuple[str, str]:
    system, codes = min(r4().value_sets[value_set].items())
    return system, min(codes)


def _target(element: Element) -> str:
    target = element.targets[0] if element.targets else "Patient"
    return f"{'Patient' if target == 'Resource' else target}/x"
