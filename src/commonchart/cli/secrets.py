"""`commonchart secrets`: the secrets by which what is kept is sealed."""

from __future__ import annotations

from pathlib import Path

import click

from commonchart.cli.open import awaited, data_option, opened_by, settings_of
from commonchart.exchange import rotation
from commonchart.fhir.outcome import Conflict
from commonchart.record import sealed
from commonchart.record.sealed import Keys
from commonchart.settings import Settings, add_secret, forget_old_secrets


@click.group()
def secrets() -> None:
    """Change the secrets that seal passwords of servers, headers of subscriptions and second factors."""


@secrets.command()
@click.option(
    "--finish", is_flag=True, help="Take old secrets out even if recovery codes rest on them: those end."
)
@data_option
@awaited
async def rotate(finish: bool, data: Path | None) -> None:
    """Go over to a new secret; the old one is accepted until everything is sealed by the new one.

    The first run puts a new secret in front. Start the server again, and run it once more: it seals everything anew and
    takes the old secret out. Where no server was ever started, one run does both.
    """
    settings = settings_of(data)
    async with opened_by(settings) as database:
        started = await rotation.in_use(database)
        if len(sealed.ring(settings.secret)) == 1:
            settings = add_secret(settings)
            click.echo("A new secret is in front; the old one still opens what it sealed.")
            if started:
                click.echo("Start every server again, then run this once more.")
                return
        keys = Keys(settings.secret_file)
        if started and started != sealed.id_of(sealed.ring(settings.secret)[0]).hex():
            raise Conflict("No server was started since the new secret came: start every server again first")
        done = await rotation.renew(database, keys)
    _finished(settings, done, finish)


def _finished(settings: Settings, done: rotation.Done, finish: bool) -> None:
    click.echo(
        f"Sealed anew: {done.settings} settings, {done.subscriptions} subscriptions, {done.factors} second factors."
    )
    if done.lost:
        click.echo(f"{done.lost} cannot be opened by any secret here: enter them again.")
    if done.waiting and not finish:
        click.echo(
            f"{done.waiting} recovery codes rest on the old secret: it stays until their owners made new ones. Run this again "
            "then, or with --finish."
        )
        return
    forget_old_secrets(settings)
    click.echo("The old secret is out. Backups made before need it: they carry it themselves.")
