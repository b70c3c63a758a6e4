"""Medication alerts follow the record: imports, allergies, corrections, days, approvals; once, and also after a crash."""

from __future__ import annotations

from typing import Any

import pytest

from commonchart.access import users
from commonchart.access.medications import standing
from commonchart.access.medications.approvals import approve
from commonchart.access.medications.standing import Whole, whole
from commonchart.access.records import Delete, Put, Records
from commonchart.access.writes import write_of
from commonchart.fhir.validate import validate
from commonchart.jobs import medications
from commonchart.record import changes
from commonchart.record.database import Database
from tests.access.medications.people import ADA, allergy, order, put
from tests.actors import clinician
from tests.conftest import Clock


@pytest.fixture
def loader(database: Database, clock: Clock) -> Records:
    return Records(database, users.system(1, "load"), clock)


async def seen(loader: Records, patient: str = "ada") -> Whole:
    """What a clinician is shown once the worker is done."""
    for _ in range(200):
        await medications.drain(loader.database, loader.clock())
        async with loader.database.single() as conn:
            if not await changes.waiting(conn, medications.CURSOR):
                break
    return await whole(Records(loader.database, clinician(), loader.clock), patient)


def serious(found: Whole) -> list[str]:
    return [one.alert.rule for one in found.open if one.serious]


async def test_an_import_raises_what_nobody_was_asked_about(loader: Records) -> None:
    await put(loader, ADA, order("n", "Nitroglycerin"), order("s", "Sildenafil"), allergy("p", "Penicillin"))
    found = await seen(loader)
    assert len(serious(found)) == 1
    assert found.lines[0].startswith("Checked 2 medications and 1 allergy")


async def test_what_the_loader_prepared_elsewhere_is_reviewed_too(loader: Records) -> None:
    bodies = [ADA, order("n", "Nitroglycerin"), order("s", "Sildenafil")]
    async with loader.transaction(source="clinic-b") as tx:
        await tx.write_prepared([write_of(Put(validate(one), one["id"]), loader.clock()) for one in bodies])
    assert len(serious(await seen(loader))) == 1


async def test_a_new_allergy_meets_what_is_taken_and_its_end_closes_the_alert(
    loader: Records, clock: Clock
) -> None:
    await put(loader, ADA, order("a", "Amoxicillin 500 mg capsule"))
    assert not serious(await seen(loader))
    await put(loader, allergy("pen", "Penicillin"))
    assert serious(await seen(loader)) == ["allergy-class"]
    clock.advance(hours=1)
    wrong = {
        "coding": [
            {
                "system": "http://terminology.hl7.org/CodeSystem/allergyintolerance-verification",
                "code": "entered-in-error",
            }
        ]
    }
    body = {k: v for k, v in allergy("pen", "Penicillin").items() if k != "clinicalStatus"}
    await put(loader, body | {"verificationStatus": wrong})
    found = await seen(loader)
    assert not found.alerts
    assert "Left out: allergy to Penicillin: entered in error" in found.lines


async def test_stopping_or_deleting_the_cause_closes_it_and_its_return_opens_it_anew(
    loader: Records, clock: Clock
) -> None:
    await put(loader, ADA, order("n", "Nitroglycerin"), order("s", "Sildenafil"))
    first = (await seen(loader)).open[0]
    await standing.answer(Records(loader.database, clinician(), clock), "ada", first.key, "spoken to")
    assert not serious(await seen(loader))
    clock.advance(hours=1)
    await loader.commit([Delete("MedicationRequest", "s")])
    assert not (await seen(loader)).alerts
    clock.advance(hours=1)
    await put(loader, order("s", "Sildenafil"))
    (again,) = [one for one in (await seen(loader)).open if one.serious]
    assert again.opened == clock()  # decided before does not mean decided now


async def test_an_answer_outlives_another_review_of_the_same(loader: Records, clock: Clock) -> None:
    await put(loader, ADA, order("n", "Nitroglycerin"), order("s", "Sildenafil"))
    key = next(one.key for one in (await seen(loader)).open if one.serious)
    await standing.answer(Records(loader.database, clinician(), clock), "ada", key, "spoken to")
    await put(loader, order("m", "Metformin 500 mg"))
    assert not serious(await seen(loader))


async def test_linked_records_are_one_person(loader: Records) -> None:
    other = {**ADA, "id": "ada2"}
    sildenafil = order("s", "Sildenafil") | {"subject": {"reference": "Patient/ada2"}}
    await put(loader, ADA, other, order("n", "Nitroglycerin"), sildenafil)
    assert not serious(await seen(loader))
    async with loader.database.connection() as conn:
        await conn.execute(
            "INSERT INTO person_link (tenant, patient, person, linked_at, actor, reason) "
            "SELECT 1, patient, 'one', now(), 'test', 'same' FROM unnest(ARRAY['ada', 'ada2']) AS k(patient)"
        )
    await put(loader, order("m", "Metformin"))
    assert len(serious(await seen(loader, "ada"))) == 1
    assert len(serious(await seen(loader, "ada2"))) == 1


async def test_a_new_diagnosis_and_a_new_result_are_reviewed_only_where_something_is_taken(
    loader: Records,
) -> None:
    await put(loader, ADA, {**ADA, "id": "bob"}, order("m", "Metformin 500 mg"))
    await seen(loader)
    condition: dict[str, Any] = {
        "resourceType": "Condition", "code": {"text": "Asthma"},
        "clinicalStatus": {"coding": [{"system": "http://terminology.hl7.org/CodeSystem/condition-clinical", "code": "active"}]},
    }  # fmt: skip
    egfr = {
        "resourceType": "Observation", "id": "e", "status": "final", "subject": {"reference": "Patient/ada"},
        "code": {"coding": [{"system": "http://loinc.org", "code": "98979-8"}]}, "effectiveDateTime": "2026-11-17",
        "valueQuantity": {"value": 25, "unit": "mL/min/{1.73_m2}", "system": "http://unitsofmeasure.org", "code": "mL/min/{1.73_m2}"},
    }  # fmt: skip
    await put(loader, condition | {"id": "b", "subject": {"reference": "Patient/bob"}}, egfr)
    found = await seen(loader)
    assert any(one.alert.kind == "renal" for one in found.alerts)
    async with loader.database.single() as conn:
        rows = await conn.fetch(
            "SELECT patients FROM audit WHERE action = 'review-medications' ORDER BY seq DESC LIMIT 1"
        )
    assert rows[0][0] == ["ada"]


async def test_a_medication_that_becomes_another_is_another_for_everybody_who_takes_it(
    loader: Records,
) -> None:
    kind = {"resourceType": "Medication", "id": "d", "code": {"text": "Metformin"}}
    refers = {k: v for k, v in order("s", "").items() if k != "medicationCodeableConcept"}
    await put(
        loader,
        ADA,
        kind,
        refers | {"medicationReference": {"reference": "Medication/d"}},
        order("n", "Nitroglycerin"),
    )
    assert not serious(await seen(loader))
    await put(loader, kind | {"code": {"text": "Sildenafil"}})
    assert len(serious(await seen(loader))) == 1


async def test_a_day_that_ends_a_washout_closes_the_alert(loader: Records, clock: Clock) -> None:
    ended = order("p", "Phenelzine 15 mg", status="stopped", authoredOn="2026-11-01")
    until = {"timing": {"repeat": {"boundsPeriod": {"end": "2026-11-10"}}}}
    await put(loader, ADA, ended | {"dosageInstruction": [until]}, order("z", "Sertraline 50 mg"))
    assert serious(await seen(loader)) == ["onc-4-ssri-maoi"]
    clock.advance(days=20)
    assert not serious(await seen(loader))


async def test_an_approval_is_felt_by_everybody_at_once(loader: Records, clock: Clock) -> None:
    await put(loader, ADA, order("f", "Fentanyl 25 mcg/hr transdermal patch", "1 patch every 3 days"))
    assert not serious(await seen(loader))
    await approve(Records(loader.database, clinician(), clock), "fentanyl-patch-naive", "label of 2023")
    assert serious(await seen(loader)) == ["fentanyl-patch-naive"]


async def test_a_crash_in_the_middle_loses_and_doubles_nothing(
    loader: Records, monkeypatch: pytest.MonkeyPatch
) -> None:
    bodies = [{**ADA, "id": f"p{n}"} for n in range(4)]
    for n in range(4):
        bodies += [
            order(f"{kind}{n}", kind) | {"subject": {"reference": f"Patient/p{n}"}}
            for kind in ("Nitroglycerin", "Sildenafil")
        ]
    await put(loader, *bodies)
    right, calls = standing.refresh, 0

    async def dying(*given: Any) -> None:
        nonlocal calls
        calls += 1
        if calls == 3:
            raise RuntimeError("killed")
        await right(*given)

    monkeypatch.setattr(standing, "refresh", dying)
    for _ in range(50):  # other databases on the server hold the feed's horizon too
        try:
            await medications.drain(loader.database, loader.clock())
        except RuntimeError:
            break
    async with loader.database.single() as conn:
        assert await conn.fetch("SELECT 1 FROM medication_review") == []  # all or nothing of a round
    for n in range(4):
        assert len(serious(await seen(loader, f"p{n}"))) == 1
    async with loader.database.single() as conn:
        assert (await conn.fetch("SELECT count(*) FROM medication_alert WHERE tier = 'interrupt'"))[0][0] == 4


async def test_a_deleted_patient_leaves_no_alert(loader: Records) -> None:
    await put(loader, ADA, order("n", "Nitroglycerin"), order("s", "Sildenafil"))
    await seen(loader)
    await loader.commit([Delete("MedicationRequest", "n"), Delete("MedicationRequest", "s")])
    await loader.commit([Delete("Patient", "ada")])
    await seen(loader)
    async with loader.database.single() as conn:
        assert await conn.fetch("SELECT 1 FROM medication_alert WHERE closed IS NULL") == []
        assert await conn.fetch("SELECT 1 FROM medication_review") == []
