"""`commonchart schedule` and `commonchart check immunizations`."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from commonchart.cli import main
from commonchart.fhir.outcome import Refused
from tests.exchange.schedules.test_cdc import ANTIGEN, SCHEDULE

CASE = {
    "suite": "made", "id": "1", "dob": "2022-07-02", "gender": "M", "assessment_date": "2022-07-02", "vaccine_group": "DTAP",
    "observations": [], "doses": [],
    "expected": {"series_status": "Not Complete", "forecast_number": "1", "earliest": "2022-08-13", "recommended": "2022-09-02",
                 "past_due": "2022-10-29"},
}  # fmt: skip


def run(*arguments: str | Path) -> Result:
    return CliRunner().invoke(main, [str(one) for one in arguments])


def cases(tmp_path: Path, *rows: object) -> Path:
    path = tmp_path / "cases.jsonl"
    path.write_text("\n".join(row if isinstance(row, str) else json.dumps(row) for row in rows))
    return path


def test_a_failing_case_is_printed_with_what_was_expected(tmp_path: Path) -> None:
    wrong = CASE | {"id": "2", "expected": CASE["expected"] | {"earliest": "2022-08-14"}}  # type: ignore[operator]
    result = run("check", "immunizations", cases(tmp_path, CASE, wrong))
    assert result.output.splitlines() == [
        "made 2 DTAP: earliest: expected 2022-08-14, got 2022-08-13",
        "1 passed, 1 failed",
    ]
    assert result.exit_code == 1


def test_cases_that_cannot_be_read(tmp_path: Path) -> None:
    result = run("check", "immunizations", cases(tmp_path, CASE, "{"))
    assert "line 2" in result.output or "line 2" in str(result.exception)
    assert isinstance(result.exception, Refused | SystemExit)
    assert run("check", "immunizations", tmp_path / "none").exit_code != 0
    assert run("check", "immunizations", cases(tmp_path, CASE), "--pack", "none").exit_code != 0


def test_import_says_what_differs_and_writes_a_pack_once(tmp_path: Path) -> None:
    release = tmp_path / "supporting-data-9.9"
    release.mkdir()
    (release / "Alpha.xml").write_text(ANTIGEN)
    (release / "Schedule.xml").write_text(SCHEDULE)
    site = tmp_path / "site"
    arguments = ("schedule", "import", release, "--published", "2026-11", "--data", site)
    result = run(*arguments)
    assert result.exit_code == 0, result.output
    assert "cdc-9.9: 1 antigens, 1 series, 1 observations" in result.output
    assert "  Alpha: antigen added: present" in result.output
    assert "  Measles: antigen removed (was present)" in result.output
    assert (site / "packs" / "cdc-9.9" / "antigens" / "alpha.json").is_file()
    assert run(*arguments).exit_code != 0
    listed = run("schedule", "list", "--data", site).output.splitlines()
    assert listed == ["cdc-4.64\tCDC 4.64\t2025-11\tin the box", "cdc-9.9\tCDC 9.9\t2026-11\tthe site's"]
    assert (
        run("schedule", "diff", "cdc-9.9", "cdc-9.9", "--data", site).output
        == "0 clinical differences from cdc-9.9\n"
    )


def test_import_of_another_shape_names_the_element_and_writes_nothing(tmp_path: Path) -> None:
    release = tmp_path / "supporting-data-9.9"
    release.mkdir()
    (release / "Alpha.xml").write_text(ANTIGEN.replace("<recurringDose>", "<mood>good</mood><recurringDose>"))
    (release / "Schedule.xml").write_text(SCHEDULE)
    result = run("schedule", "import", release, "--out", tmp_path / "out")
    assert result.exit_code != 0
    assert "<mood>" in result.output or "<mood>" in str(result.exception)
    assert not (tmp_path / "out").exists()


def test_a_pack_is_installed_with_cited_corrections_and_used_from_a_day(
    database_url: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("DATABASE_URL", database_url)
    arguments = ("schedule", "install", "cdc-4.64", "--overlay", "errata", "--data", tmp_path)
    installed = run(*arguments, "--cases", cases(tmp_path, CASE))
    assert installed.exit_code == 0, installed.output
    assert "1 passed, 0 failed" in installed.output
    name = installed.output.split("Installed ")[1].split(":")[0]
    assert name.startswith("cdc-4.64+")
    used = run("schedule", "use", name, "--from", "2999-01-01", "--data", tmp_path)
    assert f"{name} is used from 2999-01-01 on." in used.output
    assert run("schedule", "use", name, "--from", "2020-01-01", "--data", tmp_path).exit_code == 1
    assert run("schedule", "use", "none", "--from", "2999-01-01", "--data", tmp_path).exit_code == 1
