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
from tests.fhir.made import made
from tests.fhir.samples import (
    ALLERGY,
    BUNDLE,
    CLAIM_MONEY,
    COVERAGE,
    GOOD,
    LEAVE_OUT,
    OBSERVATION,
    PARAMETERS,
    PATIENT,
    QUESTIONNAIRE,
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


UCUM = "http://unitsofmeasure.org"

# what is changed in which sample, where the issue must be, with which code; one line, one rule
BAD: list[tuple[dict[str, Any], str, Any, str, str]] = [
    # unknown elements
    (PATIENT, "nickname", "Ada", "Patient.nickname", "structure"),
    (PATIENT, "name.0.middle", "B", "Patient.name[0].middle", "structure"),
    (PATIENT, "_name", [{"id": "x"}], "Patient._name", "structure"),
    (PATIENT, "fhir_comments", ["x"], "Patient.fhir_comments", "structure"),
    (PATIENT, "name.0.resourceType", "HumanName", "Patient.name[0].resourceType", "structure"),
    (OBSERVATION, "valueMoney", {"value": 1}, "Observation.valueMoney", "structure"),
    (OBSERVATION, "value", 5, "Observation.value", "structure"),
    # cardinality and JSON shape
    (OBSERVATION, "status", LEAVE_OUT, "Observation.status", "required"),
    (OBSERVATION, "code", LEAVE_OUT, "Observation.code", "required"),
    (OBSERVATION, "component.0.code", LEAVE_OUT, "Observation.component[0].code", "required"),
    (PATIENT, "link.0.other", LEAVE_OUT, "Patient.link[0].other", "required"),
    (QUESTIONNAIRE, "item.0.item.0.linkId", LEAVE_OUT, "Questionnaire.item[0].item[0].linkId", "required"),
    (COVERAGE, "payor", LEAVE_OUT, "Coverage.payor", "required"),
    (COVERAGE, "payor", [], "Coverage.payor", "structure"),
    (PATIENT, "name", {"family": "Abara"}, "Patient.name", "structure"),
    (PATIENT, "gender", ["female"], "Patient.gender", "value"),
    (PATIENT, "maritalStatus", [{"text": "x"}], "Patient.maritalStatus", "structure"),
    (PATIENT, "maritalStatus", "married", "Patient.maritalStatus", "structure"),
    (PATIENT, "name.0", "Ada Abara", "Patient.name[0]", "structure"),
    (PATIENT, "name.0", [{"family": "Abara"}], "Patient.name[0]", "structure"),
    # nothing is empty or null
    (PATIENT, "name.0", {}, "Patient.name[0]", "structure"),
    (PATIENT, "name.0", {"id": "n1"}, "Patient.name[0]", "structure"),
    (PATIENT, "name.0", None, "Patient.name[0]", "structure"),
    (PATIENT, "telecom", [], "Patient.telecom", "structure"),
    (PATIENT, "gender", None, "Patient.gender", "structure"),
    (PATIENT, "contact", None, "Patient.contact", "structure"),
    (PATIENT, "name.0.family", "", "Patient.name[0].family", "value"),
    (PATIENT, "maritalStatus", {}, "Patient.maritalStatus", "structure"),
    (PATIENT, "_birthDate", {}, "Patient._birthDate", "structure"),
    # primitives with extensions
    (PATIENT, "name.0.given", ["Ada", None, None], "Patient.name[0].given[2]", "structure"),
    (PATIENT, "name.0._given", [None, None], "Patient.name[0]._given[1]", "structure"),
    (PATIENT, "name.0._given", {"id": "x"}, "Patient.name[0]._given", "structure"),
    (PATIENT, "_birthDate", {"value": "1985"}, "Patient._birthDate", "structure"),
    (PATIENT, "_birthDate", "1985", "Patient._birthDate", "structure"),
    (PATIENT, "_gender", {"extension": [{"valueCode": "x"}]}, "Patient._gender.extension[0].url", "required"),
    # what the primitives look like
    (PATIENT, "id", "has space", "Patient.id", "value"),
    (PATIENT, "id", "x" * 65, "Patient.id", "value"),
    (PATIENT, "id", 7, "Patient.id", "value"),
    (PATIENT, "active", "true", "Patient.active", "value"),
    (PATIENT, "active", 1, "Patient.active", "value"),
    (PATIENT, "birthDate", "12/10/1985", "Patient.birthDate", "value"),
    (PATIENT, "birthDate", "1985-02-30", "Patient.birthDate", "value"),
    (PATIENT, "birthDate", "1985-12-10T10:00:00Z", "Patient.birthDate", "value"),
    (PATIENT, "birthDate", "0000", "Patient.birthDate", "value"),
    (PATIENT, "birthDate", "١٩٨٥", "Patient.birthDate", "value"),
    (PATIENT, "meta.lastUpdated", "2026-11-18", "Patient.meta.lastUpdated", "value"),
    (OBSERVATION, "issued", "2026-11-18T10:00:00", "Observation.issued", "value"),
    (OBSERVATION, "effectiveDateTime", "2026-11-18T10:00Z", "Observation.effectiveDateTime", "value"),
    (OBSERVATION, "effectiveDateTime", "2026-11-18T24:00:00Z", "Observation.effectiveDateTime", "value"),
    (PATIENT, "multipleBirthInteger", Decimal("2.0"), "Patient.multipleBirthInteger", "value"),
    (PATIENT, "multipleBirthInteger", 2**31, "Patient.multipleBirthInteger", "value"),
    (PATIENT, "telecom.0.rank", 0, "Patient.telecom[0].rank", "value"),
    (COVERAGE, "order", "1", "Coverage.order", "value"),
    (PATIENT, "photo.0.size", -1, "Patient.photo[0].size", "value"),
    (PATIENT, "photo.0.data", "not base64!", "Patient.photo[0].data", "value"),
    (PATIENT, "photo.0.data", "aGVsbG8", "Patient.photo[0].data", "value"),
    (OBSERVATION, "valueQuantity.value", "7.1", "Observation.valueQuantity.value", "value"),
    (OBSERVATION, "valueQuantity.value", True, "Observation.valueQuantity.value", "value"),
    (PATIENT, "identifier.0.system", "two words", "Patient.identifier[0].system", "value"),
    (PATIENT, "meta.tag.0.code", " padded", "Patient.meta.tag[0].code", "value"),
    (PATIENT, "name.0.family", "bell\u0007", "Patient.name[0].family", "value"),
    (PATIENT, "name.0.family", 5, "Patient.name[0].family", "value"),
    (PATIENT, "text.div", "Ada", "Patient.text.div", "value"),
    (PATIENT, "text.div", LEAVE_OUT, "Patient.text.div", "required"),
    (
        PARAMETERS,
        "parameter.1.part.1.valueTime",
        "25:00:00",
        "Parameters.parameter[1].part[1].valueTime",
        "value",
    ),
    # only one of a choice
    (PATIENT, "deceasedDateTime", "2026", "Patient.deceasedDateTime", "structure"),
    (OBSERVATION, "valueString", "high", "Observation.valueString", "structure"),
    (OBSERVATION, "_valueString", {"id": "x"}, "Observation._valueString", "structure"),
    # required bindings
    (PATIENT, "gender", "F", "Patient.gender", "code-invalid"),
    (OBSERVATION, "status", "done", "Observation.status", "code-invalid"),
    (PATIENT, "name.0.use", "legal", "Patient.name[0].use", "code-invalid"),
    (OBSERVATION, "valueQuantity.comparator", "=", "Observation.valueQuantity.comparator", "code-invalid"),
    (ALLERGY, "clinicalStatus.coding.0.code", "cured", "AllergyIntolerance.clinicalStatus", "code-invalid"),
    (ALLERGY, "clinicalStatus.coding.0.system", "urn:x", "AllergyIntolerance.clinicalStatus", "code-invalid"),
    (ALLERGY, "clinicalStatus", {"text": "active"}, "AllergyIntolerance.clinicalStatus", "code-invalid"),
    (CLAIM_MONEY, "totalNet.currency", "dollars", "Invoice.totalNet.currency", "code-invalid"),
    (PATIENT, "photo.0.contentType", "a picture", "Patient.photo[0].contentType", "code-invalid"),
    # references
    (OBSERVATION, "subject.reference", "Medication/m1", "Observation.subject.reference", "value"),
    (OBSERVATION, "subject", {"reference": "Practitioner/d1"}, "Observation.subject.reference", "value"),
    (
        OBSERVATION,
        "subject",
        {"reference": "http://example.org/fhir/Practitioner/d1"},
        "Observation.subject.reference",
        "value",
    ),
    (OBSERVATION, "subject", {"type": "Medication", "display": "x"}, "Observation.subject.type", "value"),
    (OBSERVATION, "subject.type", "Group", "Observation.subject.type", "value"),
    (OBSERVATION, "subject.reference", "Human/p1", "Observation.subject.reference", "value"),
    (OBSERVATION, "subject.reference", "p1", "Observation.subject.reference", "value"),
    (OBSERVATION, "subject.reference", "Patient/has space", "Observation.subject.reference", "value"),
    (OBSERVATION, "subject.reference", "Patient?name=x", "Observation.subject.reference", "value"),
    (OBSERVATION, "subject.reference", "#nobody", "Observation.subject.reference", "not-found"),
    (OBSERVATION, "subject", "Patient/p1", "Observation.subject", "structure"),
    (PATIENT, "managingOrganization.reference", "#o2", "Patient.managingOrganization.reference", "not-found"),
    (PATIENT, "contained.0.resourceType", "Medication", "Patient.managingOrganization.reference", "value"),
    (
        OBSERVATION,
        "performer",
        [{"reference": "Patient/p1"}, {"reference": "Device/x"}],
        "Observation.performer[1].reference",
        "value",
    ),
    # extensions
    (PATIENT, "extension.0.url", LEAVE_OUT, "Patient.extension[0].url", "required"),
    (PATIENT, "extension.0.valueString", LEAVE_OUT, "Patient.extension[0]", "invariant"),
    (PATIENT, "extension.0.extension", [{"url": "y", "valueCode": "z"}], "Patient.extension[0]", "invariant"),
    (PATIENT, "extension.0.valueCode", "x", "Patient.extension[0].valueCode", "structure"),
    (PATIENT, "extension.0.valueDecade", "x", "Patient.extension[0].valueDecade", "structure"),
    (
        PATIENT,
        "name.0.extension",
        [{"url": "http://x", "valueBoolean": "no"}],
        "Patient.name[0].extension[0].valueBoolean",
        "value",
    ),
    # resources within
    (PATIENT, "resourceType", LEAVE_OUT, "resourceType", "structure"),
    (PATIENT, "resourceType", "Patent", "resourceType", "value"),
    (PATIENT, "resourceType", "DomainResource", "resourceType", "value"),
    (PATIENT, "resourceType", ["Patient"], "resourceType", "value"),
    (PATIENT, "contained.0", {"id": "o1"}, "Patient.contained[0].resourceType", "structure"),
    (
        PATIENT,
        "contained.0.contained",
        [{"resourceType": "Patient"}],
        "Patient.contained[0].contained",
        "structure",
    ),
    (PATIENT, "contained.0.name", 5, "Patient.contained[0].name", "value"),
    (BUNDLE, "type", LEAVE_OUT, "Bundle.type", "required"),
    (BUNDLE, "type", "transactions", "Bundle.type", "code-invalid"),
    (BUNDLE, "entry.0.resource.gender", "F", "Bundle.entry[0].resource.gender", "code-invalid"),
    (
        BUNDLE,
        "entry.1.resource.subject.reference",
        "Device",
        "Bundle.entry[1].resource.subject.reference",
        "value",
    ),
    (BUNDLE, "entry.1.resource", {"status": "final"}, "Bundle.entry[1].resource.resourceType", "structure"),
    (BUNDLE, "entry.1.resource", [], "Bundle.entry[1].resource", "structure"),
    (BUNDLE, "entry.0.request.method", "SEND", "Bundle.entry[0].request.method", "code-invalid"),
    (BUNDLE, "entry.0.request.url", LEAVE_OUT, "Bundle.entry[0].request.url", "required"),
    (PARAMETERS, "parameter.0.resource.active", "yes", "Parameters.parameter[0].resource.active", "value"),
    (
        PARAMETERS,
        "parameter.1.part.0.valueUnsignedInt",
        -1,
        "Parameters.parameter[1].part[0].valueUnsignedInt",
        "value",
    ),
]


@pytest.mark.parametrize(
    ("sample", "path", "value", "at", "code"), BAD, ids=[f"{b[3]}-{n}" for n, b in enumerate(BAD)]
)
def test_one_broken_rule_is_found_where_it_is(
    sample: dict[str, Any], path: str, value: Any, at: str, code: str
) -> None:
    found = issues_of(changed(sample, path, value))
    assert (at, code) in [(issue.at, issue.code) for issue in found], found
    assert len(found) <= 3


def test_a_message_names_the_rule_and_never_the_value() -> None:
    secret = "secretvalue"
    for sample, path, value, _, _ in BAD:
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
