"""What the ONC tester checks of every US Core 6.1.0 profile beside the searches (test_search_us_core.py): its rules 1-16."""

from __future__ import annotations

from typing import Any

import pytest

from commonchart.fhir.profiles.known import boxed
from tests.rest.conftest import Client, ClientOf, observation, patient

CATEGORY = {"system": "http://terminology.hl7.org/CodeSystem/observation-category", "code": "laboratory"}
DATES = ("2024-01-31T23:00:00Z", "2024-02-01T09:30:00Z", "2024-02-01", "2024-02", "2024-03-01T08:00:00+02:00")


@pytest.fixture
async def chart(client: Client) -> None:
    drug = {"resourceType": "Medication", "id": "drug", "code": {"text": "aspirin"}}
    order = {
        "resourceType": "MedicationRequest",
        "id": "mr",
        "status": "active",
        "intent": "order",
        "subject": {"reference": "Patient/ada"},
        "medicationReference": {"reference": "Medication/drug"},
    }
    inside = order | {
        "id": "mc",
        "contained": [{"resourceType": "Medication", "id": "m", "code": {"text": "x"}}],
        "medicationReference": {"reference": "#m"},
    }
    trail = {
        "resourceType": "Provenance",
        "id": "t",
        "target": [{"reference": "MedicationRequest/mr"}],
        "recorded": "2024-01-01T00:00:00Z",
        "agent": [{"who": {"reference": "Practitioner/doc"}}],
    }
    every: list[dict[str, Any]] = [
        {"resourceType": "Practitioner", "id": "doc", "name": [{"family": "Weber"}]}, patient(id="ada"), patient(id="bea"), drug, order, inside, trail,
        *(observation("ada", id=f"o{n}", category=[{"coding": [CATEGORY]}], effectiveDateTime=at, status=("final", "amended", "corrected")[n % 3]) for n, at in enumerate(DATES)),
        observation("bea", id="other", category=[{"coding": [CATEGORY]}]),
    ]  # fmt: skip
    for one in every:
        assert (await client.put(f"/fhir/{one['resourceType']}/{one['id']}", json=one)).status_code == 201


async def entries(client: Client, rtype: str, **params: str) -> list[dict[str, Any]]:
    """All entries over all pages (rule 8: by the next links, at most 20 of them)."""
    answer = await client.get(f"/fhir/{rtype}", params=params, headers={"prefer": "handling=strict"})
    out: list[dict[str, Any]] = []
    for _ in range(20):
        assert answer.status_code == 200, answer.text
        assert answer.headers["content-type"].startswith("application/fhir+json")
        bundle = answer.json()
        out += bundle.get("entry", [])
        following = [link["url"] for link in bundle["link"] if link["relation"] == "next"]
        if not following:
            return out
        answer = await client.get(following[0])
    raise AssertionError("more than 20 pages")


def named(found: list[dict[str, Any]]) -> list[str]:
    return sorted(one["resource"]["id"] for one in found)


@pytest.mark.usefixtures("chart")
async def test_rules_1_to_4_the_ways_to_say_the_same(client: Client) -> None:
    wanted = [f"o{n}" for n in range(5)]
    params = {"patient": "ada", "category": "laboratory"}
    assert named(await entries(client, "Observation", **params)) == wanted
    assert named(await entries(client, "Observation", **params | {"patient": "Patient/ada"})) == wanted
    whole = f"{CATEGORY['system']}|laboratory"
    assert named(await entries(client, "Observation", **params | {"category": whole})) == wanted
    posted = (await client.post("/fhir/Observation/_search", data=params)).json()
    assert named(posted["entry"]) == wanted
    assert await entries(client, "Observation", **params | {"category": "vital-signs"}) == []


@pytest.mark.usefixtures("chart")
async def test_rule_5_comparators_a_day_before_and_after(client: Client) -> None:
    params = {"patient": "ada", "category": "laboratory"}
    for prefix, day, ids in (
        ("gt", "2024-01-31", ["o1", "o2", "o3", "o4"]),
        ("ge", "2024-02-02", ["o3", "o4"]),
        ("lt", "2024-02-02", ["o0", "o1", "o2", "o3"]),
        ("le", "2024-01-31", ["o0"]),
        ("eq", "2024-02-01", ["o1", "o2"]),
    ):
        found = named(await entries(client, "Observation", **params, date=f"{prefix}{day}"))
        assert found == ids, (prefix, day)


@pytest.mark.usefixtures("chart")
async def test_rules_6_to_8_lists_without_a_status_and_pages_of_one_type(client: Client) -> None:
    either = await entries(
        client, "Observation", patient="ada", status="final,amended", category="laboratory"
    )
    assert {one["resource"]["status"] for one in either} == {"final", "amended"}
    paged = await entries(client, "Observation", patient="ada", category="laboratory", _count="2")
    assert named(paged) == [f"o{n}" for n in range(5)]
    assert {one["resource"]["resourceType"] for one in paged} == {"Observation"}


@pytest.mark.usefixtures("chart")
async def test_rules_9_to_11_provenance_medications_and_references_that_resolve(client: Client) -> None:
    found = await entries(
        client,
        "MedicationRequest",
        patient="ada",
        intent="order",
        _revinclude="Provenance:target",
        _include="MedicationRequest:medication",
    )
    assert named(found) == ["drug", "mc", "mr", "t"]
    modes = {one["resource"]["id"]: one["search"]["mode"] for one in found}
    assert modes == {"mr": "match", "mc": "match", "drug": "include", "t": "include"}
    for one in found:
        for reference in ("medicationReference", "subject"):
            text = one["resource"].get(reference, {}).get("reference", "#")
            if not text.startswith("#"):
                assert (await client.get(f"/fhir/{text}")).status_code == 200


async def test_rule_13_what_the_server_says_of_itself(client: Client) -> None:
    client.headers.pop("authorization")
    answer = await client.get("/fhir/metadata")
    assert answer.headers["content-type"].startswith("application/fhir+json")
    said = answer.json()
    assert said["fhirVersion"] == "4.0.1"
    assert "json" in said["format"]
    assert said["instantiates"] == ["http://hl7.org/fhir/us/core/CapabilityStatement/us-core-server"]
    rest = said["rest"][0]
    resources = {one["type"]: one for one in rest["resource"]}
    of_us_core = {url for url, table in boxed().tables.items() if table["type"] in resources}
    assert len(of_us_core) >= 48
    assert {url for one in resources.values() for url in one.get("supportedProfile", ())} == of_us_core
    trail = resources.pop("AuditEvent")  # no stored resource: it is read and searched, and never written
    assert {i["code"] for i in trail["interaction"]} == {"read", "search-type"}
    for one in resources.values():
        assert {"read", "vread", "search-type", "create", "patch"} <= {i["code"] for i in one["interaction"]}
    assert "Provenance:target" in resources["MedicationRequest"]["searchRevInclude"]
    documented = {o["name"]: o["definition"] for o in resources["DocumentReference"]["operation"]}
    assert documented["docref"] == "http://hl7.org/fhir/us/core/OperationDefinition/docref"


async def test_every_operation_that_is_named_is_there(client: Client) -> None:
    """Nothing is promised that answers `not offered`, and its definition is named."""
    rest = (await client.get("/fhir/metadata")).json()["rest"][0]
    assert {o["name"] for o in rest["operation"]} >= {"graphql", "export", "import", "meta"}
    for one in rest["resource"]:
        for operation in one.get("operation", ()):
            assert operation["definition"].startswith(("http://hl7.org/fhir/", "http://commonchart.org/"))
            answers = [
                await client.post(
                    f"/fhir/{address}/${operation['name']}", json={"resourceType": "Parameters"}
                )
                for address in (
                    (one["type"], f"{one['type']}/x") if one["type"] in ("Patient", "ValueSet") else ()
                )
            ]
            assert not answers or any("not offered here" not in answer.text for answer in answers)


async def test_rule_15_tokens_and_types_out_of_scope(client: Client, client_of: ClientOf) -> None:
    desk = await client_of("front-desk")
    assert (await desk.get("/fhir/Observation?patient=ada")).status_code == 403
    for token in ("Bearer nonsense", "Bearer ", ""):
        answer = await client.get("/fhir/Patient", headers={"authorization": token})
        assert (answer.status_code, answer.json()["resourceType"]) == (401, "OperationOutcome")
