"""`commonchart token`: bearer tokens for the FHIR API."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from hashlib import sha256
from pathlib import Path

import click

from commonchart.access import credentials, users
from commonchart.cli.open import awaited, data_option, opened
from commonchart.fhir.outcome import NotFound, Refused
from commonchart.settings import TENANT


def service_login(role: str, organization: str, patient: str | None) -> str:
    """The login of the program user that such tokens belong to: one for each role, organisation and patient.

    Ids are longer than a login may be and differ by case, so they go in as a digest: two patients never share a user.
    """
    if not organization and not patient:
        return f"service-{role}"
    whose = sha256(f"{organization} {patient or ''}".encode()).hexdigest()[:32]
    return f"service-{role}-{whose}"


@click.group()
def token() -> None:
    """Make, list and revoke bearer tokens for the FHIR API."""


@token.command()
@click.option("--role", type=click.Choice(users.ROLES), required=True, help="What the token may do.")
@click.option(
    "--label", default="api", show_default=True, help="What it is for, as the list of tokens shows it."
)
@click.option(
    "--days", type=click.IntRange(1, 3650), default=90, show_default=True, help="How long it lives."
)
@click.option("--organization", default="", help="Id of the Organization that records what the token writes.")
@click.option("--patient", help="For the role patient: whose record.")
@data_option
@awaited
async def create(
    role: str, label: str, days: int, organization: str, patient: str | None, data: Path | None
) -> None:
    """Print one new token. It is shown this once; only its digest is kept."""
    now = datetime.now(UTC)
    async with opened(data) as database:
        login = service_login(role, organization, patient)
        try:
            user = await users.find(database, login)
        except NotFound:
            user = await users.create(
                database, tenant=TENANT, login=login, name=f"Program ({role})", role=role, org=organization, now=now,
                patient=patient,
            )  # fmt: skip
        made = await credentials.issue(
            database,
            user.id,
            now,
            kind="token",
            client=f"token:{label}",
            lives=timedelta(days=days),
            label=label,
        )
    click.echo(made)


@token.command(name="list")
@data_option
@awaited
async def list_(data: Path | None) -> None:
    """Every token with its handle, what it is for, and until when."""
    async with opened(data) as database:
        for one in await credentials.tokens(database):
            state = "revoked" if one.revoked else f"until {one.expires:%Y-%m-%d}"
            click.echo(f"{one.handle}  {one.role:14} {state:18} {one.label}")


@token.command()
@click.argument("handle")
@data_option
@awaited
async def revoke(handle: str, data: Path | None) -> None:
    """End the token with this HANDLE (from `token list`), within seconds everywhere."""
    async with opened(data) as database:
        if not await credentials.revoke_handle(database, handle, datetime.now(UTC)):
            raise Refused("There is no living token with this handle")
    click.echo("Revoked.")
