"""The due table follows the record: a change, a correction, a day, a death; one patient at a time, and only once."""

from __future__ import annotations

import asyncio
import gzip
import json
from datetime import UTC, datetime
from decimal import Decimal
from typing import Any

import pytest

from commonchart.access import users
from commonchart.access.due import Filters, due_of, registry
from commonchart.access.records import Delete, Put, Records
from commonchart.fhir import json as fhir_json
from commonchart.fhir.links import rewrite
from commonchart.fhir.outcome import Forbidden, NotFound
from commonchart.fhir.validate import validate
from commonchart.jobs import due, worker
from commonchart.record import changes
from commonchart.record.database import Database
from tests.conftest import Clock
from tests.shared import shared_data

PATIENT = {"resourceType": "Patient", "id": "ada", "birthDate": "1970-05-10", "gender": "female"}
DIABETES = {
    "resourceType": "Condition", "id": "dm", "subject": {"reference": "Patient/ada"}, "onsetDateTime": "2014",
    "clinicalStatus": {"coding": [{"system": "http://terminology.hl7.org/CodeSystem/condition-clinical", "code": "active"}]},
    "code": {"coding": [{"system": "http://snomed.info/sct", "code": "44054006"}], "text": "Diabetes"},
}  # fmt: skip


def a1c(value: float, status: str = "final", when: str = "2026-11-01") -> dict[str, Any]:
    return {
        "resourceType": "Observation", "id": "a1c", "status": status, "subject": {"reference": "Patient/ada"},
        "code": {"coding": [{"system": "http://loinc.org", "code": "4548-4"}], "text": "HbA1c"}, "effectiveDateTime": when,
        "valueQuantity": {"value": Decimal(str(value)), "unit": "%", "system": "http://unitsofmeasure.org", "code": "%"},
    }  # fmt: skip


@pytest.fixture
def records(database: Database, clock: Clock) -> Records:
    return Records(database, users.system(1, "test"), clock)


async def put(records: Records, *resources: dict[str, Any]) -> None:
    await records.commit([Put(validate(one), one["id"]) for one in resources])


async def settle(database: Database, clock: Clock) -> int:
    """Let the worker finish; transactions of other databases on the server hold the feed's horizon too."""
    done = 0
    for _ in range(200):
        done += await worker.drain(database, clock)
        async with database.connection() as conn:
            if not await changes.waiting(conn, due.CURSOR):
                break
        await asyncio.sleep(0.02)
    return done


async def status(records: Records, clock: Clock, rule: str = "a1c") -> str:
    await settle(records.database, clock)
    return next((row.status for row in await due_of(records, "ada") if row.rule == rule), "no row")


async def test_a_new_fact_changes_the_answer(records: Records, clock: Clock) -> None:
    await put(records, PATIENT)
    assert await status(records, clock) == "no row"
    await put(records, DIABETES)
    assert await status(records, clock) == "overdue"
    await put(records, a1c(6.5))
    assert await status(records, clock) == "up-to-date"


async def test_an_error_takes_back_what_relied_on_it(records: Records, clock: Clock) -> None:
    await put(records, PATIENT, DIABETES, a1c(6.5))
    assert await status(records, clock) == "up-to-date"
    await put(records, a1c(6.5, status="entered-in-error"))
    assert await status(records, clock) == "overdue"
    await put(records, a1c(6.5, status="corrected"))
    assert await status(records, clock) == "up-to-date"
    await records.commit([Delete("Observation", "a1c")])
    assert await status(records, clock) == "overdue"


async def test_a_drug_behind_a_reference_and_a_decision_are_read(records: Records, clock: Clock) -> None:
    who = {"subject": {"reference": "Patient/ada"}, "status": "active"}
    code = {"coding": [{"system": "http://www.nlm.nih.gov/research/umls/rxnorm", "code": "11289"}]}
    order = {
        "resourceType": "MedicationRequest", "id": "rx", "intent": "order", "authoredOn": "2026-10-01",
        "medicationReference": {"reference": "Medication/warfarin"},
    }  # fmt: skip
    put_off = {
        "resourceType": "ServiceRequest", "id": "later", "intent": "plan", "doNotPerform": True, "authoredOn": "2026-11-01",
        "code": {"coding": [{"system": "https://commonchart.example/rule", "code": "inr"}]}, "occurrencePeriod": {"end": "2027-03-01"},
    }  # fmt: skip
    await put(records, PATIENT, {"resourceType": "Medication", "id": "warfarin", "code": code}, order | who)
    assert await status(records, clock, "inr") == "overdue"
    await put(records, put_off | who)
    assert await status(records, clock, "inr") == "deferred"


async def test_time_passing_is_enough(records: Records, clock: Clock) -> None:
    await put(records, PATIENT, DIABETES, a1c(6.5))
    assert await status(records, clock) == "up-to-date"
    clock.set(datetime(2027, 5, 2, tzinfo=UTC))
    assert await status(records, clock) == "due"
    clock.set(datetime(2027, 7, 2, tzinfo=UTC))
    assert await status(records, clock) == "overdue"


async def test_the_dead_leave_the_list(records: Records, clock: Clock) -> None:
    await put(records, PATIENT, DIABETES)
    await settle(records.database, clock)
    await put(records, PATIENT | {"deceasedDateTime": "2026-11-10"})
    await settle(records.database, clock)
    assert await due_of(records, "ada") == []


async def test_nothing_is_done_twice_and_a_fact_of_another_patient_touches_nobody_else(
    records: Records, clock: Clock
) -> None:
    await put(records, PATIENT, DIABETES)
    assert await settle(records.database, clock) == 2
    before = await due_of(records, "ada")
    clock.advance(minutes=5)
    await put(records, PATIENT | {"id": "bob"})
    assert await settle(records.database, clock) == 1
    assert await settle(records.database, clock) == 0
    assert await due_of(records, "ada") == before


async def test_a_worker_that_dies_midway_loses_nothing(
    records: Records, clock: Clock, monkeypatch: pytest.MonkeyPatch
) -> None:
    await settle(records.database, clock)
    await put(records, PATIENT, DIABETES)

    async def broken(*_: object) -> None:
        raise RuntimeError

    with monkeypatch.context() as patch:
        patch.setattr(changes, "advance", broken)
        with pytest.raises(RuntimeError):
            await due.follow(records.database, clock())
    assert await due_of(records, "ada") == []
    assert await status(records, clock) == "overdue"


async def test_the_registry_counts_what_it_lists(records: Records, clock: Clock) -> None:
    await put(
        records, PATIENT, DIABETES, PATIENT | {"id": "bob", "gender": "male", "birthDate": "2020-01-01"}
    )
    await settle(records.database, clock)
    day = clock().date()
    whole = await registry(records, Filters(statuses=()), as_of=day, limit=500)
    assert whole.total == len(whole.rows) == sum(whole.statuses.values())
    narrow = await registry(
        records, Filters(rule="a1c", statuses=("overdue",), min_age=50, sex="female"), as_of=day
    )
    assert [(row.due.patient, row.due.rule) for row in narrow.rows] == [("ada", "a1c")]
    assert (await registry(records, Filters(min_age=57), as_of=day)).total == 0
    assert (await registry(records, Filters(statuses=(), max_age=6), as_of=day)).total > 0


async def test_patients_see_their_own_list_and_no_registry(
    records: Records, database: Database, clock: Clock
) -> None:
    from tests.actors import front_desk, patient_of

    await put(records, PATIENT, DIABETES)
    await settle(database, clock)
    own = Records(database, patient_of("ada"), clock)
    other = Records(database, patient_of("bob"), clock)
    assert await due_of(own, "ada")
    with pytest.raises(NotFound):
        await due_of(other, "ada")
    with pytest.raises(NotFound):
        await registry(own, Filters(), as_of=clock().date())
    with pytest.raises(Forbidden):
        await due_of(Records(database, front_desk(), clock), "ada")


async def test_everyone_in_synthea_with_diabetes_or_hypertension_is_monitored(
    records: Records, clock: Clock
) -> None:
    """44054006 must bring the monitoring of diabetes, 38341003 that of hypertension (issue 2, item 8)."""
    files = sorted(shared_data("synthea").glob("*.json.gz"))
    wanted = {"44054006": {"a1c", "egfr", "uacr", "blood-pressure"}, "38341003": {"egfr", "blood-pressure"}}
    seen = 0
    for file in files:
        bundle = fhir_json.decode(gzip.decompress(file.read_bytes()))
        resources = [entry["resource"] for entry in bundle["entry"]]
        active = {
            coding["code"]
            for one in resources
            if one["resourceType"] == "Condition" and "abatementDateTime" not in one
            for coding in one["code"]["coding"]
        }
        if not active & set(wanted):
            continue
        mapping = {
            e["fullUrl"]: f"{e['resource']['resourceType']}/{e['resource']['id']}" for e in bundle["entry"]
        }
        kept = [one for one in resources if one["resourceType"] in ("Patient", "Condition", "Observation")]
        await put(records, *(rewrite(one, mapping).resource for one in kept))
        await settle(records.database, clock)
        patient = next(one for one in resources if one["resourceType"] == "Patient")
        if "deceasedDateTime" in patient:
            continue
        rows = {row.rule: row for row in await due_of(records, patient["id"])}
        for code in active & set(wanted):
            seen += 1
            for rule in wanted[code]:
                assert rows[rule].status not in ("not-applicable",), (file.name, rule)
                assert json.loads(rows[rule].why)["because"]
    assert seen >= 10
