"""The worker: wakes when something was committed, and every few seconds anyway. NOTIFY only wakes; polling guarantees."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from datetime import datetime
from typing import TYPE_CHECKING

import structlog

from commonchart.fhir.outcome import Busy
from commonchart.jobs import due
from commonchart.record.changes import CHANNEL

if TYPE_CHECKING:
    from commonchart.record.database import Database

log = structlog.get_logger("commonchart.worker")

POLL_SECONDS = 2.0
RETRY_SECONDS = 1.0


async def run(database: Database, *, clock: Callable[[], datetime]) -> None:
    """Work until cancelled; a database that goes away is waited for, and a bug in one round does not end the next."""
    woken = asyncio.Event()
    listening = asyncio.ensure_future(_listen(database, woken))
    try:
        while True:
            try:
                await drain(database, clock)
            except Busy:
                await asyncio.sleep(RETRY_SECONDS)
                continue
            except Exception as error:
                log.error("worker round failed", kind=type(error).__name__)
                await asyncio.sleep(POLL_SECONDS)
            await _wait(woken)
    finally:
        listening.cancel()


async def drain(database: Database, clock: Callable[[], datetime]) -> int:
    """Do everything that is waiting now; how many changes were followed."""
    done = 0
    await due.follow_pack(database, clock())
    while taken := await due.follow(database, clock()):
        done += taken
    while await due.pass_days(database, clock()):
        pass
    return done


async def _wait(woken: asyncio.Event) -> None:
    try:
        async with asyncio.timeout(POLL_SECONDS):
            await woken.wait()
    except TimeoutError:
        return
    finally:
        woken.clear()


async def _listen(database: Database, woken: asyncio.Event) -> None:
    while True:
        try:
            async with database.dedicated() as conn:
                await conn.execute(f"LISTEN {CHANNEL}")
                async for _ in conn.notifies():
                    woken.set()
        except Busy:
            await asyncio.sleep(RETRY_SECONDS)
