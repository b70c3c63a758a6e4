"""The compiled table says what FHIR R4 4.0.1 says."""

from __future__ import annotations

import re
import subprocess
import sys
import time

import pytest

from commonchart.fhir import definitions
from commonchart.fhir.definitions import TABLE, Definitions, r4


def test_the_table_is_small_and_loads_quickly() -> None:
    assert TABLE.stat().st_size < 5_000_000
    r4.cache_clear()
    started = time.process_time()
    assert isinstance(r4(), Definitions)
    assert time.process_time() - started < 1


def test_the_definitions_are_a_name_of_the_module_too() -> None:
    assert definitions.R4 is r4()
    with pytest.raises(AttributeError):
        definitions.R5  # noqa: B018


def test_a_missing_table_says_what_to_run(monkeypatch: pytest.MonkeyPatch, tmp_path: object) -> None:
    monkeypatch.setattr(definitions, "TABLE", TABLE.parent / "not-there.bin")
    with pytest.raises(FileNotFoundError, match="make definitions"):
        definitions.r4.__wrapped__()


def test_all_resource_types_are_there_and_no_abstract_one() -> None:
    coded = r4().value_sets["http://hl7.org/fhir/ValueSet/resource-types"][
        "http://hl7.org/fhir/resource-types"
    ]
    assert r4().resource_types == coded - {"Resource", "DomainResource"}
    assert len(r4().resource_types) == 146
    assert {
        "Patient",
        "Observation",
        "Bundle",
        "Parameters",
        "Binary",
        "VisionPrescription",
    } <= r4().resource_types
    assert not {"Resource", "DomainResource", "Element", "HumanName"} & r4().resource_types


@pytest.mark.parametrize("rtype", sorted(r4().resource_types))
def test_every_type_of_every_element_is_known(rtype: str) -> None:
    todo, seen = [rtype], set()
    while todo:
        name = todo.pop()
        seen.add(name)
        for element in r4().elements(name).values():
            for child in element.types:
                assert r4().is_primitive(child) or r4().is_structure(child) or child == "Resource", child
                if r4().is_structure(child) and child not in seen:
                    todo.append(child)
    assert {"Meta", "Extension"} <= seen


def test_cardinality_types_targets_and_bindings() -> None:
    observation = r4().elements("Observation")
    assert (observation["status"].min, observation["status"].max) == (1, 1)
    assert observation["category"].max is None
    assert observation["status"].strength == "required"
    assert observation["status"].value_set == "http://hl7.org/fhir/ValueSet/observation-status"
    assert set(observation["subject"].targets) == {"Patient", "Group", "Device", "Location"}
    assert observation["value[x]"].choice
    assert observation["value[x]"].spelled()["valueQuantity"] == "Quantity"
    assert len(observation["value[x]"].types) == 11
    assert observation["status"].modifier
    assert observation["code"].spelled() == {"code": "CodeableConcept"}


def test_inline_structures_and_content_references() -> None:
    assert r4().elements("Questionnaire.item")["item"].types == ("Questionnaire.item",)
    assert r4().elements("Observation.component")["referenceRange"].types == ("Observation.referenceRange",)
    assert r4().elements("Bundle.entry")["resource"].types == ("Resource",)


def test_a_resource_id_is_an_id_and_an_element_id_a_string() -> None:
    assert r4().elements("Patient")["id"].types == ("id",)
    assert r4().elements("HumanName")["id"].types == ("string",)


def test_invariants_travel_along() -> None:
    keys = {key for key, _, _ in r4().rules("Patient")} | {
        rule[0] for element in r4().elements("Patient").values() for rule in element.rules
    }
    assert {"dom-2", "pat-1"} <= keys


def test_search_parameters_of_a_type_include_the_common_ones() -> None:
    patient = r4().search_parameters("Patient")
    assert {
        "_id",
        "_lastUpdated",
        "_tag",
        "_profile",
        "_security",
        "_text",
        "name",
        "phonetic",
        "deceased",
    } <= set(patient)
    assert patient["general-practitioner"].target == ("Practitioner", "Organization", "PractitionerRole")
    assert "_text" not in r4().search_parameters("Bundle")
    assert "_id" in r4().search_parameters("Bundle")
    assert patient["birthdate"].type == "date"


def test_every_search_parameter_belongs_to_a_type_and_every_type_has_some() -> None:
    known = r4().resource_types | {"Resource", "DomainResource"}
    for parameter in r4().parameters:
        assert set(parameter.base) <= known
        assert set(parameter.target) <= known
        assert parameter.type in {
            "number",
            "date",
            "string",
            "token",
            "reference",
            "composite",
            "quantity",
            "uri",
            "special",
        }
    assert len(r4().parameters) == 1376
    assert all(len(r4().search_parameters(rtype)) >= 6 for rtype in r4().resource_types)


def test_the_parts_of_composites_are_search_parameters() -> None:
    composites = [parameter for parameter in r4().parameters if parameter.type == "composite"]
    assert len(composites) == 46
    for composite in composites:
        assert len(composite.component) >= 2
        assert all(url in r4().parameters_by_url and expression for url, expression in composite.component)


def test_compartments_name_known_parameters() -> None:
    for name in ("Patient", "Encounter", "RelatedPerson", "Practitioner", "Device"):
        compartment = r4().compartment(name)
        assert compartment
        for rtype, codes in compartment.items():
            assert set(codes) - {"_id", "{def}"} <= set(r4().search_parameters(rtype)), rtype
    assert r4().compartment("Patient")["AllergyIntolerance"] == ["patient", "recorder", "asserter"]
    assert "Medication" not in r4().compartment("Patient")


@pytest.mark.parametrize(
    ("rtype", "path"),
    [
        ("Observation", "subject"),
        ("Condition", "subject"),
        ("Immunization", "patient"),
        ("Encounter", "subject"),
        ("Appointment", "participant.actor"),
        ("ResearchSubject", "individual"),
        ("Patient", None),
        ("Organization", None),
    ],
)
def test_where_a_resource_names_its_patient(rtype: str, path: str | None) -> None:
    assert r4().patient_reference(rtype) == path


def test_every_type_of_the_compartment_names_its_patient() -> None:
    for rtype in set(r4().compartment("Patient")) - {"Patient"}:
        path = r4().patient_reference(rtype)
        assert path, rtype
        assert path.partition(".")[0] in r4().elements(rtype)


def test_required_value_sets_are_listed_or_stated() -> None:
    sets = r4().value_sets
    assert sets["http://hl7.org/fhir/ValueSet/administrative-gender"] == {
        "http://hl7.org/fhir/administrative-gender": frozenset({"male", "female", "other", "unknown"})
    }
    clinical = "http://terminology.hl7.org/CodeSystem/allergyintolerance-clinical"
    assert sets["http://hl7.org/fhir/ValueSet/allergyintolerance-clinical"][clinical] == {
        "active",
        "inactive",
        "resolved",
    }
    assert {url.rpartition("/")[2] for url in r4().stated} == {
        "currencies",
        "mimetypes",
        "ucum-units",
        "LL379-9",
    }
    assert all(codes for systems in sets.values() for codes in systems.values())
    wanted = {
        element.value_set
        for rtype in r4().resource_types
        for element in r4().elements(rtype).values()
        if element.strength == "required"
    }
    assert wanted <= set(sets) | r4().stated


def test_primitive_patterns_compile() -> None:
    assert r4().patterns["id"].fullmatch("a-1.B")
    assert all(isinstance(pattern, re.Pattern) for pattern in r4().patterns.values())


def test_making_the_table_again_does_nothing() -> None:
    before = TABLE.stat().st_mtime_ns
    script = TABLE.parents[4] / "packaging/definitions.py"
    done = subprocess.run([sys.executable, script], capture_output=True, text=True, check=True)
    assert done.stdout == ""
    assert TABLE.stat().st_mtime_ns == before
