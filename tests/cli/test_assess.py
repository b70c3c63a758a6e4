"""Everybody's due list in other processes: complete, and gone on with where a run was interrupted."""

from __future__ import annotations

import asyncio
from datetime import UTC, datetime
from pathlib import Path

import msgspec
import psycopg
import pytest
from click.testing import CliRunner

from commonchart.access.records import Put, Records
from commonchart.cli import main
from commonchart.cli.assess import PARTS, STATE, Run
from commonchart.fhir.validate import validate
from commonchart.record import due, site
from commonchart.record.database import Database
from tests.actors import clinician

PEOPLE = [f"p{n}" for n in range(30)]


@pytest.fixture
def place(database_url: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("DATABASE_URL", database_url)

    async def fill() -> None:
        database = await Database.open(database_url, size=1)
        records = Records(database, clinician(), lambda: datetime.now(UTC))
        bodies = [
            {"resourceType": "Patient", "id": id, "birthDate": "2020-01-01", "gender": "female"}
            for id in PEOPLE
        ]
        await records.commit([Put(validate(body), str(body["id"])) for body in bodies])
        await database.close()

    asyncio.run(fill())
    return tmp_path


def assessed(database_url: str) -> set[str]:
    with psycopg.connect(database_url) as conn:
        return {
            row[0] for row in conn.execute("SELECT DISTINCT patient FROM due WHERE kind = 'immunization'")
        }


def run(place: Path, *more: str) -> str:
    done = CliRunner().invoke(main, ["assess", "--all", "--processes", "2", "--data", str(place), *more])
    assert done.exit_code == 0, done.output
    return done.output


def test_everybody_is_assessed_once(place: Path, database_url: str) -> None:
    assert "30 patients assessed." in run(place)
    assert assessed(database_url) == set(PEOPLE)


def test_an_interrupted_run_goes_on_with_what_is_left(place: Path, database_url: str) -> None:
    half = list(range(PARTS // 2))

    async def interrupted() -> int:
        database = await Database.open(database_url, size=1)
        async with database.connection() as conn:
            state = Run(datetime(2026, 11, 18, tzinfo=UTC), half)
            await site.put(conn, 1, STATE, msgspec.json.encode(state).decode())
            left = [
                await due.everybody(conn, (-1, ""), 100, (part, PARTS)) for part in range(PARTS // 2, PARTS)
            ]
        await database.close()
        return sum(map(len, left))

    expected = asyncio.run(interrupted())
    assert 0 < expected < len(PEOPLE)
    told = run(place)
    assert "Going on with the run of 18-Nov-2026" in told
    assert f"{expected} patients assessed." in told
    assert "30 patients assessed." in run(place)


def test_the_parts_are_everybody_and_nobody_twice(place: Path, database_url: str) -> None:
    async def dealt() -> list[str]:
        database = await Database.open(database_url, size=1)
        async with database.connection() as conn:
            parts = [await due.everybody(conn, (-1, ""), 100, (part, PARTS)) for part in range(PARTS)]
        await database.close()
        return [id for part in parts for _, id in part]

    assert sorted(asyncio.run(dealt())) == sorted(PEOPLE)
