"""Digests by e-mail: numbers and a link, nothing that says who or what. At the hour the site has set; weekly on Mondays."""

from __future__ import annotations

from datetime import date
from uuid import NAMESPACE_URL, uuid5

from commonchart.access import digest
from commonchart.access.actors import Actor
from commonchart.access.outreach.policy import DIGEST, Policy, policy_of
from commonchart.access.records import Records
from commonchart.access.standing import standing
from commonchart.exchange.outreach import mail
from commonchart.exchange.outreach.tries import HOLD, Post, address_of, tried
from commonchart.fhir.outcome import Refused
from commonchart.record import digests
from commonchart.record.digests import Digest
from commonchart.record.outreach import retry_at

MONDAY = 0


async def round_of(post: Post) -> int:
    """Ask for the digests of the day once their hour has come, and send one; how many were settled."""
    now, done = post.clock(), 0
    async with post.database.single() as conn:
        await digests.lost(conn, now)
        wanted = await digests.asking(conn, DIGEST)
    for tenant, at in wanted:
        async with post.database.single() as conn:
            try:
                site = await policy_of(conn, tenant)
            except Refused:
                continue
            local = site.local(now)
            if f"{local:%H:%M}" < at:
                continue
            await digests.ask(conn, tenant, "day", local.date())
            if local.weekday() == MONDAY:
                await digests.ask(conn, tenant, "week", local.date())
        done += await _next(post, tenant, local.date(), site)
    return done


async def _next(post: Post, tenant: int, day: date, site: Policy) -> int:
    now = post.clock()
    async with post.database.connection() as conn:
        one = await digests.take(conn, tenant, day, now, now + HOLD)
    if one is None:
        return 0
    done = await tried(_sent(post, one, site), retry_at(one.attempts - 1, now), twice=False)
    async with post.database.single() as conn:
        await digests.settle(conn, one, done.state, done.error, done.again)
    return 1


async def _sent(post: Post, one: Digest, site: Policy) -> str:
    """Send it; why not, when there is nothing to say, or nowhere to say it."""
    async with post.database.single() as conn:
        asked = Actor(one.tenant, one.user, "", "clinician", one.org, "digest")
        actor = await standing(conn, asked)
        address = await address_of(conn, actor, one.day)
        server = await mail.server_of(conn, one.tenant)
    records = Records(post.database, actor, post.clock)
    text = await _text(records, one, f"{post.base.rstrip('/')}/digest")
    if not address or not text:
        return "no e-mail address is recorded" if not address else "there is nothing to say"
    id = uuid5(NAMESPACE_URL, f"commonchart:digest:{one.tenant}:{one.user}:{one.org}:{one.kind}:{one.day}")
    subject = f"{site.practice or 'Commonchart'}: {'your week' if one.kind == 'week' else 'your day'}"
    await mail.send(server, mail.Mail(address, subject, text, str(id)), post.clock())
    return ""


async def _text(records: Records, one: Digest, address: str) -> str:
    if one.kind == "week":
        panel = await digest.panel(records)
        open_items = sum(
            line.statuses.get(status, 0) for line in panel.lines for status in ("overdue", "due")
        )
        return f"Your panel: {panel.people} patients, {open_items} items due or overdue.\n\n{address}#panel\n"
    visitors = await digest.today(records)
    if not visitors:
        return ""
    due = sum(bool(visitor.due) for visitor in visitors)
    return f"{len(visitors)} {'patient' if len(visitors) == 1 else 'patients'} today, {due} with something due.\n\n{address}\n"
