"""The lane of outreach: the outbox of campaigns, and the digests of clinicians."""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime
from typing import TYPE_CHECKING, Protocol

from commonchart.exchange.egress import Guard
from commonchart.exchange.outreach import deliver, digests
from commonchart.exchange.outreach.tries import Post

if TYPE_CHECKING:
    from commonchart.record.database import Database


class Site(Protocol):
    """What is needed of `jobs.worker.Site`."""

    @property
    def base_url(self) -> str:
        """The address clients use."""
        ...


async def drain(
    database: Database, clock: Callable[[], datetime], site: Site, guard: Guard | None = None
) -> int:
    """A piece of what may be sent now; how much was done. `guard` is for tests."""
    sent = await deliver.round_of(deliver.Post(database, clock, guard))
    return sent + await digests.round_of(Post(database, clock, site.base_url))
