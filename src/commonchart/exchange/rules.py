"""Which other servers this site calls: its own decision, kept as settings of the site."""

from __future__ import annotations

from typing import TYPE_CHECKING

from commonchart.exchange import egress
from commonchart.exchange.egress import Guard
from commonchart.record import site

if TYPE_CHECKING:
    from commonchart.record.database import Connection

ORIGINS = "egress_origins"
ONLY = "egress_only"


async def guard_of(conn: Connection, tenant: int) -> Guard:
    """The guard under the site's rules. Raises Forbidden when they cannot be read: then nobody is called."""
    origins = await site.get(conn, tenant, ORIGINS)
    only = await site.get(conn, tenant, ONLY)
    return Guard(egress.rules(origins, only_these=only == "true"))
