"""Search as clients meet it: compartments, types, links, includes, parameters of their own, and what is refused."""

from __future__ import annotations

from typing import Any

import pytest

from commonchart.access import parameters
from commonchart.jobs import reindex
from commonchart.record.database import Database
from tests.conftest import Clock
from tests.rest.conftest import Client, observation, patient


async def put(client: Client, *resources: dict[str, Any]) -> None:
    for one in resources:
        answer = await client.put(f"/fhir/{one['resourceType']}/{one['id']}", json=one)
        assert answer.status_code in (200, 201), answer.text


async def ids(client: Client, address: str, mode: str = "match") -> list[str]:
    answer = await client.get(f"/fhir/{address}")
    assert answer.status_code == 200, answer.text
    return [e["resource"]["id"] for e in answer.json().get("entry", ()) if e["search"]["mode"] == mode]


@pytest.fixture
async def chart(client: Client) -> None:
    await put(
        client,
        {"resourceType": "Organization", "id": "top", "name": "Top"},
        {"resourceType": "Organization", "id": "mid", "name": "Mid", "partOf": {"reference": "Organization/top"}},
        {"resourceType": "Practitioner", "id": "doc", "name": [{"family": "Weber"}]},
        patient(id="ada", managingOrganization={"reference": "Organization/mid"}),
        patient(id="bea", name=[{"family": "Brandt"}]),
        {"resourceType": "Encounter", "id": "e", "status": "finished", "class": {"code": "AMB"}, "subject": {"reference": "Patient/ada"},
         "participant": [{"individual": {"reference": "Practitioner/doc"}}]},
        observation("ada", id="o1", encounter={"reference": "Encounter/e"}, effectiveDateTime="2024-01-01"),
        observation("ada", id="o2", performer=[{"reference": "Practitioner/doc"}], effectiveDateTime="2024-02-01"),
        observation("bea", id="o3", hasMember=[{"reference": "Observation/o1"}]),
        {"resourceType": "Provenance", "id": "p", "target": [{"reference": "Observation/o1"}], "recorded": "2024-01-01T00:00:00Z",
         "agent": [{"who": {"reference": "Practitioner/doc"}}]},
    )  # fmt: skip


@pytest.mark.usefixtures("chart")
async def test_compartments_hold_what_their_definition_says(client: Client) -> None:
    assert sorted(await ids(client, "Patient/ada/Observation")) == ["o1", "o2"]
    assert await ids(client, "Patient/ada/Observation?date=gt2024-01-15") == ["o2"]
    assert sorted(await ids(client, "Patient/ada/*")) == ["ada", "e", "o1", "o2"]
    assert sorted(await ids(client, "Patient/ada/*?_type=Encounter,Observation")) == ["e", "o1", "o2"]
    assert await ids(client, "Encounter/e/Observation") == ["o1"]
    assert sorted(await ids(client, "Encounter/e/*")) == ["e", "o1"]
    assert await ids(client, "Practitioner/doc/Observation") == ["o2"]
    assert "e" in await ids(client, "Practitioner/doc/*")
    assert await ids(client, "RelatedPerson/x/Observation") == []
    assert await ids(client, "Device/x/Observation") == []
    assert (await client.get("/fhir/Organization/top/Patient")).status_code == 404
    assert (await client.get("/fhir/Patient/ada/Medication")).status_code == 400
    posted = await client.post("/fhir/Patient/ada/Observation/_search", data={"date": "gt2024-01-15"})
    assert [e["resource"]["id"] for e in posted.json()["entry"]] == ["o2"]


@pytest.mark.usefixtures("chart")
async def test_search_across_types(client: Client) -> None:
    assert sorted(await ids(client, "?_type=Patient,Practitioner")) == ["ada", "bea", "doc"]
    assert sorted(await ids(client, "?_type=Observation,Encounter&subject=Patient/ada")) == ["e", "o1", "o2"]
    assert await ids(client, "?_id=doc") == ["doc"]
    assert await ids(client, "?_content=weber") == ["doc"]
    assert await ids(client, "?_type=Patient,Practitioner&_sort=family") == ["ada", "bea", "doc"]
    assert (await client.get("/fhir")).status_code == 400
    assert (await client.get("/fhir?_type=Shoe")).status_code == 400
    assert (
        await client.get("/fhir?_type=Patient,Observation&gender=x", headers={"prefer": "handling=strict"})
    ).status_code == 400
    posted = await client.post("/fhir/_search", data={"_type": "Patient", "name": "brandt"})
    assert [e["resource"]["id"] for e in posted.json()["entry"]] == ["bea"]


@pytest.mark.usefixtures("chart")
@pytest.mark.parametrize(
    "start",
    [
        "Observation?_count=1&_sort=date",
        "?_type=Patient,Observation,Encounter&_count=2",
        "Patient/ada/*?_count=1",
        "Patient/ada/*?_count=1&_type=Observation,Encounter",
    ],
)
async def test_links_lead_forwards_and_back(client: Client, start: str) -> None:
    pages, address = [], f"/fhir/{start}"
    links: dict[str, str] = {}
    while address:
        answer = (await client.get(address)).json()
        links = {link["relation"]: link["url"] for link in answer["link"]}
        pages.append([e["resource"]["id"] for e in answer["entry"]])
        address = links.get("next", "")
    every = [id for page in pages for id in page]
    assert len(every) == len(set(every)) > 2
    first = (await client.get(links["first"])).json()
    assert [e["resource"]["id"] for e in first["entry"]] == pages[0]
    for expected in reversed(pages[:-1]):
        answer = (await client.get(links["previous"])).json()
        assert [e["resource"]["id"] for e in answer["entry"]] == expected
        links = {link["relation"]: link["url"] for link in answer["link"]}
    assert "previous" not in links


@pytest.mark.usefixtures("chart")
async def test_includes_go_on_where_they_may(client: Client) -> None:
    assert await ids(client, "Observation?_id=o1&_include=Observation:subject", "include") == ["ada"]
    on = "Observation?_id=o1&_include=Observation:subject&_include:iterate=Patient:organization&_include:iterate=Organization:partof"
    assert sorted(await ids(client, on, "include")) == ["ada", "mid", "top"]
    assert sorted(await ids(client, "Observation?_id=o1&_include=*", "include")) == ["ada", "e"]
    assert sorted(await ids(client, "Observation?_id=o1&_include=Observation:*", "include")) == ["ada", "e"]
    back = "Patient?_id=ada&_revinclude=Observation:subject&_revinclude:iterate=Provenance:target&_revinclude:iterate=Observation:has-member"
    assert sorted(await ids(client, back, "include")) == ["o1", "o2", "o3", "p"]
    assert await ids(client, "Observation?_id=o3&_include=Observation:subject:Group", "include") == []


@pytest.mark.usefixtures("chart")
async def test_parts_of_resources(client: Client) -> None:
    async def keys(query: str) -> set[str]:
        return set((await client.get(f"/fhir/Observation?_id=o1&{query}")).json()["entry"][0]["resource"])

    assert await keys("_summary=text") == {"resourceType", "id", "meta", "status", "code"}
    assert "encounter" in await keys("_summary=data")
    assert "effectiveDateTime" in await keys("_summary=true")
    assert await keys("_elements=subject") == {"resourceType", "id", "meta", "status", "code", "subject"}
    assert await keys("_elements=Observation.subject,Patient.name") == {
        "resourceType",
        "id",
        "meta",
        "status",
        "code",
        "subject",
    }
    counted = (await client.get("/fhir/Observation?_summary=count")).json()
    assert (counted["total"], "entry" in counted) == (3, False)
    assert (await client.get("/fhir/Observation?_count=1&_total=accurate")).json()["total"] == 3


def own(**more: Any) -> dict[str, Any]:
    return {
        "resourceType": "SearchParameter", "id": "sp", "url": "http://x.example/sp", "name": "Eyes", "status": "active", "description": "Eyes",
        "code": "eyes", "base": ["Patient"], "type": "token", "expression": "Patient.extension('urn:eyes').value",
    } | more  # fmt: skip


async def test_a_parameter_of_ones_own_is_indexed_then_searched_then_gone(
    client: Client, database: Database, clock: Clock
) -> None:
    eyes = {"extension": [{"url": "urn:eyes", "valueCode": "blue"}]}
    await put(client, patient(id="before", **eyes), patient(id="without"), own(), patient(id="after", **eyes))
    early = await client.get("/fhir/Patient?eyes=blue")
    assert (early.status_code, early.json()["issue"][0]["code"]) == (400, "incomplete")
    assert "being indexed: 0 of 2" in early.json()["issue"][0]["diagnostics"]
    assert await reindex.drain(database, clock) == 0
    clock.advance(seconds=11)
    while await reindex.drain(database, clock):
        pass
    parameters._known.clear()
    assert sorted(await ids(client, "Patient?eyes=blue")) == ["after", "before"]
    assert await ids(client, "Patient?eyes:missing=true") == ["without"]
    assert (await ids(client, "Patient?_sort=eyes"))[-1] == "without"
    await put(client, patient(id="after"))
    assert await ids(client, "Patient?eyes=blue") == ["before"]
    state = (await client.get("/fhir/_reindex")).json()["parameter"][0]["part"]
    assert {p["name"]: p.get("valueString", p.get("valueCode")) for p in state}["state"] == "done"
    assert (await client.delete("/fhir/SearchParameter/sp")).status_code in (200, 204)
    gone = await client.get("/fhir/Patient?eyes=blue", headers={"prefer": "handling=strict"})
    assert gone.status_code == 400


async def test_what_is_offered_already_is_stored_and_changes_nothing(client: Client) -> None:
    known = own(id="k", code="asserted-date", base=["Condition"], type="date", expression="Condition.onset")
    draft = own(id="d", status="draft", expression="not FHIRPath(")
    await put(client, known, draft)
    assert "parameter" not in (await client.get("/fhir/_reindex")).json()


@pytest.mark.parametrize(
    ("more", "rule"),
    [
        ({"expression": "Patient.extension("}, "expression"),
        ({"expression": "Patient.repeat(extension)"}, "repeat"),
        ({"expression": "Patient.id|" * 50 + "Patient.id"}, "more than"),
        ({"expression": "Patient.name.given" * 100}, "at most"),
        ({"code": "gender", "base": ["Patient", "Observation"]}, "has a parameter gender"),
        ({"code": "bad'code"}, "letters"),
        ({"base": ["Resource"]}, "resource types"),
        ({"type": "composite"}, "one of"),
    ],
)
async def test_parameters_that_cannot_work_are_refused_with_the_rule(
    client: Client, more: dict[str, Any], rule: str
) -> None:
    answer = await client.put("/fhir/SearchParameter/sp", json=own(**more))
    assert answer.status_code in (400, 422), answer.text
    assert rule in answer.text


async def test_everything_is_indexed_again_for_a_newer_program(
    client: Client, database: Database, clock: Clock
) -> None:
    await put(client, patient(id="ada"), observation("ada", id="o"))
    async with database.connection() as conn:
        for table in ("text_row", "string_row"):
            await conn.execute(f"DELETE FROM {table}")
        await conn.execute("UPDATE resource SET tokens = '{}'")
    await reindex.again(database, clock(), 2)
    parameters._known.clear()
    refused = await client.get("/fhir/Patient?_content=zoe")
    assert "being indexed: 0 of 2" in refused.text
    clock.advance(seconds=11)
    while await reindex.drain(database, clock):
        pass
    parameters._known.clear()
    assert await ids(client, "Patient?_content=zoe") == ["ada"]
    assert await ids(client, "Patient?name=zoe") == ["ada"]
    assert await ids(client, "Observation?code=4548-4") == ["o"]


async def test_codes_by_value_set_and_hierarchy(client: Client) -> None:
    system = "http://terminology.hl7.org/CodeSystem/v3-ActCode"
    await put(
        client,
        patient(id="ada", gender="female"),
        patient(id="bea"),
        {"resourceType": "CodeSystem", "id": "cs", "url": "urn:trees", "status": "active", "content": "complete", "hierarchyMeaning": "is-a",
         "concept": [{"code": "tree", "concept": [{"code": "oak", "concept": [{"code": "red-oak"}]}, {"code": "elm"}]}, {"code": "shrub"}]},
        {"resourceType": "ValueSet", "id": "vs", "url": "urn:oaks", "status": "active", "compose": {"include": [{"system": "urn:trees", "concept": [{"code": "oak"}, {"code": "red-oak"}]}]}},
        *(observation("ada", id=code, code={"coding": [{"system": "urn:trees", "code": code}]}) for code in ("tree", "oak", "red-oak", "shrub")),
    )  # fmt: skip
    assert sorted(await ids(client, "Observation?code:in=urn:oaks")) == ["oak", "red-oak"]
    assert sorted(await ids(client, "Observation?code:not-in=urn:oaks")) == ["shrub", "tree"]
    assert sorted(await ids(client, "Observation?code:below=urn:trees|oak")) == ["oak", "red-oak"]
    assert sorted(await ids(client, "Observation?code:above=urn:trees|oak")) == ["oak", "tree"]
    assert await ids(client, "Patient?gender:in=http://hl7.org/fhir/ValueSet/administrative-gender") == [
        "ada"
    ]
    for unknown in ("code:in=urn:nobody-has-it", "code:below=urn:nobody|x", f"code:in={system}/none"):
        answer = await client.get(f"/fhir/Observation?{unknown}")
        assert answer.status_code == 400, answer.text


async def test_pages_have_no_gaps_and_nothing_twice_while_others_write(client: Client) -> None:
    await put(
        client,
        patient(id="ada"),
        *(observation("ada", id=f"n{n:02}", effectiveDateTime=f"2024-01-{n:02}") for n in range(1, 21)),
    )
    seen: list[str] = []
    address = "/fhir/Observation?patient=ada&_sort=date&_count=3"
    turn = 0
    while address:
        answer = (await client.get(address)).json()
        seen += [e["resource"]["id"] for e in answer["entry"]]
        address = next((one["url"] for one in answer["link"] if one["relation"] == "next"), "")
        turn += 1
        # before and after the place, a version more of what was seen, and one of what was not deleted
        await put(
            client,
            observation("ada", id=f"early{turn}", effectiveDateTime="2023-01-01"),
            observation("ada", id=seen[0], effectiveDateTime="2024-01-01", status="amended"),
        )
        if turn == 2:
            assert (await client.delete("/fhir/Observation/n20")).status_code in (200, 204)
    assert seen == [f"n{n:02}" for n in range(1, 20)]
