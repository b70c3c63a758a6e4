"""Reports over the trail: what they find, who may read them, and that reading them is an event."""

from __future__ import annotations

from datetime import datetime, timedelta

import pytest

from commonchart.access import audit, trail, users
from commonchart.access.actors import Actor
from commonchart.access.records import Records
from commonchart.access.trail import Ask
from commonchart.fhir.outcome import Forbidden, NotFound
from commonchart.record.database import Database
from tests.access.test_records import observation, person, put
from tests.actors import administrator, clinician, front_desk, patient_of
from tests.conftest import Clock


@pytest.fixture
async def records(database: Database, clock: Clock) -> Records:
    """What an administrator reads, after a clinician recorded and read something and a patient was refused."""
    doc = Records(database, clinician(), clock)
    await doc.commit([put(person("ada")), put(person("bo")), put(observation("o1"))])
    await doc.read("Observation", "o1")
    clock.advance(minutes=1)
    with pytest.raises(Forbidden):
        await Records(database, patient_of("ada"), clock).commit([put(observation("o2"))])
    return Records(database, administrator(), clock)


def ask(clock: Clock, **more: object) -> Ask:
    now: datetime = clock.now
    return Ask(now - timedelta(days=1), now + timedelta(days=1), **more)  # type: ignore[arg-type]


async def acts(records: Records, asked: Ask) -> list[str]:
    return [one.event.action for one in await trail.events(records, asked, limit=50)]


async def test_what_is_asked_for(records: Records, clock: Clock) -> None:
    assert (await acts(records, ask(clock)))[-4:] == ["read", "create", "create", "create"]
    assert await acts(records, ask(clock, kind="changes")) == ["create"] * 3
    assert set(await acts(records, ask(clock, kind="denials"))) == {"update"}
    assert await acts(records, ask(clock, patient="bo")) == ["create"]
    assert await acts(records, ask(clock, action="read")) == ["read"]
    assert await acts(records, ask(clock, actor="nobody")) == []
    upwards = await trail.events(records, ask(clock, sort="action", descending=False), limit=2)
    assert [one.event.action for one in upwards] == ["create", "create"]
    assert await acts(records, Ask(clock.now + timedelta(days=2), clock.now + timedelta(days=3))) == []


async def test_reading_the_trail_is_an_event(records: Records, clock: Clock) -> None:
    await acts(records, ask(clock, patient="ada"))
    (last,) = await trail.events(records, ask(clock, action="report"), limit=5)
    assert (last.event.actor, last.event.patients, last.event.detail) == ("root", ["ada"], "all")


@pytest.mark.parametrize("actor", [clinician(), front_desk(), patient_of("ada")])
async def test_only_those_who_answer_for_privacy_read_it(
    records: Records, clock: Clock, actor: Actor
) -> None:
    for reading in (
        trail.events(Records(records.database, actor, clock), ask(clock), limit=1),
        trail.event(Records(records.database, actor, clock), 1),
        trail.unusual(Records(records.database, actor, clock), clock.now, clock.now),
        trail.own(Records(records.database, actor, clock), "bo", limit=1),
    ):
        with pytest.raises(Forbidden):
            await reading
    refused = await trail.events(records, ask(clock, kind="denials", action="report"), limit=9)
    assert len(refused) == 4
    assert {one.event.actor for one in refused} == {actor.user}


async def test_a_patient_reads_their_own(records: Records, clock: Clock) -> None:
    found = await trail.own(Records(records.database, patient_of("ada"), clock), "ada", limit=50)
    assert [(one.action, one.rtype) for one in found] == [
        ("read", "Observation"),
        ("create", "Observation"),
        ("create", "Patient"),
    ]
    later = await trail.own(Records(records.database, patient_of("ada"), clock), "ada", limit=50)
    assert later[0].action == "report"
    assert (
        await trail.own(
            Records(records.database, patient_of("ada"), clock), "ada", limit=50, before=found[-1].at
        )
        == []
    )


async def test_charts_of_ones_own_name(records: Records, database: Database, clock: Clock) -> None:
    family = {"family": "Moreau", "given": ["Sol"]}
    await Records(database, clinician(), clock).commit([put({**person("sol"), "name": [family]})])
    for login, name in (("sol", "Sol Moreau"), ("ann", "Ann Moreau"), ("eve", "Eve Marsh")):
        user = await users.create(
            database, tenant=1, login=login, name=name, role="clinician", org="alder", now=clock()
        )
        await Records(database, users.actor(user, "web"), clock).read("Patient", "sol")
    found = await trail.unusual(records, clock.now - timedelta(days=1), clock.now + timedelta(days=1))
    assert {(one.who, one.rule, one.patient) for one in found} == {
        ("Sol Moreau", "own chart", "sol"),
        ("Ann Moreau", "same family name", "sol"),
    }


async def test_a_day_with_many_charts(records: Records, database: Database, clock: Clock) -> None:
    async with database.connection() as conn:
        for day, charts in enumerate([5, 5, trail.MANY]):
            at = clock.now + timedelta(days=day)
            for n in range(charts):
                await audit.note(
                    conn, clinician("busy"), at, "read", rtype="Patient", id=f"p{n}", patients=[f"p{n}"]
                )
        for n in range(trail.MANY):  # who sees that many every day is not unusual
            await audit.note(conn, clinician("desk"), clock.now, "read", patients=[f"p{n}"])
    found = await trail.unusual(records, clock.now - timedelta(days=1), clock.now + timedelta(days=9))
    assert [(one.actor, one.rule, one.times) for one in found] == [("busy", "many charts", trail.MANY)]
    assert found[0].why == "50 charts in a day, 5 on a usual one"


async def test_every_kind_is_a_statement_that_runs(records: Records, clock: Clock) -> None:
    for kind in trail.KINDS:
        for sort in trail.SORTS:
            await trail.events(records, ask(clock, kind=kind, sort=sort), limit=1)


async def test_in_a_network_an_organisation_reads_what_concerns_it(database: Database, clock: Clock) -> None:
    """Its own people's acts whole; of others' acts only that its own patients were in them; nothing else, by no door."""

    def of(org: str, role: str, user: str) -> Records:
        return Records(database, Actor(1, user, user, role, org, "test", network=True), clock)  # type: ignore[arg-type]

    alder, birch = of("alder", "system", "al"), of("birch", "system", "bi")
    await alder.commit([put(person("ada"))])
    await birch.commit([put(person("bo"))])
    await birch.read("Patient", "bo")
    async with database.connection() as conn:  # an act of Birch that two organisations' patients are in
        await audit.note(
            conn,
            birch.actor,
            clock(),
            "search",
            rtype="Patient",
            patients=["ada", "bo"],
            query="name=Canary",
            detail="x",
        )
    officer = of("alder", "privacy-officer", "po")
    found = await trail.events(officer, ask(clock), limit=50)
    told = [
        (one.event.actor, one.event.action, one.event.patients) for one in found if one.event.actor != "po"
    ]
    assert told == [("bi", "search", ["ada"]), ("al", "create", ["ada"])]
    shared = found[[one.event.actor for one in found].index("bi")]
    assert (shared.event.query, shared.event.detail) == (None, None)
    assert await trail.events(officer, ask(clock, patient="bo"), limit=9) == []
    every = await trail.events(Records(database, administrator(), clock), ask(clock), limit=50)
    hidden = [one.seq for one in every if one.event.actor == "bi" and one.event.patients == ["bo"]]
    assert hidden
    assert [await trail.event(officer, seq) for seq in hidden] == [None] * len(hidden)
    with pytest.raises(NotFound):
        await trail.own(officer, "bo", limit=5)


async def test_in_a_network_the_unusual_is_of_ones_own_people_and_patients(
    database: Database, clock: Clock
) -> None:
    family = [{"family": "Moreau", "given": ["Sol"]}]
    for org, patient in (("alder", "sol"), ("birch", "mo")):
        keeper = Records(database, Actor(1, org, org, "system", org, "test", network=True), clock)
        await keeper.commit([put({**person(patient), "name": family})])
    user = await users.create(
        database, tenant=1, login="ann", name="Ann Moreau", role="clinician", org="birch", now=clock()
    )
    await Records(database, users.actor(user, "web", network=True), clock).read("Patient", "mo")
    span = clock.now - timedelta(days=1), clock.now + timedelta(days=1)
    for org, found in (("alder", []), ("birch", ["mo"])):
        officer = Records(database, Actor(1, "po", "po", "privacy-officer", org, "test", network=True), clock)
        assert [one.patient for one in await trail.unusual(officer, *span)] == found
