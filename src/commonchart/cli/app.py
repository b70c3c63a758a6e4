"""`commonchart app`: SMART apps and backend services."""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path

import click
from msgspec.structs import replace

from commonchart.access.actors import Actor
from commonchart.access.developers import keeping, registrations
from commonchart.access.oauth import apps
from commonchart.access.oauth.apps import App, NewApp
from commonchart.cli.open import awaited, data_option, opened, settings_of
from commonchart.fhir.outcome import Invalid, NotFound
from commonchart.settings import TENANT, rotate_token_key
from commonchart.web.apps.typed import LABELS

ROOT = Actor(TENANT, "cli", "Command line", "system", "", "cli")
_organization = click.option("--organization", default="", help="Id of the Organization that a backend service works for.")  # fmt: skip


@click.group()
def app() -> None:
    """Register, list, approve and disable apps that use the record (SMART on FHIR)."""


@app.command()
@click.argument("name")
@click.option("--about", default="", help="What it does, for whoever is asked to allow it.")
@click.option("--kind", type=click.Choice(["public", "secret", "key"]), default="public", show_default=True, help="How it proves that it is itself.")  # fmt: skip
@click.option("--audience", type=click.Choice(["patient", "clinician", "both", "backend"]), default="both", show_default=True, help="Who uses it.")  # fmt: skip
@click.option("--redirect", "redirects", multiple=True, help="An address that people are sent back to.")
@click.option("--launch-url", default="", help="Where it opens from a chart.")
@click.option("--scopes", required=True, help="The most it may ever ask for, in quotes.")
@click.option("--jwks-url", default="", help="https address of its public keys.")
@click.option("--jwks", type=click.Path(exists=True, dir_okay=False, path_type=Path), help="A file with its public keys (JWK set).")  # fmt: skip
@click.option("--approve", "approved", is_flag=True, help="Approve it at once.")
@_organization
@data_option
@awaited
async def register(
    name: str, about: str, kind: apps.Kind, audience: apps.Audience, redirects: tuple[str, ...], launch_url: str, scopes: str,
    jwks_url: str, jwks: Path | None, approved: bool, organization: str,
    data: Path | None,
) -> None:  # fmt: skip
    """Register an app called NAME. Prints its client id, and its secret if it has one: shown this once."""
    keys = _read(jwks) if jwks else ""
    new = NewApp(
        name=name, about=about, kind=kind, audience=audience, redirect_uris=redirects, launch_url=launch_url,
        scopes=scopes, jwks_url=jwks_url, jwks=keys,
    )  # fmt: skip
    now = datetime.now(UTC)
    async with opened(data) as database:
        made, secret = await apps.register(database, ROOT, new, now)
        if approved:
            await apps.decide(database, replace(ROOT, org=organization), made.id, "approved", now)
    click.echo(f"client_id {made.id}")
    if secret:
        click.echo(f"client_secret {secret}")


def _read(path: Path) -> str:
    try:
        return path.read_text("utf-8")
    except (OSError, UnicodeDecodeError):
        raise Invalid(f"{path} cannot be read") from None


@app.command(name="list")
@data_option
@awaited
async def list_(data: Path | None) -> None:
    """Every app with its client id and state."""
    async with opened(data) as database:
        for one in await apps.listed(database, TENANT):
            whose = f" ({one.publisher}, by a developer)" if one.publisher else ""
            click.echo(f"{one.id}  {one.state:9} {one.kind:7} {one.audience:10} {one.name}{whose}")


@app.command()
@click.argument("client_id")
@_organization
@data_option
@awaited
async def approve(client_id: str, organization: str, data: Path | None) -> None:
    """Approve the app with this CLIENT_ID: people can then be asked to allow it."""
    async with opened(data) as database:
        await apps.decide(database, replace(ROOT, org=organization), client_id, "approved", datetime.now(UTC))
    click.echo("Approved.")


@app.command()
@click.argument("client_id")
@data_option
@awaited
async def disable(client_id: str, data: Path | None) -> None:
    """Disable the app with this CLIENT_ID: everything that people allowed it ends within seconds."""
    async with opened(data) as database:
        await apps.decide(database, ROOT, client_id, "disabled", datetime.now(UTC))
    click.echo("Disabled.")


@app.command()
@click.argument("client_id", default="")
@data_option
@awaited
async def changes(client_id: str, data: Path | None) -> None:
    """The changes that developers ask for and that wait; with a CLIENT_ID what would differ, and the number to decide by."""
    async with opened(data) as database:
        async with database.single() as conn:
            waiting = sorted(await keeping.waiting(conn, TENANT))
            if client_id and client_id not in waiting:
                raise NotFound("No change of this app waits")
            held = [(one, await keeping.change_of(conn, one)) for one in waiting if client_id in ("", one)]
        for id, change in held:
            if change is not None:
                said = await apps.one(database, TENANT, id)
                contact = await registrations.contact(database, TENANT, id)
                _show(said, change, contact.email if contact else "", whole=bool(client_id))
    if not held:
        click.echo("No change waits.")


def _show(said: App, change: keeping.Change, email: str, *, whole: bool) -> None:
    whose = f"{said.publisher}, {email}" if email else said.publisher
    click.echo(f"{said.id}  change {change.revision}  {change.created:%Y-%m-%d %H:%M} UTC  {_plain(f'{said.name} ({whose})')}")  # fmt: skip
    for line in keeping.difference(said, change.asked) if whole else ():
        click.echo(f"  {LABELS[line.field]}")
        for sign, held, other in (("-", line.before, line.after), ("+", line.after, line.before)):
            for text in held:
                click.echo(f"    {' ' if text in other else sign} {_plain(text)}")


def _plain(text: str) -> str:
    """What a stranger typed, without anything that a terminal would obey."""
    return "".join(c if c.isprintable() else "\ufffd" for c in text)


@app.command(name="approve-change")
@click.argument("client_id")
@click.argument("change", type=click.IntRange(1, 10**9))
@data_option
@awaited
async def approve_change(client_id: str, change: int, data: Path | None) -> None:
    """Let the change with the number CHANGE, as `changes CLIENT_ID` shows it, hold for the app with this CLIENT_ID. Refused when another one waits by now."""
    async with opened(data) as database:
        await keeping.decide_change(database, ROOT, client_id, change, datetime.now(UTC), agreed=True)
    click.echo("Approved: it holds now.")


@app.command(name="refuse-change")
@click.argument("client_id")
@click.argument("change", type=click.IntRange(1, 10**9))
@click.option("--reason", required=True, help="Why, for its developer.")
@data_option
@awaited
async def refuse_change(client_id: str, change: int, reason: str, data: Path | None) -> None:
    """Refuse the change with the number CHANGE of the app with this CLIENT_ID: what was approved stays as it is."""
    async with opened(data) as database:
        await keeping.decide_change(
            database, ROOT, client_id, change, datetime.now(UTC), agreed=False, reason=reason
        )
    click.echo("Refused.")


@app.command()
@click.argument("client_id")
@data_option
@awaited
async def secret(client_id: str, data: Path | None) -> None:
    """Print a new secret for the app with this CLIENT_ID; the old one ends at once."""
    async with opened(data) as database:
        click.echo(await apps.new_secret(database, ROOT, client_id, datetime.now(UTC)))


@app.command(name="new-signing-key")
@data_option
def new_signing_key(data: Path | None) -> None:
    """Put a new key in front of those that sign id tokens; old ones stay published. Restart the server to use it."""
    click.echo(f"kid {rotate_token_key(settings_of(data).data_dir)}")
