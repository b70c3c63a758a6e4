"""E-mails about critical results: that there is one, and a link. Nothing says who or what.

Unlike a reminder, a notice whose sender was lost is sent again: a second one harms nobody, a lost one may. It carries the
same Message-ID, and is not sent any more once somebody has acknowledged the result.
"""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime, timedelta
from typing import TYPE_CHECKING
from uuid import NAMESPACE_URL, uuid5

import structlog
from msgspec import Struct

from commonchart.access.actors import Actor
from commonchart.access.outreach.policy import policy_of
from commonchart.access.standing import whichever
from commonchart.care.outreach import reach
from commonchart.exchange.outreach import mail
from commonchart.exchange.outreach.outcome import InDoubt, NeverTaken, NotTaken
from commonchart.fhir import json
from commonchart.fhir.outcome import Busy, Refused
from commonchart.record import store
from commonchart.record.inbox import alerts
from commonchart.record.inbox.alerts import Notice

if TYPE_CHECKING:
    from commonchart.record.database import Database

log = structlog.get_logger("commonchart.inbox")

HOLD = timedelta(minutes=5)
AGAIN = timedelta(minutes=1)
"""A critical notice does not wait longer than this between two tries."""


class Post(Struct, frozen=True):
    """What sending needs: the database, the time, and the address that the link leads to."""

    database: Database
    clock: Callable[[], datetime]
    base: str


async def round_of(post: Post) -> int:
    """Send one notice of each tenant that has any; how many were settled."""
    async with post.database.single() as conn:
        tenants = await alerts.tenants(conn)
    return sum([await _next(post, tenant) for tenant in tenants])


async def _next(post: Post, tenant: int) -> int:
    now = post.clock()
    async with post.database.connection() as conn:
        one = await alerts.take_notice(conn, tenant, now, now + HOLD)
    if one is None:
        return 0
    state, error, again = "sent", "", None
    try:
        error = await _sent(post, one)
        state = "none" if error else "sent"
    except (NotTaken, InDoubt) as away:
        state, error, again = "waiting", str(away), now + AGAIN
    except Busy:
        raise
    except (NeverTaken, Refused) as refusal:
        state, error = "failed", str(refusal)
    if state == "failed":
        log.error("a critical notice could not be sent", why=error)
    async with post.database.single() as conn:
        await alerts.settle_notice(conn, one, state, now=now, error=error, again=again)
    return 0 if again else 1


async def _sent(post: Post, one: Notice) -> str:
    """Send it; why not, when it needs not or cannot be sent."""
    async with post.database.single() as conn:
        if not await alerts.still_open(conn, one):
            return "acknowledged before it was sent"
        site = await policy_of(conn, one.tenant)
        if "email" not in site.ready:
            return "this site has no mail server set up"
        actor = await whichever(conn, Actor(one.tenant, one.user, "", "clinician", "", "critical"))
        found = await store.read(conn, one.tenant, "Practitioner", actor.practitioner or "")
        server = await mail.server_of(conn, one.tenant)
    body = json.decode(found.body) if found is not None and found.body else {}
    addresses = reach.numbers(body, "email", site.day(post.clock()))
    if not addresses:
        return "no e-mail address is recorded"
    id = uuid5(NAMESPACE_URL, f"commonchart:critical:{one.key}")
    text = f"A critical result waits for you. Open your inbox now:\n\n{post.base.rstrip('/')}/inbox\n"
    subject = f"{site.practice or 'Commonchart'}: a critical result waits for you"
    await mail.send(server, mail.Mail(addresses[0].lines[0], subject, text, str(id)), post.clock())
    return ""
