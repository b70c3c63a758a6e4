"""The lane seals what was committed, writes a checkpoint a minute, and makes the months ahead."""

from __future__ import annotations

from pathlib import Path

import pytest

from commonchart.access.sealing import checkpoints, keys
from commonchart.access.sealing import verifying as verify
from commonchart.jobs import sealing
from commonchart.jobs.worker import LANES, PACE, POLL, Site
from commonchart.record import audit_months
from commonchart.record.database import Database
from tests.access.sealing.trails import Trail
from tests.conftest import Clock


@pytest.fixture
def site(tmp_path: Path) -> Site:
    return Site(tmp_path)


def kept(site: Site) -> list[checkpoints.Checkpoint]:
    return [
        one for path in sorted((site.audit_dir / "checkpoints").glob("*")) for one in checkpoints.read(path)
    ]


async def test_a_round(database: Database, site: Site, clock: Clock) -> None:
    trail = Trail(database, site.audit_dir / "keys")
    await trail.note(3, clock())
    assert await sealing.drain(database, clock, site) == 3
    assert await sealing.drain(database, clock, site) == 0
    assert [one.n for one in kept(site)] == [1]
    async with database.connection() as conn:
        assert len(await audit_months.present(conn)) == audit_months.AHEAD + 1
    for seconds, numbers in ((30, [1]), (31, [1, 3]), (61, [1, 3])):
        if seconds != 61:
            await trail.note(1, clock.advance(seconds=seconds))
        else:
            clock.advance(seconds=seconds)
        await sealing.drain(database, clock, site)
        assert [one.n for one in kept(site)] == numbers
    report = await verify.verify(database, keys.known(trail.folder), kept(site))
    assert report.sound
    assert report.checkpoints == 2


def test_the_lane_is_a_second_behind_at_most() -> None:
    assert LANES["sealing"] is sealing.drain
    assert POLL["sealing"] + PACE["sealing"] <= 1.0
