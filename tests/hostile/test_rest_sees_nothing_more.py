"""Section A of the hostile list, the part about reading and writing, and E3: no door shows or changes what is another's."""

from __future__ import annotations

import gzip
import time
from typing import Any

import pytest
from starlette.applications import Starlette

from commonchart.fhir import json
from tests.hostile.test_search_sees_nothing_more import CANARY, people, put
from tests.rest.conftest import Client, ClientOf, application, client, client_of, observation, patient

__all__ = ["application", "client", "client_of", "people"]

LABEL = {"system": "http://terminology.hl7.org/CodeSystem/v3-Confidentiality", "code": "R"}


@pytest.mark.usefixtures("people")
async def test_each_version_is_judged_by_its_own_patient(client: Client, client_of: ClientOf) -> None:
    """A19: a result that was filed in Bea's chart by mistake and moved to Ada's."""
    await put(client, observation("bea", id="m", note=[{"text": CANARY}]), observation("ada", id="m"))
    ada, bea = await client_of("patient", patient="ada"), await client_of("patient", patient="bea")
    assert (await ada.get("/fhir/Observation/m")).status_code == 200
    assert (await bea.get("/fhir/Observation/m")).status_code == 404
    assert (await ada.get("/fhir/Observation/m/_history/1")).status_code == 404
    unknown = await ada.get("/fhir/Observation/m/_history/9")
    assert unknown.json() == (await ada.get("/fhir/Observation/m/_history/1")).json()
    for address in ("Observation/m/_history", "Observation/_history", "_history"):
        text = (await ada.get(f"/fhir/{address}")).text
        assert CANARY not in text
        assert "Patient/bea" not in text
    assert (await bea.get("/fhir/Observation/m/_history/1")).status_code == 200


CONDITIONS = [
    ("POST", "Patient", {"if-none-exist": "identifier={}"}),
    ("PUT", "Patient?identifier={}", {}),
    ("DELETE", "Patient?identifier={}", {}),
    ("PATCH", "Patient?identifier={}", {}),
]


async def test_a_condition_is_no_oracle(client: Client, client_of: ClientOf) -> None:
    """A21: whether somebody else has this record number cannot be told by writing."""
    await put(client, patient(id="ada"), patient(id="bea", identifier=[{"system": "urn:mrn", "value": "B"}]))
    asker = await client_of("patient", patient="ada")
    for method, address, headers in CONDITIONS:
        answers = []
        for number in ("urn:mrn|B", "urn:mrn|nobody"):
            said = {name: value.format(number) for name, value in headers.items()}
            kinds = {"PATCH": [{"op": "remove", "path": "/name"}]}
            sent = {"content-type": "application/json-patch+json"} if method == "PATCH" else {}
            body = json.encode(kinds.get(method, patient()))
            answers.append(
                await asker.request(
                    method,
                    f"/fhir/{address.format(number)}",
                    content=None if method == "DELETE" else body,
                    headers={"content-type": "application/fhir+json"} | sent | said,
                )
            )
        first, second = ((a.status_code, a.text, a.headers.get("etag")) for a in answers)
        assert first == second
        assert first[0] == 403
    assert (await client.get("/fhir/Patient/bea")).headers["etag"] == 'W/"1"'


def entry(method: str, url: str, **more: Any) -> dict[str, Any]:
    return {"request": {"method": method, "url": url}, **more}


@pytest.mark.usefixtures("people")
async def test_each_entry_of_a_bundle_is_allowed_alone(client: Client, client_of: ClientOf) -> None:
    """A23."""
    asker = await client_of("patient", patient="ada")

    async def sent(who: Client, kind: str, *entries: dict[str, Any]) -> Any:
        return await who.post("/fhir", json={"resourceType": "Bundle", "type": kind, "entry": list(entries)})

    batch = await sent(asker, "batch", entry("GET", "Patient/ada"), entry("GET", "Patient/bea"), entry("GET", "Patient/nobody"))  # fmt: skip
    statuses = [one["response"]["status"] for one in batch.json()["entry"]]
    assert statuses == ["200 OK", "404", "404"]
    assert batch.json()["entry"][1] == batch.json()["entry"][2]
    assert CANARY not in batch.text
    refused = await sent(asker, "transaction", entry("GET", "Patient/ada"), entry("GET", "Patient/bea"))
    assert refused.status_code == 404
    for url in (
        "http://evil.example/Patient/ada",
        "//evil.example/Patient",
        "../Patient/bea",
        "Patient/../Patient/bea",
        "Patient/%2e%2e/x",
        "",
    ):
        for kind in ("batch", "transaction"):
            answer = await sent(client, kind, entry("GET", url))
            status = (
                answer.json()["entry"][0]["response"]["status"]
                if kind == "batch"
                else str(answer.status_code)
            )
            assert status == "400", url
    nested = {"resourceType": "Bundle", "type": "batch", "entry": [entry("GET", "Patient/ada")]}
    for url in ("", "/", "Bundle/$x"):
        answer = await sent(client, "batch", entry("POST", url, resource=nested))
        assert answer.json()["entry"][0]["response"]["status"] in ("400", "404")
    desk = await client_of("front-desk")
    for query in ("Observation?code=4548-4", "Observation?code=nothing"):
        visit = {"resourceType": "Encounter", "status": "planned", "class": {"code": "AMB"}, "subject": {"reference": "Patient/ada"},
                 "reasonReference": [{"reference": query}]}  # fmt: skip
        answer = await sent(desk, "transaction", entry("POST", "Encounter", resource=visit))
        assert answer.status_code == 403
        assert "Your role does not allow search of Observation" in answer.text


async def test_labels_are_not_taken_away_by_leaving_them_out(client: Client, client_of: ClientOf) -> None:
    """A25, and server-owned fields of a create."""
    await put(client, patient(id="ada"), observation("ada", id="o", meta={"security": [LABEL]}))
    clinician = await client_of("clinician")
    for body in (observation("ada", id="o"), observation("ada", id="o", meta={"security": []})):
        body = {k: v for k, v in body.items() if v != {"security": []}}
        answer = await clinician.put("/fhir/Observation/o", json=body)
        assert answer.json()["meta"]["security"] == [LABEL]
    stored = await clinician.post("/fhir/Observation", json=observation("ada", id="chosen"))
    assert stored.json()["id"] != "chosen"


SPELLINGS = [
    "/fhir/Patient/bea", "/fhir/Patient/bea/", "/fhir//Patient/bea", "/fhir/Patient//bea", "/fhir/Patient/bea;jsessionid=1", "/fhir/patient/bea",
    "/fhir/PATIENT/bea", "/fhir/Patient/%62ea", "/fhir/Patient/%2562ea", "/fhir/Patient/ada/../bea", "/fhir/Patient/ada/%2e%2e/bea",
    "/fhir/Patient/ada/%252e%252e/bea", "/fhir/./Patient/bea", "/fhir/Patient/bea?_format=json", "/fhir/Patient/bea?_method=GET", "/fhir/Patient/bea%00",
    "/fhir/Patient/bea%20", "/fhir/Patient/\uff42ea", "/fhir/Patient/bea/_history/1", "/fhir/Patient/bea/_history/\u0661", "/fhir/Patient/bea/$everything",
    "/fhir/Patient/bea/$meta", "/fhir/Patient/bea/$validate", "/fhir/Patient/ada?_id=bea", "/fhir/Patient?_id=bea", "/fhir/Patient/bea/*", "/fhir/Patient/bea/$graphql?query={name{family}}",
]  # fmt: skip


@pytest.mark.usefixtures("people")
async def test_no_spelling_or_method_leads_past_the_decision(client_of: ClientOf) -> None:
    """A35."""
    asker = await client_of("patient", patient="ada")
    for address in SPELLINGS:
        for method in ("GET", "HEAD", "POST", "OPTIONS", "TRACE"):
            headers = {"x-http-method-override": "GET", "x-original-url": "/fhir/Patient/bea"}
            answer = await asker.request(method, address, headers=headers)
            assert answer.status_code < 500
            assert CANARY not in answer.text, (method, address)
            assert answer.headers.get("etag") != 'W/"1"' or "ada" in address, (method, address)
    override = await asker.post("/fhir/Patient/ada", headers={"x-http-method-override": "DELETE"})
    assert override.status_code == 405
    for accept in ("application/fhir+xml", "text/turtle", "application/xml", "text/html"):
        for id in ("bea", "nobody"):
            answer = await asker.get(f"/fhir/Patient/{id}", headers={"accept": accept})
            assert answer.status_code == 406


async def test_a_gzip_bomb_is_refused_soon(client: Client) -> None:
    """E3: 200 MB of blanks in 200 kB, and one bomb inside another."""
    bomb = gzip.compress(b" " * 200_000_000, 9)
    headers = {"content-type": "application/fhir+json", "content-encoding": "gzip"}
    for body, status in ((bomb, 413), (gzip.compress(bomb), 400), (bomb[: len(bomb) // 2], 413)):
        began = time.process_time()
        answer = await client.post("/fhir/Patient", content=body, headers=headers)
        assert answer.status_code == status
        assert time.process_time() - began < 1
    for encoding in ("deflate", "br", "zstd", "gzip, gzip", "identity, gzip"):
        answer = await client.post(
            "/fhir/Patient", content=bomb, headers=headers | {"content-encoding": encoding}
        )
        assert answer.status_code == 415


async def test_a_websocket_at_an_address_of_the_api_is_closed(application: Starlette) -> None:
    sent: list[Any] = []

    async def receive() -> Any:
        return {"type": "websocket.connect"}

    async def send(message: Any) -> None:
        sent.append(message)

    for path in ("/fhir", "/fhir/Patient", "/nowhere"):
        scope = {"type": "websocket", "path": path, "raw_path": path.encode(), "headers": [], "query_string": b"", "subprotocols": []}  # fmt: skip
        await application(scope, receive, send)
        assert sent.pop()["type"] == "websocket.close"
