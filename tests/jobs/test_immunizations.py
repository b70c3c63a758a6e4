"""Vaccines in the due table: from the record, by the schedule in use, again when a fact, a day or the schedule changes."""

from __future__ import annotations

import json
from datetime import date, timedelta
from typing import Any

import pytest
from msgspec.structs import replace

from commonchart.access import schedules
from commonchart.access.records import Put, Records
from commonchart.care.immunizations import pack as packs
from commonchart.fhir.validate import validate
from commonchart.jobs import worker
from commonchart.record import due
from commonchart.record.database import Database
from commonchart.record.due import DueRow
from tests.actors import administrator, clinician
from tests.conftest import Clock

CVX = "http://hl7.org/fhir/sid/cvx"


def person(id: str, **more: Any) -> dict[str, Any]:
    return {"resourceType": "Patient", "id": id, "birthDate": "2022-07-02", "gender": "male"} | more


def dose(id: str, cvx: str, day: str, **more: Any) -> dict[str, Any]:
    return {
        "resourceType": "Immunization", "id": id, "status": "completed", "occurrenceDateTime": day,
        "vaccineCode": {"coding": [{"system": CVX, "code": cvx}]}, "patient": {"reference": "Patient/otto"},
    } | more  # fmt: skip


async def keep(database: Database, clock: Clock, *bodies: dict[str, Any]) -> None:
    records = Records(database, clinician(), clock)
    await records.commit([Put(validate(body), body["id"]) for body in bodies])
    await worker.drain(database, clock)


async def rows(database: Database, patient: str = "otto") -> dict[str, DueRow]:
    async with database.connection() as conn:
        found = await due.of_patient(conn, 1, patient)
    return {row.rule: row for row in found if row.kind == "immunization"}


async def test_a_toddler_behind_schedule(database: Database, clock: Clock) -> None:
    await keep(
        database, clock, person("otto"), dose("m0", "03", "2023-06-27"), dose("m1", "03", "2023-12-12")
    )
    found = await rows(database)
    mmr = found["imm-mmr"]
    assert (mmr.title, mmr.status, mmr.due_on) == ("MMR, dose 2", "due", date(2026, 7, 2))
    why = json.loads(mmr.why)
    assert [used["link"] for used in why["used"]] == ["Immunization/m1"]
    assert [
        (one["link"], "5 days before the minimum age of 12 months" in one["reason"]) for one in why["unused"]
    ] == [("Immunization/m0", True)]
    assert "CDC 4.64" in why["authority"]
    assert found["imm-polio"].status == "overdue"
    assert found["imm-hpv"].status == "up-to-date"
    assert found["imm-hpv"].until is not None


async def test_a_dose_closes_its_item_and_an_error_opens_it_again(database: Database, clock: Clock) -> None:
    await keep(
        database, clock, person("otto"), dose("m1", "03", "2023-12-12"), dose("m2", "03", "2026-11-17")
    )
    assert (await rows(database))["imm-mmr"].status == "up-to-date"
    await keep(database, clock, dose("m2", "03", "2026-11-17", status="entered-in-error"))
    assert (await rows(database))["imm-mmr"].status == "due"


async def test_time_alone_makes_a_dose_due(database: Database, clock: Clock) -> None:
    clock.set(clock.now.replace(year=2026, month=6, day=20))
    await keep(database, clock, person("otto"), dose("m1", "03", "2023-12-12"))
    assert (await rows(database))["imm-mmr"].status == "due-soon"
    clock.advance(days=13)
    await worker.drain(database, clock)
    assert (await rows(database))["imm-mmr"].status == "due"


async def test_a_titre_and_an_allergy_are_seen(database: Database, clock: Clock) -> None:
    """Evidence of immunity by a coded result, which no screening rule asks for."""
    schedule = packs.load()
    code = next(code for (system, code), names in schedule.coded.items()
                if system == "http://snomed.info/sct" and set(names) & set(schedule.antigens["HepA"].immune_if))  # fmt: skip
    immune = {
        "resourceType": "Observation", "id": "t", "status": "final", "effectiveDateTime": "2025-01-01",
        "subject": {"reference": "Patient/otto"}, "code": {"text": "Hepatitis A immunity"},
        "valueCodeableConcept": {"coding": [{"system": "http://snomed.info/sct", "code": code}]},
    }  # fmt: skip
    await keep(database, clock, person("otto"), immune)
    hepatitis = (await rows(database))["imm-hepa"]
    assert hepatitis.status == "up-to-date"
    assert "mmune" in json.loads(hepatitis.why)["because"]


async def test_without_a_birth_date_nothing_is_claimed(database: Database, clock: Clock) -> None:
    await keep(database, clock, {"resourceType": "Patient", "id": "otto"})
    found = await rows(database)
    assert {rule: row.status for rule, row in found.items()} == {"imm-all": "cannot-tell"}


@pytest.mark.parametrize("died", [{"deceasedBoolean": True}, {"deceasedDateTime": "2026-01-01"}])
async def test_nobody_who_died_is_due(database: Database, clock: Clock, died: dict[str, Any]) -> None:
    await keep(database, clock, person("otto", **died))
    assert await rows(database) == {}


async def test_another_schedule_counts_from_its_day_on(database: Database, clock: Clock) -> None:
    await keep(database, clock, person("otto"))
    boxed = packs.found(packs.BUILT_IN)
    other = replace(boxed, name="aap", source=replace(boxed.source, authority="AAP", version="2026"))
    records = Records(database, administrator(), clock)
    await schedules.install(records, packs.checked(other))
    await schedules.use(records, "aap", clock.now.date() + timedelta(days=1))
    await worker.drain(database, clock)
    assert {row.pack for row in (await rows(database)).values()} == {packs.BUILT_IN}
    clock.advance(days=1)
    await worker.drain(database, clock)
    found = await rows(database)
    assert {row.pack for row in found.values()} == {"aap"}
    assert "AAP 2026" in json.loads(found["imm-mmr"].why)["authority"]
