"""Every act leaves its row, in the statement or transaction of the act; rows hold ids, never contents."""

from __future__ import annotations

from typing import Any

import pytest

from commonchart.access.records import Delete, Records
from commonchart.fhir.outcome import Forbidden, NotFound
from commonchart.record.database import Database
from commonchart.search.query import parse
from tests.access.test_records import observation, person, put
from tests.actors import clinician, front_desk, patient_of
from tests.conftest import Clock

Row = dict[str, Any]


async def rows(database: Database) -> list[Row]:
    names = ("actor", "action", "outcome", "rtype", "id", "vid", "patients", "query")
    async with database.connection() as conn:
        cursor = await conn.execute(f"SELECT {', '.join(names)} FROM audit ORDER BY seq")
        return [dict(zip(names, row, strict=True)) for row in await cursor.fetchall()]


@pytest.fixture
async def records(database: Database, clock: Clock) -> Records:
    made = Records(database, clinician(), clock)
    await made.commit([put(person("ada")), put(observation("o1"))])
    return made


async def last(records: Records) -> Row:
    return (await rows(records.database))[-1]


async def test_writes_leave_a_row_each(records: Records) -> None:
    await records.commit([put(observation("o1", status="amended")), put(observation("o2"))])
    await records.commit([Delete("Observation", "o2")])
    made = [(r["action"], r["rtype"], r["id"], r["vid"], r["patients"]) for r in await rows(records.database)]
    assert made == [
        ("create", "Patient", "ada", 1, ["ada"]),
        ("create", "Observation", "o1", 1, ["ada"]),
        ("update", "Observation", "o1", 2, ["ada"]),
        ("create", "Observation", "o2", 1, ["ada"]),
        ("delete", "Observation", "o2", 2, ["ada"]),
    ]


async def test_every_way_of_reading_names_the_patients(records: Records) -> None:
    acts = [
        records.read("Observation", "o1"),
        records.history("Observation", "o1"),
        records.search(parse("Observation", [("code", "4548-4")])),
        records.facts("ada", ["Observation"]),
        records.counts("ada"),
        records.latest("ada", categories=["laboratory"]),
        records.find_patients("ada"),
        records.named([("Patient", "ada")]),
        records.audit_of("ada"),
    ]
    for act in acts:
        before = len(await rows(records.database))
        await act  # type: ignore[misc]
        new = (await rows(records.database))[before:]
        assert any("ada" in row["patients"] for row in new), act
    assert any(row["query"] == "code=4548-4" for row in await rows(records.database))


async def test_a_count_is_a_search(records: Records) -> None:
    await records.search(parse("Observation", [("_summary", "count")]))
    assert (await last(records))["action"] == "search"


async def test_denials_and_misses_leave_a_row(records: Records) -> None:
    desk = Records(records.database, front_desk(), records.clock)
    with pytest.raises(Forbidden):
        await desk.read("Observation", "o1")
    assert ((await last(records))["actor"], (await last(records))["outcome"]) == ("desk", 8)
    bob = Records(records.database, patient_of("bob"), records.clock)
    with pytest.raises(NotFound):
        await bob.read("Observation", "o1")
    assert ((await last(records))["outcome"], (await last(records))["id"]) == (4, "o1")
    own = [row for row in await rows(records.database) if row["actor"] == "user-bob"]
    assert [row["outcome"] for row in own] == [4]


async def test_a_read_names_the_version_that_was_shown(records: Records) -> None:
    await records.commit([put(observation("o1", status="amended"))])
    await records.read("Observation", "o1")
    assert ((await last(records))["id"], (await last(records))["vid"]) == ("o1", 2)
    await records.vread("Observation", "o1", 1)
    seen = await last(records)
    assert (seen["action"], seen["id"], seen["vid"], seen["patients"]) == ("vread", "o1", 1, ["ada"])


async def test_a_refused_write_leaves_no_row_of_a_write(records: Records) -> None:
    before = await rows(records.database)
    with pytest.raises(NotFound):
        await records.commit([put(observation("o9")), Delete("Observation", "none")])
    *same, denied = await rows(records.database)  # what was refused, and nothing else of it
    assert same == before
    assert (denied["action"], denied["outcome"], denied["rtype"], denied["id"]) == (
        "delete",
        4,
        "Observation",
        "none",
    )


async def test_without_its_audit_row_an_act_fails(records: Records) -> None:
    async with records.database.dedicated(owner=True) as conn:
        await conn.execute("ALTER TABLE audit ADD CONSTRAINT closed CHECK (false) NOT VALID")
    with pytest.raises(Exception, match="closed"):
        await records.read("Observation", "o1")
    with pytest.raises(Exception, match="closed"):
        await records.commit([put(observation("o9"))])
    async with records.database.dedicated(owner=True) as conn:
        await conn.execute("ALTER TABLE audit DROP CONSTRAINT closed")
    with pytest.raises(NotFound):
        await records.read("Observation", "o9")


async def test_the_trail_of_a_patient_is_newest_first(records: Records) -> None:
    await records.read("Observation", "o1")
    trail = await records.audit_of("ada")
    assert [event.action for event in trail][-2:] == ["create", "create"]
    assert trail[0].action == "read-audit"
