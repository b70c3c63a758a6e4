"""`commonchart site [NAME [VALUE]]`: what a site decides about the servers it speaks to and the files it keeps."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from urllib.parse import urlsplit

import click

from commonchart.access import profiles
from commonchart.cli.open import awaited, data_option, opened_by, settings_of
from commonchart.exchange import egress, packages
from commonchart.exchange.bulk.work import HOURS
from commonchart.exchange.rules import ONLY, ORIGINS
from commonchart.exchange.subscriptions.accept import EMAIL_FULL, SMTP
from commonchart.exchange.subscriptions.email import FROM
from commonchart.fhir.outcome import Invalid
from commonchart.record import site as decisions


def _origins(text: str) -> None:
    egress.rules(text)


def _flag(text: str) -> None:
    if text not in ("true", "false", ""):
        raise Invalid("Say true or false", at="VALUE")


def _hours(text: str) -> None:
    if not (text.isdigit() and 0 < int(text) < 1000):
        raise Invalid("Say a number of hours from 1 to 999", at="VALUE")


def _mail(text: str) -> None:
    if text and (urlsplit(text).scheme not in ("smtp", "smtps") or not urlsplit(text).hostname):
        raise Invalid("Say smtp://user:password@host:587 or smtps://user:password@host:465", at="VALUE")


def _sender(text: str) -> None:
    if "@" not in text or not text.isprintable():
        raise Invalid("Say an e-mail address", at="VALUE")


def _how(text: str) -> None:
    if text not in profiles.MODES:
        raise Invalid(f"Say {' or '.join(profiles.MODES)}", at="VALUE")


NAMES: dict[str, tuple[str, Callable[[str], None]]] = {
    ORIGINS: (
        "origins that may be called whatever their address or port, with spaces between them",
        _origins,
    ),
    ONLY: ("true: nobody but those origins is called", _flag),
    HOURS: ("for how many hours the files of an export are kept", _hours),
    SMTP: ("the mail server of notifications", _mail),
    FROM: ("whom the mail is from", _sender),
    profiles.PROFILES: (
        "what happens to a resource that does not fit a profile it states: reject, warn (the default) or off",
        _how,
    ),
    packages.REGISTRY: (
        "where `commonchart package add NAME` looks: https://... or file:///folder",
        packages.registry,
    ),
    EMAIL_FULL: ("true: notifications by e-mail may hold whole records", _flag),
}


@click.command()
@click.argument("name", type=click.Choice(sorted(NAMES)), required=False)
@click.argument("value", required=False)
@data_option
@awaited
async def site(name: str | None, value: str | None, data: Path | None) -> None:
    """Say what the site has decided: everything, one NAME, or from now on VALUE ("" takes it back)."""
    settings = settings_of(data)
    if name is not None and value is not None and value != "":
        NAMES[name][1](value)
    async with opened_by(settings) as database, database.connection() as conn:
        if name is not None and value is not None:
            await decisions.put(conn, settings.tenant, name, value)
        for one in [name] if name else sorted(NAMES):
            said = await decisions.get(conn, settings.tenant, one)
            click.echo(f"{one}: {_shown(one, said)}  ({NAMES[one][0]})")


def _shown(name: str, said: str) -> str:
    """A password is not shown again."""
    if name == SMTP and "@" in said:
        return f"{said.partition('://')[0]}://...@{said.rpartition('@')[2]}"
    return said or "not said"
