"""The e-mails that bring developers a link: fixed words and the link, nothing that anybody typed.

A link goes to an address that may be a stranger's, so that a registration is no way to have us send somebody's words.
"""

from __future__ import annotations

import asyncio
from datetime import UTC, datetime
from typing import TYPE_CHECKING

import structlog

from commonchart.access import credentials
from commonchart.access.outreach.policy import policy_of
from commonchart.exchange.outreach import mail
from commonchart.exchange.outreach.mail import Mail
from commonchart.exchange.outreach.outcome import InDoubt, NeverTaken, NotTaken
from commonchart.fhir.outcome import Invalid, Refused

if TYPE_CHECKING:
    from commonchart.access.developers.links import Mailed
    from commonchart.record.database import Database

log = structlog.get_logger("commonchart.developers")

TEXTS = {
    "proof": (
        "confirm your e-mail address",
        "somebody, you we hope, registered an app at {practice} with this e-mail address. Open this link, look at what was "
        "registered, and confirm it:\n\n{address}\n\nIt works once, until {until}. If it was not you, do nothing: without it "
        "nothing comes of the registration.",
    ),
    "apps": (
        "your apps",
        "somebody, you we hope, asked for a link to the apps that were registered at {practice} with this e-mail address:\n\n"
        "{address}\n\nIt works once, until {until}. If it was not you, do nothing.",
    ),
}
_sending: set[asyncio.Task[None]] = set()


async def send(database: Database, tenant: int, base: str, link: Mailed, now: datetime) -> None:
    """Send a link to its address; `base` is the site's own. Raises Invalid with what stands in the way."""
    if not base.startswith("https://"):
        raise Invalid("This site has no public https address")
    async with database.single() as conn:
        practice = (await policy_of(conn, tenant)).practice or "Commonchart"
        server = await mail.server_of(conn, tenant)
    subject, text = TEXTS[link.kind]
    words = text.format(
        practice=practice,
        address=f"{base.rstrip('/')}/developers/link/{link.token}",
        until=f"{link.expires.astimezone(UTC):%d %B %Y at %H:%M} UTC",
    )
    handle = credentials.digest(f"mail {link.token}").hex()[:24]
    message = Mail(link.email, f"{practice}: {subject}", f"Hello,\n\n{words}", f"developer-{handle}")
    try:
        await mail.send(server, message, now)
    except (NotTaken, NeverTaken, InDoubt) as error:
        raise Invalid(str(error)) from None


def send_later(database: Database, tenant: int, base: str, link: Mailed, now: datetime) -> None:
    """Send it without anybody waiting for it, so that how long it takes tells nothing."""
    task = asyncio.get_running_loop().create_task(_quietly(database, tenant, base, link, now))
    _sending.add(task)
    task.add_done_callback(_sending.discard)


async def _quietly(database: Database, tenant: int, base: str, link: Mailed, now: datetime) -> None:
    try:
        await send(database, tenant, base, link, now)
    except Refused:
        log.warning("a link for a developer could not be sent")


async def settled() -> None:
    """Wait for everything that is being sent."""
    while _sending:
        await asyncio.wait(list(_sending))
