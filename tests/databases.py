"""Databases for tests: cloned from one that was migrated or filled, and given back as they were rather than made anew.

A clone copies several hundred files; to undo what a test wrote takes a tenth of that. Whatever changed the schema is dropped.
Which tables a test wrote to is asked of PostgreSQL's own counters, since to look into each of some hundred takes ten times as long;
and rows are deleted where they lie until a table has grown, since TRUNCATE makes a table's files anew.
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

Written = dict[str, tuple[int, ...]]
"""Of each table the file that it lies in, which TRUNCATE changes, and how many rows were ever inserted, updated and deleted."""

GROWN = 2**18
"""By how many bytes a table may grow, with rows that are gone, before its files are made anew."""

_numbers = count(1)
_SHAPE = (
    "SELECT (SELECT count(*) || ':' || max(oid) FROM pg_class WHERE relnamespace = 'public'::regnamespace), "
    "(SELECT count(*) FROM pg_attribute), (SELECT count(*) || ':' || max(oid) FROM pg_constraint), "
    "(SELECT count(*) FROM pg_trigger), (SELECT count(*) FROM pg_policy), (SELECT count(*) FROM pg_db_role_setting), "
    "(SELECT md5(string_agg(prosrc, '' ORDER BY oid)) FROM pg_proc WHERE pronamespace = 'public'::regnamespace)"
)
_WRITTEN = (
    "SELECT relname::text, relfilenode::bigint, pg_stat_get_tuples_inserted(oid), pg_stat_get_tuples_updated(oid), "
    "pg_stat_get_tuples_deleted(oid) FROM pg_class WHERE relkind = 'r' AND relnamespace = 'public'::regnamespace ORDER BY 1"
)
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
            self.new = {name: (file, 0, 0, 0) for name, (file, *_) in _written(conn).items()}
            sequences = [name for (name,) in conn.execute(_SEQUENCES)]
            self.rows = {name: _one(conn, f'SELECT count(*) FROM "{name}"')[0] for name in self.new}
            self.sizes = {name: _one(conn, f"SELECT {_size(name)}")[0] for name in self.new}
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


def _written(conn: psycopg.Connection) -> Written:
    return {name: tuple(counts) for name, *counts in conn.execute(_WRITTEN)}


def _one(conn: psycopg.Connection, sql: str) -> tuple:  # type: ignore[type-arg]
    found = conn.execute(sql.encode()).fetchone()
    assert found is not None
    return tuple(found)


def _size(table: str) -> str:
    return f"pg_relation_size('\"{table}\"')"


def _undo(conn: psycopg.Connection, shape: Shape, since: int, tables: list[str]) -> None:
    """Take back what was written to these tables after this transaction, and set the sequences back."""
    new = f"xmin::text::bigint > {since}"
    asked = ", ".join(
        f'(SELECT ARRAY[count(*) FILTER (WHERE NOT {new}), count(*) FILTER (WHERE {new}), {_size(name)}] FROM "{name}")'
        for name in tables
    )
    steps, to_fill = [], []
    for name, (old, fresh, size) in zip(tables, _one(conn, f"SELECT {asked}"), strict=True):
        grown = size > shape.sizes[name] + GROWN
        if old == shape.rows[name] and not grown:
            steps.extend([f'DELETE FROM "{name}" WHERE {new}'] if fresh else [])
        else:
            steps.append(f'TRUNCATE "{name}"' if grown else f'DELETE FROM "{name}"')
            to_fill.extend([name] if shape.rows[name] else [])
    steps.extend([f"SELECT {shape.sequences}"] if shape.sequences else [])
    conn.execute("; ".join(steps).encode())
    for name in to_fill:
        columns, content = shape.kept(name)
        with conn.cursor().copy(f'COPY "{name}" ({columns}) FROM STDIN (FORMAT binary)') as copy:
            copy.write(content)


class Databases:
    """Makes databases on a server, and takes them back."""

    def __init__(self, server_url: str) -> None:
        self._server_url = server_url
        self._conn = psycopg.connect(server_url, autocommit=True)
        self._made: list[str] = []
        self._shapes: dict[str, Shape] = {}
        self._lent: dict[str, tuple[str, int]] = {}
        self._clean: dict[str, list[tuple[str, int]]] = {}
        self._written: dict[str, Written] = {}
        self._own: dict[str, psycopg.Connection] = {}

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
        conn = self._alone(name)
        shape = self._shapes[template]
        as_it_was = conn.execute(_SHAPE).fetchone() == shape.schema
        if as_it_was:
            before, after = self._written.get(name, shape.new), _written(conn)
            _undo(conn, shape, since, [one for one, counts in after.items() if counts != before[one]])
            conn.execute("SELECT pg_stat_force_next_flush()")
            self._written[name] = _written(conn)
            self._clean[template].append((name, self._xid()))
        else:
            self.drop(name)

    def _xid(self) -> int:
        """The newest transaction: whatever is written later has a higher number."""
        return int(_one(self._conn, "SELECT pg_current_xact_id()::text::bigint")[0])

    def _alone(self, name: str) -> psycopg.Connection:
        """The only connection to a database, which is kept from one test to the next: to open one takes as long as to undo."""
        pid = self._own[name].info.backend_pid if name in self._own else 0
        for _ in range(400):
            others = self._conn.execute(
                "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = %s AND pid <> %s",
                (name, pid),
            ).fetchall()
            if not others:
                return self._opened(name)
            time.sleep(0.005)
        raise RuntimeError(f"{name} is still in use")

    def _opened(self, name: str) -> psycopg.Connection:
        try:
            self._own[name].execute("SELECT 1")
        except (KeyError, psycopg.OperationalError):  # the first time, or a test has ended it
            as_replica = make_conninfo(self.url(name), options="-c session_replication_role=replica")
            self._own[name] = psycopg.connect(as_replica, autocommit=True)
        return self._own[name]

    def drop(self, name: str) -> None:
        """Drop a database, whoever uses it."""
        if name in self._own:
            self._own.pop(name).close()
        self._conn.execute(SQL("DROP DATABASE IF EXISTS {} WITH (FORCE)").format(Identifier(name)))
        self._written.pop(name, None)
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
