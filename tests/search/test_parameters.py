"""Every R4 search parameter compiles and is searchable, or is refused by name."""

from __future__ import annotations

from typing import Any

import pytest

from commonchart.fhir import json
from commonchart.fhir.definitions import r4
from commonchart.fhir.outcome import Malformed, TooCostly
from commonchart.record.keys import token
from commonchart.search.index import extract
from commonchart.search.parameters import UNSUPPORTED, parameters
from commonchart.search.patients import birth_date
from commonchart.search.query import parse
from tests.shared import shared_data

VALUES = {
    "token": "a|b",
    "reference": "Patient/1",
    "string": "x",
    "date": "2020-01-01",
    "number": "5",
    "quantity": "5||mg",
    "uri": "http://x",
}


@pytest.mark.parametrize("rtype", sorted(r4().resource_types))
def test_every_parameter_of_a_type_is_searchable_or_refused_by_name(rtype: str) -> None:
    for code, definition in r4().search_parameters(rtype).items():
        if code in UNSUPPORTED:
            with pytest.raises(Malformed):
                parse(rtype, [(code, "x")])
        elif definition.expression:
            found = parameters(rtype)[code]
            text = (
                "$".join(VALUES[part.kind] for part in found.parts)
                if found.kind == "composite"
                else VALUES[found.kind]
            )
            assert parse(rtype, [(code, text)], strict=True).terms


def test_every_official_example_is_indexed() -> None:
    for file in sorted(shared_data("r4-examples").glob("*.json")):
        resource = json.decode(file.read_bytes())
        assert extract(resource["resourceType"], resource).tokens is not None


def observation(**more: Any) -> dict[str, Any]:
    return {
        "resourceType": "Observation",
        "id": "o",
        "status": "final",
        "code": {"coding": [{"system": "urn:a", "code": "x"}]},
    } | more


def test_the_row_knows_patient_code_date_and_status() -> None:
    found = extract(
        "Observation",
        observation(
            subject={"reference": "http://x.example/fhir/Patient/ada/_history/3"}, effectiveDateTime="2020-02"
        ),
    )
    assert found.patient == "ada"
    assert found.status == "final"
    assert found.code == token("code", "urn:a|x")
    assert found.date_lo is not None
    assert found.date_hi is not None
    assert (found.date_lo.month, found.date_hi.month) == (2, 3)


def test_other_compartments_are_kept_as_tokens() -> None:
    found = extract(
        "Observation", observation(subject={"reference": "Patient/a"}, performer=[{"reference": "Patient/b"}])
    )
    assert found.patient == "a"
    assert {token("_compartment", "Patient/a"), token("_compartment", "Patient/b")} <= set(found.tokens)


@pytest.mark.parametrize(
    "params",
    [
        [("birthdate", "yesterday")], [("_sort", "name,shoe")], [("_sort", "_text")], [("_count", "x")], [("_total", "maybe")], [("_revinclude", "*")],
        [("_include", "Patient:name")], [("_include", "Observation:subject")], [("name:near", "x")], [("name.x", "y")], [("general-practitioner.shoe", "x")],
        [("_summary", "a"), ("_summary", "b")], [("_contained", "true")], [("general-practitioner.organization.name.x", "x")], [("_filter", "x")], [("_has:Observation:subject", "x")], [("_has:Observation:code:date", "2020")], [("identifier:of-type", "x")], [("_list", "$current")],
        [("general-practitioner:Observation", "1")], [("birthdate", "2020\x00")], [("active:missing", "perhaps")],
    ],
)  # fmt: skip
def test_bad_parameters_are_refused_with_their_rule(params: list[tuple[str, str]]) -> None:
    with pytest.raises(Malformed) as refused:
        parse("Patient", params, strict=True)
    assert str(refused.value)


@pytest.mark.parametrize(
    "params",
    [
        [("name", ",".join("x" * 3 for _ in range(600)))],
        [("name", "x" * 2001)],
        [("name", "x")] * 60,
        [("_sort", "name,family,given,birthdate,address")],
    ],
)
def test_costly_searches_are_refused(params: list[tuple[str, str]]) -> None:
    with pytest.raises(TooCostly):
        parse("Patient", params)


@pytest.mark.parametrize(
    "text", ["1985-12-10", "10-Dec-1985", "10 december 1985", "12/10/1985", "10.12.1985"]
)
def test_birth_dates_in_every_usual_spelling(text: str) -> None:
    found = birth_date(text)
    assert found is not None
    assert found.isoformat() == "1985-12-10"
    assert birth_date("31-Feb-1985") is None
