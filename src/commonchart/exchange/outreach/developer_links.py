"""The e-mails that bring developers a link: fixed words and the link, nothing that anybody typed.

A link goes to an address that may be a stranger's, so that a registration is no way to have us send somebody's words. The worker
sends them with the other notices (`account_notices`), so that one that could not be sent is tried again and how long it takes
tells nobody anything.
"""

from __future__ import annotations

from datetime import UTC
from typing import TYPE_CHECKING

from commonchart.access import credentials
from commonchart.access.developers import links
from commonchart.exchange.outreach import mail
from commonchart.exchange.outreach.mail import Mail

if TYPE_CHECKING:
    from commonchart.access.people.notices import Notice
    from commonchart.exchange.outreach.mail import Server
    from commonchart.exchange.outreach.tries import Post

TEXTS = {
    "link-proof": (
        "confirm your e-mail address",
        "somebody, you we hope, registered an app at {practice} with this e-mail address. Open this link, look at what was "
        "registered, and confirm it:\n\n{address}\n\nIt works once, until {until}. If it was not you, do nothing: without it "
        "nothing comes of the registration.",
    ),
    "link-apps": (
        "your apps",
        "somebody, you we hope, asked for a link to the apps that were registered at {practice} with this e-mail address:\n\n"
        "{address}\n\nIt works once, until {until}. If it was not you, do nothing.",
    ),
}
NO_ADDRESS = "this site has no public https address"


async def send(post: Post, one: Notice, practice: str, server: Server) -> str:
    """Make a link and send it; why not, when it cannot be or needs not. Raises as `mail.send` does."""
    if not post.base.startswith("https://"):
        return NO_ADDRESS
    now = post.clock()
    async with post.database.connection() as conn:
        link = await links.written(conn, one.id, now)
    if link is None:
        return "the link was used, or is over"
    subject, text = TEXTS[one.kind]
    words = text.format(
        practice=practice,
        address=f"{post.base.rstrip('/')}/developers/link/{link.token}",
        until=f"{link.expires.astimezone(UTC):%d %B %Y at %H:%M} UTC",
    )
    handle = credentials.digest(f"mail {link.token}").hex()[
        :24
    ]  # of each try its own: the last link is the good one
    message = Mail(one.address, f"{practice}: {subject}", f"Hello,\n\n{words}", f"developer-{handle}")
    await mail.send(server, message, now)
    return ""
