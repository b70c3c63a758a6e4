"""Kidney function, against values worked by hand from the published equations."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from commonchart.care.calculators.kidney import creatinine_clearance, egfr, egfr_cystatin
from tests.care.calculators.given import FEMALE, MALE, ON, born, n


@pytest.mark.parametrize(
    ("mg_dl", "sex", "age", "expected"),
    [
        ("1.0", MALE, 50, 92),  # 142 * (1.0/0.9)^-1.2 * 0.9938^50
        ("0.9", MALE, 50, 104),  # 142 * 0.9938^50
        ("0.7", FEMALE, 40, 112),  # 142 * 0.9938^40 * 1.012
        ("2.0", FEMALE, 70, 26),  # 142 * (2/0.7)^-1.2 * 0.9938^70 * 1.012
        ("0.5", MALE, 30, 141),  # 142 * (0.5/0.9)^-0.302 * 0.9938^30
    ],
)
def test_ckd_epi_2021(mg_dl, sex, age, expected) -> None:
    assert egfr(n(mg_dl, "mg/dL"), sex, born(age), ON).value == expected


def test_creatinine_in_micromoles() -> None:
    assert egfr(n("88.4", "umol/L"), MALE, born(50), ON).value == 92


def test_missing_and_out_of_range() -> None:
    assert egfr(None, None, None, ON).text == "cannot compute: missing creatinine, sex, date of birth"
    assert (
        "outside the range the formula was made for (age 18 to 120 years)"
        in egfr(n(1, "mg/dL"), MALE, born(10), ON).problem
    )


def test_a_result_with_a_comparator_is_no_number() -> None:
    low = n("0.2", "mg/dL")
    assert (
        "not an exact number"
        in egfr(type(low)(low.value, "mg/dL", comparator="<"), MALE, born(50), ON).problem
    )


def test_cystatin() -> None:
    assert egfr_cystatin(n("0.8", "mg/L"), MALE, born(50), ON).value == 109  # 133 * 0.996^50
    assert egfr_cystatin(n("1.6", "mg/L"), FEMALE, born(60), ON).value == 39


@settings(deadline=None)
@given(st.floats(0.3, 15), st.floats(0.3, 15), st.integers(18, 100), st.sampled_from([FEMALE, MALE]))
def test_more_creatinine_is_never_a_better_kidney(a: float, b: float, age: int, sex) -> None:
    low, high = sorted((round(a, 2), round(b, 2)))
    better, worse = (egfr(n(x, "mg/dL"), sex, born(age), ON).value for x in (low, high))
    assert better is not None
    assert worse is not None
    assert 0 <= worse <= better < 250


@settings(deadline=None)
@given(st.integers(18, 99), st.integers(1, 20))
def test_egfr_falls_with_age(age: int, more: int) -> None:
    young, old = (egfr(n(1, "mg/dL"), MALE, born(a), ON).value for a in (age, min(age + more, 120)))
    assert young is not None
    assert old is not None
    assert old <= young


def test_cockcroft_gault_by_three_weights() -> None:
    # 60-year-old man, 72 kg, creatinine 1.0: (140 - 60) * 72 / 72 = 80
    assert creatinine_clearance(n(1, "mg/dL"), n(72, "kg"), MALE, born(60), ON).value == 80
    assert creatinine_clearance(n(1, "mg/dL"), n(72, "kg"), FEMALE, born(60), ON).value == 68
    heavy = {
        "creatinine": n(1, "mg/dL"),
        "weight": n(120, "kg"),
        "sex": MALE,
        "born": born(60),
        "on": ON,
        "height": n("177.8", "cm"),
    }
    assert creatinine_clearance(**heavy).value == 133
    assert creatinine_clearance(**heavy, by="ideal").value == 81  # ideal 73.0 kg
    assert creatinine_clearance(**heavy, by="adjusted").value == 102  # 73 + 0.4 * 47 = 91.8 kg


def test_ideal_weight_needs_a_height_and_its_range() -> None:
    few = {"creatinine": n(1, "mg/dL"), "weight": n(72, "kg"), "sex": MALE, "born": born(60), "on": ON}
    assert creatinine_clearance(**few, by="ideal").text == "cannot compute: missing height"
    assert "outside the range" in creatinine_clearance(**few, height=n(120, "cm"), by="ideal").problem
