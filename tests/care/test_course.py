"""The course of a measurement against the target, as it is shown beside a due item."""

from __future__ import annotations

from decimal import Decimal
from typing import Any

from commonchart.care.course import Course, codes, courses
from commonchart.care.rules import built_in
from tests.care.cases import LOINC, TODAY, concept, observation, patient, pressure
from tests.care.test_plans import goal

PACK = built_in()


def course(rule: str, *held: dict[str, Any]) -> list[Course]:
    return courses(PACK.by_id[rule], PACK, patient(), held, TODAY)


def sugar(when: str, value: str, **more: Any) -> dict[str, Any]:
    return observation("4548-4", when, Decimal(value), "%") | more


def test_months_in_range_follow_the_last_value_and_stop_where_it_is_too_old() -> None:
    (one,) = course("a1c", sugar("2025-11-01", "6.5"), sugar("2026-03-01", "7.5"))
    assert (one.control.inside, one.control.outside, one.control.unknown) == (3, 7, 2)
    assert one.target == "< 7.0"
    (known,) = course("a1c", sugar("2024-01-01", "6.5"))
    assert known.control.unknown == 12
    assert known.control.share is None


def test_the_patients_own_target_decides_and_is_named() -> None:
    held = [sugar(f"2026-{month:02}-01", "7.5") for month in range(1, 11)]
    (one,) = course("a1c", *held, goal("4548-4", detailQuantity={"value": 8, "comparator": "<", "code": "%"}))
    assert one.control.outside == 0
    assert one.limits.goal is not None
    assert {reading.inside for reading in one.readings} == {True}


def test_what_does_not_count_is_listed_with_its_reason_and_drawn_nowhere() -> None:
    (one,) = course("a1c", sugar("2026-10-01", "6.5"), sugar("2026-11-02", "84", status="entered-in-error"))
    assert [(reading.value is None, reading.words) for reading in one.readings] == [
        (True, "entered in error"),
        (False, ""),
    ]
    assert one.trend is None


def test_another_unit_is_shown_in_the_unit_of_the_target() -> None:
    (one,) = course("a1c", observation("4548-4", "2026-10-01", Decimal(53), "mmol/mol"))
    assert round(one.readings[0].value or Decimal(0), 1) == Decimal("7.0")


def test_blood_pressure_has_two_courses_out_of_one_panel() -> None:
    top, bottom = course("blood-pressure", pressure(146, 88), pressure(128, 76, "2026-07-01"))
    assert [reading.value for reading in top.readings] == [146, 128]
    assert [reading.inside for reading in bottom.readings] == [False, True]
    assert f"{LOINC}|85354-9" in codes(PACK.by_id["blood-pressure"], PACK)


def test_a_rule_that_watches_no_number_has_no_course() -> None:
    assert (
        course(
            "colorectal",
            {"resourceType": "Goal", "id": "g", "target": [{"measure": concept((LOINC, "1-1"))}]},
        )
        == []
    )
    assert codes(PACK.by_id["colorectal"], PACK) == []
