"""PATCH: JSON Patch and FHIRPath Patch, by id, by condition, and in Bundles."""

from __future__ import annotations

import base64
from typing import Any

import pytest

from commonchart.fhir import json
from tests.rest.conftest import Client, ClientOf, observation, patient

JSON_PATCH = {"content-type": "application/json-patch+json"}
MALE = [{"op": "add", "path": "/gender", "value": "male"}]


def path_patch(kind: str, path: str, **parts: Any) -> dict[str, Any]:
    """Parameters of one operation; `value` is given as its `valueX`."""
    listed = [{"name": "type", "valueCode": kind}, {"name": "path", "valueString": path}]
    listed += [
        {"name": name, **value} if isinstance(value, dict) else {"name": name, "valueString": value}
        for name, value in parts.items()
    ]
    return {"resourceType": "Parameters", "parameter": [{"name": "operation", "part": listed}]}


async def patched(client: Client, address: str, body: Any, **headers: str) -> Any:
    if isinstance(body, list):
        return await client.patch(f"/fhir/{address}", content=json.encode(body), headers=JSON_PATCH | headers)
    return await client.patch(f"/fhir/{address}", json=body, headers=headers)


@pytest.fixture
async def ada(client: Client) -> str:
    await client.put(
        "/fhir/Patient/ada", json=patient(id="ada", identifier=[{"system": "mrn", "value": "7"}])
    )
    return "ada"


@pytest.mark.usefixtures("ada")
async def test_parts_are_changed_and_the_version_before_stays(client: Client) -> None:
    answer = await patched(client, "Patient/ada", MALE)
    assert answer.status_code == 200
    assert answer.headers["etag"] == 'W/"2"'
    assert answer.json()["gender"] == "male"
    answer = await patched(
        client, "Patient/ada", path_patch("replace", "Patient.gender", value={"valueCode": "other"})
    )
    assert answer.json()["gender"] == "other"
    assert "gender" not in (await client.get("/fhir/Patient/ada/_history/1")).json()
    found = (await client.get("/fhir/Patient?gender=other")).json()
    assert [e["resource"]["id"] for e in found["entry"]] == ["ada"]


@pytest.mark.usefixtures("ada")
async def test_decimals_are_kept_by_a_patch(client: Client) -> None:
    quantity = {"valueQuantity": {"value": 1, "unit": "mg"}}
    body = json.encode(observation("ada", id="o", **quantity)).replace(b'"value":1,', b'"value":1.10,')
    await client.put("/fhir/Observation/o", content=body, headers={"content-type": "application/fhir+json"})
    answer = await patched(
        client, "Observation/o", [{"op": "replace", "path": "/status", "value": "amended"}]
    )
    assert b'"value":1.10' in answer.content


@pytest.mark.usefixtures("ada")
async def test_what_does_not_fit_changes_nothing(client: Client) -> None:
    refused: list[tuple[Any, int]] = [
        ([{"op": "add", "path": "/gender", "value": "martian"}], 422),
        ([{"op": "replace", "path": "/id", "value": "bea"}], 422),
        ([{"op": "replace", "path": "/resourceType", "value": "Group"}], 422),
        ([*MALE, {"op": "test", "path": "/birthDate", "value": "1999-01-01"}], 422),
        ([{"op": "remove", "path": "/photo"}], 422),
        ([{"op": "explode", "path": "/gender"}], 400),
        (path_patch("delete", "Patient.nam("), 400),
        ({"resourceType": "Binary", "contentType": "text/plain", "data": ""}, 400),
    ]
    for body, status in refused:
        answer = await patched(client, "Patient/ada", body)
        assert answer.status_code == status, (body, answer.text)
        assert answer.json()["resourceType"] == "OperationOutcome"
    assert (await client.get("/fhir/Patient/ada")).headers["etag"] == 'W/"1"'


async def test_only_a_patch_is_a_patch(client: Client, ada: str) -> None:
    for kind, status in (("application/xml-patch+xml", 415), ("application/fhir+json", 400)):
        answer = await client.patch(
            f"/fhir/Patient/{ada}", content=json.encode(patient()), headers={"content-type": kind}
        )
        assert answer.status_code == status
        assert "json-patch" in answer.json()["issue"][0]["diagnostics"]
    smuggled = b'[],"resourceType":"Parameters","parameter":[]'
    answer = await client.patch(f"/fhir/Patient/{ada}", content=smuggled, headers=JSON_PATCH)
    assert answer.status_code == 400


async def test_a_merge_sets_and_takes_away(client: Client, ada: str) -> None:
    for kind in ("application/merge-patch+json", "application/json"):
        change = {"gender": "male", "birthDate": None, "maritalStatus": {"text": "x"}}
        answer = await client.patch(
            f"/fhir/Patient/{ada}", content=json.encode(change), headers={"content-type": kind}
        )
        body = answer.json()
        assert (body["gender"], body["maritalStatus"], "birthDate" in body) == ("male", {"text": "x"}, False)
        assert body["name"] == patient()["name"]
        answer = await client.patch(
            f"/fhir/Patient/{ada}", content=b'{"gender":"martian"}', headers={"content-type": kind}
        )
        assert answer.status_code == 422


@pytest.mark.usefixtures("ada")
async def test_preconditions_and_what_is_not_there(client: Client) -> None:
    assert (await patched(client, "Patient/ada", MALE, **{"if-match": 'W/"9"'})).status_code == 412
    assert (await patched(client, "Patient/ada", MALE, **{"if-match": 'W/"1"'})).status_code == 200
    assert (await patched(client, "Patient/nobody", MALE)).status_code == 404
    await client.delete("/fhir/Patient/ada")
    assert (await patched(client, "Patient/ada", MALE)).status_code == 410


@pytest.mark.usefixtures("ada")
async def test_conditional_patch(client: Client) -> None:
    answer = await patched(client, "Patient?identifier=mrn|7", MALE)
    assert (answer.status_code, answer.json()["id"]) == (200, "ada")
    assert (await patched(client, "Patient?identifier=mrn|8", MALE)).status_code == 404
    assert (await patched(client, "Patient", MALE)).status_code == 400
    await client.put(
        "/fhir/Patient/bea", json=patient(id="bea", identifier=[{"system": "mrn", "value": "7"}])
    )
    assert (await patched(client, "Patient?identifier=mrn|7", MALE)).status_code == 412


@pytest.mark.usefixtures("ada")
async def test_patches_in_bundles_stand_or_fall_with_the_others(client: Client) -> None:
    binary = {
        "resourceType": "Binary",
        "contentType": "application/json-patch+json",
        "data": base64.b64encode(json.encode(MALE)).decode(),
    }
    entry = {"resource": binary, "request": {"method": "PATCH", "url": "Patient/ada"}}
    by_path = {
        "resource": path_patch("add", "Patient", name="active", value={"valueBoolean": True}),
        "request": {"method": "PATCH", "url": "Patient?identifier=mrn|7", "ifMatch": 'W/"2"'},
    }
    for kind, one, vid in (("transaction", entry, 2), ("batch", by_path, 3)):
        sent = {"resourceType": "Bundle", "type": kind, "entry": [one]}
        answer = await client.post("/fhir", json=sent)
        assert answer.json()["entry"][0]["response"]["etag"] == f'W/"{vid}"', answer.text
    stored = (await client.get("/fhir/Patient/ada")).json()
    assert (stored["gender"], stored["active"]) == ("male", True)
    bad = {"resource": observation("nobody", status="?"), "request": {"method": "POST", "url": "Observation"}}
    again = {
        "resource": path_patch("delete", "Patient.gender"),
        "request": {"method": "PATCH", "url": "Patient/ada"},
    }
    answer = await client.post(
        "/fhir", json={"resourceType": "Bundle", "type": "transaction", "entry": [again, bad]}
    )
    assert answer.status_code == 422
    assert (await client.get("/fhir/Patient/ada")).json()["gender"] == "male"


@pytest.mark.usefixtures("ada")
async def test_who_may_not_write_does_not_patch_either(client_of: ClientOf) -> None:
    own = await client_of("patient", patient="ada")
    assert (await patched(own, "Patient/ada", MALE)).status_code == 403
    desk = await client_of("front-desk")
    assert (await patched(desk, "Patient/ada", MALE)).status_code == 200
    assert (await patched(desk, "Observation/x", MALE)).status_code == 403


async def test_a_signed_note_and_labels_are_kept(client: Client, client_of: ClientOf, ada: str) -> None:
    note = {
        "resourceType": "DocumentReference",
        "id": "n",
        "status": "current",
        "docStatus": "final",
        "subject": {"reference": f"Patient/{ada}"},
        "content": [{"attachment": {"contentType": "text/plain", "data": "YQ=="}}],
        "meta": {
            "security": [{"system": "http://terminology.hl7.org/CodeSystem/v3-Confidentiality", "code": "R"}]
        },
    }
    await client.put("/fhir/DocumentReference/n", json=note)
    clinician = await client_of("clinician")
    change = [{"op": "replace", "path": "/content/0/attachment/data", "value": "Yg=="}]
    assert (await patched(clinician, "DocumentReference/n", change)).status_code == 409
    answer = await patched(clinician, "DocumentReference/n", [{"op": "remove", "path": "/meta/security"}])
    assert answer.json()["meta"]["security"] == note["meta"]["security"]
