"""CHA2DS2-VASc, pooled cohort equations and PREVENT, against the examples their authors published."""

from __future__ import annotations

from decimal import Decimal

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from commonchart.care.calculators.heart import cha2ds2_vasc, pooled_cohort, prevent_ascvd, prevent_cvd
from commonchart.care.calculators.sheet import Given
from tests.care.calculators.given import FEMALE, MALE, NO, ON, YES, born, n

_NONE = dict.fromkeys(("heart failure", "hypertension", "diabetes", "stroke", "vascular disease"), NO)


def _facts(total=213, hdl=50, systolic=120, egfr=90, **flags):
    numbers = {
        "total cholesterol": n(total, "mg/dL"), "hdl": n(hdl, "mg/dL"), "systolic": n(systolic, "mm[Hg]"),
        "egfr": n(egfr, "mL/min/{1.73_m2}"),
    }  # fmt: skip
    names = ("ascvd", "blood pressure treated", "diabetes", "smoker", "statin")
    return numbers | {name: Given(flags.get(name.replace(" ", "_"), False)) for name in names}


@pytest.mark.parametrize(
    ("sex", "race", "expected"),
    [(FEMALE, "white", "2.1"), (FEMALE, "black", "3.0"), (MALE, "white", "5.3"), (MALE, "black", "6.1")],
)
def test_the_example_of_the_2013_guideline(sex, race, expected) -> None:
    """Goff 2014, appendix 7: age 55, total cholesterol 213, HDL 50, untreated 120, no diabetes, no smoking.

    The appendix rounds each sum to two decimals before the last step: hence a tenth of a point.
    """
    found = pooled_cohort(_facts(), sex, Given(race), born(55), ON).value
    assert found is not None
    assert abs(found - Decimal(expected)) <= Decimal("0.1")


def test_the_example_of_prevent() -> None:
    """Woman of 50, 160 treated, cholesterol 200, HDL 45, diabetes, eGFR 90: 14.7 % and 9.2 % (supplement of Khan 2024)."""
    facts = _facts(200, 45, 160, 90, diabetes=True, blood_pressure_treated=True)
    assert prevent_cvd(facts, FEMALE, born(50), ON).value == Decimal("14.7")
    assert prevent_ascvd(facts, FEMALE, born(50), ON).value == Decimal("9.2")


def test_race_is_asked_for_where_the_equation_uses_it() -> None:
    assert "missing race" in pooled_cohort(_facts(), MALE, None, born(55), ON).problem


@pytest.mark.parametrize("age", [39, 80])
def test_outside_the_ages(age) -> None:
    assert "age 40 to 79" in pooled_cohort(_facts(), MALE, Given("white"), born(age), ON).problem


def test_not_for_people_who_have_the_disease() -> None:
    assert "without cardiovascular disease" in prevent_cvd(_facts(ascvd=True), MALE, born(55), ON).problem


def test_unknown_is_not_no() -> None:
    facts = {k: v for k, v in _facts().items() if k not in ("smoker", "statin")}
    found = prevent_cvd(facts, MALE, born(55), ON)
    assert found.value is None
    assert "missing whether a current smoker, whether on a statin" in found.problem


@settings(deadline=None)
@given(
    st.integers(30, 79), st.integers(130, 320), st.integers(20, 100), st.integers(90, 200), st.integers(15, 140),
    st.sampled_from([FEMALE, MALE]), st.booleans(), st.booleans(),
)  # fmt: skip
def test_prevent_is_a_percentage_and_ascvd_a_part_of_it(
    age, total, hdl, sbp, egfr, sex, smoker, diabetes
) -> None:
    facts = _facts(total, hdl, sbp, egfr, smoker=smoker, diabetes=diabetes)
    whole, part = prevent_cvd(facts, sex, born(age), ON).value, prevent_ascvd(facts, sex, born(age), ON).value
    assert whole is not None
    assert part is not None
    assert 0 <= part <= 100
    assert 0 <= whole <= 100


@settings(deadline=None)
@given(st.integers(30, 79), st.integers(110, 199), st.sampled_from([FEMALE, MALE]))
def test_smoking_never_lowers_the_risk(age, sbp, sex) -> None:
    without, smoking = (
        prevent_cvd(_facts(systolic=sbp, smoker=s), sex, born(age), ON).value for s in (False, True)
    )
    assert without is not None
    assert smoking is not None
    assert smoking >= without


@settings(deadline=None)
@given(st.integers(40, 79), st.integers(90, 199), st.sampled_from(["white", "black"]))
def test_a_higher_pressure_never_lowers_the_pooled_risk_of_men(age, sbp, race) -> None:
    low, high = (
        pooled_cohort(_facts(systolic=s), MALE, Given(race), born(age), ON).value for s in (sbp, sbp + 1)
    )
    assert low is not None
    assert high is not None
    assert high >= low


def test_cha2ds2_vasc_points() -> None:
    assert cha2ds2_vasc(_NONE, MALE, born(50), ON).value == 0
    assert cha2ds2_vasc(_NONE, FEMALE, born(65), ON).value == 2
    assert cha2ds2_vasc(_NONE | {"stroke": YES}, MALE, born(75), ON).value == 4
    assert cha2ds2_vasc(dict.fromkeys(_NONE, YES), FEMALE, born(80), ON).value == 9


def test_cha2ds2_vasc_needs_each_fact() -> None:
    assert (
        "missing stroke"
        in cha2ds2_vasc({k: v for k, v in _NONE.items() if k != "stroke"}, MALE, born(50), ON).problem
    )
