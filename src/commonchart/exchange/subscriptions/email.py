"""Notifications by e-mail, through the mail server that the site has set up."""

from __future__ import annotations

from email.message import EmailMessage
from pathlib import Path
from typing import TYPE_CHECKING, Any
from urllib.parse import unquote, urlsplit

import aiosmtplib
from msgspec import Struct

from commonchart.exchange.egress import Unanswered
from commonchart.exchange.subscriptions.plan import Plan, address_of
from commonchart.fhir import json
from commonchart.fhir.outcome import Invalid
from commonchart.record import site
from commonchart.record.site import SMTP

if TYPE_CHECKING:
    from commonchart.record.database import Connection

FROM = "smtp_from"


class Mail(Struct, frozen=True):
    """The site's mail server, and who the mail is from."""

    url: str
    sender: str
    password_file: str = ""


async def set_up(conn: Connection, tenant: int) -> Mail:
    """The site's mail server. Raises Invalid where there is none."""
    url = await site.get(conn, tenant, SMTP)
    if not url:
        raise Invalid("This site has no mail server set up")
    sender = await site.get(conn, tenant, FROM, "commonchart@localhost")
    return Mail(url, sender, await site.get(conn, tenant, site.SMTP_LOGIN_FILE))


async def send(mail: Mail, plan: Plan, bundle: dict[str, Any]) -> None:
    """One message. `smtp://user:password@host:587` speaks STARTTLS where it is offered, `smtps://` TLS. Raises Unanswered."""
    where = urlsplit(mail.url)
    tls = where.scheme == "smtps"
    try:
        await aiosmtplib.send(
            message(mail.sender, plan, bundle), hostname=where.hostname, port=where.port, use_tls=tls,
            username=unquote(where.username) if where.username else None,
            password=_password(mail, where.password), timeout=plan.timeout,
        )  # fmt: skip
    except (aiosmtplib.SMTPException, OSError, ValueError):
        raise Unanswered("The mail server does not take the message") from None


def _password(mail: Mail, said: str | None) -> str | None:
    """From the file that the site names, else from the address of the server."""
    if mail.password_file:
        return Path(mail.password_file).read_text("utf-8").strip()
    return unquote(said) if said else None


def message(sender: str, plan: Plan, bundle: dict[str, Any]) -> EmailMessage:
    """The message: words that name nobody, and the notification attached unless the content is empty."""
    out = EmailMessage()
    out["From"] = sender
    out["To"] = address_of(plan.endpoint)
    out["Subject"] = "Commonchart: there is something new"
    out.set_content("Something you subscribed to has happened. Open Commonchart to see it.\n")
    if plan.content != "empty":
        out.add_attachment(
            json.encode(bundle), maintype="application", subtype="fhir+json", filename="notification.json"
        )
    return out
