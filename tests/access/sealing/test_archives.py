"""A month becomes a file only when it was read back, and the trail is verified with and without the file."""

from __future__ import annotations

import gzip
from collections.abc import AsyncIterator
from datetime import date
from pathlib import Path

import pytest

from commonchart.access import users
from commonchart.access.sealing import archives, keys, verifying
from commonchart.access.sealing.verifying import Report
from commonchart.fhir.outcome import Conflict, Invalid, Malformed, NotFound
from commonchart.record.database import Database
from tests.access.sealing.trails import Trail
from tests.conftest import Clock

NOVEMBER = date(2026, 11, 1)


@pytest.fixture
async def trail(database_url: str, tmp_path: Path, clock: Clock) -> AsyncIterator[Trail]:
    """Four events in November under one seal, with two of December in it; as the owner, who alone takes months out."""
    owner = await Database.open(database_url, owner=True)
    made = Trail(owner, tmp_path / "keys")
    await made.note(4, clock())
    await made.note(2, clock.advance(days=20))
    await made.seal(clock())
    yield made
    await owner.close()


async def archive(trail: Trail, folder: Path, clock: Clock) -> int:
    return await archives.archive(trail.database, users.system(1, "cli"), NOVEMBER, folder, clock())


async def verify(trail: Trail, folder: Path | None) -> Report:
    given = await archives.given(trail.database, folder)
    return await verifying.verify(trail.database, keys.known(trail.folder), archived=given)


async def test_a_month_goes_to_a_file_and_stays_verifiable(
    trail: Trail, tmp_path: Path, clock: Clock
) -> None:
    assert await archive(trail, tmp_path / "a", clock) == 4
    async with trail.database.connection() as conn:
        rows = await (await conn.execute("SELECT seq, action FROM audit ORDER BY seq")).fetchall()
    assert [seq for seq, _ in rows] == [5, 6, 7]
    assert rows[-1][1] == "audit-archive"
    without, with_files = await verify(trail, None), await verify(trail, tmp_path / "a")
    assert without.sound
    assert without.apart == 4
    assert with_files.sound
    assert with_files.apart == 0


async def test_a_file_that_was_changed_is_refused(trail: Trail, tmp_path: Path, clock: Clock) -> None:
    await archive(trail, tmp_path, clock)
    path = tmp_path / "audit-2026-11.jsonl.gz"
    path.write_bytes(gzip.compress(gzip.decompress(path.read_bytes()).replace(b'"o1"', b'"o9"')))
    with pytest.raises(Malformed, match="changed since"):
        await verify(trail, tmp_path)
    trail.tamper("UPDATE audit_archive SET digest = %s", archives._sum(path))
    report = await verify(trail, tmp_path)
    assert [f"{f.about} {f.wrong}" for f in report.findings] == ["event 2 was edited in its archive (seal 1)"]


async def test_an_archive_does_not_cover_for_a_deletion(trail: Trail, tmp_path: Path, clock: Clock) -> None:
    await archive(trail, tmp_path, clock)
    trail.tamper("DELETE FROM audit WHERE seq = 6")
    for folder in (None, tmp_path):
        assert [f.about for f in (await verify(trail, folder)).findings] == ["event 6"]


async def test_what_cannot_be_archived(trail: Trail, tmp_path: Path, clock: Clock) -> None:
    with pytest.raises(Invalid, match="not over"):
        await archives.archive(trail.database, users.system(1, "cli"), date(2026, 12, 1), tmp_path, clock())
    with pytest.raises(NotFound, match="no events"):
        await archives.archive(trail.database, users.system(1, "cli"), date(2020, 1, 1), tmp_path, clock())
    clock.advance(days=-20)
    await trail.note(1, clock())
    clock.advance(days=20)
    with pytest.raises(Invalid, match="1 events of 2026-11 are not sealed"):
        await archive(trail, tmp_path, clock)
    assert list(tmp_path.glob("audit-*")) == []
    await trail.seal(clock())
    await archive(trail, tmp_path, clock)
    with pytest.raises(Conflict, match="there already"):
        await archive(trail, tmp_path, clock)


async def test_something_else_is_no_archive(tmp_path: Path) -> None:
    (tmp_path / "x").write_bytes(gzip.compress(b"[1]\n"))
    with pytest.raises(Malformed, match="is not an archive"):
        archives.read(tmp_path / "x")
