"""`commonchart terminology`: loaded twice, listed, removed; what is bad leaves nothing behind."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from click.testing import CliRunner

from commonchart.cli import main

SYSTEM = {"resourceType": "CodeSystem", "url": "http://x/s", "version": "1", "content": "complete", "concept": [{"code": "a"}]}  # fmt: skip


@pytest.fixture
def run(tmp_path: Path, database_url: str, monkeypatch: pytest.MonkeyPatch) -> CliRunner:
    monkeypatch.setenv("DATABASE_URL", database_url)
    monkeypatch.setenv("COMMONCHART_DATA", str(tmp_path / "data"))
    return CliRunner()


def said(run: CliRunner, *words: str, code: int = 0) -> str:
    done = run.invoke(main, ["terminology", *words])
    assert done.exit_code == code, done.output
    return done.output


def test_load_again_list_and_remove(run: CliRunner, tmp_path: Path) -> None:
    path = tmp_path / "s.json"
    path.write_text(json.dumps(SYSTEM))
    assert "Nothing is loaded" in said(run, "list")
    assert "loaded: CodeSystem http://x/s 1, 1 codes" in said(run, "load", str(path))
    assert "unchanged: CodeSystem" in said(run, "load", str(path))
    assert "* CodeSystem" in said(run, "list")
    assert "1 removed" in said(run, "remove", "http://x/s")
    assert "Nothing is loaded" in said(run, "list")


def test_a_bad_file_leaves_nothing(run: CliRunner, tmp_path: Path) -> None:
    path = tmp_path / "Loinc.csv"
    path.write_text('"LOINC_NUM","LONG_COMMON_NAME","STATUS"\n"99990-1","Made","ACTIVE"\n"no"\n')
    assert "Loinc.csv, line 3" in said(run, "load", str(path), code=1)
    assert "Nothing is loaded" in said(run, "list")


def test_the_path_is_needed(run: CliRunner) -> None:
    assert "Say what to load" in said(run, "load", code=1)
