"""Digests by e-mail: at the site's hour, once, with numbers and a link only."""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from commonchart.access import users
from commonchart.jobs import outreach
from commonchart.jobs.worker import Site
from commonchart.record.database import Database
from tests.conftest import Clock
from tests.outreach import Practice, mail_server, practice_of, woman
from tests.web.test_campaigns import appointment

SITE = Site(Path("/nowhere"), base_url="http://test")
DOCTOR: dict[str, Any] = {
    "resourceType": "Practitioner", "id": "wren", "name": [{"family": "Wren"}],
    "telecom": [{"system": "email", "value": "wren@alder.example"}],
}  # fmt: skip


@pytest.fixture
async def practice(database: Database, clock: Clock) -> Practice:
    made = await practice_of(database, clock)
    await users.create(
        database,
        tenant=1,
        login="wren",
        name="Wren",
        role="clinician",
        org="alder",
        now=clock(),
        practitioner="wren",
    )
    mine = [{"reference": "Practitioner/wren"}]
    await made.put(
        DOCTOR, woman("ada", generalPractitioner=mine), woman("bea"), woman("eva", deceasedBoolean=True),
        appointment("a", "ada", "2026-11-18T14:30:00Z"), appointment("a2", "ada", "2026-11-18T16:30:00Z"),
        appointment("e", "eva", "2026-11-18T15:30:00Z"), appointment("b", "bea", "2026-11-19T15:30:00Z"),
        appointment("c", "bea", "2026-11-18T15:30:00Z", "cancelled"),
    )  # fmt: skip
    await made.say(digest_at="07:00")
    return made


async def drain(practice: Practice) -> None:
    while await outreach.drain(practice.database, practice.clock, SITE):
        pass


async def test_numbers_and_a_link_once_a_day(practice: Practice, tmp_path: Path, clock: Clock) -> None:
    async with mail_server(practice, tmp_path) as (box, _):
        clock.set(datetime(2026, 11, 18, 6, 59, tzinfo=UTC))
        await drain(practice)
        assert box.messages == []
        clock.set(datetime(2026, 11, 18, 7, 0, tzinfo=UTC))
        await drain(practice)
        clock.advance(hours=5)
        await drain(practice)
    assert box.recipients == ["wren@alder.example"]
    text = box.messages[0].get_content()
    assert "2 patients today, 1 with something due." in text
    assert "http://test/digest" in text
    assert not any(word in text for word in ("Ada", "Hallow", "ammogram", "olon"))


async def test_the_weekly_report_comes_on_mondays(practice: Practice, tmp_path: Path, clock: Clock) -> None:
    async with mail_server(practice, tmp_path) as (box, _):
        clock.set(datetime(2026, 11, 23, 9, tzinfo=UTC))
        await drain(practice)
    assert [str(one["Subject"]) for one in box.messages] == ["Alder Street Practice: your week"]
    assert "Your panel: 1 patients" in box.messages[0].get_content()


async def test_a_dead_server_delays_it_and_a_broken_connection_leaves_it_at_one(
    practice: Practice, tmp_path: Path, clock: Clock
) -> None:
    async with mail_server(practice, tmp_path) as (box, server):
        server.stop()
        await drain(practice)
        server.start()
        box.hangs_up = True
        clock.advance(minutes=2)
        await drain(practice)
        clock.advance(hours=5)
        await drain(practice)
        assert len(box.messages) == 1
