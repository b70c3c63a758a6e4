"""US Core in the box: what breaks a profile is told, what cannot be checked is said, the package gives the same verdicts."""

from __future__ import annotations

import copy
from typing import Any

import pytest

from commonchart.fhir import packages
from commonchart.fhir.outcome import Malformed
from commonchart.fhir.profiles.known import Known, boxed, of_definitions
from commonchart.fhir.profiles.value_sets import LICENSED
from commonchart.fhir.validate import Report, examine
from tests.shared import shared_data

US = "http://hl7.org/fhir/us/core/StructureDefinition/"
TERMS = "http://terminology.hl7.org/CodeSystem/"
RACE = f"{US}us-core-race"

PATIENT: dict[str, Any] = {
    "resourceType": "Patient",
    "extension": [
        {
            "url": RACE,
            "extension": [
                {
                    "url": "ombCategory",
                    "valueCoding": {"system": "urn:oid:2.16.840.1.113883.6.238", "code": "2106-3"},
                },
                {"url": "text", "valueString": "White"},
            ],
        }
    ],
    "identifier": [{"system": "http://example.org/mrn", "value": "1"}],
    "name": [{"family": "Nobody", "given": ["Ada"]}],
    "gender": "female",
}
WEIGHT: dict[str, Any] = {
    "resourceType": "Observation",
    "status": "final",
    "category": [{"coding": [{"system": f"{TERMS}observation-category", "code": "vital-signs"}]}],
    "code": {"coding": [{"system": "http://loinc.org", "code": "29463-7"}]},
    "subject": {"reference": "Patient/p1"},
    "effectiveDateTime": "2026-11-18",
    "valueQuantity": {"value": 70, "unit": "kg", "system": "http://unitsofmeasure.org", "code": "kg"},
}
PROBLEM: dict[str, Any] = {
    "resourceType": "Condition",
    "clinicalStatus": {"coding": [{"system": f"{TERMS}condition-clinical", "code": "active"}]},
    "category": [{"coding": [{"system": f"{TERMS}condition-category", "code": "problem-list-item"}]}],
    "code": {"text": "something"},
    "subject": {"reference": "Patient/p1"},
}
GOOD = [
    (PATIENT, "us-core-patient"),
    (WEIGHT, "us-core-body-weight"),
    (PROBLEM, "us-core-condition-problems-health-concerns"),
]


def changed(resource: dict[str, Any], path: str, value: Any) -> dict[str, Any]:
    """A copy with the value at the path; `...` leaves it out."""
    out = copy.deepcopy(resource)
    *steps, last = [int(s) if s.isdigit() else s for s in path.split(".")]
    at: Any = out
    for step in steps:
        at = at[step]
    if value is ...:
        del at[last]
    else:
        at[last] = value
    return out


def errors(report: Report) -> list[str]:
    return [issue.at for issue in report.issues if issue.severity == "error"]


@pytest.mark.parametrize(("resource", "profile"), GOOD, ids=lambda x: x if isinstance(x, str) else "")
def test_a_good_resource_fits(resource: dict[str, Any], profile: str) -> None:
    assert errors(examine(resource, [US + profile])) == []


BAD: list[tuple[str, dict[str, Any], str, str, Any, str]] = [
    ("missing name", PATIENT, "us-core-patient", "name", ..., "Patient.name"),
    ("name without parts", PATIENT, "us-core-patient", "name.0", {"use": "usual"}, "Patient.name[0]"),
    ("missing gender", PATIENT, "us-core-patient", "gender", ..., "Patient.gender"),
    ("missing identifier", PATIENT, "us-core-patient", "identifier", ..., "Patient.identifier"),
    ("no system", PATIENT, "us-core-patient", "identifier.0.system", ..., "Patient.identifier[0].system"),
    (
        "race without text",
        PATIENT,
        "us-core-patient",
        "extension.0.extension.1",
        ...,
        "Patient.extension[0].extension",
    ),
    (
        "race of a wrong type",
        PATIENT,
        "us-core-patient",
        "extension.0.extension.0",
        {"url": "ombCategory", "valueString": "x"},
        "Patient.extension[0].extension[0].valueString",
    ),
    ("weight without subject", WEIGHT, "us-core-body-weight", "subject", ..., "Observation.subject"),
    (
        "weight of another code",
        WEIGHT,
        "us-core-body-weight",
        "code.coding.0.code",
        "1-8",
        "Observation.code",
    ),
    ("vital without category", WEIGHT, "us-core-body-weight", "category", ..., "Observation.category"),
    (
        "vital of another category",
        WEIGHT,
        "us-core-body-weight",
        "category.0.coding.0.code",
        "laboratory",
        "Observation.category",
    ),
    (
        "unit outside UCUM",
        WEIGHT,
        "us-core-body-weight",
        "valueQuantity.system",
        "urn:x",
        "Observation.valueQuantity.system",
    ),
    (
        "quantity without code",
        WEIGHT,
        "us-core-body-weight",
        "valueQuantity.code",
        ...,
        "Observation.valueQuantity.code",
    ),
    ("vital of nothing", WEIGHT, "us-core-body-weight", "valueQuantity", ..., "Observation"),
    (
        "weight of a group",
        WEIGHT,
        "us-core-body-weight",
        "subject.reference",
        "Group/g1",
        "Observation.subject.reference",
    ),
    (
        "problem without category slice",
        PROBLEM,
        "us-core-condition-problems-health-concerns",
        "category.0.coding.0.code",
        "encounter-diagnosis",
        "Condition.category",
    ),
    (
        "problem without code",
        PROBLEM,
        "us-core-condition-problems-health-concerns",
        "code",
        ...,
        "Condition.code",
    ),
]


@pytest.mark.parametrize(("name", "resource", "profile", "path", "value", "at"), BAD, ids=[b[0] for b in BAD])
def test_what_breaks_the_profile_is_told(
    name: str, resource: dict[str, Any], profile: str, path: str, value: Any, at: str
) -> None:
    assert at in errors(examine(changed(resource, path, value), [US + profile]))


def test_a_profile_that_is_not_known_is_no_pass() -> None:
    report = examine(PATIENT | {"meta": {"profile": ["http://example.org/x"]}})
    assert "http://example.org/x" in report.not_checked
    assert [(i.severity, i.code) for i in report.issues if "org/x is" in i.message] == [
        ("information", "not-found")
    ]


def test_another_version_of_a_known_profile_is_not_checked() -> None:
    assert examine(PATIENT, [f"{US}us-core-patient|3.1.1"]).not_checked


def test_a_resource_is_held_to_the_profiles_it_states() -> None:
    stated = changed(PATIENT, "name", ...) | {"meta": {"profile": [f"{US}us-core-patient"]}}
    assert errors(examine(stated)) == ["Patient.name"]
    assert errors(examine(changed(PATIENT, "name", ...))) == []


def slicing(rules: str, ordered: bool = False) -> Known:
    """A profile on Patient.telecom, sliced by system: phone, then at most one email."""
    telecom = "Patient.telecom"
    element = [
        {"id": "Patient", "path": "Patient"},
        {
            "id": telecom,
            "path": telecom,
            "slicing": {
                "discriminator": [{"type": "value", "path": "system"}],
                "rules": rules,
                "ordered": ordered,
            },
        },
        {"id": f"{telecom}:phone", "path": telecom, "sliceName": "phone", "min": 1, "max": "*"},
        {"id": f"{telecom}:phone.system", "path": f"{telecom}.system", "min": 1, "fixedCode": "phone"},
        {"id": f"{telecom}:email", "path": telecom, "sliceName": "email", "min": 0, "max": "1"},
        {"id": f"{telecom}:email.system", "path": f"{telecom}.system", "min": 1, "fixedCode": "email"},
    ]
    return of_definitions(
        [
            {
                "resourceType": "StructureDefinition",
                "url": "http://example.org/p",
                "type": "Patient",
                "kind": "resource",
                "derivation": "constraint",
                "baseDefinition": "http://hl7.org/fhir/StructureDefinition/Patient",
                "differential": {"element": element},
            }
        ]
    )


@pytest.mark.parametrize(
    ("rules", "ordered", "systems", "wrong"),
    [
        ("open", False, ["email", "fax", "phone"], 0),
        ("open", False, ["email"], 1),
        ("open", False, ["phone", "email", "email"], 1),
        ("closed", False, ["phone", "fax"], 1),
        ("openAtEnd", False, ["phone", "fax"], 0),
        ("openAtEnd", False, ["fax", "phone"], 1),
        ("open", True, ["email", "phone"], 1),
        ("open", True, ["phone", "email"], 0),
    ],
)
def test_slices_count_close_and_order(rules: str, ordered: bool, systems: list[str], wrong: int) -> None:
    patient = {"resourceType": "Patient", "telecom": [{"system": s, "value": "1"} for s in systems]}
    report = examine(patient, ["http://example.org/p"], known=slicing(rules, ordered))
    assert len(errors(report)) == wrong


def test_the_box_holds_no_code_of_a_licensed_system_and_no_text() -> None:
    for value_set, systems in boxed().sets.items():
        assert all(systems.get(one) is None for one in LICENSED), value_set
    facts = {f for table in boxed().tables.values() for one in table["elements"].values() for f in one}
    assert facts <= {"min", "max", "types", "fixed", "pattern", "bind", "rules", "slicing", "length"}


def package_bytes() -> bytes:
    return shared_data("packages", "hl7.fhir.us.core-6.1.0.tgz").read_bytes()


def test_the_package_itself_gives_the_same_tables() -> None:
    read = packages.read(package_bytes())
    assert (read.name, read.version) == ("hl7.fhir.us.core", "6.1.0")
    known = of_definitions(read.resources)
    assert known.tables == boxed().tables
    assert known.sets == boxed().sets


def test_differentials_alone_give_the_same_verdicts() -> None:
    bare = [{k: v for k, v in r.items() if k != "snapshot"} for r in packages.read(package_bytes()).resources]
    known = of_definitions(bare)
    compared = [(r, p) for r, p in GOOD if f"{US}{p}" in known.tables]
    assert len(known.tables) > 30
    assert "us-core-patient" in [p for _, p in compared]
    for resource, profile in compared:
        assert errors(examine(resource, [US + profile], known=known)) == []
    for name, resource, profile, path, value, at in BAD:
        if f"{US}{profile}" in known.tables:
            assert at in errors(examine(changed(resource, path, value), [US + profile], known=known)), name


@pytest.mark.parametrize("data", [b"", b"x", b"\x1f\x8b\x08\x00", b"{}"])
def test_what_is_no_package_is_refused(data: bytes) -> None:
    with pytest.raises(Malformed):
        packages.read(data)
