"""`commonchart assess`: everybody's due list worked out again, on all cores, going on where an interrupted run stopped."""

from __future__ import annotations

import asyncio
import multiprocessing
import os
from collections.abc import Iterator
from concurrent.futures import ProcessPoolExecutor, as_completed
from datetime import UTC, datetime
from multiprocessing.sharedctypes import Synchronized
from pathlib import Path

import click
import msgspec
from msgspec import Struct
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

from commonchart.cli.open import data_option, program_url, settings_of
from commonchart.jobs.due import everyone
from commonchart.record import due, site
from commonchart.record.database import Database
from commonchart.record.embedded import reached
from commonchart.record.upgrade import migrate
from commonchart.settings import TENANT

PARTS = 64
STATE = "assess.run"
POLL_SECONDS = 0.5


class Run(Struct):
    """A run that is not finished: when it began, and the parts that are done."""

    began: datetime
    done: list[int] = []


@click.command()
@click.option("--all", "all_", is_flag=True, required=True, help="Everybody.")
@click.option(
    "--processes", type=click.IntRange(1, 256), help="How many processes. Default: one for each core."
)
@click.option(
    "--anew", is_flag=True, help="Begin again, even where an interrupted run could be gone on with."
)
@data_option
def assess(all_: bool, processes: int | None, anew: bool, data: Path | None) -> None:
    """Work out the due list of everybody again: prevention, monitoring, vaccines.

    The people are dealt into 64 parts. A run that was interrupted goes on with the parts that are left.
    """
    settings = settings_of(data)
    with reached(settings.data_dir, database_url=settings.database_url, bindir=settings.bindir) as url:
        migrate(url)
        url = program_url(settings, url) or url
        run, people = asyncio.run(_begun(url, anew))
        if run.done:
            click.echo(
                f"Going on with the run of {run.began:%d-%b-%Y %H:%M} UTC: {len(run.done)} of {PARTS} parts are done."
            )
        done = _work(url, run, people, processes or os.cpu_count() or 1)
    click.echo(f"{done:,} patients assessed.")


async def _begun(url: str, anew: bool) -> tuple[Run, int]:
    """The run to go on with, or a new one; and how many people there are."""
    database = await Database.open(url, size=1)
    try:
        async with database.connection() as conn:
            kept = "" if anew else await site.get(conn, TENANT, STATE)
            run = msgspec.json.decode(kept, type=Run) if kept else Run(datetime.now(UTC))
            return run, await due.how_many(conn)
    finally:
        await database.close()


def _work(url: str, run: Run, people: int, processes: int) -> int:
    """Every part that is left, in other processes; how many people were assessed."""
    context = multiprocessing.get_context("spawn")
    count = context.Value("q", 0)
    left = [part for part in range(PARTS) if part not in run.done]
    done = 0
    with (
        _bar() as bar,
        ProcessPoolExecutor(processes, mp_context=context, initializer=_share, initargs=(count,)) as pool,
    ):
        task = bar.add_task("Assessing", total=max(1, people * len(left) // PARTS))
        waiting = {pool.submit(_part, url, part): part for part in left}
        for future in _ended(waiting, bar, task, count):
            done += future.result()
            run.done.append(waiting[future])
            asyncio.run(_keep(url, msgspec.json.encode(run).decode() if len(run.done) < PARTS else ""))
    return done


def _ended(waiting: dict, bar: Progress, task: object, count: Synchronized) -> Iterator:  # type: ignore[type-arg]
    """The futures as they end, the bar moving meanwhile."""
    left = set(waiting)
    while left:
        try:
            for future in as_completed(left, timeout=POLL_SECONDS):
                left.remove(future)
                yield future
                break
        except TimeoutError:
            pass
        bar.update(task, completed=count.value)  # type: ignore[arg-type]


def _bar() -> Progress:
    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn())
    return Progress(*columns, console=Console(stderr=True))


async def _keep(url: str, state: str) -> None:
    database = await Database.open(url, size=1)
    try:
        async with database.connection() as conn:
            await site.put(conn, TENANT, STATE, state)
    finally:
        await database.close()


# ---- in the other processes ------------------------------------------------------------------------------------

_shared: list[Synchronized] = []  # type: ignore[type-arg]


def _share(count: Synchronized) -> None:  # type: ignore[type-arg]
    _shared.append(count)


def _part(url: str, part: int) -> int:
    """Assess one part of the people; how many."""
    return asyncio.run(_assessed(url, part))


async def _assessed(url: str, part: int) -> int:
    before = 0

    def progress(so_far: int) -> None:
        nonlocal before
        with _shared[0].get_lock():
            _shared[0].value += so_far - before
        before = so_far

    database = await Database.open(url, size=1, statement_seconds=0)
    try:
        return await everyone(database, datetime.now(UTC), progress, (part, PARTS))
    finally:
        await database.close()
