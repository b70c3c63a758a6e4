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


async def test_another_process_that_takes_a_token_back_is_heard(
    database: Database, clock: Clock, monkeypatch: pytest.MonkeyPatch
) -> None:
    ada = await users.create(database, tenant=1, login="ada", name="Ada", role="nurse", org="o", now=clock())
    token = await credentials.issue(
        database, ada.id, clock(), kind="token", client="t", lives=timedelta(days=1)
    )
    listens, forget = asyncio.Event(), credentials.forget
    monkeypatch.setattr(credentials, "forget", lambda: (listens.set(), forget()))
    listening = asyncio.create_task(credentials.hear(database))
    async with asyncio.timeout(20):
        await listens.wait()
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


@pytest.mark.parametrize(
    ("role", "purpose"), [("nurse", "TREAT"), ("billing", "HPAYMT"), ("quality", "HOPERAT")]
)
async def test_what_a_role_looks_for_is_said_of_every_act(
    database: Database, clock: Clock, role: str, purpose: str
) -> None:
    """Consents are decided by it, and the patient reads it."""
    ada = await users.create(database, tenant=1, login="ada", name="Ada", role=role, org="o", now=clock())
    token = await credentials.issue(
        database, ada.id, clock(), kind="token", client="t", lives=timedelta(days=1)
    )
    assert (await credentials.actor_of(database, token, clock())).purpose == purpose
