"""Windows and words of the definitions."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from commonchart.fhir.outcome import Invalid, NotFound
from commonchart.measures.catalogue import MEASURES, measure_id, measure_of, vocabulary
from commonchart.measures.criteria import FINAL, Age, LastSays, Seek, When, months_on
from commonchart.measures.evidence import facts
from commonchart.measures.period import period
from commonchart.measures.value_sets import ValueSets
from tests.measures.patients import YEAR_2026, chart, condition, done, number, observed, ordered, visit, woman

MOMENTS = st.datetimes(datetime(1950, 1, 1), datetime(2150, 1, 1), timezones=st.just(UTC))
PARTS = st.sampled_from(["start", "end", "latest", "whole", "any"])


@given(MOMENTS, st.integers(-1200, 1200))
def test_months_on_and_back_is_the_same_day_unless_the_month_is_shorter(
    moment: datetime, months: int
) -> None:
    there = months_on(moment, months)
    assert (there.year - moment.year) * 12 + there.month - moment.month == months
    back = months_on(there, -months)
    assert (back.year, back.month) == (moment.year, moment.month)
    assert back.day <= moment.day
    assert back.day == moment.day or moment.day > 28


@given(MOMENTS, st.integers(0, 400), st.integers(0, 120), PARTS)
def test_what_lies_whole_in_a_window_lies_in_it_by_every_part(
    start: datetime, days: int, months: int, part: str
) -> None:
    spell = {"start": start.isoformat(), "end": (start + timedelta(days=days)).isoformat()}
    fact = facts([done("x", "", performedPeriod=spell)])[0]
    if When("whole", months).fits(fact, chart()):
        assert When(part, months).fits(fact, chart())  # type: ignore[arg-type]
        assert When(part, months + 1).fits(fact, chart())  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("more", "overlaps"),
    [
        ({"onset": "2026-12-31"}, True),
        ({"onset": "2027-01-01"}, False),
        ({"onset": ""}, True),
        ({"abatementDateTime": "2026-01-01"}, True),
        ({"abatementDateTime": "2025-12-31"}, False),
        ({"clinicalStatus": {"coding": [{"code": "resolved"}]}}, False),
        ({"clinicalStatus": {}}, True),
    ],
)
def test_a_condition_overlaps_the_period(more: dict[str, object], overlaps: bool) -> None:
    fact = facts([condition("Diabetes", **{"onset": "2020-01-01"} | more)])[0]  # type: ignore[arg-type]
    assert When("any").fits(fact, chart()) is overlaps


def test_what_has_no_date_is_in_no_window() -> None:
    fact = facts([observed("Mammography", "")])[0]
    assert not any(
        When(part, None).fits(fact, chart()) for part in ("start", "end", "latest", "whole", "any")
    )  # type: ignore[arg-type]


def test_a_fact_of_two_value_sets_is_found_once() -> None:
    both = visit("Office Visit")
    both["type"][0]["coding"].append({"system": "urn:test", "code": "Telephone Visits"})
    found = Seek("Encounter", ("Office Visit", "Telephone Visits"), When("whole"), frozenset()).found(
        chart(both)
    )
    assert len(found) == 1


def test_only_the_last_answer_is_asked() -> None:
    seek = Seek("Observation", ("Mammography",), None, FINAL)
    yes = observed(
        "Mammography", "2026-01-01", valueCodeableConcept={"coding": [{"system": "s", "code": "Pap Test"}]}
    )
    assert not LastSays(seek, ("Pap Test",)).met(chart(yes, observed("Mammography", "2026-02-01")))
    assert not LastSays(seek, ("Pap Test",)).met(chart())


def test_an_order_by_reference_does_not_count_where_only_coded_ones_do() -> None:
    order = ordered(
        "MedicationRequest", "Dementia Medications", medicationReference={"reference": "Medication/m"}
    )
    seek = Seek("MedicationRequest", ("Dementia Medications",), None, frozenset())
    assert seek.met(chart(order))
    strict = Seek("MedicationRequest", ("Dementia Medications",), None, frozenset(), coded=True)
    assert not strict.met(chart(order))


def test_an_age_that_is_not_known_meets_no_limit() -> None:
    assert not Age(0).met(chart(woman("1970")))
    assert Age(56, 56).met(chart(woman("1970-12-31")))
    assert Age(55, 55, at="start").met(chart(woman("1970-12-31")))


def test_nothing_after_the_period_is_in_the_chart() -> None:
    found = chart(
        number("Pap Test", 1, at="2026-12-31T23:59:59Z"), number("Pap Test", 1, at="2027-01-01T00:00:00Z")
    )
    assert len(found.find("Observation", ("Pap Test",))) == 1


def test_names_of_the_published_libraries() -> None:
    assert measure_id("CMS2FHIRPCSDepressionScreenAndFollowUp") == "CMS2"
    assert measure_id("KidneyHealthEvaluationFHIR") == "CMS951"
    assert measure_of("CMS22FHIRPCSBPScreeningFollowUp", 2025) is None
    assert measure_of("CMS125FHIRBreastCancerScreening", 1999) is None
    assert {name for name, _ in MEASURES} == {
        "CMS2", "CMS69", "CMS122", "CMS124", "CMS125", "CMS130", "CMS165", "CMS349", "CMS951",
    }  # fmt: skip


def test_a_title_that_is_not_there_is_refused_before_anything_is_counted() -> None:
    with pytest.raises(NotFound, match="title"):
        vocabulary(ValueSets({}), MEASURES.values())


def test_a_period_has_an_order_and_a_century() -> None:
    assert YEAR_2026.last.isoformat() == "2026-12-31"
    with pytest.raises(Invalid, match="years"):
        period("0001-01-01", "0001-12-31")
