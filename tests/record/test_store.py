"""Versions: what is written is what is read, in every order; two writers never overwrite each other."""

from __future__ import annotations

import asyncio
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from commonchart.fhir import json
from commonchart.fhir.outcome import Conflict, Gone, NotFound, Stale
from commonchart.record import store
from commonchart.record.database import Database
from commonchart.record.rows import Stamp, Stored, Write, Written
from commonchart.search.index import extract

START = datetime(2026, 1, 1, tzinfo=UTC)


def stamp(minutes: int = 0, source: str = "") -> Stamp:
    return Stamp(1, "org", "me", START + timedelta(minutes=minutes), source)


def observation(id: str, subject: str = "ada", **more: Any) -> dict[str, Any]:
    return {
        "resourceType": "Observation",
        "id": id,
        "status": "final",
        "code": {"text": "x"},
        "subject": {"reference": f"Patient/{subject}"},
    } | more


def put(body: dict[str, Any], **how: Any) -> Write:
    return Write(body["resourceType"], body["id"], body, extract(body["resourceType"], body), **how)


async def write(database: Database, at: Stamp, *writes: Write) -> list[Written]:
    async with database.connection() as conn:
        return await store.write(conn, at, writes)


async def current(database: Database, id: str) -> Stored | None:
    async with database.connection() as conn:
        return await store.read(conn, 1, "Observation", id)


async def test_what_is_written_is_read_with_the_servers_stamps_first(database: Database) -> None:
    body = observation(
        "o1",
        valueQuantity={"value": json.decode(b'{"v":1.10}')["v"]},
        meta={"source": "urn:x", "versionId": "9"},
    )
    (done,) = await write(database, stamp(), put(body))
    assert done.state == "created"
    assert (done.stored.body or b"").startswith(
        b'{"resourceType":"Observation","id":"o1","meta":{"versionId":"1","lastUpdated":"2026-01-01T00:00:00.000Z","source":"urn:x"}'
    )
    assert b'"value":1.10}' in (done.stored.body or b"")
    assert await current(database, "o1") == done.stored


async def test_time_never_goes_backwards_for_one_resource(database: Database) -> None:
    await write(database, stamp(10), put(observation("o1")))
    (second,) = await write(database, stamp(5), put(observation("o1", status="amended")))
    assert second.stored.recorded == START + timedelta(minutes=10, milliseconds=1)


async def test_unchanged_is_not_written_again(database: Database) -> None:
    await write(database, stamp(), put(observation("o1")))
    (same,) = await write(database, stamp(1), put(observation("o1"), skip_unchanged=True))
    (other,) = await write(database, stamp(2), put(observation("o1", status="amended"), skip_unchanged=True))
    assert (same.state, same.stored.vid, other.state, other.stored.vid) == ("unchanged", 1, "updated", 2)


async def test_refusals_leave_nothing(database: Database) -> None:
    await write(database, stamp(source="north"), put(observation("o1")))
    gone = Write("Observation", "o2", None)
    cases: list[tuple[type[Exception], Stamp, Write]] = [
        (Stale, stamp(), put(observation("o1"), if_match=7)),
        (Stale, stamp(), put(observation("new"), if_match=1)),
        (Conflict, stamp(), put(observation("o1"), must_be_new=True)),
        (Conflict, stamp(source="south"), put(observation("o1", status="amended"))),
        (NotFound, stamp(), gone),
    ]
    for refusal, at, bad in cases:
        with pytest.raises(refusal):
            await write(database, at, put(observation("other")), bad)
    assert await current(database, "other") is None
    assert (await current(database, "o1") or Stored).vid == 1  # type: ignore[union-attr]


async def test_a_deletion_is_a_version_and_can_be_undone(database: Database) -> None:
    await write(database, stamp(), put(observation("o1")))
    await write(database, stamp(1), Write("Observation", "o1", None))
    with pytest.raises(Gone):
        await write(database, stamp(2), Write("Observation", "o1", None))
    (back,) = await write(database, stamp(3), put(observation("o1")))
    assert (back.state, back.stored.vid) == ("created", 3)
    async with database.connection() as conn:
        versions = await store.history(conn, 1, "Observation", "o1")
    assert [(v.vid, v.deleted) for v in versions] == [(3, False), (2, True), (1, False)]


async def test_a_resource_moves_with_its_subject_and_keeps_its_past(database: Database) -> None:
    for minute, subject in enumerate(("ada", "bob", "ada", "cyd")):
        await write(database, stamp(minute), put(observation("o1", subject)))
    async with database.connection() as conn:
        versions = await store.history(conn, 1, "Observation", "o1")
        old = await store.vread(conn, 1, "Observation", "o1", 2)
    assert [v.patient for v in versions] == ["cyd", "ada", "bob", "ada"]
    assert old is not None
    assert old.patient == "bob"
    assert (await current(database, "o1") or old).patient == "cyd"


async def test_the_same_id_twice_in_a_batch_makes_two_versions(database: Database) -> None:
    done = await write(database, stamp(), put(observation("o1")), put(observation("o1", status="amended")))
    assert [d.stored.vid for d in done] == [1, 2]


@pytest.mark.parametrize("size", [3, 60])
async def test_small_and_large_batches_store_the_same(database: Database, size: int) -> None:
    bodies = [
        observation(
            f"o{n}",
            valueQuantity={"value": n, "code": "mg"},
            identifier=[{"system": "urn:x", "value": str(n)}],
        )
        for n in range(size)
    ]
    await write(database, stamp(), *map(put, bodies))
    async with database.connection() as conn:
        for table in ("resource", "quantity_row", "identifier_row", "change"):
            row = await (await conn.execute(f"SELECT count(*) FROM {table}")).fetchone()
            assert row == (size,), table


async def test_of_two_writers_exactly_one_wins(database: Database) -> None:
    await write(database, stamp(), put(observation("o1")))

    async def attempt(n: int) -> bool:
        try:
            await write(database, stamp(n), put(observation("o1", valueInteger=n), if_match=1))
        except Stale:
            return False
        return True

    assert sum(await asyncio.gather(*(attempt(n) for n in range(1, 7)))) == 1
    found = await current(database, "o1")
    assert found is not None
    assert found.vid == 2


async def test_many_writers_without_conditions_lose_no_version(database: Database) -> None:
    await asyncio.gather(
        *(write(database, stamp(n), put(observation("o1", valueInteger=n))) for n in range(8))
    )
    async with database.connection() as conn:
        versions = await store.history(conn, 1, "Observation", "o1")
    assert sorted(v.vid for v in versions) == list(range(1, 9))
    assert len({v.recorded for v in versions}) == 8


_ACTS = st.lists(
    st.tuples(st.sampled_from("abc"), st.sampled_from(["put", "delete"]), st.integers(0, 3)), max_size=14
)


@given(_ACTS)
@settings(max_examples=25, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
async def test_the_store_is_its_model(database: Database, acts: list[tuple[str, str, int]]) -> None:
    """History, current state and the state known at any moment, against plain lists."""
    async with database.connection() as conn:
        for table in (
            "resource",
            "history",
            "resource_loc",
            "change",
            "string_row",
            "quantity_row",
            "text_row",
            "contained_row",
        ):
            await conn.execute(f"DELETE FROM {table}")
    model: dict[str, list[tuple[datetime, int | None]]] = {}
    for minute, (id, act, value) in enumerate(acts):
        body = observation(id, valueInteger=value)
        versions = model.get(id, [])
        if act == "delete" and (not versions or versions[-1][1] is None):
            continue
        await write(database, stamp(minute), put(body) if act == "put" else Write("Observation", id, None))
        model.setdefault(id, []).append((START + timedelta(minutes=minute), value if act == "put" else None))
    async with database.connection() as conn:
        for id, versions in model.items():
            found = await store.history(conn, 1, "Observation", id)
            assert [_value(v) for v in reversed(found)] == [value for _, value in versions]
        for minute in range(len(acts)):
            moment = START + timedelta(minutes=minute, seconds=30)
            known = {v.id: _value(v) for v in await store.history(conn, 1, None, None, at=moment)}
            assert known == {
                id: [v for t, v in vs if t <= moment][-1] for id, vs in model.items() if vs[0][0] <= moment
            }


def _value(version: Stored) -> int | None:
    found = json.decode(version.body)["valueInteger"] if version.body else None
    return found if isinstance(found, int) else None
