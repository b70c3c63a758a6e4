"""Accounting of disclosures: what the trail says of acts outside whoever keeps the record, and what the rule leaves out."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import pytest
from msgspec.structs import replace

from commonchart.access import audit, emergency
from commonchart.access.actors import Actor
from commonchart.access.disclosures import Accounting, Ask, accounting
from commonchart.fhir.outcome import Forbidden, NotFound
from commonchart.record.database import Database
from tests.access.test_sharing import World, condition, patient, referral, who
from tests.conftest import Clock

ADA = Actor(1, "ada", "Ada", "patient", "alder", "web", "PATRQT", patient="ada", network=True)


@pytest.fixture
async def world(database: Database, clock: Clock) -> World:
    made = World(database, clock)
    await made.keeps(
        patient("ada"),
        condition("cold"),
        {
            "resourceType": "Organization",
            "id": "birch",
            "name": "Birch Clinic",
            "address": [{"line": ["1 Birch Road"], "city": "Alder"}],
        },
        referral("r", "birch"),
    )
    return made


async def told(world: World, asker: Actor = ADA, **more: Any) -> Accounting:
    now = world.clock()
    return await accounting(
        world.of(asker), "ada", Ask(now - timedelta(days=400), now + timedelta(days=1), **more)
    )


async def noted(world: World, actor: Actor, action: str, **more: Any) -> None:
    async with world.database.connection() as conn:
        await audit.note(conn, actor, world.clock(), action, **more)


async def test_treatment_is_left_out_counted_and_shown_when_asked_for(world: World) -> None:
    await world.alder.read("Condition", "cold")
    for _ in range(2):
        await world.birch.read("Condition", "cold")
    found = await told(world)
    assert found.lines == []
    assert found.left_out == {"operations": 1}
    (line,) = (await told(world, everything=True)).lines
    assert (line.organization, line.address, line.types) == (
        "Birch Clinic",
        "1 Birch Road, Alder",
        ("Condition",),
    )
    assert (line.times, line.rule) == (2, "operations")


async def test_other_purposes_are_listed(world: World) -> None:
    research = world.of(replace(who("birch"), purpose="HRESCH"))
    await noted(world, research.actor, "read", rtype="Condition", patients=["ada"])
    await noted(
        world,
        replace(research.actor, purpose="PUBHLTH", role="system"),
        "read",
        rtype="Immunization",
        patients=["ada"],
    )
    assert {(one.kind, one.purpose, one.rule) for one in (await told(world)).lines} == {
        ("organization", "HRESCH", ""),
        ("registry", "PUBHLTH", ""),
    }


async def test_emergencies_apps_and_links_are_always_there(world: World) -> None:
    cedar = world.of(who("cedar", user="dr-cedar"))
    await emergency.grant(cedar, "ada", "unconscious in the emergency room")
    await cedar.read("Condition", "cold")
    app = replace(ADA, client="app:pal", app="g1", scopes=frozenset({"patient/*.rs"}), context="ada")
    await world.of(app).read("Condition", "cold")
    link = replace(ADA, user="link-1", client="link")
    await noted(world, link, "link", patients=["ada"])
    lines = (await told(world)).lines
    assert {(one.kind, one.rule) for one in lines} == {
        ("emergency", "operations"),
        ("app", "individual"),
        ("link", "individual"),
    }


async def test_what_is_refused_own_or_written_is_no_disclosure(world: World) -> None:
    await noted(world, who("birch"), "read", outcome=audit.MINOR, patients=["ada"])
    await noted(world, who("birch"), "create", rtype="Condition", patients=["ada"])
    await world.of(ADA).read("Condition", "cold")
    assert (await told(world, everything=True)).lines == []


async def test_bulk_exports_and_archived_months_are_said(world: World) -> None:
    program = Actor(1, "export", "x", "system", "", "cli", "HOPERAT")
    await noted(world, program, "export", detail="finished run-1, 3 resources")
    async with world.database.dedicated(owner=True) as conn:
        await conn.execute(
            "INSERT INTO audit_archive VALUES ('2026-03-01', %s, 1, 'x', 'f')", (world.clock(),)
        )
    found = await told(world)
    assert len(found.exports) == 1
    assert [month.isoformat() for month in found.archived] == ["2026-03-01"]


async def test_only_the_patient_and_the_privacy_officer_of_who_keeps_the_record(world: World) -> None:
    assert await told(world, who("alder", "privacy-officer"))
    for asker in (who("alder"), who("alder", "front-desk"), replace(ADA, role="proxy")):
        with pytest.raises(Forbidden):
            await told(world, asker)
    with pytest.raises((Forbidden, NotFound)):
        await told(world, who("birch", "privacy-officer"))
    with pytest.raises(Forbidden):
        await told(world, replace(ADA, patient="bea"))
