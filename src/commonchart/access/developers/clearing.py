"""What is forgotten of developers: registrations that nobody proved, refused ones, contacts of withdrawn apps, old links."""

from __future__ import annotations

from collections import Counter
from datetime import datetime, timedelta
from typing import TYPE_CHECKING

from commonchart.access import audit
from commonchart.access.actors import Actor

if TYPE_CHECKING:
    from commonchart.record.database import Database

UNPROVEN = timedelta(days=7)
"""How long a registration is kept whose address nobody proved."""
DECIDED = timedelta(days=30)
"""How long a refused app is kept, and the contact of a withdrawn one."""
LINKS = timedelta(days=2)
"""How long a link is remembered; a day of them is counted."""


async def clear(database: Database, now: datetime) -> int:
    """Forget what is old, of every tenant; how many registrations. An app that anybody ever allowed stays, without contact."""
    async with database.connection() as conn:
        await conn.fetch("DELETE FROM developer_link WHERE created < %s", (now - LINKS,))
        gone = await conn.fetch(
            "DELETE FROM developer_registration r WHERE (r.proven IS NULL AND r.created < %s) OR EXISTS (SELECT 1 FROM app a "
            "WHERE a.id = r.id AND a.state IN ('refused', 'withdrawn') AND a.decided < %s) RETURNING r.tenant, r.id",
            (now - UNPROVEN, now - DECIDED),
        )
        if not gone:
            return 0
        await conn.fetch("DELETE FROM developer_change WHERE app = ANY(%s)", ([id for _, id in gone],))
        await conn.fetch(
            "DELETE FROM app a WHERE a.id = ANY(%s) AND a.state IN ('refused', 'withdrawn') "
            "AND NOT EXISTS (SELECT 1 FROM app_grant g WHERE g.app = a.id)",
            ([id for _, id in gone],),
        )
        for tenant, number in Counter(tenant for tenant, _ in gone).items():
            worker = Actor(tenant, "worker", "", "system", "", "worker")
            await audit.note(conn, worker, now, "clear-registrations", detail=str(number))
    return len(gone)
