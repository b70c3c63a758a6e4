"""`$graphql`: what it gives, what it costs at most, and that it shows nothing a search would not."""

from __future__ import annotations

from typing import Any

import pytest
from graphql import build_client_schema, get_introspection_query

from commonchart.record.database import Database
from tests.rest.conftest import Client, ClientOf, observation, patient

NAMES = [
    {"use": "official", "family": "Chalmers", "given": ["Peter", "James"]},
    {"use": "usual", "given": ["Jim"]},
]


async def asked(client: Client, query: str, at: str = "", **variables: Any) -> Any:
    answer = await client.post(f"/fhir/{at}$graphql", json={"query": query, "variables": variables})
    assert answer.status_code == 200, answer.text
    return answer.json()


@pytest.fixture
async def people(client: Client) -> None:
    quantity = {"value": 7, "unit": "mg"}
    doctor = {"resourceType": "Practitioner", "id": "doc", "name": [{"family": "Weber"}]}
    lives = {"resourceType": "Organization", "id": "o", "name": "Here"}
    for one in (
        doctor,
        patient(id="ada", name=NAMES, active=True, generalPractitioner=[{"reference": "Practitioner/doc"}]),
        patient(id="bea", contained=[lives], managingOrganization={"reference": "#o"}),
        observation("ada", id="a1", valueQuantity=quantity, effectiveDateTime="2026-01-01"),
        observation(
            "ada", id="a2", effectiveDateTime="2026-02-01", performer=[{"reference": "Practitioner/doc"}]
        ),
        observation("bea", id="b1", status="amended"),
    ):
        answer = await client.put(f"/fhir/{one['resourceType']}/{one['id']}", json=one)
        assert answer.status_code == 201, answer.text


@pytest.mark.usefixtures("people")
async def test_a_resource_its_lists_and_what_they_are_narrowed_by(client: Client) -> None:
    found = await asked(
        client,
        """{ Patient(id: "ada") { resourceType active birthDate
              official: name(use: official) { family given }
              second: name(_offset: 1, _count: 1) { use }
              by_path: name(fhirpath: "given.count() > 1") { use } } }""",
    )
    assert found == {
        "data": {
            "Patient": {
                "resourceType": "Patient",
                "active": True,
                "birthDate": "1980-02-03",
                "official": [{"family": "Chalmers", "given": ["Peter", "James"]}],
                "second": [{"use": "usual"}],
                "by_path": [{"use": "official"}],
            }
        }
    }


@pytest.mark.usefixtures("people")
async def test_references_are_followed_contained_ones_too(client: Client) -> None:
    query = """{ PatientList(_sort: "_id") { id
      generalPractitioner { resource { id __typename ... on Practitioner { name { family } } ... on Organization { alias } } }
      managingOrganization { resource(type: Organization) { ... on Organization { name } } } } }"""
    ada, bea = (await asked(client, query))["data"]["PatientList"]
    assert ada["generalPractitioner"][0]["resource"] == {
        "id": "doc",
        "__typename": "Practitioner",
        "name": [{"family": "Weber"}],
    }
    assert bea["managingOrganization"]["resource"] == {"name": "Here"}


@pytest.mark.usefixtures("people")
async def test_one_that_leads_nowhere_is_an_error_unless_optional(client: Client) -> None:
    await client.put(
        "/fhir/Observation/x", json=observation("ada", id="x", performer=[{"reference": "Organization/gone"}])
    )
    query = '{ Observation(id: "x") { performer { reference resource%s { id } } } }'
    found = await asked(client, query % "")
    assert found["data"]["Observation"]["performer"][0]["resource"] is None
    assert found["errors"][0]["path"] == ["Observation", "performer", 0, "resource"]
    assert found["errors"][0]["extensions"]["resource"]["issue"][0]["code"] == "not-found"
    assert "errors" not in await asked(client, query % "(optional: true)")


@pytest.mark.usefixtures("people")
async def test_searches_lists_connections_and_what_refers_here(client: Client) -> None:
    query = """query ($code: String, $sort: String) { Patient(id: "ada") {
      ObservationList(_reference: patient, code: $code, _sort: $sort) { id } } }"""
    found = await asked(client, query, code="4548-4", sort="-date")
    assert found["data"]["Patient"]["ObservationList"] == [{"id": "a2"}, {"id": "a1"}]
    first = '{ ObservationConnection(_count: 2, _sort: "_id") { count pagesize offset next edges { mode resource { id } } } }'
    page = (await asked(client, first))["data"]["ObservationConnection"]
    assert (page["count"], page["pagesize"], page["offset"]) == (3, 2, 0)
    assert [edge["resource"]["id"] for edge in page["edges"]] == ["a1", "a2"]
    second = """query ($place: String) { ObservationConnection(_count: 2, _sort: "_id", _cursor: $place) {
      next previous edges { resource { id } } } }"""
    page = (await asked(client, second, place=page["next"]))["data"]["ObservationConnection"]
    assert page["next"] is None
    assert page["previous"]
    assert page["edges"] == [{"resource": {"id": "b1"}}]


@pytest.mark.usefixtures("people")
async def test_from_one_resource_with_every_directive(client: Client) -> None:
    at = "Patient/ada/"
    cases: list[tuple[str, dict[str, Any]]] = [
        ("{ name @flatten { given @first family } }", {"given": ["Peter", "Jim"], "family": ["Chalmers"]}),
        ("{ name @first { family given @first } }", {"name": {"family": "Chalmers", "given": "Peter"}}),
        ("{ name @first @flatten { family } }", {"family": "Chalmers"}),
        ("{ name @flatten { family @singleton } }", {"family": "Chalmers"}),
        ('{ name @slice(fhirpath: "use") @singleton { given @first } }', {"name.official": {"given": "Peter"}, "name.usual": {"given": "Jim"}}),
        ('{ name @slice(fhirpath: "$index") @flatten { given @first @singleton } }', {"given.0": "Peter", "given.1": "Jim"}),
        ("query ($no: Boolean = false) { id @include(if: $no) active @skip(if: $no) }", {"active": True}),
        ("{ ... on Patient { id } ...More } fragment More on Patient { active }", {"id": "ada", "active": True}),
        ("{ ObservationList(_reference: subject, _sort: \"_id\") { id } }", {"ObservationList": [{"id": "a1"}, {"id": "a2"}]}),
    ]  # fmt: skip
    for query, data in cases:
        assert await asked(client, query, at) == {"data": data}, query


@pytest.mark.usefixtures("people")
async def test_every_way_to_ask(client: Client) -> None:
    query, expected = '{ Patient(id: "ada") { id } }', {"data": {"Patient": {"id": "ada"}}}
    two = f'query A {query} query B {{ Patient(id: "bea") {{ id }} }}'
    parameters = {"resourceType": "Parameters", "parameter": [{"name": "query", "valueString": query}]}
    answers = [
        await client.get("/fhir/$graphql", params={"query": query}),
        await client.post("/fhir/$graphql", content=query, headers={"content-type": "application/graphql"}),
        await client.post("/fhir/$graphql", json=parameters),
        await client.get("/fhir/$graphql", params={"query": two, "operationName": "A"}),
        await client.get(
            "/fhir/$graphql",
            params={"query": "query($id: ID!) { Patient(id: $id) { id } }", "variables": '{"id": "ada"}'},
        ),
    ]
    for answer in answers:
        assert (answer.status_code, answer.json()) == (200, expected)
        assert answer.headers["content-type"].startswith("application/json")


@pytest.mark.usefixtures("people")
async def test_what_cannot_be_asked_is_told(client: Client) -> None:
    for query in (
        "{", "{ Patient { id } }", '{ Patient(id: "ada") { nonsense } }', '{ Patient(id: "ada") { name } }', "{ nothing }",
        '{ PatientList(nonsense: "x") { id } }', "mutation { PatientDelete(id: \"ada\") { id } }", "query A { x } query B { y }",
        'query { ...A } fragment A on Query { ...B } fragment B on Query { ...A }', "query ($x: Nothing) { PatientList(name: $x) { id } }",
        '{ Patient(id: "ada") { name @slice { use } } }', "subscription { x }",
    ):  # fmt: skip
        answer = await client.post("/fhir/$graphql", json={"query": query})
        assert answer.status_code == 400, (query, answer.text)
        assert answer.json()["errors"][0]["message"]
    for body in ({}, {"query": ""}, {"query": 7}, {"query": "{ x }", "variables": [1]}):
        answer = await client.post("/fhir/$graphql", json=body)
        assert answer.status_code == 400
    assert (await client.post("/fhir/Patient/nobody/$graphql", json={"query": "{ id }"})).status_code == 404
    nothing = await asked(client, '{ PatientList(name: "a\\u0000b") { id } }')
    assert nothing["errors"][0]["message"] == "A value holds a NUL character"
    partly = await asked(
        client,
        '{ Patient(id: "ada") { name(fhirpath: "use(") { use } x: name(_count: -1) { use } a: id a: active '
        'v: name @slice(fhirpath: "use") @first { use } } PatientList(birthdate: "x") { id } }',
    )
    assert partly["data"]["PatientList"] is None
    assert len(partly["errors"]) >= 2


@pytest.mark.usefixtures("people")
async def test_it_is_bounded(client: Client) -> None:
    deep = '{ Patient(id: "ada") { ObservationList(_reference: patient) { subject { resource { ... on Patient %s } } } } }'
    nested = "{ id }"
    for _ in range(8):
        nested = f"{{ ObservationList(_reference: patient) {{ subject {{ resource {{ ... on Patient {nested} }} }} }} }}"
    fan = " ".join(f"a{n}: ObservationList {{ id }}" for n in range(220))
    spread = "".join(
        f"fragment F{n} on Patient {{ a: generalPractitioner {{ resource {{ ...on Practitioner {{ id }} }} }} id }} "
        for n in range(3)
    )
    for query in (
        deep % nested,
        "{" + fan + "}",
        "{ PatientList { "
        + " ".join(f"a{n}: name {{ {' '.join(f'b{m}: given' for m in range(90))} }}" for n in range(9))
        + " } }",
        "{" * 3000,
        '{ Patient(id: "ada") { ' + "name { extension " * 1 + "{ extension " * 200 + "{ url }" + "}" * 203,
        " " * 60_000,
        spread * 200,
    ):
        answer = await client.post("/fhir/$graphql", json={"query": query})
        assert answer.status_code in (200, 400, 403), answer.text
        assert answer.elapsed.total_seconds() < 3
    answer = await client.post("/fhir/$graphql", json={"query": "{" + fan + "}"})
    assert (answer.status_code, answer.json()["issue"][0]["code"]) == (403, "too-costly")
    answer = await client.post("/fhir/$graphql", json={"query": deep % nested})
    assert answer.json()["issue"][0]["code"] == "too-costly"


@pytest.mark.usefixtures("people")
async def test_it_shows_what_a_search_shows_and_nothing_else(client: Client, client_of: ClientOf) -> None:
    """Hostile A27: the same engine as REST, whoever asks."""
    query = """{ PatientList { id ObservationList(_reference: subject) { id performer { resource(optional: true) { id } } } }
                 ObservationList { id subject { resource(optional: true) { id } } } b1: Observation(id: "b1") { id }
                 PractitionerList { id ObservationList(_reference: performer) { id } PatientList(_reference: general_practitioner) { id } } }"""
    for who in (client, await client_of("patient", patient="ada"), await client_of("front-desk")):
        found = (await asked(who, query))["data"]
        for rtype in ("Patient", "Observation", "Practitioner"):
            answer = await who.get(f"/fhir/{rtype}")
            searched = (
                {e["resource"]["id"] for e in answer.json().get("entry", [])}
                if answer.status_code == 200
                else set()
            )
            assert {one["id"] for one in found[f"{rtype}List"] or ()} == searched
    own = await client_of("patient", patient="ada")
    found = await asked(own, query)
    assert "bea" not in str(found)
    assert found["data"]["b1"] is None
    unknown = await asked(own, '{ b1: Observation(id: "nothing") { id } }')
    assert found["errors"] == unknown["errors"]
    desk = await asked(await client_of("front-desk"), query)
    assert desk["data"]["ObservationList"] is None
    assert desk["data"]["PatientList"][0]["ObservationList"] is None


@pytest.mark.usefixtures("people")
async def test_what_is_shown_is_in_the_trail(client: Client, database: Database) -> None:
    await asked(
        client,
        '{ Patient(id: "ada") { ObservationList(_reference: patient) { performer { resource(optional: true) { id } } } } }',
    )
    async with database.connection() as conn:
        cursor = await conn.execute(
            "SELECT action, patients FROM audit WHERE 'ada' = ANY(patients) ORDER BY at DESC LIMIT 20"
        )
        rows = await cursor.fetchall()
    assert {"read", "search"} <= {row[0] for row in rows}


async def test_the_schema_describes_itself(client: Client) -> None:
    described = await client.post("/fhir/$graphql", json={"query": get_introspection_query()})
    schema = build_client_schema(described.json()["data"])
    assert {"Patient", "PatientContact", "ObservationConnection"} <= set(schema.type_map)
    assert "general_practitioner" in schema.query_type.fields["PatientList"].args  # type: ignore[union-attr]
