"""The worker: lanes of work, each a loop of its own, so that a long export never holds up a due list.

A lane wakes when something was committed, and every few seconds anyway. NOTIFY only wakes; polling guarantees. What
many writers commit one after the other is gathered: rounds of a lane begin at least its pace apart.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING

import structlog
from msgspec import Struct

from commonchart.fhir.outcome import Busy
from commonchart.jobs import (
    accounts,
    bulk,
    developers,
    due,
    inbox,
    medications,
    outreach,
    panel,
    reindex,
    rule_previews,
    sealing,
    subscriptions,
)
from commonchart.record import statistics
from commonchart.record.changes import CHANNEL

if TYPE_CHECKING:
    from commonchart.record.database import Database

log = structlog.get_logger("commonchart.worker")

Clock = Callable[[], datetime]
POLL_SECONDS = 2.0
RETRY_SECONDS = 1.0


class Site(Struct, frozen=True):
    """What a lane may need of the installation: where files lie, what signs, and the address clients use."""

    data_dir: Path
    secret: bytes = b""
    base_url: str = ""

    @property
    def audit_dir(self) -> Path:
        """Where the keys and checkpoints of the audit trail lie."""
        return self.data_dir / "audit"


Lane = Callable[["Database", Clock, Site], Awaitable[int]]


async def drain(database: Database, clock: Clock) -> int:
    """Bring the due lists up to date with everything committed; how many changes were followed."""
    done, left = 0, True
    while left:  # what is new is not kept waiting by a pack that concerns everybody
        left = await due.follow_pack(database, clock())
        while taken := await due.follow(database, clock()):
            done += taken
            if taken < due.CHANGES:  # what is committed meanwhile wakes the next round
                break
    while await due.pass_days(database, clock()):
        pass
    return done


async def _due(database: Database, clock: Clock, site: Site) -> int:
    await drain(database, clock)
    async with database.single() as conn:
        await statistics.refresh(conn)
    return 0


async def _panel(database: Database, clock: Clock, site: Site) -> int:
    await panel.count(database, clock())
    return 0  # a transaction that stays open makes the next round count again, not this one


async def _medications(database: Database, clock: Clock, site: Site) -> int:
    await medications.drain(database, clock())
    return 0


LANES: dict[str, Lane] = {
    "due": _due,
    "medications": _medications,
    "bulk": bulk.drain,
    "subscriptions": subscriptions.lane,
    "reindex": reindex.drain,
    "outreach": outreach.drain,
    "accounts": accounts.drain,
    "developers": developers.drain,
    "previews": rule_previews.lane,
    "sealing": sealing.drain,
    "inbox": inbox.drain,
    "panel": _panel,
}
"""Lane by name. A lane does a bounded piece of what is waiting and says how much it did; 0 sleeps until woken."""
PACE = {
    "due": 1.0, "medications": 1.0, "bulk": 0.5, "subscriptions": 0.1, "reindex": 1.0, "outreach": 1.0, "accounts": 1.0, "sealing": 0.5,
    "inbox": 0.5, "previews": 0.5, "panel": 60.0, "developers": 600.0,
}  # fmt: skip
"""Seconds from the beginning of one round of a lane to that of the next it is woken for."""
POLL = {"sealing": 0.5}
"""Seconds after which a lane looks for itself; POLL_SECONDS for those not named. Reads wake nobody, and are sealed too."""


async def run(database: Database, *, clock: Clock, site: Site) -> None:
    """Work until cancelled; a database that goes away is waited for, and a bug in one round does not end the next."""
    bells = {name: asyncio.Event() for name in LANES}
    async with asyncio.TaskGroup() as group:
        group.create_task(_listen(database, list(bells.values())))
        for name, lane in LANES.items():
            group.create_task(_keep(name, lane, database, clock, site, bells[name]))


async def _keep(
    name: str, lane: Lane, database: Database, clock: Clock, site: Site, woken: asyncio.Event
) -> None:
    loop = asyncio.get_running_loop()
    while True:
        begun = loop.time()
        try:
            while await lane(database, clock, site):
                pass
        except Busy:
            await asyncio.sleep(RETRY_SECONDS)
            continue
        except Exception as error:
            log.error("worker round failed", lane=name, kind=type(error).__name__)
            await asyncio.sleep(POLL_SECONDS)
        await _wait(woken, POLL.get(name, POLL_SECONDS))
        await asyncio.sleep(begun + PACE[name] - loop.time())
        woken.clear()


async def _wait(woken: asyncio.Event, seconds: float) -> None:
    try:
        async with asyncio.timeout(seconds):
            await woken.wait()
    except TimeoutError:
        return


async def _listen(database: Database, bells: list[asyncio.Event]) -> None:
    while True:
        try:
            async with database.dedicated() as conn:
                await conn.execute(f"LISTEN {CHANNEL}")
                async for _ in conn.notifies():
                    for bell in bells:
                        bell.set()
        except Busy:
            await asyncio.sleep(RETRY_SECONDS)
