"""A33: a scope holds on every door: read, vread, history, search, include, chain, everything, GraphQL, subscription, write, export."""

from __future__ import annotations

from base64 import b64encode
from typing import Any

import httpx
import pytest
from starlette.applications import Starlette

from commonchart.access import credentials, policy
from commonchart.access.exports import Part, bodies, readable_types
from commonchart.access.standing import standing
from commonchart.access.subscribed import seen, subscriber
from commonchart.exchange.subscriptions import topics
from commonchart.fhir import json
from commonchart.fhir.outcome import Forbidden
from commonchart.record.database import Database
from tests.conftest import Clock
from tests.hostile.test_search_sees_nothing_more import put
from tests.rest.conftest import Client, ClientOf, application, client_of, observation, patient
from tests.smart import a_backend, a_person, a_token, an_app, assertion, bearer, ec_key, signed

__all__ = ["application", "client_of"]

CANARY = "CANARY-7731"
CATEGORY = "http://terminology.hl7.org/CodeSystem/observation-category"
LAB = f"patient/Observation.rs?category={CATEGORY}|laboratory"


def coded(category: str) -> dict[str, Any]:
    return {"category": [{"coding": [{"system": CATEGORY, "code": category}]}]}


@pytest.fixture
async def client(application: Starlette, client_of: ClientOf) -> Client:
    """Anybody, over a record: a lab result and a vital sign of Ada, a lab result of Bea."""
    root = await client_of("administrator")
    encounter = {"resourceType": "Encounter", "id": "e1", "status": "finished", "class": {"code": "AMB"}, "subject": {"reference": "Patient/ada"}}  # fmt: skip
    secret = {
        "note": [{"text": CANARY}],
        "valueQuantity": {"value": 77.31},
        "encounter": {"reference": "Encounter/e1"},
    }
    await put(
        root, patient(id="ada"), patient(id="bea", address=[{"text": CANARY}]), encounter,
        observation("ada", id="lab", encounter={"reference": "Encounter/e1"}, **coded("laboratory")),
        observation("ada", id="vital", **secret, **coded("vital-signs")),
        observation("ada", id="turned", **secret, **coded("vital-signs")), observation("ada", id="turned", **coded("laboratory")),
        observation("bea", id="hers", **{**secret, **coded("laboratory")}),
        {"resourceType": "Condition", "id": "c1", "subject": {"reference": "Patient/ada"}, "code": {"text": CANARY}},
        {"resourceType": "Practitioner", "id": "sage", "name": [{"family": "Sage"}]},
    )  # fmt: skip
    return Client(transport=httpx.ASGITransport(application), base_url="http://test")


async def lab_token(client: Client, database: Database, clock: Clock, more: str = "") -> dict[str, str]:
    app, _ = await an_app(database, clock)
    who = await a_person(database, clock)
    scope = f"launch/patient {LAB} patient/Patient.rs patient/Encounter.rs {more}".strip()
    return bearer(await a_token(client, database, clock, app, who, scope, "ada"))


NOT_SEEN = [
    "Observation/vital", "Observation/vital/_history", "Observation/vital/_history/1", "Observation/turned/_history/1", "Observation/hers", "Patient/bea",
    "Observation/hers/_history",
]  # fmt: skip
OUT_OF_SCOPE = [
    "Condition/c1",
    "Condition",
    "Condition?patient=ada",
    "Condition/c1/_history",
    "Condition/_history",
    "MedicationRequest?patient=ada",
]
LOOKED_FOR = [
    "Observation", "Observation?patient=ada", "Observation?category=vital-signs", "Observation?_id=vital,lab,hers", "Observation/_history", "Observation/turned/_history",
    "_history", "Patient/ada/$everything", "Encounter?_revinclude=Observation:encounter", "Encounter?_revinclude=*", "Patient?_revinclude=Observation:subject", "Patient/ada/Observation",
    "Patient/ada/*", "Observation?subject:Patient.name=x", "Observation?_include=*", "Patient", "Patient/ada", "?_type=Observation,Patient", "Observation/$lastn?patient=ada",
    "Patient?_has:Observation:patient:value-quantity=77.31", "Patient?_has:Observation:patient:category=vital-signs", "Encounter?_has:Observation:encounter:value-quantity=77.31",
    "Observation?value-quantity=77.31", "Observation?encounter.subject=Patient/ada&category=vital-signs", "Observation?_summary=count&category=vital-signs",
    "$graphql?query={ObservationList{id,note{text},valueQuantity{value}}}", "Patient/ada/$graphql?query={id,ObservationList(_reference:subject){id,note{text}}}",
    "$graphql?query={Observation(id:\"vital\"){id,note{text}}}", "$graphql?query={PatientList(_id:\"bea\"){id,address{text}}}", "Observation/$meta", "Patient/ada/$immds-forecast",
]  # fmt: skip


async def test_a_granular_scope_holds_at_every_door(client: Client, database: Database, clock: Clock) -> None:
    mine = await lab_token(client, database, clock)
    assert (await client.get("/fhir/Observation/lab", headers=mine)).status_code == 200
    assert (await client.get("/fhir/Observation/turned/_history/2", headers=mine)).status_code == 200
    unknown = await client.get("/fhir/Observation/nothing", headers=mine)
    for path in NOT_SEEN:
        answer = await client.get(f"/fhir/{path}", headers=mine)
        assert answer.status_code == 404, path
        assert CANARY not in answer.text
    assert (await client.get("/fhir/Observation/vital", headers=mine)).text == unknown.text
    for path in OUT_OF_SCOPE:
        assert (await client.get(f"/fhir/{path}", headers=mine)).status_code == 403, path
    for path in LOOKED_FOR:
        answer = await client.get(f"/fhir/{path}", headers=mine)
        assert answer.status_code < 500
        assert CANARY not in answer.text, path
        assert '"vital"' not in answer.text, path
        shown = {name: value for name, value in answer.json().items() if name != "link"}
        assert "77.31" not in json.encode(shown).decode(), path
    found = (await client.get("/fhir/Observation?_total=accurate", headers=mine)).json()
    assert sorted(entry["resource"]["id"] for entry in found["entry"]) == ["lab", "turned"]
    assert found["total"] == 2
    assert [
        e["resource"]["id"] for e in (await client.get("/fhir/Patient", headers=mine)).json()["entry"]
    ] == ["ada"]
    whole = (await client.get("/fhir/Patient/ada/$everything", headers=mine)).json()
    assert {e["resource"]["id"] for e in whole["entry"]} == {"ada", "e1", "lab", "turned"}
    for value in ("77.31", "1"):
        bisected = await client.get(
            f"/fhir/Patient?_has:Observation:patient:value-quantity=gt{value}", headers=mine
        )
        assert bisected.json()["total"] == 0


async def test_included_resources_need_a_scope_of_their_own(
    client: Client, database: Database, clock: Clock
) -> None:
    """A9."""
    app, _ = await an_app(database, clock)
    token = await a_token(
        client, database, clock, app, await a_person(database, clock), f"launch/patient {LAB}", "ada"
    )
    answer = await client.get("/fhir/Observation?_include=Observation:subject&_include=Observation:encounter", headers=bearer(token))  # fmt: skip
    assert {entry["resource"]["resourceType"] for entry in answer.json()["entry"]} == {"Observation"}
    wider = await lab_token(client, database, clock)
    answer = await client.get("/fhir/Observation?_include=Observation:subject", headers=wider)
    assert {entry["resource"]["resourceType"] for entry in answer.json()["entry"]} == {
        "Observation",
        "Patient",
    }


async def test_letters_are_needed_one_by_one(client: Client, database: Database, clock: Clock) -> None:
    app, _ = await an_app(database, clock)
    who = await a_person(database, clock, practitioner="sage")
    reading = bearer(await a_token(client, database, clock, app, who, "patient/Observation.r", "ada"))
    searching = bearer(await a_token(client, database, clock, app, who, "patient/Observation.s", "ada"))
    one, many, past, all_past = (
        "Observation/lab",
        "Observation?patient=ada",
        "Observation/lab/_history",
        "Observation/_history",
    )
    for headers, allowed in ((reading, {one, past}), (searching, {many, all_past})):
        for path in (one, many, past, all_past):
            answer = await client.get(f"/fhir/{path}", headers=headers)
            assert answer.status_code == (200 if path in allowed else 403), path
    both = bearer(
        await a_token(
            client, database, clock, app, who, f"openid fhirUser {LAB} patient/Observation.r", "ada"
        )
    )
    assert (await client.get("/fhir/Observation/vital", headers=both)).status_code == 200
    assert "vital" not in (await client.get("/fhir/Observation", headers=both)).text
    assert (await client.get("/fhir/Practitioner/sage", headers=both)).status_code == 200
    assert (await client.get("/fhir/Practitioner", headers=both)).status_code == 403


async def test_writes_stay_within_the_scopes(client: Client, database: Database, clock: Clock) -> None:
    app, _ = await an_app(database, clock)
    who = await a_person(database, clock)
    reader = bearer(await a_token(client, database, clock, app, who, "patient/Observation.rs", "ada"))
    lab = f"patient/Observation.cud?category={CATEGORY}|laboratory"
    writer = bearer(await a_token(client, database, clock, app, who, f"patient/Observation.rs {lab}", "ada"))

    async def tried(method: str, path: str, headers: dict[str, str], body: Any = None) -> int:
        answer = await client.request(method, f"/fhir/{path}", headers=headers, json=body)
        assert CANARY not in answer.text
        return answer.status_code

    mine, vital = observation("ada", **coded("laboratory")), observation("ada", **coded("vital-signs"))
    hers = observation("bea", **coded("laboratory"))
    assert await tried("POST", "Observation", reader, mine) == 403
    assert await tried("PUT", "Observation/lab", reader, {**mine, "id": "lab"}) == 403
    assert await tried("DELETE", "Observation/lab", reader) == 403
    assert await tried("POST", "Observation", writer, mine) == 201
    assert await tried("POST", "Observation", writer, vital) == 403
    assert await tried("POST", "Observation", writer, hers) == 403
    assert await tried("POST", "Patient", writer, patient()) == 403
    for body in (vital, hers):
        assert await tried("PUT", "Observation/lab", writer, {**body, "id": "lab"}) == 403
    for id, answer in (("vital", 403), ("hers", 404), ("nobody-knows", 404)):  # seen, hidden, unknown
        assert await tried("PUT", f"Observation/{id}", writer, {**mine, "id": id}) == answer
        assert await tried("DELETE", f"Observation/{id}", writer) == 404
        change = [{"op": "replace", "path": "/status", "value": "amended"}]
        patched = await client.patch(
            f"/fhir/Observation/{id}",
            headers=writer | {"content-type": "application/json-patch+json"},
            json=change,
        )
        assert patched.status_code in (403, 404)
        assert CANARY not in patched.text
    entries = [
        {"request": {"method": "POST", "url": "Observation"}, "resource": body} for body in (mine, hers)
    ]
    before = (await client.get("/fhir/Observation?_summary=count", headers=writer)).json()["total"]
    assert (
        await tried("POST", "", writer, {"resourceType": "Bundle", "type": "transaction", "entry": entries})
        == 403
    )
    assert (await client.get("/fhir/Observation?_summary=count", headers=writer)).json()["total"] == before
    assert await tried("PUT", "Observation/lab", writer, {**mine, "id": "lab", "status": "amended"}) == 200
    assert await tried("DELETE", "Observation/lab", writer) == 204


async def test_a_patients_own_app_sees_no_more_than_the_patient(
    client: Client, database: Database, clock: Clock
) -> None:
    app, _ = await an_app(database, clock)
    who = await a_person(database, clock, role="patient", patient="ada")
    for scope, context in (
        ("user/*.cruds", None),
        ("patient/*.cruds", "ada"),
        ("patient/*.cruds user/*.cruds", "bea"),
    ):
        token = bearer(await a_token(client, database, clock, app, who, scope, context))
        for path in ("Observation/hers", "Patient/bea"):
            assert (await client.get(f"/fhir/{path}", headers=token)).status_code == 404
        assert "bea" not in (await client.get("/fhir/Observation", headers=token)).text
        assert (
            await client.post("/fhir/Observation", headers=token, json=observation("ada"))
        ).status_code == 403
    app_token = bearer(await a_token(client, database, clock, app, who, "patient/*.rs", "bea"))
    assert (await client.get("/fhir/Observation", headers=app_token)).json()["total"] == 0


async def test_a_cursor_is_of_no_use_to_a_narrower_token(
    client: Client, database: Database, clock: Clock
) -> None:
    """A13."""
    app, _ = await an_app(database, clock)
    who = await a_person(database, clock)
    wide = bearer(await a_token(client, database, clock, app, who, "patient/*.rs", "ada"))
    page = (await client.get("/fhir/Observation?_count=1", headers=wide)).json()
    following = next(link["url"] for link in page["link"] if link["relation"] == "next")
    assert (await client.get(following, headers=wide)).status_code == 200
    narrow = bearer(await a_token(client, database, clock, app, who, LAB, "ada"))
    assert (await client.get(following, headers=narrow)).status_code == 400


async def test_a_subscription_tells_no_more_than_its_app_may_see(
    client: Client, database: Database, clock: Clock
) -> None:
    """A31, and that it ends with what the app was allowed."""
    app, _ = await an_app(database, clock)
    who = await a_person(database, clock)
    lab = LAB.replace("patient/", "user/")
    token = await a_token(
        client, database, clock, app, who, f"user/Subscription.cruds user/DiagnosticReport.rs {lab}", None
    )
    subscription = {
        "resourceType": "Subscription", "status": "requested", "reason": "x", "criteria": topics.BASE + "lab-result",
        "channel": {"type": "websocket", "payload": "application/fhir+json"},
    }  # fmt: skip
    made = await client.post("/fhir/Subscription", headers=bearer(token), json=subscription)
    assert made.status_code == 201, made.text
    id = made.json()["id"]
    async with database.single() as conn:
        actor = await subscriber(conn, 1, who.user, who.org, id)
        assert actor.app
        assert await seen(conn, actor, "Observation", "lab", 1, clock()) is not None
        assert await seen(conn, actor, "Observation", "vital", 1, clock()) is None
        assert await seen(conn, actor, "Observation", "turned", 1, clock()) is None
        assert await seen(conn, actor, "Condition", "c1", 1, clock()) is None
    await client.post("/oauth/revoke", data={"client_id": app.id, "token": token["access_token"]})
    async with database.connection() as conn:
        await conn.execute("UPDATE app_grant SET revoked = now()")
    async with database.single() as conn:
        with pytest.raises(Forbidden):
            await subscriber(conn, 1, who.user, who.org, id)
        with pytest.raises(Forbidden):
            await standing(conn, actor)


async def test_a_backend_service_exports_what_its_scopes_cover(
    client: Client, database: Database, clock: Clock
) -> None:
    key = ec_key()
    app = await a_backend(
        database, clock, key, f"system/Observation.rs?category={CATEGORY}|laboratory system/Patient.rs"
    )
    form = {"grant_type": "client_credentials", "scope": app.scopes}
    said = await client.post("/oauth/token", data=signed(assertion(app.id, key, clock), **form))
    assert said.status_code == 200, said.text
    token = said.json()
    begun = await client.get("/fhir/$export", headers=bearer(token) | {"prefer": "respond-async"})
    assert begun.status_code == 202
    run = begun.headers["content-location"].rpartition("/")[2]
    async with database.single() as conn:
        actor = await credentials.actor_of(database, token["access_token"], clock())
        assert readable_types(actor, False) == ("Patient", "Observation")
        assert (await standing(conn, actor)).scopes == actor.scopes
        statement = bodies(policy.visible(actor), Part("Observation", clock.advance(seconds=1)))
        rows = await conn.fetch(statement.sql, statement.args)
    assert sorted(row[0].partition('"id":"')[2].partition('"')[0] for row in rows) == [
        "hers",
        "lab",
        "turned",
    ]
    other = await a_backend(database, clock, key, "system/*.rs")
    form = {"grant_type": "client_credentials", "scope": "system/*.rs"}
    theirs = (await client.post("/oauth/token", data=signed(assertion(other.id, key, clock), **form))).json()
    assert (await client.get(f"/fhir/_bulk/{run}", headers=bearer(theirs))).status_code == 404
    assert (await client.get(f"/fhir/_bulk/{run}", headers=bearer(token))).status_code in (200, 202)


async def test_the_audit_trail_needs_a_scope_for_all_of_it(
    client: Client, database: Database, clock: Clock
) -> None:
    app, _ = await an_app(database, clock)
    who = await a_person(database, clock, role="administrator")
    narrow = f"user/AuditEvent.rs?type={CATEGORY}|x patient/AuditEvent.rs"
    for scope, about, status in (
        ("user/AuditEvent.rs", None, 200),
        (narrow, "ada", 403),
        ("user/Patient.rs", None, 403),
        ("user/AuditEvent.r", None, 403),
    ):
        token = bearer(await a_token(client, database, clock, app, who, scope, about))
        for path in ("AuditEvent", "AuditEvent/1"):
            assert (await client.get(f"/fhir/{path}", headers=token)).status_code == status, (scope, path)


async def test_a_scope_to_update_is_none_to_look(client: Client, database: Database, clock: Clock) -> None:
    app, _ = await an_app(database, clock)
    who = await a_person(database, clock)
    scope = f"patient/Observation.u patient/Observation.rs?category={CATEGORY}|laboratory"
    writing = bearer(await a_token(client, database, clock, app, who, scope, "ada"))
    kind = {"content-type": "application/json-patch+json"}
    change = json.encode([{"op": "add", "path": "/language", "value": "en"}])
    look = json.encode([{"op": "test", "path": "/valueQuantity/value", "value": 77.31}])

    def bundled(patch: bytes, kind: str) -> dict[str, Any]:
        binary = {"resourceType": "Binary", "contentType": "application/json-patch+json", "data": b64encode(patch).decode()}  # fmt: skip
        request = {"method": "PATCH", "url": "Observation/vital"}
        return {"resourceType": "Bundle", "type": kind, "entry": [{"resource": binary, "request": request}]}

    answer = await client.patch("/fhir/Observation/vital", content=change, headers=writing | kind)
    assert (answer.status_code, answer.text, answer.headers["etag"]) == (200, "", 'W/"2"')
    for one in ("batch", "transaction"):
        answer = await client.post("/fhir", json=bundled(change, one), headers=writing)
        assert answer.json()["entry"][0]["response"]["status"] == "200 OK"
        assert "resource" not in answer.json()["entry"][0]
    assert (
        CANARY
        not in (await client.post("/fhir/Observation/vital/$meta-add", json=_TAGGED, headers=writing)).text
    )
    # a test would tell of each value whether it is this one
    assert (await client.patch("/fhir/Observation/vital", content=look, headers=writing | kind)).status_code == 403  # fmt: skip
    assert (await client.post("/fhir", json=bundled(look, "transaction"), headers=writing)).status_code == 403
    # what may be read is shown as ever
    answer = await client.patch("/fhir/Observation/lab", content=change, headers=writing | kind)
    assert answer.json()["language"] == "en"


_TAGGED = {"resourceType": "Parameters", "parameter": [{"name": "meta", "valueMeta": {"tag": [{"system": "x", "code": "y"}]}}]}  # fmt: skip
