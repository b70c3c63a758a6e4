"""Digests by e-mail: numbers and a link, nothing that says who or what. At the hour the site has set; weekly on Mondays."""

from __future__ import annotations

from collections.abc import Callable
from datetime import date, datetime, timedelta
from typing import TYPE_CHECKING
from uuid import NAMESPACE_URL, uuid5

from msgspec import Struct

from commonchart.access import digest
from commonchart.access.actors import Actor
from commonchart.access.outreach.policy import DIGEST, Policy, policy_of
from commonchart.access.records import Records
from commonchart.access.standing import standing
from commonchart.care.outreach import reach
from commonchart.exchange.outreach import mail
from commonchart.exchange.outreach.outcome import InDoubt, NeverTaken, NotTaken
from commonchart.fhir import json
from commonchart.fhir.outcome import Busy, Refused
from commonchart.record import digests, store
from commonchart.record.digests import Digest
from commonchart.record.outreach import retry_at

if TYPE_CHECKING:
    from commonchart.record.database import Database

HOLD = timedelta(minutes=5)
MONDAY = 0


class Post(Struct, frozen=True):
    """What sending needs: the database, the time, and the address that links lead to."""

    database: Database
    clock: Callable[[], datetime]
    base: str


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
    state, error, again = "sent", "", None
    try:
        state = "sent" if await _sent(post, one, site) else "none"
    except NotTaken as away:
        state, error, again = "waiting", str(away), retry_at(one.attempts - 1, now)
    except InDoubt as doubt:
        state, error = "doubt", str(doubt)
    except Busy:
        raise
    except (NeverTaken, Refused) as refusal:
        state, error = "failed", str(refusal)
    async with post.database.single() as conn:
        await digests.settle(conn, one, state, error, again)
    return 1


async def _sent(post: Post, one: Digest, site: Policy) -> bool:
    """Send it; False when there is nothing to say, or nowhere to say it."""
    async with post.database.single() as conn:
        asked = Actor(one.tenant, one.user, "", "clinician", one.org, "digest")
        actor = await standing(conn, asked)
        found = await store.read(conn, one.tenant, "Practitioner", actor.practitioner or "")
        server = await mail.server_of(conn, one.tenant)
    body = json.decode(found.body) if found is not None and found.body else {}
    addresses = reach.numbers(body, "email", one.day)
    records = Records(post.database, actor, post.clock)
    text = await _text(records, one, f"{post.base.rstrip('/')}/digest")
    if not addresses or not text:
        return False
    id = uuid5(NAMESPACE_URL, f"commonchart:digest:{one.tenant}:{one.user}:{one.org}:{one.kind}:{one.day}")
    subject = f"{site.practice or 'Commonchart'}: {'your week' if one.kind == 'week' else 'your day'}"
    await mail.send(server, mail.Mail(addresses[0].lines[0], subject, text, str(id)), post.clock())
    return True


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
