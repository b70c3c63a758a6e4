"""Writing to what a label hides: every interaction answers as for an id that nobody has used, and no door strips a label put by hand."""

from __future__ import annotations

from base64 import b64encode
from typing import Any

import httpx
import pytest

from commonchart.access import labelling
from commonchart.access.actors import Actor
from commonchart.access.records import Delete, Put, Records
from commonchart.fhir import json
from commonchart.fhir.validate import validate
from commonchart.record import site
from commonchart.record.database import Database
from tests.conftest import Clock
from tests.rest.conftest import Client, ClientOf, observation, patient

PSYCHOTHERAPY = {"system": "http://terminology.hl7.org/CodeSystem/v3-ActCode", "code": "PSYTHPN"}
RESTRICTED = {"system": "http://terminology.hl7.org/CodeSystem/v3-Confidentiality", "code": "R"}
CHANGE = [{"op": "add", "path": "/language", "value": "en"}]
Asking = tuple[str, str, str, Any, dict[str, str]]


def interactions(id: str) -> list[Asking]:
    """(name, method, path, body, headers) of every way to write to an Observation."""
    at, where, match = f"/fhir/Observation/{id}", f"/fhir/Observation?_id={id}", {"if-match": 'W/"1"'}
    body, patched = observation("ada", id=id, language="en"), {"content-type": "application/json-patch+json"}
    meta = {"resourceType": "Parameters", "parameter": [{"name": "meta", "valueMeta": {"tag": [{"system": "x", "code": "y"}]}}]}  # fmt: skip
    path = {"resourceType": "Parameters", "parameter": [{"name": "operation", "part": [
        {"name": "type", "valueCode": "add"}, {"name": "path", "valueString": "Observation"},
        {"name": "name", "valueString": "language"}, {"name": "value", "valueCode": "en"}]}]}  # fmt: skip
    alone: list[Asking] = [
        ("put", "PUT", at, body, {}), ("put if-match", "PUT", at, body, match), ("put new", "PUT", at, body, {"if-none-match": "*"}),
        ("put where", "PUT", where, body, {}), ("patch", "PATCH", at, CHANGE, patched), ("patch if-match", "PATCH", at, CHANGE, patched | match),
        ("patch fhirpath", "PATCH", at, path, {}), ("patch merge", "PATCH", at, {"language": "en"}, {"content-type": "application/merge-patch+json"}),
        ("patch where", "PATCH", where, CHANGE, patched), ("delete", "DELETE", at, None, {}), ("delete if-match", "DELETE", at, None, match),
        ("delete where", "DELETE", where, None, {}), ("meta-add", "POST", f"{at}/$meta-add", meta, {}), ("meta-delete", "POST", f"{at}/$meta-delete", meta, {}),
    ]  # fmt: skip
    kinds = ("put", "put if-match", "put where", "patch", "delete")
    return alone + [
        _bundled(one, kind) for one in alone if one[0] in kinds for kind in ("batch", "transaction")
    ]


def _bundled(one: Asking, kind: str) -> Asking:
    name, method, path, body, headers = one
    entry: dict[str, Any] = {"request": {"method": method, "url": path.removeprefix("/fhir/")}}
    if "if-match" in headers:
        entry["request"]["ifMatch"] = headers["if-match"]
    if method == "PATCH":
        data = b64encode(json.encode(body)).decode()
        body = {"resourceType": "Binary", "contentType": "application/json-patch+json", "data": data}
    if body is not None:
        entry["resource"] = body
    return f"bundle {name}", "POST", "/fhir", {"resourceType": "Bundle", "type": kind, "entry": [entry]}, {}


async def asked(client: Client, one: Asking) -> httpx.Response:
    _, method, path, body, headers = one
    return await client.request(method, path, json=body, headers={"content-type": "application/fhir+json"} | headers)  # fmt: skip


def told(answer: httpx.Response, id: str) -> tuple[int, str]:
    return answer.status_code, answer.text.replace(id, "ID")


@pytest.mark.parametrize("mode", ["network", "practice"])
async def test_a_write_to_what_a_label_hides_answers_like_one_to_an_unknown_id(
    client_of: ClientOf, database: Database, clock: Clock, mode: str
) -> None:
    async with database.connection() as conn:
        await site.put(conn, 1, site.MODE, mode)
    loader = Records(database, Actor(1, "loader", "L", "system", "alder", "test", network=False), clock)
    labels = {"lab": "42CFRPart2"}
    roles = ("administrator", "clinician", "nurse", "lab")
    for role in roles:
        label = {**PSYCHOTHERAPY, "code": labels.get(role, "PSYTHPN")}
        hidden = observation("ada", id=f"hid-{role}", meta={"security": [label]})
        await loader.commit([Put(validate(one), one["id"]) for one in (patient(id="ada"), hidden)])
    wrong = []
    for role in roles:
        client, id, unknown = await client_of(role), f"hid-{role}", f"non-{role}"
        assert (await client.get(f"/fhir/Observation/{id}")).status_code == 404
        for one, other in zip(interactions(id), interactions(unknown), strict=True):
            first = await asked(client, one)
            second = await asked(client, other)
            if told(first, id) != told(second, unknown):
                wrong.append((role, one[0], told(first, id), told(second, unknown)))
        assert (await loader.read("Observation", id)).vid == 1
    assert wrong == []
    async with (
        database.single() as conn
    ):  # every refusal by id is in the trail: of what is hidden as of what is not there
        rows = await conn.fetch(
            "SELECT actor, action, id FROM audit WHERE outcome > 0 AND action IN ('update', 'delete')", ()
        )
    told_of = {(action, id) for _, action, id in rows}
    for role in roles:
        assert {("update", f"hid-{role}"), ("update", f"non-{role}")} <= told_of
        assert role == "lab" or ("delete", f"hid-{role}") in told_of  # a laboratory deletes nothing


async def test_ids_are_chosen_by_who_sees_everything_of_a_type(
    client_of: ClientOf, database: Database, clock: Clock
) -> None:
    loader = Records(database, Actor(1, "loader", "L", "system", "alder", "test", network=False), clock)
    hidden = observation("ada", id="hid", meta={"security": [PSYCHOTHERAPY]})
    nurse, system = await client_of("nurse"), await client_of("system")
    await loader.commit([Put(validate(patient(id="ada")), "ada")])

    async def put(client: Client, rtype: str, id: str) -> int:
        body = patient(id=id) if rtype == "Patient" else observation("ada", id=id)
        return (await client.put(f"/fhir/{rtype}/{id}", json=body)).status_code

    assert [await put(nurse, "Observation", id) for id in ("one", "one")] == [201, 200]
    await loader.commit([Put(validate(hidden), "hid")])
    assert [await put(nurse, "Observation", id) for id in ("one", "two", "hid")] == [200, 404, 404]
    assert (await nurse.post("/fhir/Observation", json=observation("ada"))).status_code == 201
    assert [await put(nurse, "Patient", "bo"), await put(system, "Observation", "two")] == [201, 201]
    # what was hidden stays hidden after it was deleted: no 201, and no number of a version before
    await loader.commit([Delete("Observation", "hid")])
    assert [await put(nurse, "Observation", id) for id in ("three", "hid")] == [404, 404]
    for mode, brought in (("practice", True), ("network", False)):
        async with database.connection() as conn:
            await site.put(conn, 1, site.MODE, mode)
        offered = (await nurse.get("/fhir/metadata")).json()["rest"][0]["resource"]
        assert {one.get("updateCreate", False) for one in offered if one["type"] != "AuditEvent"} == {brought}
        # ids that are made here are nobody's choice, in a Bundle neither
        entries = [_entry("POST", "Patient", patient()), _entry("PUT", f"Observation?code=none-{mode}", {k: v for k, v in observation("ada").items() if k != "subject"})]  # fmt: skip
        bundle = {"resourceType": "Bundle", "type": "transaction", "entry": entries}
        made = (await nurse.post("/fhir", json=bundle)).json()
        assert [one["response"]["status"] for one in made["entry"]] == ["201 Created"] * 2, mode


def _entry(method: str, url: str, resource: dict[str, Any]) -> dict[str, Any]:
    return {"request": {"method": method, "url": url}, "resource": resource}


async def test_no_door_takes_a_label_off_that_was_put_by_hand(
    client_of: ClientOf, database: Database, clock: Clock
) -> None:
    loader = Records(database, Actor(1, "loader", "L", "system", "alder", "test", network=False), clock)
    kim = Records(database, Actor(1, "kim", "Dr Kim", "clinician", "alder", "web", network=False), clock)
    code = {"coding": [{"system": "http://loinc.org", "code": "718-7"}]}
    first = observation("ada", id="o", code=code)
    await loader.commit([Put(validate(one), one["id"]) for one in (patient(id="ada"), first)])
    await labelling.put(kim, "Observation", "o", "restricted", "she asked for it")
    at = "/fhir/Observation/o"
    security = {"resourceType": "Parameters", "parameter": [{"name": "meta", "valueMeta": {"security": [RESTRICTED]}}]}  # fmt: skip
    other = {**RESTRICTED, "code": "N"}
    patched = {"content-type": "application/json-patch+json"}
    merged = {"content-type": "application/merge-patch+json"}
    path = {"resourceType": "Parameters", "parameter": [{"name": "operation", "part": [{"name": "type", "valueCode": "delete"}, {"name": "path", "valueString": "Observation.meta.security"}]}]}  # fmt: skip
    doors: list[Asking] = [
        ("meta-delete", "POST", f"{at}/$meta-delete", security, {}),
        ("meta-add", "POST", f"{at}/$meta-add", {**security, "parameter": [{"name": "meta", "valueMeta": {"security": [other]}}]}, {}),
        ("put without", "PUT", at, first, {}), ("put another", "PUT", at, first | {"meta": {"security": [other]}}, {}),
        ("put where", "PUT", "/fhir/Observation?_id=o", first, {}),
        ("patch", "PATCH", at, [{"op": "remove", "path": "/meta/security"}], patched),
        ("patch one", "PATCH", at, [{"op": "replace", "path": "/meta/security/0/code", "value": "N"}], patched),
        ("patch meta", "PATCH", at, [{"op": "remove", "path": "/meta"}], patched), ("patch fhirpath", "PATCH", at, path, {}),
        ("merge", "PATCH", at, {"meta": None}, merged), ("merge security", "PATCH", at, {"meta": {"security": []}}, merged),
    ]  # fmt: skip
    doors += [_bundled(one, kind) for one in doors if one[0] in ("put without", "patch") for kind in ("batch", "transaction")]  # fmt: skip
    # a version from before is brought back, under the same id too after it was deleted
    doors += [("delete", "DELETE", at, None, {}), ("put again", "PUT", at, first, {})]
    lab, bill = (
        await client_of("lab"),
        await client_of("billing"),
    )  # who sees what is restricted, and who does not
    for role in ("administrator", "system", "clinician", "nurse"):
        client = await client_of(role)
        for one in doors:
            answer = await asked(client, one)
            if one[0] == "meta-delete":
                assert answer.status_code == 403, (role, answer.text)
                assert ("put by hand" in answer.text) == (role == "administrator")
            else:
                assert answer.status_code in (200, 201, 204, 400, 422), (role, one[0], answer.text)
            assert (await bill.get(at)).status_code == 404, (role, one[0])
            if one[0] != "delete":
                held = json.decode((await loader.read("Observation", "o")).body or b"{}")
                assert RESTRICTED in held["meta"]["security"], (role, one[0])
    assert (await lab.get(at)).status_code == 200


async def test_what_is_refused_and_what_is_shown_instead_leave_a_row(
    client_of: ClientOf, database: Database, clock: Clock
) -> None:
    """Another organisation's entry that may be read is not changed; a create that finds its like shows that."""
    async with database.connection() as conn:
        await site.put(conn, 1, site.MODE, "network")
    alder, doc = await client_of("system"), await client_of("clinician")
    ada = patient(id="ada", identifier=[{"system": "urn:mrn", "value": "A"}])
    referral = {"resourceType": "ServiceRequest", "id": "r1", "status": "active", "intent": "order", "code": {"text": "Cardiology"},
                "subject": {"reference": "Patient/ada"}, "performer": [{"reference": "Organization/birch"}], "authoredOn": "2026-11-01"}  # fmt: skip
    for one in (ada, observation("ada", id="a1"), referral):
        assert (await alder.put(f"/fhir/{one['resourceType']}/{one['id']}", json=one)).status_code == 201
    async with database.single() as conn:  # the same person works for Birch from now on
        await conn.execute("UPDATE membership SET org = 'birch' WHERE role = 'clinician'")
    assert (await doc.get("/fhir/Observation/a1")).status_code == 200

    async def rows() -> list[tuple[Any, ...]]:
        async with database.single() as conn:
            found = await conn.fetch(
                "SELECT action, outcome, rtype, id, patients FROM audit ORDER BY seq", ()
            )
        return [tuple(row) for row in found]

    refused = [one for one in interactions("a1") if one[0] in ("put", "patch", "delete", "delete where", "meta-add")]  # fmt: skip
    for one in refused:
        before = len(await rows())
        assert (await asked(doc, one)).status_code == 403, one[0]
        action = "delete" if "delete" in one[0] else "update"
        assert (await rows())[before:] == [(action, 8, "Observation", "a1", [])], one[0]
    before = len(await rows())
    assert (await doc.get("/fhir/Observation/nothing/_history")).status_code == 404
    assert (await doc.get("/fhir/$export", headers={"prefer": "respond-async"})).status_code == 403
    assert (await rows())[before:] == [
        ("history", 4, "Observation", "nothing", []),
        ("export", 8, None, None, []),
    ]
    where = "identifier=urn:mrn|A"
    entry = _entry("POST", "Patient", patient())
    entry["request"]["ifNoneExist"] = where
    for answer in (
        await doc.post("/fhir/Patient", json=patient(), headers={"if-none-exist": where}),
        await doc.post("/fhir", json={"resourceType": "Bundle", "type": "transaction", "entry": [entry]}),
    ):
        assert answer.status_code == 200
        assert '"id":"ada"' in answer.text
    assert (await rows())[before + 2 :] == [("read", 0, "Patient", "ada", ["ada"])] * 2
