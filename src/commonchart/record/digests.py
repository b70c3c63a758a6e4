"""Digests as rows: one a clinician, kind and day, so that none is sent twice."""

from __future__ import annotations

from datetime import date, datetime
from typing import TYPE_CHECKING

from msgspec import Struct

if TYPE_CHECKING:
    from commonchart.record.database import Connection


class Digest(Struct, frozen=True):
    """One digest; `kind` is day or week."""

    tenant: int
    user: str
    org: str
    kind: str
    day: date
    state: str
    attempts: int


async def ask(conn: Connection, tenant: int, kind: str, day: date) -> None:
    """Every clinician who is named as a practitioner, for each organisation where they are one, is to get this digest, unless they have."""
    await conn.execute(
        "INSERT INTO outreach_digest (tenant, user_id, org, kind, day, state) SELECT u.tenant, u.id, m.org, %s, %s, 'waiting' "
        "FROM app_user u JOIN membership m ON m.actor = u.id WHERE u.tenant = %s AND m.role = 'clinician' AND u.active "
        "AND m.since IS NOT NULL AND m.ended IS NULL AND u.practitioner IS NOT NULL ON CONFLICT DO NOTHING",
        (kind, day, tenant),
    )


async def take(conn: Connection, tenant: int, day: date, now: datetime, until: datetime) -> Digest | None:
    """The next one of this day that may be tried, marked as being sent; None when there is none."""
    cursor = await conn.execute(
        "WITH x AS MATERIALIZED (SELECT user_id, org, kind FROM outreach_digest WHERE tenant = %s AND day = %s "
        "AND state = 'waiting' AND (next_try IS NULL OR next_try <= %s) ORDER BY user_id, org, kind LIMIT 1 FOR UPDATE SKIP LOCKED) "
        "UPDATE outreach_digest d SET state = 'sending', attempts = attempts + 1, held_until = %s FROM x "
        "WHERE d.tenant = %s AND d.day = %s AND d.user_id = x.user_id AND d.org = x.org AND d.kind = x.kind "
        "RETURNING d.tenant, d.user_id, d.org, d.kind, d.day, d.state, d.attempts",
        (tenant, day, now, until, tenant, day),
    )
    row = await cursor.fetchone()
    return Digest(*row) if row else None


async def settle(
    conn: Connection, one: Digest, state: str, error: str = "", next_try: datetime | None = None
) -> None:
    """What became of it: sent, none (nothing to say), failed, doubt, or waiting for another try."""
    await conn.execute(
        "UPDATE outreach_digest SET state = %s, error = %s, next_try = %s, held_until = NULL "
        "WHERE tenant = %s AND user_id = %s AND org = %s AND kind = %s AND day = %s",
        (state, error, next_try, one.tenant, one.user, one.org, one.kind, one.day),
    )


async def lost(conn: Connection, now: datetime) -> None:
    """What was being sent by a program that is gone may have arrived: it is not sent again."""
    await conn.execute(
        "UPDATE outreach_digest SET state = 'doubt', held_until = NULL WHERE state = 'sending' AND held_until <= %s",
        (now,),
    )


async def asking(conn: Connection, key: str) -> list[tuple[int, str]]:
    """(tenant, value) of the tenants that have this setting."""
    cursor = await conn.execute(
        "SELECT tenant, value FROM site_setting WHERE key = %s AND value <> ''", (key,)
    )
    return [(row[0], row[1]) for row in await cursor.fetchall()]
