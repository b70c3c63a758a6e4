"""Valid resources pass untouched; each broken one is caught, at the right place, for the right reason."""

from __future__ import annotations

import copy
from collections.abc import Iterator
from decimal import Decimal
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from commonchart.fhir.definitions import r4
from commonchart.fhir.json import decode, encode
from commonchart.fhir.outcome import Invalid, Issue
from commonchart.fhir.validate import Valid, validate
from commonchart.fhir.validation import MAX_ISSUES
from tests.fhir.broken import BAD
from tests.fhir.made import made
from tests.fhir.samples import (
    ALLERGY,
    BUNDLE,
    GOOD,
    LEAVE_OUT,
    OBSERVATION,
    PATIENT,
    changed,
)


def issues_of(resource: Any, *, at: str = "", rules: bool = True) -> tuple[Issue, ...]:
    try:
        validate(resource, at=at, rules=rules)
    except Invalid as invalid:
        return invalid.issues
    return ()


@pytest.mark.parametrize("resource", GOOD, ids=lambda r: str(r["resourceType"]))
def test_a_good_resource_passes_as_it_is(resource: dict[str, Any]) -> None:
    before = copy.deepcopy(resource)
    assert validate(resource) == Valid(resource["resourceType"], before)
    assert resource == before


@pytest.mark.parametrize("rtype", sorted(r4().resource_types))
def test_every_resource_type_has_a_valid_form(rtype: str) -> None:
    resource = made(rtype)
    assert [(i.at, i.message) for i in issues_of(resource, rules=False)] == []
    assert [(i.at, i.message) for i in issues_of(decode(encode(resource)), rules=False)] == []


def required_places() -> Iterator[tuple[str, str]]:
    for rtype in sorted(r4().resource_types):
        for element in r4().elements(rtype).values():
            if element.min:
                yield rtype, element.name


@pytest.mark.parametrize(("rtype", "name"), list(required_places()))
def test_every_required_element_of_every_type_is_missed(rtype: str, name: str) -> None:
    resource = made(rtype)
    for spelled in r4().elements(rtype)[name].spelled():
        resource.pop(spelled, None)
    found = issues_of(resource)
    assert (f"{rtype}.{name}", "required") in [(i.at, i.code) for i in found]


def test_every_broken_rule_has_a_name_of_its_own() -> None:
    assert len({broken[0] for broken in BAD}) == len(BAD) >= 60


@pytest.mark.parametrize("broken", BAD, ids=[broken[0] for broken in BAD])
def test_one_broken_rule_is_found_where_it_is(
    broken: tuple[str, dict[str, Any], str, Any, str, str],
) -> None:
    _, sample, path, value, at, code = broken
    found = issues_of(changed(sample, path, value))
    assert (at, code) in [(issue.at, issue.code) for issue in found], found
    assert len(found) <= 3


def test_a_message_names_the_rule_and_never_the_value() -> None:
    secret = "secretvalue"
    for _, sample, path, value, _, _ in BAD:
        if isinstance(value, str) and value:
            messages = [i.message for i in issues_of(changed(sample, path, secret))]
            assert not any(secret in message for message in messages)


@pytest.mark.parametrize("value", [None, [], "Patient", 5, True])
def test_what_is_no_object_is_no_resource(value: Any) -> None:
    assert [(i.at, i.code) for i in issues_of(value)] == [("", "structure")]


def test_all_issues_are_told_at_once() -> None:
    broken = changed(changed(changed(PATIENT, "gender", "F"), "birthDate", "soon"), "nickname", "x")
    assert {i.at for i in issues_of(broken)} == {"Patient.gender", "Patient.birthDate", "Patient.nickname"}


def test_the_number_of_issues_is_bounded() -> None:
    found = issues_of({"resourceType": "Patient", "name": [{"family": ""}] * 5000})
    assert len(found) == MAX_ISSUES


def test_a_resource_without_a_type_is_named_by_its_place() -> None:
    assert (
        issues_of({"id": "x"}, at="Bundle.entry[3].resource")[0].at == "Bundle.entry[3].resource.resourceType"
    )


def test_a_prefix_says_where_the_resource_lies() -> None:
    assert issues_of(changed(PATIENT, "gender", "F"), at="Bundle.entry[3].resource")[0].at == (
        "Bundle.entry[3].resource.gender"
    )


@pytest.mark.parametrize(
    ("sample", "path", "value"),
    [
        (PATIENT, "gender", LEAVE_OUT),
        (OBSERVATION, "subject.reference", "http://example.org/fhir/Patient/p1/_history/3"),
        (OBSERVATION, "subject.reference", "Patient/p1/_history/2"),
        (OBSERVATION, "subject.reference", "urn:uuid:0c3151bd-1cbf-4d64-b04d-cd9187a4c6e0"),
        (OBSERVATION, "subject.reference", "https://elsewhere.example.org/people/17"),
        (OBSERVATION, "subject", {"display": "somebody"}),
        (OBSERVATION, "subject", {"identifier": {"value": "12345"}, "type": "Patient"}),
        (OBSERVATION, "derivedFrom", [{"reference": "#"}]),
        (OBSERVATION, "effectiveDateTime", "2016-12-31T23:59:60Z"),
        (OBSERVATION, "effectiveDateTime", "2026-11-18T10:00:00.123456789+05:45"),
        (OBSERVATION, "valueQuantity.value", 7),
        (OBSERVATION, "valueQuantity.value", Decimal("-1E+3")),
        (PATIENT, "photo.0.data", "aGVs\nbG8="),
        (PATIENT, "photo.0.contentType", "text/plain; charset=utf-8"),
        (PATIENT, "_gender", {"id": "g"}),
        (ALLERGY, "clinicalStatus", {"extension": [{"url": "http://x", "valueCode": "unknown"}]}),
        (PATIENT, "active", LEAVE_OUT),
    ],
)
def test_what_looks_odd_and_is_allowed_passes(sample: dict[str, Any], path: str, value: Any) -> None:
    assert issues_of(changed(sample, path, value)) == ()


def test_a_required_value_may_be_absent_with_a_reason() -> None:
    reason = {
        "extension": [
            {"url": "http://hl7.org/fhir/StructureDefinition/data-absent-reason", "valueCode": "unknown"}
        ]
    }
    assert issues_of(changed(changed(OBSERVATION, "status", LEAVE_OUT), "_status", reason)) == ()


def test_contained_resources_of_one_entry_are_not_seen_from_the_next() -> None:
    lone = changed(OBSERVATION, "subject.reference", "#p")
    owner = changed(lone, "contained", [{"resourceType": "Patient", "id": "p"}])
    both = {
        "resourceType": "Bundle",
        "type": "collection",
        "entry": [{"resource": owner}, {"resource": lone}],
    }
    assert [i.at for i in issues_of(both)] == ["Bundle.entry[1].resource.subject.reference"]


def test_a_search_may_refer_only_in_a_transaction() -> None:
    conditional = changed(BUNDLE, "type", "collection")
    assert [i.at for i in issues_of(conditional)] == ["Bundle.entry[2].resource.subject.reference"]
    assert issues_of(BUNDLE) == ()


def test_an_entry_of_a_transaction_may_be_validated_before_it_is_resolved() -> None:
    entry = BUNDLE["entry"][2]["resource"]
    assert validate(entry, conditional=True).resource is entry
    assert [i.at for i in issues_of(entry)] == ["Observation.subject.reference"]
    wrong = changed(entry, "subject.reference", "Practitioner?identifier=x")
    with pytest.raises(Invalid, match="must refer to"):
        validate(wrong, conditional=True)


# ---- whatever comes, an answer ---------------------------------------------------------------------------------

ANYTHING = st.recursive(
    st.none() | st.booleans() | st.integers() | st.decimals(allow_nan=False) | st.text(max_size=8),
    lambda inside: (
        st.lists(inside, max_size=3)
        | st.dictionaries(
            st.sampled_from(
                ["id", "extension", "url", "coding", "reference", "resourceType", "valueCode", "_given"]
            ),
            inside,
            max_size=3,
        )
    ),
    max_leaves=6,
)


def places(node: Any, way: tuple[Any, ...] = ()) -> Iterator[tuple[Any, ...]]:
    yield way
    children: Any = (
        node.items() if isinstance(node, dict) else enumerate(node) if isinstance(node, list) else ()
    )
    for key, child in children:
        yield from places(child, (*way, key))


@settings(max_examples=400, deadline=None)
@given(st.sampled_from(GOOD), ANYTHING, st.data())
def test_no_change_makes_it_crash(sample: dict[str, Any], value: Any, data: st.DataObject) -> None:
    resource = copy.deepcopy(sample)
    way = data.draw(st.sampled_from(list(places(resource))[1:]))
    node: Any = resource
    for key in way[:-1]:
        node = node[key]
    if data.draw(st.booleans()):
        node[way[-1]] = value
    elif isinstance(node, dict):
        node[data.draw(st.sampled_from(["_" + str(way[-1]), "x", "valueString", "contained"]))] = value
    for issue in issues_of(resource):
        assert issue.at is not None
        assert issue.message


@settings(max_examples=200, deadline=None)
@given(ANYTHING)
def test_anything_is_valid_or_refused(value: Any) -> None:
    issues_of(value)
