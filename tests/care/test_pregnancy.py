"""A pregnancy is an episode; its end stops every reminder at once; one without an end is asked about."""

from __future__ import annotations

from datetime import date, timedelta
from typing import Any

import pytest

from tests.care.cases import ICD, SCT, TODAY, condition, due, every, observation, patient, procedure

WHO = patient("1996-05-10")


def due_date(day: date, said: str = "2026-08-01") -> dict[str, Any]:
    return observation("11778-8", said) | {"valueDateTime": str(day)}


def pregnant(weeks: int, since: str = "2026-08-01") -> list[dict[str, Any]]:
    """Pregnant, with so many completed weeks today."""
    return [
        condition((SCT, "77386006"), since=since, text="Pregnancy"), due_date(TODAY + timedelta(days=280 - 7 * weeks), since),
    ]  # fmt: skip


@pytest.mark.parametrize(("weeks", "status"), [(23, "not-applicable"), (24, "due"), (30, "overdue")])
def test_the_sugar_test_begins_at_24_weeks(weeks: int, status: str) -> None:
    assert due("glucose-pregnancy", *pregnant(weeks), who=WHO).status == status


def test_a_test_before_its_week_does_not_count() -> None:
    early, late = (
        observation("1504-0", "2026-09-01", 120, "mg/dL"),
        observation("1504-0", "2026-11-15", 120, "mg/dL"),
    )
    assert due("glucose-pregnancy", *pregnant(25), early, who=WHO).status == "due"
    assert due("glucose-pregnancy", *pregnant(25), late, who=WHO).status == "up-to-date"


def test_the_test_of_an_earlier_pregnancy_does_not_count() -> None:
    old = observation("5196-1", "2024-01-01", words="Negative")
    assert due("hepatitis-b-pregnancy", *pregnant(15), old, who=WHO).status == "overdue"
    new = observation("5196-1", "2026-10-01", words="Negative")
    assert due("hepatitis-b-pregnancy", *pregnant(15), new, who=WHO).status == "up-to-date"


@pytest.mark.parametrize("end", [(ICD, "O03.9"), (ICD, "Z33.2"), (SCT, "177184002")])
def test_a_loss_or_a_birth_stops_every_reminder(end: tuple[str, str]) -> None:
    resources = [*pregnant(20), condition(end, since="2026-11-10", text="The end")]
    states = {a.rule: a.status for a in every(*resources, who=WHO)}
    reminders = (
        "glucose-pregnancy",
        "urine-culture-pregnancy",
        "rh-type",
        "blood-pressure-pregnancy",
        "pre-eclampsia-aspirin",
    )
    assert {states[rule] for rule in reminders} == {"not-applicable"}


def test_after_a_birth_comes_the_year_after_it() -> None:
    birth = procedure(SCT, "177184002", "2026-06-01")
    assert due("breastfeeding", birth, who=WHO).status == "overdue"
    assert due("breastfeeding", birth, who=WHO).next_change_on == date(2027, 6, 1)
    assert due("breastfeeding", birth, who=WHO, on=date(2027, 6, 1)).status == "not-applicable"


@pytest.mark.parametrize(("days", "status"), [(45 * 7 - 1, "overdue"), (45 * 7, "cannot-tell")])
def test_a_pregnancy_without_an_end_is_asked_about_after_45_weeks(days: int, status: str) -> None:
    begun = TODAY - timedelta(days=days)
    answer = due("rh-type", condition((SCT, "77386006"), since=str(begun)), who=WHO)
    assert answer.status == status
    if status == "cannot-tell":
        assert "ended" in answer.why["question"]


def test_weeks_need_a_due_date() -> None:
    answer = due("glucose-pregnancy", condition((SCT, "77386006"), since="2026-06-01"), who=WHO)
    assert answer.status == "cannot-tell"
    assert "due date" in answer.why["question"]


def test_the_day_of_the_next_week_is_the_next_change() -> None:
    answer = due("glucose-pregnancy", *pregnant(20), who=WHO)
    assert answer.next_change_on == TODAY + timedelta(days=28)


def test_diabetes_screening_waits_for_the_end_of_a_pregnancy() -> None:
    heavy = observation("39156-5", "2026-01-01", 31, "kg/m2")
    older = patient("1988-05-10")
    assert due("diabetes-screen", *pregnant(20), heavy, who=older).status == "excluded"
    assert due("diabetes-screen", heavy, who=older).status == "overdue"
