"""Required bindings: the code, the system where there is one, one coding of several; and the rules that are stated."""

from __future__ import annotations

from typing import Any

import pytest

from commonchart.fhir.bindings import bound
from commonchart.fhir.definitions import r4

HL7 = "http://hl7.org/fhir/ValueSet/"
GENDER = f"{HL7}administrative-gender"
CLINICAL = f"{HL7}condition-clinical"
SYSTEM = "http://terminology.hl7.org/CodeSystem/condition-clinical"
CURRENCIES, MIME, UNITS = f"{HL7}currencies", f"{HL7}mimetypes", f"{HL7}ucum-units"
ANSWERS = "http://loinc.org/vs/LL379-9"


def coding(code: str, system: str = SYSTEM) -> dict[str, str]:
    return {"system": system, "code": code}


@pytest.mark.parametrize(
    ("type_name", "value_set", "value"),
    [
        ("code", GENDER, "female"),
        ("Coding", CLINICAL, coding("active")),
        ("CodeableConcept", CLINICAL, {"coding": [coding("x", "urn:y"), coding("remission")]}),
        ("CodeableConcept", CLINICAL, {"extension": [{"url": "x", "valueCode": "unknown"}]}),
        ("code", CURRENCIES, "EUR"),
        ("Coding", CURRENCIES, coding("EUR", "urn:iso:std:iso:4217")),
        ("code", MIME, "application/fhir+json;fhirVersion=4.0"),
        ("code", MIME, 'text/plain; charset="utf-8"; format=flowed'),
        ("code", MIME, "image/svg+xml"),
        ("code", MIME, "json"),
        ("CodeableConcept", UNITS, {"coding": [coding("mm[Hg]", "http://unitsofmeasure.org")]}),
        ("CodeableConcept", ANSWERS, {"coding": [coding("LA6690-7", "http://loinc.org")]}),
    ],
)
def test_a_code_of_the_set_passes(type_name: str, value_set: str, value: Any) -> None:
    check = bound(type_name, value_set)
    assert check is not None
    assert check(value) is None


@pytest.mark.parametrize(
    ("type_name", "value_set", "value"),
    [
        ("code", GENDER, "Female"),
        ("Coding", CLINICAL, coding("active", "urn:other")),
        ("Coding", CLINICAL, {"code": "active"}),
        ("Coding", CLINICAL, coding("cured")),
        ("CodeableConcept", CLINICAL, {"text": "active"}),
        ("CodeableConcept", CLINICAL, {"coding": [coding("active", "urn:other")]}),
        ("code", CURRENCIES, "eur"),
        ("code", CURRENCIES, "EURO"),
        ("code", MIME, "text plain"),
        ("code", MIME, "text/plain; charset"),
        ("code", MIME, "/plain"),
        ("CodeableConcept", UNITS, {"text": "mm"}),
        ("CodeableConcept", UNITS, {"coding": [coding("mm Hg", "http://unitsofmeasure.org")]}),
        ("CodeableConcept", UNITS, {"coding": [coding("mm", "http://example.org")]}),
        ("CodeableConcept", ANSWERS, {"coding": [coding("12345-6", "http://loinc.org")]}),
    ],
)
def test_another_code_is_told(type_name: str, value_set: str, value: Any) -> None:
    check = bound(type_name, value_set)
    assert check is not None
    words = check(value)
    assert words is not None
    assert "must be" in words


def test_a_short_list_is_spelled_out() -> None:
    check = bound("code", GENDER)
    assert check is not None
    assert "female, male, other, unknown" in str(check("F"))


def test_every_required_binding_of_every_type_is_checked() -> None:
    unchecked = [
        (name, element.name)
        for name in r4()._table["types"]
        for element in r4().elements(name).values()
        for type_name in element.types
        if element.strength == "required" and bound(type_name, element.value_set) is None
    ]
    assert unchecked == []


@pytest.mark.parametrize("value", [None, 5, "x", [], {}, {"coding": None}, {"coding": ["x", None]}])
@pytest.mark.parametrize("type_name", ["code", "Coding", "CodeableConcept"])
@pytest.mark.parametrize("value_set", [GENDER, CURRENCIES])
def test_a_value_of_another_shape_does_no_harm(type_name: str, value_set: str, value: Any) -> None:
    check = bound(type_name, value_set)
    assert check is not None
    assert check(value) is None or "must be" in str(check(value))
