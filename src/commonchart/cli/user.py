"""`commonchart user`: the people who may sign in."""

from __future__ import annotations

import os
from datetime import UTC, datetime
from pathlib import Path

import click

from commonchart import settings
from commonchart.access import users
from commonchart.access.people import breached, factors, links, memberships, staff
from commonchart.access.people.handing_over import POOL
from commonchart.access.people.links import Link, Person
from commonchart.access.people.staff import Asked, Change
from commonchart.access.records import Records
from commonchart.cli.app import ROOT
from commonchart.cli.open import awaited, data_option, opened, opened_by, settings_of
from commonchart.fhir.outcome import Invalid
from commonchart.record.database import Database
from commonchart.settings import TENANT, Settings

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
        working: dict[str, list[users.User]] = {}
        for one in await users.working(database, TENANT):
            working.setdefault(one.id, []).append(one)
        for one in await users.everyone(database):
            for place in working.get(one.id, [one]):
                of = place.org if len(working.get(one.id, ())) > 1 else ""
                click.echo(f"{one.login:30} {place.role:14} {of if one.active else 'ended'}".rstrip())


@user.command()
@click.argument("login")
@click.option("--role", type=click.Choice(staff.ROLES), required=True, help="What they may do there.")
@click.option("--organization", required=True, help="Id of the other Organization.")
@data_option
@awaited
async def ask(login: str, role: str, organization: str, data: Path | None) -> None:
    """Ask somebody with an account to work for another organisation too; prints the code that they say yes with."""
    async with opened(data) as database:
        code = await staff.ask(_ours(database), Asked(login, role, organization))
    click.echo(code)
    click.echo(f"{login} says yes with this code, given to them in person, under Whom you act for.", err=True)


@user.command(name="end-membership")
@click.argument("login")
@click.option("--organization", required=True, help="Id of the Organization that they leave.")
@data_option
@awaited
async def end_membership(login: str, organization: str, data: Path | None) -> None:
    """End what somebody does and holds for one organisation, or the question to join it; the rest goes on.

    With the last one the account ends.
    """
    async with opened(data) as database:
        found = await users.find(database, login)
        async with database.single() as conn:
            places = [one.id for one in await memberships.mine(conn, found.id) if one.org == organization]
        if not places:
            raise Invalid("They do not work for this organisation, and are not asked to", at="organization")
        await staff.leave(_ours(database), found.id, POOL, places[0])
    click.echo(f"{login} works for {organization} no more, and everything they held for it has ended.")


@user.command()
@click.argument("login")
@click.option("--name", help="As colleagues and patients read it.")
@click.option("--email", help="Where a link for a forgotten password goes.")
@click.option("--practitioner", help="Id of the person's Practitioner resource.")
@data_option
@awaited
async def change(
    login: str, name: str | None, email: str | None, practitioner: str | None, data: Path | None
) -> None:
    """Change what belongs to the person and to no organisation, as no administrator may of who works for several."""
    async with opened(data) as database:
        found = await users.find(database, login)
        now, _ = await staff.one(_ours(database), found.id)
        given = (name, email, practitioner)
        old = (now.name, now.email, now.practitioner or "")
        named, mail, who = (b if a is None else a for a, b in zip(given, old, strict=True))
        await staff.change(
            _ours(database), found.id, Change(named, now.role, now.org, mail, who, now.membership)
        )
    click.echo(f"{login} is changed.")


@user.command()
@click.argument("login")
@click.option("--name", required=True, help="As colleagues and patients read it.")
@click.option("--role", type=click.Choice(staff.ROLES), required=True, help="What the account may do.")
@click.option("--organization", required=True, help="Id of the Organization the person works for.")
@click.option("--email", default="", help="For a forgotten password; the link itself is printed here.")
@click.option("--practitioner", help="Id of the person's Practitioner resource.")
@data_option
@awaited
async def invite(
    login: str, name: str, role: str, organization: str, email: str, practitioner: str | None, data: Path | None
) -> None:  # fmt: skip
    """Make an account with this LOGIN and print the link by which its owner sets a password: once, within 72 hours."""
    settings = settings_of(data)
    async with opened_by(settings) as database:
        person = Person(login, name, role, organization, email, None, practitioner)
        link = await links.invite(_ours(database), person)
    _hand_over(settings, link)


@user.command()
@click.argument("login")
@data_option
@awaited
async def reset(login: str, data: Path | None) -> None:
    """Print a link by which the account's owner sets a new password (or the first): once, within 30 minutes (72 hours)."""
    settings = settings_of(data)
    async with opened_by(settings) as database:
        link = await links.again(_ours(database), login)
    _hand_over(settings, link)


@user.command()
@click.argument("login")
@data_option
@awaited
async def deactivate(login: str, data: Path | None) -> None:
    """End an account and everything its owner holds, at once: sessions, tokens, apps, links, subscriptions, exports."""
    async with opened(data) as database:
        await users.set_active(database, login, False, datetime.now(UTC), ROOT)
    click.echo(f"{login} can no longer sign in, and everything they held has ended.")


@user.command()
@click.argument("login")
@data_option
@awaited
async def reactivate(login: str, data: Path | None) -> None:
    """Let somebody in again, and print the link by which they set a new password."""
    settings = settings_of(data)
    async with opened_by(settings) as database:
        await users.set_active(database, login, True, datetime.now(UTC), ROOT)
        link = await links.again(_ours(database), login)
    _hand_over(settings, link)


def _ours(database: Database) -> Records:
    """Whoever runs the program on its own machine looks after accounts, and leaves a row of it."""
    return Records(database, ROOT, lambda: datetime.now(UTC))


def _hand_over(settings: Settings, link: Link) -> None:
    click.echo(f"{settings.address}/welcome/{link.token}")
    click.echo(
        f"For {link.name}, once, until {link.expires:%Y-%m-%d %H:%M} UTC. It is not shown again.", err=True
    )


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
