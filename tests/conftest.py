"""What every test may ask for: a PostgreSQL server, a migrated database of its own, and a clock it can set."""

from __future__ import annotations

import os
import re
import shutil
import tempfile
from collections.abc import AsyncIterator, Iterator
from datetime import UTC, datetime, timedelta
from itertools import count
from pathlib import Path

import psycopg
import pytest
from hypothesis import settings
from psycopg.conninfo import make_conninfo
from psycopg.sql import SQL, Identifier

from commonchart.record.database import Database
from commonchart.record.upgrade import migrate

_numbers = count(1)

# how long an example takes says something about the machine, nothing about the program
settings.register_profile("any machine", deadline=None)
settings.load_profile("any machine")


class Clock:
    """A clock that stands still until told otherwise."""

    def __init__(self) -> None:
        self.now = datetime(2026, 11, 18, 10, 0, tzinfo=UTC)

    def __call__(self) -> datetime:
        return self.now

    def set(self, now: datetime) -> None:
        self.now = now

    def advance(self, **parts: float) -> datetime:
        self.now += timedelta(**parts)
        return self.now


@pytest.fixture(scope="session")
def anyio_backend() -> str:
    return "asyncio"


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture(scope="session")
def server_url() -> Iterator[str]:
    """A PostgreSQL server: COMMONCHART_TEST_DATABASE_URL, else the embedded one for the length of the session.

    COMMONCHART_BINDIR=/usr/lib/postgresql/15/bin runs the tests on Debian's.
    """
    given = os.environ.get("COMMONCHART_TEST_DATABASE_URL")
    if given:
        yield given
        return
    from commonchart.record.embedded import Embedded

    bindir = os.environ.get("COMMONCHART_BINDIR", "")
    embedded = Embedded(_folder() / "data", bindir=bindir, durable=False)
    try:
        yield embedded.start()
    finally:
        embedded.stop()
        shutil.rmtree(embedded.data_dir.parent)


def _folder() -> Path:
    """A folder that a PostgreSQL of before 16 can reach as another user, which pytest's own is not for root."""
    folder = Path(tempfile.mkdtemp(prefix="commonchart-tests-"))
    folder.chmod(0o711)
    return folder


@pytest.fixture(scope="session")
def empty_database(server_url: str) -> Iterator[_Databases]:
    """Makes databases on the server, and drops them at the end of the session."""
    databases = _Databases(server_url)
    databases.sweep()
    yield databases
    databases.drop_all()


@pytest.fixture(scope="session")
def template(empty_database: _Databases) -> str:
    """The name of a database migrated once per session, to be cloned."""
    name = empty_database.create()
    migrate(empty_database.url(name))
    return name


@pytest.fixture
def database_url(empty_database: _Databases, template: str) -> Iterator[str]:
    """The address of a fresh, migrated database, dropped after the test."""
    name = empty_database.create(template)
    yield empty_database.url(name)
    empty_database.drop(name)


@pytest.fixture
async def database(database_url: str) -> AsyncIterator[Database]:
    """A fresh, migrated database, opened."""
    opened = await Database.open(database_url)
    yield opened
    await opened.close()


class _Databases:
    def __init__(self, server_url: str) -> None:
        self._server_url = server_url
        self._conn = psycopg.connect(server_url, autocommit=True)
        self._made: list[str] = []

    def url(self, name: str) -> str:
        return make_conninfo(self._server_url, dbname=name)

    def create(self, template: str = "template0") -> str:
        name = f"cctest_{os.getpid()}_{next(_numbers)}"
        self._conn.execute(
            SQL("CREATE DATABASE {} TEMPLATE {}").format(Identifier(name), Identifier(template))
        )
        self._made.append(name)
        return name

    def drop(self, name: str) -> None:
        self._conn.execute(SQL("DROP DATABASE IF EXISTS {} WITH (FORCE)").format(Identifier(name)))
        if name in self._made:
            self._made.remove(name)

    def drop_all(self) -> None:
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
