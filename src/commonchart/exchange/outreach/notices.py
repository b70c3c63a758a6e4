"""E-mails about critical results: that there is one, and a link. Nothing says who or what.

They go to who may open it. Whoever answers for privacy is told of one that no clinician may open, and what can be done.

Unlike a reminder, a notice whose sender was lost is sent again: a second one harms nobody, a lost one may. It carries the
same Message-ID, and is not sent any more once somebody has acknowledged the result.
"""

from __future__ import annotations

from typing import TYPE_CHECKING
from uuid import NAMESPACE_URL, uuid5

import structlog

from commonchart.access.actors import Actor
from commonchart.access.inbox import sight
from commonchart.access.outreach.policy import policy_of
from commonchart.access.people import address
from commonchart.access.standing import whichever
from commonchart.exchange.outreach import mail
from commonchart.exchange.outreach.tries import AGAIN, HOLD, Post, address_of, tried
from commonchart.record.inbox import alerts
from commonchart.record.inbox.alerts import Alert, Notice

if TYPE_CHECKING:
    from commonchart.record.database import Connection

WAITS = (
    "a critical result waits for you",
    "A critical result waits for you. Open your inbox now:\n\n{base}/inbox\n",
)
UNSEEN = (
    "a critical result waits that no clinician may open",
    "A critical result waits, and none of the clinicians whom it should reach may open it. Somebody has to act now.\n\n"
    "When it came, what keeps it from them, and who has been told:\n\n{base}/reports/critical\n\n"
    "What can be done: let a clinician work for the organisation who may open it; lift the label that hides it, where that is "
    "right and you may; have a consent or a treatment relationship that is missing recorded; or let a clinician open the record "
    "in an emergency, which opens what the matrix of labels allows. Or ask whoever sent it.\n",
)

log = structlog.get_logger("commonchart.inbox")


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
    done = await tried(_sent(post, one), now + AGAIN)
    if done.state == "failed":
        log.error("a critical notice could not be sent", why=done.error)
    async with post.database.single() as conn:
        await alerts.settle_notice(conn, one, done.state, now=now, error=done.error, again=done.again)
    return 0 if done.again else 1


async def _sent(post: Post, one: Notice) -> str:
    """Send it; why not, when it needs not or cannot be sent."""
    async with post.database.single() as conn:
        alert = await alerts.still_open(conn, one)
        if alert is None:
            return "acknowledged before it was sent"
        if why := await _needless(conn, alert, one, post):
            return why
        site = await policy_of(conn, one.tenant)
        if "email" not in site.ready:
            return "this site has no mail server set up"
        actor = await whichever(conn, Actor(one.tenant, one.user, "", "clinician", "", "critical"))
        to = await address_of(conn, actor, site.day(post.clock())) or await address.kept(conn, one.user)
        server = await mail.server_of(conn, one.tenant)
    if not to:
        return "no e-mail address is recorded"
    subject, text = UNSEEN if one.kind == alerts.UNSEEN else WAITS
    id = uuid5(NAMESPACE_URL, f"commonchart:critical:{one.key}:{one.created.isoformat()}")
    words = mail.Mail(
        to, f"{site.practice or 'Commonchart'}: {subject}", text.format(base=post.base.rstrip("/")), str(id)
    )
    await mail.send(server, words, post.clock())
    return ""


async def _needless(conn: Connection, alert: Alert, one: Notice, post: Post) -> str:
    if one.kind == alerts.UNSEEN:
        return "" if alert.unseen else "a clinician may open it by now"
    return "" if await sight.may_open(conn, alert, post.clock(), one.user) else alerts.SHUT
