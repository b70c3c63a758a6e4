"""Labels by hand in the record: a circle of putting, lifting, rewriting, indexing again, reviewing and putting back."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import pytest
from msgspec.structs import replace

from commonchart.access import labelling
from commonchart.access.actors import Actor
from commonchart.access.records import Delete, Put, Records
from commonchart.care.labels import SYSTEMS, mask
from commonchart.fhir import json
from commonchart.fhir.outcome import Conflict, Forbidden, Invalid, NotFound, Refused
from commonchart.fhir.validate import validate
from commonchart.jobs import reindex, worker
from commonchart.record.database import Database
from tests.conftest import Clock

AUTHOR = Actor(1, "sage", "Dr Sage", "clinician", "alder", "web", network=False)
OTHER = replace(AUTHOR, user="kim", name="Dr Kim")
OFFICER = replace(AUTHOR, user="pia", name="Pia", role="privacy-officer")
DESK = replace(AUTHOR, user="dot", name="Dot", role="billing")
ADMIN = replace(AUTHOR, user="root", name="Root", role="administrator")


@pytest.fixture
async def rooms(database: Database, clock: Clock) -> dict[str, Records]:
    """The records as each of them sees them, with one entry and what is made of it."""
    found = {one.user: Records(database, one, clock) for one in (AUTHOR, OTHER, OFFICER, DESK, ADMIN)}
    await found["sage"].commit([Put(validate(one), one["id"]) for one in stored()])
    return found


def stored(code: str = "I10") -> list[dict[str, Any]]:
    subject = {"reference": "Patient/p"}
    return [
        {"resourceType": "Patient", "id": "p"},
        condition(code),
        {"resourceType": "Procedure", "id": "made", "status": "completed", "subject": subject, "reasonReference": [{"reference": "Condition/c"}]},
        {"resourceType": "List", "id": "list", "status": "current", "mode": "working", "subject": subject, "entry": [{"item": {"reference": "Procedure/made"}}]},
    ]  # fmt: skip


def condition(code: str, **more: Any) -> dict[str, Any]:
    return {"resourceType": "Condition", "id": "c", "subject": {"reference": "Patient/p"},
            "code": {"coding": [{"system": SYSTEMS["icd10"], "code": code}]}, **more}  # fmt: skip


async def sees(records: Records, rtype: str, id: str, vid: int = 0) -> bool:
    try:
        await (records.vread(rtype, id, vid) if vid else records.read(rtype, id))
    except NotFound:
        return False
    return True


async def masks(database: Database, table: str = "resource") -> dict[str, int]:
    async with database.single() as conn:
        rows = await conn.fetch(f"SELECT rtype, labels FROM {table} WHERE rtype <> 'Patient' ORDER BY 1", ())
    return {row[0]: row[1] for row in rows}


async def test_what_is_put_by_hand_holds_everywhere_and_no_client_strips_it(
    rooms: dict[str, Records], database: Database, clock: Clock
) -> None:
    sage, dot = rooms["sage"], rooms["dot"]
    await labelling.put(rooms["kim"], "Condition", "c", "restricted", "asked for")
    body = json.decode((await sage.read("Condition", "c")).body or b"")
    assert body["meta"]["security"][0]["code"] == "R"
    assert await masks(database) == dict.fromkeys(("Condition", "Procedure", "List"), mask("restricted"))
    assert not await sees(dot, "Condition", "c")
    assert not await sees(dot, "Condition", "c", 1)
    (one, *_) = (await labelling.sheet(sage, "Condition", "c")).acts
    assert (one.actor, one.reason, one.act, one.vid) == ("kim", "asked for", "put", 2)
    # the author stays the author
    assert (await sage.read("Condition", "c")).actor == "sage"
    # a client that does not send it, and one that says that it was lifted
    forged = {"extension": [{"url": "http://commonchart.org/StructureDefinition/label-lifted", "extension": [{"url": "label", "valueCode": "restricted"}]}]}  # fmt: skip
    for meta in ({}, {"meta": forged}):
        await sage.commit([Put(validate(condition("E11.9", **meta)), "c")])
        assert not await sees(dot, "Condition", "c")
        assert b"label-lifted" not in ((await sage.read("Condition", "c")).body or b"")
    # deleted, and made anew under the same id without it
    await sage.commit([Delete("Condition", "c")])
    await sage.commit([Put(validate(condition("I10")), "c")])
    assert not await sees(dot, "Condition", "c")
    assert (await masks(database))["Condition"] == mask("restricted")
    async with database.connection() as conn:
        assert await labelling.held(conn, 1, "Condition", "c") == {"R"}
    with pytest.raises(Conflict):
        await labelling.put(sage, "Condition", "c", "restricted", "again")


async def test_lifted_by_hand_stays_lifted_until_another_code_or_somebody_puts_it_back(
    rooms: dict[str, Records], database: Database, clock: Clock
) -> None:
    sage, kim, pia = rooms["sage"], rooms["kim"], rooms["pia"]
    lab = Records(database, replace(AUTHOR, user="lab", role="lab"), clock)  # reads no part2
    test = {"resourceType": "Observation", "id": "o", "status": "final", "subject": {"reference": "Patient/p"}, "code": {"coding": [{"system": "http://loinc.org", "code": "72109-2"}]}}  # fmt: skip
    report = {"resourceType": "DiagnosticReport", "id": "d", "status": "final", "subject": {"reference": "Patient/p"}, "code": {"text": "Report"}, "result": [{"reference": "Observation/o"}]}  # fmt: skip
    await sage.commit([Put(validate(test), "o"), Put(validate(report), "d")])
    await sage.commit([Put(validate({**report, "conclusion": "new"}), "d")])
    assert not await sees(lab, "Observation", "o")
    with pytest.raises(Invalid, match="made of"):
        await labelling.lift(kim, "DiagnosticReport", "d", "part2", "no")
    await labelling.lift(kim, "Observation", "o", "part2", "a screening for everybody")
    for key in (("Observation", "o"), ("DiagnosticReport", "d")):
        assert await sees(lab, *key), key
        assert await sees(lab, *key, 1), key
    # rewritten together with what is made of it, and indexed again
    await sage.commit([Put(validate({**test, "status": "amended"}), "o"), Put(validate(report), "d")])
    clock.now += timedelta(minutes=1)
    await reindex.again(database, clock(), 99)
    clock.now += timedelta(minutes=1)
    while await reindex.drain(database, clock):
        pass
    assert await sees(lab, "Observation", "o")
    assert await sees(lab, "DiagnosticReport", "d")
    # seen by a second person, who is another one
    (shown,) = [one for one in await labelling.listed(pia) if one.waits]
    assert (shown.act.actor, shown.act.codes, shown.current) == ("kim", "loinc.org 72109-2", True)
    with pytest.raises(Forbidden):
        await labelling.agree(
            Records(database, replace(OFFICER, user="kim"), clock), "Observation", "o", shown.act.n
        )
    await labelling.agree(pia, "Observation", "o", shown.act.n)
    assert not any(one.waits for one in await labelling.listed(pia))
    # another code of the label labels it again
    more = {**test, "code": {"coding": [{"system": "http://loinc.org", "code": "82667-7"}]}}
    await sage.commit([Put(validate(more), "o")])
    assert not await sees(lab, "Observation", "o")
    assert not await sees(lab, "DiagnosticReport", "d")
    await labelling.lift(kim, "Observation", "o", "part2", "as before")
    assert await sees(lab, "DiagnosticReport", "d")
    await labelling.restore(pia, "Observation", "o", "part2", "it was right")
    for key in (("Observation", "o"), ("DiagnosticReport", "d")):
        assert not await sees(lab, *key), key
        assert not await sees(lab, *key, 1), key
    acts = [one.act for one in (await labelling.sheet(kim, "Observation", "o")).acts]
    assert acts == ["restored", "lifted", "lifted"]
    async with database.single() as conn:
        rows = await conn.fetch(
            "SELECT actor, detail FROM audit WHERE action = 'label' AND outcome = 0 ORDER BY seq", ()
        )
    assert [tuple(row) for row in rows] == [
        ("kim", "lifted part2"), ("pia", "agreed part2"), ("kim", "lifted part2"), ("pia", "restored part2"),
    ]  # fmt: skip


async def test_what_cannot_be_done_is_refused_in_words(rooms: dict[str, Records], database: Database) -> None:
    sage, dot = rooms["sage"], rooms["dot"]
    sent = condition("I10", meta={"security": [{"system": "x", "code": "ETH"}]})
    await sage.commit([Put(validate(sent), "c")])
    with pytest.raises(Invalid, match="sent it says so"):
        await labelling.lift(sage, "Condition", "c", "part2", "no")
    with pytest.raises(Forbidden):
        await labelling.put(dot, "Condition", "c", "vip", "no")
    with pytest.raises(Forbidden):
        await labelling.put(replace_app(sage), "Condition", "c", "vip", "no")
    with pytest.raises(Forbidden):
        await labelling.put(sage, "Patient", "p", "vip", "no")
    for label, reason in (("", "why"), ("nothing", "why"), ("vip", " "), ("vip", "x" * 401)):
        with pytest.raises(Invalid):
            await labelling.put(sage, "Condition", "c", label, reason)
    with pytest.raises(Invalid):
        await labelling.restore(sage, "Condition", "c", "vip")
    with pytest.raises(Refused):
        await labelling.lift(sage, "Condition", "c", "vip", "not there")


def replace_app(records: Records) -> Records:
    return Records(records.database, replace(records.actor, app="grant"), records.clock)


async def test_a_note_marked_by_another_stays_open_to_its_author_only(
    rooms: dict[str, Records], database: Database
) -> None:
    await labelling.put(rooms["kim"], "Condition", "c", "psychotherapy", "session")
    assert await sees(rooms["sage"], "Condition", "c")
    assert await sees(rooms["sage"], "Condition", "c", 1)
    assert not await sees(rooms["kim"], "Condition", "c")
    assert not await sees(rooms["pia"], "Condition", "c")
    assert await labelling.listed(rooms["pia"]) == []


async def test_due_rows_are_labelled_at_once_and_worked_out_anew(
    rooms: dict[str, Records], database: Database, clock: Clock
) -> None:
    sage = rooms["sage"]
    patient = {"resourceType": "Patient", "id": "p", "birthDate": "1960-01-01", "gender": "female"}
    await sage.commit([Put(validate(patient), "p"), Put(validate(condition("E11.9")), "c")])
    await worker.drain(database, clock)

    async def labelled() -> tuple[int, int]:
        async with database.single() as conn:
            rows = await conn.fetch("SELECT count(*) FILTER (WHERE labels <> 0), count(*) FROM due", ())
        return rows[0][0], rows[0][1]

    assert (await labelled())[0] == 0
    await labelling.put(sage, "Condition", "c", "restricted", "asked for")
    at_once, every = await labelled()
    assert at_once == every > 0
    await worker.drain(database, clock)
    settled = (await labelled())[0]
    assert 0 < settled < every  # those that rest on it
    await labelling.lift(sage, "Condition", "c", "restricted", "not any more")
    await worker.drain(database, clock)
    assert (await labelled())[0] == 0
