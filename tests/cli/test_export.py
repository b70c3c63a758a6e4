"""`commonchart export` and `load` of what it made, as people run them."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from click.testing import CliRunner

from commonchart.cli.export import export
from commonchart.cli.load import load


@pytest.fixture(autouse=True)
def _database(database_url: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("DATABASE_URL", database_url)


def run(command: object, *words: str) -> tuple[int, str]:
    found = CliRunner().invoke(command, words)  # type: ignore[arg-type]
    return found.exit_code, found.output + (str(found.exception) if found.exception else "")


def test_out_and_in_again(tmp_path: Path) -> None:
    data = ["--data", str(tmp_path / "data")]
    source = tmp_path / "x.ndjson"
    source.write_text('{"resourceType":"Patient","id":"not-a-uuid"}\n{"resourceType":"Observation","id":"o","status":"final",'
                      '"code":{"text":"x"},"subject":{"reference":"Patient/not-a-uuid"}}\n')  # fmt: skip
    assert run(load, str(source), *data)[0] == 0
    folder = tmp_path / "out"
    code, said = run(export, str(folder), *data)
    assert (code, "2 resources in 2 files" in said) == (0, True), said
    assert folder.stat().st_mode & 0o777 == 0o700
    manifest = json.loads((folder / "manifest.json").read_text())
    assert [(one["type"], one["count"]) for one in manifest["output"]] == [("Patient", 1), ("Observation", 1)]
    code, said = run(load, str(folder), *data)
    assert code == 0
    assert "Conflict" not in said
    code, said = run(export, str(folder), *data)
    assert (code, "not empty" in said) == (1, True)
    patient = json.loads((folder / "Patient.ndjson").read_text())["id"]
    code, said = run(export, str(tmp_path / "one"), "--patient", patient, "--type", "Observation", *data)
    assert (code, "1 resources in 1 files" in said) == (0, True)
    code, said = run(export, str(tmp_path / "none"), "--since", "2099-01-01", *data)
    assert (code, "0 resources in 0 files" in said) == (0, True)


@pytest.mark.parametrize("words", [["--type", "Shoe"], ["--patient", "a b"], ["--since", "yesterday"]])
def test_what_cannot_be_exported(tmp_path: Path, words: list[str]) -> None:
    assert run(export, str(tmp_path / "out"), *words, "--data", str(tmp_path / "data"))[0] == 1
