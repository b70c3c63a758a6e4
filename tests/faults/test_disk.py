"""A disk that is full: PostgreSQL's own small one, mounted for the test where that is allowed."""

from __future__ import annotations

import os
import shutil
import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from commonchart.fhir.outcome import Busy, Invalid, Refused
from commonchart.record.database import Database
from commonchart.record.embedded import Embedded
from commonchart.record.upgrade import migrate
from commonchart.settings import load

pytestmark = pytest.mark.fault


@pytest.fixture
def disk(tmp_path: Path) -> Iterator[Callable[[str], Path]]:
    place = tmp_path / "disk"

    def mounted(size: str) -> Path:
        place.mkdir()
        if subprocess.run(
            ["mount", "-t", "tmpfs", "-o", f"size={size}", "tmpfs", place], capture_output=True
        ).returncode:
            pytest.skip("a small disk cannot be mounted here")
        return place

    yield mounted
    subprocess.run(["umount", place], capture_output=True)


async def test_a_full_disk_is_said_and_what_was_acknowledged_stays(disk: Callable[[str], Path]) -> None:
    place = disk("400m")
    embedded = Embedded(place / "data")
    try:
        url = embedded.start()
        migrate(url)
        database = await Database.open(url)
        await begin_log(database)
        leave(place, 8_000_000)
        stored, refusal = await filled(database)
        await database.close()
        assert "disk" in str(refusal)
        assert stored > 0
        embedded.stop()
        (place / "ballast").unlink()
        database = await Database.open(embedded.start())
        async with database.single() as conn:
            row = await (await conn.execute("SELECT count(*) FROM draft")).fetchone()
        await database.close()
        assert row == (stored,)
    finally:
        embedded.stop()


async def begin_log(database: Database) -> None:
    """Begin a segment of PostgreSQL's log, 16 MB that are there already, so that it is the tables that find no room."""
    async with database.dedicated(owner=True) as conn:
        await conn.execute("SELECT pg_switch_wal()")
        await conn.execute("CHECKPOINT")


def leave(place: Path, free: int) -> None:
    """Fill the disk so that no more than this is free."""
    with (place / "ballast").open("wb") as ballast:
        os.posix_fallocate(ballast.fileno(), 0, shutil.disk_usage(place).free - free)


async def filled(database: Database) -> tuple[int, Refused]:
    for n in range(1000):
        try:
            async with database.connection() as conn:
                big = os.urandom(300_000).hex()
                await conn.execute("INSERT INTO draft VALUES (1, 'a', %s, %s, now())", [str(n), big])
        except Busy as refused:
            return n, refused
    raise AssertionError("the disk did not become full")


@pytest.mark.parametrize("size", ["16k", "10m"])
def test_no_room_for_a_new_record_is_said(disk: Callable[[str], Path], size: str) -> None:
    place = disk(size)
    if size == "16k":
        (place / "ballast").write_bytes(b"x" * 8192)

    def begin() -> None:
        Embedded(load({}, data_dir=place / "data").data_dir).start()

    with pytest.raises(Invalid, match=r"(?i)disk is full|no space"):
        begin()
    assert not (place / "data" / "postgres").exists()
