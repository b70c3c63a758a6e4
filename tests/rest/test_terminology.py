"""The terminology operations as a client sees them, on a fresh install and with what clients store."""

from __future__ import annotations

from typing import Any

import pytest

from tests.rest.conftest import Client

GENDER = "http://hl7.org/fhir/ValueSet/administrative-gender"
ACT = "http://terminology.hl7.org/CodeSystem/v3-ActCode"
MINE: dict[str, Any] = {
    "resourceType": "CodeSystem", "id": "mine", "url": "http://example.org/mine", "version": "1", "status": "active",
    "content": "complete", "concept": [{"code": "a", "display": "Alpha", "concept": [{"code": "b", "display": "Beta"}]}, {"code": "c"}],
}  # fmt: skip
SET: dict[str, Any] = {
    "resourceType": "ValueSet", "id": "vs", "url": "http://example.org/vs", "status": "active",
    "compose": {"include": [{"system": "http://example.org/mine", "filter": [{"property": "concept", "op": "is-a", "value": "a"}]}]},
}  # fmt: skip
MAP: dict[str, Any] = {
    "resourceType": "ConceptMap", "id": "cm", "url": "http://example.org/cm", "status": "draft",
    "group": [{"source": "http://example.org/mine", "target": "http://t", "element": [{"code": "a", "target": [{"code": "A", "equivalence": "wider"}]}]}],
}  # fmt: skip


def values(response: Any) -> dict[str, Any]:
    assert response.status_code == 200, response.text
    return {
        p["name"]: next((v for k, v in p.items() if k != "name"), None) for p in response.json()["parameter"]
    }


async def test_a_fresh_install_expands_what_fhir_defines(client: Client) -> None:
    found = (await client.get("/fhir/ValueSet/$expand", params={"url": GENDER})).json()
    assert [c["code"] for c in found["expansion"]["contains"]] == ["male", "female", "other", "unknown"]
    assert found["expansion"]["total"] == 4
    page = (
        await client.get("/fhir/ValueSet/$expand", params={"url": GENDER, "offset": "1", "count": "2"})
    ).json()
    assert [c["code"] for c in page["expansion"]["contains"]] == ["female", "other"]
    typed = (await client.get("/fhir/ValueSet/$expand", params={"url": GENDER, "filter": "UNK"})).json()
    assert [c["code"] for c in typed["expansion"]["contains"]] == ["unknown"]


async def test_what_clients_store_counts(client: Client) -> None:
    for resource in (MINE, SET, MAP):
        assert (
            await client.put(f"/fhir/{resource['resourceType']}/{resource['id']}", json=resource)
        ).status_code == 201
    by_url = await client.get("/fhir/ValueSet/$expand", params={"url": SET["url"]})
    by_id = await client.get("/fhir/ValueSet/vs/$expand")
    for found in (by_url, by_id):
        assert [c["code"] for c in found.json()["expansion"]["contains"]] == ["a", "b"]
    look_up = await client.get("/fhir/CodeSystem/$lookup", params={"system": MINE["url"], "code": "a"})
    assert values(look_up)["display"] == "Alpha"
    assert '"valueCode":"b"' in look_up.text
    sub = await client.get(
        "/fhir/CodeSystem/$subsumes", params={"system": MINE["url"], "codeA": "a", "codeB": "b"}
    )
    assert values(sub)["outcome"] == "subsumes"
    there = await client.get(
        "/fhir/ConceptMap/$translate", params={"url": MAP["url"], "system": MINE["url"], "code": "a"}
    )
    assert values(there)["result"] is True
    back = await client.get(
        "/fhir/ConceptMap/cm/$translate", params={"system": "http://t", "code": "A", "reverse": "true"}
    )
    assert '"narrower"' in back.text
    changed = SET | {"compose": {"include": [{"system": MINE["url"]}]}}
    await client.put("/fhir/ValueSet/vs", json=changed)
    again = await client.get("/fhir/ValueSet/$expand", params={"url": SET["url"]})
    assert again.json()["expansion"]["total"] == 3


async def test_a_client_cannot_redefine_what_fhir_defines(client: Client) -> None:
    sly = SET | {
        "id": "sly",
        "url": GENDER,
        "compose": {"include": [{"system": "http://x", "concept": [{"code": "z"}]}]},
    }
    await client.put("/fhir/ValueSet/sly", json=sly)
    found = await client.get(
        "/fhir/ValueSet/$validate-code", params={"url": GENDER, "code": "z", "system": "http://x"}
    )
    assert values(found)["result"] is False


async def test_codes_are_checked_with_their_text(client: Client) -> None:
    url = {"url": GENDER, "system": "http://hl7.org/fhir/administrative-gender"}
    good = values(await client.get("/fhir/ValueSet/$validate-code", params=url | {"code": "female"}))
    assert (good["result"], good["display"]) == (True, "Female")
    wrong = values(
        await client.get("/fhir/ValueSet/$validate-code", params=url | {"code": "female", "display": "Male"})
    )
    assert wrong["result"] is False
    assert "Female" in wrong["message"]
    assert (
        values(await client.get("/fhir/ValueSet/$validate-code", params=url | {"code": "x"}))["result"]
        is False
    )
    body = {
        "resourceType": "Parameters",
        "parameter": [
            {"name": "url", "valueUri": GENDER},
            {
                "name": "codeableConcept",
                "valueCodeableConcept": {
                    "coding": [{"code": "q", "system": "http://q"}, {"code": "male", "system": url["system"]}]
                },
            },
        ],
    }
    assert values(await client.post("/fhir/ValueSet/$validate-code", json=body))["result"] is True
    known = await client.get("/fhir/CodeSystem/$validate-code", params={"url": ACT, "code": "AMB"})
    assert values(known)["result"] is True
    assert (
        values(await client.get("/fhir/CodeSystem/$validate-code", params={"url": ACT, "code": "nope"}))[
            "result"
        ]
        is False
    )


async def test_an_inline_value_set_is_expanded(client: Client) -> None:
    body = {
        "resourceType": "Parameters",
        "parameter": [
            {
                "name": "valueSet",
                "resource": {
                    "resourceType": "ValueSet",
                    "status": "active",
                    "compose": {
                        "include": [
                            {
                                "system": ACT,
                                "filter": [
                                    {"property": "concept", "op": "is-a", "value": "_ActEncounterCode"}
                                ],
                            }
                        ]
                    },
                },
            }
        ],
    }
    found = (await client.post("/fhir/ValueSet/$expand", json=body)).json()
    assert {"AMB", "IMP", "EMER"} <= {c["code"] for c in found["expansion"]["contains"]}


@pytest.mark.parametrize(
    ("address", "params", "status", "said"),
    [
        ("ValueSet/$expand", {"url": "http://snomed.info/sct?fhir_vs"}, 422, "not loaded here: code system http://snomed.info/sct"),
        ("ValueSet/$expand", {"url": "http://snomed.info/sct?fhir_vs=ecl/<<1"}, 501, "ecl"),
        ("ValueSet/$expand", {"url": "http://nowhere"}, 404, "not loaded"),
        ("ValueSet/$expand", {}, 400, "which value set"),
        ("ValueSet/$expand", {"url": GENDER, "count": "-1"}, 400, "count"),
        ("ValueSet/$expand", {"url": GENDER, "offset": "x"}, 400, "offset"),
        ("ValueSet/$validate-code", {"url": "http://loinc.org/vs", "system": "http://loinc.org", "code": "1-1"}, 422, "NOT CHECKED"),
        ("ValueSet/$validate-code", {"url": GENDER}, 400, "which code"),
        ("CodeSystem/$lookup", {"system": "http://loinc.org", "code": "1-1"}, 404, "not loaded"),
        ("CodeSystem/$lookup", {"system": ACT, "code": "nope"}, 404, "no such code"),
        ("CodeSystem/$subsumes", {"system": ACT, "codeA": "AMB"}, 400, "codeB"),
        ("ConceptMap/$translate", {"url": "http://nowhere", "system": "x", "code": "a"}, 404, "No such concept map"),
        ("ConceptMap/$translate", {"url": "http://nowhere", "code": "a"}, 400, "system"),
    ],
)  # fmt: skip
async def test_what_cannot_be_answered_says_why(
    client: Client, address: str, params: dict[str, str], status: int, said: str
) -> None:
    found = await client.get(f"/fhir/{address}", params=params)
    assert found.status_code == status, found.text
    assert said in found.text


@pytest.mark.parametrize(
    ("address", "query"),
    [
        ("ValueSet/$expand", "url=%00"),
        ("ValueSet/$expand", "url=http://x&filter=%00"),
        ("CodeSystem/$lookup", f"system={ACT}&code=%00"),
        ("CodeSystem/$lookup", "system=%00&code=a"),
        ("CodeSystem/$subsumes", f"system={ACT}&codeA=%00&codeB=a"),
        ("ConceptMap/$translate", "url=%00&code=a&system=b"),
        ("ValueSet/$validate-code", f"url={GENDER}&code=%00&system=%00"),
        ("ValueSet/$expand", f"url={GENDER}&system-version=|||"),
    ],
)
async def test_odd_characters_are_no_error_of_ours(client: Client, address: str, query: str) -> None:
    assert (await client.get(f"/fhir/{address}?{query}")).status_code < 500


async def _expanding(client: Client, compose: dict[str, Any]) -> int:
    resource = {"resourceType": "ValueSet", "status": "active", "compose": compose}
    body = {"resourceType": "Parameters", "parameter": [{"name": "valueSet", "resource": resource}]}
    return (await client.post("/fhir/ValueSet/$expand", json=body)).status_code


async def test_large_and_hostile_value_sets_are_bounded(client: Client) -> None:
    codes = [{"system": ACT, "concept": [{"code": f"c{n}"}]} for n in range(1900)]
    assert await _expanding(client, {"include": codes}) == 200
    assert await _expanding(client, {"include": codes, "exclude": codes}) == 403
    assert await _expanding(client, {"include": [{"system": ACT}], "exclude": codes}) == 200
    regex = [
        {"system": ACT, "filter": [{"property": "display", "op": "regex", "value": f"(a*)*{n}"}]}
        for n in range(9)
    ]
    assert await _expanding(client, {"include": regex[:5]}) == 200
    assert await _expanding(client, {"include": regex}) == 403
    for bad in (
        [1],
        {"a": 1},
        [{"system": 1}],
        [{"valueSet": [1]}],
        [{}],
        [{"system": ACT, "filter": [{"op": 1}]}],
    ):
        assert 400 <= await _expanding(client, {"include": bad}) < 500
    empty = {
        "resourceType": "Parameters",
        "parameter": [{"name": "codeableConcept", "valueCodeableConcept": {}}],
    }
    assert (await client.post("/fhir/CodeSystem/$lookup", json=empty)).status_code == 400
