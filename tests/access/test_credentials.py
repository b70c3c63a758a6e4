"""What one process takes back, the others forget at once."""

from __future__ import annotations

import asyncio
from datetime import timedelta

import pytest

from commonchart.access import credentials, users
from commonchart.fhir.outcome import Unauthenticated
from commonchart.record.database import Database
from tests.conftest import Clock


async def _used_until_it_ends(database: Database, token: str, clock: Clock) -> None:
    while True:
        await credentials.actor_of(database, token, clock())
        await asyncio.sleep(0.005)


async def test_another_process_that_takes_a_token_back_is_heard(database: Database, clock: Clock) -> None:
    ada = await users.create(database, tenant=1, login="ada", name="Ada", role="nurse", org="o", now=clock())
    token = await credentials.issue(
        database, ada.id, clock(), kind="token", client="t", lives=timedelta(days=1)
    )
    listening = asyncio.create_task(credentials.hear(database))
    listens = "SELECT count(*) FROM pg_stat_activity WHERE datname = current_database() AND query = 'LISTEN credential' AND state = 'idle'"  # fmt: skip
    async with asyncio.timeout(20):
        async with database.single() as conn:
            while (await conn.fetch(listens)) != [(1,)]:
                await asyncio.sleep(0.01)
        assert (await credentials.actor_of(database, token, clock())).user == ada.id
        async with database.connection() as conn:  # as another process: nothing is forgotten here by itself
            await credentials.end_all(conn, ada.id, clock())
        began = asyncio.get_running_loop().time()
        with pytest.raises(Unauthenticated):
            await _used_until_it_ends(database, token, clock)
        assert asyncio.get_running_loop().time() - began < credentials.CACHE_SECONDS - 1
    listening.cancel()
    with pytest.raises(asyncio.CancelledError):
        await listening
