"""Operations over real HTTP semantics: everything, lastn, docref, meta; what is refused, and what must not leak."""

from __future__ import annotations

from typing import Any

import pytest

from tests.rest.conftest import Client, ClientOf

LOINC = "http://loinc.org"


def observation(id: str, patient: str, code: str, day: str, **more: Any) -> dict[str, Any]:
    return {
        "resourceType": "Observation",
        "id": id,
        "status": "final",
        "category": [
            {
                "coding": [
                    {
                        "system": "http://terminology.hl7.org/CodeSystem/observation-category",
                        "code": "laboratory",
                    }
                ]
            }
        ],
        "code": {"coding": [{"system": LOINC, "code": code}]},
        "subject": {"reference": f"Patient/{patient}"},
        "effectiveDateTime": day,
        **more,
    }


async def put(client: Client, resource: dict[str, Any]) -> None:
    answer = await client.put(f"/fhir/{resource['resourceType']}/{resource['id']}", json=resource)
    assert answer.status_code in (200, 201), answer.text


def keys(answer: Any) -> list[str]:
    assert answer.status_code == 200, answer.text
    found = [e["resource"] for e in answer.json().get("entry", [])]
    return [f"{r['resourceType']}/{r['id']}" for r in found]


@pytest.fixture
async def ward(client: Client) -> Client:
    """Ada with results and an encounter, Bob with one result, and what they share."""
    for resource in (
        {"resourceType": "Patient", "id": "ada", "generalPractitioner": [{"reference": "Practitioner/grey"}]},
        {"resourceType": "Patient", "id": "bob"},
        {"resourceType": "Practitioner", "id": "grey"},
        {"resourceType": "Organization", "id": "lab", "name": "Laboratory"},
        {
            "resourceType": "Encounter",
            "id": "e1",
            "status": "finished",
            "class": {"code": "AMB"},
            "subject": {"reference": "Patient/ada"},
            "period": {"start": "2020-01-01", "end": "2020-01-02"},
        },
        observation("o1", "ada", "4548-4", "2020-01-01", encounter={"reference": "Encounter/e1"}),
        observation("o2", "ada", "4548-4", "2021-01-01", performer=[{"reference": "Organization/lab"}]),
        observation("o3", "ada", "718-7", "2019-01-01"),
        observation("o4", "bob", "718-7", "2019-01-01"),
        {
            "resourceType": "List",
            "id": "both",
            "status": "current",
            "mode": "working",
            "subject": {"reference": "Patient/ada"},
            "entry": [{"item": {"reference": "Patient/bob"}}, {"item": {"reference": "Observation/o4"}}],
        },
        {
            "resourceType": "Group",
            "id": "all",
            "type": "person",
            "actual": True,
            "member": [{"entity": {"reference": "Patient/ada"}}, {"entity": {"reference": "Patient/bob"}}],
        },
    ):
        await put(client, resource)
    return client


async def test_everything_is_the_patient_first_and_what_the_record_refers_to_last(ward: Client) -> None:
    found = keys(await ward.get("/fhir/Patient/ada/$everything"))
    assert found[0] == "Patient/ada"
    assert sorted(found) == sorted(
        (
            *(
                "Patient/ada",
                "Encounter/e1",
                "List/both",
                "Observation/o1",
                "Observation/o2",
                "Observation/o3",
            ),
            *("Practitioner/grey", "Organization/lab"),
        )
    )


async def test_everything_by_pages_has_each_once_and_nothing_of_another_patient(ward: Client) -> None:
    whole = keys(await ward.get("/fhir/Patient/ada/$everything"))
    answer = await ward.get("/fhir/Patient/ada/$everything?_count=2")
    paged = keys(answer)
    while following := next((x["url"] for x in answer.json()["link"] if x["relation"] == "next"), None):
        answer = await ward.get(following)
        paged += keys(answer)
    assert sorted(paged) == sorted(whole)
    assert len(paged) == len(set(paged))
    assert not {"Patient/bob", "Observation/o4", "Group/all"} & set(paged)


async def test_everything_narrowed_by_type_date_and_change(ward: Client) -> None:
    assert keys(await ward.get("/fhir/Patient/ada/$everything?_type=Observation,Organization")) == [
        "Observation/o1",
        "Observation/o2",
        "Observation/o3",
        "Organization/lab",
    ]
    found = keys(await ward.get("/fhir/Patient/ada/$everything?start=2020-06-01&_type=Observation"))
    assert found == ["Observation/o2"]
    assert keys(await ward.get("/fhir/Patient/ada/$everything?_since=2099-01-01")) == []
    asked = {
        "resourceType": "Parameters",
        "parameter": [
            {"name": "_type", "valueCode": "Encounter"},
            {"name": "end", "valueDate": "2020-02-01"},
        ],
    }
    assert keys(await ward.post("/fhir/Patient/ada/$everything", json=asked)) == ["Encounter/e1"]


async def test_everything_of_an_encounter_is_what_happened_in_it(ward: Client) -> None:
    found = keys(await ward.get("/fhir/Encounter/e1/$everything"))
    assert sorted(found) == ["Encounter/e1", "Observation/o1", "Patient/ada"]


async def test_a_patient_gets_everything_of_their_own_and_nothing_of_another(
    ward: Client, client_of: ClientOf
) -> None:
    ada = await client_of("patient", patient="ada")
    own = keys(await ada.get("/fhir/Patient/$everything"))
    assert "Observation/o1" in own
    assert not [key for key in own if key.endswith(("bob", "o4", "all"))]
    other = await ada.get("/fhir/Patient/bob/$everything")
    unknown = await ada.get("/fhir/Patient/nobody/$everything")
    assert (other.status_code, other.json()) == (unknown.status_code, unknown.json())
    assert other.status_code == 404


async def test_a_page_of_everything_is_its_readers_only(ward: Client, client_of: ClientOf) -> None:
    answer = await ward.get("/fhir/Patient/ada/$everything?_count=2")
    following = next(x["url"] for x in answer.json()["link"] if x["relation"] == "next")
    other = await client_of("clinician")
    assert (await other.get(following)).status_code == 400


@pytest.mark.parametrize(
    "query", ["_type=Shoe", "_count=0", "_count=x", "_since=soon", "start=2020-13-01", "_cursor=x"]
)
async def test_everything_refuses_what_it_cannot_read(ward: Client, query: str) -> None:
    answer = await ward.get(f"/fhir/Patient/ada/$everything?{query}")
    assert answer.status_code == 400
    assert answer.json()["issue"][0]["expression"] == [query.partition("=")[0]]


async def test_lastn_gives_the_newest_of_each_code(ward: Client) -> None:
    found = keys(await ward.get("/fhir/Observation/$lastn?patient=ada&category=laboratory"))
    assert sorted(found) == ["Observation/o2", "Observation/o3"]
    both = keys(await ward.get("/fhir/Observation/$lastn?patient=ada&category=laboratory&max=2"))
    assert sorted(both) == ["Observation/o1", "Observation/o2", "Observation/o3"]
    one = keys(await ward.get(f"/fhir/Observation/$lastn?patient=Patient/ada&code={LOINC}|4548-4"))
    assert one == ["Observation/o2"]


@pytest.mark.parametrize(
    "query", ["category=laboratory", "patient=ada", "patient=ada&code=x&max=0", "patient=ada&code=x&shoe=1"]
)
async def test_lastn_says_what_it_needs(ward: Client, query: str) -> None:
    assert (await ward.get(f"/fhir/Observation/$lastn?{query}")).status_code == 400


async def test_docref_finds_documents_by_type_and_period(ward: Client) -> None:
    note = {
        "resourceType": "DocumentReference",
        "id": "d1",
        "status": "current",
        "type": {"coding": [{"system": LOINC, "code": "11506-3"}]},
        "subject": {"reference": "Patient/ada"},
        "content": [{"attachment": {"contentType": "text/plain", "data": "aGVsbG8="}}],
        "context": {"period": {"start": "2020-03-01", "end": "2020-03-02"}},
    }
    await put(ward, note)
    base = "/fhir/DocumentReference/$docref?patient=ada"
    assert keys(await ward.get(base)) == ["DocumentReference/d1"]
    assert keys(await ward.get(f"{base}&start=2020-02-01&end=2020-04-01&type={LOINC}|11506-3")) == [
        "DocumentReference/d1"
    ]
    assert keys(await ward.get(f"{base}&start=2021-01-01")) == []
    assert keys(await ward.get(f"{base}&type={LOINC}|1-8")) == []
    assert (await ward.get("/fhir/DocumentReference/$docref")).status_code == 400
    assert (await ward.get(f"{base}&on-demand=true")).status_code == 400
    assert (await ward.get("/fhir/DocumentReference/$docref?patient=nobody")).status_code == 404


LABEL = {"system": "http://terminology.hl7.org/CodeSystem/v3-Confidentiality", "code": "R"}
TAG = {"system": "http://example.org/tags", "code": "seen"}


def meta(**lists: Any) -> dict[str, Any]:
    return {"resourceType": "Parameters", "parameter": [{"name": "meta", "valueMeta": lists}]}


async def test_meta_is_added_read_and_taken_away(ward: Client, client_of: ClientOf) -> None:
    added = await ward.post("/fhir/Observation/o1/$meta-add", json=meta(tag=[TAG], security=[LABEL]))
    assert added.status_code == 200
    again = await ward.post("/fhir/Observation/o1/$meta-add", json=meta(tag=[TAG]))
    assert again.json()["parameter"][0]["valueMeta"]["tag"] == [TAG]
    for address in ("Observation/o1/$meta", "Observation/$meta", "$meta", "Observation/o1/_history/2/$meta"):
        answer = await ward.get(f"/fhir/{address}")
        assert answer.json()["parameter"][0]["valueMeta"]["security"] == [LABEL], address
    clinician = await client_of("clinician")
    assert (
        await clinician.post("/fhir/Observation/o1/$meta-delete", json=meta(security=[LABEL]))
    ).status_code == 403
    gone = await ward.post("/fhir/Observation/o1/$meta-delete", json=meta(security=[LABEL], tag=[TAG]))
    assert "security" not in gone.json()["parameter"][0]["valueMeta"]


async def test_an_update_that_leaves_labels_out_does_not_take_them_away(ward: Client) -> None:
    await put(ward, observation("o9", "ada", "718-7", "2020-01-01", meta={"security": [LABEL]}))
    await put(ward, observation("o9", "ada", "718-7", "2020-01-02", meta={"tag": [TAG]}))
    now = (await ward.get("/fhir/Observation/o9")).json()
    assert now["meta"]["security"] == [LABEL]
    assert now["effectiveDateTime"] == "2020-01-02"


async def test_an_operation_elsewhere_or_by_the_wrong_method_is_refused(ward: Client) -> None:
    assert (await ward.get("/fhir/Observation/o1/$everything")).status_code == 404
    assert (await ward.get("/fhir/$nothing")).status_code == 404
    assert (await ward.get("/fhir/Observation/o1/$meta-add")).status_code == 405
    assert (await ward.put("/fhir/Observation/$lastn", json={})).status_code == 405
    assert (
        await ward.post("/fhir/Observation/o1/$meta-add", json={"resourceType": "Parameters"})
    ).status_code == 400
