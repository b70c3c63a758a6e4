"""The lane of outreach: the outbox of campaigns, and the digests of clinicians."""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime
from typing import TYPE_CHECKING

from commonchart.exchange.egress import Guard
from commonchart.exchange.outreach.deliver import Post, round_of

if TYPE_CHECKING:
    from commonchart.record.database import Database


async def drain(
    database: Database, clock: Callable[[], datetime], site: object = None, guard: Guard | None = None
) -> int:
    """A piece of what may be sent now; how much was done. `guard` is for tests."""
    return await round_of(Post(database, clock, guard))
