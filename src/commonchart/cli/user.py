"""`commonchart user`: the people who may sign in."""

from __future__ import annotations

import os
from datetime import UTC, datetime
from pathlib import Path

import click

from commonchart import settings
from commonchart.access import users
from commonchart.access.people import breached, factors
from commonchart.cli.open import awaited, data_option, opened
from commonchart.settings import TENANT

_password = click.password_option(
    "--password",
    envvar="COMMONCHART_PASSWORD",
    help="Asked for when it is given neither here nor in COMMONCHART_PASSWORD.",
)


@click.group()
def user() -> None:
    """Make, list and end accounts."""


@user.command()
@click.argument("login")
@click.option("--name", required=True, help="As colleagues and patients read it.")
@click.option("--role", type=click.Choice(users.ROLES), required=True, help="What the account may do.")
@click.option("--organization", default="", help="Id of the Organization the person works for.")
@click.option("--practitioner", help="Id of the person's Practitioner resource.")
@click.option("--patient", help="For the role patient: id of their Patient resource.")
@_password
@data_option
@awaited
async def create(
    login: str, name: str, role: str, organization: str, practitioner: str | None, patient: str | None, password: str,
    data: Path | None,
) -> None:  # fmt: skip
    """Make an account with this LOGIN."""
    async with opened(data) as database:
        await users.create(
            database, tenant=TENANT, login=login, name=name, role=role, org=organization, now=datetime.now(UTC),
            password=password, patient=patient, practitioner=practitioner,
        )  # fmt: skip
    click.echo(f"{login} can sign in.")


@user.command(name="list")
@data_option
@awaited
async def list_(data: Path | None) -> None:
    """Every account with its role and state."""
    async with opened(data) as database:
        for one in await users.everyone(database):
            click.echo(f"{one.login:30} {one.role:14} {'' if one.active else 'ended'}".rstrip())


@user.command()
@click.argument("login")
@data_option
@awaited
async def disable(login: str, data: Path | None) -> None:
    """End an account: its sessions and tokens end at once."""
    async with opened(data) as database:
        await users.set_active(database, login, False, datetime.now(UTC))
    click.echo(f"{login} can no longer sign in.")


@user.command()
@click.argument("login")
@data_option
@awaited
async def enable(login: str, data: Path | None) -> None:
    """Let somebody sign in again."""
    async with opened(data) as database:
        await users.set_active(database, login, True, datetime.now(UTC))
    click.echo(f"{login} can sign in.")


@user.command()
@click.argument("login")
@_password
@data_option
@awaited
async def password(login: str, password: str, data: Path | None) -> None:
    """Set a new password; the account's sessions and tokens end."""
    async with opened(data) as database:
        await users.set_password(database, login, password, datetime.now(UTC))
    click.echo("The password is set.")


@user.command(name="breached-list")
@click.argument("file", type=click.Path(exists=True, dir_okay=False, path_type=Path))
@data_option
def breached_list(file: Path, data: Path | None) -> None:
    """Refuse the passwords in FILE from now on: one a line, or SHA-1 sums with or without a count, as breach lists come."""
    folder = settings.load(os.environ, data_dir=data).data_dir
    with file.open("rb") as lines:
        count = breached.write(lines, folder / breached.FILE)
    click.echo(f"{count:,} passwords are refused from now on.")


@user.command(name="no-second-factor")
@click.argument("login")
@data_option
@awaited
async def no_second_factor(login: str, data: Path | None) -> None:
    """Take the second factors of somebody away who has lost them: their sessions end, and they set up new ones."""
    async with opened(data) as database:
        found, now = await users.find(database, login), datetime.now(UTC)
        async with database.connection() as conn:
            gone = await factors.take_away(
                conn, users.system(found.tenant, "command line", found.org), found.id, now
            )
    click.echo(f"{login}: {gone} taken away, and the recovery codes" if gone else f"{login} had none")
