"""The trail as FHIR: valid AuditEvents, searched by who is asked about, and never written."""

from __future__ import annotations

from typing import Any

import pytest

from commonchart.fhir import json
from commonchart.fhir.validate import validate
from tests.rest.conftest import Client, ClientOf, patient


@pytest.fixture
async def filled(client: Client) -> Client:
    await client.put("/fhir/Patient/ada", json=patient(id="ada"))
    await client.put("/fhir/Patient/bo", json=patient(id="bo"))
    await client.get("/fhir/Patient?_id=ada&name=x")
    return client


async def found(client: Client, query: str) -> list[dict[str, Any]]:
    answer = await client.get(f"/fhir/AuditEvent?{query}")
    assert answer.status_code == 200, answer.text
    return [entry["resource"] for entry in answer.json().get("entry", [])]


async def test_events_of_a_patient(filled: Client) -> None:
    events = await found(filled, "patient=Patient/ada")
    assert [event["action"] for event in events] == ["C"]
    assert events[0]["entity"][0]["what"] == {"reference": "Patient/ada"}
    assert events[0]["agent"][0]["name"] == "administrator"
    one = await filled.get(f"/fhir/AuditEvent/{events[0]['id']}")
    assert one.json() == events[0]
    assert [event["id"] for event in await found(filled, f"_id={events[0]['id']}")] == [events[0]["id"]]


async def test_an_outcome_is_that_outcome_and_a_patient_is_named_in_any_way(filled: Client) -> None:
    await filled.get("/fhir/Patient/nobody")
    for asked, told in (("0", {"0"}), ("4", {"4"}), ("8", set()), ("0,4", {"0", "4"})):
        assert {event["outcome"] for event in await found(filled, f"outcome={asked}")} == told, asked
    for name in ("ada", "Patient/ada", "http://test/fhir/Patient/ada"):
        for parameter in ("patient", "entity"):
            assert [event["action"] for event in await found(filled, f"{parameter}={name}")][-1] == "C"


async def test_they_are_valid(filled: Client) -> None:
    events = await found(filled, "_count=50")
    assert len(events) >= 3
    for event in events:
        validate(json.decode(json.encode(event)))  # raises Invalid


async def test_pages_and_days(filled: Client) -> None:
    first = (await filled.get("/fhir/AuditEvent?_count=1")).json()
    following = next(link["url"] for link in first["link"] if link["relation"] == "next")
    second = (await filled.get(following)).json()
    assert second.get("entry"), (following, second)
    assert int(second["entry"][0]["resource"]["id"]) < int(first["entry"][0]["resource"]["id"])
    assert await found(filled, "date=ge2030-01-01") == []
    assert await found(filled, "date=lt2020") == []
    assert len(await found(filled, "date=2026-11-18")) >= 3


@pytest.mark.parametrize(
    ("query", "at"),
    [
        ("code=x", "code"),
        ("date=soon", "date"),
        ("_count=many", "_count"),
        ("kind=odd", "kind"),
        ("outcome=9", "outcome"),
        ("patient=ada&patient=bo", "patient"),
        ("patient=ada&entity=Patient/bo", "entity"),
        ("entity=Observation/o1", "entity"),
        ("patient=http://elsewhere.example/fhir/Patient/ada", "patient"),
        ("patient=ada,bo", "patient"),
    ],
)
async def test_what_cannot_be_asked_names_the_parameter(client: Client, query: str, at: str) -> None:
    answer = await client.get(f"/fhir/AuditEvent?{query}")
    assert answer.status_code in (400, 422, 501)
    assert answer.json()["issue"][0]["expression"] == [at]


async def test_nobody_writes_it(filled: Client) -> None:
    event = (await found(filled, "_count=1"))[0]
    for method, path in (
        ("POST", "/fhir/AuditEvent"),
        ("PUT", f"/fhir/AuditEvent/{event['id']}"),
        ("PATCH", f"/fhir/AuditEvent/{event['id']}"),
        ("DELETE", f"/fhir/AuditEvent/{event['id']}"),
        ("DELETE", "/fhir/AuditEvent?patient=ada"),
    ):
        answer = await filled.request(method, path, json=event)
        assert answer.status_code in (403, 404, 405), (method, answer.text)
    bundle = {
        "resourceType": "Bundle",
        "type": "transaction",
        "entry": [{"resource": event, "request": {"method": "PUT", "url": f"AuditEvent/{event['id']}"}}],
    }
    assert (await filled.post("/fhir", json=bundle)).status_code in (403, 404, 405, 422)
    assert (await found(filled, f"_id={event['id']}"))[0] == event


@pytest.mark.parametrize("role", ["clinician", "front-desk", "patient"])
async def test_others_read_none(filled: Client, client_of: ClientOf, role: str) -> None:
    other = await client_of(role, patient="ada" if role == "patient" else None)
    for path in ("AuditEvent?patient=ada", "AuditEvent/1", "AuditEvent"):
        assert (await other.get(f"/fhir/{path}")).status_code == 403
