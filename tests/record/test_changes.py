"""The change feed: every committed version once, in an order that late commits cannot upset."""

from __future__ import annotations

import asyncio

from commonchart.record import changes, store
from commonchart.record.database import Database
from tests.record.test_store import observation, put, stamp, write


async def take(database: Database, name: str = "x", limit: int = 100, *, patient: bool = True) -> list[str]:
    """What the cursor gives. Transactions of other databases on the server hold the horizon too: that is waited for."""
    for _ in range(200):
        async with database.connection() as conn:
            batch = await changes.take(conn, name, limit)
            await changes.advance(conn, name, batch)
            if batch.changes or not patient or not await changes.waiting(conn, name):
                break
        await asyncio.sleep(0.02)
    return [change.id for change in batch.changes]


async def everything(database: Database) -> list[str]:
    """All that is left, however many batches it comes in."""
    out: list[str] = []
    while more := await take(database):
        out += more
    return out


async def test_each_change_is_taken_once_and_in_order(database: Database) -> None:
    for n in range(5):
        await write(database, stamp(n), put(observation(f"o{n}")))
    assert await take(database, limit=1) == ["o0"]
    assert await take(database, limit=1) == ["o1"]
    assert await everything(database) == ["o2", "o3", "o4"]
    assert await take(database) == []
    assert await take(database, "another", 1) == ["o0"]


async def test_a_transaction_that_commits_late_is_not_passed_over(database: Database) -> None:
    slow = database.connection()
    conn = await slow.__aenter__()
    await store.write(conn, stamp(), [put(observation("slow"))])
    await write(database, stamp(1), put(observation("fast")))
    assert await take(database, patient=False) == []
    await slow.__aexit__(None, None, None)
    assert await everything(database) == ["slow", "fast"]


async def test_what_was_rolled_back_never_appears(database: Database) -> None:
    try:
        async with database.connection() as conn:
            await store.write(conn, stamp(), [put(observation("ghost"))])
            raise LookupError
    except LookupError:
        pass
    await write(database, stamp(1), put(observation("real")))
    assert await take(database) == ["real"]


async def test_waiting_counts_what_is_left(database: Database) -> None:
    for n in range(3):
        await write(database, stamp(n), put(observation(f"o{n}")))
    async with database.connection() as conn:
        assert await changes.waiting(conn, "x") == 3
    await take(database, limit=1)
    await take(database, limit=1)
    async with database.connection() as conn:
        assert await changes.waiting(conn, "x") == 1
