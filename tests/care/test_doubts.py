"""The work list of quarantine, and that releasing and taking it back leaves everything as it was."""

from __future__ import annotations

from decimal import Decimal
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from commonchart.care.assess import answers, assess, charted
from commonchart.care.doubts import doubts, tried
from commonchart.care.facts import evidence
from commonchart.care.person import person
from commonchart.care.rules import built_in
from tests.care.cases import DIABETES, TODAY, condition, observation, patient

PACK = built_in()
WHO = person(patient(), TODAY)
DM = condition(DIABETES, since="2014-01-01")


def listed(*resources: dict[str, Any], who: Any = WHO, **how: Any) -> list[tuple[str, str]]:
    found = doubts(charted(evidence(resources), who, PACK, TODAY, **how))
    return [(one.kind, one.analyte) for one in found]


def test_each_kind_of_doubt_is_listed_once() -> None:
    assert listed(observation("2823-3", "2026-10-01", Decimal("13"), "mmol/L")) == [
        ("implausible", "potassium")
    ]
    assert listed(observation("2823-3", "2026-12-01", 4, "mmol/L")) == [("time", "potassium")]
    assert listed(observation("2823-3", "2026-10-01", 4, "furlong")) == [("unit", "potassium")]
    assert listed(observation("2823-3", "2026-10-01", 4)) == [("unit", "potassium")]
    assert listed(observation("75622-1", "2026-12-01", words="Reactive")) == [("time", "")]
    assert listed(observation("2823-3", "2026-10-01", 4, "mmol/L")) == []


def test_what_is_possible_as_any_analyte_of_its_codes_is_possible() -> None:
    """170 cm is no length of an infant; the code stands for a height too."""
    assert listed(observation("8302-2", "2026-10-01", 170, "cm")) == []
    assert listed(observation("8302-2", "2026-10-01", 290, "cm")) == [
        ("implausible", "height"),
        ("implausible", "length"),
    ]
    assert listed(observation("8306-3", "2026-10-01", 170, "cm")) == [("implausible", "length")]


@pytest.mark.parametrize("status", ["entered-in-error", "cancelled"])
def test_what_was_taken_back_waits_for_nobody(status: str) -> None:
    assert listed(observation("2823-3", "2026-10-01", 13, "mmol/L", status=status)) == []


def test_without_birth_date_the_time_before_birth_is_not_judged() -> None:
    who = person(patient(""), TODAY)
    assert listed(observation("2823-3", "1900-01-01", 4, "mmol/L"), who=who) == []
    assert listed(observation("2823-3", "2026-10-01", 13, "mmol/L"), who=who) == [
        ("implausible", "potassium")
    ]


def test_the_same_result_of_two_sources_is_doubted_in_both() -> None:
    cells = [
        observation("787-2", "2026-10-01T08:00:00Z", 90, "fL"), observation("787-2", "2026-10-08T08:00:00Z", 99, "fL"),
        observation("787-2", "2026-10-08T08:00:00Z", 99, "fL"),
    ]  # fmt: skip
    found = doubts(charted(evidence(cells), WHO, PACK, TODAY))
    assert {one.fact.ref for one in found} == {f"Observation/{one['id']}" for one in cells[1:]}
    assert all(one.also for one in found)


def test_a_rejected_value_does_not_make_the_next_one_a_jump() -> None:
    cells = [
        observation("787-2", f"2026-10-0{day}", value, "fL") for day, value in ((1, 90), (4, 99), (7, 90))
    ]
    assert len(listed(*cells)) == 2
    assert listed(*cells, rejected=[f"Observation/{cells[1]['id']}"]) == []


def test_an_implausible_value_that_is_believed_counts() -> None:
    sugar = observation("4548-4", "2026-11-01", Decimal("42"), "%")
    assert not PACK.analytes["a1c"].low <= 42 <= PACK.analytes["a1c"].high
    ref = f"Observation/{sugar['id']}"
    rows = assess(evidence([DM, sugar]), WHO, PACK, TODAY, released=[ref])
    one = next(row for row in rows if row.rule == "a1c")
    assert one.status in ("up-to-date", "due-soon")
    assert one.within in ("out", "alert")
    assert listed(DM, sugar, released=[ref]) == []


def test_a_number_is_tried_in_every_unit() -> None:
    found = {one.unit: one for one in tried(PACK.analytes["a1c"], Decimal(42))}
    assert not found["%"].plausible
    assert found["mmol/mol"].plausible
    assert round(found["mmol/mol"].value, 1) == Decimal("6.0")


VALUES = st.lists(
    st.tuples(st.sampled_from(["4548-4", "2823-3", "787-2"]), st.integers(1, 28), st.integers(0, 120)),
    max_size=6,
)


@settings(max_examples=12)
@given(VALUES, st.data())
def test_releasing_and_taking_it_back_leaves_everything_as_it_was(
    values: list[tuple[str, int, int]], data: st.DataObject
) -> None:
    made = [observation(loinc, f"2026-10-{day:02}", value, "%") for loinc, day, value in values]
    found = evidence([DM, *made])
    refs = data.draw(
        st.sets(st.sampled_from([f"Observation/{one['id']}" for one in made])) if made else st.just(set())
    )
    before = answers(charted(found, WHO, PACK, TODAY))
    freed = charted(found, WHO, PACK, TODAY, released=refs)
    assert not {one.fact.ref for one in freed.verdicts} & refs or all(
        one.kind == "time" for one in freed.verdicts if one.fact.ref in refs
    )
    assert answers(charted(found, WHO, PACK, TODAY)) == before


@settings(max_examples=12)
@given(VALUES)
def test_a_rejected_result_satisfies_nothing_whatever_it_is(values: list[tuple[str, int, int]]) -> None:
    made = [observation(loinc, f"2026-10-{day:02}", value, "%") for loinc, day, value in values]
    chart = charted(evidence(made), WHO, PACK, TODAY, rejected=[f"Observation/{one['id']}" for one in made])
    assert all(chart.unusable(fact) for fact in chart.evidence.of("observation"))
    assert doubts(chart) == []
