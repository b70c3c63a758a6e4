"""CMS's own patients (../shared/data/ecqm, never committed): every population as expected, and wrong definitions found out."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from datetime import UTC, datetime
from functools import cache

import pytest

from commonchart.exchange.load.files import lines
from commonchart.measures.cases import Case, cases
from commonchart.measures.catalogue import MEASURES, measure_of, vocabulary
from commonchart.measures.chart import Chart, Vocabulary
from commonchart.measures.measure import Measure, populations
from commonchart.measures.value_sets import value_sets
from tests.measures.changes import without_exclusion
from tests.measures.test_boundaries import MUTATIONS
from tests.shared import shared_data

IDS = tuple(sorted({name for name, _ in MEASURES}))
BAR = 0.98
SEEN_BY_PUBLISHED = {
    # Which measures this half of the cases discriminates; tests/measures/boundaries.py does so for all.
    "any status": {"CMS122", "CMS165"},
    "do not perform is not seen": {"CMS125"},
    "windows a day later": {*IDS} - {"CMS349", "CMS951"},
    "windows a day earlier": {*IDS} - {"CMS2", "CMS951"},
    "numerator inverted": {*IDS},
}


@cache
def published() -> tuple[list[tuple[Measure, Case]], Vocabulary]:
    sets = value_sets(lines(shared_data("ecqm", "valuesets.jsonl.gz")))
    read = cases(lines(shared_data("ecqm", "testcases.jsonl.gz")))
    covered = [(measure, case) for case in read if (measure := measure_of(case.measure, case.year))]
    return covered, vocabulary(sets, MEASURES.values())


def differences(
    change: Callable[[Measure], Measure] = lambda measure: measure,
    until: datetime | None = None,
    only: tuple[str, ...] = IDS,
) -> Counter[str]:
    """How many cases of each measure do not count as expected under a changed definition."""
    covered, words = published()
    wrong = {key: change(measure) for key, measure in MEASURES.items() if key[0] in only}
    return Counter(
        measure.id
        for measure, case in covered
        if measure.id in only
        for got in [
            populations(wrong[measure.id, measure.year], Chart(case.resources, case.period, words, until))
        ]
        if any(got.get(name) != count for name, count in case.expected[0].items())
    )


@pytest.mark.parametrize("measure_id", IDS)
def test_at_least_98_percent_of_the_published_cases_agree_in_every_population(measure_id: str) -> None:
    total = sum(measure.id == measure_id for measure, _ in published()[0])
    wrong = differences(only=(measure_id,))[measure_id]
    assert total >= 25
    assert (total - wrong) / total >= BAR, f"{wrong} of {total}"


@pytest.mark.parametrize("mutation", MUTATIONS)
def test_a_wrong_definition_changes_counts_of_published_cases(mutation: str) -> None:
    before = differences()
    after = differences(MUTATIONS[mutation])
    assert {name for name in IDS if after[name] > before[name]} >= SEEN_BY_PUBLISHED[mutation]


def test_counting_what_comes_after_the_period_changes_counts_of_published_cases() -> None:
    after = differences(until=datetime(2100, 1, 1, tzinfo=UTC))
    assert {name for name in IDS if after[name]} >= {*IDS} - {"CMS2"}


@pytest.mark.parametrize("measure_id", IDS)
def test_dropping_exclusions_changes_counts_of_published_cases(measure_id: str) -> None:
    number = len(MEASURES[measure_id, 2024].exclusions)
    found = [
        differences(lambda measure, n=n: without_exclusion(measure, n))[measure_id] > 0 for n in range(number)
    ]
    assert sum(found) >= number - 2
    assert found[0]
