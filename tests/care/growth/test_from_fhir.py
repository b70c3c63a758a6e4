"""Measurements out of resources."""

from __future__ import annotations

from datetime import date
from decimal import Decimal
from typing import Any

from commonchart.care.growth.from_fhir import growth

ON = date(2026, 11, 25)
BABY = {"resourceType": "Patient", "id": "b", "birthDate": "2026-01-01", "gender": "female"}


def _seen(loinc: str, value: str, unit: str, when: str = "2026-07-01", **more: Any) -> dict[str, Any]:
    return {
        "resourceType": "Observation", "id": f"{loinc}-{when}-{value}", "status": "final", "effectiveDateTime": when,
        "code": {"coding": [{"system": "http://loinc.org", "code": loinc}]},
        "valueQuantity": {"value": Decimal(value), "code": unit},
    } | more  # fmt: skip


def test_every_measure_of_one_day() -> None:
    found = growth(
        BABY, [_seen("29463-7", "7.2", "kg"), _seen("8306-3", "66", "cm"), _seen("9843-4", "42", "cm")], ON
    ).measures
    assert {name: len(points) for name, points in found.items()} == {
        "weight": 1, "length": 1, "head": 1, "bmi": 1, "weight-for-length": 1,
    }  # fmt: skip
    assert all(points[0].percentile is not None for points in found.values())
    assert found["bmi"][0].value == 16.5
    assert found["weight-for-length"][0].at == 66


def test_equal_values_of_two_sources_count_once_and_errors_not_at_all() -> None:
    twice = [_seen("29463-7", "7.2", "kg"), _seen("3141-9", "7.2", "kg")]
    wrong = _seen("29463-7", "9", "kg", status="entered-in-error")
    later = _seen("29463-7", "9", "kg", "2026-12-01")
    assert [one.value for one in growth(BABY, [*twice, wrong, later], ON).measures["weight"]] == [7.2]


def test_gestation_corrects_the_age() -> None:
    early = growth(BABY, [_seen("29463-7", "5.5", "kg"), _seen("76516-4", "28", "wk", "2026-01-01")], ON)
    assert early.child.gestation_days == 196
    assert early.measures["weight"][0].notes == ("corrected for birth at 28+0 weeks",)
    assert growth(BABY, [_seen("76516-4", "28", "mo", "2026-01-01")], ON).child.gestation_days is None


def test_a_child_without_a_sex_is_refused_with_the_reason() -> None:
    nobody = {k: v for k, v in BABY.items() if k != "gender"}
    assert "missing sex" in growth(nobody, [_seen("29463-7", "7", "kg")], ON).measures["weight"][0].text
