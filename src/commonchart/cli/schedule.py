"""`commonchart schedule`: immunization schedule packs, made from their publishers' files, listed and compared."""

from __future__ import annotations

from datetime import UTC, datetime
from importlib.metadata import version as program_version
from pathlib import Path

import click

from commonchart.access import schedules, users
from commonchart.access.records import Records
from commonchart.care.immunizations import overlay
from commonchart.care.immunizations import pack as packs
from commonchart.care.immunizations.compile import Schedule, compiled
from commonchart.care.immunizations.difference import Difference, differences
from commonchart.cli.check_immunizations import on
from commonchart.cli.open import awaited, data_option, opened, settings_of
from commonchart.exchange.schedules import cdc, release
from commonchart.fhir import dates
from commonchart.fhir.outcome import Invalid
from commonchart.record.database import Database
from commonchart.settings import TENANT

SHOWN = 200


@click.group()
def schedule() -> None:
    """Immunization schedules: packs of facts, each with its authority and version; old ones stay."""


@schedule.command("import")
@click.argument("path", type=click.Path(path_type=Path))
@click.option("--version", help="The release's version. Default: as the name of PATH says.")
@click.option("--published", default="", help="When it was published (year-month).")
@click.option("--against", default=packs.BUILT_IN, help="The pack to compare with, by name or folder.")
@click.option(
    "--cases", type=click.Path(path_type=Path), help="Published cases to run on the new pack (JSON lines)."
)
@click.option(
    "--out",
    type=click.Path(path_type=Path),
    help="The new pack's folder. Default: in the site's packs folder.",
)
@click.option("--dry-run", is_flag=True, help="Check and compare, write nothing.")
@data_option
def import_(
    path: Path,
    version: str | None,
    published: str,
    against: str,
    cases: Path | None,
    out: Path | None,
    dry_run: bool,
    data: Path | None,
) -> None:
    """Make a pack of PATH: the folder or zip of CDC's supporting data (CDSi).

    Checks its shape, says what differs clinically from the pack in use, and runs published cases on it. It is not in use until it is activated.
    """
    said = version or release.version(path)
    if not said:
        raise Invalid("The name of PATH does not say which version this is: give --version")
    name = f"cdc-{said}"
    made = packs.checked(
        cdc.pack(release.files(path), name, said, published, f"commonchart {program_version('commonchart')}")
    )
    series = sum(len(antigen.series) for antigen in made.antigens.values())
    click.echo(
        f"{name}: {len(made.antigens)} antigens, {series} series, {len(made.schedule.observations)} observations"
    )
    _say(differences(packs.found(against, _site(data)), made), against)
    if cases is not None:
        _run(cases, compiled(made))
    if not dry_run:
        folder = out or _site(data) / name
        packs.write(made, folder)
        click.echo(f"Written to {folder}")


@schedule.command("list")
@data_option
def list_(data: Path | None) -> None:
    """The schedule packs in the box and in the site's packs folder."""
    for place, folder in (("in the box", packs.PACKS), ("the site's", _site(data))):
        for name in packs.available(folder):
            source = packs.read(folder / name).source
            click.echo(f"{name}\t{source.authority} {source.version}\t{source.published}\t{place}")


@schedule.command()
@click.argument("a")
@click.argument("b")
@data_option
def diff(a: str, b: str, data: Path | None) -> None:
    """What differs clinically in pack B from pack A, each by name or folder."""
    _say(differences(packs.found(a, _site(data)), packs.found(b, _site(data))), a)


@schedule.command()
@click.argument("name")
@click.option(
    "--cases", type=click.Path(path_type=Path), help="Published cases to run on it; what they say is kept."
)
@click.option(
    "--overlay",
    "overlays",
    multiple=True,
    help="Lay this file of changes over it: the site's own, or `errata` for the cited ones in the box. May be repeated.",
)
@data_option
@awaited
async def install(name: str, cases: Path | None, overlays: tuple[str, ...], data: Path | None) -> None:
    """Keep a pack of the site's packs folder (or the folder NAME) in the record, so that it can be used.

    With overlays it is kept beside the pack without them, under a name that says so.
    """
    made = packs.found(name, _site(data))
    for one in overlays:
        path = packs.PACKS / name / "errata.json" if one == "errata" else Path(one)
        made = overlay.applied(made, overlay.read(path))
    made = packs.checked(made)
    said = _run(cases, compiled(made)) if cases is not None else ""
    async with opened(data) as database:
        done = await schedules.install(_system(database), made, said)
    click.echo(f"Installed {done.name}: {done.authority} {done.version}")


@schedule.command("use")
@click.argument("name")
@click.option(
    "--from", "effective", required=True, help="The first day on which it is used, such as 2027-01-01."
)
@data_option
@awaited
async def use_(name: str, effective: str, data: Path | None) -> None:
    """From a day on use the installed pack NAME; due lists are worked out again when the day has come."""
    day = dates.bounds(effective)[0].date()
    async with opened(data) as database:
        await schedules.use(_system(database), name, day)
    click.echo(f"{name} is used from {day} on.")


def _system(database: Database) -> Records:
    return Records(database, users.system(TENANT, "schedule-command"), lambda: datetime.now(UTC))


def _site(data: Path | None) -> Path:
    return settings_of(data).data_dir / "packs"


def _say(found: list[Difference], against: str) -> None:
    click.echo(f"{len(found)} clinical differences from {against}")
    for one in found[:SHOWN]:
        click.echo(f"  {one.line}")
    if len(found) > SHOWN:
        click.echo(f"  ... and {len(found) - SHOWN} more")


def _run(path: Path, made: Schedule) -> str:
    """Run published cases on a pack, print those that differ; the closing line."""
    passed = failed = 0
    for name, good, why in on(path, made):
        passed, failed = passed + good, failed + (not good)
        if not good:
            click.echo(f"{name}: {why}")
    said = f"{passed} passed, {failed} failed"
    click.echo(said)
    return said
