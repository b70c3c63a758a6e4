"""Morphine milligram equivalents, against the examples of CDC's table."""

from __future__ import annotations

from decimal import Decimal

from hypothesis import given, settings
from hypothesis import strategies as st

from commonchart.care.calculators.opioids import FACTORS, Opioid, mme
from tests.care.calculators.given import n


def test_the_examples_of_the_guideline() -> None:
    assert mme([Opioid("hydrocodone", n(20, "mg/d"))]).value == 20
    assert mme([Opioid("oxycodone", n(20, "mg/d"))]).value == 30


def test_a_patch_by_its_rate() -> None:
    assert mme([Opioid("fentanyl", n(25, "ug/h"), "transdermal")]).value == 60


def test_everything_is_added() -> None:
    both = [Opioid("oxycodone", n(40, "mg/d")), Opioid("tramadol", n(200, "mg/d"))]
    assert mme(both).value == 100


def test_one_unknown_stops_the_sum() -> None:
    found = mme([Opioid("morphine", n(30, "mg/d")), Opioid("oxycodone", None)])
    assert found.text == "cannot compute: missing daily dose of oxycodone"
    assert "no factor for buprenorphine" in mme([Opioid("buprenorphine", n(8, "mg/d"))]).problem
    assert (
        "no factor for morphine by the intravenous route"
        in mme([Opioid("morphine", n(8, "mg/d"), "intravenous")]).problem
    )


def test_as_needed_is_counted_and_said() -> None:
    assert mme([Opioid("codeine", n(100, "mg/d"), as_needed=True)]).notes


def test_none_is_zero() -> None:
    assert mme([]).value == 0


@settings(deadline=None)
@given(st.sampled_from(sorted(FACTORS)), st.integers(1, 400))
def test_twice_the_dose_is_twice_the_equivalent(name: str, mg: int) -> None:
    one, two = (mme([Opioid(name, n(x, "mg/d"))]).value for x in (mg, 2 * mg))
    assert one is not None
    assert two is not None
    assert abs(two - 2 * one) <= Decimal("0.1")
