"""BMI, ideal weight and corrected age."""

from __future__ import annotations

from datetime import date
from decimal import Decimal

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from commonchart.care.calculators.body import bmi, corrected_age, ideal_weight_kg
from tests.care.calculators.given import n


@pytest.mark.parametrize(
    ("weight", "height"),
    [
        (n(70, "kg"), n(175, "cm")),
        (n(70000, "g"), n("1.75", "m")),
        (n("154.3236", "[lb_av]"), n("68.8976", "[in_i]")),
    ],
)
def test_the_same_person_in_any_listed_unit(weight, height) -> None:
    assert bmi(weight, height).value == Decimal("22.9")


def test_what_is_missing_is_named() -> None:
    assert bmi(n(70, "kg"), None).text == "cannot compute: missing height"
    assert bmi(None, None).text == "cannot compute: missing weight, height"


def test_a_value_without_a_known_unit_is_not_guessed() -> None:
    assert bmi(n(70), n(175, "cm")).text == "cannot compute: weight has no unit, kg is needed"
    assert "unit stone" in bmi(n(11, "stone"), n(175, "cm")).problem


def test_an_implausible_value_is_refused() -> None:
    assert "implausible" in bmi(n(70, "kg"), n("1.75", "cm")).problem


def test_the_inputs_name_their_records_and_days() -> None:
    used = bmi(n(70, "kg", "Observation/w"), n(175, "cm", "Observation/h")).inputs
    assert [(u.name, u.given.ref, u.given.day) for u in used] == [
        ("weight", "Observation/w", date(2026, 11, 1)),
        ("height", "Observation/h", date(2026, 11, 1)),
    ]


@settings(deadline=None)
@given(st.integers(30, 200), st.integers(30, 200), st.integers(140, 200))
def test_more_weight_is_never_a_lower_bmi(a: int, b: int, cm: int) -> None:
    low, high = sorted((a, b))
    less, more = bmi(n(low, "kg"), n(cm, "cm")).value, bmi(n(high, "kg"), n(cm, "cm")).value
    assert less is not None
    assert more is not None
    assert less <= more


def test_ideal_weight_at_sixty_inches() -> None:
    assert ideal_weight_kg(152.4, "male") == pytest.approx(50)
    assert ideal_weight_kg(162.56, "female") == pytest.approx(45.5 + 4 * 2.3)


def test_an_infant_born_at_28_weeks_is_12_weeks_younger() -> None:
    found = corrected_age(date(2026, 1, 1), date(2026, 6, 1), 28 * 7)
    assert (found.days, found.corrected) == (151 - 84, True)
    assert found.why == "corrected for birth at 28+0 weeks"


def test_no_correction_at_37_weeks_nor_after_24_months() -> None:
    assert corrected_age(date(2026, 1, 1), date(2026, 6, 1), 37 * 7).days == 151
    assert not corrected_age(date(2023, 1, 1), date(2026, 1, 1), 28 * 7).corrected
    assert corrected_age(date(2026, 1, 1), date(2026, 1, 10), 28 * 7).days == 0


def test_unknown_gestation_is_said() -> None:
    assert "not recorded" in corrected_age(date(2026, 1, 1), date(2026, 6, 1), None).why
