"""What every test may ask for: a PostgreSQL server, a migrated database of its own, and a clock it can set."""

from __future__ import annotations

import os
import shutil
import tempfile
from collections.abc import AsyncIterator, Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from argon2 import PasswordHasher
from hypothesis import settings

from commonchart.access import passwords
from commonchart.record.database import Database
from commonchart.record.upgrade import migrate
from tests.databases import Databases

# how long an example takes says something about the machine, nothing about the program
settings.register_profile("any machine", deadline=None)
settings.load_profile("any machine")

_COSTLY = {"_hasher": passwords._hasher, "_NOBODY": passwords._NOBODY}
passwords._hasher = PasswordHasher(
    time_cost=1, memory_cost=8, parallelism=1
)  # thousands of tests sign somebody in
passwords._NOBODY = passwords._hasher.hash("the password of nobody")


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


@pytest.fixture
def costly_passwords(monkeypatch: pytest.MonkeyPatch) -> None:
    """Passwords are hashed as the program does it, slowly on purpose, for tests of just that."""
    for name, meant in _COSTLY.items():
        monkeypatch.setattr(passwords, name, meant)


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
def empty_database(server_url: str) -> Iterator[Databases]:
    """Makes databases on the server, and drops them at the end of the session."""
    databases = Databases(server_url)
    databases.sweep()
    yield databases
    databases.drop_all()


@pytest.fixture(scope="session")
def template(empty_database: Databases) -> str:
    """The name of a database migrated once per session, to be cloned."""
    name = empty_database.create()
    migrate(empty_database.url(name))
    return name


@pytest.fixture
def database_url(empty_database: Databases, template: str) -> Iterator[str]:
    """The address of a database as migrated, with nothing in it."""
    name = empty_database.lend(template)
    yield empty_database.url(name)
    empty_database.give_back(name)


@pytest.fixture
async def database(database_url: str) -> AsyncIterator[Database]:
    """A fresh, migrated database, opened."""
    opened = await Database.open(database_url)
    yield opened
    await opened.close()
