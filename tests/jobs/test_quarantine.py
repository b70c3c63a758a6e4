"""Results in quarantine: kept by the worker, decided by clinicians, asked again for a new version; nothing silent."""

from __future__ import annotations

from decimal import Decimal
from typing import Any

import pytest
from msgspec.structs import replace

from commonchart.access import quarantine, users
from commonchart.access.quarantine import Choice
from commonchart.access.records import Delete, Put, Records
from commonchart.care.labels import mask
from commonchart.fhir import json
from commonchart.fhir.outcome import Conflict, Forbidden, Invalid, NotFound
from commonchart.fhir.validate import validate
from commonchart.jobs import quarantine as settling
from commonchart.jobs import worker
from commonchart.jobs.quarantine import Correction
from commonchart.record.database import Database
from tests.actors import clinician, front_desk, patient_of
from tests.conftest import Clock
from tests.jobs.test_due import DIABETES, PATIENT, a1c, put, status

KEY = ("ada", "Observation", "a1c")


@pytest.fixture
def records(database: Database, clock: Clock) -> Records:
    return Records(database, clinician(), clock)


async def waiting(records: Records) -> list[tuple[str, str, int]]:
    return [(one.doubt.id, one.doubt.kind, one.doubt.vid) for one in (await quarantine.listed(records)).rows]


async def doubtful(records: Records, clock: Clock, **how: Any) -> None:
    await put(records, PATIENT, DIABETES, a1c(42, **how))
    assert await status(records, clock) == "overdue"


def choice(decision: Any, vid: int = 1, comment: str = "the laboratory confirmed it") -> Choice:
    return Choice(decision, vid, comment)


async def settle(records: Records, decision: Any, vid: int = 1) -> None:
    await settling.settle(records, [KEY], [choice(decision, vid)])


async def test_a_doubtful_result_waits_and_leaves_when_it_is_taken_back(
    records: Records, clock: Clock
) -> None:
    await doubtful(records, clock)
    assert await waiting(records) == [("a1c", "implausible", 1)]
    await put(records, a1c(42, status="entered-in-error"))
    assert await status(records, clock) == "overdue"
    assert await waiting(records) == []
    await put(records, a1c(42, status="corrected"))
    await status(records, clock)
    assert await waiting(records) == [("a1c", "implausible", 3)]
    await records.commit([Delete("Observation", "a1c")])
    await status(records, clock)
    assert await waiting(records) == []


async def test_a_release_counts_at_once_and_can_be_undone(records: Records, clock: Clock) -> None:
    await doubtful(records, clock)
    before = [(one.rule, one.status, one.why) for one in await _due(records)]
    await settle(records, "released")
    assert "up-to-date" in [one.status for one in await _due(records) if one.rule == "a1c"]
    assert await waiting(records) == []
    assert (await quarantine.one(records, *KEY)).decided == "released"
    await settle(records, "undone")
    assert [(one.rule, one.status, one.why) for one in await _due(records)] == before
    assert await waiting(records) == [("a1c", "implausible", 1)]
    said = (await quarantine.one(records, *KEY)).answers
    assert [one.decision for one in said] == ["released", "undone"]


async def _due(records: Records) -> Any:
    from commonchart.access.due import due_of

    return await due_of(records, "ada")


async def test_a_new_version_asks_again(records: Records, clock: Clock) -> None:
    await doubtful(records, clock)
    await settle(records, "released")
    await put(records, a1c(43))
    assert await status(records, clock) == "overdue"
    assert await waiting(records) == [("a1c", "implausible", 2)]
    with pytest.raises(Conflict, match="has changed"):
        await settle(records, "released", vid=1)


async def test_a_rejected_result_stays_out_and_is_marked(records: Records, clock: Clock) -> None:
    await doubtful(records, clock)
    await settle(records, "rejected")
    assert await waiting(records) == []
    assert await status(records, clock) == "overdue"
    mark = (await quarantine.marks(records, "ada"))["Observation/a1c"]
    assert mark.rejected
    assert mark.vid == 1
    with pytest.raises(Conflict, match="not in quarantine"):
        await settle(records, "released")


async def test_a_time_and_a_unit_are_corrected_not_believed(records: Records, clock: Clock) -> None:
    future = a1c(6.5, when="2026-12-24")
    await put(records, PATIENT, DIABETES, future)
    assert await status(records, clock) == "overdue"
    with pytest.raises(Invalid, match="correct its date"):
        await settle(records, "released")
    made = await settling.correct(
        records, KEY, Correction(Decimal("6.5"), "%", clock().date()), choice("corrected"), "a1c"
    )
    assert made.vid == 2
    assert await status(records, clock) == "up-to-date"
    assert await waiting(records) == []
    body = json.decode(made.body or b"")
    assert body["status"] == "corrected"
    assert "2026-12-24" in body["note"][-1]["text"]
    nonsense = future | {
        "valueQuantity": {"value": Decimal(6), "unit": "furlong"},
        "effectiveDateTime": "2026-11-01",
    }
    await put(records, nonsense)
    assert await status(records, clock) == "cannot-tell"
    with pytest.raises(Invalid, match="known unit"):
        await settle(records, "released", vid=3)
    await settle(records, "rejected", vid=3)
    assert await status(records, clock) == "overdue"


async def test_a_correction_is_undone_by_the_version_before(records: Records, clock: Clock) -> None:
    await doubtful(records, clock)
    await settling.correct(records, KEY, Correction(Decimal("7.4"), "%"), choice("corrected"), "a1c")
    assert await waiting(records) == []
    await settling.restore(records, KEY, "it was no typing error")
    assert await waiting(records) == [("a1c", "implausible", 3)]
    with pytest.raises(Conflict):
        await settling.restore(records, KEY, "once more")


async def test_a_correction_that_is_implausible_asks_again(records: Records, clock: Clock) -> None:
    await doubtful(records, clock)
    await settling.correct(records, KEY, Correction(Decimal(44), "%"), choice("corrected"), "a1c")
    assert await waiting(records) == [("a1c", "implausible", 2)]


async def test_whose_it_is_is_asked_by_a_task_and_nothing_moves(records: Records, clock: Clock) -> None:
    wrong = a1c(6.5) | {"subject": {"reference": "Patient/ada", "display": "Bob Miller"}}
    await put(records, PATIENT | {"name": [{"family": "Lovelace", "given": ["Ada"]}]}, DIABETES, wrong)
    assert await status(records, clock) == "overdue"
    assert await waiting(records) == [("a1c", "identity", 1)]
    task = await settling.ask(records, KEY, choice("asked", comment="Perhaps Robert Miller, 417"))
    assert json.decode(task.body or b"")["focus"] == {"reference": "Observation/a1c"}
    assert await waiting(records) == [("a1c", "identity", 1)]
    assert (await records.read("Observation", "a1c")).vid == 1


async def test_releasing_says_beforehand_what_it_will_do(records: Records, clock: Clock) -> None:
    await doubtful(records, clock)
    found = {one.rule: one for one in await settling.effects(records, "ada", "Observation/a1c")}
    assert (found["a1c"].before, found["a1c"].after) == ("overdue", "up-to-date")
    assert await waiting(records) == [("a1c", "implausible", 1)]
    assert await status(records, clock) == "overdue"


async def test_what_rests_on_hidden_facts_is_not_told_by_a_preview(
    records: Records, database: Database, clock: Clock
) -> None:
    await doubtful(records, clock)
    async with database.dedicated(owner=True) as conn:
        sql = f"UPDATE due SET labels = {mask('part2')}, orgs = 'elsewhere' WHERE rule = 'a1c'"
        await conn.execute(sql.encode())
    shared = Records(database, replace(clinician(), network=True), clock)
    assert "a1c" in {one.rule for one in await settling.effects(records, "ada", "Observation/a1c")}
    assert "a1c" not in {one.rule for one in await settling.effects(shared, "ada", "Observation/a1c")}


async def test_a_preview_is_of_the_release_alone_also_before_the_list_is_worked_out(
    records: Records, clock: Clock
) -> None:
    """Behind the record, on a later day, or by other rules the stored list is no measure."""
    await doubtful(records, clock)
    usual = await settling.effects(records, "ada", "Observation/a1c")
    await put(records, DIABETES | {"id": "again"})
    assert await settling.effects(records, "ada", "Observation/a1c") == usual
    await status(records, clock)
    clock.advance(days=400)
    later = {
        one.rule: (one.before, one.after) for one in await settling.effects(records, "ada", "Observation/a1c")
    }
    assert set(later) <= {one.rule for one in usual}


@pytest.mark.parametrize("comment", ["", "  ", "ok", "x" * 1001])
async def test_a_decision_says_why(records: Records, clock: Clock, comment: str) -> None:
    await doubtful(records, clock)
    with pytest.raises(Invalid) as refused:
        await settling.settle(records, [KEY], [choice("rejected", comment=comment)])
    assert refused.value.issues[0].at == "comment"
    assert await waiting(records) == [("a1c", "implausible", 1)]


async def test_one_that_cannot_be_decided_stops_all(records: Records, clock: Clock) -> None:
    await doubtful(records, clock)
    with pytest.raises(NotFound):
        await settling.settle(records, [KEY, ("ada", "Observation", "none")], [choice("rejected")] * 2)
    assert await waiting(records) == [("a1c", "implausible", 1)]


async def test_who_may_not_decide_leaves_a_row_in_the_trail(records: Records, clock: Clock) -> None:
    await doubtful(records, clock)
    for actor in (front_desk(), patient_of("ada")):
        other = Records(records.database, actor, clock)
        with pytest.raises(Forbidden):
            await settling.settle(other, [KEY], [choice("released")])
    with pytest.raises(NotFound):
        await quarantine.listed(Records(records.database, patient_of("ada"), clock))
    with pytest.raises(NotFound):
        await quarantine.marks(Records(records.database, patient_of("bob"), clock), "ada")
    await settle(records, "rejected")
    done = [(one.actor, one.action, one.outcome) for one in await records.audit_of("ada")]
    assert ("doc", "settle-result", 0) in done


async def test_earlier_values_of_the_same_test_stand_beside_it(records: Records, clock: Clock) -> None:
    old = a1c(7, when="2026-05-01") | {"id": "old"}
    await put(records, old, a1c(6.9, when="2025-11-01") | {"id": "older"})
    await doubtful(records, clock)
    (row,) = (await quarantine.listed(records)).rows
    assert [one.id for one in row.earlier] == ["old", "older"]
    assert (await quarantine.listed(records, "time")).rows == ()
    assert (await quarantine.listed(records, "time")).kinds == {"implausible": 1}


async def test_a_doubtful_titre_is_no_immunity(records: Records, clock: Clock) -> None:
    """A quarantined result is kept from the immunization schedule too."""
    titre = {
        "resourceType": "Observation", "id": "titre", "status": "final", "effectiveDateTime": "2026-10-01",
        "subject": {"reference": "Patient/ada", "display": "Bob Miller"},
        "code": {"coding": [{"system": "http://snomed.info/sct", "code": "371113008"}]},
        "valueCodeableConcept": {"coding": [{"system": "http://snomed.info/sct", "code": "10828004"}]},
    }  # fmt: skip
    named = PATIENT | {"name": [{"family": "Lovelace", "given": ["Ada"]}]}
    await put(records, named)
    await worker.drain(records.database, clock)
    before = {one.rule: one.status for one in await _due(records)}
    await put(records, titre)
    await status(records, clock)
    assert {one.rule: one.status for one in await _due(records)} == before
    await put(records, titre | {"subject": {"reference": "Patient/ada", "display": "Ada Lovelace"}})
    await status(records, clock)
    assert {one.rule: one.status for one in await _due(records)} != before


async def test_a_patient_without_birth_date_or_sex_is_judged_as_far_as_that_goes(
    records: Records, clock: Clock
) -> None:
    bare = {"resourceType": "Patient", "id": "ada"}
    await put(records, bare, a1c(42))
    await worker.drain(records.database, clock)
    assert [one[1] for one in await waiting(records)] == ["implausible"]


async def test_the_system_may_load_and_the_worker_keep(database: Database, clock: Clock) -> None:
    loader = Records(database, users.system(1, "test"), clock)
    await loader.commit([Put(validate(one), one["id"]) for one in (PATIENT, a1c(42))])
    await worker.drain(database, clock)
    assert len((await quarantine.listed(loader)).rows) == 1
