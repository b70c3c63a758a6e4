"""The second wall: what PostgreSQL itself shows and takes within the bounds of a transaction, whatever the statement says."""

from __future__ import annotations

import asyncio
from typing import Any

import psycopg
import pytest
from psycopg import errors

from commonchart.fhir.outcome import TooCostly
from commonchart.record import schema
from commonchart.record.bounds import PROGRAM, Bounds
from commonchart.record.connection import Connection
from commonchart.record.database import Database
from commonchart.record.keys import patient_key

# what lies outside the record itself, and yet names a patient by id
POINTERS = {
    "app_user": "accounts: read before anybody is signed in, by their login",
    "app_grant": "what an account let an app do: read by its own id before anybody is known",
    "app_launch": "a launch, read by its secret",
    "app_subscription": "through which app a Subscription was written",
}
LOCAL = {
    "change", "audit", "draft", "recent_patient", "subscription_event", "emergency_access", "emergency_lookup",
    "proxy_grant", "portal_invitation", "privacy_notice", "share_link",
}  # fmt: skip
WALLED = sorted(schema.PATIENT_SHARDED | schema.LOOK_UP | LOCAL)
SECRET, OPEN = 4, 8
_VALUES = {
    "integer": 7, "bigint": 7, "smallint": 0, "text": "kanari", "boolean": False, "date": "2026-01-01", "ARRAY": "{}",
    "timestamp with time zone": "2026-01-01T00:00:00Z", "bytea": b"x", "numeric": 1, "double precision": 1.0, "xid8": "1",
}  # fmt: skip


def _columns(url: str, table: str) -> dict[str, Any]:
    """A value for every column that must have one."""
    with psycopg.connect(url) as owner:
        rows = owner.execute(
            "SELECT column_name, data_type FROM information_schema.columns WHERE table_name = %s AND table_schema = 'public' "
            "AND is_nullable = 'NO' AND column_default IS NULL AND is_identity = 'NO'",
            (table,),
        ).fetchall()
    return {str(name): _VALUES[str(kind)] for name, kind in rows}


async def _put(conn: Connection, table: str, **values: Any) -> None:
    names = ", ".join(values)
    await conn.execute(
        f"INSERT INTO {table} ({names}) VALUES ({', '.join(['%s'] * len(values))})".encode(),
        list(values.values()),
    )


def test_every_table_that_names_a_patient_has_its_policies(database_url: str) -> None:
    with psycopg.connect(database_url) as owner:
        naming = owner.execute(
            "SELECT DISTINCT c.table_name::text FROM information_schema.columns c JOIN pg_class p ON p.relname = c.table_name "
            "WHERE c.table_schema = 'public' AND c.column_name IN ('patient', 'patients') AND NOT p.relispartition"
        ).fetchall()
        held = owner.execute(
            "SELECT c.relname::text, array_agg(p.polname::text ORDER BY p.polname) FROM pg_class c JOIN pg_policy p ON p.polrelid = c.oid "
            "WHERE c.relrowsecurity AND c.relforcerowsecurity AND NOT c.relispartition GROUP BY 1"
        ).fetchall()
        months = owner.execute(
            "SELECT count(*) FROM pg_inherits i JOIN pg_class c ON c.oid = i.inhrelid WHERE i.inhparent = 'audit'::regclass "
            "AND NOT (c.relrowsecurity AND c.relforcerowsecurity)"
        ).fetchone()
    policies = {name: set(found) for name, found in held}
    assert {name for (name,) in naming} - set(POINTERS) <= set(WALLED)
    assert sorted(policies) == WALLED
    assert all(found >= {"owner", "program", "asker"} for found in policies.values())
    assert {name for name, found in policies.items() if "compartment" in found} == {
        "resource",
        "history",
        "due",
    }
    assert months == (0,)


async def test_nobody_is_shown_given_or_robbed_of_another_tenants_row(
    database: Database, database_url: str
) -> None:
    one = database.bound(Bounds(1))
    for table in WALLED:
        row = (
            _columns(database_url, table) | {"tenant": 2} | ({"b": "later"} if table == "person_pair" else {})
        )
        async with database.single() as conn:
            await _put(conn, table, **row)
        async with one.single() as conn:
            assert await conn.fetch(f"SELECT 1 FROM {table}") == [], table
            if table != "audit":  # of which nothing can be changed at all
                gone = await conn.execute(f"DELETE FROM {table}".encode())
                changed = await conn.execute(f"UPDATE {table} SET tenant = 1".encode())
                assert (gone.rowcount, changed.rowcount) == (0, 0), table
            with pytest.raises(errors.InsufficientPrivilege, match="row-level security"):
                await _put(conn, table, **row)
        async with database.single() as conn:
            assert await conn.fetch(f"SELECT tenant FROM {table}") == [(2,)], table


async def test_without_bounds_everything_raises(database: Database, database_url: str) -> None:
    """As `commonchart_app` itself, which a connection is before it is bound, and after as well."""
    async with database.single() as conn:
        await _put(conn, "resource", **_columns(database_url, "resource"))
    async with database.bound(Bounds(7)).single() as conn:
        assert len(await conn.fetch("SELECT 1 FROM resource")) == 1
        conn.bounds = None
        with pytest.raises(errors.InvalidTextRepresentation):
            await conn.fetch("SELECT 1 FROM resource")
    async with database.dedicated() as conn:
        conn.bounds = None
        with pytest.raises(errors.UndefinedObject):
            await conn.fetch("SELECT 1 FROM resource")


async def _labelled(database: Database, url: str) -> None:
    rows = [("mine", SECRET, "me"), ("theirs", SECRET, "them"), ("both", SECRET | OPEN, "them"), ("open", OPEN, "them"), ("bare", 0, "them")]  # fmt: skip
    async with database.connection() as conn:
        for table in ("resource", "history"):
            held = _columns(url, table)
            for id, labels, actor in rows:
                await _put(conn, table, **held | {"tenant": 1, "id": id, "labels": labels, "actor": actor})
        held = _columns(url, "due")
        for id, labels, _ in rows:
            await _put(conn, "due", **held | {"tenant": 1, "rule": id, "labels": labels})


async def test_what_is_hidden_from_a_role_is_hidden_from_any_statement(
    database: Database, database_url: str
) -> None:
    await _labelled(database, database_url)
    bound = database.bound(Bounds(1, hidden=SECRET, deciding=OPEN, author="me"))
    for table in ("resource", "history"):
        async with bound.single() as conn:
            found = await conn.fetch(f"SELECT id FROM {table} ORDER BY id")
            touched = await conn.execute(f"UPDATE {table} SET status = 'x'".encode())
        assert [id for (id,) in found] == ["bare", "mine", "open"]
        assert touched.rowcount == 3
    async with bound.single() as conn:
        assert await conn.fetch("SELECT rule FROM due ORDER BY rule") == [("bare",), ("mine",), ("theirs",)]


async def test_a_patient_is_shown_their_own_and_what_is_about_nobody(
    database: Database, database_url: str
) -> None:
    for table in ("resource", "history", "due"):
        row = _columns(database_url, table) | {"tenant": 1}
        name = "rule" if table == "due" else "id"
        async with database.connection() as conn:
            for patient in ("anna", "bert", "cleo"):
                await _put(
                    conn, table, **row | {name: patient, "pk": patient_key(patient), "patient": patient}
                )
            if table != "due":
                await _put(conn, table, **row | {name: "nobody", "patient": None})
        for own, wanted in ((("anna", "cleo"), {"anna", "cleo"}), ((), set()), (("an",), set())):
            async with database.bound(Bounds(1, patients=own)).single() as conn:
                found = await conn.fetch(f"SELECT {name} FROM {table}")
            assert {one for (one,) in found} - {"nobody"} == wanted
            assert (("nobody",) in found) == (table != "due")


async def test_bounds_are_looked_past_for_a_while_and_then_hold_again(
    database: Database, database_url: str
) -> None:
    await _labelled(database, database_url)
    bound = database.bound(Bounds(1, hidden=SECRET))
    for lent in (bound.single(), bound.connection()):
        async with lent as conn:
            assert await conn.fetch("SELECT count(*) FROM resource") == [(2,)]
            async with conn.within(Bounds(1)):
                assert await conn.fetch("SELECT count(*) FROM resource") == [(5,)]
            assert await conn.fetch("SELECT count(*) FROM resource") == [(2,)]
            with pytest.raises(errors.DivisionByZero):
                async with conn.transaction(), conn.within(Bounds(1)):
                    await conn.fetch("SELECT 1 / 0")
            assert await conn.fetch("SELECT count(*) FROM resource") == [(2,)]
            cursor = await conn.execute("SELECT count(*) FROM resource")
            assert await cursor.fetchall() == [(2,)]


async def test_a_pool_under_pressure_mixes_no_bounds_up(database_url: str) -> None:
    """Many at once in two tenants and as the program, with errors, statements that are stopped, and tasks that are given up."""
    database = await Database.open(database_url, size=3, patience=60, statement_seconds=1)
    row = _columns(database_url, "resource")
    async with database.connection() as conn:
        for tenant in (1, 2):
            await _put(conn, "resource", **row | {"tenant": tenant, "id": f"of-{tenant}"})

    async def ask(n: int) -> Any:
        bounds = (Bounds(1), Bounds(2), PROGRAM)[n % 3]
        lent = database.bound(bounds).connection() if n % 2 else database.bound(bounds).single()
        async with lent as conn:
            if n % 11 == 0:
                await asyncio.wait_for(conn.fetch("SELECT pg_sleep(1)"), 0.01)
            if n % 13 == 0:
                await conn.fetch("SELECT 1 / 0")
            if n == 17:
                await conn.fetch("SELECT pg_sleep(5)")
            found = await conn.fetch("SELECT tenant FROM resource ORDER BY 1")
        assert found == [(one,) for one in ([1, 2] if bounds is PROGRAM else [bounds.tenant])], n
        return True

    said = await asyncio.gather(*(ask(n) for n in range(200)), return_exceptions=True)
    assert said.count(True) > 150
    assert {type(one) for one in said if one is not True} == {TimeoutError, errors.DivisionByZero, TooCostly}
    await database.close()


MANY = "generate_series(1, 3000) n"
FILLED = (
    "INSERT INTO resource (pk, tenant, rtype, id, vid, recorded, org, actor, patient, tokens, body) SELECT n, 1, 'O', 'o' || n, 1, now(), "
    f"'o', 'a', 'p' || n, ARRAY[n, n + 10000], '{{}}' FROM {MANY}",
    f"INSERT INTO string_row SELECT n, 1, 'P', 'o' || n, 0, 'name', 'n' || n, 'N' || n FROM {MANY}",
    f"INSERT INTO quantity_row SELECT n, 1, 'O', 'o' || n, 0, 'v', 1, n, n FROM {MANY}",
    f"INSERT INTO text_row (pk, tenant, rtype, id, n, words, coded) SELECT n, 1, 'O', 'o' || n, 0, 'w' || n, '' FROM {MANY}",
)
PLANS = {
    "resource_tokens": "SELECT 1 FROM resource r WHERE r.tenant = 1 AND r.rtype = 'O' AND r.tokens && ARRAY[5::bigint]",
    "text_row_words": "SELECT 1 FROM text_row r WHERE r.tenant = 1 AND array_to_tsvector(string_to_array(r.words, ' ')) @@ 'w5'::tsquery",
    "string_row_folded": "SELECT 1 FROM string_row r WHERE r.tenant = 1 AND r.rtype = 'P' AND r.param = 'name' AND r.folded LIKE 'n55%'",
    "quantity_row_value": "SELECT 1 FROM quantity_row r WHERE r.tenant = 1 AND r.rtype = 'O' AND r.param = 'v' AND r.lo >= 5 AND r.lo < 9",
    "resource_pkey": "SELECT 1 FROM resource r WHERE r.pk = 5 AND r.tenant = 1 AND r.rtype = 'O' AND r.id = 'o5'",
}


async def test_an_index_serves_behind_the_wall_as_without_it(database: Database) -> None:
    """A policy is asked first, so that an operator which could tell of other rows would make every search read them all."""
    async with database.dedicated(owner=True) as owner:
        for statement in FILLED:
            await owner.execute(statement.encode())
        await owner.execute("VACUUM ANALYZE resource, string_row, quantity_row, text_row")
        for index, asked in PLANS.items():
            for bounds in (PROGRAM, Bounds(1, hidden=SECRET, author="me")):
                async with database.bound(bounds).single() as conn:
                    plan = "\n".join(line for (line,) in await conn.fetch(f"EXPLAIN {asked}"))
                assert f" {index}" in plan, (bounds, plan)
                operator = asked.split()[-2].replace("LIKE", "~>=~")
                assert any(operator in line for line in plan.splitlines() if "Index Cond" in line), plan
