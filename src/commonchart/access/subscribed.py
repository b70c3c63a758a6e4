"""Versions for subscriptions: what a change was about, and whether a subscriber may see it now."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from typing import TYPE_CHECKING

from msgspec.structs import replace

from commonchart.access import audit, policy
from commonchart.access.actors import Actor
from commonchart.access.records import version_statement
from commonchart.access.standing import standing
from commonchart.record import store
from commonchart.record.rows import Stored

if TYPE_CHECKING:
    from commonchart.record.database import Connection

Version = tuple[str, str, int]


async def versions(conn: Connection, tenant: int, keys: Sequence[Version]) -> dict[Version, Stored]:
    """The versions themselves, for deciding what fires: never shown to anybody."""
    out: dict[Version, Stored] = {}
    for rtype, id, vid in keys:
        found = await store.vread(conn, tenant, rtype, id, vid)
        if found is not None:
            out[rtype, id, vid] = found
    return out


async def seen(conn: Connection, actor: Actor, rtype: str, id: str, vid: int, now: datetime) -> Stored | None:
    """The version if the actor may see it, as it was and as the policy is now; a deletion too."""
    if not policy.allowed(actor, "read", rtype):
        return None
    statement = version_statement(policy.visible(actor, now, letters="r"), rtype, id, vid)
    async with conn.within(policy.bounds(actor)):
        rows = await conn.fetch(statement.sql, statement.args)
    return store.row_stored(rows[0]) if rows else None


async def subscriber(conn: Connection, tenant: int, user: str, org: str, id: str) -> Actor:
    """Whoever last wrote the Subscription, for the organisation that they wrote it for, as of now, within what the app was given that it was written through.

    Raises Forbidden when their access, or the app's, has ended.
    """
    actor = Actor(tenant, user, "", "patient", org, "subscription")
    cursor = await conn.execute(
        "SELECT app_grant, scopes, patient FROM app_subscription WHERE tenant = %s AND id = %s", (tenant, id)
    )
    row = await cursor.fetchone()
    if row is not None:
        actor = replace(actor, app=row[0], scopes=frozenset(row[1].split()), context=row[2])
    return await standing(conn, actor)


async def told(
    conn: Connection, actor: Actor, now: datetime, subscription: str, patients: Sequence[str]
) -> None:
    """Leave a row of what a subscriber was told about whom."""
    await audit.note(
        conn, actor, now, "notify", rtype="Subscription", id=subscription, patients=sorted(set(patients))
    )
