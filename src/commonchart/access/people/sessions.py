"""The sessions of people: begun, made stronger, listed, ended. Only the sha256 of a cookie is kept."""

from __future__ import annotations

import secrets
from datetime import datetime, timedelta
from typing import TYPE_CHECKING

from msgspec import Struct

from commonchart.access import audit, credentials

if TYPE_CHECKING:
    from commonchart.access.actors import Actor
    from commonchart.record.database import Connection, Database

IDLE = timedelta(minutes=15)
ABSOLUTE = timedelta(hours=12)
PENDING = timedelta(minutes=10)
"""How long somebody whose password was right has for the second factor."""
MOST = 10
"""How many sessions somebody may have at the same time."""
FRESH = timedelta(minutes=5)
"""How long a shown factor opens dangerous acts."""


class Open(Struct, frozen=True):
    """A session as its owner sees it; `handle` names it in forms and opens nothing."""

    handle: str
    agent: str
    since: datetime
    used: datetime
    factor: str
    this: bool
    membership: str = ""


async def begin(
    conn: Connection, user: str, membership: str, now: datetime, *, kind: str, factor: str, agent: str = ""
) -> str:
    """A new session (`kind` "session") or the wait for a second factor ("pending"): its cookie."""
    token, csrf = secrets.token_urlsafe(32), secrets.token_urlsafe(32)
    await conn.execute(
        "INSERT INTO credential (sha256, kind, actor, membership, client, created, expires, used, csrf, agent, factor, factor_at) "
        "VALUES (%s, %s, %s, %s, 'web', %s, %s, %s, %s, %s, %s, %s)",
        (credentials.digest(token), kind, user, membership, now, now + (IDLE if kind == "session" else PENDING), now, csrf,
         agent[:200], factor, now),
    )  # fmt: skip
    if kind == "session":
        await _at_most(conn, user, token, now)
    return token


async def _at_most(conn: Connection, user: str, new: str, now: datetime) -> None:
    """End the sessions that were used longest ago, where there are more than MOST; never the one that begins."""
    await conn.execute(
        "UPDATE credential SET revoked = %s WHERE sha256 IN (SELECT sha256 FROM credential WHERE actor = %s AND kind = 'session' "
        "AND revoked IS NULL AND expires > %s ORDER BY sha256 = %s DESC, used DESC, created DESC OFFSET %s)",
        (now, user, now, credentials.digest(new), MOST),
    )


async def strengthen(conn: Connection, actor: Actor, token: str, factor: str, now: datetime) -> str:
    """A factor was shown: the session goes on under a new cookie, which is returned; the old one opens nothing."""
    new = await renamed(conn, token)
    await conn.execute(
        "UPDATE credential SET factor = %s, factor_at = %s WHERE sha256 = %s AND revoked IS NULL",
        (factor, now, credentials.digest(new)),
    )
    await audit.note(conn, actor, now, "step-up", detail=factor)
    return new


async def renamed(conn: Connection, token: str) -> str:
    """The new cookie under which a session goes on, and the apps that were let in until its end with it."""
    new = secrets.token_urlsafe(32)
    pair = (credentials.digest(new), credentials.digest(token))
    await conn.execute("UPDATE app_grant SET session = %s WHERE session = %s", pair)
    await conn.execute("UPDATE credential SET sha256 = %s WHERE sha256 = %s AND revoked IS NULL", pair)
    return new


async def listed(database: Database, actor: Actor, token: str, now: datetime) -> list[Open]:
    """The sessions of somebody that still live, the newest first."""
    async with database.single() as conn:
        cursor = await conn.execute(
            "SELECT left(encode(sha256, 'hex'), 16), agent, created, used, factor, sha256 = %s, membership FROM credential "
            "WHERE actor = %s AND kind = 'session' AND revoked IS NULL AND expires > %s AND created > %s ORDER BY created DESC",
            (credentials.digest(token), actor.user, now, now - ABSOLUTE),
        )
        return [Open(*row) for row in await cursor.fetchall()]


async def end(database: Database, actor: Actor, handle: str, now: datetime) -> bool:
    """End one of one's own sessions; whether there was one."""
    async with database.connection() as conn:
        cursor = await conn.execute(
            "UPDATE credential SET revoked = %s WHERE actor = %s AND kind = 'session' AND revoked IS NULL "
            "AND left(encode(sha256, 'hex'), 16) = %s",
            (now, actor.user, handle),
        )
        await audit.note(conn, actor, now, "session-ended")
    return cursor.rowcount == 1


async def end_others(database: Database, actor: Actor, token: str, now: datetime) -> None:
    """Sign out everywhere but here: every other session and token ends."""
    async with database.connection() as conn:
        await credentials.end_all(conn, actor.user, now, but=token)
        await audit.note(conn, actor, now, "sign-out", detail="everywhere else")
    credentials.forget()
