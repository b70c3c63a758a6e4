"""Indexing again beside writers: what is written meanwhile stays, nothing is left out, and it goes on where it stopped."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

from commonchart.jobs import reindex
from commonchart.record import store
from commonchart.record.database import Database
from commonchart.record.rows import Stamp, Write
from commonchart.search.index import VERSION, extract
from tests.conftest import Clock

NOW = datetime(2026, 1, 1, tzinfo=UTC)


def named(n: int, family: str) -> dict[str, Any]:
    return {"resourceType": "Patient", "id": f"p{n}", "name": [{"family": family}]}


async def write(database: Database, *resources: dict[str, Any], minutes: int = 0) -> None:
    async with database.connection() as conn:
        writes = [Write("Patient", one["id"], one, extract("Patient", one)) for one in resources]
        await store.write(conn, Stamp(1, "o", "me", NOW + timedelta(minutes=minutes)), writes)


async def families(database: Database) -> dict[str, str]:
    async with database.connection() as conn:
        rows = await (
            await conn.execute("SELECT id, folded FROM string_row WHERE param = 'family'")
        ).fetchall()
    assert len(rows) == len(dict(rows))
    return dict(rows)


async def test_writers_go_on_meanwhile_and_every_resource_ends_indexed_once(
    database: Database, clock: Clock, monkeypatch: Any
) -> None:
    monkeypatch.setattr(reindex, "BATCH", 4)
    await write(database, *(named(n, f"old{n}") for n in range(10)))
    async with database.connection() as conn:
        await conn.execute("DELETE FROM string_row")
    await reindex.again(database, clock(), VERSION)
    assert await reindex.drain(database, clock) == 0
    clock.advance(seconds=11)
    turn = 0
    while await reindex.drain(database, clock):
        turn += 1
        await write(
            database, *(named(n, f"turn{turn}") for n in (0, 5, 9)), named(10 + turn, "new"), minutes=turn
        )
        states = {run.state for run in await reindex.status(database, 1)}
        assert states <= {"waiting", "done"}
        if turn > 20:
            break
    (run,) = await reindex.status(database, 1)
    assert (run.state, run.total) == ("done", 10)
    assert run.done >= 10
    held = await families(database)
    assert {id: held[id] for id in ("p1", "p4", "p8")} == {"p1": "old1", "p4": "old4", "p8": "old8"}
    assert held["p0"] == held["p5"] == held["p9"] == f"turn{turn}"
    assert len(held) == 10 + turn


async def test_it_stops_where_nothing_waits(database: Database, clock: Clock) -> None:
    assert await reindex.drain(database, clock) == 0
    assert await reindex.status(database, 1) == []
