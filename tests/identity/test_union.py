"""What stands twice in the chart of a person, and what contradicts."""

from __future__ import annotations

from typing import Any

from commonchart.identity.union import Held, differing, marks

CODE = {"coding": [{"system": "urn:icd", "code": "E11.9"}]}
NONE = {"coding": [{"system": "http://snomed.info/sct", "code": "716186003"}]}


def held(key: str, patient: str, **body: Any) -> Held:
    return Held(key, patient, patient, {"resourceType": key.split("/")[0]} | body)


def state(code: str) -> dict[str, Any]:
    return {"coding": [{"code": code}]}


def test_the_same_problem_of_two_records_is_counted_once_and_both_are_marked() -> None:
    found = marks(
        [
            held("Condition/1", "a", code=CODE),
            held("Condition/2", "b", code=CODE),
            held("Condition/3", "a", code=CODE),
        ]
    )
    assert found["Condition/1"].counts
    assert not found["Condition/2"].counts
    assert found["Condition/1"].like == ("Condition/2",)
    assert "counted once" in found["Condition/1"].words


def test_active_against_resolved_contradicts() -> None:
    found = marks([
        held("Condition/1", "a", code=CODE, clinicalStatus=state("active")),
        held("Condition/2", "b", code=CODE, clinicalStatus=state("resolved")),
    ])  # fmt: skip
    assert found["Condition/1"].against == ("Condition/2",)
    assert found["Condition/2"].words == "another record contradicts this"


def test_no_known_allergies_against_an_allergy() -> None:
    found = marks([
        held("AllergyIntolerance/1", "a", code=NONE),
        held("AllergyIntolerance/2", "b", code={"text": "Penicillin"}),
        held("AllergyIntolerance/3", "b", code={"text": "Latex"}, clinicalStatus=state("resolved")),
    ])  # fmt: skip
    assert set(found) == {"AllergyIntolerance/1", "AllergyIntolerance/2"}


def test_a_retracted_fact_repeats_and_contradicts_nothing() -> None:
    wrong = held("Condition/2", "b", code=CODE, verificationStatus=state("entered-in-error"))
    assert marks([held("Condition/1", "a", code=CODE), wrong]) == {}
    assert marks([held("Condition/1", "a", code=CODE), held("Condition/2", "a", code=CODE)]) == {}


def test_birth_date_sex_and_death_that_differ_are_told() -> None:
    one = {"birthDate": "1985-12-10", "gender": "female"}
    assert differing([one, one]) == []
    other = {"birthDate": "1985-12-11", "gender": "female", "deceasedBoolean": True}
    assert differing([one, other]) == [("Birth date", ("1985-12-10", "1985-12-11")), ("Died", ("yes",))]
