"""One list of what needs attention; direction against the target; months in range."""

from __future__ import annotations

from datetime import date
from decimal import Decimal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from commonchart.care.accuracy import Measured, series
from commonchart.care.facts import evidence
from commonchart.care.monitoring import Limits
from commonchart.care.rules import built_in
from commonchart.care.trends import attention, control, trend
from tests.care.cases import DIABETES, ICD, condition, every, observation, pressure

TARGET = Limits(below=Decimal(7))
START, END = date(2025, 1, 1), date(2026, 11, 18)


def sugars(*values: tuple[str, str]) -> list[Measured]:
    facts = evidence([observation("4548-4", day, Decimal(value), "%") for day, value in values]).facts
    return series(built_in(), "a1c", facts)


def test_attention_is_one_list_with_alerts_first() -> None:
    due = every(
        condition(DIABETES, since="2014-01-01"), condition((ICD, "I10"), since="2014-01-01"),
        observation("4548-4", "2026-11-01", Decimal("9.5"), "%"), pressure(150, 80, "2026-11-10"),
    )  # fmt: skip
    found = attention(due)
    assert found[0].rule == "a1c"
    assert [one.within for one in found[:2]] == ["alert", "out"]
    assert {"egfr", "uacr", "eye-diabetes"} <= {one.rule for one in found}
    assert all(one.kind == "monitoring" for one in found)


@pytest.mark.parametrize(
    ("values", "way"),
    [(("9.0", "8.5", "8.0"), "better"), (("7.2", "7.8", "8.6"), "worse"), (("6.0", "6.4", "6.8"), "steady"), (("8.0", "8.0", "8.0"), "steady")],
)  # fmt: skip
def test_a_trend_is_seen_from_the_target(values: tuple[str, ...], way: str) -> None:
    days = ("2025-02-01", "2025-08-01", "2026-02-01")
    found = trend(sugars(*zip(days, values, strict=True)), TARGET, START, END)
    assert found is not None
    assert (found.way, found.count, found.first, found.last) == (
        way,
        3,
        Decimal(values[0]),
        Decimal(values[-1]),
    )


def test_a_trend_says_how_much_a_year() -> None:
    found = trend(sugars(("2025-01-01", "7"), ("2025-07-02", "7.5"), ("2026-01-01", "8")), TARGET, START, END)
    assert found is not None
    assert abs(found.per_year - 1) < Decimal("0.01")


def test_two_values_are_no_trend() -> None:
    assert trend(sugars(("2025-01-01", "7"), ("2025-07-02", "7.5")), TARGET, START, END) is None


def test_control_is_the_share_of_known_months_in_range() -> None:
    found = sugars(("2025-01-10", "6.5"), ("2025-04-10", "8.0"), ("2025-05-10", "6.9"))
    months = control(found, TARGET, date(2025, 1, 1), 12, holds=2)
    assert (months.inside, months.outside, months.unknown) == (6, 1, 5)
    assert months.share == Decimal(6) / 7
    assert control([], TARGET, date(2025, 1, 1), 12, holds=2).share is None


@given(
    st.lists(st.tuples(st.dates(START, END).map(str), st.integers(4, 14).map(str)), max_size=12),
    st.integers(0, 6),
)
def test_every_month_is_in_out_or_not_known(values: list[tuple[str, str]], holds: int) -> None:
    months = control(sugars(*values), TARGET, START, 20, holds=holds)
    assert months.inside + months.outside + months.unknown == 20
    longer = control(sugars(*values), TARGET, START, 20, holds=holds + 1)
    assert longer.unknown <= months.unknown
