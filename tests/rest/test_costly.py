"""Searches that would cost too much (hostile list, E9): refused, or bounded in statements and time, and nobody else waits."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import httpx
import pytest

from commonchart import app as wiring
from commonchart.access.records import Records
from commonchart.record.connection import Connection
from commonchart.record.database import Database
from commonchart.search import include, query
from commonchart.settings import Settings
from tests.conftest import Clock
from tests.rest.conftest import Client, ClientOf, observation, patient

PLACES = 3


def hops(count: int) -> str:
    return "Organization?" + "partof." * count + "name=x"


REFUSED = {
    "a chain of 12 steps": hops(12),
    "a chain of 4 steps": hops(4),
    "_has in _has in _has in _has": "Patient?" + "_has:Observation:patient:patient._has:Observation:patient:patient._has:Observation:patient:code=x",
    "a chain through every type": "Provenance?target.subject.name=x&target.patient.name=x&target.subject.identifier=x&target.patient.identifier=x&target.subject._id=1",
    "_revinclude=*": "Patient?_revinclude=*",
    "21 includes": "Observation?" + "&".join(["_include=Observation:subject"] * 21),
    "20 keys to sort by": "Patient?_sort=" + ",".join(["name", "-birthdate"] * 10),
    "1,000 alternatives": "Patient?name=" + ",".join(str(n) for n in range(1000)),
    "51 parameters": "Patient?" + "&".join(["name=x"] * 51),
    "a value of 30,000 letters": "Patient?name=" + "x" * 30_000,
    "near the whole world": "Location?near=0|0|40000|km",
}  # fmt: skip


@pytest.mark.parametrize("address", REFUSED.values(), ids=REFUSED)
async def test_what_would_cost_too_much_is_refused_before_the_database_is_asked(
    client: Client, address: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def asked(*_: Any) -> None:
        raise AssertionError("the database was asked")

    monkeypatch.setattr(Records, "search", asked)
    answer = await client.get(f"/fhir/{address}")
    assert answer.status_code in (400, 403), answer.text
    assert answer.json()["issue"][0]["code"] in ("too-costly", "not-supported")


@pytest.fixture
async def statements(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """Every statement from now on."""
    seen: list[str] = []
    fetch = Connection.fetch

    async def counted(self: Connection, sql: str, *more: Any) -> Any:
        seen.append(sql)
        return await fetch(self, sql, *more)

    monkeypatch.setattr(Connection, "fetch", counted)
    return seen


async def put(client: Client, *resources: dict[str, Any]) -> None:
    for one in resources:
        answer = await client.put(f"/fhir/{one['resourceType']}/{one['id']}", json=one)
        assert answer.status_code == 201, answer.text


async def test_a_chain_at_its_limit_asks_once_for_each_path(client: Client, statements: list[str]) -> None:
    await put(client, patient(id="ada"), observation("ada", id="o"))
    statements.clear()
    found = await client.get(
        "/fhir/Provenance?target:Observation.patient:Patient.general-practitioner.name=x"
    )
    assert found.status_code == 200
    assert 3 <= len(statements) <= query.MAX_PATHS + 1


async def test_includes_in_a_circle_end_and_ask_a_bounded_number_of_times(
    client: Client, statements: list[str]
) -> None:
    ring = [observation("ada", id=f"o{n}") for n in range(4)]
    await put(client, patient(id="ada"), *ring)
    for n, one in enumerate(ring):
        closed = one | {"hasMember": [{"reference": f"Observation/o{(n + 1) % 4}"}]}
        assert (await client.put(f"/fhir/Observation/o{n}", json=closed)).status_code == 200
    statements.clear()
    both = "_include:iterate=Observation:has-member&_revinclude:iterate=Observation:has-member"
    found = await client.get(f"/fhir/Observation?_id=o0&{both}")
    assert sorted(e["resource"]["id"] for e in found.json()["entry"]) == ["o0", "o1", "o2", "o3"]
    assert len(statements) <= 1 + include.MAX_ROUNDS * 2


# ---- a search that the database is busy with for too long -------------------------------------------------------


@pytest.fixture
async def hasty(
    database_url: str, client: Client, clock: Clock, tmp_path: Path
) -> AsyncIterator[tuple[Client, Database]]:
    """The same server with few connections and one second for a statement, for the same client."""
    await put(client, patient(id="ada"), observation("ada", id="o"))
    few = await Database.open(database_url, size=PLACES, statement_seconds=1)
    application = wiring.build(Settings(tmp_path / "hasty", secret=b"s" * 32), few, clock)
    async with httpx.AsyncClient(
        transport=httpx.ASGITransport(application), base_url="http://test", headers=client.headers
    ) as other:
        yield other, few
    await few.close()


SLOW = "/fhir/Observation?_content=anything"


async def test_a_statement_that_takes_too_long_is_ended_and_others_do_not_wait_for_it(
    hasty: tuple[Client, Database], database: Database
) -> None:
    client, _ = hasty
    async with database.connection() as conn:
        # whoever reads the words of resources waits for this until the statement's time is up
        await conn.execute("LOCK TABLE text_row IN ACCESS EXCLUSIVE MODE")
        slow = [asyncio.create_task(client.get(SLOW)) for _ in range(PLACES - 1)]
        await asyncio.sleep(0.1)
        for address in ("Patient/ada", "Observation?patient=ada", "Patient?name=zoe"):
            assert (await client.get(f"/fhir/{address}")).status_code == 200
        assert not any(task.done() for task in slow)
        for answer in await asyncio.gather(*slow):
            assert (answer.status_code, answer.json()["issue"][0]["code"]) == (403, "too-costly")
    assert (await client.get(SLOW)).status_code == 200


async def test_more_costly_searches_than_places_leave_every_place_usable(
    hasty: tuple[Client, Database], database: Database, client_of: ClientOf
) -> None:
    client, few = hasty
    async with database.connection() as conn:
        await conn.execute("LOCK TABLE text_row IN ACCESS EXCLUSIVE MODE")
        answers = await asyncio.gather(*(client.get(SLOW) for _ in range(PLACES * 2)))
    assert {answer.status_code for answer in answers} <= {403, 503}
    again = await asyncio.gather(*(client.get("/fhir/Patient/ada") for _ in range(PLACES * 2)))
    assert {answer.status_code for answer in again} == {200}
    async with few.single() as one:
        assert await one.fetch("SHOW statement_timeout", ()) == [("1s",)]
