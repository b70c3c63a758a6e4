"""A tenant is a hard wall: nothing that a request says chooses it, and a shared pool mixes nobody up (hostile list C1, C3)."""

from __future__ import annotations

import asyncio
from typing import Any

import httpx
import pytest
from starlette.applications import Starlette

from commonchart.record.database import Database
from tests.conftest import Clock
from tests.hostile.conftest import program_of
from tests.hostile.test_search_sees_nothing_more import put
from tests.rest.conftest import application, patient
from tests.web.conftest import Client

__all__ = ["application"]

CANARIES = {1: "Kanari-eins", 2: "Kanari-zwei"}


@pytest.fixture
async def two(application: Starlette, database: Database, clock: Clock) -> Any:
    """One program in each of two tenants, each with a patient of the same id."""
    made: dict[int, Client] = {}
    for tenant, canary in CANARIES.items():
        made[tenant] = await program_of(
            application, database, clock, f"app-{tenant}", tenant=tenant, role="administrator", org="alder"
        )
        await put(made[tenant], patient(id="same", name=[{"family": canary}]))
    yield made
    for client in made.values():
        await client.aclose()


async def test_nothing_that_a_request_says_chooses_the_tenant(two: dict[int, Client]) -> None:
    said = {
        "x-tenant": "2", "x-tenant-id": "2", "tenant": "2", "host": "two.example", "x-forwarded-host": "two.example", "x-organization": "2",
    }  # fmt: skip
    for path in (
        "Patient/same", "Patient?tenant=2", "Patient?_tenant=2", "Patient?_tag=tenant|2", "Patient/same?tenant=2", "Patient/same/_history",
        "2/Patient/same", "tenant/2/Patient/same", "_history", "Patient/same/$everything", "$graphql?query={Patient(id:%22same%22){name{family}}}",
    ):  # fmt: skip
        answer = await two[1].get(f"/fhir/{path}", headers=said)
        assert CANARIES[2] not in answer.text, path
        assert answer.status_code < 500, path
    body = patient(id="same", name=[{"family": "Changed"}], meta={"tag": [{"system": "tenant", "code": "2"}]})
    assert (await two[1].put("/fhir/Patient/same?tenant=2", json=body, headers=said)).status_code == 200
    assert CANARIES[2] in (await two[2].get("/fhir/Patient/same")).text


async def test_a_shared_pool_mixes_nobody_up(two: dict[int, Client]) -> None:
    """Many at once, in both tenants, with refusals, bad input and requests that are given up in between."""

    async def ask(n: int) -> str:
        mine, other = (1, 2) if n % 2 else (2, 1)
        path = (
            "Patient/same",
            "Patient?name=Kanari",
            "Patient/nobody",
            "Patient?birthdate=x",
            "_history",
            "Patient/same/$everything",
        )[n % 6]
        try:
            answer = await asyncio.wait_for(two[mine].get(f"/fhir/{path}"), 0.004 if n % 7 == 0 else 60)
        except (TimeoutError, httpx.HTTPError):
            return "given up"
        assert answer.status_code < 500 or answer.status_code == 503, (path, answer.status_code)
        assert CANARIES[other] not in answer.text, path
        return "seen" if CANARIES[mine] in answer.text else "nothing"

    said = await asyncio.gather(*(ask(n) for n in range(200)))
    assert said.count("seen") > 50
    assert CANARIES[1] in (await two[1].get("/fhir/Patient/same")).text
    assert CANARIES[2] in (await two[2].get("/fhir/Patient/same")).text
