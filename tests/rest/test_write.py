"""Whose chart a write is filed in: a patient of another server is nobody here, whatever the id."""

from __future__ import annotations

from base64 import b64encode
from typing import Any

import pytest

from commonchart.fhir import json
from tests.rest.conftest import Client, observation, patient

THEIRS = "http://north.example/fhir/Patient/ada"


def about(reference: str, **more: Any) -> dict[str, Any]:
    return {**observation("ada", **more), "subject": {"reference": reference}}


def entry(method: str, url: str, resource: dict[str, Any]) -> dict[str, Any]:
    return {"request": {"method": method, "url": url}, "resource": resource}


@pytest.mark.parametrize(
    "reference",
    [
        THEIRS,
        f"{THEIRS}/_history/2",
        "https://test/other/Patient/ada",
        "HTTP://north.example/fhir/Patient/ada",
        "ftp://test/fhir/x/Patient/ada",
    ],
)
async def test_a_patient_of_another_server_is_not_taken_for_ours_of_the_same_id(
    client: Client, reference: str
) -> None:
    assert (await client.put("/fhir/Patient/ada", json=patient(id="ada"))).status_code == 201
    assert (await client.put("/fhir/Observation/o", json=about("Patient/ada", id="o"))).status_code == 201
    change = [{"op": "replace", "path": "/subject/reference", "value": reference}]
    patched = {"content-type": "application/json-patch+json"}
    data = {
        "resourceType": "Binary",
        "contentType": patched["content-type"],
        "data": b64encode(json.encode(change)).decode(),
    }
    answers = [
        await client.post("/fhir/Observation", json=about(reference)),
        await client.put("/fhir/Observation/o", json=about(reference, id="o")),
        await client.put("/fhir/Observation?_id=o", json=about(reference)),
        await client.patch("/fhir/Observation/o", content=json.encode(change), headers=patched),
        await client.post("/fhir", json={"resourceType": "Bundle", "type": "transaction", "entry": [entry("POST", "Observation", about(reference))]}),
        await client.post("/fhir", json={"resourceType": "Bundle", "type": "transaction", "entry": [entry("PATCH", "Observation/o", data)]}),
    ]  # fmt: skip
    for n, answer in enumerate(answers):
        issue = answer.json()["issue"][0]
        assert (answer.status_code, issue["code"]) == (422, "business-rule"), n
        assert "subject.reference" in str(issue["expression"]), n
        assert reference not in answer.text
    found = (await client.get("/fhir/Observation?patient=ada")).json()
    assert [(one["resource"]["id"], one["resource"]["meta"]["versionId"]) for one in found["entry"]] == [
        ("o", "1")
    ]


async def test_ours_by_its_whole_address_and_a_stranger_of_no_id_here_are_taken(client: Client) -> None:
    assert (await client.put("/fhir/Patient/ada", json=patient(id="ada"))).status_code == 201
    for reference in (
        "http://test/fhir/Patient/ada",
        "https://test/fhir/Patient/ada/_history/1",
        "http://north.example/fhir/Patient/x",
    ):
        answer = await client.post("/fhir/Observation", json=about(reference))
        assert answer.status_code == 201, answer.text
        assert answer.json()["subject"]["reference"] == reference
