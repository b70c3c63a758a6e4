"""Sending what users are told of their own accounts, developers and administrators of apps, and developers' links.

One whose sender was lost is sent again: a second one harms nobody.
"""

from __future__ import annotations

import structlog

from commonchart.access.outreach.policy import policy_of
from commonchart.access.people import notices
from commonchart.access.people.notices import Notice
from commonchart.exchange.outreach import developer_links, mail
from commonchart.exchange.outreach.tries import AGAIN, HOLD, Post, tried

log = structlog.get_logger("commonchart.people")

WHAT = {
    "password": "the password of your account was set or changed",
    "factor-added": "a second step for signing in was added to your account, with recovery codes",
    "factor-removed": "a second step for signing in was removed from your account",
    "codes": "new recovery codes were made for your account; the old ones work no more",
    "email": "the e-mail address of your account was changed",
    "browser": "somebody signed in to your account from a browser that was not used for it before",
}
OF_APPS = {
    "app-waiting": "a developer registered an app that waits for an administrator of {practice}. It can do nothing until it is approved",
    "app-changing": "the developer of an app asked {practice} to change what was approved. Nothing changes until an administrator agrees",
    "app-approved": "your app {about} was approved by {practice}. What it needs to begin stands on your page",
    "app-refused": "your app {about} was not approved by {practice}. The reason: {words}",
    "app-disabled": "your app {about} was disabled by {practice}. Everything that people allowed it has ended",
    "app-secret": "a new secret was made for your app {about} at {practice}. The old one works no more. If that was not you, "
    "withdraw the app on your page, and tell {practice}",
    "app-withdrawn": "your app {about} was withdrawn at {practice}. Everything that people allowed it has ended. If that was not "
    "you, tell {practice}",
    "change-approved": "the change that you asked for your app {about} was approved by {practice}",
    "change-refused": "the change that you asked for your app {about} was not approved by {practice}. The reason: {words}",
}
TO_STAFF = frozenset({"app-waiting", "app-changing"})


async def round_of(post: Post) -> int:
    """Send the next one; 1 if one was settled."""
    now = post.clock()
    async with post.database.connection() as conn:
        one = await notices.take(conn, now, now + HOLD)
    if one is None:
        return 0
    done = await tried(_sent(post, one), now + AGAIN)
    if done.state == "failed":
        log.error("a notice about an account could not be sent", why=done.error)
    async with post.database.connection() as conn:
        await notices.settle(conn, one, done.state, done.error, done.again)
    return 0 if done.again else 1


async def _sent(post: Post, one: Notice) -> str:
    """Send it; why not, when it cannot be."""
    async with post.database.single() as conn:
        site = await policy_of(conn, one.tenant)
        if "email" not in site.ready:
            return "this site has no mail server set up"
        server = await mail.server_of(conn, one.tenant)
    practice = site.practice or "Commonchart"
    if one.kind in developer_links.TEXTS:
        return await developer_links.send(post, one, practice, server)
    say = _of_an_app if one.kind in OF_APPS else _of_an_account
    when = f"{site.local(one.at):%d %B %Y at %H:%M %Z}"
    subject, text = say(one, when, practice, post.base.rstrip("/"))
    message = mail.Mail(one.address, f"{practice}: {subject}", text, f"account-notice-{one.id}")
    await mail.send(server, message, post.clock())
    return ""


def _of_an_account(one: Notice, when: str, practice: str, base: str) -> tuple[str, str]:
    look = f" See who is signed in: {base}/account/sessions" if base else ""
    return "a change to your account", (
        f"On {when} {WHAT[one.kind]} at {practice}.\n\n"
        f"If that was you, do nothing. If it was not, tell {practice} at once.{look}\n"
    )


def _of_an_app(one: Notice, when: str, practice: str, base: str) -> tuple[str, str]:
    """Fixed words, the name of the app, and what an administrator wrote: nothing else that somebody typed."""
    said = OF_APPS[one.kind].format(practice=practice, about=f"\u201c{one.about}\u201d", words=one.words)
    if one.kind in TO_STAFF:
        subject, look = "an app waits for a decision", f"Look at it: {base}/apps"
    else:
        subject, look = "your app", f"Ask for a link to your apps: {base}/developers/link"
    return subject, f"On {when} {said}.\n" + (f"\n{look}\n" if base else "")
