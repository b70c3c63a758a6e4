"""The links by which developers come: sent to an e-mail address, single-use, kept by their hash only.

A letter that shall bring one is noted in the transaction of what it is about, with a link that nobody knows; its token is made by
who sends it, anew at each try, so that none is ever kept. The last one is good.

Opening a link changes nothing (mail filters open links); the button on its page uses it up and begins a session of half an hour,
in which the apps of that very address are kept. A developer is an address that was proven, and has no account.
"""

from __future__ import annotations

import secrets
from datetime import datetime, timedelta
from typing import TYPE_CHECKING, Literal
from uuid import uuid4

from msgspec import Struct

from commonchart.access import audit, credentials
from commonchart.access.actors import Actor
from commonchart.access.people import guessing, notices
from commonchart.fhir.outcome import NotFound, Throttled, Unauthenticated

if TYPE_CHECKING:
    from commonchart.record.database import Connection, Database

Kind = Literal["proof", "apps", "session"]
LIVES: dict[Kind, timedelta] = {
    "proof": timedelta(hours=24),
    "apps": timedelta(minutes=30),
    "session": timedelta(minutes=30),
}
PER_ADDRESS = 20
"""Links or registrations that one network address may ask for in a quarter of an hour."""
PER_EMAIL = 3
PER_EMAIL_A_DAY = 10
LETTERS: dict[Kind, notices.Kind] = {"proof": "link-proof", "apps": "link-apps"}
OVER = "This link has been used, has run out, or was never given. Ask for a new one."
SLOWLY = "Too much was asked for from here. Wait a quarter of an hour."
CLIENT = "developers"


class Mailed(Struct, frozen=True):
    """A link just made: `token` is sent now and never seen again."""

    token: str
    kind: Kind
    email: str
    expires: datetime


class Opened(Struct, frozen=True):
    """Whom a link is for, and of a proof which registration."""

    kind: Kind
    tenant: int
    email: str
    registration: str


class Developer(Struct, frozen=True):
    """Somebody who has proven an e-mail address."""

    tenant: int
    email: str

    @property
    def actor(self) -> Actor:
        """Who stands in the audit trail: the hash of the address, so that the trail does not keep it."""
        return actor(self.tenant, self.email)


def actor(tenant: int, email: str) -> Actor:
    """The same of an address that is not proven yet."""
    return Actor(tenant, f"developer-{credentials.digest(email).hex()[:16]}", "", "system", "", CLIENT)


async def make(conn: Connection, who: Developer, kind: Kind, now: datetime) -> Mailed:
    """A link, in the transaction of the connection."""
    token, expires = secrets.token_urlsafe(32), now + LIVES[kind]
    await _keep(conn, who, kind, now, token, expires)
    return Mailed(token, kind, who.email, expires)


async def _keep(
    conn: Connection, who: Developer, kind: Kind, now: datetime, token: str, expires: datetime,
    registration: str = "", letter: str = "",
) -> None:  # fmt: skip
    await conn.fetch(
        "INSERT INTO developer_link (sha256, tenant, email, kind, registration, created, expires, letter) "
        "VALUES (%s, %s, %s, %s, %s, %s, %s, %s)",
        (credentials.digest(token), who.tenant, who.email, kind, registration, now, expires, letter),
    )


async def post(
    conn: Connection, who: Developer, kind: Kind, now: datetime, registration: str = "", *, good: bool = True
) -> str:
    """A letter with a link, in the transaction of the connection: its id. Not `good`: rows all the same, and nothing is sent."""
    letter, lasts = f"link-{uuid4().hex}", now + notices.GIVEN_UP if good else now
    await _keep(conn, who, kind, now, secrets.token_urlsafe(32), lasts, registration, letter)
    await notices.post(conn, who.tenant, letter, LETTERS[kind], who.email, now, sent=good)
    return letter


async def written(conn: Connection, letter: str, now: datetime) -> Mailed | None:
    """The link of a letter that is sent now, in the place of one that an earlier try may have brought; None once it was used or is over."""
    token = secrets.token_urlsafe(32)
    lives = " ".join(f"WHEN '{kind}' THEN %s" for kind in LETTERS)
    rows = await conn.fetch(
        f"UPDATE developer_link SET sha256 = %s, expires = CASE kind {lives} END::timestamptz WHERE letter = %s AND ended IS NULL "
        "AND created > %s RETURNING kind, email, expires",
        (credentials.digest(token), *(now + LIVES[kind] for kind in LETTERS), letter, now - notices.GIVEN_UP),
    )
    return Mailed(token, *rows[0]) if rows else None


async def slowly(conn: Connection, address: str, now: datetime) -> None:
    """Count one request of a network address. Raises Throttled."""
    if not address:  # behind a proxy that nobody named, where it would be everybody's
        return
    key = f"developers-from:{credentials.digest(address).hex()[:32]}"
    if await guessing.too_many(conn, key, PER_ADDRESS, now):
        raise Throttled(SLOWLY, seconds=900)
    await guessing.count(conn, key, now)


async def often(conn: Connection, who: Developer, now: datetime) -> bool:
    """Whether this e-mail address was written to often enough by now; counts one more."""
    key = f"developer:{credentials.digest(who.email).hex()[:32]}"
    rows = await conn.fetch(
        "SELECT count(*) FROM developer_link WHERE tenant = %s AND email = %s AND created > %s AND kind <> 'session'",
        (who.tenant, who.email, now - timedelta(days=1)),
    )
    over = await guessing.too_many(conn, key, PER_EMAIL, now) or rows[0][0] >= PER_EMAIL_A_DAY
    await guessing.count(conn, key, now)
    return over


async def ask(database: Database, who: Developer, address: str, now: datetime) -> str | None:
    """Somebody at `address` asks for a link to their apps: the letter that brings it, or None. The caller answers the same to both.

    The same statements run for an address that registered nothing. Raises Throttled by the network address.
    """
    async with database.connection() as conn:
        await slowly(conn, address, now)
        rows = await conn.fetch(
            "SELECT 1 FROM developer_registration WHERE tenant = %s AND email = %s LIMIT 1",
            (who.tenant, who.email),
        )
        over = await often(conn, who, now)
        good = bool(rows) and not over
        letter = await post(conn, who, "apps", now, good=good)
        await audit.note(
            conn, who.actor, now, "ask-developer-link", outcome=audit.OK if rows else audit.MINOR
        )
    return letter if good else None


_LIVING = "sha256 = %s AND ended IS NULL AND expires > %s"


async def look(database: Database, token: str, now: datetime) -> Opened:
    """Whom a link is for; it stays good. Raises NotFound, in the same words for every reason."""
    async with database.single() as conn:
        rows = await conn.fetch(
            f"SELECT kind, tenant, email, registration FROM developer_link WHERE {_LIVING} AND kind <> 'session'",
            (credentials.digest(token), now),
        )
    if not rows:
        raise NotFound(OVER)
    return Opened(*rows[0])


async def use(conn: Connection, token: str, now: datetime) -> Opened:
    """Use a link up, in the transaction of the connection; of two at the same moment one. Raises NotFound."""
    rows = await conn.fetch(
        f"UPDATE developer_link SET ended = %s WHERE {_LIVING} AND kind <> 'session' "
        "RETURNING kind, tenant, email, registration",
        (now, credentials.digest(token), now),
    )
    if not rows:
        raise NotFound(OVER)
    return Opened(*rows[0])


async def begin(conn: Connection, who: Developer, now: datetime) -> str:
    """Begin a session, in the transaction of the connection: the token of its cookie."""
    link = await make(conn, who, "session", now)
    await audit.note(conn, who.actor, now, "developer-session")
    return link.token


async def resume(database: Database, token: str, now: datetime) -> Developer:
    """Who is here by the cookie of a session. Raises Unauthenticated."""
    async with database.single() as conn:
        rows = await conn.fetch(
            f"SELECT tenant, email FROM developer_link WHERE {_LIVING} AND kind = 'session'",
            (credentials.digest(token), now),
        )
    if not rows:
        raise Unauthenticated("Ask for a link to your apps")
    return Developer(*rows[0])


async def end(database: Database, token: str, now: datetime) -> None:
    """End a session."""
    async with database.single() as conn:
        await conn.fetch(
            "UPDATE developer_link SET ended = %s WHERE sha256 = %s AND kind = 'session' AND ended IS NULL",
            (now, credentials.digest(token)),
        )
