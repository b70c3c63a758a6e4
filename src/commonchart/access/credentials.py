"""Sessions and tokens: one table, kept by their sha256 only. What is cached is at most 5 seconds old, and forgotten when told."""

from __future__ import annotations

import asyncio
import secrets
import time
from datetime import datetime, timedelta
from hashlib import sha256
from typing import TYPE_CHECKING, Any

from msgspec import Struct

from commonchart.access.actors import PURPOSES, TREATMENT, Actor
from commonchart.fhir.outcome import Busy, Invalid, Unauthenticated

if TYPE_CHECKING:
    from commonchart.record.database import Connection, Database

CACHE_SECONDS = 5.0
CHANNEL = "credential"
RETRY_SECONDS = 1.0
CACHE_SIZE = 10_000

# how many organisations the user u works for or is asked to
PLACES = "(SELECT count(*) FROM membership n WHERE n.actor = u.id AND n.ended IS NULL)"
# of the row m: whoever it is of has said yes, and it has not ended
IN_FORCE = "m.since IS NOT NULL AND m.ended IS NULL"
# the one acted for at sign-in, where there are several
LAST_USED = "m.used DESC NULLS LAST, m.since, m.id"
# of the tenant of u: whether the site shares between organisations
NETWORK = "coalesce((SELECT s.value FROM site_setting s WHERE s.tenant = u.tenant AND s.key = 'mode'), '') = 'network'"
# of the user u: the same, and whether a consent shuts the very person out
SHARING = (
    f"{NETWORK}, u.practitioner IS NOT NULL AND EXISTS (SELECT 1 FROM consent_rule k WHERE NOT k.permit AND k.tenant = u.tenant "
    "AND k.people @> ARRAY['Practitioner/' || u.practitioner])"
)
# what an app was given still stands: not revoked, the app approved, the session there that it ends with, and whoever gave
# it works for whom they did
LIVING = (
    "(g.revoked IS NULL AND EXISTS (SELECT 1 FROM membership m WHERE m.id = g.membership AND m.actor = g.actor AND "
    + IN_FORCE
    + ") "
    "AND EXISTS (SELECT 1 FROM app a WHERE a.id = g.app AND a.tenant = g.tenant AND a.state = 'approved') "
    "AND (g.session IS NULL OR EXISTS (SELECT 1 FROM credential s WHERE s.sha256 = g.session AND s.revoked IS NULL)))"
)
_FIND = (
    "SELECT u.tenant, u.id, u.name, m.role, m.org, c.client, u.patient, u.practitioner, c.expires, c.used, c.csrf, "
    "u.preferences, c.created, c.scopes, "
    + SHARING
    + ", coalesce(c.app_grant, ''), g.patient, c.factor_at, m.id, "
    f"{PLACES}, c.factor "
    "FROM credential c JOIN app_user u ON u.id = c.actor JOIN membership m ON m.id = c.membership AND m.actor = u.id "
    f"AND {IN_FORCE} LEFT JOIN app_grant g ON g.id = c.app_grant "
    f"WHERE c.sha256 = %s AND c.kind = %s AND c.revoked IS NULL AND u.active AND (c.app_grant IS NULL OR {LIVING})"
)
_cache: dict[tuple[int, bytes], tuple[float, Actor, datetime]] = {}


class Found(Struct, frozen=True):
    """A living credential and whose it is; `shown` is when a factor was last shown in a session, `factor` which.

    `places`: how many organisations its owner works for or is asked to. `seed`: what `form_token` makes `csrf` of.
    """

    actor: Actor
    created: datetime
    expires: datetime
    used: datetime
    csrf: str
    preferences: str
    shown: datetime | None = None
    places: int = 1
    seed: str = ""
    factor: str = ""


class Token(Struct, frozen=True):
    """A token as the list of tokens shows it: never the token itself."""

    label: str
    user: str
    role: str
    created: datetime
    expires: datetime
    used: datetime
    revoked: datetime | None
    handle: str


def digest(token: str) -> bytes:
    """What is kept of a token."""
    return sha256(token.encode()).digest()


async def find(database: Database, token: str, kind: str) -> Found | None:
    """The credential if it is known and not revoked; the caller looks at its times."""
    async with database.single() as conn:
        rows = await conn.fetch(_FIND, (digest(token), kind))
    return _found(rows[0]) if rows else None


def _found(row: tuple[Any, ...]) -> Found:
    (
        tenant,
        user,
        name,
        role,
        org,
        client,
        patient,
        practitioner,
        expires,
        used,
        csrf,
        preferences,
        created,
        scopes,
        network,
        refused,
        app,
        context,
        shown,
        membership,
        places,
        factor,
    ) = row
    actor = Actor(
        tenant,
        user,
        name,
        role,
        org,
        client,
        patient=patient,
        practitioner=practitioner,
        scopes=frozenset(scopes.split()),
        network=network,
        refused=refused,
        purpose=PURPOSES.get(role, TREATMENT),
        app=app,
        context=context,
        membership=membership,
    )
    return Found(
        actor, created, expires, used, form_token(csrf, membership), preferences, shown, places, csrf, factor
    )


def form_token(csrf: str, membership: str) -> str:
    """What each form of a session carries: of the session, and of whom it acts for, so that no form is sent for another."""
    return digest(f"{csrf} {membership}").hex() if csrf else ""


async def actor_of(database: Database, token: str, now: datetime) -> Actor:
    """Whose bearer token this is. Raises Unauthenticated for one that is unknown, expired or revoked."""
    key = (id(database), digest(token))
    cached = _cache.get(key)
    if cached and time.monotonic() - cached[0] < CACHE_SECONDS and now < cached[2]:
        return cached[1]
    found = await find(database, token, "token")
    if found is None or found.expires <= now:
        _cache.pop(key, None)
        raise Unauthenticated("The token is unknown, expired or revoked")
    if found.actor.app:
        await _used(database, found.actor.app, now)
    if len(_cache) >= CACHE_SIZE:
        _cache.clear()
    _cache[key] = (time.monotonic(), found.actor, found.expires)
    return found.actor


async def _used(database: Database, app_grant: str, now: datetime) -> None:
    """Remember when an app last used what it was given, to the minute."""
    async with database.single() as conn:
        await conn.execute(
            "UPDATE app_grant SET used = %s WHERE id = %s AND used < %s",
            (now, app_grant, now - timedelta(minutes=1)),
        )


async def issue(
    database: Database,
    user: str,
    now: datetime,
    *,
    kind: str,
    client: str,
    lives: timedelta,
    label: str = "",
    csrf: str = "",
    org: str | None = None,
) -> str:
    """A new credential for a user; only its digest is kept, so this is the one time it can be shown.

    `org`: for which organisation; may be left out by who works for one. Raises Invalid.
    """
    token = secrets.token_urlsafe(32)
    async with database.single() as conn:
        membership = await only_one(conn, user, org)
        await conn.execute(
            "INSERT INTO credential (sha256, kind, actor, client, created, expires, used, label, csrf, membership) "
            "VALUES (%s, %s, %s, %s, %s, %s, %s, %s, %s, %s)",
            (digest(token), kind, user, client, now, now + lives, now, label, csrf, membership),
        )
    return token


async def only_one(conn: Connection, user: str, org: str | None) -> str:
    """The id of the membership of a user in an organisation, or of their only one. Raises Invalid at `organization`."""
    cursor = await conn.execute(
        f"SELECT m.id FROM membership m WHERE m.actor = %s AND (%s::text IS NULL OR m.org = %s) AND {IN_FORCE} LIMIT 2",
        (user, org, org),
    )
    rows = await cursor.fetchall()
    if not rows:
        raise Invalid("This user does not work for this organisation", at="organization")
    if len(rows) > 1:
        raise Invalid("This user works for several organisations: say for which one", at="organization")
    return str(rows[0][0])


async def keep(
    conn: Connection,
    user: str,
    now: datetime,
    *,
    kind: str,
    client: str,
    lives: timedelta,
    scopes: str,
    app_grant: str,
) -> str:
    """A new credential of an app, in the transaction of the connection; only its digest is kept.

    Its access tokens of before yesterday go: a refresh token stays, so that a second use of it is noticed.
    """
    token = secrets.token_urlsafe(32)
    await conn.execute(
        "DELETE FROM credential WHERE app_grant = %s AND kind = 'token' AND expires < %s",
        (app_grant, now - timedelta(days=1)),
    )
    await conn.execute(
        "INSERT INTO credential (sha256, kind, actor, client, created, expires, used, scopes, app_grant, membership) "
        "VALUES (%s, %s, %s, %s, %s, %s, %s, %s, %s, coalesce((SELECT g.membership FROM app_grant g WHERE g.id = %s), ''))",
        (digest(token), kind, user, client, now, now + lives, now, scopes, app_grant, app_grant),
    )
    return token


def forget() -> None:
    """Look everything up again, as after something was taken back in this process."""
    _cache.clear()


async def tell(conn: Connection) -> None:
    """Tell every process, when the transaction commits, that something was taken back or is another's to decide now."""
    await conn.execute("SELECT pg_notify(%s, '')", (CHANNEL,))


async def hear(database: Database) -> None:
    """Forget what is remembered as soon as another process tells, until cancelled. While nobody can tell, it is 5 seconds old at most."""
    while True:
        try:
            async with database.dedicated() as conn:
                await conn.execute(f"LISTEN {CHANNEL}")
                forget()
                async for _ in conn.notifies():
                    forget()
        except Busy:
            await asyncio.sleep(RETRY_SECONDS)


async def revoke(database: Database, token: str, now: datetime) -> None:
    """End a credential; it stays in the table as revoked."""
    async with database.single() as conn:
        await conn.execute(
            "UPDATE credential SET revoked = %s WHERE sha256 = %s AND revoked IS NULL", (now, digest(token))
        )
        await tell(conn)
    _cache.pop((id(database), digest(token)), None)


async def revoke_all(database: Database, user: str, now: datetime) -> None:
    """End every credential of a user, as on a change of password or when somebody leaves."""
    async with database.single() as conn:
        await end_all(conn, user, now)
    _cache.clear()


async def end_all(conn: Connection, user: str, now: datetime, *, but: str = "") -> None:
    """End every credential of a user but one, in the transaction of the connection; the caller then calls `forget`."""
    await conn.execute(
        "UPDATE credential SET revoked = %s WHERE actor = %s AND revoked IS NULL AND sha256 <> %s",
        (now, user, digest(but)),
    )
    await tell(conn)


async def revoke_handle(database: Database, handle: str, now: datetime) -> bool:
    """End the token whose list entry has this handle; whether there was one."""
    async with database.single() as conn:
        cursor = await conn.execute(
            "UPDATE credential SET revoked = %s WHERE kind = 'token' AND revoked IS NULL "
            "AND left(encode(sha256, 'hex'), 12) = %s",
            (now, handle),
        )
        await tell(conn)
    _cache.clear()
    return cursor.rowcount == 1


async def touch(database: Database, token: str, now: datetime, lives: timedelta) -> None:
    """Say that a session is being used, and move its idle end."""
    async with database.single() as conn:
        await conn.execute(
            "UPDATE credential SET used = %s, expires = %s WHERE sha256 = %s AND revoked IS NULL",
            (now, now + lives, digest(token)),
        )


async def tokens(database: Database) -> list[Token]:
    """Every bearer token that a person made, newest first; those of apps come and go with what they were allowed."""
    async with database.single() as conn:
        cursor = await conn.execute(
            "SELECT c.label, u.login, coalesce(m.role, ''), c.created, c.expires, c.used, c.revoked, left(encode(c.sha256, 'hex'), 12) "
            "FROM credential c JOIN app_user u ON u.id = c.actor LEFT JOIN membership m ON m.id = c.membership WHERE c.kind = 'token' AND c.app_grant IS NULL ORDER BY c.created DESC"
        )
        return [Token(*row) for row in await cursor.fetchall()]
