"""The one door: policy on every method, the past as it was known, signed notes, audit rows with every act."""

from __future__ import annotations

import base64
from datetime import UTC, datetime, timedelta
from typing import Any

import psycopg
import pytest

from commonchart.access import audit
from commonchart.access.actors import Actor
from commonchart.access.records import Create, Delete, Put, Records
from commonchart.fhir.outcome import Conflict, Forbidden, NotFound
from commonchart.fhir.validate import validate
from commonchart.record.connection import Connection
from commonchart.record.database import Database
from commonchart.search.query import parse
from tests.actors import administrator, clinician, front_desk, patient_of
from tests.conftest import Clock

DAY = timedelta(days=1)


def observation(id: str, subject: str = "ada", when: str = "2026-01-01", **more: Any) -> dict[str, Any]:
    code = {"coding": [{"system": "http://loinc.org", "code": "4548-4"}]}
    category = [
        {
            "coding": [
                {"system": "http://terminology.hl7.org/CodeSystem/observation-category", "code": "laboratory"}
            ]
        }
    ]
    return {
        "resourceType": "Observation", "id": id, "status": "final", "code": code, "category": category,
        "subject": {"reference": f"Patient/{subject}"}, "effectiveDateTime": when,
    } | more  # fmt: skip


def person(id: str) -> dict[str, Any]:
    return {
        "resourceType": "Patient",
        "id": id,
        "name": [{"family": id.title(), "given": ["Zoë"]}],
        "birthDate": "1970-05-10",
        "telecom": [{"system": "phone", "value": "555 0142"}],
        "identifier": [{"value": "004 417 726"}],
    }


def put(body: dict[str, Any]) -> Put:
    return Put(validate(body), body["id"])


@pytest.fixture
async def records(database: Database, clock: Clock) -> Records:
    made = Records(database, clinician(), clock)
    await made.commit([put(person("ada")), put(person("bob"))])
    return made


def as_actor(records: Records, actor: Actor) -> Records:
    return Records(records.database, actor, records.clock)


async def test_the_chart_as_of_a_date_is_what_was_known_then(records: Records, clock: Clock) -> None:
    begin = clock()
    await records.commit([put(observation("o1")), put(observation("o2", when="2025-06-01"))])
    clock.set(begin + 10 * DAY)
    await records.commit(
        [put(observation("o1", status="corrected")), Delete("Observation", "o2"), put(observation("o3"))]
    )
    now = await records.facts("ada", ["Observation"])
    then = await records.facts("ada", ["Observation"], as_of=begin + 5 * DAY)
    before = await records.facts("ada", ["Observation"], as_of=begin - DAY)
    assert [(s.id, s.status) for s in now.items] == [("o1", "corrected"), ("o3", "final")]
    assert [(s.id, s.status) for s in then.items] == [("o1", "final"), ("o2", "final")]
    assert (now.total, then.total, before.total) == (2, 2, 0)
    assert (await records.counts("ada", begin + 5 * DAY))["Observation"] == 2
    assert "Observation" not in await records.counts("ada", begin - DAY)


async def test_facts_are_paged_and_narrowed(records: Records) -> None:
    await records.commit([put(observation(f"o{n}", when=f"2026-01-{n + 1:02}")) for n in range(9)])
    first = await records.facts("ada", ["Observation"], limit=4)
    second = await records.facts("ada", ["Observation"], limit=4, offset=4)
    assert [s.id for s in first.items + second.items] == [f"o{n}" for n in range(8, 0, -1)]
    assert first.total == 9
    early = await records.facts(
        "ada", ["Observation"], hi=datetime(2026, 1, 3, tzinfo=UTC), newest_first=False
    )
    assert [s.id for s in early.items] == ["o0", "o1"]
    assert (await records.facts("ada", ["Observation"], codes=["http://loinc.org|4548-4"])).total == 9
    assert (await records.facts("ada", ["Observation"], codes=["http://loinc.org|2160-0"])).total == 0
    assert (await records.facts("ada", ["Observation"], categories=["laboratory"])).total == 9
    assert (await records.facts("ada", ["Observation"], categories=["vital-signs"])).total == 0


async def test_a_fact_is_found_by_any_of_its_codes_now_and_then(records: Records, clock: Clock) -> None:
    both = {
        "coding": [{"system": "urn:lab", "code": "HBA1C"}, {"system": "http://loinc.org", "code": "17856-6"}]
    }
    await records.commit([put(observation("o1", code=both)), put(observation("o2"))])
    known = clock()
    clock.advance(days=1)
    await records.commit([put(observation("o1", code=both, status="entered-in-error"))])
    for code in ("urn:lab|HBA1C", "http://loinc.org|17856-6"):
        now = await records.facts("ada", ["Observation"], codes=[code])
        then = await records.facts("ada", ["Observation"], codes=[code], as_of=known)
        assert [(s.id, s.vid) for s in now.items] == [("o1", 2)]
        assert [(s.id, s.vid) for s in then.items] == [("o1", 1)]
    assert (await records.facts("ada", ["Observation"], codes=["urn:lab|17856-6"], as_of=known)).total == 0


async def test_the_latest_of_each_code_now_and_then(records: Records, clock: Clock) -> None:
    other = {"coding": [{"system": "http://loinc.org", "code": "2160-0"}]}
    await records.commit(
        [put(observation(f"a{n}", when=f"2026-01-{n + 1:02}")) for n in range(4)]
        + [put(observation("b", code=other))]
    )
    known = clock()
    clock.advance(days=1)
    await records.commit([put(observation("a9", when="2026-02-01"))])
    now = await records.latest("ada", categories=["laboratory"], per_code=2)
    then = await records.latest("ada", categories=["laboratory"], per_code=2, as_of=known)
    assert sorted(s.id for s in now) == ["a3", "a9", "b"]
    assert sorted(s.id for s in then) == ["a2", "a3", "b"]


async def test_linked_records_make_one_chart(records: Records) -> None:
    await records.commit([put(observation("o1")), put(observation("o2", "bob"))])
    async with records.database.connection() as conn:
        for patient in ("ada", "bob"):
            await conn.execute(
                "INSERT INTO person_link (tenant, patient, person, linked_at, actor, reason) VALUES (1, %s, 'x', now(), 'me', 'same')",
                (patient,),
            )
    assert {s.id for s in (await records.facts("ada", ["Observation"])).items} == {"o1", "o2"}
    async with records.database.connection() as conn:
        await conn.execute("UPDATE person_link SET unlinked_at = now() WHERE patient = 'bob'")
    assert {s.id for s in (await records.facts("ada", ["Observation"])).items} == {"o1"}


async def test_roles_are_held_to_their_types(records: Records) -> None:
    await records.commit([put(observation("o1"))])
    desk = as_actor(records, front_desk())
    assert (await desk.read("Patient", "ada")).id == "ada"
    for act in (
        desk.read("Observation", "o1"),
        desk.facts("ada", ["Observation"]),
        desk.search(parse("Observation", [])),
    ):
        with pytest.raises(Forbidden):
            await act
    with pytest.raises(Forbidden):
        await desk.commit([Create(validate({k: v for k, v in observation("x").items() if k != "id"}))])
    assert "Observation" not in await desk.counts("ada")


async def test_a_patient_sees_only_their_own(records: Records) -> None:
    await records.commit([put(observation("o1")), put(observation("o2", "bob"))])
    ada = as_actor(records, patient_of("ada"))
    assert (await ada.read("Observation", "o1")).id == "o1"
    for act in (
        ada.read("Observation", "o2"),
        ada.read("Patient", "bob"),
        ada.vread("Observation", "o2", 1),
        ada.history("Observation", "o2"),
    ):
        with pytest.raises(NotFound):
            await act
    assert (await ada.facts("bob", ["Observation"])).total == 0
    assert await ada.counts("bob") == {}
    assert (await ada.search(parse("Observation", []))).total == 1
    assert [s.id for s in await ada.find_patients("Zoë")] == ["ada"]
    with pytest.raises(Forbidden):
        await ada.commit([Delete("Observation", "o1")])


async def test_a_patient_user_without_a_record_sees_nothing(records: Records) -> None:
    nobody = as_actor(records, Actor(1, "u", "U", "patient", "", "test", network=False))
    assert (await nobody.search(parse("Patient", []))).total == 0
    assert (await nobody.search(parse("Organization", []))).total == 0


async def test_another_tenant_is_another_world(records: Records) -> None:
    await records.commit([put(observation("o1"))])
    other = as_actor(records, Actor(2, "doc", "Doc", "clinician", "alder", "test"))
    with pytest.raises(NotFound):
        await other.read("Observation", "o1")
    assert (await other.search(parse("Observation", []))).total == 0
    assert (await other.facts("ada", ["Observation"])).total == 0
    assert await other.find_patients("Ada") == []


def _note(text: str, status: str, *added: str) -> dict[str, Any]:
    content = [
        {"attachment": {"contentType": "text/plain", "data": base64.b64encode(t.encode()).decode()}}
        for t in (text, *added)
    ]
    return {
        "resourceType": "DocumentReference",
        "id": "n",
        "status": "current",
        "docStatus": status,
        "subject": {"reference": "Patient/ada"},
        "content": content,
    }


async def test_a_signed_note_is_only_added_to_through_any_door(records: Records) -> None:
    await records.commit([put(_note("Draft", "preliminary"))])
    await records.commit([put(_note("Seen", "final"))])
    for bad in (_note("Changed", "final"), _note("Seen", "preliminary")):
        with pytest.raises(Conflict):
            await records.commit([put(bad)])
    with pytest.raises(Conflict):
        await records.commit([Delete("DocumentReference", "n")])
    await records.commit([put(_note("Seen", "amended", "And more"))])
    with pytest.raises(Conflict):
        await records.commit([put(_note("Seen", "amended"))])
    await records.commit([put(_note("Seen", "amended", "And more") | {"status": "entered-in-error"})])


@pytest.mark.parametrize(
    "text",
    [
        "ada zoe",
        "ZOË Ada",
        "ada, z",
        "10-May-1970",
        "1970-05-10 ada",
        "05/10/1970",
        "004417726",
        "004 417",
        "5550142",
        "555 0142",
    ],
)
async def test_the_finder_takes_what_people_type(records: Records, text: str) -> None:
    assert "ada" in [s.id for s in await records.find_patients(text)]


@pytest.mark.parametrize("text", ["", "%", "ada bob", "1971-05-10", "999 999", "' OR 1=1"])
async def test_the_finder_finds_nobody_who_does_not_fit(records: Records, text: str) -> None:
    assert [s.id for s in await records.find_patients(text)] in ([], ["bob"])
    if text != "ada bob":
        assert await records.find_patients(text) == []


async def test_recent_patients_are_ones_own(records: Records, clock: Clock) -> None:
    await records.opened("ada")
    clock.advance(minutes=1)
    await records.opened("bob")
    assert [s.id for s in await records.recent_patients()] == ["bob", "ada"]
    assert await as_actor(records, administrator()).recent_patients() == []


async def test_names_are_read_together(records: Records) -> None:
    found = await records.named([("Patient", "ada"), ("Patient", "none"), ("Observation", "o1")])
    assert set(found) == {("Patient", "ada")}


async def test_a_creation_is_one_round_trip_with_its_change_and_audit_row(
    records: Records, monkeypatch: pytest.MonkeyPatch
) -> None:
    body = {name: value for name, value in observation("x").items() if name != "id"}
    await records.commit([Create(validate(body))])
    trips: list[int] = []
    exchange = Connection._exchange

    async def counted(conn: Connection, asked: Any) -> Any:
        trips.append(len(asked))
        return await exchange(conn, asked)

    monkeypatch.setattr(Connection, "_exchange", counted)
    (written,) = await records.commit([Create(validate(body))])
    assert len(trips) == 1
    stored = written.stored
    async with records.database.single() as conn:
        for table in ("resource", "resource_loc", "change", "audit"):
            sql = f"SELECT count(*) FROM {table} WHERE rtype = 'Observation' AND id = %s"
            assert await conn.fetch(sql, (stored.id,)) == [(1,)], table
    assert (await records.read("Observation", stored.id)).body == stored.body


async def test_what_fails_on_the_way_leaves_nothing_even_where_the_commit_goes_along(
    records: Records, monkeypatch: pytest.MonkeyPatch
) -> None:
    body = {name: value for name, value in observation("x").items() if name != "id"}
    async with records.database.single() as conn:
        before = await conn.fetch("SELECT count(*), max(seq) FROM change")
    with monkeypatch.context() as patch:
        patch.setattr(
            audit, "of_writes", lambda *_: [("INSERT INTO audit (at, tenant) VALUES (NULL, 1)", ())]
        )
        with pytest.raises(psycopg.errors.NotNullViolation):
            await records.commit([Create(validate(body))])
    async with records.database.single() as conn:
        assert await conn.fetch("SELECT count(*), max(seq) FROM change") == before
        assert await conn.fetch("SELECT count(*) FROM resource WHERE rtype = 'Observation'") == [(0,)]
    (written,) = await records.commit([Create(validate(body))])
    assert written.state == "created"
