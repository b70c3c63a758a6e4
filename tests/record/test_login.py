"""The login that the program works with: what a statement of somebody else's cannot become, whatever it says."""

from __future__ import annotations

from collections.abc import AsyncIterator
from datetime import UTC, datetime

import psycopg
import pytest
from psycopg.conninfo import conninfo_to_dict, make_conninfo
from psycopg.errors import InsufficientPrivilege

from commonchart.access import audit, users
from commonchart.record import audit_months, login
from commonchart.record.bounds import PATIENT_ROLE, PROGRAM_ROLE, ROLE, Bounds
from commonchart.record.database import Database

NOW = datetime(2031, 5, 6, 7, 8, tzinfo=UTC)
LEAVING = ("RESET ROLE", "SET ROLE NONE", "SET SESSION AUTHORIZATION DEFAULT")
"""What gives back whoever logged in."""


@pytest.fixture
async def walled(database_url: str) -> AsyncIterator[Database]:
    """A database whose connections are the login's."""
    if not str(conninfo_to_dict(database_url).get("host") or "").startswith("/"):
        pytest.skip("on a server of its own the login's address is the site's to say")
    opened = await Database.open(database_url, program_url=login.made(database_url))
    yield opened
    await opened.close()


async def test_it_may_do_everything_that_the_program_does(walled: Database) -> None:
    for bounds in (Bounds(None), Bounds(1), Bounds(1, patients=("p",))):
        async with walled.bound(bounds).single() as conn:
            assert await conn.fetch("SELECT session_user::text, current_user::text") == [
                (login.LOGIN, bounds.role)
            ]
            await audit.note(conn, users.system(1, "test"), NOW, "sign-in")
    async with walled.dedicated(owner=True) as conn:
        assert await audit_months.ahead(conn, NOW.date()) > 0


@pytest.mark.parametrize("leaving", LEAVING)
async def test_who_leaves_the_role_is_nobody(walled: Database, leaving: str) -> None:
    for change in (
        "DELETE FROM audit", "UPDATE audit_seal SET n = 0", "ALTER TABLE resource DISABLE ROW LEVEL SECURITY",
        "CREATE TABLE mine (n int)", "COPY (SELECT 1) TO PROGRAM 'true'", "SELECT pg_read_file('postgresql.conf')",
        "CREATE ROLE mine SUPERUSER", "ALTER SYSTEM SET fsync = off", "SET session_replication_role = replica",
    ):  # fmt: skip
        async with walled.dedicated() as conn:
            conn.bounds = None
            await conn.execute(leaving)
            with pytest.raises(InsufficientPrivilege):
                await conn.execute(change.encode())


async def test_without_a_role_nothing_is_read(walled: Database) -> None:
    async with walled.dedicated() as conn:
        conn.bounds = None
        await conn.execute("SET ROLE NONE")
        for table in ("resource", "audit", "app_user", "site_setting"):
            with pytest.raises(InsufficientPrivilege):
                await conn.execute(f"SELECT count(*) FROM {table}".encode())


async def test_it_becomes_neither_the_owner_nor_anybody_else(walled: Database, database_url: str) -> None:
    with psycopg.connect(database_url) as owner:
        assert owner.execute(
            "SELECT r.rolname::text FROM pg_auth_members m JOIN pg_roles r ON r.oid = m.roleid "
            "JOIN pg_roles l ON l.oid = m.member WHERE l.rolname = %s AND NOT m.admin_option ORDER BY 1", (login.LOGIN,)
        ).fetchall() == [(ROLE,), (PATIENT_ROLE,), (PROGRAM_ROLE,)]  # fmt: skip
        name = owner.execute("SELECT current_user::text").fetchone()
    assert name
    for change in (
        f"SET ROLE {name[0]}",
        f"SET SESSION AUTHORIZATION {name[0]}",
        "SET ROLE pg_write_all_data",
    ):
        async with walled.dedicated() as conn:
            with pytest.raises(InsufficientPrivilege):
                await conn.execute(change.encode())


async def test_it_is_made_once(database_url: str, walled: Database) -> None:
    assert login.made(database_url) == make_conninfo(database_url, user=login.LOGIN)
    assert login.owns(database_url)
    assert not login.owns(login.made(database_url))
