"""The e-mails that bring a link: who it is for and until when it works, nothing else."""

from __future__ import annotations

import asyncio
from datetime import datetime
from hashlib import sha256
from typing import TYPE_CHECKING, Any

import structlog

from commonchart.access import signin
from commonchart.exchange.outreach import mail
from commonchart.exchange.outreach.mail import Mail
from commonchart.exchange.outreach.outcome import InDoubt, NeverTaken, NotTaken
from commonchart.fhir.outcome import Invalid, Refused
from commonchart.web.present.zone import zone_of

if TYPE_CHECKING:
    from commonchart.access.people.links import Link
    from commonchart.record.database import Database

log = structlog.get_logger("commonchart.people")

TENANT = 1
TEXTS = {
    "invite": (
        "Your account at {practice}",
        "Hello {name},\n\nan account was made for you at {practice}. Open this link and choose a password:\n\n{address}\n\n"
        "It works once, until {until}. If you did not expect this, do nothing.",
    ),
    "reset": (
        "A new password",
        "Hello {name},\n\nsomebody, you we hope, asked for a new password at {practice}. Open this link and choose one:\n\n"
        "{address}\n\nIt works once, until {until}. If it was not you, do nothing: your password stays as it is.",
    ),
}
_sending: set[asyncio.Task[None]] = set()


def address_of(settings: Any, link: Link) -> str:
    """The address that the link is."""
    return f"{settings.address}/welcome/{link.token}"


async def send(database: Database, settings: Any, link: Link, now: datetime) -> None:
    """Send it to the address that is kept of its owner. Raises Invalid with what stands in the way."""
    if not str(settings.address).startswith("https://"):
        raise Invalid("This site has no public https address", at="channel")
    said = await signin.site(database, TENANT)
    subject, text = TEXTS[link.kind]
    words = {
        "practice": said.get("name") or "your practice", "name": link.name, "address": address_of(settings, link),
        "until": zone_of(said.get("time_zone", "")).stamp(link.expires),
    }  # fmt: skip
    async with database.single() as conn:
        server = await mail.server_of(conn, TENANT)
    handle = sha256(link.token.encode()).hexdigest()[:24]
    message = Mail(link.email, subject.format(**words), text.format(**words), f"account-{handle}")
    try:
        await mail.send(server, message, now)
    except (NotTaken, NeverTaken, InDoubt) as error:
        raise Invalid(str(error), at="channel") from None


def send_later(database: Database, settings: Any, link: Link, now: datetime) -> None:
    """Send it without anybody waiting for it, so that how long it takes tells nothing."""
    task = asyncio.get_running_loop().create_task(_quietly(database, settings, link, now))
    _sending.add(task)
    task.add_done_callback(_sending.discard)


async def _quietly(database: Database, settings: Any, link: Link, now: datetime) -> None:
    try:
        await send(database, settings, link, now)
    except Refused:
        log.warning("a link to set a password could not be sent")


async def settled() -> None:
    """Wait for everything that is being sent."""
    while _sending:
        await asyncio.wait(list(_sending))
