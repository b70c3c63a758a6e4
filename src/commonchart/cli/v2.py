"""`commonchart v2 take`: HL7 v2 messages of registries into the record; `commonchart v2 vxu`: a patient's doses as one."""

from __future__ import annotations

from collections import Counter
from datetime import UTC, datetime
from pathlib import Path

import click

from commonchart.access.actors import Actor
from commonchart.access.records import Records
from commonchart.cli.due import found_patient
from commonchart.cli.open import awaited, data_option, opened
from commonchart.exchange.v2 import history
from commonchart.exchange.v2.answer import answered
from commonchart.exchange.v2.compose import Envelope, Site
from commonchart.exchange.v2.message import MAX_BYTES, Message, messages
from commonchart.exchange.v2.take import Taken, envelope, take, unreadable
from commonchart.exchange.v2.vxu import Sender
from commonchart.fhir.outcome import Refused, TooLarge
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
            for done in await _taken(records, path, Site(application, facility)):
                _show(done.answer)
                counts += _counted(done)
    click.echo(
        f"{counts['read']:,} messages: {counts['accepted']:,} accepted, {counts['refused']:,} refused; resources: "
        f"{counts['created']:,} created, {counts['changed']:,} changed, {counts['unchanged']:,} unchanged",
        err=True,
    )
    if counts["refused"]:
        raise click.exceptions.Exit(1)


def _actor(client: str, organization: str = "") -> Actor:
    return Actor(TENANT, "v2", f"commonchart {client}", "system", organization, "cli", purpose="HOPERAT")


async def _taken(records: Records, path: Path, site: Site) -> list[Taken]:
    try:
        if path.stat().st_size > MAX_BYTES:
            raise TooLarge(f"A file has at most {MAX_BYTES:,} bytes")
        found = messages(path.read_bytes())
    except Refused as bad:
        return [unreadable(bad, envelope(records, site, Sender("", "")))]
    return [await _one(records, message, site) for message in found]


async def _one(records: Records, message: Message, site: Site) -> Taken:
    if message.kind[0] != "QBP":
        return await take(records, message, site)
    answer = await answered(records, message, site)
    msa = answer.first("MSA")
    return Taken(answer, msa is not None and msa.text(1) == "AA")


def _counted(done: Taken) -> Counter[str]:
    outcome = "accepted" if done.accepted else "refused"
    return Counter(
        {"read": 1, outcome: 1, "created": done.created, "changed": done.changed, "unchanged": done.unchanged}
    )


def _show(message: Message) -> None:
    click.echo(str(message).replace("\r", "\n"))


@v2.command()
@click.argument("patient")
@click.option("--to-application", default="", help="The receiver's name in MSH-5.")
@click.option("--to-facility", default="", help="The receiver's name in MSH-6.")
@application_option
@facility_option
@data_option
@awaited
async def vxu(
    patient: str, to_application: str, to_facility: str, application: str, facility: str, data: Path | None
) -> None:
    """Print the doses of PATIENT (id or record number) as one VXU^V04; what it does not carry goes to standard error."""
    async with opened(data) as database:
        records = Records(database, _actor("v2 vxu"), lambda: datetime.now(UTC))
        id = await found_patient(records, patient)
        whole = await history.of(records, id, retracted=True)
        outside: Envelope = envelope(
            records, Site(application, facility), Sender(to_application, to_facility)
        )
    sent = history.vxu(outside, whole)
    _show(sent.message)
    for at in sent.left:
        click.echo(f"not carried: {at}", err=True)
