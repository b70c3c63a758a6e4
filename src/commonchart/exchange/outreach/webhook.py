"""Texts and calls by webhook: a POST of JSON to whoever sends them for the site, through the one egress guard."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import msgspec
from msgspec import Struct

from commonchart.access.outreach.policy import SMS, VOICE
from commonchart.exchange.egress import Guard, Unanswered
from commonchart.exchange.outreach.outcome import InDoubt, NeverTaken, NotTaken
from commonchart.exchange.rules import guard_of
from commonchart.fhir.outcome import Forbidden, Invalid
from commonchart.record import site

if TYPE_CHECKING:
    from commonchart.record.database import Connection

KEY_FILE = "outreach_key_file"
URLS = {"sms": SMS, "voice": VOICE}
SECONDS = 30.0


class Hook(Struct, frozen=True):
    """Where to send it; `key_file` holds the bearer token, "" for none."""

    url: str
    key_file: str
    guard: Guard


class Text(Struct, frozen=True):
    """What is posted, as JSON: a number, the words, and an id that is the same for every try."""

    id: str
    channel: str
    to: str
    text: str
    language: str


async def hook_of(conn: Connection, tenant: int, channel: str, guard: Guard | None = None) -> Hook:
    """The site's webhook for a channel. Raises Invalid where there is none."""
    url = await site.get(conn, tenant, URLS[channel])
    if not url:
        raise Invalid("This site has not set up this channel")
    return Hook(url, await site.get(conn, tenant, KEY_FILE), guard or await guard_of(conn, tenant))


async def send(hook: Hook, text: Text) -> None:
    """Hand it over. Raises NotTaken, NeverTaken, InDoubt."""
    headers = {"content-type": "application/json", "idempotency-key": text.id} | _authorized(hook)
    try:
        reply = await hook.guard.send(
            "POST",
            hook.url,
            headers=headers,
            content=msgspec.json.encode(text),
            seconds=SECONDS,
            max_bytes=65_536,
        )
    except Forbidden:
        raise NotTaken(
            "The address of the service may not be called: see the site's egress rules", away=True
        ) from None
    except Unanswered as error:
        if error.unsent:
            raise NotTaken(str(error), away=True) from None
        raise InDoubt("The service had the message and did not answer") from None
    _judge(reply.status)


def _judge(status: int) -> None:
    """2xx is taken. What a gateway says (500, 502, 504) may come after it was taken."""
    if 200 <= status < 300:
        return
    words = f"The service answers {status}"
    if status in (401, 403, 404, 405, 407, 429, 503):
        raise NotTaken(words, away=True)
    if 400 <= status < 500:
        raise NeverTaken(words)
    raise InDoubt(words)


def _authorized(hook: Hook) -> dict[str, str]:
    if not hook.key_file:
        return {}
    try:
        return {"authorization": f"Bearer {Path(hook.key_file).read_text('ascii').strip()}"}
    except (OSError, UnicodeDecodeError):
        raise NotTaken("The file with the key of the service cannot be read", away=True) from None
