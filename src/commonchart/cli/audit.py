"""`commonchart audit`: hold the trail against its seals, checkpoints to keep elsewhere, keys, and old months as files."""

from __future__ import annotations

import re
from datetime import UTC, date, datetime
from pathlib import Path

import click
import msgspec
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

from commonchart.access import audit as trail
from commonchart.access import users
from commonchart.access.sealing import archives, checkpoints, keys, sealer, verifying
from commonchart.access.sealing.verifying import Report
from commonchart.cli.open import awaited, data_option, opened_by, settings_of
from commonchart.fhir.outcome import Invalid, NotFound
from commonchart.settings import TENANT

FOLDER = "audit"


@click.group()
def audit() -> None:
    """The audit trail: what shows that nobody changed it, and how to keep it."""


@audit.command()
@click.option(
    "--checkpoint",
    "files",
    type=click.Path(path_type=Path, exists=True, dir_okay=False),
    multiple=True,
    help="A file of checkpoints that was kept elsewhere; may be given several times.",
)
@click.option(
    "--archives",
    "folder",
    type=click.Path(path_type=Path, exists=True, file_okay=False),
    help="The folder with the archived months, to be verified too.",
)
@data_option
@awaited
async def verify(files: tuple[Path, ...], folder: Path | None, data: Path | None) -> None:
    """Look for events that were edited, deleted, inserted or moved, and for an end that was cut off.

    Names the first ones found, says how many events no seal covers yet, and exits with 1 when anything is wrong. Only checkpoints
    that were kept elsewhere show that the end was cut off.
    """
    settings = settings_of(data)
    given = [one for path in files for one in checkpoints.read(path)]
    async with opened_by(settings) as database:
        apart = await archives.given(database, folder)
        public = keys.known(settings.data_dir / FOLDER / "keys")
        with _progress() as bar:
            task = bar.add_task("Verifying", total=None)
            report = await verifying.verify(
                database,
                public,
                given,
                apart,
                lambda done, total: bar.update(task, completed=done, total=total),
            )
    _say(report)
    if not report.sound:
        raise SystemExit(1)


def _say(report: Report) -> None:
    for finding in report.findings:
        click.echo(f"WRONG  {finding.about} {finding.wrong}")
    if report.wrong > len(report.findings):
        click.echo(f"       and {report.wrong - len(report.findings)} more")
    click.echo(
        f"{report.events} events under {report.seals} seals, held against {report.checkpoints} checkpoints"
    )
    if report.apart:
        click.echo(f"NOT CHECKED: {report.apart} events lie in archives that were not given (--archives)")
    if not report.checkpoints:
        click.echo(
            "NOT CHECKED: whether the end was cut off; give a checkpoint that was kept elsewhere (--checkpoint)"
        )
    since = f", the oldest of {report.oldest:%Y-%m-%d %H:%M:%S} UTC" if report.oldest else ""
    click.echo(f"{report.unsealed} events are not sealed yet{since}")
    click.echo(
        "Nothing is wrong with the trail."
        if report.sound
        else f"{report.wrong} things are wrong with the trail."
    )


@audit.command()
@data_option
@awaited
async def checkpoint(data: Path | None) -> None:
    """Print the newest checkpoint, one line to be kept elsewhere. The server writes one a minute into audit/checkpoints."""
    settings = settings_of(data)
    async with opened_by(settings) as database, database.single() as conn:
        seal = await sealer.newest(conn)
        if seal is None:
            raise NotFound("Nothing is sealed yet: the server does that while it runs")
        public = keys.known(settings.data_dir / FOLDER / "keys").get(seal.key)
        if public is None:
            raise NotFound(f"The public key {seal.key} is not in {settings.data_dir / FOLDER / 'keys'}")
        now = datetime.now(UTC)
        await trail.note(conn, users.system(TENANT, "cli"), now, "audit-checkpoint", detail=f"seal {seal.n}")
    click.echo(msgspec.json.encode(checkpoints.of(seal, public)).decode())


@audit.command(name="rotate-key")
@data_option
@awaited
async def rotate_key(data: Path | None) -> None:
    """Sign with a new key from now on. The old private key is gone; old seals and checkpoints stay valid."""
    settings = settings_of(data)
    async with opened_by(settings) as database, database.single() as conn:
        made = keys.rotate(settings.data_dir / FOLDER / "keys")
        now = datetime.now(UTC)
        await trail.note(conn, users.system(TENANT, "cli"), now, "audit-key", detail=made.name)
    click.echo(f"Seals are signed with {made.name} from now on.")


@audit.command()
@click.argument("month")
@click.option(
    "--to",
    "folder",
    type=click.Path(path_type=Path, file_okay=False),
    help="The folder for the file. Default: audit/archives in the data folder.",
)
@data_option
@awaited
async def archive(month: str, folder: Path | None, data: Path | None) -> None:
    """Write the events of MONTH (2020-01) to a file and take them out of the database, when the site's retention allows."""
    settings = settings_of(data)
    first = _month(month)
    async with opened_by(settings, owner=True) as database:
        count = await archives.archive(
            database,
            users.system(TENANT, "cli"),
            first,
            folder or settings.data_dir / FOLDER / "archives",
            datetime.now(UTC),
        )
    click.echo(f"{count} events of {month} are in {archives.name(first)}.")


def _month(text: str) -> date:
    if not re.fullmatch(r"[0-9]{4}-(0[1-9]|1[0-2])", text):
        raise Invalid("A month is a year and a month, as 2020-01", at="MONTH")
    return date(int(text[:4]), int(text[5:]), 1)


def _progress() -> Progress:
    return Progress(
        TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn(),
        console=Console(stderr=True), transient=True,
    )  # fmt: skip
