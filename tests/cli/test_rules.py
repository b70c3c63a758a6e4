"""`commonchart rules`: list, show, check, import, preview, activate, rollback."""

from __future__ import annotations

import asyncio
from datetime import UTC, datetime
from pathlib import Path

import psycopg
import pytest
from click.testing import CliRunner, Result

from commonchart.access.records import Put, Records
from commonchart.cli import main
from commonchart.fhir.validate import validate
from commonchart.record.database import Database
from tests.actors import clinician
from tests.outreach import woman


@pytest.fixture
def place(database_url: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("DATABASE_URL", database_url)

    async def fill() -> None:
        database = await Database.open(database_url, size=1)
        records = Records(database, clinician(), lambda: datetime.now(UTC))
        await records.commit([Put(validate(woman(id)), id) for id in ("ada", "bea")])
        await database.close()

    asyncio.run(fill())
    return tmp_path


def run(place: Path, *arguments: str | Path) -> Result:
    return CliRunner().invoke(
        main, ["rules", *(str(one) for one in arguments), "--data", str(place / "data")]
    )


def good(result: Result) -> str:
    assert result.exit_code == 0, (result.output, result.exception)
    return result.output


def test_a_rule_is_changed_in_a_file_tried_used_and_gone_back_from(place: Path, database_url: str) -> None:
    assert "Screening mammogram" in good(run(place, "list", "--review", "needed"))
    assert "aged 40 to 74" in good(run(place, "show", "breast"))
    text = good(run(place, "show", "breast", "--text"))
    file = place / "breast.toml"
    file.write_text(text.replace("min_age = 40", "min_age = 90"))
    assert "applies.min_age is above applies.max_age" in str(run(place, "check", file).output) + str(
        run(place, "check", file).exception
    )
    file.write_text(text.replace("min_age = 40", "min_age = 70"))
    assert "applies.min_age: 40 -> 70" in good(run(place, "check", file))
    assert "kept as site.1" in good(run(place, "import", file, "--why", "Local policy"))
    assert run(place, "activate", "breast", "site.1", "--why", "Agreed").exit_code != 0
    assert "0 more become due or overdue, 2 fewer" in good(run(place, "preview", "breast", "site.1"))
    assert "site.1 is used from now on" in good(run(place, "activate", "breast", "site.1", "--why", "Agreed"))
    with psycopg.connect(database_url) as conn:
        rows = conn.execute("SELECT DISTINCT version FROM due WHERE rule = 'breast'").fetchall()
    assert rows == [("2026.2/site.1",)]
    assert "site.1" in good(run(place, "list", "--changed"))
    assert "box is used from now on" in good(run(place, "rollback", "breast", "--why", "Too few"))
    assert "Too few" in good(run(place, "show", "breast"))


def test_what_cannot_be_read_is_said(place: Path) -> None:
    bad = place / "bad.toml"
    bad.write_bytes(b"\xff\xfe")
    for arguments in (
        ("check", bad), ("show", "nothing"), ("show", "breast", "--version", "seven"), ("activate", "breast", "site.x", "--why", "x"),
        ("preview", "breast", "site.4"), ("rollback", "breast", "--why", "x"), ("check", place / "none.toml"),
    ):  # fmt: skip
        result = run(place, *arguments)
        assert result.exit_code != 0, arguments
        assert "something went wrong that should not" not in result.output
