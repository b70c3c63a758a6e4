"""Every boundary case counts as we say; every wrong definition is found out by one of them."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime

import pytest

from commonchart.measures.catalogue import MEASURES
from commonchart.measures.measure import Measure
from tests.measures.boundaries import BOUNDARIES, Boundary
from tests.measures.changes import (
    a_day,
    any_status,
    blind_to_do_not_perform,
    inverted,
    rewritten,
    without_exclusion,
)
from tests.measures.patients import counted

LATER = datetime(2100, 1, 1, tzinfo=UTC)
MUTATIONS: dict[str, Callable[[Measure], Measure]] = {
    "any status": lambda measure: rewritten(measure, any_status),
    "do not perform is not seen": lambda measure: rewritten(measure, blind_to_do_not_perform),
    "windows a day later": lambda measure: rewritten(measure, a_day(1)),
    "windows a day earlier": lambda measure: rewritten(measure, a_day(-1)),
    "numerator inverted": inverted,
}


def result(boundary: Boundary, measure: Measure, until: datetime | None = None) -> tuple[int, int, int, int]:
    got = counted(measure, boundary.resources, until)
    assert got["denominator"] == got["initial-population"]
    return (
        got["initial-population"],
        got["denominator-exclusion"],
        got["denominator-exception"],
        got["numerator"],
    )


@pytest.mark.parametrize("boundary", BOUNDARIES, ids=lambda one: one.name)
def test_a_boundary_counts_as_it_should(boundary: Boundary) -> None:
    assert result(boundary, boundary.measure) == boundary.expected


def changed(
    measure_id: str, change: Callable[[Measure], Measure], until: datetime | None = None
) -> list[str]:
    wrong = {year: change(measure) for (name, year), measure in MEASURES.items() if name == measure_id}
    of_measure = [one for one in BOUNDARIES if one.measure.id == measure_id]
    return [one.name for one in of_measure if result(one, wrong[one.measure.year], until) != one.expected]


def looks_at_orders(measure: Measure) -> bool:
    kinds: list[str] = []
    rewritten(measure, lambda one: kinds.append(getattr(one, "kind", "")) or one)
    return any(kind.endswith("Request") for kind in kinds)


@pytest.mark.parametrize("measure_id", sorted({name for name, _ in MEASURES}))
@pytest.mark.parametrize("mutation", MUTATIONS)
def test_a_wrong_definition_changes_a_count(mutation: str, measure_id: str) -> None:
    blind = mutation == "do not perform is not seen"
    assert changed(measure_id, MUTATIONS[mutation]) or (
        blind and not looks_at_orders(MEASURES[measure_id, 2025])
    )


@pytest.mark.parametrize("measure_id", sorted({name for name, _ in MEASURES}))
def test_counting_what_comes_after_the_period_changes_a_count(measure_id: str) -> None:
    assert changed(measure_id, lambda measure: measure, LATER)


@pytest.mark.parametrize(
    ("measure_id", "number"),
    [(name, n) for (name, year), one in MEASURES.items() if year == 2025 for n in range(len(one.exclusions))],
)
def test_dropping_any_one_exclusion_changes_a_count(measure_id: str, number: int) -> None:
    assert changed(measure_id, lambda measure: without_exclusion(measure, number))
