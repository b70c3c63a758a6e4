"""Results, follow-up, slots by age, whole months: what evidence comes to."""

from __future__ import annotations

from datetime import date
from decimal import Decimal
from typing import Any

import pytest

from tests.care.cases import (
    ICD,
    LOINC,
    SCT,
    TODAY,
    concept,
    condition,
    due,
    observation,
    patient,
    procedure,
    report,
)


def visit(code: str, when: str, system: str = "http://www.ama-assn.org/go/cpt") -> dict[str, Any]:
    return {
        "resourceType": "Encounter", "id": f"v{when}", "status": "finished", "type": [concept((system, code))], "period": {"start": when},
    }  # fmt: skip


BABY = patient("2026-05-18")  # six months old today


@pytest.mark.parametrize(
    ("last", "status", "due_on"),
    [("", "due", date(2026, 11, 18)), ("2026-09-20", "due", date(2026, 11, 18)), ("2026-07-20", "overdue", date(2026, 9, 18)),
     ("2026-10-28", "up-to-date", date(2027, 2, 18)), ("2026-10-27", "due", date(2026, 11, 18))],
)  # fmt: skip
def test_a_visit_counts_until_the_first_one_it_is_too_early_for(last: str, status: str, due_on: date) -> None:
    answer = due("well-child", *([visit("99391", last)] if last else []), who=BABY)
    assert (answer.status, answer.due_on) == (status, due_on)


def test_missed_visits_are_made_up_at_the_next_contact() -> None:
    assert due("well-child", who=patient("2023-01-10")).due_on == date(2026, 1, 10)


def test_lead_is_tested_twice_and_made_up_until_72_months() -> None:
    risky = condition((ICD, "Z99.9"))
    child = patient("2022-11-18")
    from tests.care.test_population import answered

    yes = answered(lead_risk=True)
    assert due("lead", risky, yes, who=child).status == "overdue"
    once = observation("10368-9", "2023-11-20", Decimal("1.0"), "ug/dL")
    assert due("lead", yes, once, who=child).due_on == date(2024, 11, 18)
    twice = observation("10368-9", "2024-11-20", Decimal("1.0"), "ug/dL")
    assert due("lead", yes, once, twice, who=child).status == "up-to-date"


@pytest.mark.parametrize(("value", "status"), [("3.4", "up-to-date"), ("3.5", "overdue")])
def test_lead_of_3_5_opens_a_follow_up(value: str, status: str) -> None:
    from tests.care.test_population import answered

    child = patient("2025-05-18")
    facts = [answered(lead_risk=True), observation("10368-9", "2026-06-01", Decimal(value), "ug/dL")]
    answer = due("lead", *facts, who=child)
    assert answer.status == status
    if status == "overdue":
        assert "venous lead" in answer.why["because"]
        assert (
            due(
                "lead", *facts, observation("77307-7", "2026-06-10", Decimal("2.0"), "ug/dL"), who=child
            ).status
            == "up-to-date"
        )


@pytest.mark.parametrize(
    ("last", "due_on"), [("2025-03-31", date(2026, 3, 1)), ("2025-12-01", date(2026, 12, 1))]
)
def test_a_wellness_visit_is_due_after_eleven_whole_months(last: str, due_on: date) -> None:
    insured = {
        "resourceType": "Coverage", "id": "c", "status": "active", "type": concept(("https://nahdo.org/sopt", "121")),
        "period": {"start": "2022-01-01"},
    }  # fmt: skip
    hcpcs = "https://www.cms.gov/Medicare/Coding/HCPCSReleaseCodeSets"
    answer = due("medicare-wellness", insured, visit("G0438", last, hcpcs), who=patient("1955-01-01"))
    assert answer.due_on == due_on


def screen(answer: str = "", score: int | None = None, when: str = "2026-10-01") -> dict[str, Any]:
    if score is not None:
        return observation("44261-6", when, score, "{score}")
    return observation("73832-8", when) | {"valueCodeableConcept": concept((SCT, answer))}


@pytest.mark.parametrize(
    ("one", "status"),
    [(screen("428171000124102"), "up-to-date"), (screen("428181000124104"), "overdue"), (screen(score=9), "up-to-date"),
     (screen(score=10), "overdue"), (observation("73832-8", "2026-10-01", words="?"), "cannot-tell")],
)  # fmt: skip
def test_a_depression_screen_is_read(one: dict[str, Any], status: str) -> None:
    assert due("depression-adult", one).status == status


@pytest.mark.parametrize(("when", "status"), [("2026-09-30", "overdue"), ("2026-10-01", "up-to-date")])
def test_only_a_later_plan_closes_a_positive_screen(when: str, status: str) -> None:
    plan = {
        "resourceType": "ServiceRequest",
        "id": "s",
        "status": "active",
        "intent": "order",
        "code": concept((SCT, "183524004")),
        "authoredOn": when,
    }
    assert due("depression-adult", screen("428181000124104"), plan).status == status


@pytest.mark.parametrize(("value", "status"), [(0, "up-to-date"), (1, "overdue")])
def test_item_9_above_nought_is_for_the_same_day(value: int, status: str) -> None:
    item = observation("44260-8", str(TODAY), value, "{score}")
    assert due("suicide-risk", item).status == status
    assert due("suicide-risk").status == "not-applicable"


def test_a_failed_follow_up_closes_nothing() -> None:
    positive = observation("29771-3", "2026-05-01", words="Positive")
    failed = procedure(SCT, "73761001", "2026-06-01", outcome="Incomplete")
    assert due("colorectal", positive, failed).why["follow_up"] is True


@pytest.mark.parametrize(
    ("flag", "status"), [("POS", "due"), ("NEG", "up-to-date"), ("A", "due"), ("IND", "cannot-tell")]
)
def test_an_interpretation_is_a_result(flag: str, status: str) -> None:
    one = observation("29771-3", "2026-10-01") | {"interpretation": [{"coding": [{"code": flag}]}]}
    assert due("colorectal", one).status == status


@pytest.mark.parametrize(
    ("value", "status"),
    [("18.4", "overdue"), ("18.5", "up-to-date"), ("24.9", "up-to-date"), ("25", "overdue")],
)
def test_a_weight_outside_the_normal_needs_a_plan(value: str, status: str) -> None:
    assert due("bmi", observation("39156-5", "2026-08-01", Decimal(value), "kg/m2")).status == status


def test_a_question_without_an_answer_was_not_asked() -> None:
    absent = observation("72166-2", "2026-10-01") | {"dataAbsentReason": concept(("x", "asked-declined"))}
    answer = due("tobacco", absent)
    assert answer.status == "overdue"
    assert answer.why["unused"][0]["reason"] == "no result"


def test_an_order_is_not_the_test() -> None:
    order = {
        "resourceType": "ServiceRequest",
        "id": "o",
        "status": "active",
        "intent": "order",
        "code": concept((SCT, "73761001")),
        "authoredOn": "2026-10-01",
    }
    assert due("colorectal", order).status == "overdue"


def test_a_retinal_examination_with_disease_waits_for_the_ophthalmologist() -> None:
    sick = observation("71490-7", "2026-10-01") | {"valueCodeableConcept": concept((LOINC, "LA18648-8"))}
    well = observation("71490-7", "2026-10-01") | {"valueCodeableConcept": concept((LOINC, "LA18643-9"))}
    diabetes = condition((ICD, "E11.9"))
    assert due("eye-diabetes", diabetes, sick).why.get("follow_up") is True
    assert due("eye-diabetes", diabetes, well).status == "up-to-date"
    assert (
        due("eye-diabetes", diabetes, report("71490-7", "2026-10-01"), who=patient("1930-01-01")).status
        == "up-to-date"
    )
