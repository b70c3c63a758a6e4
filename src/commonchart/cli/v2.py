"""`commonchart v2 take`: HL7 v2 messages of registries into the record; `commonchart v2 vxu`: a patient's doses as one."""

from __future__ import annotations

import sys
from collections import Counter
from datetime import UTC, datetime
from pathlib import Path

import click

from commonchart.access.actors import Actor
from commonchart.access.records import Records
from commonchart.cli.due import found_patient
from commonchart.cli.open import awaited, data_option, opened
from commonchart.exchange.v2 import history
from commonchart.exchange.v2.compose import Envelope, Site
from commonchart.exchange.v2.evaluate import by_schedule
from commonchart.exchange.v2.message import MAX_BYTES, Message
from commonchart.exchange.v2.receive import received
from commonchart.exchange.v2.take import Taken, envelope
from commonchart.exchange.v2.vxu import Sender
from commonchart.fhir.outcome import TooLarge
from commonchart.settings import TENANT

application_option = click.option(
    "--application", default="Commonchart", show_default=True, help="Our name in MSH-3."
)
facility_option = click.option(
    "--facility", default="Commonchart", show_default=True, help="Our name in MSH-4; keeper of our numbers."
)


@click.group()
def v2() -> None:
    """HL7 v2 messages of immunization registries."""


@v2.command(name="take")
@click.argument(
    "files", nargs=-1, required=True, type=click.Path(path_type=Path, dir_okay=False, exists=True)
)
@click.option("--organization", default="", help="Id of the Organization that records what is taken.")
@application_option
@facility_option
@data_option
@awaited
async def take_command(
    files: tuple[Path, ...], organization: str, application: str, facility: str, data: Path | None
) -> None:
    """Take VXU^V04 messages from FILES into the record and answer QBP^Q11; print the answers.

    A message is stored as a whole or not at all; the same message again changes nothing. The count goes to standard
    error. Exit code 1 when any message was refused.
    """
    counts: Counter[str] = Counter()
    async with opened(data) as database:
        records = Records(database, _actor("v2 take", organization), lambda: datetime.now(UTC))
        for path in files:
            if path.stat().st_size > MAX_BYTES:
                raise TooLarge(f"A file has at most {MAX_BYTES:,} bytes", at=str(path))
            for done in await received(
                records, path.read_bytes(), Site(application, facility), by_schedule(records)
            ):
                _show(done.answer)
                counts += _counted(done)
    click.echo(
        f"{counts['read']:,} messages: {counts['accepted']:,} accepted, {counts['refused']:,} refused; resources: "
        f"{counts['created']:,} created, {counts['changed']:,} changed, {counts['unchanged']:,} unchanged",
        err=True,
    )
    if counts["refused"]:
        raise click.exceptions.Exit(1)


def _actor(client: str, organization: str = "", purpose: str = "HOPERAT") -> Actor:
    return Actor(TENANT, "v2", f"commonchart {client}", "system", organization, "cli", purpose=purpose)


def _counted(done: Taken) -> Counter[str]:
    outcome = "accepted" if done.accepted else "refused"
    return Counter(
        {"read": 1, outcome: 1, "created": done.created, "changed": done.changed, "unchanged": done.unchanged}
    )


def _show(message: Message) -> None:
    """Lines on a terminal; into a file or pipe the segments end with CR, as HL7 wants."""
    if sys.stdout.isatty():
        click.echo(str(message).replace("\r", "\n"))
    else:
        click.echo(message.encoded(), nl=False)


@v2.command()
@click.argument("patient")
@click.option("--to-application", default="", help="The receiver's name in MSH-5.")
@click.option("--to-facility", default="", help="The receiver's name in MSH-6.")
@click.option("--retracted", is_flag=True, help="Also doses entered in error, as deletions (RXA-21 D).")
@application_option
@facility_option
@data_option
@awaited
async def vxu(
    patient: str,
    to_application: str,
    to_facility: str,
    retracted: bool,
    application: str,
    facility: str,
    data: Path | None,
) -> None:
    """Print the doses of PATIENT (id or record number) as one VXU^V04; what it does not carry goes to standard error."""
    async with opened(data) as database:
        records = Records(database, _actor("v2 vxu", purpose="PUBHLTH"), lambda: datetime.now(UTC))
        id = await found_patient(records, patient)
        whole = await history.of(records, id, retracted=retracted)
        outside: Envelope = envelope(
            records, Site(application, facility), Sender(to_application, to_facility)
        )
    sent = history.vxu(outside, whole)
    _show(sent.message)
    for at in sent.left:
        click.echo(f"not carried: {at}", err=True)
