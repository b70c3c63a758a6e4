"""What the demo's clinician finds in the inbox comes from resources that any laboratory could have sent."""

from __future__ import annotations

from collections import Counter
from datetime import UTC, date, datetime, time

import pytest

from commonchart.access import users
from commonchart.access.inbox import reading
from commonchart.access.records import Records
from commonchart.demo import morning, practice, seed
from commonchart.demo.courses import Entry, Traits
from commonchart.fhir.validate import validate
from commonchart.jobs import inbox
from commonchart.record.database import Database
from tests.conftest import Clock
from tests.inbox import SITE

UNTIL = date(2026, 11, 18)
BEGINS = datetime.combine(UNTIL, time(), UTC)


def lately(n: int) -> list[Entry]:
    member = practice.member(n, UNTIL)
    ours = {f"{e.resource['resourceType']}/{e.resource['id']}" for e in morning.results(_traits(n), UNTIL)}
    return [e for e in member.entries if f"{e.resource['resourceType']}/{e.resource['id']}" in ours]


def _traits(n: int) -> Traits:
    from random import Random

    random = Random(f"{practice.SEED}/{n}")
    return practice._chosen(n, practice._drawn(n, random, UNTIL), UNTIL)


@pytest.mark.parametrize("n", sorted(morning.STORIES))
def test_every_story_is_told_valid_and_in_order(n: int) -> None:
    entries = lately(n)
    assert entries
    for one in entries:
        validate(one.resource)
    assert [one.recorded for one in entries] == sorted(one.recorded for one in entries)
    assert max(one.recorded for one in entries) < BEGINS.replace(hour=1)  # the morning has only begun


def test_there_is_something_of_every_kind() -> None:
    statuses = Counter(
        one.resource["status"]
        for n in morning.STORIES
        for one in lately(n)
        if one.resource["resourceType"] != "ServiceRequest"
    )
    assert {"final", "preliminary", "partial", "corrected"} <= set(statuses)
    assert len(morning.STORIES) == 24
    assert morning.results(_traits(200), UNTIL) == []


async def test_the_clinician_of_the_demo_finds_them_in_the_inbox(database: Database, clock: Clock) -> None:
    clock.set(BEGINS.replace(minute=40))
    await seed.prepare(database, clock(), 1)
    await seed._store(database, practice.staff(), "Organization", practice.ORGANIZATIONS[0][0])
    for n in (4, 15, 33, 34):
        member = practice.member(n, UNTIL)
        own = [e for e in member.entries if e.resource["resourceType"] == "Patient"]
        await seed._store(database, [*own, *lately(n)], "Patient", member.id)
    while await inbox.drain(database, clock, SITE):
        pass
    user = await users.find(database, "clinician")
    found = await reading.listed(Records(database, users.actor(user, "test"), clock))
    assert [(one.judged.title, one.judged.kind) for one in found.lines] == [
        ("Basic metabolic panel", "critical"), ("Blood count", "abnormal"), ("Sodium", "cannot-tell"), ("Creatinine", "normal"),
    ]  # fmt: skip
    assert [bool(one.judged.partial) for one in found.lines] == [False, True, False, False]
    assert found.lines[3].judged.corrected
    assert {one.item.owner for one in found.lines} == {user.id}
    assert found.lines[0].alert is not None
