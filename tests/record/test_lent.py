"""What a test wrote is not there for the next one: a database that is given back is lent again as its template was."""

from __future__ import annotations

from typing import Any

import psycopg

from tests.databases import Databases

MADE = (
    "CREATE TABLE filled (id int GENERATED ALWAYS AS IDENTITY PRIMARY KEY, said text NOT NULL)",
    "INSERT INTO filled (said) SELECT 'as made ' || n FROM generate_series(1, 20) n",
    "CREATE TABLE blank (n int PRIMARY KEY)",
)
WRITTEN = (
    "INSERT INTO filled (said) VALUES ('more')",
    "UPDATE filled SET said = 'other' WHERE id = 3",
    "DELETE FROM filled WHERE id > 5",
    "TRUNCATE filled",
    "TRUNCATE filled, blank RESTART IDENTITY",
    "INSERT INTO blank VALUES (1), (2)",
    "INSERT INTO filled (said) SELECT 'x' FROM generate_series(1, 20000)",
    "INSERT INTO blank SELECT generate_series(1, 20000)",
    "BEGIN; INSERT INTO blank VALUES (1); DELETE FROM filled; ROLLBACK",
    "SELECT nextval('filled_id_seq')",
    "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = current_database() AND pid <> pg_backend_pid()",
)


def held(databases: Databases, name: str) -> list[Any]:
    """Everything that is in it: the rows in their order, and the number that comes next."""
    asked = ("SELECT * FROM filled", "SELECT * FROM blank", "SELECT last_value, is_called FROM filled_id_seq")
    with psycopg.connect(databases.url(name), autocommit=True) as conn:
        return [conn.execute(one).fetchall() for one in asked]  # type: ignore[call-overload]


def test_a_database_is_lent_as_its_template_was(server_url: str) -> None:
    databases = Databases(server_url)
    try:
        template = databases.create()
        with psycopg.connect(databases.url(template), autocommit=True) as conn:
            for statement in MADE:
                conn.execute(statement.encode())
        meant, first = held(databases, template), databases.lend(template)
        databases.give_back(first)
        for statement in WRITTEN * 2:
            assert databases.lend(template) == first, "it is the same one, not a new copy"
            with psycopg.connect(databases.url(first), autocommit=True) as conn:
                conn.execute(statement.encode())
            databases.give_back(first)
            assert held(databases, first) == meant, statement
        assert databases.lend(template) == first
        with psycopg.connect(databases.url(first), autocommit=True) as conn:
            conn.execute("ALTER TABLE blank ADD COLUMN more int")
        databases.give_back(first)
        assert (other := databases.lend(template)) != first
        assert held(databases, other) == meant
    finally:
        databases.drop_all()
