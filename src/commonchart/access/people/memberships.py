"""Whom somebody works for: the organisation that they act for now, the others, and what they are asked to join.

One human has one account. A membership is one organisation and the role there; a session and every token act for one of
them. One that has ended, or that its owner has not said yes to, gives nothing.
"""

from __future__ import annotations

import re
from datetime import datetime, timedelta
from typing import TYPE_CHECKING

from msgspec import Struct
from msgspec.structs import replace

from commonchart.access import audit, credentials, users
from commonchart.access.actors import Actor
from commonchart.access.credentials import IN_FORCE
from commonchart.access.people import factors, links, sessions
from commonchart.fhir.outcome import Conflict, Forbidden, Invalid, NotFound

if TYPE_CHECKING:
    from commonchart.access.records import Records
    from commonchart.record.database import Connection

LASTS = timedelta(days=14)
"""How long a question to join waits for its answer; meanwhile nobody but its owner looks after the account."""
NONE = "There is no such place of work of yours"
NEEDED = (
    "To work for several organisations you need a second step that you set up yourself: make one under Your account, "
    "Second step and passkeys, show it here, and say yes again"
)


class Membership(Struct, frozen=True):
    """One organisation that somebody works for, or is asked to (`since` None)."""

    id: str
    org: str
    role: str
    since: datetime | None
    used: datetime | None


_MINE = "SELECT m.id, m.org, m.role, m.since, m.used FROM membership m WHERE m.actor = %s AND m.ended IS NULL"


async def of(conn: Connection, actor: Actor) -> str:
    """The id of the membership by which the actor acts. Raises Forbidden when it is none that is in force."""
    cursor = await conn.execute(
        f"SELECT m.id FROM membership m WHERE m.actor = %s AND CASE WHEN %s <> '' THEN m.id = %s ELSE m.org = %s END AND {IN_FORCE}",
        (actor.user, actor.membership, actor.membership, actor.org),
    )
    row = await cursor.fetchone()
    if row is None:
        raise Forbidden("You do not work for this organisation")
    return str(row[0])


async def mine(conn: Connection, user: str) -> list[Membership]:
    """What somebody works for and is asked to."""
    cursor = await conn.execute(f"{_MINE} ORDER BY m.org", (user,))
    return [Membership(*row) for row in await cursor.fetchall()]


async def others(conn: Connection, actor: Actor) -> tuple[str, ...]:
    """The organisations that somebody works for beside the one that they act for."""
    return tuple(one.org for one in await mine(conn, actor.user) if one.since and one.org != actor.org)


async def _one(conn: Connection, user: str, id: str) -> Membership:
    cursor = await conn.execute(f"{_MINE} AND m.id = %s FOR UPDATE OF m", (user, id[:64]))
    row = await cursor.fetchone()
    if row is None:
        raise NotFound(NONE)
    return Membership(*row)


async def switch(records: Records, token: str, id: str) -> tuple[str, Actor]:
    """Act for another organisation in this session: its new cookie, and who asks from now on.

    What was given to apps stays for the organisation that it was given for. Raises NotFound, Forbidden (through an app).
    """
    actor, now = records.actor, records.clock()
    if actor.app:
        raise Forbidden("An app does not choose for whom somebody acts")
    async with records.database.connection() as conn:
        one = await _one(conn, actor.user, id)
        if one.since is None:
            raise NotFound(NONE)
        new = await sessions.renamed(conn, token)
        cursor = await conn.execute(
            "UPDATE credential SET membership = %s WHERE sha256 = %s AND kind = 'session' AND actor = %s AND revoked IS NULL",
            (one.id, credentials.digest(new), actor.user),
        )
        if cursor.rowcount != 1:
            raise NotFound(NONE)
        await conn.execute("UPDATE membership SET used = %s WHERE id = %s", (now, one.id))
        then = replace(actor, org=one.org, role=one.role, membership=one.id)
        await audit.note(conn, actor, now, "switch", detail="stops acting for this organisation")
        await audit.note(conn, then, now, "switch", detail="acts for this organisation")
    return new, then


async def accept(records: Records, id: str, token: str, code: str) -> None:
    """Say yes to working for another organisation, in the session of this cookie, where a second factor was just shown.

    `code` is what the one who asked gave them in person: whoever else can sign in as them does not have it.

    From now on the account is its owner's alone (`staff`), so whatever somebody else may hold of it ends: links for a new
    password, other second factors and recovery codes, other sessions. Raises NotFound, Invalid (the code), Conflict without such a factor.
    """
    actor, now = records.actor, records.clock()
    async with records.database.connection() as conn:
        await hold(conn, actor.tenant, actor.user)
        one = await _asked(conn, actor, id)
        cursor = await conn.execute(
            "SELECT 1 FROM membership WHERE id = %s AND code = %s AND asked > %s",
            (one.id, kept(code), now - LASTS),
        )
        if await cursor.fetchone() is None:
            words = f"This is not the code that they gave you, or it is older than {LASTS.days} days: ask them for another"
            raise Invalid(words, at="code")
        await _theirs_from_now(conn, actor, token, now)
        await conn.execute("UPDATE membership SET since = %s, code = NULL WHERE id = %s", (now, one.id))
        then = replace(actor, org=one.org, role=one.role, membership=one.id)
        await audit.note(conn, then, now, "join", detail=one.role)
        await credentials.tell(conn)
    credentials.forget()


def kept(code: str) -> bytes:
    """What is kept of a code: spaces, dashes and case do not matter."""
    return credentials.digest("join " + re.sub(r"[\s-]", "", code.lower())[:40])


async def _theirs_from_now(conn: Connection, actor: Actor, token: str, now: datetime) -> None:
    cursor = await conn.execute(
        "SELECT factor, factor_at FROM credential WHERE sha256 = %s AND kind = 'session' AND actor = %s AND revoked IS NULL",
        (credentials.digest(token), actor.user),
    )
    factor, shown = await cursor.fetchone() or ("", now)
    fresh = now - shown < sessions.FRESH
    if not fresh or not await factors.only(conn, actor, str(factor).rpartition(" ")[2], shown, now):
        raise Conflict(NEEDED)
    await links.end_all(conn, actor.user, now)
    await conn.execute(
        "UPDATE credential SET revoked = %s WHERE actor = %s AND kind IN ('session', 'pending') AND revoked IS NULL AND sha256 <> %s",
        (now, actor.user, credentials.digest(token)),
    )


async def hold(conn: Connection, tenant: int, user: str) -> None:
    """Nobody else changes whom this user works for, or what their account is, before the transaction ends."""
    await conn.execute("SELECT 1 FROM app_user WHERE tenant = %s AND id = %s FOR UPDATE", (tenant, user))


async def decline(records: Records, id: str) -> None:
    """Say no to it. Raises NotFound."""
    actor, now = records.actor, records.clock()
    async with records.database.connection() as conn:
        one = await _asked(conn, actor, id)
        await conn.execute(
            "UPDATE membership SET ended = %s, ended_by = %s WHERE id = %s", (now, actor.user, one.id)
        )
        then = replace(actor, org=one.org)
        await audit.note(conn, then, now, "join", outcome=audit.MINOR, detail="declined")


async def lapse(conn: Connection, now: datetime) -> int:
    """End the questions that waited for `LASTS` without an answer; how many."""
    cursor = await conn.execute(
        "UPDATE membership SET ended = %s WHERE since IS NULL AND ended IS NULL AND asked <= %s RETURNING tenant, actor, org",
        (now, now - LASTS),
    )
    found = await cursor.fetchall()
    for tenant, user, org in found:
        worker = users.system(tenant, "account-worker", org)
        await audit.note(conn, worker, now, "join", outcome=audit.MINOR, id=user, detail="not answered")
    return len(found)


async def _asked(conn: Connection, actor: Actor, id: str) -> Membership:
    if actor.app:
        raise Forbidden("An app does not choose whom somebody works for")
    one = await _one(conn, actor.user, id)
    if one.since is not None:
        raise NotFound("There is no such invitation")
    return one
