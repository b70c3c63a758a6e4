"""A round of the outbox: what was left by a sender that is gone, then what may be sent now, one after another.

Nothing is sent twice: a message is taken in a transaction before anything leaves, and what was taken and not settled is
in doubt. Rights are decided again at sending, as whoever began the campaign.
"""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime
from typing import TYPE_CHECKING

import msgspec
import structlog
from msgspec import Struct

from commonchart.access import users
from commonchart.access.actors import Actor
from commonchart.access.outreach import outbox
from commonchart.access.outreach.outbox import Taken
from commonchart.access.outreach.policy import DISTURBING, Policy, policy_of
from commonchart.access.policy import allowed
from commonchart.access.records import Records
from commonchart.access.standing import standing
from commonchart.exchange.egress import Guard
from commonchart.exchange.outreach import mail, webhook
from commonchart.exchange.outreach.outcome import InDoubt, NeverTaken, NotTaken
from commonchart.fhir.outcome import Busy, Forbidden, Invalid, Refused
from commonchart.record import outreach
from commonchart.record.outreach import Campaign, Message

if TYPE_CHECKING:
    from commonchart.record.database import Database

log = structlog.get_logger("commonchart.outreach")

ROUND = 50
WORKER = "outreach-worker"
SENT_BY_US = ("email", "sms", "voice", "portal")
"""Letters are not among them: a person has them written and prints them."""
LOST = "The program ended while this was being sent"


class Post(Struct, frozen=True):
    """What sending needs: the database, the time, and a guard for tests."""

    database: Database
    clock: Callable[[], datetime]
    guard: Guard | None = None


async def round_of(post: Post) -> int:
    """Send what may be sent now, a bounded piece of it; how many messages were settled or put off."""
    async with post.database.single() as conn:
        tenants = await outreach.tenants(conn)
    return sum([await _tenant(post, tenant) for tenant in tenants])


async def _tenant(post: Post, tenant: int) -> int:
    await _lost(post, tenant)
    async with post.database.single() as conn:
        try:
            site = await policy_of(conn, tenant)
        except Invalid as error:
            log.error("outreach stands still", why=str(error))
            return 0
    done = 0
    while done < ROUND and await _one(post, tenant, site):
        done += 1
    return done


async def _one(post: Post, tenant: int, site: Policy) -> bool:
    """The next message, if there is one; whether to go on."""
    now = post.clock()
    channels = [one for one in SENT_BY_US if one not in DISTURBING or not site.quiet(now)]
    async with post.database.single() as conn:
        found = await outreach.next_one(conn, tenant, channels, now)
    if found is None:
        return False
    message, campaign = found
    records = await _records(post, campaign)
    if records is None:
        return True
    if campaign.channel == "portal":
        await outbox.at_once(records, campaign, message.patient, site)
        return True
    taken = await outbox.take(records, campaign, message.patient, site)
    return taken is None or await _sent(post, records, taken)


async def _records(post: Post, campaign: Campaign) -> Records | None:
    """The records of whoever began it, as they stand today; without standing the campaign is stopped."""
    async with post.database.connection() as conn:
        try:
            actor = await standing(conn, msgspec.json.decode(campaign.actor, type=Actor))
            if not allowed(actor, "create", "Communication"):
                raise Forbidden("Whoever began this may not contact patients any more")
        except Busy:
            raise
        except Refused as refusal:
            await outreach.stop(conn, campaign.tenant, campaign.id, str(refusal))
            return None
    return Records(post.database, actor, post.clock)


async def _sent(post: Post, records: Records, taken: Taken) -> bool:
    """Send it and keep what became of it; False when the server is away, so that nothing more is tried just now."""
    try:
        await _send(post, taken)
    except NotTaken as error:
        await outbox.not_taken(records, taken, str(error), away=error.away)
        return not error.away
    except NeverTaken as error:
        await outbox.refused(records, taken, str(error))
    except InDoubt as error:
        await outbox.in_doubt(records, taken, str(error))
    except Busy:
        raise
    except Exception as error:
        log.error("sending failed", kind=type(error).__name__)
        await outbox.in_doubt(records, taken, f"Something went wrong here ({type(error).__name__})")
    else:
        await outbox.sent(records, taken)
    return True


async def _send(post: Post, taken: Taken) -> None:
    content, message = taken.content, taken.message
    try:
        async with post.database.single() as conn:
            if message.channel == "email":
                server = await mail.server_of(conn, message.tenant)
            else:
                hook = await webhook.hook_of(conn, message.tenant, message.channel, post.guard)
    except Refused as refusal:
        raise NotTaken(str(refusal), away=True) from None
    if message.channel == "email":
        letter = mail.Mail(content.to[0], content.subject, content.text, taken.message_id, content.language)
        await mail.send(server, letter, post.clock())
        return
    await webhook.send(
        hook, webhook.Text(taken.message_id, message.channel, content.to[0], content.text, content.language)
    )


async def _lost(post: Post, tenant: int) -> None:
    """Messages whose sender is gone are in doubt, for a person to decide."""
    async with post.database.single() as conn:
        found = await outreach.abandoned(conn, tenant, post.clock())
    for message in found:
        try:
            await _doubted(post, message)
        except Busy:
            raise
        except Refused as refusal:
            log.error("a message in doubt cannot be kept", kind=type(refusal).__name__)


async def _doubted(post: Post, message: Message) -> None:
    async with post.database.single() as conn:
        campaign = await outreach.campaign(conn, message.tenant, message.campaign)
    if campaign is not None:
        records = Records(post.database, users.system(message.tenant, WORKER), post.clock)
        await outbox.in_doubt(records, outbox.taken_of(message, campaign), LOST)
