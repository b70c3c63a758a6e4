"""Telling users of changes to their own accounts, and ending questions to join that nobody answered."""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime
from typing import TYPE_CHECKING, Protocol

from commonchart.access.people import memberships
from commonchart.exchange.outreach import account_notices
from commonchart.exchange.outreach.tries import Post

if TYPE_CHECKING:
    from commonchart.record.database import Database


class Site(Protocol):
    """What is needed of `jobs.worker.Site`."""

    @property
    def base_url(self) -> str:
        """The address that a link leads to."""
        ...


async def drain(database: Database, clock: Callable[[], datetime], site: Site) -> int:
    """End what was not answered in time and send one notice; 0 when none waits."""
    async with database.connection() as conn:
        await memberships.lapse(conn, clock())
    return await account_notices.round_of(Post(database, clock, site.base_url))
