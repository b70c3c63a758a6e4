"""Sending what users are told of their own accounts. One whose sender was lost is sent again: a second one harms nobody."""

from __future__ import annotations

from datetime import UTC

import structlog

from commonchart.access.outreach.policy import policy_of
from commonchart.access.people import notices
from commonchart.access.people.notices import Notice
from commonchart.exchange.outreach import mail
from commonchart.exchange.outreach.notices import AGAIN, HOLD, Post
from commonchart.exchange.outreach.outcome import InDoubt, NeverTaken, NotTaken
from commonchart.fhir.outcome import Busy, Refused

log = structlog.get_logger("commonchart.people")

WHAT = {
    "password": "the password of your account was set or changed",
    "factor-added": "a second step for signing in was added to your account, with recovery codes",
    "factor-removed": "a second step for signing in was removed from your account",
    "codes": "new recovery codes were made for your account; the old ones work no more",
    "email": "the e-mail address of your account was changed",
    "browser": "somebody signed in to your account from a browser that was not used for it before",
}


async def round_of(post: Post) -> int:
    """Send the next one; 1 if one was settled."""
    now = post.clock()
    async with post.database.connection() as conn:
        one = await notices.take(conn, now, now + HOLD)
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
        log.error("a notice about an account could not be sent", why=error)
    async with post.database.connection() as conn:
        await notices.settle(conn, one, state, error, again)
    return 0 if again else 1


async def _sent(post: Post, one: Notice) -> str:
    """Send it; why not, when it cannot be."""
    async with post.database.single() as conn:
        site = await policy_of(conn, one.tenant)
        if "email" not in site.ready:
            return "this site has no mail server set up"
        server = await mail.server_of(conn, one.tenant)
    practice = site.practice or "Commonchart"
    look = f" See who is signed in: {post.base.rstrip('/')}/account/sessions" if post.base else ""
    text = (
        f"On {one.at.astimezone(UTC):%d %B %Y at %H:%M} UTC {WHAT[one.kind]} at {practice}.\n\n"
        f"If that was you, do nothing. If it was not, tell {practice} at once.{look}\n"
    )
    message = mail.Mail(
        one.address, f"{practice}: a change to your account", text, f"account-notice-{one.id}"
    )
    await mail.send(server, message, post.clock())
    return ""
