"""A lane answers a ring at once, gathers many, and loses none."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from datetime import datetime
from itertools import pairwise
from pathlib import Path
from typing import Any, cast

import pytest

from commonchart.jobs import worker
from commonchart.record.database import Database
from tests.conftest import Clock

SITE = worker.Site(Path())


async def kept(
    monkeypatch: pytest.MonkeyPatch,
    clock: Clock,
    pace: float,
    ring: Callable[[asyncio.Event], Any],
    seconds: float,
) -> list[float]:
    """When the rounds of a lane began, by the loop's clock, while `ring` did as it likes."""
    loop = asyncio.get_running_loop()
    begun: list[float] = []

    async def lane(database: Database, now: Callable[[], datetime], site: worker.Site) -> int:
        begun.append(loop.time())
        return 0

    monkeypatch.setitem(worker.PACE, "due", pace)
    bell = asyncio.Event()
    task = asyncio.create_task(worker._keep("due", lane, cast(Any, None), clock, SITE, bell))
    try:
        await ring(bell)
        await asyncio.sleep(seconds)
    finally:
        task.cancel()
    return begun


async def test_a_single_ring_is_answered_at_once(monkeypatch: pytest.MonkeyPatch, clock: Clock) -> None:
    monkeypatch.setattr(worker, "POLL_SECONDS", 30.0)

    rung = 0.0

    async def ring(bell: asyncio.Event) -> None:
        nonlocal rung
        await asyncio.sleep(0.3)
        bell.set()
        rung = asyncio.get_running_loop().time()

    found = await kept(monkeypatch, clock, 0.1, ring, 1.0)
    assert len(found) == 2
    assert found[1] < rung + 0.5


async def test_many_rings_are_gathered_and_the_last_is_heard(
    monkeypatch: pytest.MonkeyPatch, clock: Clock
) -> None:
    monkeypatch.setattr(worker, "POLL_SECONDS", 30.0)
    last = 0.0

    async def ring(bell: asyncio.Event) -> None:
        nonlocal last
        for _ in range(60):
            bell.set()
            last = asyncio.get_running_loop().time()
            await asyncio.sleep(0.01)

    found = await kept(monkeypatch, clock, 0.25, ring, 0.6)
    assert all(after - before >= 0.24 for before, after in pairwise(found))
    assert len(found) >= 3
    assert found[-1] + 0.05 > last
    assert set(worker.PACE) == set(worker.LANES)
    assert worker.PACE["due"] + 0.5 < 2
