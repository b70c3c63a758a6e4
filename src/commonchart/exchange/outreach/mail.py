"""E-mail through the site's mail server, over TLS: STARTTLS is demanded unless the site says otherwise.

In steps, so that it is known what the server had when something broke: before the text was handed over nothing was sent;
after that, only the server's own refusal says so (RFC 5321, 4.2.5 and 6.1).
"""

from __future__ import annotations

import ssl
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import datetime
from email.message import EmailMessage
from email.policy import SMTP as WIRE
from email.utils import format_datetime
from pathlib import Path
from typing import TYPE_CHECKING
from urllib.parse import unquote, urlsplit

import aiosmtplib
from msgspec import Struct

from commonchart.exchange.outreach.outcome import InDoubt, NeverTaken, NotTaken
from commonchart.exchange.subscriptions.email import FROM
from commonchart.fhir.outcome import Invalid
from commonchart.record import site

if TYPE_CHECKING:
    from commonchart.record.database import Connection

CA_FILE, TLS = "smtp_ca_file", "smtp_tls"
SECONDS = 30.0


class Server(Struct, frozen=True):
    """The mail server. `tls` is required, or offered (STARTTLS only where the server has it)."""

    url: str
    sender: str
    tls: str = "required"
    password_file: str = ""
    ca_file: str = ""
    seconds: float = SECONDS


class Mail(Struct, frozen=True):
    """One message; `message_id` is the same for every try."""

    to: str
    subject: str
    text: str
    message_id: str
    language: str = "en"


async def server_of(conn: Connection, tenant: int) -> Server:
    """The site's mail server. Raises Invalid where there is none."""
    url = await site.get(conn, tenant, site.SMTP)
    if not url:
        raise Invalid("This site has no mail server set up")
    return Server(
        url, await site.get(conn, tenant, FROM, "commonchart@localhost"), await site.get(conn, tenant, TLS) or "required",
        await site.get(conn, tenant, site.SMTP_LOGIN_FILE), await site.get(conn, tenant, CA_FILE),
    )  # fmt: skip


async def send(server: Server, mail: Mail, now: datetime) -> None:
    """Hand it over. Raises NotTaken, NeverTaken, InDoubt."""
    wire = _wire(server.sender, mail, now)
    async with _connected(server) as client:
        try:
            await client.mail(server.sender)
            await client.rcpt(mail.to)
        except aiosmtplib.SMTPResponseException as said:
            _said(said)
        except (aiosmtplib.SMTPException, OSError, ValueError):
            raise NotTaken("The mail server does not answer as it should") from None
        try:
            await client.data(wire)
        except aiosmtplib.SMTPResponseException as said:
            _said(said)
        except (aiosmtplib.SMTPException, OSError, ValueError):
            raise InDoubt("The connection broke after the mail server had the message") from None


def _wire(sender: str, mail: Mail, now: datetime) -> bytes:
    """The message in bytes. Raises NeverTaken when it cannot be an e-mail."""
    try:
        return message(sender, mail, now).as_bytes(policy=WIRE)
    except ValueError:
        raise NeverTaken("The address or subject cannot stand in an e-mail") from None


def _said(refusal: aiosmtplib.SMTPResponseException) -> None:
    """The server's refusal: for good (5xx), or for now."""
    words = f"The mail server does not take it ({refusal.code})"
    if 500 <= refusal.code < 600:
        raise NeverTaken(words) from None
    raise NotTaken(words, away=refusal.code == 421) from None


@asynccontextmanager
async def _connected(server: Server) -> AsyncIterator[aiosmtplib.SMTP]:
    client = _client(server)
    try:
        await client.connect()
    except aiosmtplib.SMTPAuthenticationError:
        raise NotTaken("The mail server does not accept the user name or password", away=True) from None
    except (aiosmtplib.SMTPException, OSError, ValueError) as error:
        raise NotTaken(_unreached(error), away=True) from None
    try:
        yield client
    finally:
        client.close()


def _unreached(error: Exception) -> str:
    text = str(error).lower()
    if isinstance(error, ssl.SSLError) or "certificate" in text:
        return "The certificate of the mail server does not hold"
    if "starttls" in text:
        return "The mail server offers no STARTTLS, which this site demands"
    return "The mail server cannot be reached"


def _client(server: Server) -> aiosmtplib.SMTP:
    """A client that has not connected. Raises NotTaken when a file that is named cannot be read."""
    where = urlsplit(server.url)
    at_once = where.scheme == "smtps"
    return aiosmtplib.SMTP(
        hostname=where.hostname, port=where.port, use_tls=at_once,
        start_tls=None if at_once or server.tls == "offered" else True,
        username=unquote(where.username) if where.username else None, password=_password(server, where.password),
        timeout=server.seconds, tls_context=_trust(server),
    )  # fmt: skip


def _password(server: Server, said: str | None) -> str | None:
    if not server.password_file:
        return unquote(said) if said else None
    try:
        return Path(server.password_file).read_text("utf-8").strip()
    except (OSError, UnicodeDecodeError):
        raise NotTaken("The file with the password of the mail server cannot be read", away=True) from None


def _trust(server: Server) -> ssl.SSLContext:
    try:
        return ssl.create_default_context(cafile=server.ca_file or None)
    except (OSError, ssl.SSLError):
        raise NotTaken(
            "The file with the certificates for the mail server cannot be read", away=True
        ) from None


def message(sender: str, mail: Mail, now: datetime) -> EmailMessage:
    """The message as it is sent. Raises ValueError for an address or subject that would break the headers."""
    out = EmailMessage()
    out["From"], out["To"], out["Subject"] = sender, mail.to, mail.subject
    out["Date"] = format_datetime(now)
    out["Message-ID"] = f"<{mail.message_id}@{sender.rpartition('@')[2] or 'localhost'}>"
    out["Auto-Submitted"] = "auto-generated"
    out["Content-Language"] = mail.language
    out.set_content(mail.text + "\n")
    return out
