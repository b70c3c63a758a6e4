"""MELD 3.0 and FIB-4."""

from __future__ import annotations

from decimal import Decimal

from hypothesis import given, settings
from hypothesis import strategies as st

from commonchart.care.calculators.liver import fib4, meld
from tests.care.calculators.given import FEMALE, MALE, NO, ON, YES, born, n


def _meld(bili=1, inr=1, creatinine=1, sodium=137, albumin="3.5", sex=MALE, dialysis=NO):
    return meld(
        n(bili, "mg/dL"), n(inr), n(creatinine, "mg/dL"), n(sodium, "mmol/L"), n(albumin, "g/dL"), sex, dialysis,
        born(50), ON,
    )  # fmt: skip


def test_the_floor_is_six_and_women_get_a_third_more_than_a_point() -> None:
    assert _meld().value == 6
    assert _meld(sex=FEMALE).value == 7  # 6 + 1.33


def test_values_worked_by_hand() -> None:
    # 4.56 ln 4 + 0.82*7 - 0.24*7 ln 4 + 9.09 ln 2 + 11.14 ln 1.5 + 1.85*1 - 1.83*1*ln 1.5 + 6 = 27.7
    assert _meld(4, 2, "1.5", 130, "2.5").value == 28
    assert _meld(4, 2, "1.5", 130, "2.5", FEMALE).value == 29


def test_limits_of_each_input() -> None:
    assert _meld(creatinine=9).value == _meld(creatinine=3).value
    assert _meld(sodium=110).value == _meld(sodium=125).value
    assert _meld(bili="0.2").value == _meld(bili=1).value


def test_dialysis_counts_as_creatinine_three() -> None:
    assert _meld(dialysis=YES).value == _meld(creatinine=3).value


def test_whether_on_dialysis_must_be_known() -> None:
    assert "missing whether on dialysis" in _meld(dialysis=None).problem


@settings(deadline=None)
@given(
    st.floats(0.1, 60), st.floats(0.6, 15), st.floats(0.1, 15), st.integers(100, 160), st.floats(1, 5),
    st.sampled_from([FEMALE, MALE]),
)  # fmt: skip
def test_always_from_6_to_40(bili, inr, creatinine, sodium, albumin, sex) -> None:
    value = _meld(round(bili, 2), round(inr, 2), round(creatinine, 2), sodium, round(albumin, 2), sex).value
    assert value is not None
    assert 6 <= value <= 40


def test_fib4() -> None:
    # 50 * 80 / (120 * sqrt(64)) = 4.17
    assert fib4(n(80, "U/L"), n(64, "U/L"), n(120, "10*9/L"), born(50), ON).value == Decimal("4.17")
    assert fib4(n(80, "U/L"), n(64, "U/L"), n(120, "10*3/uL"), born(50), ON).value == Decimal("4.17")
    assert fib4(n(80, "U/L"), None, n(120, "10*9/L"), born(50), ON).text == "cannot compute: missing ALT"


def test_fib4_says_where_it_is_weaker() -> None:
    assert fib4(n(30, "U/L"), n(30, "U/L"), n(200, "10*9/L"), born(70), ON).notes
    assert not fib4(n(30, "U/L"), n(30, "U/L"), n(200, "10*9/L"), born(60), ON).notes
