"""How a command reaches the database: the one given by address, the running server's, or one started for its own life."""

from __future__ import annotations

import asyncio
import os
from collections.abc import AsyncIterator, Callable, Coroutine
from contextlib import asynccontextmanager
from functools import wraps
from pathlib import Path
from typing import Any, ParamSpec, TypeVar

import click

from commonchart.record import login
from commonchart.record.database import Database
from commonchart.record.embedded import reached
from commonchart.record.sealed import Keys
from commonchart.record.upgrade import migrate
from commonchart.settings import Settings, load

P = ParamSpec("P")
T = TypeVar("T")

data_option = click.option(
    "--data",
    type=click.Path(path_type=Path),
    envvar="COMMONCHART_DATA",
    help="The data folder. Default: commonchart in the user's data folder.",
)


def settings_of(data: Path | None, **overrides: Any) -> Settings:
    """The settings of the installation whose data folder is `data` (None: the default one)."""
    return load(os.environ, data_dir=data, **overrides)


@asynccontextmanager
async def opened(data: Path | None, *, size: int = 4) -> AsyncIterator[Database]:
    """The database of the data folder, migrated: `async with opened(data) as database`.

    With a server running on the folder this attaches to it; else PostgreSQL runs for as long as the block does.
    Raises Busy when it cannot be reached, Conflict when the folder was written by a newer program.
    """
    async with opened_by(settings_of(data), size=size) as database:
        yield database


@asynccontextmanager
async def opened_by(settings: Settings, *, size: int = 4, owner: bool = False) -> AsyncIterator[Database]:
    """The same, for settings that are loaded already; as the `owner` of the tables if need be."""
    # starting and stopping PostgreSQL blocks this loop: nothing else runs on it yet, or any more
    with reached(settings.data_dir, database_url=settings.database_url, bindir=settings.bindir) as url:
        migrate(url)
        database = await Database.open(
            url, size=size, statement_seconds=0, keys=Keys(settings.secret_file), owner=owner,
            program_url=program_url(settings, url),
        )  # fmt: skip
        try:
            yield database
        finally:
            await database.close()


def program_url(settings: Settings, url: str) -> str:
    """The address of the login that owns nothing, in the migrated database at `url`; "" where the site has set none."""
    return settings.database_program_url if settings.database_url else login.made(url)


def awaited(function: Callable[P, Coroutine[Any, Any, T]]) -> Callable[P, T]:
    """Make an async function one that click can call."""

    @wraps(function)
    def call(*args: P.args, **kwargs: P.kwargs) -> T:
        return asyncio.run(function(*args, **kwargs))

    return call
