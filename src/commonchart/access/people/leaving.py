"""Somebody leaves: everything they hold ends in one transaction. What they wrote, their drafts among it, stays.

What works on their behalf later (an export, a subscription, a campaign) asks `standing` before each step; here it is
ended for good, so that coming back brings none of it back.
"""

from __future__ import annotations

from datetime import datetime
from typing import TYPE_CHECKING, Any

from msgspec import Struct

from commonchart.access import credentials
from commonchart.access.standing import OVER

if TYPE_CHECKING:
    from commonchart.record.database import Connection


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
    results: int
    drafts: int


_COUNTS: dict[str, str] = {
    "sessions": "credential WHERE actor = %(user)s AND kind = 'session' AND revoked IS NULL AND expires > %(now)s",
    "tokens": "credential WHERE actor = %(user)s AND kind = 'token' AND app_grant IS NULL AND revoked IS NULL "
    "AND expires > %(now)s",
    "apps": "app_grant WHERE tenant = %(tenant)s AND actor = %(user)s AND revoked IS NULL AND expires > %(now)s",
    "launches": "app_launch WHERE tenant = %(tenant)s AND actor = %(user)s AND expires > %(now)s",
    "subscriptions": "subscription_state WHERE tenant = %(tenant)s AND user_id = %(user)s AND state IN ('requested', 'active')",
    "exports": "bulk_run WHERE tenant = %(tenant)s AND user_id = %(user)s AND state IN ('waiting', 'running')",
    "emergencies": "emergency_access WHERE tenant = %(tenant)s AND actor = %(user)s AND revoked IS NULL AND ends > %(now)s",
    "shares": "share_link WHERE tenant = %(tenant)s AND actor = %(user)s AND revoked IS NULL AND expires > %(now)s",
    "results": "inbox_item WHERE tenant = %(tenant)s AND owner = %(user)s AND state = 'open'",
    "drafts": "draft WHERE tenant = %(tenant)s AND actor = %(user)s",
}
_INVITED = (
    "(SELECT count(*) FROM account_link WHERE tenant = %(tenant)s AND made_by = %(user)s AND ended IS NULL AND expires > %(now)s)"
    " + (SELECT count(*) FROM portal_invitation WHERE tenant = %(tenant)s AND made_by = %(user)s AND used IS NULL "
    "AND withdrawn IS NULL AND expires > %(now)s) AS invitations"
)


async def held(conn: Connection, tenant: int, user: str, now: datetime) -> Ends:
    """What would end, counted."""
    counts = ", ".join(f"(SELECT count(*) FROM {what}) AS {name}" for name, what in _COUNTS.items())
    cursor = await conn.execute(f"SELECT {counts}, {_INVITED}", {"tenant": tenant, "user": user, "now": now})
    row = await cursor.fetchone()
    names = [column.name for column in cursor.description or ()]
    return Ends(**dict(zip(names, row or (), strict=True)))


_END = (
    "UPDATE app_user SET active = false, password = NULL, failures = 0, locked_until = NULL WHERE tenant = %(tenant)s "
    "AND id = %(user)s",
    "UPDATE credential SET revoked = %(now)s WHERE actor = %(user)s AND revoked IS NULL",
    "DELETE FROM app_code WHERE app_grant IN (SELECT id FROM app_grant WHERE tenant = %(tenant)s AND actor = %(user)s)",
    "UPDATE app_grant SET revoked = %(now)s, why = 'the account was ended' WHERE tenant = %(tenant)s AND actor = %(user)s "
    "AND revoked IS NULL",
    "DELETE FROM app_launch WHERE tenant = %(tenant)s AND actor = %(user)s",
    "UPDATE account_link SET ended = %(now)s WHERE tenant = %(tenant)s AND (actor = %(user)s OR made_by = %(user)s) "
    "AND ended IS NULL",
    "UPDATE portal_invitation SET withdrawn = %(now)s WHERE tenant = %(tenant)s AND made_by = %(user)s AND used IS NULL "
    "AND withdrawn IS NULL",
    "DELETE FROM subscription_ticket WHERE tenant = %(tenant)s AND user_id = %(user)s",
    # its end has come: the worker looks, sees why, and writes it into the Subscription
    "UPDATE subscription_state SET ends = %(now)s, error = %(over)s, retry_at = NULL WHERE tenant = %(tenant)s "
    "AND user_id = %(user)s AND state IN ('requested', 'active')",
    "UPDATE bulk_run SET state = 'refused', error = %(over)s, finished = %(now)s WHERE tenant = %(tenant)s "
    "AND user_id = %(user)s AND state = 'waiting'",
    "UPDATE emergency_access SET revoked = %(now)s, revoked_by = %(by)s WHERE tenant = %(tenant)s AND actor = %(user)s "
    "AND revoked IS NULL AND ends > %(now)s",
    "DELETE FROM share_file WHERE link IN (SELECT id FROM share_link WHERE tenant = %(tenant)s AND actor = %(user)s)",
    "UPDATE share_link SET revoked = %(now)s WHERE tenant = %(tenant)s AND actor = %(user)s AND revoked IS NULL "
    "AND expires > %(now)s",
    "DELETE FROM known_device WHERE actor = %(user)s",
)


async def end(conn: Connection, tenant: int, user: str, by: str, now: datetime) -> None:
    """End all of it, in the transaction of the connection; the caller then calls `credentials.forget`."""
    given: dict[str, Any] = {"tenant": tenant, "user": user, "by": by, "now": now, "over": OVER}
    for statement in _END:
        await conn.execute(statement, given)
    await credentials.tell(conn)
