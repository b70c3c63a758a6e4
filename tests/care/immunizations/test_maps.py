"""Diagnoses as practices write them are seen by the schedule, and what rests on our map says so."""

from __future__ import annotations

from datetime import date
from pathlib import Path
from typing import Any

import pytest

from commonchart.care.immunizations import due, maps, pack
from commonchart.care.immunizations.evaluate import evaluate
from commonchart.care.immunizations.from_fhir import facts
from commonchart.fhir.outcome import Invalid

ICD10 = "http://hl7.org/fhir/sid/icd-10-cm"
TODAY = date(2026, 11, 18)


def condition(code: str, system: str = ICD10) -> dict[str, Any]:
    return {
        "resourceType": "Condition", "id": "c", "onsetDateTime": "2026-06-01",
        "code": {"coding": [{"system": system, "code": code}]}, "clinicalStatus": {"coding": [{"code": "active"}]},
        "verificationStatus": {"coding": [{"code": "confirmed"}]},
    }  # fmt: skip


def read(*resources: dict[str, Any]) -> Any:
    person = {"resourceType": "Patient", "birthDate": "1980-01-01", "gender": "female"}
    return facts(person, resources, pack.load(), TODAY, maps.built_in())


def test_every_observation_of_the_map_is_one_of_the_schedule() -> None:
    assert {one.observation for one in maps.read().risk} <= set(pack.load().observations)


@pytest.mark.parametrize(
    ("code", "system", "observation"),
    [("E11.9", ICD10, "014"), ("n18.6", ICD10, "114"), ("44054006", maps.SNOMED, "014"), ("D57.1", ICD10, "160"),
     ("Z34.01", ICD10, "007")],
)  # fmt: skip
def test_a_diagnosis_is_seen(code: str, system: str, observation: str) -> None:
    found = read(condition(code, system))
    assert observation in {one.code for one in found.observations}


@pytest.mark.parametrize("code", ["D57.3", "I10", "E66.3", "Z98.1"])
def test_what_is_left_out_or_not_mapped_is_not_considered(code: str) -> None:
    found = read(condition(code))
    assert found.observations == ()
    assert [one.ref for one in found.not_considered] == ["Condition/c"]


def test_a_forecast_that_rests_on_the_map_is_not_reviewed() -> None:
    schedule = pack.load()
    found = read(condition("E11.9"))
    answer = evaluate(found.person, found.doses, found.observations, schedule, TODAY)
    rows = {row.rule: row.why for row in due.rows(answer, found, schedule)}
    assert rows["imm-pneumococcal"]["review"] == "needed"
    assert "Diabetes" in rows["imm-pneumococcal"]["because"]
    assert rows["imm-mmr"]["review"] == "reviewed"


def test_the_schedules_own_code_is_reviewed() -> None:
    schedule = pack.load()
    own = next(code for system, code in schedule.observations["014"].codes if system == maps.SNOMED)
    assert "014" not in read(condition(own, maps.SNOMED)).mapped


@pytest.mark.parametrize(
    ("text", "field"),
    [('authority = "x"', "version"), ("nonsense", "risks.toml"),
     ('authority = "x"\nversion = "1"\nreview = "needed"\n[[risk]]\nobservation = "1"\n[[risk]]\nobservation = "1"', "twice")],
)  # fmt: skip
def test_a_broken_map_is_refused(tmp_path: Path, text: str, field: str) -> None:
    (tmp_path / "risks.toml").write_text(text)
    with pytest.raises(Invalid, match=field):
        maps.read(tmp_path / "risks.toml")


@pytest.mark.parametrize(
    ("country", "status"), [("", "cannot-tell"), ("US", "up-to-date"), ("FR", "overdue")]
)
def test_an_unknown_country_of_birth_is_asked_where_it_decides(country: str, status: str) -> None:
    schedule = pack.load()
    place = [
        {
            "url": "http://hl7.org/fhir/StructureDefinition/patient-birthPlace",
            "valueAddress": {"country": country},
        }
    ]
    person = {"resourceType": "Patient", "birthDate": "1970-01-01", "gender": "male"} | (
        {"extension": place} if country else {}
    )
    found = facts(person, [], schedule, TODAY, maps.built_in())
    answer = evaluate(found.person, found.doses, found.observations, schedule, TODAY)
    row = next(one for one in due.rows(answer, found, schedule) if one.rule == "imm-varicella")
    assert row.status == status
    assert ("Ask the country of birth" in row.why["question"]) == (status == "cannot-tell")
