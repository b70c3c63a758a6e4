from __future__ import annotations

import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from commonchart.cli.open import opened
from commonchart.record import site
from commonchart.record.database import Database
from commonchart.record.embedded import Embedded
from commonchart.record.upgrade import current, head


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("open") / "data"


@pytest.fixture
def empty_url(empty_database: Any) -> Iterator[str]:
    name = empty_database.create()
    yield empty_database.url(name)
    empty_database.drop(name)


async def put(database: Database, key: str) -> None:
    async with database.connection() as conn:
        await site.put(conn, 1, key, "yes")


async def test_alone_it_starts_postgres_for_its_own_life(data: Path) -> None:
    async with opened(data) as database:
        await put(database, "alone")
        assert (data / "postgres" / "postmaster.pid").exists()
    assert not (data / "postgres" / "postmaster.pid").exists()


WAITING = """
import signal, sys, time
from pathlib import Path
import click
from commonchart import cli
from commonchart.record.embedded import reached
signal.signal(signal.SIGINT, signal.default_int_handler)  # a shell in the background leaves it ignored
@click.command()
def wait():
    with reached(Path(sys.argv[1])):
        print("started", flush=True)
        time.sleep(60)
cli.Program.get_command = lambda *_: wait
cli.main(["wait"])
"""


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_told_to_end_it_takes_postgres_with_it(data: Path, number: signal.Signals) -> None:
    command = subprocess.Popen([sys.executable, "-c", WAITING, str(data)], stdout=subprocess.PIPE)
    assert command.stdout is not None
    assert command.stdout.readline() == b"started\n"
    command.send_signal(number)
    assert command.wait(30) != 0
    assert not (data / "postgres" / "postmaster.pid").exists()


async def test_beside_a_server_it_attaches_and_leaves_it_running(data: Path) -> None:
    embedded = Embedded(data)
    url = embedded.start()
    try:
        async with opened(data) as database:
            await put(database, "beside")
        beside = await Database.open(url)
        async with beside.connection() as conn:
            assert await site.get(conn, 1, "alone") == "yes"
            assert await site.get(conn, 1, "beside") == "yes"
        await beside.close()
        assert embedded.alive()
    finally:
        embedded.stop()


async def test_a_database_given_by_address_is_migrated_and_used(
    tmp_path: Path, empty_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("DATABASE_URL", empty_url)
    async with opened(tmp_path / "data") as database:
        await put(database, "given")
    assert current(empty_url) == head()
    assert not (tmp_path / "data" / "postgres").exists()
