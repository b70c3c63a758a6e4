"""`commonchart due`: one patient's due list with its reasons."""

from __future__ import annotations

import json as plain_json
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import click
from rich.console import Console
from rich.table import Table

from commonchart.access import approvals, users
from commonchart.access.due import ORDER
from commonchart.access.records import Records
from commonchart.cli.open import awaited, data_option, opened
from commonchart.fhir import dates
from commonchart.fhir.outcome import Ambiguous, NotFound
from commonchart.jobs import worker
from commonchart.jobs.due import assessed
from commonchart.record import rules
from commonchart.record.due import DueRow
from commonchart.search.query import parse
from commonchart.settings import TENANT


@click.command()
@click.argument("patient")
@click.option("--json", "as_json", is_flag=True, help="Print JSON instead of a table.")
@click.option("--as-of", help="Work it out for this day instead of reading the stored list.")
@data_option
@awaited
async def due(patient: str, as_json: bool, as_of: str | None, data: Path | None) -> None:
    """Print what PATIENT (id or record number) is due for, and why."""
    async with opened(data) as database:
        now = datetime.now(UTC)
        records = Records(database, users.system(TENANT, "due-command"), lambda: now)
        id = await found_patient(records, patient)
        if as_of is None:
            await worker.drain(database, lambda: now)
        day = dates.bounds(as_of)[0].date() if as_of else None
        async with records.transaction() as tx:
            pack = (await rules.active(tx.conn, TENANT)).pack
            rows = await approvals.told(tx.conn, TENANT, await assessed(tx.conn, TENANT, id, pack, now, day))
        rows.sort(key=lambda row: (ORDER.index(row.status), row.title))
    if as_json:
        click.echo(plain_json.dumps([_plain(row) for row in rows], indent=2))
    else:
        _print(rows)


async def found_patient(records: Records, text: str) -> str:
    """The id of the patient with this id or record number. Raises NotFound, Ambiguous."""
    try:
        return (await records.read("Patient", text)).id
    except NotFound:
        page = await records.search(parse("Patient", [("identifier", text)]))
    if len(page.matches) > 1:
        raise Ambiguous("More than one patient has this record number: use the id")
    if not page.matches:
        raise NotFound("There is no patient with this id or record number")
    return page.matches[0].id


def _plain(row: DueRow) -> dict[str, Any]:
    days = {
        name: getattr(row, name)
        for name in ("due_on", "overdue_on", "until", "next_change_on", "assessed_on")
    }
    shown = {name: day.isoformat() if day else None for name, day in days.items()}
    kept = {
        name: getattr(row, name) for name in ("patient", "rule", "kind", "title", "status", "pack", "version")
    }
    return {**kept, **shown, "why": plain_json.loads(row.why)}


def _print(rows: list[DueRow]) -> None:
    table = Table("Status", "What", "When", "Why", show_lines=True)
    for row in rows:
        why = plain_json.loads(row.why)
        when = row.due_on or row.until
        notes = [
            why["because"],
            why["question"] and f"Ask: {why['question']}",
            f"{why['authority']}; rule {row.rule}, pack {row.pack} {row.version}",
        ]
        if row.approved is not None:
            notes.append(f"Approved by {row.approved.by} on {row.approved.at:%d-%b-%Y}")
        elif why["review"] == "needed":
            notes.append("Not reviewed")
        table.add_row(
            row.status.replace("-", " "),
            row.title,
            when.isoformat() if when else "",
            "\n".join(filter(None, notes)),
        )
    Console().print(table if rows else "Nothing: no rule applies to somebody who has died.")
