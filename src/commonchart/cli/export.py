"""`commonchart export`: the record as NDJSON files with a manifest, for `commonchart load` here or elsewhere."""

from __future__ import annotations

import re
from datetime import UTC, datetime
from pathlib import Path

import click
import msgspec
from rich.console import Console

from commonchart.access.actors import Actor
from commonchart.access.records import Records
from commonchart.cli.open import awaited, data_option, opened
from commonchart.exchange.bulk.manifest import NAME, written
from commonchart.exchange.bulk.wanted import Export
from commonchart.exchange.bulk.work import to_folder
from commonchart.fhir import dates
from commonchart.fhir.definitions import r4
from commonchart.fhir.outcome import Conflict, Invalid
from commonchart.settings import TENANT


@click.command()
@click.argument("folder", type=click.Path(path_type=Path, file_okay=False))
@click.option("--since", help="Only what was recorded after this moment, such as 2026-11-18T10:00:00Z.")
@click.option("--type", "types", multiple=True, help="Only resources of this type; may be given again.")
@click.option(
    "--patient", "patients", multiple=True, help="Only the record of this Patient id; may be given again."
)
@data_option
@awaited
async def export(
    folder: Path, since: str | None, types: tuple[str, ...], patients: tuple[str, ...], data: Path | None
) -> None:
    """Write the record to FOLDER: one NDJSON file a type, exactly as stored, and manifest.json.

    FOLDER must be empty or new; only its owner may read it. The files are of the moment the command began.
    """
    wanted = _wanted(since, types, patients)
    if folder.exists() and any(folder.iterdir()):
        raise Conflict(f"{folder} is not empty: name a new folder", at="FOLDER")
    folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    actor = Actor(TENANT, "export", "commonchart export", "system", "", "cli", purpose="HOPERAT")
    console = Console(stderr=True)
    began = datetime.now(UTC)
    async with opened(data) as database:
        records = Records(database, actor, lambda: datetime.now(UTC))
        with console.status("Exporting") as status:
            made = await to_folder(
                records, wanted, folder, lambda words, n: status.update(f"{words}, {n:,} in all")
            )
    (folder / NAME).write_bytes(msgspec.json.format(written(wanted, began, made), indent=2))
    click.echo(
        f"{sum(one.resources for one in made if one.kind == 'output'):,} resources in {len(made)} files: {folder}"
    )


def _wanted(since: str | None, types: tuple[str, ...], patients: tuple[str, ...]) -> Export:
    for name in types:
        if name not in r4().resource_types:
            raise Invalid(f"{name} is no type of FHIR R4", at="--type")
    for id in patients:
        if not re.fullmatch(r"[A-Za-z0-9\-.]{1,64}", id):
            raise Invalid("A patient is named by the id of a Patient", at="--patient")
    return Export(
        level="patient" if patients else "system",
        types=types,
        since=dates.bounds(since)[0] if since else None,
        compartment=bool(patients),
        patients=patients or None,
    )
