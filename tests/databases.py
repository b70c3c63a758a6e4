"""Databases for tests: cloned from one that was migrated or filled, and given back as they were rather than made anew.

A clone copies several hundred files; to undo what a test wrote takes a tenth of that. Whatever changed the schema is dropped.
"""

from __future__ import annotations

import os
import re
import time
from itertools import count
from pathlib import Path

import psycopg
from psycopg.conninfo import make_conninfo
from psycopg.sql import SQL, Identifier

_numbers = count(1)
_SHAPE = (
    "SELECT (SELECT count(*) || ':' || max(oid) FROM pg_class WHERE relnamespace = 'public'::regnamespace), "
    "(SELECT count(*) FROM pg_attribute), (SELECT count(*) || ':' || max(oid) FROM pg_constraint), "
    "(SELECT count(*) FROM pg_trigger), (SELECT count(*) FROM pg_policy), (SELECT count(*) FROM pg_db_role_setting), "
    "(SELECT md5(string_agg(prosrc, '' ORDER BY oid)) FROM pg_proc WHERE pronamespace = 'public'::regnamespace)"
)
_TABLES = "SELECT relname::text FROM pg_class WHERE relkind = 'r' AND relnamespace = 'public'::regnamespace ORDER BY 1"
_COLUMNS = (
    "SELECT attname::text FROM pg_attribute WHERE attrelid = %s::regclass AND attnum > 0 AND NOT attisdropped "
    "AND attgenerated = '' ORDER BY attnum"
)
_SEQUENCES = "SELECT relname::text FROM pg_class WHERE relkind = 'S' AND relnamespace = 'public'::regnamespace ORDER BY 1"


class Shape:
    """What a template holds: its schema, how many rows each table has, where its sequences stand."""

    def __init__(self, url: str) -> None:
        self.url = url
        with psycopg.connect(url, autocommit=True) as conn:
            self.schema = conn.execute(_SHAPE).fetchone()
            self.tables = [name for (name,) in conn.execute(_TABLES)]
            sequences = [name for (name,) in conn.execute(_SEQUENCES)]
            self.rows = [_one(conn, f'SELECT count(*) FROM "{name}"')[0] for name in self.tables]
            stand = [(name, *_one(conn, f'SELECT last_value, is_called FROM "{name}"')) for name in sequences]
        self.sequences = ", ".join(f"setval('\"{name}\"', {last}, {called})" for name, last, called in stand)
        self._kept: dict[str, tuple[str, bytes]] = {}

    def kept(self, table: str) -> tuple[str, bytes]:
        """The columns and the content of a table, as COPY writes them."""
        if table not in self._kept:
            with psycopg.connect(self.url, autocommit=True) as conn:
                columns = ", ".join(f'"{name}"' for (name,) in conn.execute(_COLUMNS, (f'"{table}"',)))
                with conn.cursor().copy(f'COPY "{table}" ({columns}) TO STDOUT (FORMAT binary)') as copy:
                    self._kept[table] = columns, b"".join(bytes(part) for part in copy)
        return self._kept[table]


def _one(conn: psycopg.Connection, sql: str) -> tuple:  # type: ignore[type-arg]
    found = conn.execute(sql.encode()).fetchone()
    assert found is not None
    return tuple(found)


class Databases:
    """Makes databases on a server, and takes them back."""

    def __init__(self, server_url: str) -> None:
        self._server_url = server_url
        self._conn = psycopg.connect(server_url, autocommit=True)
        self._made: list[str] = []
        self._shapes: dict[str, Shape] = {}
        self._lent: dict[str, tuple[str, int]] = {}
        self._clean: dict[str, list[tuple[str, int]]] = {}

    def url(self, name: str) -> str:
        """The address of a database."""
        return make_conninfo(self._server_url, dbname=name)

    def create(self, template: str = "template0") -> str:
        """A new database: its name."""
        name = f"cctest_{os.getpid()}_{next(_numbers)}"
        self._conn.execute(
            SQL("CREATE DATABASE {} TEMPLATE {}").format(Identifier(name), Identifier(template))
        )
        self._made.append(name)
        return name

    def lend(self, template: str) -> str:
        """A database like the template: one that was given back, else a new one."""
        if template not in self._shapes:
            self._shapes[template] = Shape(self.url(template))
        waiting = self._clean.setdefault(template, [])
        name, since = waiting.pop() if waiting else (self.create(template), -1)
        if since < 0:
            since = self._xid()
        self._lent[name] = template, since
        return name

    def give_back(self, name: str) -> None:
        """End what still uses it and undo what was written since it was lent; one whose schema changed is dropped."""
        template, since = self._lent.pop(name)
        self._alone(name)
        with psycopg.connect(self.url(name), autocommit=True) as conn:
            as_it_was = self._undo(conn, self._shapes[template], since)
        if as_it_was:
            self._clean[template].append((name, self._xid()))
        else:
            self.drop(name)

    def _undo(self, conn: psycopg.Connection, shape: Shape, since: int) -> bool:
        if conn.execute(_SHAPE).fetchone() != shape.schema:
            return False
        new = f"xmin::text::bigint > {since}"
        asked = ", ".join(
            f'(SELECT ARRAY[count(*) FILTER (WHERE NOT {new}), count(*) FILTER (WHERE {new})] FROM "{name}")'
            for name in shape.tables
        )
        found = _one(conn, f"SELECT {asked}")
        conn.execute("SET session_replication_role = replica")
        for name, rows, (old, fresh) in zip(shape.tables, shape.rows, found, strict=True):
            if old != rows:
                columns, content = shape.kept(name)
                conn.execute(f'TRUNCATE "{name}"'.encode())
                with conn.cursor().copy(f'COPY "{name}" ({columns}) FROM STDIN (FORMAT binary)') as copy:
                    copy.write(content)
            elif fresh:
                conn.execute((f'DELETE FROM "{name}" WHERE {new}' if rows else f'TRUNCATE "{name}"').encode())
        if shape.sequences:
            conn.execute(f"SELECT {shape.sequences}".encode())
        return True

    def _xid(self) -> int:
        """The newest transaction: whatever is written later has a higher number."""
        return int(_one(self._conn, "SELECT pg_current_xact_id()::text::bigint")[0])

    def _alone(self, name: str) -> None:
        for _ in range(400):
            others = self._conn.execute(
                "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = %s", (name,)
            ).fetchall()
            if not others:
                return
            time.sleep(0.005)
        raise RuntimeError(f"{name} is still in use")

    def drop(self, name: str) -> None:
        """Drop a database, whoever uses it."""
        self._conn.execute(SQL("DROP DATABASE IF EXISTS {} WITH (FORCE)").format(Identifier(name)))
        if name in self._made:
            self._made.remove(name)

    def drop_all(self) -> None:
        """Drop everything that was made."""
        for name in list(self._made):
            self.drop(name)
        self._conn.close()

    def sweep(self) -> None:
        """Drop what sessions that no longer live left behind."""
        names = self._conn.execute("SELECT datname FROM pg_database WHERE datname LIKE 'cctest%'").fetchall()
        for (name,) in names:
            pid = re.match(r"cctest_(\d+)_", name)
            if pid and not Path(f"/proc/{pid[1]}").exists():
                self.drop(name)
