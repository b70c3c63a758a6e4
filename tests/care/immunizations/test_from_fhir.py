from __future__ import annotations

from datetime import date
from typing import Any

import pytest

from commonchart.care.immunizations.evaluate import evaluate
from commonchart.care.immunizations.from_fhir import Facts, Maps, facts
from commonchart.care.immunizations.pack import load

SCHEDULE = load()
NOW = date(2026, 11, 25)
CVX, SCT = "http://hl7.org/fhir/sid/cvx", "http://snomed.info/sct"
PATIENT = {"resourceType": "Patient", "id": "p", "birthDate": "2022-07-02", "gender": "male"}


def concept(system: str, code: str, text: str = "") -> dict[str, Any]:
    return {"coding": [{"system": system, "code": code}], "text": text}


def shot(id_: str = "1", cvx: str = "03", on: str = "2023-12-12", **more: Any) -> dict[str, Any]:
    plain = {
        "resourceType": "Immunization",
        "id": id_,
        "status": "completed",
        "vaccineCode": concept(CVX, cvx),
        "occurrenceDateTime": on,
    }
    return plain | more


def fact(kind: str, code: str, system: str = SCT, **more: Any) -> dict[str, Any]:
    return {"resourceType": kind, "id": "c", "code": concept(system, code, "words")} | more


def read(*resources: dict[str, Any], **more: Any) -> Facts:
    return facts(PATIENT, resources, SCHEDULE, NOW, **more)


def why(found: Facts) -> list[str]:
    return [one.reason for one in found.not_considered]


def seen(*resources: dict[str, Any], **more: Any) -> list[str]:
    return [one.code for one in read(*resources, **more).observations]


def test_a_dose_with_everything() -> None:
    found = read(shot(cvx="3", manufacturer={"identifier": {"system": "http://hl7.org/fhir/sid/mvx", "value": "MSD"}}, lotNumber="L1",
                      expirationDate="2023-11", isSubpotent=True, subpotentReason=[{"text": "half dose"}], primarySource=False))  # fmt: skip
    dose = found.doses[0]
    assert (dose.id, dose.cvx, dose.on, dose.mvx) == ("Immunization/1", "03", date(2023, 12, 12), "MSD")
    assert dose.expired_on == date(2023, 11, 30)
    assert dose.flaw == "sub-potent (half dose)"
    assert found.given["Immunization/1"].historical
    assert [
        row.status
        for one in evaluate(found.person, found.doses, (), SCHEDULE, NOW).doses
        for row in one.evaluations
    ] == ["sub-standard"] * 3


def test_codes_of_others_are_mapped_or_said() -> None:
    ndc = concept("http://hl7.org/fhir/sid/ndc", "00006-4681-00", "MMR II")
    assert why(read(shot(vaccineCode=ndc))) == ["its vaccine has no CVX code and none is mapped"]
    maps = Maps(vaccines={("http://hl7.org/fhir/sid/ndc", "00006-4681-00"): "03"})
    assert read(shot(vaccineCode=ndc), maps=maps).doses[0].cvx == "03"
    assert why(read(shot(cvx="998"))) == ["CVX 998 names no vaccine"]


def test_not_done_is_a_refusal_and_an_error_is_not_considered() -> None:
    found = read(
        shot(status="not-done", statusReason={"text": "Parent refused"}), shot("2", status="entered-in-error")
    )
    assert found.doses == ()
    assert (found.refusals[0].cvx, found.refusals[0].reason) == ("03", "Parent refused")
    assert why(found) == ["entered in error"]


@pytest.mark.parametrize(
    ("given", "on"),
    [
        ({"occurrenceDateTime": "2023-12"}, None),
        ({"occurrenceDateTime": "2023"}, None),
        ({"occurrenceDateTime": None, "occurrenceString": "in childhood"}, None),
        ({"occurrenceDateTime": "2023-12-12T23:30:00-08:00"}, date(2023, 12, 12)),
    ],
)
def test_partial_dates_are_kept_and_not_evaluated(given: dict[str, Any], on: date | None) -> None:
    found = read(shot(**given))
    assert found.doses[0].on == on
    assert (why(found) != []) is (on is None)


def test_the_same_dose_from_two_sources_counts_once_and_both_are_kept() -> None:
    found = read(shot("a", primarySource=False), shot("b", primarySource=True), shot("c", cvx="04"))
    assert [dose.id for dose in found.doses] == ["Immunization/b", "Immunization/c"]
    assert found.given["Immunization/b"].same_as == ("Immunization/a",)
    assert "Immunization/a" in found.given


def test_an_unspecified_formulation_is_the_same_dose_and_another_lot_is_not() -> None:
    assert len(read(shot("a", cvx="107"), shot("b", cvx="20")).doses) == 1
    assert len(read(shot("a", lotNumber="1"), shot("b", lotNumber="2")).doses) == 2
    assert len(read(shot("a"), shot("b", isSubpotent=True)).doses) == 2
    assert len(read(shot("a"), shot("b", on="2023-12-13")).doses) == 2


def test_conditions_map_through_the_schedules_codes() -> None:
    assert seen(fact("Condition", "370388006", clinicalStatus=concept("", "active"))) == ["003"]
    assert why(read(fact("Condition", "370388006", clinicalStatus={"coding": [{"code": "resolved"}]}))) == [
        "no longer active"
    ]
    assert why(
        read(fact("Condition", "370388006", verificationStatus={"coding": [{"code": "refuted"}]}))
    ) == ["ruled out"]
    assert why(read(fact("Condition", "1"))) == ["its codes are none that the schedule knows"]
    maps = Maps(observations={("http://hl7.org/fhir/sid/icd-10-cm", "D84.9"): ("003",)})
    assert seen(fact("Condition", "D84.9", "http://hl7.org/fhir/sid/icd-10-cm"), maps=maps) == ["003"]


def test_a_past_disease_still_proves_immunity() -> None:
    immune = next(code for code in ("371111005",) if (SCT, code) in SCHEDULE.coded)
    assert seen(fact("Condition", immune, clinicalStatus={"coding": [{"code": "resolved"}]})) == ["020"]


def test_a_result_means_something_by_its_value() -> None:
    positive = {"interpretation": [{"coding": [{"system": "x", "code": "POS"}]}]}
    assert seen(fact("Observation", "371111005", status="final", **positive)) == ["020"]
    assert why(read(fact("Observation", "371111005", status="final"))) == [
        "its result is not positive, or does not say"
    ]
    unmapped = {"code": concept("http://loinc.org", "22502-9", "Measles virus IgG")}
    assert why(read(fact("Observation", "x", status="final") | unmapped)) == [
        "its codes are none that the schedule knows"
    ]
    pressure = read(fact("Observation", "85354-9", "http://loinc.org", status="final"))
    assert (why(pressure), pressure.unrelated) == ([], 1)
    assert why(read(fact("Observation", "371111005", status="preliminary", **positive))) == ["preliminary"]
    titre = {("http://loinc.org", "22502-9"): ("020",)}
    assert seen(
        fact("Observation", "22502-9", "http://loinc.org", status="final", **positive),
        maps=Maps(observations=titre),
    ) == ["020"]


def test_pregnancy_and_its_onset() -> None:
    status = fact(
        "Observation",
        "82810-3",
        "http://loinc.org",
        status="final",
        valueCodeableConcept=concept(SCT, "77386006"),
    )
    assert seen(status | {"effectiveDateTime": "2026-10-01"}) == ["007"]
    assert why(read(status | {"effectiveDateTime": "2025-01-01"})) == [
        "pregnancy recorded on 2025-01-01, more than 300 days ago: ask"
    ]
    due = fact("Observation", "11778-8", "http://loinc.org", status="final", valueDateTime="2027-03-01")
    assert [(one.code, one.on) for one in read(due).observations] == [("170", date(2026, 5, 25))]
    assert why(read(due | {"valueDateTime": "2020-01-01"})) == ["of an earlier pregnancy"]


def test_allergies() -> None:
    dose_before = fact("AllergyIntolerance", "114", CVX)
    assert "095" in seen(dose_before)
    assert seen(fact("Condition", "114", CVX)) == []
    assert why(read(dose_before | {"verificationStatus": {"coding": [{"code": "refuted"}]}})) == ["refuted"]
    assert why(read(dose_before | {"clinicalStatus": {"coding": [{"code": "resolved"}]}})) == [
        "resolved allergy"
    ]


def test_a_transplant_gives_its_day() -> None:
    done = fact("Procedure", "234336002", status="completed", performedDateTime="2025-05-01")
    assert [(one.code, one.on) for one in read(done).observations] == [
        ("004", date(2025, 5, 1)),
        ("171", date(2025, 5, 1)),
    ]
    assert why(read(done | {"status": "not-done"})) == ["not done"]


def test_the_person() -> None:
    birth_place = {
        "url": "http://hl7.org/fhir/StructureDefinition/patient-birthPlace",
        "valueAddress": {"country": "US"},
    }
    found = facts(
        PATIENT | {"extension": [birth_place], "deceasedDateTime": "2026-01-01"}, [], SCHEDULE, NOW
    ).person
    assert (found.born, found.sex, found.country, found.died, found.dead) == (
        date(2022, 7, 2),
        "male",
        "US",
        date(2026, 1, 1),
        True,
    )
    assert facts({"resourceType": "Patient", "birthDate": "2022"}, [], SCHEDULE, NOW).person.born is None
