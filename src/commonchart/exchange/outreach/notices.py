"""E-mails about critical results: that there is one, and a link. Nothing says who or what.

Unlike a reminder, a notice whose sender was lost is sent again: a second one harms nobody, a lost one may. It carries the
same Message-ID, and is not sent any more once somebody has acknowledged the result.
"""

from __future__ import annotations

from uuid import NAMESPACE_URL, uuid5

import structlog

from commonchart.access.actors import Actor
from commonchart.access.outreach.policy import policy_of
from commonchart.access.standing import whichever
from commonchart.exchange.outreach import mail
from commonchart.exchange.outreach.tries import AGAIN, HOLD, Post, address_of, tried
from commonchart.record.inbox import alerts
from commonchart.record.inbox.alerts import Notice

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
        if not await alerts.still_open(conn, one):
            return "acknowledged before it was sent"
        site = await policy_of(conn, one.tenant)
        if "email" not in site.ready:
            return "this site has no mail server set up"
        actor = await whichever(conn, Actor(one.tenant, one.user, "", "clinician", "", "critical"))
        address = await address_of(conn, actor, site.day(post.clock()))
        server = await mail.server_of(conn, one.tenant)
    if not address:
        return "no e-mail address is recorded"
    id = uuid5(NAMESPACE_URL, f"commonchart:critical:{one.key}")
    text = f"A critical result waits for you. Open your inbox now:\n\n{post.base.rstrip('/')}/inbox\n"
    subject = f"{site.practice or 'Commonchart'}: a critical result waits for you"
    await mail.send(server, mail.Mail(address, subject, text, str(id)), post.clock())
    return ""
