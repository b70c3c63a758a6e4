"""`commonchart site [NAME [VALUE]]`: what a site decides about the servers it speaks to and the files it keeps."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from urllib.parse import urlsplit

import click

from commonchart.access import profiles
from commonchart.access.inbox import policy as inbox
from commonchart.access.outreach import policy
from commonchart.access.people.factors import REQUIRED
from commonchart.access.portal import proxies
from commonchart.access.users import ROLES
from commonchart.care.inbox import escalate
from commonchart.cli.open import awaited, data_option, opened_by, settings_of
from commonchart.exchange import egress, packages
from commonchart.exchange.bulk.work import HOURS
from commonchart.exchange.outreach import mail, webhook
from commonchart.exchange.rules import ONLY, ORIGINS
from commonchart.exchange.subscriptions.accept import EMAIL_FULL
from commonchart.exchange.subscriptions.email import FROM
from commonchart.fhir.outcome import Invalid
from commonchart.record import site as decisions
from commonchart.record.site import NAME, SMTP, SMTP_LOGIN_FILE


def _origins(text: str) -> None:
    egress.rules(text)


def _flag(text: str) -> None:
    if text not in ("true", "false", ""):
        raise Invalid("Say true or false", at="VALUE")


def _hours(text: str) -> None:
    if not (text.isdigit() and 0 < int(text) < 1000):
        raise Invalid("Say a number of hours from 1 to 999", at="VALUE")


def _years(text: str) -> None:
    if text and not (text.isascii() and text.isdigit() and int(text) <= 21):
        raise Invalid("Say a number of years from 0 to 21", at="VALUE")


def _mail(text: str) -> None:
    if text and (urlsplit(text).scheme not in ("smtp", "smtps") or not urlsplit(text).hostname):
        raise Invalid("Say smtp://user:password@host:587 or smtps://user:password@host:465", at="VALUE")


def _one_of(*words: str) -> Callable[[str], None]:
    def check(text: str) -> None:
        if text not in words:
            raise Invalid(f"Say {' or '.join(words)}", at="VALUE")

    return check


def _line(text: str) -> None:
    if len(text) > 200 or not text.isprintable():
        raise Invalid("Say one line of at most 200 characters", at="VALUE")


def _file(text: str) -> None:
    if not Path(text).is_absolute():
        raise Invalid("Say the whole path of a file", at="VALUE")


def _url(text: str) -> None:
    egress.origin_of(text)


def _language(text: str) -> None:
    if not (text.isascii() and text.isalpha() and text.islower() and 2 <= len(text) <= 3):
        raise Invalid("Say a language such as en or es", at="VALUE")


def _time(text: str) -> None:
    policy.hours(f"{text}-23:59")


def _sender(text: str) -> None:
    if "@" not in text or not text.isprintable():
        raise Invalid("Say an e-mail address", at="VALUE")


def _how(text: str) -> None:
    if text not in profiles.MODES:
        raise Invalid(f"Say {' or '.join(profiles.MODES)}", at="VALUE")


def _roles(text: str) -> None:
    unknown = sorted(set(text.split()) - set(ROLES))
    if unknown:
        raise Invalid(f"There is no role {unknown[0]}: the roles are {', '.join(ROLES)}", at="VALUE")


NAMES: dict[str, tuple[str, Callable[[str], object]]] = {
    ORIGINS: (
        "origins that may be called whatever their address or port, with spaces between them",
        _origins,
    ),
    ONLY: ("true: nobody but those origins is called", _flag),
    HOURS: ("for how many hours the files of an export are kept", _hours),
    SMTP: ("the mail server of notifications", _mail),
    FROM: ("whom the mail is from", _sender),
    mail.TLS: (
        "required (as when nothing is said) or offered: STARTTLS for reminders",
        _one_of("required", "offered"),
    ),
    SMTP_LOGIN_FILE: ("the file with the password of the mail server, instead of one in smtp_url", _file),
    mail.CA_FILE: ("the certificates that the mail server's must be signed by, if not the usual ones", _file),
    NAME: ("the name of the practice, as patients know it", _line),
    policy.PHONE: ("the number that reminders ask to call", _line),
    policy.ADDRESS: ("the postal address on letters, its lines separated by ' / '", _line),
    policy.ZONE: ("the time zone of the practice, such as America/Chicago", policy.zone),
    policy.HOURS: ("when people may be disturbed, such as 09:00-19:00", policy.hours),
    policy.GAP: ("for how many days nobody is reminded again", policy.gap),
    proxies.LIMITED_FROM: ("from which age of a child on a parent does not see sensitive parts", _years),
    proxies.ENDS_AT: ("from which age of a child on a parent sees nothing", _years),
    policy.LANGUAGE: ("the language of those whose own is not known, or has no words", _language),
    policy.SMS: ("the webhook that sends texts", _url),
    policy.VOICE: ("the webhook that makes calls", _url),
    policy.DIGEST: ("when clinicians get their digest by e-mail, such as 07:00; nothing said: never", _time),
    webhook.KEY_FILE: ("the file with the key (bearer token) of those webhooks", _file),
    profiles.PROFILES: (
        "what happens to a resource that does not fit a profile it states: reject, warn (the default) or off",
        _how,
    ),
    packages.REGISTRY: (
        "where `commonchart package add NAME` looks: https://... or file:///folder",
        packages.registry,
    ),
    inbox.LEVELS: (
        f"who hears of a critical result after how many minutes; nothing said: {escalate.DEFAULT}, to be reviewed",
        escalate.steps,
    ),
    inbox.ON_CALL: (
        "the logins that are on call for critical results, with spaces between them",
        inbox.logins,
    ),
    inbox.NEWS_DAYS: (
        "for how many days a result is news for the inbox (30); an older one is history",
        inbox.days,
    ),
    REQUIRED: (
        "the roles that must have a second factor, with spaces between them, such as clinician administrator",
        _roles,
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
