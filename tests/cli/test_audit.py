"""`commonchart audit` as somebody types it, on an installation of its own."""

from __future__ import annotations

import asyncio
import json
from pathlib import Path

import psycopg
import pytest
from click.testing import CliRunner, Result

from commonchart.access.sealing import keys, sealer
from commonchart.cli import main
from commonchart.record.database import Database
from tests.access.sealing.trails import Trail
from tests.conftest import Clock


@pytest.fixture
def trail(database_url: str, tmp_path: Path, clock: Clock, monkeypatch: pytest.MonkeyPatch) -> Trail:
    monkeypatch.setenv("DATABASE_URL", database_url)
    made = Trail(Database.opened_later(database_url), tmp_path / "data" / "audit" / "keys")

    async def fill() -> None:
        await made.note(3, clock())
        await made.seal(clock())
        await made.database.close()

    asyncio.run(fill())
    return made


def run(tmp_path: Path, *words: str) -> Result:
    return CliRunner().invoke(main, ["audit", *words, "--data", str(tmp_path / "data")])


def test_from_checkpoint_to_finding(trail: Trail, tmp_path: Path) -> None:
    printed = run(tmp_path, "checkpoint")
    assert printed.exit_code == 0, printed.output
    assert json.loads(printed.output)["total"] == 3
    kept = tmp_path / "kept.jsonl"
    kept.write_text(printed.output)
    sound = run(tmp_path, "verify", "--checkpoint", str(kept))
    assert sound.exit_code == 0, sound.output
    assert "3 events under 1 seals, held against 1 checkpoints" in sound.output
    assert "1 events are not sealed yet, the oldest of " in sound.output
    assert "NOT CHECKED" not in sound.output
    trail.tamper("DELETE FROM audit WHERE seq = 2")
    wrong = run(tmp_path, "verify")
    assert wrong.exit_code == 1
    assert "WRONG  event 2 was deleted (seal 1)" in wrong.output
    assert "NOT CHECKED: whether the end was cut off" in wrong.output


def test_a_new_key(trail: Trail, tmp_path: Path) -> None:
    before = trail.signer.name
    assert run(tmp_path, "rotate-key").exit_code == 0
    assert trail.signer.name != before
    with psycopg.connect(trail.database.url) as conn:
        assert conn.execute("SELECT action, detail FROM audit ORDER BY seq DESC LIMIT 1").fetchone() == (
            "audit-key",
            trail.signer.name,
        )
    assert keys.known(trail.folder).keys() >= {before, trail.signer.name}
    assert sealer.EVENTS > 0


@pytest.mark.parametrize("month", ["2026-13", "november", "2026-1"])
def test_a_month_is_a_month(trail: Trail, tmp_path: Path, month: str) -> None:
    said = run(tmp_path, "archive", month)
    assert said.exit_code == 1
    assert "A month is a year and a month" in str(said.output) + str(said.stderr if said.stderr_bytes else "")


def test_a_month_without_events(trail: Trail, tmp_path: Path) -> None:
    said = run(tmp_path, "archive", "2019-03")
    assert said.exit_code == 1
