"""A FHIR date stands for an interval: partial dates are long ones, and finer dates lie inside coarser ones."""

from datetime import UTC, datetime, timedelta
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from commonchart.fhir.dates import MAX, MIN, bounds, instant, period_bounds
from commonchart.fhir.outcome import Invalid

ZONES = st.sampled_from(["", "Z", "+00:00", "-05:00", "+05:30", "+14:00", "-12:00"])
MOMENTS = st.datetimes(datetime(1, 1, 3), datetime(9999, 12, 29))


def spellings(moment: datetime, zone: str) -> list[str]:
    """One moment from the coarsest to the finest precision."""
    day = moment.isoformat()[:10]
    clock = moment.isoformat(timespec="microseconds")[10:]
    dates = [day[:4], day[:7], day]
    return dates + [day + clock[:n] + zone for n in (6, 9, 11, 13, 16)]


def utc(*parts: int) -> datetime:
    return datetime(*parts, tzinfo=UTC)  # type: ignore[misc,arg-type]


@given(MOMENTS, st.sampled_from(["", "Z", "+00:00"]))
def test_finer_dates_lie_inside_coarser_ones(moment: datetime, zone: str) -> None:
    intervals = [bounds(text) for text in spellings(moment, zone)]
    for (lo, hi), (finer_lo, finer_hi) in pairwise(intervals):
        assert lo <= finer_lo < finer_hi <= hi


@given(st.datetimes(datetime(1, 1, 1), datetime(9999, 12, 31, 23, 59, 59, 999999)), ZONES)
def test_every_interval_has_a_length_or_is_refused(moment: datetime, zone: str) -> None:
    for text in spellings(moment, zone):
        try:
            lo, hi = bounds(text)
        except Invalid:
            assert zone not in ("", "Z", "+00:00")
            assert moment.year in (1, 9999)
            continue
        assert MIN <= lo < hi <= MAX
        assert lo.tzinfo is hi.tzinfo is UTC


@given(MOMENTS, ZONES)
def test_a_moment_lies_in_its_interval(moment: datetime, zone: str) -> None:
    text = moment.isoformat(timespec="microseconds") + zone
    known = datetime.fromisoformat(text if zone else text + "Z").astimezone(UTC)
    lo, hi = bounds(text)
    assert lo == known
    assert hi == known + timedelta(microseconds=1)


@given(MOMENTS, MOMENTS)
def test_order_is_kept(one: datetime, other: datetime) -> None:
    first, second = sorted((one, other))
    for a, b in zip(spellings(first, "Z"), spellings(second, "Z"), strict=True):
        assert bounds(a)[0] <= bounds(b)[0]


@pytest.mark.parametrize(
    ("text", "lo", "hi"),
    [
        ("1985", utc(1985, 1, 1), utc(1986, 1, 1)),
        ("1985-12", utc(1985, 12, 1), utc(1986, 1, 1)),
        ("2024-02", utc(2024, 2, 1), utc(2024, 3, 1)),
        ("2024-02-29", utc(2024, 2, 29), utc(2024, 3, 1)),
        ("2024-02-29T12:30", utc(2024, 2, 29, 12, 30), utc(2024, 2, 29, 12, 31)),
        ("2024-02-29T12:30:15Z", utc(2024, 2, 29, 12, 30, 15), utc(2024, 2, 29, 12, 30, 16)),
        ("2024-02-29T12:30:15-05:00", utc(2024, 2, 29, 17, 30, 15), utc(2024, 2, 29, 17, 30, 16)),
        ("2024-03-01T00:30:00+05:30", utc(2024, 2, 29, 19, 0), utc(2024, 2, 29, 19, 0, 1)),
        ("2024-01-01T00:00:00.5Z", utc(2024, 1, 1, 0, 0, 0, 500000), utc(2024, 1, 1, 0, 0, 0, 600000)),
        (
            "2024-01-01T00:00:00.123456789Z",
            utc(2024, 1, 1, 0, 0, 0, 123456),
            utc(2024, 1, 1, 0, 0, 0, 123457),
        ),
        ("2016-12-31T23:59:60Z", utc(2016, 12, 31, 23, 59, 59), utc(2017, 1, 1)),
        ("9999", utc(9999, 1, 1), MAX),
        ("9999-12", utc(9999, 12, 1), MAX),
        ("9999-12-31", utc(9999, 12, 31), MAX),
        ("0001", MIN, utc(2, 1, 1)),
    ],
)
def test_what_a_date_stands_for(text: str, lo: datetime, hi: datetime) -> None:
    assert bounds(text) == (lo, hi)


@pytest.mark.parametrize(
    "text",
    [
        "",
        "85",
        "0000",
        "0000-01-01",
        "2024-13",
        "2024-00",
        "2023-02-29",
        "2024-2-9",
        "2024-02-30",
        "2024-02-29T",
        "2024-02-29T12",
        "2024-02-29 12:30:00Z",
        "2024-02-29T24:00:00Z",
        "2024-02-29T12:60:00Z",
        "2024-02-29T12:30:61Z",
        "2024-02-29T12:30:00.Z",
        "2024-02-29T12:30:00z",
        "2024-02-29T12:30:00+14:30",
        "2024-02-29T12:30:00+05:75",
        "2024-02-29T12:30:00+0530",
        "2024-02-29Z",
        "20240229",
        "02/29/2024",
        "today",
        " 2024",
        "2024\n",
        "٢٠٢٤",
        "2024-01-01T00:00:00." + "1" * 100 + "Z",
    ],
)
def test_what_is_no_date_is_refused(text: str) -> None:
    with pytest.raises(Invalid):
        bounds(text)


@given(st.text(max_size=30))
def test_any_text_is_a_date_or_a_refusal(text: str) -> None:
    try:
        lo, hi = bounds(text)
    except Invalid:
        return
    assert lo < hi


def test_a_period_may_be_open() -> None:
    assert period_bounds({}) == (MIN, MAX)
    assert period_bounds({"start": "2024"}) == (utc(2024, 1, 1), MAX)
    assert period_bounds({"end": "2024"}) == (MIN, utc(2025, 1, 1))
    assert period_bounds({"start": "2024-01-15", "end": "2024-01-15"}) == (utc(2024, 1, 15), utc(2024, 1, 16))


def test_an_instant_is_written_in_utc_to_the_millisecond() -> None:
    assert instant(utc(2026, 11, 18, 10)) == "2026-11-18T10:00:00.000Z"
    assert instant(datetime.fromisoformat("2026-11-18T10:00:00.123999+02:00")) == "2026-11-18T08:00:00.123Z"


@given(MOMENTS)
def test_an_instant_reads_back(moment: datetime) -> None:
    aware = moment.replace(tzinfo=UTC, microsecond=moment.microsecond // 1000 * 1000)
    assert bounds(instant(aware))[0] == aware
