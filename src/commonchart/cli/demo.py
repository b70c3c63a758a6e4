"""`commonchart demo`: the program with a synthetic practice, ready to look at."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from datetime import UTC, datetime
from pathlib import Path

import click
from rich.console import Console
from rich.progress import (
    BarColumn,
    MofNCompleteColumn,
    Progress,
    TextColumn,
    TimeElapsedColumn,
    TimeRemainingColumn,
)

from commonchart.cli.open import data_option, opened, settings_of
from commonchart.cli.processes import Post
from commonchart.cli.serve import serve_until_stopped
from commonchart.demo import practice, seed
from commonchart.jobs import worker
from commonchart.record.database import Database
from commonchart.settings import Settings

FOLDER = "demo"


@click.command()
@click.option("--port", type=int, default=8000, show_default=True, help="Where to listen.")
@click.option("--host", default="127.0.0.1", show_default=True, help="On which address to listen.")
@click.option("--workers", type=click.IntRange(1, 64), help="How many web processes. Default 1.")
@click.option(
    "--scale",
    type=click.IntRange(1, 1_000_000),
    default=practice.PATIENTS,
    show_default=True,
    help="How many patients.",
)
@click.option("--seed-only", "--no-serve", is_flag=True, help="Fill the practice and stop, without serving.")
@data_option
def demo(port: int, host: str, workers: int | None, scale: int, seed_only: bool, data: Path | None) -> None:
    """Serve a synthetic practice: sign in at once while it is filled in the background.

    The first run makes 300 invented patients and their years; later runs answer within seconds.
    """
    folder = data or settings_of(None).data_dir / FOLDER
    if seed_only:
        asyncio.run(_seed_only(folder, scale))
        return
    settings = settings_of(folder, port=port, host=host, workers=workers, log_level="warning")
    serve_until_stopped(settings, ready=_ready, also=lambda running: _seeding(running, scale))


async def _seed_only(folder: Path, scale: int) -> None:
    async with opened(folder, size=seed.CONNECTIONS) as database:
        await _fill(database, scale, Console(stderr=True))
        await worker.drain(database, _now)


def _seeding(settings: Settings, scale: int) -> Sequence[Post]:
    return [Post("seed", lambda: asyncio.run(_seed_beside(settings, scale)), once=True)]


async def _seed_beside(settings: Settings, scale: int) -> None:
    database = Database.opened_later(
        settings.database_url, size=seed.CONNECTIONS, program_url=settings.database_program_url
    )
    await _fill(database, scale, Console(stderr=True))
    await database.close()


async def _fill(database: Database, scale: int, console: Console) -> None:
    if not await seed.prepare(database, _now(), scale):
        return
    columns = (
        TextColumn("Filling the practice"),
        BarColumn(),
        MofNCompleteColumn(),
        TimeElapsedColumn(),
        TimeRemainingColumn(),
    )
    with Progress(*columns, console=console) as bar:
        task = bar.add_task("seed", total=scale)
        now = _now()
        async for done, total in seed.seed(database, seed.today(now), scale, now):
            bar.update(task, completed=done, total=total)


def _ready(settings: Settings) -> None:
    click.echo(f"ready {settings.address}")
    click.echo("\nSign in as:")
    for account in seed.accounts():
        click.echo(f"  {account.login:10}  password {account.password}  ({account.role})")
    click.echo("\nStop with Ctrl C.")


def _now() -> datetime:
    return datetime.now(UTC)
