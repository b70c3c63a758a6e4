"""`commonchart package`: the FHIR packages whose profiles and value sets a site checks, beside those in the box."""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path

import click

from commonchart.cli.open import awaited, data_option, opened_by, settings_of
from commonchart.exchange.packages import found
from commonchart.fhir.outcome import Invalid
from commonchart.fhir.profiles.known import boxed
from commonchart.record import packages

SHOWN = 20


@click.group()
def package() -> None:
    """Profiles beyond US Core 6.1.0, which is in the box: npm-style FHIR packages (.tgz) that the site supplies."""


@package.command()
@click.argument("wanted", metavar="PATH|NAME")
@data_option
@awaited
async def add(wanted: str, data: Path | None) -> None:
    """Load the package at PATH, or NAME[@VERSION] from the registry named by `commonchart site package_registry URL`.

    Its profiles are checked from now on: in writes, in $validate, on the page and by `check validate`. Versions lie side
    by side; the one loaded last is meant where none is named. Codes of value sets that the package only describes by
    rules are looked up in what `commonchart terminology load` has loaded.
    """
    settings = settings_of(data)
    async with opened_by(settings) as database, database.connection() as conn:
        content = await found(conn, settings.tenant, wanted)
        done = await packages.add(conn, settings.tenant, content, _source(wanted), datetime.now(UTC))
    click.echo(f"{done.state}: {_line(done)}")
    for url in done.left_out[:SHOWN]:
        click.echo(f"  NOT KNOWN, its base is not loaded or not of R4: {url}")


def _source(wanted: str) -> str:
    return Path(wanted).name


def _line(one: packages.Loaded) -> str:
    left_out = f", {len(one.left_out):,} left out" if one.left_out else ""
    return f"{one.name} {one.version}: {one.profiles:,} profiles and extensions, {one.value_sets:,} value sets{left_out}"


@package.command("list")
@data_option
@awaited
async def list_(data: Path | None) -> None:
    """List what is loaded, and what is in the box."""
    settings = settings_of(data)
    async with opened_by(settings) as database, database.connection() as conn:
        loaded = await packages.listed(conn, settings.tenant)
    box = boxed()
    click.echo(
        f"in the box  hl7.fhir.us.core 6.1.0: {len(box.tables)} profiles and extensions, {len(box.sets)} value sets"
    )
    for one in loaded:
        click.echo(f"{one.loaded:%Y-%m-%d}  {_line(one)}  ({one.source})")


@package.command()
@click.argument("name")
@data_option
@awaited
async def remove(name: str, data: Path | None) -> None:
    """Remove NAME, all its versions, or NAME@VERSION. What is stored already stays as it is."""
    bare, _, version = name.replace("#", "@").partition("@")
    if not bare:
        raise Invalid("Say the name of a package", at="NAME")
    settings = settings_of(data)
    async with opened_by(settings) as database, database.connection() as conn:
        count = await packages.remove(conn, settings.tenant, bare, version)
    click.echo(f"{count} removed")
