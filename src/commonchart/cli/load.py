"""`commonchart load`: FHIR files in, with a receipt."""

from __future__ import annotations

import asyncio
import re
import signal
import time
from datetime import UTC, datetime
from pathlib import Path

import click
from rich.console import Console
from rich.progress import BarColumn, Progress, TextColumn, TimeElapsedColumn, TimeRemainingColumn

from commonchart.access.actors import Actor
from commonchart.access.records import Records
from commonchart.cli.open import awaited, data_option, opened
from commonchart.exchange.bulk import manifest
from commonchart.exchange.load import receipt
from commonchart.exchange.load.run import Options
from commonchart.exchange.load.run import load as run_load
from commonchart.fhir.outcome import Invalid
from commonchart.settings import TENANT


@click.command()
@click.argument("paths", nargs=-1, required=True, type=click.Path(path_type=Path))
@click.option(
    "--source",
    default="load",
    show_default=True,
    help="The sender's name: ids that are no UUID are named after it.",
)
@click.option("--organization", default="", help="Id of the Organization that records what is loaded.")
@click.option("--atomic", is_flag=True, help="A transaction Bundle is stored as a whole or not at all.")
@click.option(
    "--jobs",
    type=click.IntRange(0, 64),
    default=0,
    help="Processes that prepare files. Default: all cores but one.",
)
@click.option(
    "--json",
    "json_file",
    type=click.Path(path_type=Path),
    help="Write the receipt, with every rejected entry, here.",
)
@data_option
@awaited
async def load(
    paths: tuple[Path, ...],
    source: str,
    organization: str,
    atomic: bool,
    jobs: int,
    json_file: Path | None,
    data: Path | None,
) -> None:
    """Load FHIR R4 Bundles, NDJSON or single resources from PATHS (files or folders, plain or .gz).

    Every entry is stored, unchanged, or rejected with the reason and the place; loading again changes nothing.
    A folder that `commonchart export` made is loaded with its ids as they are.
    """
    if not re.fullmatch(r"[A-Za-z0-9][A-Za-z0-9._-]{0,62}", source):
        raise Invalid("A source is named by 1 to 63 letters, digits, . _ or -", at="--source")
    actor = Actor(TENANT, "load", "commonchart load", "system", organization, "cli", purpose="HOPERAT")
    console = Console(stderr=True)
    keep_ids = bool(paths) and all(manifest.ours(path) for path in paths)
    chosen = manifest.resource_files(paths) if keep_ids else list(paths)
    async with opened(data) as database:
        records = Records(database, actor, lambda: datetime.now(UTC))
        with _bar(console) as bar:
            done = await _interruptible(records, chosen, Options(source, atomic, jobs, keep_ids), bar)
        rejected = await receipt.lines(records, done.id, outcome="rejected", limit=1_000_000)
    click.echo(receipt.as_text(done))
    if json_file:
        json_file.write_bytes(receipt.as_json(done, rejected))
    if done.state == "interrupted":
        raise click.exceptions.Exit(130)


def _bar(console: Console) -> Progress:
    return Progress(
        TextColumn("Loading"), BarColumn(), TextColumn("{task.percentage:>3.0f} %"), TextColumn("{task.fields[rate]}"),
        TimeElapsedColumn(), TimeRemainingColumn(), console=console,
    )  # fmt: skip


async def _interruptible(
    records: Records, paths: list[Path], options: Options, bar: Progress
) -> receipt.Receipt:
    task = bar.add_task("load", total=1, rate="")
    began = time.monotonic()

    def progress(done: int, total: int, entries: int) -> None:
        rate = entries / max(0.001, time.monotonic() - began)
        bar.update(task, completed=done, total=total, rate=f"{entries:,} entries, {rate:,.0f}/s")

    running = asyncio.ensure_future(run_load(records, paths, options, progress))
    asyncio.get_running_loop().add_signal_handler(signal.SIGINT, running.cancel)
    return await running
