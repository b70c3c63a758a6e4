"""The whole application over a real database, with a token of an administrator."""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Callable
from datetime import timedelta
from pathlib import Path
from typing import Any

import httpx
import pytest
from starlette.applications import Starlette

from commonchart import app as wiring
from commonchart.access import credentials, users
from commonchart.record.database import Database
from commonchart.settings import Settings
from tests.conftest import Clock

Client = httpx.AsyncClient
ClientOf = Callable[..., Awaitable[Client]]


@pytest.fixture
def application(database: Database, clock: Clock, tmp_path: Path) -> Starlette:
    return wiring.build(Settings(tmp_path, secret=b"s" * 32), database, clock)


@pytest.fixture
async def client_of(application: Starlette, database: Database, clock: Clock) -> AsyncIterator[ClientOf]:
    """A client of a role: `await client_of("clinician")`, `await client_of("patient", patient="ada")`."""
    made: list[Client] = []

    async def make(role: str, patient: str | None = None) -> Client:
        login = f"{role}-{len(made)}"
        user = await users.create(
            database, tenant=1, login=login, name=role, role=role, org="alder", now=clock(), patient=patient
        )
        token = await credentials.issue(
            database, user.id, clock(), kind="token", client="test", lives=timedelta(days=1)
        )
        client = Client(
            transport=httpx.ASGITransport(application),
            base_url="http://test",
            headers={"authorization": f"Bearer {token}"},
        )
        made.append(client)
        return client

    yield make
    for client in made:
        await client.aclose()


@pytest.fixture
async def client(client_of: ClientOf) -> Client:
    return await client_of("administrator")


def patient(**more: Any) -> dict[str, Any]:
    return {
        "resourceType": "Patient",
        "name": [{"family": "Ångström", "given": ["Zoë"]}],
        "birthDate": "1980-02-03",
    } | more


def observation(subject: str, **more: Any) -> dict[str, Any]:
    code = {"coding": [{"system": "http://loinc.org", "code": "4548-4"}]}
    return {
        "resourceType": "Observation",
        "status": "final",
        "code": code,
        "subject": {"reference": f"Patient/{subject}"},
    } | more
