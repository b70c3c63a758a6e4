from __future__ import annotations

import asyncio

import psycopg
import pytest

from commonchart.fhir.outcome import Busy, TooCostly
from commonchart.record.database import Database


async def test_a_block_that_ends_well_is_committed(database: Database) -> None:
    async with database.connection() as conn:
        await conn.execute("INSERT INTO site_setting VALUES (1, 'a', 'b')")
    async with database.connection() as conn:
        row = await (await conn.execute("SELECT value FROM site_setting")).fetchone()
    assert row == ("b",)


async def test_a_block_that_raises_leaves_nothing(database: Database) -> None:
    async def broken() -> None:
        async with database.connection() as conn:
            await conn.execute("INSERT INTO site_setting VALUES (1, 'a', 'b')")
            raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        await broken()
    async with database.single() as conn:
        row = await (await conn.execute("SELECT count(*) FROM site_setting")).fetchone()
    assert row == (0,)


async def test_a_single_statement_is_committed_at_once(database: Database) -> None:
    async with database.single() as conn:
        await conn.execute("INSERT INTO site_setting VALUES (1, 'a', 'b')")
        async with database.single() as other:
            row = await (await other.execute("SELECT value FROM site_setting")).fetchone()
    assert row == ("b",)


async def test_the_session_speaks_utc(database: Database) -> None:
    async with database.single() as conn:
        row = await (await conn.execute("SHOW timezone")).fetchone()
    assert row == ("UTC",)


async def test_a_statement_that_takes_too_long_is_too_costly(database: Database) -> None:
    async def slow() -> None:
        async with database.connection() as conn:
            await conn.execute("SET LOCAL statement_timeout = 20")
            await conn.execute("SELECT pg_sleep(5)")

    with pytest.raises(TooCostly):
        await slow()


async def test_more_callers_than_connections_wait_their_turn(database_url: str) -> None:
    small = await Database.open(database_url, size=2)

    async def one() -> int:
        async with small.connection() as conn:
            row = await (await conn.execute("SELECT pg_backend_pid()")).fetchone()
            assert row is not None
            return int(row[0])

    pids = await asyncio.gather(*(one() for _ in range(20)))
    await small.close()
    assert len(pids) == 20
    assert len(set(pids)) <= 2


async def test_too_long_a_queue_is_refused_as_busy(database_url: str) -> None:
    small = await Database.open(database_url, size=1, patience=0.05)
    async with small.connection():
        with pytest.raises(Busy):
            async with small.connection():
                pass
    await small.close()


async def test_connections_killed_by_the_server_are_replaced_without_an_error(
    database: Database, database_url: str
) -> None:
    async with database.single() as one, database.single() as two:
        await one.execute("SELECT 1")
        await two.execute("SELECT 1")
    with psycopg.connect(database_url, autocommit=True) as conn:
        conn.execute(
            "SELECT pg_terminate_backend(pid, 2000) FROM pg_stat_activity "
            "WHERE datname = current_database() AND pid <> pg_backend_pid()"
        )
    async with database.connection() as conn2:
        row = await (await conn2.execute("SELECT 1")).fetchone()
    assert row == (1,)


async def test_a_connection_lost_in_the_middle_is_busy_and_then_works_again(database: Database) -> None:
    async def cut_off() -> None:
        async with database.connection() as conn, database.dedicated(owner=True) as owner:
            await owner.execute("SELECT pg_terminate_backend(%s, 2000)", (conn.info.backend_pid,))
            await conn.execute("SELECT 1")

    with pytest.raises(Busy):
        await cut_off()
    async with database.connection() as conn:
        await conn.execute("SELECT 1")


async def test_an_unreachable_server_is_busy() -> None:
    with pytest.raises(Busy):
        await Database.open("host=/nowhere dbname=nothing")


async def test_a_mistake_in_sql_is_no_refusal(database: Database) -> None:
    with pytest.raises(psycopg.errors.UndefinedTable):
        async with database.connection() as conn:
            await conn.execute("SELECT * FROM no_such_table")


async def test_a_cancelled_caller_gives_its_connection_back(database_url: str) -> None:
    small = await Database.open(database_url, size=1)

    async def slow() -> None:
        async with small.connection() as conn:
            await conn.execute("SELECT pg_sleep(30)")

    task = asyncio.create_task(slow())
    await asyncio.sleep(0.1)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    async with asyncio.timeout(5), small.connection() as conn:
        await conn.execute("SELECT 1")
    await small.close()
