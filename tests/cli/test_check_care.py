"""The rules of care against the published patients, and what the comparison itself does."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner

from commonchart.cli.check import check
from commonchart.cli.check_care import CLASSES, Tally, population, results
from tests.shared import shared_data


@pytest.mark.parametrize(
    ("expected", "inverse", "word"),
    [
        ({"initial-population": 0, "denominator": 0}, False, ""),
        ({"initial-population": 1, "denominator": 1, "denominator-exclusion": 1}, False, "excluded"),
        ({"initial-population": 1, "denominator": 1, "denominator-exception": 1, "numerator": 0}, False, "exception"),
        ({"initial-population": 1, "denominator": 1, "numerator": 1}, False, "numerator"),
        ({"initial-population": 1, "denominator": 1, "numerator": 1}, True, "gap"),
        ({"initial-population": 1, "denominator": 1, "numerator": 0}, False, "gap"),
    ],
)  # fmt: skip
def test_expectations_in_one_word(expected: dict[str, int], inverse: bool, word: str) -> None:
    assert population(expected, inverse=inverse) == word


def test_the_published_patients_agree_but_for_the_closed_list() -> None:
    folder = shared_data("ecqm")
    tally = Tally()
    for name, passed, why in results((folder / "testcases.jsonl.gz",), folder / "valuesets.jsonl.gz", tally):
        assert passed, f"{name}: {why}"
    total = sum(tally.counts.values())
    classed = sum(n for (*_, verdict), n in tally.counts.items() if verdict in CLASSES)
    assert total >= 300
    assert classed <= 0.15 * total
    assert {measure for measure, *_ in tally.counts} == {
        f"CMS{n}" for n in (125, 130, 124, 165, 122, 951, 2, 349, 69)
    }


def _case(tmp_path: Path, expected: dict[str, int], *resources: dict[str, Any]) -> Path:
    patient = {"resourceType": "Patient", "id": "p", "birthDate": "1970-05-05", "gender": "female"}
    line = {
        "year": 2025, "measure": "CMS125FHIRBreastCancerScreening", "id": "own", "expected": [expected],
        "period": {"start": "2026-01-01", "end": "2026-12-31"}, "resources": [patient, *resources],
    }  # fmt: skip
    path = tmp_path / "cases.jsonl"
    path.write_text(json.dumps(line) + "\n")
    (tmp_path / "sets.jsonl").write_text(
        json.dumps({"title": "Mammography", "codes": [["http://loinc.org", "own-1"]]}) + "\n"
    )
    return path


def _mammogram(day: str) -> dict[str, Any]:
    code = {"coding": [{"system": "http://loinc.org", "code": "own-1"}]}
    return {
        "resourceType": "DiagnosticReport",
        "id": "m",
        "status": "final",
        "code": code,
        "effectiveDateTime": day,
    }


NUMERATOR = {"initial-population": 1, "denominator": 1, "numerator": 1}


@pytest.mark.parametrize(
    ("day", "passed", "words"),
    [
        ("2026-05-01", 1, "0 expected"),
        ("2024-11-01", 1, "window 27 against 24 months: 1"),
        ("2020-01-01", 0, "1 disagree"),
    ],
)
def test_a_difference_counts_as_expected_only_for_its_reason(
    tmp_path: Path, day: str, passed: int, words: str
) -> None:
    path = _case(tmp_path, NUMERATOR, _mammogram(day))
    run = CliRunner().invoke(check, ["care", str(path), "--valuesets", str(tmp_path / "sets.jsonl")])
    assert f"{passed} passed, {1 - passed} failed" in run.output
    assert words in run.output
    assert run.exit_code == 1 - passed


def test_the_value_sets_have_to_be_named(tmp_path: Path) -> None:
    run = CliRunner().invoke(check, ["care", str(_case(tmp_path, NUMERATOR))])
    assert run.exit_code != 0
