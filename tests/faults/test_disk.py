"""A disk that is full: PostgreSQL's own small one, mounted for the test where that is allowed."""

from __future__ import annotations

import os
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
    place = disk("90m")
    embedded = Embedded(place / "data")
    try:
        url = embedded.start()
        migrate(url)
        database = await Database.open(url)
        stored, refusal = await filled(database)
        await database.close()
        assert "disk" in str(refusal)
        assert stored > 0
        embedded.stop()
        subprocess.run(["mount", "-o", "remount,size=200m", place], check=True)
        database = await Database.open(embedded.start())
        async with database.single() as conn:
            row = await (await conn.execute("SELECT count(*) FROM draft")).fetchone()
        await database.close()
        assert row == (stored,)
    finally:
        embedded.stop()


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
