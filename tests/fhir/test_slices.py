"""Slices by every kind of discriminator, and slices of slices, on profiles of a few lines made here."""

from __future__ import annotations

from typing import Any

import pytest

from commonchart.fhir.profiles.known import Known, of_definitions
from commonchart.fhir.validate import examine

URL = "http://example.org/p"
WITH_NAME = "http://example.org/named"
BASE = "http://hl7.org/fhir/StructureDefinition/"

Element = dict[str, Any]


def element(id_: str, **facts: Any) -> Element:
    path = ".".join(part.partition(":")[0] for part in id_.split("."))
    name = id_.rpartition(".")[2].partition(":")[2]
    return {"id": id_, "path": path, **({"sliceName": name} if name else {}), **facts}


def sliced(id_: str, kind: str, path: str, rules: str = "open") -> Element:
    return element(id_, slicing={"discriminator": [{"type": kind, "path": path}], "rules": rules})


def definition(rtype: str, url: str, *elements: Element) -> dict[str, Any]:
    return {
        "resourceType": "StructureDefinition",
        "url": url,
        "type": rtype,
        "kind": "resource",
        "derivation": "constraint",
        "baseDefinition": f"{BASE}{rtype}",
        "differential": {"element": [element(rtype), *elements]},
    }


def problems(resource: dict[str, Any], known: Known) -> list[tuple[str, str]]:
    found = examine(resource, [URL], known=known).issues
    return [(issue.at, issue.message) for issue in found if issue.severity == "error"]


# ---- exists: names with a family, which must say their use, and at most one without -----------------------------

BY_PRESENCE = of_definitions(
    [
        definition(
            "Patient", URL,
            sliced("Patient.name", "exists", "family"),
            element("Patient.name:whole", min=1, max="*"),
            element("Patient.name:whole.family", min=1),
            element("Patient.name:whole.use", min=1),
            element("Patient.name:bare", min=0, max="1"),
            element("Patient.name:bare.family", max="0"),
        )
    ]
)  # fmt: skip
WHOLE, BARE = {"family": "Abara", "use": "usual"}, {"text": "Ada"}


@pytest.mark.parametrize(
    ("names", "wrong"),
    [
        ([WHOLE], []),
        ([WHOLE, BARE, WHOLE], []),
        ([{"family": "Abara"}], ["Patient.name[0].use"]),
        ([BARE], ["Patient.name"]),
        ([WHOLE, BARE, BARE], ["Patient.name"]),
    ],
)
def test_presence_tells_slices_apart(names: list[Any], wrong: list[str]) -> None:
    found = problems({"resourceType": "Patient", "name": names}, BY_PRESENCE)
    assert [at for at, _ in found] == wrong


# ---- type: a choice by its type, and a reference by what it leads to --------------------------------------------

BY_TYPE = of_definitions(
    [
        definition(
            "Observation", URL,
            sliced("Observation.value[x]", "type", "$this", "closed"),
            element("Observation.value[x]:valueQuantity", min=0, max="1", type=[{"code": "Quantity"}]),
            element("Observation.value[x]:valueQuantity.unit", min=1),
            element("Observation.value[x]:valueString", min=0, max="1", type=[{"code": "string"}]),
            sliced("Observation.performer", "type", "resolve()"),
            element("Observation.performer:person", min=1, max="1", type=[{"code": "Reference", "targetProfile": [f"{BASE}Practitioner"]}]),
        )
    ]
)  # fmt: skip
OBSERVED: dict[str, Any] = {"resourceType": "Observation", "status": "final", "code": {"text": "x"}}
DOCTOR, PATIENT = {"reference": "Practitioner/d"}, {"reference": "Patient/p"}


@pytest.mark.parametrize(
    ("more", "wrong"),
    [
        ({"valueQuantity": {"value": 1, "unit": "kg"}}, []),
        ({"valueString": "high"}, []),
        ({"valueQuantity": {"value": 1}}, ["Observation.valueQuantity.unit"]),
        ({"valueBoolean": True}, ["Observation.valueBoolean"]),
    ],
)
def test_the_type_of_a_choice_tells_slices_apart(more: dict[str, Any], wrong: list[str]) -> None:
    assert [at for at, _ in problems({**OBSERVED, "performer": [DOCTOR], **more}, BY_TYPE)] == wrong


# ---- profile: entries of a Bundle by the profile that they fit --------------------------------------------------

BY_PROFILE = of_definitions(
    [
        definition("Patient", WITH_NAME, element("Patient.name", min=1)),
        definition(
            "Bundle", URL,
            sliced("Bundle.entry", "profile", "resource", "closed"),
            element("Bundle.entry:named", min=1, max="1"),
            element("Bundle.entry:named.resource", min=1, type=[{"code": "Patient", "profile": [WITH_NAME]}]),
            element("Bundle.entry:seen", min=0, max="*"),
            element("Bundle.entry:seen.resource", min=1, type=[{"code": "Observation"}]),
        ),
    ]
)  # fmt: skip
NAMED: dict[str, Any] = {"resourceType": "Patient", "name": [{"family": "Abara"}]}
NAMELESS: dict[str, Any] = {"resourceType": "Patient", "gender": "female"}


@pytest.mark.parametrize(
    ("held", "wrong"),
    [
        ([NAMED], []),
        ([NAMED, OBSERVED, OBSERVED], []),
        ([NAMED, NAMED], ["Bundle.entry"]),
        ([NAMELESS], ["Bundle.entry[0]", "Bundle.entry"]),
        ([NAMED, {"resourceType": "Basic", "code": {"text": "x"}}], ["Bundle.entry[1]"]),
    ],
)
def test_the_profile_that_is_fitted_tells_slices_apart(held: list[Any], wrong: list[str]) -> None:
    bundle = {
        "resourceType": "Bundle",
        "type": "collection",
        "entry": [{"fullUrl": f"urn:uuid:0c3151bd-1cbf-4d64-b04d-cd9187a4c6e{n}", "resource": one} for n, one in enumerate(held)],
    }  # fmt: skip
    assert [at for at, _ in problems(bundle, BY_PROFILE)] == wrong


# ---- slices of slices: phones, of which exactly one is at home and at most one at work --------------------------

RESLICED = of_definitions(
    [
        definition(
            "Patient", URL,
            sliced("Patient.telecom", "value", "system"),
            element("Patient.telecom:phone", min=1, max="*", slicing={"discriminator": [{"type": "value", "path": "use"}], "rules": "open"}),
            element("Patient.telecom:phone.system", min=1, fixedCode="phone"),
            element("Patient.telecom:phone/home", min=1, max="1"),
            element("Patient.telecom:phone/home.use", min=1, fixedCode="home"),
            element("Patient.telecom:phone/work", min=0, max="1"),
            element("Patient.telecom:phone/work.use", min=1, fixedCode="work"),
            element("Patient.telecom:phone/work.value", min=1),
        )
    ]
)  # fmt: skip


@pytest.mark.parametrize(
    ("given", "wrong"),
    [
        (["phone home"], []),
        (["phone home", "phone work", "phone mobile", "phone mobile", "email work", "email work"], []),
        (["phone work"], ["home"]),
        (["phone mobile", "email home"], ["home"]),
        (["phone home", "phone home"], ["home"]),
        (["phone home", "phone work", "phone work"], ["work"]),
        (["email home"], ["phone"]),
    ],
)
def test_slices_of_slices_are_counted_over_the_whole_slice(given: list[str], wrong: list[str]) -> None:
    telecom = [dict(zip(("system", "use"), one.split(), strict=True)) | {"value": "1"} for one in given]
    found = problems({"resourceType": "Patient", "telecom": telecom}, RESLICED)
    assert [at for at, _ in found] == ["Patient.telecom"] * len(wrong)
    assert all(f"slice {name} " in message for name, (_, message) in zip(wrong, found, strict=True))


def test_what_a_slice_of_a_slice_says_of_its_children_is_checked() -> None:
    telecom = [{"system": "phone", "use": "home"}, {"system": "phone", "use": "work"}]
    found = problems({"resourceType": "Patient", "telecom": telecom}, RESLICED)
    assert [at for at, _ in found] == ["Patient.telecom[1].value"]


@pytest.mark.parametrize(
    ("performers", "wrong"),
    [
        ([DOCTOR], []),
        ([DOCTOR, PATIENT, PATIENT], []),
        ([PATIENT], ["Observation.performer"]),
        ([DOCTOR, DOCTOR], ["Observation.performer"]),
    ],
)
def test_the_type_that_is_referred_to_tells_slices_apart(performers: list[Any], wrong: list[str]) -> None:
    assert [at for at, _ in problems({**OBSERVED, "performer": performers}, BY_TYPE)] == wrong
