"""The lane of subscriptions: the feed into the outbox, then the outbox to those who wait for it."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from datetime import datetime
from typing import TYPE_CHECKING, Protocol

from commonchart.exchange.egress import Guard
from commonchart.exchange.subscriptions import deliver, feed

if TYPE_CHECKING:
    from commonchart.record.database import Database

LINGER_SECONDS = 0.05


class Site(Protocol):
    """What is needed of `jobs.worker.Site`."""

    @property
    def base_url(self) -> str:
        """The address clients use."""
        ...


async def lane(database: Database, clock: Callable[[], datetime], site: Site) -> int:
    """A round for the worker, which gathers what many writes wake it for."""
    await asyncio.sleep(LINGER_SECONDS)
    return await drain(database, clock, site)


async def drain(
    database: Database, clock: Callable[[], datetime], site: Site, guard: Guard | None = None
) -> int:
    """Follow a piece of the feed and start what is due; how many changes were followed. `guard` is for tests."""
    done, refused = await feed.follow(database, clock)
    post = deliver.Post(database, clock, f"{site.base_url.rstrip('/')}/fhir", guard)
    for one in refused:
        await deliver.over(post, one)
    await deliver.begin(post)
    return done
