from __future__ import annotations

from datetime import date, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from commonchart.care.immunizations.offsets import FIRST, LAST, Ages, add, in_words, offset
from commonchart.fhir.outcome import Invalid


def plus(day: date, text: str) -> date:
    found = offset(text)
    assert found is not None
    return date.fromordinal(add(day.toordinal(), found))


@pytest.mark.parametrize(
    ("start", "text", "end"),
    [
        (date(2010, 8, 31), "6m", date(2011, 3, 1)),  # CALCDT-5: there is no 31 February
        (date(2020, 2, 29), "1y", date(2021, 3, 1)),
        (date(2020, 2, 29), "4y", date(2024, 2, 29)),
        (date(2020, 1, 31), "1m", date(2020, 3, 1)),
        (date(2020, 12, 31), "2m", date(2021, 3, 1)),
        (date(2020, 11, 30), "3m", date(2021, 3, 1)),
        (date(2020, 8, 31), "1m", date(2020, 10, 1)),
        (date(2020, 2, 29), "12m-4d", date(2021, 2, 25)),
        (date(2000, 5, 10), "13y+4w", date(2013, 6, 7)),
        (date(2000, 5, 10), "16y-4m", date(2016, 1, 10)),
    ],
)
def test_adding(start: date, text: str, end: date) -> None:
    assert plus(start, text) == end


@pytest.mark.parametrize("text", ["18", "y", "1y 2m", "1y--2d", "-1y", "12x", "1.5m", "99999y"])
def test_what_is_no_offset_is_refused(text: str) -> None:
    with pytest.raises(Invalid, match="offset"):
        offset(text)


def test_none_and_words() -> None:
    assert offset("") is None
    assert in_words("18y-4d") == "18 years less 4 days"
    assert in_words("1m+1d") == "1 month and 1 day"


@given(st.dates(), st.integers(-3000, 3000), st.integers(-4000, 4000))
def test_adding_never_leaves_the_calendar_and_never_clamps_to_the_end_of_a_month(
    day: date, months: int, days: int
) -> None:
    found = add(day.toordinal(), (months, days))
    assert FIRST <= found <= LAST
    whole = add(day.toordinal(), (months, 0))
    if FIRST < whole < LAST:
        landed = date.fromordinal(whole)
        assert landed.day == day.day or landed.day == 1
        assert (landed - timedelta(days=1)).day < day.day or landed.day == day.day


@given(st.dates(date(1900, 1, 1), date(2100, 1, 1)), st.integers(0, 1200), st.integers(0, 1200))
def test_more_months_are_never_earlier(day: date, a: int, b: int) -> None:
    ages = Ages(day.toordinal())
    assert (ages[(a, 0)] <= ages[(b, 0)]) or a > b
