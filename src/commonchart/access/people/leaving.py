"""Somebody leaves, or stops working for one organisation: everything they hold for it ends in one transaction.

What they wrote, their drafts among it, stays. What works on their behalf later (an export, a subscription, a campaign) asks
`standing` before each step; here it is ended for good, so that coming back brings none of it back.
"""

from __future__ import annotations

from datetime import datetime
from typing import TYPE_CHECKING, Any
from uuid import uuid4

from msgspec import Struct

from commonchart.access import credentials
from commonchart.access.standing import OVER
from commonchart.record.inbox import items

if TYPE_CHECKING:
    from commonchart.record.database import Connection

POOL = "whoever it was addressed to works here no more"


class Ends(Struct, frozen=True):
    """How many of each somebody holds. `results` and `drafts` stay: results addressed to them that nobody has signed."""

    sessions: int
    tokens: int
    apps: int
    launches: int
    invitations: int
    subscriptions: int
    exports: int
    emergencies: int
    shares: int
    covers: int
    results: int
    drafts: int


class Place(Struct, frozen=True):
    """One membership, by its id and organisation: what ends with it ends for that organisation and no other."""

    id: str
    org: str


_HERE = "(%(member)s::text IS NULL OR membership = %(member)s)"
_FOR = "(%(org)s::text IS NULL OR org = %(org)s)"
_ASKED = "(%(org)s::text IS NULL OR actor::json ->> 'org' = %(org)s)"
_COUNTS: dict[str, str] = {
    "sessions": f"credential WHERE actor = %(user)s AND {_HERE} AND kind = 'session' AND revoked IS NULL AND expires > %(now)s",
    "tokens": f"credential WHERE actor = %(user)s AND {_HERE} AND kind = 'token' AND app_grant IS NULL AND revoked IS NULL "
    "AND expires > %(now)s",
    "apps": f"app_grant WHERE tenant = %(tenant)s AND actor = %(user)s AND {_HERE} AND revoked IS NULL AND expires > %(now)s",
    "launches": f"app_launch WHERE tenant = %(tenant)s AND actor = %(user)s AND {_HERE} AND expires > %(now)s",
    "subscriptions": f"subscription_state WHERE tenant = %(tenant)s AND user_id = %(user)s AND {_FOR} "
    "AND state IN ('requested', 'active')",
    "exports": f"bulk_run WHERE tenant = %(tenant)s AND user_id = %(user)s AND {_ASKED} AND state IN ('waiting', 'running')",
    "emergencies": f"emergency_access WHERE tenant = %(tenant)s AND actor = %(user)s AND {_FOR} AND revoked IS NULL "
    "AND ends > %(now)s",
    "shares": "share_link WHERE tenant = %(tenant)s AND actor = %(user)s AND %(member)s::text IS NULL AND revoked IS NULL "
    "AND expires > %(now)s",
    "covers": f"inbox_cover WHERE tenant = %(tenant)s AND %(user)s IN (absent, cover) AND {_FOR} AND ends > %(now)s",
    "results": f"inbox_item WHERE tenant = %(tenant)s AND owner = %(user)s AND {_FOR} AND state = 'open'",
    "drafts": f"draft WHERE tenant = %(tenant)s AND actor = %(user)s AND {_FOR}",
}
_INVITED = (
    "(SELECT count(*) FROM account_link WHERE tenant = %(tenant)s AND made_by = %(user)s AND "
    f"{_FOR} AND ended IS NULL AND expires > %(now)s)"
    " + (SELECT count(*) FROM portal_invitation WHERE tenant = %(tenant)s AND made_by = %(user)s AND "
    f"{_FOR} AND used IS NULL AND withdrawn IS NULL AND expires > %(now)s) AS invitations"
)


async def held(conn: Connection, tenant: int, user: str, now: datetime, place: Place | None = None) -> Ends:
    """What would end, counted: all of it, or what is held for one organisation."""
    counts = ", ".join(f"(SELECT count(*) FROM {what}) AS {name}" for name, what in _COUNTS.items())
    cursor = await conn.execute(f"SELECT {counts}, {_INVITED}", _given(tenant, user, "", now, place))
    row = await cursor.fetchone()
    names = [column.name for column in cursor.description or ()]
    return Ends(**dict(zip(names, row or (), strict=True)))


def _given(tenant: int, user: str, by: str, now: datetime, place: Place | None) -> dict[str, Any]:
    return {
        "tenant": tenant, "user": user, "by": by, "now": now, "over": OVER, "member": place.id if place else None,
        "org": place.org if place else None,
    }  # fmt: skip


_END = (
    "UPDATE membership SET ended = %(now)s, ended_by = %(by)s WHERE tenant = %(tenant)s AND actor = %(user)s "
    "AND (%(member)s::text IS NULL OR id = %(member)s) AND ended IS NULL",
    f"UPDATE credential SET revoked = %(now)s WHERE actor = %(user)s AND {_HERE} AND revoked IS NULL",
    "DELETE FROM app_code WHERE app_grant IN (SELECT id FROM app_grant WHERE tenant = %(tenant)s AND actor = %(user)s "
    f"AND {_HERE})",
    "UPDATE app_grant SET revoked = %(now)s, why = 'the account was ended' WHERE tenant = %(tenant)s AND actor = %(user)s "
    f"AND {_HERE} AND revoked IS NULL",
    f"DELETE FROM app_launch WHERE tenant = %(tenant)s AND actor = %(user)s AND {_HERE}",
    f"UPDATE account_link SET ended = %(now)s WHERE tenant = %(tenant)s AND made_by = %(user)s AND {_FOR} AND ended IS NULL",
    "UPDATE portal_invitation SET withdrawn = %(now)s WHERE tenant = %(tenant)s AND made_by = %(user)s AND "
    f"{_FOR} AND used IS NULL AND withdrawn IS NULL",
    f"DELETE FROM subscription_ticket WHERE tenant = %(tenant)s AND user_id = %(user)s AND {_ASKED}",
    # its end has come: the worker looks, sees why, and writes it into the Subscription
    "UPDATE subscription_state SET ends = %(now)s, error = %(over)s, retry_at = NULL WHERE tenant = %(tenant)s "
    f"AND user_id = %(user)s AND {_FOR} AND state IN ('requested', 'active')",
    "UPDATE bulk_run SET state = 'refused', error = %(over)s, finished = %(now)s WHERE tenant = %(tenant)s "
    f"AND user_id = %(user)s AND {_ASKED} AND state = 'waiting'",
    "UPDATE emergency_access SET revoked = %(now)s, revoked_by = %(by)s WHERE tenant = %(tenant)s AND actor = %(user)s "
    f"AND {_FOR} AND revoked IS NULL AND ends > %(now)s",
    "UPDATE inbox_cover SET ends = greatest(begins, %(now)s), ended_by = %(by)s WHERE tenant = %(tenant)s "
    f"AND %(user)s IN (absent, cover) AND {_FOR} AND ends > %(now)s",
)
# what goes with the account and not with a place of work
_END_ACCOUNT = (
    "UPDATE app_user SET active = false, password = NULL, failures = 0, locked_until = NULL WHERE tenant = %(tenant)s "
    "AND id = %(user)s",
    "UPDATE account_link SET ended = %(now)s WHERE tenant = %(tenant)s AND actor = %(user)s AND ended IS NULL",
    "DELETE FROM share_file WHERE link IN (SELECT id FROM share_link WHERE tenant = %(tenant)s AND actor = %(user)s)",
    "UPDATE share_link SET revoked = %(now)s WHERE tenant = %(tenant)s AND actor = %(user)s AND revoked IS NULL "
    "AND expires > %(now)s",
    "DELETE FROM known_device WHERE actor = %(user)s",
)


async def end(conn: Connection, tenant: int, user: str, by: str, now: datetime) -> None:
    """End the account and all of it, in the transaction of the connection; the caller then calls `credentials.forget`."""
    for statement in (*_END, *_END_ACCOUNT):
        await conn.execute(statement, _given(tenant, user, by, now, None))
    await credentials.tell(conn)


async def end_one(conn: Connection, tenant: int, user: str, place: Place, by: str, now: datetime) -> bool:
    """End what is held for one organisation; with the last one the account. Whether it did. As `end` else."""
    cursor = await conn.execute(
        f"SELECT 1 FROM membership m WHERE m.actor = %s AND m.id <> %s AND {credentials.IN_FORCE} LIMIT 1",
        (user, place.id),
    )
    if await cursor.fetchone() is None:
        await end(conn, tenant, user, by, now)
        return True
    for statement in _END:
        await conn.execute(statement, _given(tenant, user, by, now, place))
    await items.orphaned(conn, POOL)
    await credentials.tell(conn)
    return False


_MOVED = (
    "UPDATE draft d SET org = %(new)s WHERE tenant = %(tenant)s AND actor = %(user)s AND org = %(old)s AND NOT EXISTS "
    "(SELECT 1 FROM draft o WHERE o.tenant = d.tenant AND o.actor = d.actor AND o.org = %(new)s AND o.key = d.key)",
    "UPDATE registry_view SET org = %(new)s WHERE tenant = %(tenant)s AND owner = %(user)s AND org = %(old)s",
    "UPDATE subscription_state SET org = %(new)s WHERE tenant = %(tenant)s AND user_id = %(user)s AND org = %(old)s",
)


async def moved(conn: Connection, tenant: int, user: str, old: str, new: str) -> None:
    """A place of work is another organisation's from now on: what its owner typed, kept and subscribed to there goes with it."""
    for statement in _MOVED:
        await conn.execute(statement, {"tenant": tenant, "user": user, "old": old, "new": new})


async def undo(
    conn: Connection, tenant: int, user: str, by: str, now: datetime, org: str | None = None
) -> None:
    """Let somebody in again where they worked last, or last in one organisation; nothing that ended comes back by that."""
    await conn.execute("UPDATE app_user SET active = true WHERE id = %s", (user,))
    await conn.execute(
        "INSERT INTO membership (id, tenant, actor, org, role, asked, asked_by, since) SELECT %s, tenant, actor, org, role, %s, %s, "
        "%s FROM membership WHERE tenant = %s AND actor = %s AND since IS NOT NULL AND (%s::text IS NULL OR org = %s) "
        "AND NOT EXISTS (SELECT 1 FROM membership m WHERE m.actor = %s AND m.ended IS NULL) "
        "ORDER BY ended DESC, used DESC NULLS LAST LIMIT 1",
        (str(uuid4()), now, by, now, tenant, user, org, org, user),
    )
