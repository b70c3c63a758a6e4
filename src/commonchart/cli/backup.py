"""`commonchart backup` and `commonchart restore`: the whole record in one file, and back into an empty folder."""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from importlib.metadata import version
from pathlib import Path

import click
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

from commonchart.cli.open import data_option, settings_of
from commonchart.cli.serve import now
from commonchart.fhir.outcome import Conflict, Invalid
from commonchart.record import backup as record_backup
from commonchart.record import restored
from commonchart.record.embedded import Embedded, reached
from commonchart.record.postgres import folder
from commonchart.settings import default_data_dir

PASSED_OVER = frozenset({"lock", "lost+found", folder.RESTORING})
BELONGS_TO_POSTGRES = ("lock", "socket", "run", "postgres.log")

passphrase_option = click.option(
    "--passphrase-file",
    type=click.Path(path_type=Path, exists=True, dir_okay=False),
    help="A file whose first line is the passphrase. Without the passphrase nobody can read the backup, nor restore it.",
)


@click.command()
@click.argument("dest", type=click.Path(path_type=Path))
@passphrase_option
@data_option
def backup(dest: Path, passphrase_file: Path | None, data: Path | None) -> None:
    """Write the whole record to DEST, a new file or a folder for one, while the server goes on serving.

    The file holds one moment of the record and is read back and checked before it gets its name.
    """
    passphrase = _passphrase(passphrase_file)
    settings = settings_of(data)
    made = now()
    target = dest / f"commonchart-{made:%Y%m%d-%H%M%S}.backup" if dest.is_dir() else dest
    with (
        reached(settings.data_dir, database_url=settings.database_url, bindir=settings.bindir) as url,
        _progress("Writing and checking") as progress,
    ):
        summary = record_backup.make(
            url,
            settings.data_dir,
            target,
            now=made,
            program=version("commonchart"),
            passphrase=passphrase,
            progress=progress,
        )
    click.echo(
        f"{target}: {summary.rows} rows in {len(summary.sums)} tables, {summary.bytes} bytes, read back whole"
    )
    if passphrase is None:
        click.echo(
            "It is not encrypted: whoever has the file reads every record. See --passphrase-file.", err=True
        )


@click.command()
@click.argument("source", type=click.Path(path_type=Path, exists=True, dir_okay=False))
@passphrase_option
@data_option
def restore(source: Path, passphrase_file: Path | None, data: Path | None) -> None:
    """Restore the backup SOURCE into an empty data folder (or the empty database that DATABASE_URL names).

    It is checked before anything is written, and every table is compared afterwards. What fails leaves nothing behind.
    Every session, token, link and emergency access in it is ended: what was revoked since the backup stays revoked.
    """
    passphrase = _passphrase(passphrase_file)
    data_dir = (data or default_data_dir(os.environ)).expanduser().absolute()
    url = os.environ.get("DATABASE_URL", "")
    with _progress("Checking and restoring") as progress:
        if url:
            _demand_empty(folder.prepared(data_dir))
            summary = record_backup.restore(source, url, data_dir, passphrase=passphrase, progress=progress)
            ended = restored.nobody_returns(url, summary.about.made, now())
        else:
            with _emptied(data_dir) as (making, url):
                summary = record_backup.restore(source, url, making, passphrase=passphrase, progress=progress)
                ended = restored.nobody_returns(url, summary.about.made, now())
    click.echo(f"{data_dir}: {summary.rows} rows as they were on {summary.about.made:%Y-%m-%d %H:%M} UTC")
    for name, number in ended.items():
        click.echo(f"Ended: {number} {name}")
    click.echo("Everybody signs in again. Consents and users that were ended since then: enter them again.")


@contextmanager
def _emptied(data_dir: Path) -> Iterator[tuple[Path, str]]:
    """A new record beside nothing, which takes its place in the folder only when the block ends well."""
    was_there = data_dir.exists()
    folder.prepared(data_dir)
    _demand_empty(data_dir)
    lock = folder.Lock(data_dir)
    lock.demand()
    making = data_dir / folder.RESTORING
    embedded = Embedded(making, bindir=os.environ.get("COMMONCHART_BINDIR", ""))
    try:
        shutil.rmtree(making, ignore_errors=True)
        yield making, embedded.start()
        embedded.stop()
        _settle(making, data_dir)
    except BaseException:
        embedded.stop()
        shutil.rmtree(making if was_there else data_dir, ignore_errors=True)
        raise
    finally:
        lock.free()


def _demand_empty(data_dir: Path) -> None:
    found = sorted(path.name for path in data_dir.iterdir() if path.name not in PASSED_OVER)
    if found:
        raise Conflict(
            f"{data_dir} is not empty ({found[0]}): a backup is restored only into an empty folder"
        )


def _settle(making: Path, data_dir: Path) -> None:
    """Move everything to its place, the data last: a folder with half of it is known by what is left in `making`."""
    for name in BELONGS_TO_POSTGRES:
        path = making / name
        if path.is_dir():
            shutil.rmtree(path)
        else:
            path.unlink(missing_ok=True)
    for path in sorted(making.iterdir(), key=lambda path: path.name == "postgres"):
        path.rename(data_dir / path.name)
    making.rmdir()
    record_backup.synced(data_dir)


def _passphrase(file: Path | None) -> bytes | None:
    if file is None:
        return None
    first = file.read_bytes().split(b"\n", 1)[0].rstrip(b"\r")
    if not first:
        raise Invalid(f"{file} is empty: its first line is to be the passphrase")
    return first


@contextmanager
def _progress(title: str) -> Iterator[record_backup.Progress]:
    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn())
    with Progress(*columns, console=Console(stderr=True), transient=True) as bars:
        task = bars.add_task(title, total=None)
        yield lambda done, total: bars.update(task, completed=done, total=max(total, 1))
