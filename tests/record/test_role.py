"""The role that the program works as: what PostgreSQL itself refuses it, whatever statement it is sent."""

from __future__ import annotations

from datetime import UTC, datetime

import psycopg
import pytest
from psycopg.conninfo import make_conninfo
from psycopg.errors import InsufficientPrivilege

from commonchart.access import audit, users
from commonchart.fhir.outcome import Invalid
from commonchart.record import audit_months
from commonchart.record.bounds import PATIENT_ROLE, PROGRAM_ROLE, ROLE, Bounds
from commonchart.record.database import Database
from commonchart.record.upgrade import migrate
from tests.databases import Databases

NOW = datetime(2031, 5, 6, 7, 8, tzinfo=UTC)
CHANGES = (
    "UPDATE {} SET at = now()",
    "DELETE FROM {}",
    "TRUNCATE {}",
    "DROP TABLE {}",
    "ALTER TABLE {} ADD COLUMN more int",
    "LOCK TABLE {} IN ACCESS EXCLUSIVE MODE",
)


@pytest.mark.parametrize(
    "bounds", [Bounds(None), Bounds(1), Bounds(1, patients=("p",))], ids=lambda one: one.role
)
async def test_the_program_is_nobody_in_the_database(
    database: Database, database_url: str, bounds: Bounds
) -> None:
    async with database.bound(bounds).single() as conn:
        rows = await conn.fetch(
            "SELECT current_user, rolsuper OR rolbypassrls OR rolcreatedb OR rolcreaterole OR rolcanlogin FROM pg_roles "
            "WHERE rolname = current_user"
        )
    assert rows == [(bounds.role, False)]
    with psycopg.connect(database_url) as owner:
        assert owner.execute(
            "SELECT count(*) FROM pg_class WHERE relowner = %s::regrole", (bounds.role,)
        ).fetchone() == (0,)
        assert owner.execute(
            "SELECT count(*) FROM pg_proc WHERE proowner = %s::regrole", (bounds.role,)
        ).fetchone() == (0,)


async def test_what_has_happened_is_added_to_and_never_changed(database: Database) -> None:
    async with database.dedicated(owner=True) as conn:
        assert await audit_months.ahead(conn, NOW.date()) == audit_months.AHEAD + 1
    async with database.single() as conn:
        await audit.note(conn, users.system(1, "test"), NOW, "sign-in")
        assert await conn.fetch("SELECT action FROM audit_2031_05") == [("sign-in",)]
    for table in ("audit", "audit_rest", "audit_2031_05", "audit_seal"):
        for change in CHANGES:
            with pytest.raises(InsufficientPrivilege):
                async with database.connection() as conn:
                    await conn.execute(change.format(table).encode())
    for change in ("SELECT setval('audit_number', 1)", "DELETE FROM audit_archive", "INSERT INTO audit_archive DEFAULT VALUES",
                   "UPDATE alembic_version SET version_num = '0001'", "CREATE TABLE mine (n int)"):  # fmt: skip
        with pytest.raises(InsufficientPrivilege):
            async with database.single() as conn:
                await conn.execute(change.encode())


def test_every_table_is_open_to_the_program_or_meant_not_to_be(database_url: str) -> None:
    with psycopg.connect(database_url) as owner:
        shut = owner.execute(
            "SELECT relname FROM pg_class WHERE relnamespace = 'public'::regnamespace AND relkind IN ('r', 'p') "
            "AND NOT has_table_privilege(%s, oid, 'UPDATE') ORDER BY 1", (ROLE,),
        ).fetchall()  # fmt: skip
    assert [name for (name,) in shut] == [
        "alembic_version",
        "audit",
        "audit_archive",
        "audit_rest",
        "audit_seal",
    ]


def test_an_owner_who_may_not_make_roles(empty_database: Databases) -> None:
    """It works once the role is granted, and says what is missing before."""
    name = empty_database.create()
    owner = f"{name}_owner"
    with psycopg.connect(empty_database.url(name), autocommit=True) as conn:
        conn.execute(f"CREATE ROLE {owner} LOGIN PASSWORD 'x'".encode())
        conn.execute(f"ALTER DATABASE {name} OWNER TO {owner}".encode())
        conn.execute(f"ALTER SCHEMA public OWNER TO {owner}".encode())
    url = make_conninfo(empty_database.url(name), options=f"-c role={owner}")
    with pytest.raises(Invalid, match="GRANT commonchart_app TO"):
        migrate(url)
    with psycopg.connect(empty_database.url(name), autocommit=True) as conn:
        conn.execute(f"GRANT {ROLE} TO {owner}".encode())
    with pytest.raises(Invalid, match="GRANT commonchart_program, commonchart_patient TO"):
        migrate(url)
    with psycopg.connect(empty_database.url(name), autocommit=True) as conn:
        conn.execute(f"GRANT {PROGRAM_ROLE}, {PATIENT_ROLE} TO {owner}".encode())
    assert migrate(url)
    with psycopg.connect(empty_database.url(name), autocommit=True) as conn:
        conn.execute(f"REASSIGN OWNED BY {owner} TO CURRENT_USER".encode())
        conn.execute(f"DROP OWNED BY {owner}".encode())
    empty_database.drop(name)
    with psycopg.connect(empty_database.url("postgres"), autocommit=True) as conn:
        conn.execute(f"DROP ROLE {owner}".encode())
