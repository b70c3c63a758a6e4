"""`commonchart terminology`: load code systems, value sets and concept maps, list them, remove them."""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path

import click
from rich.console import Console
from rich.progress import BarColumn, Progress, TextColumn, TimeElapsedColumn

from commonchart.cli.open import awaited, data_option, opened
from commonchart.fhir.outcome import Invalid
from commonchart.record.code_systems import Loaded, listed, load_resource, load_system
from commonchart.record.code_systems import remove as remove_loaded
from commonchart.record.database import Database
from commonchart.terminology.formats.detect import FORMATS, Content, LeftOut, contents
from commonchart.terminology.systems import CodeSystem

SHOWN = 20


@click.group()
def terminology() -> None:
    """What codes mean: LOINC, SNOMED CT, RxNorm, ICD-10-CM, CVX and FHIR value sets that the site loads."""


@terminology.command()
@click.argument("path", required=False, type=click.Path(path_type=Path))
@click.option("--as", "format_", type=click.Choice(FORMATS), help="The format, where it does not show.")
@data_option
@awaited
async def load(path: Path | None, format_: str | None, data: Path | None) -> None:
    """Load PATH: a release's zip or folder, a FHIR package (.tgz), or JSON. A new version lies beside the old ones.

    Without PATH, `--as icd10cm` loads the ICD-10-CM that comes in the box.
    """
    if path is None and format_ is None:
        raise Invalid("Say what to load: a PATH, or --as icd10cm for the one in the box")
    console = Console(stderr=True)
    left_out: list[str] = []
    done: list[Loaded] = []
    async with opened(data) as database:
        with _bar(console) as bar:
            task = bar.add_task("reading", total=None)
            for content in contents(path, format_ or ""):
                if isinstance(content, LeftOut):
                    left_out.append(str(content))
                else:
                    done.append(await _loaded(database, content, str(path or "in the box"), bar, task))
    _say(done, left_out)


async def _loaded(database: Database, content: Content, source: str, bar: Progress, task: object) -> Loaded:
    now = datetime.now(UTC)

    def progress(what: str, at: int, total: int) -> None:
        bar.update(task, description=what, completed=at, total=total)  # type: ignore[arg-type]

    async with database.connection() as conn:
        if isinstance(content, CodeSystem):
            return await load_system(conn, content, source, now, progress=progress)
        return await load_resource(conn, content, source, now)


def _bar(console: Console) -> Progress:
    return Progress(
        TextColumn("{task.description}"), BarColumn(), TextColumn("{task.completed:,}"), TimeElapsedColumn(), console=console
    )  # fmt: skip


def _say(done: list[Loaded], left_out: list[str]) -> None:
    for one in done[:200]:
        size = f", {one.count:,} codes" if one.kind == "CodeSystem" else ""
        click.echo(f"{one.state}: {one.kind} {one.url} {one.version or '(no version)'}{size}")
        left_out += [f"{one.url}: {line}" for line in one.left_out]
    if len(done) > 200:
        click.echo(f"... and {len(done) - 200:,} more")
    total = len(left_out) + sum(one.left_out_count - len(one.left_out) for one in done)
    click.echo(f"{len(done):,} loaded or unchanged, {total:,} entries left out")
    for line in left_out[:SHOWN]:
        click.echo(f"  left out: {line}")


@terminology.command("list")
@data_option
@awaited
async def list_(data: Path | None) -> None:
    """List what is loaded; FHIR's own code systems are always there and not listed."""
    async with opened(data) as database, database.connection() as conn:
        found = await listed(conn)
    if not found:
        click.echo("Nothing is loaded. FHIR R4's own code systems and value sets are in the box.")
    for one in found:
        size = f"{one.concepts:>9,}" if one.kind == "CodeSystem" else " " * 9
        mark = "*" if one.chosen else " "
        click.echo(f"{mark} {one.kind:10} {size}  {one.loaded:%Y-%m-%d}  {one.url}  {one.version}")


@terminology.command()
@click.argument("url")
@click.option("--version", "version", default="", help="Only this version. Default: all.")
@data_option
@awaited
async def remove(url: str, version: str, data: Path | None) -> None:
    """Remove what is loaded under URL."""
    async with opened(data) as database, database.connection() as conn:
        count = await remove_loaded(conn, url, version)
    click.echo(f"{count} removed")
