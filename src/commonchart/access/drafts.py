"""What somebody was typing and has not saved: kept for them alone and for whom they
act, until they save or discard it."""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import TYPE_CHECKING

import msgspec
from msgspec import Struct

from commonchart.fhir.outcome import TooLarge

if TYPE_CHECKING:
    from commonchart.access.records import Records

MAX_BYTES = 300_000
KEPT = timedelta(days=7)


class Draft(Struct, frozen=True):
    """The fields of a form as they were typed, and when."""

    values: dict[str, str]
    saved: datetime


async def keep(records: Records, key: str, values: dict[str, str]) -> None:
    """Keep this instead of what was kept under the key. Raises TooLarge."""
    body = msgspec.json.encode(values)
    if len(body) > MAX_BYTES:
        raise TooLarge("The draft is too large to be kept")
    actor = records.actor
    async with records.database.single() as conn:
        await conn.execute(
            "INSERT INTO draft (tenant, actor, org, key, body, saved) VALUES (%s, %s, %s, %s, %s, %s) "
            "ON CONFLICT (tenant, actor, org, key) DO UPDATE SET body = excluded.body, saved = excluded.saved",
            (actor.tenant, actor.user, actor.org, key[:300], body.decode(), records.clock()),
        )


async def find(records: Records, key: str) -> Draft | None:
    """The actor's own draft under the key, None if there is none or it is a week old."""
    actor = records.actor
    async with records.database.single() as conn:
        cursor = await conn.execute(
            "SELECT body, saved FROM draft WHERE tenant = %s AND actor = %s AND org = %s AND key = %s AND saved > %s",
            (actor.tenant, actor.user, actor.org, key[:300], records.clock() - KEPT),
        )
        row = await cursor.fetchone()
    return Draft(msgspec.json.decode(row[0], type=dict[str, str]), row[1]) if row else None


async def drop(records: Records, key: str) -> None:
    """Forget a draft."""
    actor = records.actor
    async with records.database.single() as conn:
        await conn.execute(
            "DELETE FROM draft WHERE tenant = %s AND actor = %s AND org = %s AND key = %s",
            (actor.tenant, actor.user, actor.org, key[:300]),
        )
