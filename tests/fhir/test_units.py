"""UCUM: what is a unit, what can be compared, and that conversion goes both ways."""

from __future__ import annotations

from decimal import Decimal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from commonchart.fhir.units import comparable, convert, valid

MASSES = ["kg", "g", "mg", "[lb_av]", "[oz_av]"]


@pytest.mark.parametrize(
    ("value", "source", "target", "expected"),
    [
        ("1", "[lb_av]", "kg", "0.45359237"),
        ("37", "Cel", "[degF]", "98.6"),
        ("5", "mmol/L", "mol/m3", "5"),
        ("1", "wk", "d", "7"),
        ("1.10", "mg", "mg", "1.10"),
    ],
)
def test_known_conversions(value: str, source: str, target: str, expected: str) -> None:
    found = convert(Decimal(value), source, target)
    assert found is not None
    assert abs(found - Decimal(expected)) < Decimal("1e-9")


def test_what_cannot_be_compared() -> None:
    assert convert(Decimal(1), "kg", "m") is None
    assert not comparable("[iU]", "1")
    assert comparable("mm[Hg]", "kPa")


@given(st.decimals(1, 1000, places=2), st.sampled_from(MASSES), st.sampled_from(MASSES))
def test_there_and_back(value: Decimal, source: str, target: str) -> None:
    there = convert(value, source, target)
    assert there is not None
    back = convert(there, target, source)
    assert back is not None
    assert abs(back - value) < Decimal("1e-8") * value


@given(st.text(max_size=20))
def test_nonsense_is_no_unit_and_no_error(code: str) -> None:
    valid(code)
    assert convert(Decimal(1), code, "kg") is None or comparable(code, "kg")


def test_known_codes() -> None:
    assert all(valid(code) for code in ("mg/dL", "10*3/uL", "{score}", "%", "/min", "[pH]", "1"))
    assert not any(valid(code) for code in ("", "blob", "mg//dL", "m" * 200, "m g"))
