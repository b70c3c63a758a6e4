"""Whom a result says that it is about, against its patient's name, birth date, sex and record number."""

from __future__ import annotations

from typing import Any

import pytest

from commonchart.care.assess import assess
from commonchart.care.facts import evidence
from commonchart.care.person import person
from commonchart.care.rules import built_in
from commonchart.care.stated import mismatch, mistaken
from tests.care.cases import DIABETES, TODAY, condition, observation, patient

ADA = patient(
    name=[{"family": "King", "given": ["Ada"]}, {"use": "maiden", "family": "Byron"}],
    identifier=[{"system": "urn:oid:1.2.3", "value": "417"}],
)


def about(**subject: Any) -> dict[str, Any]:
    return observation("4548-4", "2026-10-01", 6, "%") | {"subject": {"reference": "Patient/p", **subject}}


@pytest.mark.parametrize(
    "display",
    ["KING, Ada", "Ada King", "Byron, Ada", "Mrs. Ada King-Noel", "Ada", "p 12345", "Patient", "Ada KÍNG"],
)
def test_a_name_that_is_or_was_the_patients_agrees(display: str) -> None:
    assert mismatch(about(display=display), ADA) == ""


@pytest.mark.parametrize("display", ["LOVELACE, Ada", "Ada Lovelace"])
def test_another_family_name_does_not(display: str) -> None:
    assert mismatch(about(display=display), ADA) == "family name on the result is not the patient's"


@pytest.mark.parametrize(
    ("number", "agrees"),
    [({"system": "urn:oid:1.2.3", "value": "417"}, True), ({"system": "urn:oid:1.2.3", "value": "418"}, False),
     ({"system": "urn:oid:9", "value": "418"}, True), ({"value": "418"}, True)],
)  # fmt: skip
def test_a_number_disagrees_only_within_its_system(number: dict[str, str], agrees: bool) -> None:
    assert (mismatch(about(identifier=number), ADA) == "") is agrees


def test_a_contained_patient_is_compared_whole() -> None:
    inside = patient("1970-05-11", "male", name=[{"family": "Noel"}], id="c")
    said = mismatch(about() | {"contained": [inside]}, ADA)
    assert "family name" in said
    assert "date of birth" in said
    assert "sex" in said
    same = patient(name=[{"family": "byron"}], id="c")
    assert mismatch(about() | {"contained": [same]}, ADA) == ""


def test_only_results_whose_patient_is_there_are_judged() -> None:
    wrong = about(display="Ada Lovelace")
    assert mistaken([wrong]) == {}
    assert list(mistaken([ADA, wrong])) == [f"Observation/{wrong['id']}"]


def test_somebody_elses_result_satisfies_nothing_until_it_is_believed() -> None:
    wrong = about(display="Ada Lovelace")
    found = evidence([ADA, condition(DIABETES, since="2014-01-01"), wrong])
    ref = f"Observation/{wrong['id']}"

    def status(**how: Any) -> str:
        rows = assess(found, person(ADA, TODAY), built_in(), TODAY, **how)
        return next(one.status for one in rows if one.rule == "a1c")

    assert status() == "overdue"
    assert status(released=[ref]) == "up-to-date"
    assert status(rejected=[ref]) == "overdue"
