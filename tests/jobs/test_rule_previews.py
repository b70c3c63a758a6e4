"""A preview says what would be, writes no due row, is gone on with after a crash; the use of a version reaches everybody."""

from __future__ import annotations

from typing import Any

import pytest
from msgspec import structs

from commonchart.access import rule_previews, rules
from commonchart.access.records import Delete, Put, Records
from commonchart.care.editions import Edition
from commonchart.care.rules import built_in
from commonchart.fhir.validate import validate
from commonchart.jobs import due, worker
from commonchart.jobs import rule_previews as working
from commonchart.record import due as table
from commonchart.record import rule_previews as previews
from commonchart.record.database import Database
from commonchart.record.due import DueRow
from commonchart.record.rules import Choice
from tests.actors import clinician
from tests.conftest import Clock
from tests.outreach import woman

AGES = {
    "p40": "1986-01-01",
    "p50": "1976-01-01",
    "p56": "1970-01-01",
    "p64": "1962-01-01",
    "p30": "1996-01-01",
}
SITE = Choice("site", 1)


@pytest.fixture
async def records(database: Database, clock: Clock) -> Records:
    """Five women of different ages, none screened, and a draft that screens from 50 to 60 only."""
    made = Records(database, clinician(), clock)
    people = [woman(id) | {"birthDate": born} for id, born in AGES.items()]
    dead = woman("dead") | {"birthDate": "1970-01-01", "deceasedBoolean": True}
    gone = woman("gone")
    await made.commit([Put(validate(one), one["id"]) for one in (*people, dead, gone)])
    await made.commit([Delete("Patient", "gone")])
    await worker.drain(database, clock)
    rule = built_in().by_id["breast"]
    applies = structs.replace(rule.applies, min_age=50, max_age=60)
    edition = Edition(structs.replace(rule, applies=applies, version="draft", review="needed"))
    await rules.draft(made, edition, "Local policy", "box", 0)
    return made


async def rows(database: Database, rule: str = "") -> dict[tuple[str, str], DueRow]:
    async with database.connection() as conn:
        found = [row for id in AGES for row in await table.of_patient(conn, 1, id)]
    return {(row.patient, row.rule): row for row in found if rule in ("", row.rule)}


async def finished(database: Database, clock: Clock) -> None:
    while await working.lane(database, clock):
        pass


async def test_who_would_change_and_no_due_row_does(
    records: Records, database: Database, clock: Clock
) -> None:
    before = await rows(database)
    await rule_previews.begin(records, "breast", SITE)
    await finished(database, clock)
    one = await rule_previews.of_rule(records, "breast")
    assert (one.run, one.done, one.total) == ("done", 7, 7)
    found = rule_previews.summary(one, await rule_previews.dates(records, one))
    assert (found.more, found.fewer, found.unknown, found.known) == (0, 2, 0, 0)
    assert sum(found.before.values()) == sum(found.after.values()) == 6
    shown, total = await rule_previews.people(records, one, "fewer", limit=1, offset=0)
    assert total == 2
    more, _ = await rule_previews.people(records, one, "fewer", limit=1, offset=1)
    assert {shown[0].changed.patient, more[0].changed.patient} == {"p40", "p64"}
    assert await rows(database) == before


async def test_the_preview_says_what_use_then_does(
    records: Records, database: Database, clock: Clock
) -> None:
    await rule_previews.begin(records, "breast", SITE)
    await finished(database, clock)
    one = await rule_previews.of_rule(records, "breast")
    said, _ = await rule_previews.people(records, one, limit=100, offset=0)
    before = await rows(database, "breast")
    await rules.activate(records, "breast", SITE, "Agreed", 0)
    await worker.drain(database, clock)
    after = await rows(database, "breast")
    changed = {id for id in AGES if _status(before.get((id, "breast"))) != _status(after.get((id, "breast")))}
    assert {row.changed.patient for row in said if row.changed.before != row.changed.after} == changed
    assert {row.rule_version for row in after.values()} == {"site.1"}
    assert all('"site":"site.1"' in row.why for row in after.values())
    others = {key: row for key, row in (await rows(database)).items() if key[1] != "breast"}
    assert all('"site":' not in row.why for row in others.values())
    await rules.rollback(records, "breast", "Back", 1)
    await worker.drain(database, clock)
    again = await rows(database, "breast")
    assert {key: _answer(row) for key, row in again.items()} == {
        key: _answer(row) for key, row in before.items()
    }


def _status(row: DueRow | None) -> str:
    return row.status if row is not None and row.status != "not-applicable" else ""


def _answer(row: DueRow) -> tuple[Any, ...]:
    return row.status, row.due_on, row.overdue_on, row.until, row.next_change_on, row.why, row.version


async def test_a_crash_loses_a_batch_and_counts_nobody_twice(
    records: Records, database: Database, clock: Clock, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(working, "PATIENTS", 2)
    await rule_previews.begin(records, "breast", SITE)
    assert await working.lane(database, clock) == 2
    whole, tries = working._answers, 0

    async def dies(*given: Any) -> Any:
        nonlocal tries
        tries += 1
        if tries == 2:
            raise RuntimeError("the machine is gone")
        return await whole(*given)

    with monkeypatch.context() as patch:
        patch.setattr(working, "_answers", dies)
        with pytest.raises(RuntimeError):
            await working.lane(database, clock)
    one = await rule_previews.of_rule(records, "breast")
    assert (one.run, one.done) == ("running", 2)
    await finished(database, clock)
    one = await rule_previews.of_rule(records, "breast")
    assert (one.run, one.done) == ("done", 7)
    assert rule_previews.summary(one).fewer == 2


async def test_rules_changed_meanwhile_end_the_preview_with_the_reason(
    records: Records, database: Database, clock: Clock
) -> None:
    await rule_previews.begin(records, "breast", SITE)
    await rules.activate(records, "tobacco", Choice("off"), "x", 0, anyway=True)
    await finished(database, clock)
    one = await rule_previews.of_rule(records, "breast")
    assert one.run == "failed"
    assert "changed while" in one.error


async def test_a_new_preview_takes_the_place_of_the_last(
    records: Records, database: Database, clock: Clock
) -> None:
    await rule_previews.begin(records, "breast", SITE)
    await finished(database, clock)
    await rule_previews.begin(records, "breast", Choice("off"))
    await finished(database, clock)
    one = await rule_previews.of_rule(records, "breast")
    found, total = await rule_previews.people(records, one, limit=10, offset=0)
    assert total == 4
    assert {row.changed.after for row in found} == {""}
    async with database.connection() as conn:
        assert await previews.take(conn) is None


async def test_everybody_is_gone_on_with_after_a_crash_and_nobody_is_ever_without_a_list(
    records: Records, database: Database, clock: Clock, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(due, "PATIENTS", 2)
    monkeypatch.setattr(due, "ROUNDS", 1)
    await rules.activate(records, "breast", SITE, "Agreed", 0, anyway=True)
    assert await due.follow_pack(database, clock())
    assert await due.follow_pack(database, clock())  # as another process would after a crash
    async with database.connection() as conn:
        run = await table.running(conn)
    assert run is not None
    assert run.done == 4
    versions = {row.rule_version for row in (await rows(database, "breast")).values()}
    assert versions == {"2", "site.1"}
    assert {key[0] for key in await rows(database)} == set(AGES)
    steps = 0
    while await due.follow_pack(database, clock()):
        steps += 1
    assert steps == 2  # the other three, two at a time
    async with database.connection() as conn:
        assert await table.running(conn) is None
    assert not await due.follow_pack(database, clock())


async def test_another_decision_during_the_run_begins_it_again(
    records: Records, database: Database, clock: Clock, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(due, "PATIENTS", 2)
    monkeypatch.setattr(due, "ROUNDS", 1)
    await rules.activate(records, "breast", SITE, "Agreed", 0, anyway=True)
    assert await due.follow_pack(database, clock())
    await rules.rollback(records, "breast", "At once", 1)
    await worker.drain(database, clock)
    assert {row.rule_version for row in (await rows(database, "breast")).values()} == {"2"}
