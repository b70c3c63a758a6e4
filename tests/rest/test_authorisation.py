"""Every type and interaction of the CapabilityStatement, tried by those who may not: no canary, and no sign of a hidden id."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import httpx
import pytest
from msgspec.structs import replace
from starlette.applications import Starlette

from commonchart.access import credentials, policy, users
from commonchart.access import records as doors
from commonchart.record import site, store
from commonchart.record.database import Database
from commonchart.record.rows import Stamp, Write
from commonchart.search.index import extract
from tests.conftest import Clock
from tests.rest.conftest import Client

CANARY = "canary-5f2b"
HIDDEN, UNKNOWN = "hidden-id", "unknown-id"


@pytest.fixture
async def world(
    database: Database, clock: Clock, application: Starlette, monkeypatch: pytest.MonkeyPatch
) -> list[str]:
    """One resource of every type about Ada, kept by Alder in a network, with a canary; the types."""
    monkeypatch.setattr(doors, "BEAT_SECONDS", 1e-6)
    async with httpx.AsyncClient(
        transport=httpx.ASGITransport(application), base_url="http://test"
    ) as anybody:
        said = (await anybody.get("/fhir/metadata")).json()
    types = [one["type"] for one in said["rest"][0]["resource"]]
    async with database.connection() as conn:
        await site.put(conn, 1, site.MODE, "network")
        await store.write(conn, Stamp(1, "alder", "load", clock()), [_write("Patient", "ada")])
        await store.write(
            conn,
            Stamp(1, "alder", "load", clock()),
            [_write(rtype, HIDDEN) for rtype in types if rtype != "Patient"],
        )
    return types


def _write(rtype: str, id: str) -> Write:
    """Past validation: a shape that every type can have."""
    body = {"resourceType": rtype, "id": id, "meta": {"tag": [{"code": CANARY}]}, "language": CANARY}
    return Write(rtype, id, body, replace(extract(rtype, body), patient="ada"))


async def client_of(
    application: Starlette, database: Database, clock: Clock, role: str, org: str, patient: str | None = None
) -> Client:
    """`org` "birch+alder": somebody who works for both, and acts for the first of them."""
    org, _, also = org.partition("+")
    user = await users.create(
        database, tenant=1, login=f"{role}-{org}", name=role, role=role, org=org, now=clock(), patient=patient
    )
    if also:
        async with database.single() as conn:
            await conn.execute(
                "INSERT INTO membership (id, tenant, actor, org, role, asked, since, used) VALUES ('also', 1, %s, %s, %s, %s, %s, %s)",
                (user.id, also, role, clock(), clock(), clock()),
            )
    token = await credentials.issue(
        database, user.id, clock(), kind="token", client="test", lives=timedelta(days=1), org=org
    )
    return Client(
        transport=httpx.ASGITransport(application),
        base_url="http://test",
        headers={"authorization": f"Bearer {token}"},
    )


def requests(rtype: str, id: str) -> list[tuple[str, str, Any]]:
    """Every interaction on one id."""
    body = {"resourceType": rtype, "id": id, "language": "en"}
    return [
        ("GET", f"/fhir/{rtype}/{id}", None),
        ("GET", f"/fhir/{rtype}/{id}/_history/1", None),
        ("GET", f"/fhir/{rtype}/{id}/_history", None),
        ("PUT", f"/fhir/{rtype}/{id}", body),
        ("PATCH", f"/fhir/{rtype}/{id}", [{"op": "add", "path": "/language", "value": "en"}]),
        ("DELETE", f"/fhir/{rtype}/{id}", None),
    ]


async def ask(client: Client, method: str, path: str, body: Any) -> httpx.Response:
    kind = "application/json-patch+json" if method == "PATCH" else "application/fhir+json"
    return await client.request(
        method, path, json=body, headers={"content-type": kind} if body is not None else {}
    )


def told(answer: httpx.Response, id: str) -> tuple[int, str, dict[str, str]]:
    """What an answer gives away, the asked id aside."""
    headers = {
        name: value
        for name, value in answer.headers.items()
        if name not in ("date", "x-request-id", "content-length")
    }
    return answer.status_code, answer.text.replace(id, "ID"), headers


@pytest.mark.parametrize(
    ("role", "org", "patient"),
    [
        ("clinician", "birch", None), ("patient", "birch", "bob"), ("quality", "birch", None), ("administrator", "birch", None),
        ("clinician", "birch+alder", None),
    ],
)  # fmt: skip
async def test_a_hidden_id_answers_like_an_unknown_one_in_every_interaction(
    world: list[str],
    application: Starlette,
    database: Database,
    clock: Clock,
    role: str,
    org: str,
    patient: str | None,
) -> None:
    client = await client_of(application, database, clock, role, org, patient)
    wrong = []
    for rtype in world:
        hidden_id = "ada" if rtype == "Patient" else HIDDEN
        for hidden, unknown in zip(requests(rtype, hidden_id), requests(rtype, UNKNOWN), strict=True):
            first, second = await ask(client, *hidden), await ask(client, *unknown)
            if told(first, hidden_id) != told(second, UNKNOWN) or CANARY in first.text:
                wrong.append((hidden[:2], first.status_code, second.status_code))
    await client.aclose()
    assert wrong == []


@pytest.mark.parametrize(
    ("role", "org", "patient"),
    [("clinician", "birch", None), ("patient", "birch", "bob"), ("clinician", "birch+alder", None)],
)
async def test_no_list_of_any_type_shows_a_hidden_resource(
    world: list[str],
    application: Starlette,
    database: Database,
    clock: Clock,
    role: str,
    org: str,
    patient: str | None,
) -> None:
    client = await client_of(application, database, clock, role, org, patient)
    wrong = []
    for rtype in world:
        for path in (
            f"/fhir/{rtype}",
            f"/fhir/{rtype}?_id={HIDDEN}",
            f"/fhir/{rtype}?_tag={CANARY}&_summary=count",
            f"/fhir/{rtype}/_history",
        ):
            answer = await client.get(path)
            shown = answer.json()
            total = shown.get("total", 0) if answer.status_code == 200 else 0
            entries = [
                one for one in shown.get("entry", ()) if one.get("resource", {}).get("resourceType") == rtype
            ]
            if CANARY in answer.text.replace(f"_tag={CANARY}", "") or total or entries:
                wrong.append((path, answer.status_code, total))
    await client.aclose()
    assert wrong == []


@pytest.mark.parametrize("org", ["alder", "alder+birch"])
async def test_the_same_is_seen_by_who_keeps_it(
    world: list[str], application: Starlette, database: Database, clock: Clock, org: str
) -> None:
    """The canaries can be met: what finds none is not blind. Whoever also works for Birch meets them acting for Alder."""
    client = await client_of(application, database, clock, "clinician", org)
    met = [
        rtype
        for rtype in world
        if CANARY in (await client.get(f"/fhir/{rtype}?_tag={CANARY}")).text.replace(f"_tag={CANARY}", "")
    ]
    await client.aclose()
    assert met == [
        rtype for rtype in world if rtype != "AuditEvent"
    ]  # the trail itself, which is read elsewhere
    assert set(world) >= policy.DIRECTORY
