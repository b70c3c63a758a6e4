"""CDC's own cases, half of which were given: the bar of the engine."""

from __future__ import annotations

from collections import Counter

import pytest

from commonchart.care.immunizations import cases
from commonchart.care.immunizations.pack import PACKS, files, load, read
from commonchart.exchange.schedules import cdc, release
from tests.shared import shared_data

PROTOTYPE = 308 / 337


def test_every_healthy_case_passes_and_conditions_at_least_at_the_rate_of_the_prototype() -> None:
    path = shared_data("cdsi", "testcases.jsonl")
    schedule = load()
    outcome: Counter[tuple[str, bool]] = Counter()
    failing = []
    with path.open("rb") as lines:
        for case in cases.read(lines):
            found = cases.differences(case, schedule)
            outcome[case.suite, not found] += 1
            failing += [case.id] if found and case.suite.startswith("healthy") else []
    assert failing == []
    assert outcome["healthy-4.45", True] > 0
    passed, failed = outcome["conditions-4.6", True], outcome["conditions-4.6", False]
    assert passed / (passed + failed) >= PROTOTYPE


def test_the_pack_in_the_box_is_what_the_converter_makes() -> None:
    folder = shared_data("cdsi", "supporting-data-4.64-508")
    kept = read(PACKS / "cdc-4.64")
    made = cdc.pack(
        release.files(folder), kept.name, kept.source.version, kept.source.published, kept.source.generated_by
    )
    assert made.source.sha256 == kept.source.sha256
    for name, text in files(made).items():
        assert (PACKS / "cdc-4.64" / name).read_text(encoding="utf-8") == text


@pytest.mark.parametrize("word", ["Administer", "administer to", "Do not vaccinate", "not required"])
def test_the_pack_holds_no_sentences_of_its_source(word: str) -> None:
    for path in (PACKS / "cdc-4.64").rglob("*.json"):
        assert word not in path.read_text(encoding="utf-8")
