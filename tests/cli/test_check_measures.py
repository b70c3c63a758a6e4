"""`commonchart check measures`, as people run it: failures, table, skipped measures, and files that are not what they should be."""

from __future__ import annotations

import gzip
import json
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner

from commonchart.cli import main
from commonchart.measures.catalogue import MEASURES
from commonchart.measures.criteria import names
from tests.measures.patients import number, visit, woman

TITLES = {name for name in names(MEASURES["CMS124", 2025]) if "|" not in name}
PEOPLE = [woman(), visit(), number("Pap Test", 1)]
EXPECTED = {"initial-population": 1, "denominator": 1, "denominator-exclusion": 0, "numerator": 1}


def case(**more: Any) -> dict[str, Any]:
    period = {"start": "2026-01-01", "end": "2026-12-31"}
    one = {"year": 2025, "measure": "CMS124FHIRCervicalCancerScreening", "id": "case-a", "period": period}
    return one | {"resources": PEOPLE, "expected": [EXPECTED]} | more


class Run:
    def __init__(self, folder: Path) -> None:
        self.cases, self.sets = folder / "cases.jsonl", folder / "sets.jsonl.gz"
        self.write_sets(TITLES)

    def write_sets(self, titles: set[str]) -> None:
        rows = [{"title": title, "codes": [["urn:test", title]]} for title in titles]
        self.sets.write_bytes(gzip.compress("\n".join(map(json.dumps, rows)).encode()))

    def __call__(
        self, *cases: dict[str, Any], options: tuple[str, ...] | None = None
    ) -> tuple[int, list[str]]:
        self.cases.write_text("\n".join(map(json.dumps, cases)))
        chosen = ("--valuesets", str(self.sets)) if options is None else options
        found = CliRunner().invoke(main, ["check", "measures", str(self.cases), *chosen])
        return found.exit_code, found.output.splitlines()


@pytest.fixture
def run(tmp_path: Path) -> Run:
    return Run(tmp_path)


def test_every_population_agrees_and_other_measures_are_named(run: Run) -> None:
    code, said = run(case(), case(measure="CMS117FHIRChildhoodImmunizationStatus"), case(year=2031))
    assert code == 0
    assert "skipped, no definition: CMS117 2025 (1 cases)" in said
    assert "skipped, no definition: CMS124 2031 (1 cases)" in said
    row = next(line.split() for line in said if line.startswith("CMS124 "))
    assert row == ["CMS124", "2025", "1/1", "1/1", "1/1", "-", "1/1", "1/1"]
    assert said[-1] == "1 passed, 0 failed"


def test_a_difference_is_named_by_measure_case_and_population(run: Run) -> None:
    code, said = run(
        case(), case(id="case-b", expected=[EXPECTED | {"numerator": 0, "denominator-exclusion": 1}])
    )
    assert code == 1
    assert said[0] == (
        "CMS124 2025 case 2 (case-b): denominator-exclusion: expected 1, got 0; numerator: expected 0, got 1"
    )
    assert (
        next(line.split() for line in said if line.startswith("CMS124 ") and "case" not in line)[-1] == "1/2"
    )
    assert said[-1] == "1 passed, 1 failed"


def test_nothing_expected_is_left_uncompared(run: Run) -> None:
    _, said = run(case(expected=[EXPECTED | {"measure-observation": 3}]), case(expected=[EXPECTED, EXPECTED]))
    assert "measure-observation: expected 3, got None" in said[0]
    assert "initial-population: expected 1, got None" in said[1]
    assert said[-1] == "0 passed, 2 failed"


def test_one_json_line_a_case(run: Run) -> None:
    _, said = run(case(), options=("--valuesets", str(run.sets), "--json"))
    assert json.loads(said[0]) == {"case": "CMS124 2025 case 1 (case-a)", "passed": True, "why": ""}
    assert all("note" in json.loads(line) for line in said[1:-1])


def test_no_value_sets_or_not_those_it_needs(run: Run) -> None:
    code, said = run(case(), options=())
    assert (code, "--valuesets" in said[-1]) == (1, True)
    run.write_sets(TITLES - {"Pap Test"})
    code, said = run(case())
    assert code == 1
    assert "none with the title Pap Test" in said[-1]


def test_a_file_that_is_none_and_a_line_that_is_no_case(run: Run, tmp_path: Path) -> None:
    code, said = run(case(), options=("--valuesets", str(tmp_path / "absent")))
    assert (code, "no file" in said[-1]) == (1, True)
    code, said = run(case(), {"year": 2025})
    assert (code, "Line 2 is no measure case" in said[-1]) == (1, True)


def test_a_resource_that_is_no_fhir_fails_its_case_and_not_the_run(run: Run) -> None:
    wrong = {"resourceType": "Encounter", "id": "e", "status": "finished", "class": "AMB"}
    code, said = run(case(resources=[woman(), wrong]), case())
    assert code == 1
    assert "NOT CHECKED: resources[1] is no valid FHIR" in said[0]
    assert said[-1] == "1 passed, 1 failed"
