"""`commonchart reindex`: what is being indexed again and how far it is, or everything indexed again."""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path

import click
from rich.console import Console
from rich.table import Table

from commonchart.cli.open import awaited, data_option, opened
from commonchart.jobs import reindex as work
from commonchart.record.reindex import Run
from commonchart.search.index import VERSION
from commonchart.settings import TENANT


@click.command()
@click.option("--status", is_flag=True, help="Only say what is being indexed, and how far it is.")
@data_option
@awaited
async def reindex(status: bool, data: Path | None) -> None:
    """Have everything indexed again for search; the worker does it beside its other work."""
    async with opened(data) as database:
        if not status:
            await work.again(database, datetime.now(UTC), VERSION)
        _print(await work.status(database, TENANT))


def _print(runs: list[Run]) -> None:
    table = Table("what", "state", "done", "asked")
    for run in runs:
        what = "everything" if run.tenant == 0 else f"SearchParameter/{run.name}"
        table.add_row(what, run.state, run.progress(), run.asked.isoformat(timespec="seconds"))
    Console().print(table)
