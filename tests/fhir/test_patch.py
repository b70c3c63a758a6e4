"""JSON Patch and FHIRPath Patch: what they change, what they refuse, and that nothing given is changed."""

from __future__ import annotations

import copy
from decimal import Decimal
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from commonchart.fhir.outcome import Invalid, Malformed, Refused, TooCostly
from commonchart.fhir.patch import fhirpath_patch, json_patch

ADA: dict[str, Any] = {
    "resourceType": "Patient",
    "active": True,
    "name": [{"family": "Byron", "given": ["Ada", "Augusta"]}, {"family": "Lovelace"}],
    "birthDate": "1815-12-10",
    "multipleBirthInteger": 1,
}


def test_every_json_operation() -> None:
    before = copy.deepcopy(ADA)
    after = json_patch(
        ADA,
        [
            {"op": "test", "path": "/name/0/family", "value": "Byron"},
            {"op": "add", "path": "/name/0/given/1", "value": "A."},
            {"op": "add", "path": "/name/0/given/-", "value": "Z."},
            {"op": "remove", "path": "/birthDate"},
            {"op": "replace", "path": "/name/1/family", "value": "King"},
            {"op": "copy", "from": "/name/1", "path": "/name/-"},
            {"op": "move", "from": "/name/0", "path": "/name/1"},
        ],
    )
    assert before == ADA
    assert [name["family"] for name in after["name"]] == ["King", "Byron", "King"]
    assert after["name"][1]["given"] == ["Ada", "A.", "Augusta", "Z."]
    assert "birthDate" not in after


def test_decimals_and_pointer_escapes() -> None:
    after = json_patch({"a/b": 1, "c~d": {}}, [{"op": "add", "path": "/c~0d/x", "value": Decimal("1.10")}])
    assert str(after["c~d"]["x"]) == "1.10"
    assert json_patch({"a/b": 1}, [{"op": "test", "path": "/a~1b", "value": Decimal("1.0")}]) == {"a/b": 1}


@pytest.mark.parametrize(
    ("operation", "kind"),
    [
        ({"op": "remove", "path": "/nobody"}, Invalid),
        ({"op": "test", "path": "/active", "value": 1}, Invalid),
        ({"op": "add", "path": "/name/7", "value": {}}, Invalid),
        ({"op": "add", "path": "/name/01", "value": {}}, Invalid),
        ({"op": "replace", "path": "/name/-", "value": {}}, Invalid),
        ({"op": "move", "from": "/name", "path": "/name/0/x"}, Invalid),
        ({"op": "add", "path": "name", "value": 1}, Malformed),
        ({"op": "add", "path": "/a~2", "value": 1}, Malformed),
        ({"op": "add", "path": "/x"}, Malformed),
        ({"op": "increment", "path": "/x"}, Malformed),
        ("remove", Malformed),
        ({"op": "add", "path": "", "value": []}, Invalid),
    ],
)
def test_what_json_patch_refuses(operation: Any, kind: type[Refused]) -> None:
    with pytest.raises(kind):
        json_patch(ADA, [operation])


def test_a_refusal_names_its_operation() -> None:
    with pytest.raises(Invalid, match="operation 1"):
        json_patch(ADA, [{"op": "remove", "path": "/active"}, {"op": "remove", "path": "/active"}])


def test_copies_upon_copies_are_bounded() -> None:
    doubling = [{"op": "copy", "from": "/name", "path": "/name/-"}] * 60
    with pytest.raises(TooCostly):
        json_patch(ADA, doubling)


_JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=3), inner, max_size=3),
    max_leaves=8,
)


@given(st.dictionaries(st.text(max_size=3), _JSON, max_size=4), st.text(max_size=3), _JSON)
def test_add_then_remove_is_nothing(document: dict[str, Any], name: str, value: Any) -> None:
    path = "/" + name.replace("~", "~0").replace("/", "~1")
    added = json_patch(document, [{"op": "add", "path": path, "value": value}])
    assert added == {**document, name: value}
    without = {key: held for key, held in document.items() if key != name}
    assert json_patch(added, [{"op": "remove", "path": path}]) == without


def operation(kind: str, path: str, **parts: Any) -> dict[str, Any]:
    part: list[dict[str, Any]] = [{"name": "type", "valueCode": kind}, {"name": "path", "valueString": path}]
    for name, held in parts.items():
        part.append({"name": name, **held})
    return {"resourceType": "Parameters", "parameter": [{"name": "operation", "part": part}]}


def test_add_once_many_and_choice() -> None:
    name = {"valueHumanName": {"family": "King"}}
    assert (
        len(
            fhirpath_patch(ADA, operation("add", "Patient", name={"valueString": "name"}, value=name))["name"]
        )
        == 3
    )
    died = operation("add", "Patient", name={"valueString": "deceased"}, value={"valueBoolean": True})
    assert fhirpath_patch(ADA, died)["deceasedBoolean"] is True
    again = operation("add", "Patient", name={"valueString": "active"}, value={"valueBoolean": True})
    with pytest.raises(Invalid):
        fhirpath_patch(ADA, again)


def test_add_an_element_made_of_parts() -> None:
    made = {
        "part": [{"name": "gender", "valueCode": "female"}, {"name": "name", "valueHumanName": {"text": "B"}}]
    }
    after = fhirpath_patch(ADA, operation("add", "Patient", name={"valueString": "contact"}, value=made))
    assert after["contact"] == [{"gender": "female", "name": {"text": "B"}}]


def test_insert_move_delete_replace() -> None:
    given = {"valueString": "A."}
    after = fhirpath_patch(
        ADA, operation("insert", "Patient.name[0].given", index={"valueInteger": 1}, value=given)
    )
    assert after["name"][0]["given"] == ["Ada", "A.", "Augusta"]
    moved = operation("move", "Patient.name", source={"valueInteger": 1}, destination={"valueInteger": 0})
    assert fhirpath_patch(ADA, moved)["name"][0] == {"family": "Lovelace"}
    gone = fhirpath_patch(ADA, operation("delete", "Patient.name.where(family = 'Byron')"))
    assert gone["name"] == [{"family": "Lovelace"}]
    assert fhirpath_patch(ADA, operation("delete", "Patient.gender")) == ADA
    assert fhirpath_patch(ADA, operation("delete", "Patient.name[0].given[1]"))["name"][0]["given"] == ["Ada"]
    born = operation("replace", "Patient.birthDate", value={"valueDate": "1815-12-11"})
    assert fhirpath_patch(ADA, born)["birthDate"] == "1815-12-11"
    twin = fhirpath_patch(ADA, operation("replace", "Patient.multipleBirth", value={"valueBoolean": True}))
    assert "multipleBirthInteger" not in twin
    assert twin["multipleBirthBoolean"] is True


@pytest.mark.parametrize(
    ("parameters", "kind"),
    [
        ({}, Malformed),
        (operation("upsert", "Patient.name"), Malformed),
        (operation("delete", "Patient.name"), Invalid),
        (operation("delete", "Patient"), Invalid),
        (operation("replace", "Patient.name[9]", value={"valueString": "x"}), Invalid),
        (operation("replace", "Patient.birthDate"), Malformed),
        (operation("add", "Patient", name={"valueString": "nose"}, value={"valueString": "x"}), Invalid),
        (
            operation("insert", "Patient.name", index={"valueInteger": 9}, value={"valueHumanName": {}}),
            Invalid,
        ),
        (
            operation("move", "Patient.name", source={"valueInteger": 5}, destination={"valueInteger": 0}),
            Invalid,
        ),
        (operation("delete", "Patient.name["), Malformed),
    ],
)
def test_what_fhirpath_patch_refuses(parameters: dict[str, Any], kind: type[Refused]) -> None:
    with pytest.raises(kind, match="operation 0" if parameters else None):
        fhirpath_patch(ADA, parameters)
