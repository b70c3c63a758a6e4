"""The funnel is computed from the record: it closes by itself when evidence or an appointment arrives."""

from __future__ import annotations

from pathlib import Path

import pytest

from commonchart.access.outreach import funnel, outbox
from commonchart.access.outreach.campaigns import one
from commonchart.fhir.outcome import Forbidden
from commonchart.jobs import outreach
from commonchart.jobs.worker import Site
from commonchart.record.database import Database
from tests.actors import front_desk
from tests.conftest import Clock
from tests.outreach import Practice, colonoscopy, hook_server, practice_of, woman
from tests.web.test_campaigns import appointment

SITE = Site(Path("/nowhere"), base_url="http://test")


async def counted(practice: Practice, id: str) -> dict[str, int]:
    return funnel.counts(await funnel.funnel(practice.records, await one(practice.records, id)))


async def test_every_stage_follows_the_record(database: Database, clock: Clock) -> None:
    practice = await practice_of(database, clock)
    people = [woman(name) for name in ("ada", "bea", "eva", "ida")]
    await practice.put(
        *people, woman("old", deceasedBoolean=True), appointment("before", "ida", "2026-12-01T10:30:00Z")
    )
    clock.advance(minutes=1)
    async with hook_server(practice):
        campaign = await practice.begin("sms")
        assert (await counted(practice, campaign.id))["waiting"] == 4
        while await outreach.drain(database, clock, SITE):
            pass
    first = await counted(practice, campaign.id)
    assert [first[stage] for stage in funnel.STAGES] == [4, 4, 0, 0, 0]
    clock.advance(days=1)
    await outbox.answer(practice.records, campaign, "ada", "booked")
    await practice.put(
        appointment("a", "ada", "2026-12-01T10:30:00Z"),
        appointment("b", "bea", "2026-12-01T10:30:00Z", "cancelled"),
    )
    clock.advance(days=13)
    await practice.put(colonoscopy("eva", "2026-12-01"))
    then = await counted(practice, campaign.id)
    assert [then[stage] for stage in funnel.STAGES] == [4, 4, 1, 1, 1]
    steps = await funnel.funnel(practice.records, campaign)
    assert [s.message.patient for s in steps if s.at("done")] == ["eva"]
    assert [s.message.patient for s in steps if s.at("booked")] == ["ada"]
    await practice.put(colonoscopy("eva", "2026-12-01") | {"status": "entered-in-error"})
    assert (await counted(practice, campaign.id))["done"] == 0


async def test_those_left_out_are_kept_with_the_reason(database: Database, clock: Clock) -> None:
    practice = await practice_of(database, clock)
    await practice.put(woman("ada"), woman("bea", address=[{"text": "somewhere"}]))
    campaign = await practice.begin("letter")
    steps = await funnel.funnel(practice.records, campaign)
    assert [(s.message.patient, s.message.why) for s in steps if s.at("left-out")] == [
        ("bea", "no complete postal address in use")
    ]


async def test_the_front_desk_sees_no_campaign(database: Database, clock: Clock) -> None:
    practice = await practice_of(database, clock)
    await practice.put(woman("ada"))
    campaign = await practice.begin("letter")
    desk = type(practice.records)(database, front_desk(), clock)
    with pytest.raises(Forbidden):
        await one(desk, campaign.id)
    with pytest.raises(Forbidden):
        await outbox.answer(desk, campaign, "ada", "declined")
