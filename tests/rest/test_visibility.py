"""What a role cannot see is not there: by id, by search, by include, by history, by condition (hostile A)."""

from __future__ import annotations

import pytest

from tests.rest.conftest import Client, ClientOf, observation, patient

CANARY = "canary-7c1f"


@pytest.fixture
async def world(client: Client) -> None:
    for name in ("ada", "bob"):
        who = patient(
            id=name,
            name=[{"family": CANARY if name == "bob" else "Ada"}],
            identifier=[{"system": "urn:mrn", "value": f"M-{name}"}],
        )
        await client.put(f"/fhir/Patient/{name}", json=who)
        await client.put(
            f"/fhir/Observation/o-{name}",
            json=observation(name, id=f"o-{name}", valueString=CANARY if name == "bob" else "x"),
        )
    await client.put(
        "/fhir/Organization/org", json={"resourceType": "Organization", "id": "org", "name": "Org"}
    )


@pytest.mark.usefixtures("world")
@pytest.mark.parametrize(
    "path",
    [
        "/fhir/Patient/bob",
        "/fhir/Observation/o-bob",
        "/fhir/Observation/o-bob/_history",
        "/fhir/Observation/o-bob/_history/1",
        "/fhir/Observation?_id=o-bob",
        "/fhir/Observation?patient=bob",
        "/fhir/Observation?subject:Patient.identifier=urn:mrn|M-bob",
        "/fhir/Patient?identifier=urn:mrn|M-bob",
        "/fhir/Patient?_revinclude=Observation:subject",
        "/fhir/Observation?_include=Observation:subject",
        "/fhir/Observation?_summary=count",
        "/fhir/_history",
        "/fhir/Patient/_history",
    ],
)
async def test_a_patient_never_meets_another(client_of: ClientOf, path: str) -> None:
    ada = await client_of("patient", patient="ada")
    answer = await ada.get(path)
    assert answer.status_code in (200, 404)
    assert CANARY not in answer.text
    assert '"id":"bob"' not in answer.text
    if path.endswith("_summary=count"):
        assert answer.json()["total"] == 1


@pytest.mark.usefixtures("world")
async def test_a_forbidden_id_answers_like_an_unknown_one(client_of: ClientOf) -> None:
    ada = await client_of("patient", patient="ada")
    hidden, unknown = await ada.get("/fhir/Observation/o-bob"), await ada.get("/fhir/Observation/o-xyz")
    assert (hidden.status_code, hidden.content) == (unknown.status_code, unknown.content)
    assert {k: v for k, v in hidden.headers.items() if k != "date"} == {
        k: v for k, v in unknown.headers.items() if k != "date"
    }


@pytest.mark.usefixtures("world")
async def test_a_patient_reads_their_own_and_the_directory_and_writes_nothing(client_of: ClientOf) -> None:
    ada = await client_of("patient", patient="ada")
    assert (await ada.get("/fhir/Patient/ada")).status_code == 200
    assert (await ada.get("/fhir/Observation/o-ada")).status_code == 200
    assert (await ada.get("/fhir/Organization/org")).status_code == 200
    assert (await ada.put("/fhir/Observation/o-ada", json=observation("ada", id="o-ada"))).status_code == 403
    assert (await ada.post("/fhir/Patient", json=patient())).status_code == 403


@pytest.mark.usefixtures("world")
async def test_the_front_desk_sees_no_clinical_content(client_of: ClientOf) -> None:
    desk = await client_of("front-desk")
    assert (await desk.get("/fhir/Patient/bob")).status_code == 200
    assert (await desk.get("/fhir/Observation/o-bob")).status_code == 403
    assert (await desk.get("/fhir/Observation")).status_code == 403
    page = await desk.get("/fhir/Patient?_revinclude=Observation:subject")
    assert "o-bob" not in page.text


async def test_a_cursor_belongs_to_who_got_it(client: Client, client_of: ClientOf) -> None:
    for n in range(3):
        await client.put(f"/fhir/Patient/p{n}", json=patient(id=f"p{n}"))
    page = (await client.get("/fhir/Patient?_count=1")).json()
    stolen = next(link["url"] for link in page["link"] if link["relation"] == "next")
    ada = await client_of("patient", patient="p0")
    assert (await ada.get(stolen)).status_code == 400
    assert (await client.get(stolen + "&birthdate=1980")).status_code == 400


async def test_the_server_stamps_what_is_its_own(client: Client) -> None:
    forged = patient(meta={"versionId": "99", "lastUpdated": "1999-01-01T00:00:00Z", "source": "urn:theirs"})
    made = (await client.post("/fhir/Patient", json=forged)).json()
    assert made["meta"]["versionId"] == "1"
    assert made["meta"]["lastUpdated"].startswith("2026")
    assert made["meta"]["source"] == "urn:theirs"
