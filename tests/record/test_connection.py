from __future__ import annotations

import asyncio

import psycopg
import pytest

from commonchart.fhir.outcome import Busy
from commonchart.record.connection import MOST_KINDS, PREPARE_FROM
from commonchart.record.database import Database

PUT = "INSERT INTO site_setting VALUES (1, %s, %s)"
COUNT = "SELECT count(*) FROM site_setting"


async def test_what_is_asked_together_is_answered_in_order(database: Database) -> None:
    async with database.single() as conn:
        rows = await conn.together([("SELECT %s::int + 1", (1,)), (PUT, ("a", "b")), (COUNT, ())])
    assert rows == [[(2,)], [], [(1,)]]


async def test_what_is_asked_together_is_stored_whole_or_not_at_all(database: Database) -> None:
    async with database.single() as conn:
        with pytest.raises(psycopg.errors.UniqueViolation):
            await conn.together([(PUT, ("a", "b")), (PUT, ("a", "c")), (COUNT, ())])
        assert await conn.fetch(COUNT) == [(0,)]


async def test_a_transaction_begins_by_itself_and_mixes_with_cursors(database: Database) -> None:
    async with database.connection() as conn:
        await conn.fetch(PUT, ("a", "b"))
        await conn.execute(PUT, ("c", "d"))
        async with database.single() as other:
            assert await other.fetch(COUNT) == [(0,)]
    async with database.single() as conn:
        assert await conn.fetch(COUNT) == [(2,)]


async def test_values_come_back_as_they_went(database: Database) -> None:
    async with database.single() as conn:
        for given in ("ü 'x' %", "", None, 2**40, True, ["a", None, "b,c"], [1, -(2**40)]):
            ((found,),) = await conn.fetch(f"SELECT %s::{_type(given)}", (given,))
            assert found == given


def _type(value: object) -> str:
    held = value[0] if isinstance(value, list) else value
    name = "bool" if isinstance(held, bool) else "bigint" if isinstance(held, int) else "text"
    return f"{name}[]" if isinstance(value, list) else name


async def test_a_statement_asked_often_is_prepared_and_asked_on_after_it_was_forgotten(
    database: Database,
) -> None:
    async with database.single() as conn:
        for n in range(PREPARE_FROM + 2):
            assert await conn.fetch("SELECT %s::int", (n,)) == [(n,)]
        assert await conn.fetch(
            "SELECT count(*) FROM pg_prepared_statements WHERE statement = 'SELECT $1::int'"
        ) == [(1,)]
        await conn.execute("DEALLOCATE ALL")
        assert await conn.fetch("SELECT %s::int", (7,)) == [(7,)]


async def test_more_than_the_socket_holds_goes_both_ways(database: Database) -> None:
    long = "x" * 3_000_000
    async with database.single() as conn:
        rows = await conn.together([("SELECT %s::text", (long + str(n),)) for n in range(4)])
    assert [row[0][0][-1] for row in rows] == ["0", "1", "2", "3"]
    assert all(len(row[0][0]) == len(long) + 1 for row in rows)


async def test_places_and_arguments_must_agree(database: Database) -> None:
    async with database.single() as conn:
        with pytest.raises(psycopg.InterfaceError):
            await conn.fetch("SELECT %s", ())
        assert await conn.fetch("SELECT 1") == [(1,)]


async def test_one_that_is_given_up_is_not_used_again(database: Database) -> None:
    async def slow() -> None:
        async with database.single() as conn:
            held.append(conn)
            await conn.fetch("SELECT pg_sleep(20)")

    held: list[object] = []
    with pytest.raises(TimeoutError):
        await asyncio.wait_for(slow(), 0.3)
    async with database.single() as conn:
        assert conn is not held[0]
        assert await conn.fetch("SELECT 1") == [(1,)]


async def test_one_that_the_server_ends_is_busy_and_then_replaced(database: Database) -> None:
    async def ended() -> None:
        async with database.connection() as conn, database.dedicated(owner=True) as owner:
            await owner.execute("SELECT pg_terminate_backend(%s, 2000)", (conn.info.backend_pid,))
            await conn.fetch("SELECT 1")

    with pytest.raises(Busy):
        await ended()
    async with database.single() as conn:
        assert await conn.fetch("SELECT 1") == [(1,)]


async def test_one_that_has_seen_too_many_kinds_is_replaced(database: Database) -> None:
    async with database.single() as conn:
        for n in range(MOST_KINDS + 1):
            await conn.fetch(f"SELECT {n}")
        worn = conn
    async with database.single() as conn:
        assert conn is not worn
