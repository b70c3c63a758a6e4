"""Units: only an analyte's own factors convert (clinical corrections, units)."""

from __future__ import annotations

from decimal import Decimal

import pytest

from commonchart.care.accuracy import measured
from commonchart.care.evidence import Fact
from commonchart.care.rules import built_in


def _fact(value: str, unit: str) -> Fact:
    return Fact(
        "observation", frozenset(), "A test", None, "", "Observation/1", value=Decimal(value), unit=unit
    )


@pytest.mark.parametrize(
    ("analyte", "value", "unit", "expected"),
    [
        ("a1c", "53", "mmol/mol", "7.0"),
        ("a1c", "7.0", "%", "7.0"),
        ("uacr", "3.4", "mg/mmol", "30.1"),
        ("ldl", "2.6", "mmol/L", "100.5"),
        ("systolic", "120", "mmHg", "120.0"),
        ("egfr", "60", "mL/min/1.73.m2", "60.0"),
    ],
)
def test_known_units_convert_by_the_analytes_own_factor(
    analyte: str, value: str, unit: str, expected: str
) -> None:
    found = measured(built_in().analytes[analyte], _fact(value, unit))
    assert found.value is not None
    assert found.value.quantize(Decimal("0.1")) == Decimal(expected)


@pytest.mark.parametrize(
    ("analyte", "unit"),
    [("a1c", "mmol/L"), ("a1c", ""), ("egfr", "mL/min"), ("uacr", "mg/L"), ("ldl", "g/L")],
)
def test_other_units_are_a_problem_with_a_name(analyte: str, unit: str) -> None:
    found = measured(built_in().analytes[analyte], _fact("7", unit))
    assert found.value is None
    assert "unit" in found.problem


@pytest.mark.parametrize(
    ("analyte", "value", "unit"),
    [("a1c", "84", "%"), ("systolic", "400", "mm[Hg]"), ("diastolic", "5", "mm[Hg]")],
)
def test_what_no_living_person_has_is_implausible(analyte: str, value: str, unit: str) -> None:
    assert "implausible" in measured(built_in().analytes[analyte], _fact(value, unit)).problem
