"""Tokens that bind one websocket to subscriptions: short-lived, used once, kept by their sha256 only."""

from __future__ import annotations

import secrets
from collections.abc import Sequence
from datetime import datetime, timedelta
from hashlib import sha256
from typing import TYPE_CHECKING

import msgspec
from msgspec import Struct

from commonchart.access.actors import Actor

if TYPE_CHECKING:
    from commonchart.record.database import Connection

LIVES = timedelta(minutes=5)


class Ticket(Struct, frozen=True):
    """What a token was made for."""

    actor: Actor
    subscriptions: tuple[str, ...]


async def issue(conn: Connection, actor: Actor, subscriptions: Sequence[str], now: datetime) -> str:
    """A new token, shown this once; old ones are swept away."""
    token = secrets.token_urlsafe(32)
    await conn.execute("DELETE FROM subscription_ticket WHERE expires <= %s", (now,))
    await conn.execute(
        "INSERT INTO subscription_ticket (sha256, tenant, user_id, actor, subscriptions, expires) "
        "VALUES (%s, %s, %s, %s, %s, %s)",
        (
            sha256(token.encode()).digest(), actor.tenant, actor.user, msgspec.json.encode(actor).decode(),
            list(subscriptions), now + LIVES,
        ),
    )  # fmt: skip
    return token


async def redeem(conn: Connection, token: str, now: datetime) -> Ticket | None:
    """What the token was made for, once; None for one that is unknown, used or expired."""
    cursor = await conn.execute(
        "DELETE FROM subscription_ticket WHERE sha256 = %s RETURNING actor, subscriptions, expires",
        (sha256(token[:200].encode()).digest(),),
    )
    row = await cursor.fetchone()
    if row is None or row[2] <= now:
        return None
    return Ticket(msgspec.json.decode(row[0], type=Actor), tuple(row[1]))
