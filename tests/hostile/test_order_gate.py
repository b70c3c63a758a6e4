"""Attempts to order past an alert: by every door of the API, by patch, by text, by a reason made up beforehand (hostile D5)."""

from __future__ import annotations

import json
from typing import Any

import httpx
import pytest

from commonchart.access import users
from commonchart.access.medications.gate import OVERRIDE
from commonchart.access.medications.standing import whole
from commonchart.access.records import Records
from commonchart.jobs import medications
from commonchart.record.database import Database
from tests.access.medications.people import ADA, allergy, order, put
from tests.actors import clinician
from tests.conftest import Clock
from tests.rest.conftest import ClientOf, application, client_of

__all__ = ["application", "client_of"]

BAD = order("s", "Sildenafil 50 mg tablet")


@pytest.fixture
async def doctor(client_of: ClientOf, database: Database, clock: Clock) -> httpx.AsyncClient:
    """A clinician's client, with somebody who takes nitroglycerin."""
    await put(
        Records(database, users.system(1, "seed"), clock),
        ADA,
        order("n", "Nitroglycerin"),
        allergy("p", "Penicillin"),
    )
    return await client_of("clinician")


def override(body: dict[str, Any], digest: str, reason: str) -> dict[str, Any]:
    parts = [{"url": "alerts", "valueString": digest}, {"url": "reason", "valueString": reason}]
    return body | {"extension": [{"url": OVERRIDE, "extension": parts}]}


def digest_in(answer: httpx.Response) -> str:
    text = next(one["diagnostics"] for one in answer.json()["issue"] if OVERRIDE in one["diagnostics"])
    return str(text).split('"alerts" ')[1].split()[0]


def bundle(kind: str, *bodies: dict[str, Any]) -> dict[str, Any]:
    entries = [
        {"resource": one, "request": {"method": "PUT", "url": f"{one['resourceType']}/{one['id']}"}}
        for one in bodies
    ]
    return {"resourceType": "Bundle", "type": kind, "entry": entries}


async def absent(doctor: httpx.AsyncClient, id: str = "s") -> bool:
    return (await doctor.get(f"/fhir/MedicationRequest/{id}")).status_code == 404


async def test_create_and_update_are_stopped_and_say_how_to_go_on(doctor: httpx.AsyncClient) -> None:
    bare = {k: v for k, v in BAD.items() if k != "id"}
    created = await doctor.post("/fhir/MedicationRequest", json=bare)
    assert created.status_code == 422
    assert created.json()["issue"][0]["code"] == "business-rule"
    assert (await doctor.put("/fhir/MedicationRequest/s", json=BAD)).status_code == 422
    assert await absent(doctor)
    digest = digest_in(created)
    gone_on = await doctor.post("/fhir/MedicationRequest", json=override(bare, digest, "told not to combine"))
    assert gone_on.status_code == 201, gone_on.text
    assert gone_on.json()["extension"][0]["url"] == OVERRIDE  # the reason travels with the order


async def test_a_reason_made_up_beforehand_is_none(doctor: httpx.AsyncClient) -> None:
    for digest in ("", "x", "0" * 32):
        body = override(BAD, digest or "none", "because")
        assert (await doctor.put("/fhir/MedicationRequest/s", json=body)).status_code == 422
    assert await absent(doctor)


async def test_what_another_was_shown_is_not_what_i_was_shown(
    doctor: httpx.AsyncClient, client_of: ClientOf
) -> None:
    digest = digest_in(await doctor.put("/fhir/MedicationRequest/s", json=BAD))
    other = await client_of("clinician")
    assert (
        await other.put("/fhir/MedicationRequest/s", json=override(BAD, digest, "because"))
    ).status_code == 422


async def test_a_batch_stops_only_what_is_dangerous(doctor: httpx.AsyncClient) -> None:
    answer = await doctor.post("/fhir", json=bundle("batch", order("m", "Metformin 500 mg"), BAD))
    statuses = [one["response"]["status"][:3] for one in answer.json()["entry"]]
    assert statuses == ["201", "422"]
    assert await absent(doctor)


async def test_a_transaction_is_stopped_as_a_whole_also_where_its_own_entries_conflict(
    doctor: httpx.AsyncClient,
) -> None:
    both = bundle("transaction", order("a", "Phenelzine 15 mg"), order("b", "Sertraline 50 mg"))
    assert (await doctor.post("/fhir", json=both)).status_code == 422
    assert await absent(doctor, "a")
    assert await absent(doctor, "b")
    late = bundle("transaction", allergy("w", "Warfarin"), order("w", "Warfarin 5 mg"))
    assert (await doctor.post("/fhir", json=late)).status_code == 422


async def test_ending_the_other_in_the_same_transaction_is_an_order_changed(
    doctor: httpx.AsyncClient,
) -> None:
    stopped = order("n", "Nitroglycerin", status="cancelled")
    answer = await doctor.post("/fhir", json=bundle("transaction", stopped, BAD))
    assert answer.status_code == 200, answer.text


@pytest.mark.parametrize(
    ("kind", "body"),
    [
        ("application/json-patch+json", [{"op": "replace", "path": "/status", "value": "active"}]),
        ("application/merge-patch+json", {"status": "active"}),
    ],
    ids=["json patch", "merge patch"],
)
async def test_a_draft_made_active_by_a_patch_is_an_order(
    doctor: httpx.AsyncClient, kind: str, body: Any
) -> None:
    assert (await doctor.put("/fhir/MedicationRequest/s", json=BAD | {"status": "draft"})).status_code == 201
    patched = await doctor.patch(
        "/fhir/MedicationRequest/s", content=json.dumps(body), headers={"content-type": kind}
    )
    assert patched.status_code == 422
    assert (await doctor.get("/fhir/MedicationRequest/s")).json()["status"] == "draft"


async def test_another_medicine_under_an_old_order_is_an_order(doctor: httpx.AsyncClient) -> None:
    assert (
        await doctor.put("/fhir/MedicationRequest/m", json=order("m", "Metformin 500 mg"))
    ).status_code == 201
    changed = order("m", "Sildenafil 50 mg tablet")
    assert (await doctor.put("/fhir/MedicationRequest/m", json=changed)).status_code == 422


async def test_an_order_moved_to_another_patient_is_an_order_of_theirs(doctor: httpx.AsyncClient) -> None:
    other = {**ADA, "id": "bob"}
    assert (await doctor.put("/fhir/Patient/bob", json=other)).status_code == 201
    theirs = BAD | {"subject": {"reference": "Patient/bob"}}
    assert (await doctor.put("/fhir/MedicationRequest/s", json=theirs)).status_code == 201
    assert (await doctor.put("/fhir/MedicationRequest/s", json=BAD)).status_code == 422


@pytest.mark.parametrize("reference", ["http://test/fhir/Patient/ada", "Patient/ada/_history/1"])
async def test_no_spelling_of_the_patient_is_a_way_around(doctor: httpx.AsyncClient, reference: str) -> None:
    answer = await doctor.put("/fhir/MedicationRequest/s", json=BAD | {"subject": {"reference": reference}})
    stored = await doctor.get("/fhir/MedicationRequest?patient=ada&_id=s")
    assert stored.json().get("total", 0) == 0 or not stored.json().get("entry"), answer.text


async def test_conditional_writes_are_no_way_around(doctor: httpx.AsyncClient) -> None:
    bare = {k: v for k, v in BAD.items() if k != "id"} | {"identifier": [{"system": "urn:x", "value": "1"}]}
    answer = await doctor.put("/fhir/MedicationRequest?identifier=urn:x|1", json=bare)
    assert answer.status_code == 422
    once = await doctor.post(
        "/fhir/MedicationRequest", json=bare, headers={"if-none-exist": "identifier=urn:x|1"}
    )
    assert once.status_code == 422


async def test_a_drug_known_by_text_alone_is_stopped_by_its_name_or_told_not_checked(
    doctor: httpx.AsyncClient,
) -> None:
    assert (
        await doctor.put("/fhir/MedicationRequest/s", json=order("s", "the blue VIAGRA, 50 mg"))
    ).status_code == 422
    answer = await doctor.put(
        "/fhir/MedicationRequest/b",
        json=order("b", "blue pill"),
        headers={"prefer": "return=OperationOutcome"},
    )
    assert answer.status_code == 201
    told = [one["diagnostics"] for one in answer.json()["issue"]]
    assert 'NOT CHECKED: no code for "blue pill"' in told


async def test_what_a_program_stores_is_raised_and_not_accepted_in_silence(
    doctor: httpx.AsyncClient, database: Database, clock: Clock
) -> None:
    await put(Records(database, users.system(1, "interface"), clock), BAD)
    await medications.drain(database, clock())
    found = await whole(Records(database, clinician(), clock), "ada")
    assert found.open[0].alert.tier == "interrupt"
