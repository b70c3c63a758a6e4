"""The feed becomes an inbox: addressed, grouped, never flooded by history, never closed by a partial result; steps once."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from datetime import UTC, datetime
from typing import Any

import msgspec
import pytest

from commonchart.care.inbox.judge import Judged
from commonchart.jobs import inbox
from commonchart.record import changes
from commonchart.record.database import Database
from commonchart.record.inbox import items
from commonchart.record.inbox.items import Act, Item
from tests.conftest import Clock
from tests.inbox import SODIUM, TSH, Ward, flagged, lab, order, patient, report

BASED = [{"reference": "ServiceRequest/o1"}]


@pytest.fixture
async def ward(database: Database, clock: Clock) -> Ward:
    return await Ward(database, clock).open()


def judged(one: Item) -> Judged:
    return msgspec.json.decode(one.content, type=Judged)


async def signed(ward: Ward, one: Item, act: str = "signed") -> None:
    async with ward.database.connection() as conn:
        await items.put(conn, msgspec.structs.replace(one, state="seen" if act == "seen" else "signed"))
        await items.acted(
            conn, Act(1, one.patient, one.item, 0, ward.clock(), "wren", "", act, one.version, one.content)
        )


async def test_a_result_goes_to_whoever_ordered_it(ward: Ward) -> None:
    await ward.put(lab("k1", basedOn=BASED))
    one = await ward.open_item("Observation/k1")
    assert (one.owner, one.owner_by, one.org) == (ward.users["wren"].id, "ordered it", "alder")
    assert (one.state, one.kind, one.batch, one.partial) == ("open", 3, True, False)


@pytest.mark.parametrize(
    ("more", "whom", "why"),
    [
        ({"resultsInterpreter": [{"reference": "Practitioner/pr-otto"}]}, "otto", "interprets it"),
        ({"encounter": {"reference": "Encounter/e1"}}, "kim", "saw the patient at that visit"),
        ({}, "otto", "is the patient's usual clinician"),
        ({"basedOn": [{"reference": "ServiceRequest/gone"}]}, "otto", "is the patient's usual clinician"),
        ({"basedOn": [{"reference": "ServiceRequest/far"}]}, "otto", "is the patient's usual clinician"),
    ],
    ids=["interpreter", "visit", "usual", "order not here", "ordered elsewhere"],
)
async def test_who_comes_next(ward: Ward, more: dict[str, Any], whom: str, why: str) -> None:
    visit = {
        "resourceType": "Encounter", "id": "e1", "status": "finished", "subject": {"reference": "Patient/ada"},
        "class": {"system": "http://terminology.hl7.org/CodeSystem/v3-ActCode", "code": "AMB"},
        "participant": [{"individual": {"reference": "Practitioner/pr-kim"}}],
    }  # fmt: skip
    usual = patient(generalPractitioner=[{"reference": "Practitioner/pr-otto"}])
    await ward.put(usual, visit, order("far", "pr-elsewhere"))
    await ward.put(lab("k1"), report("r1", "k1", **more))
    one = await ward.open_item("DiagnosticReport/r1")
    assert (one.owner, one.owner_by) == (ward.users[whom].id, why)


async def test_a_result_of_nobody_is_everybodys(ward: Ward) -> None:
    await ward.put(lab("k1"))
    one = await ward.open_item("Observation/k1")
    assert (one.owner, one.owner_by) == ("", "nobody who works here is named")


async def test_what_is_addressed_to_somebody_who_leaves_falls_to_the_others(ward: Ward) -> None:
    await ward.put(lab("k1", basedOn=BASED))
    async with ward.database.single() as conn:
        await conn.execute("UPDATE app_user SET active = false WHERE login = 'wren'")
    await ward.work()
    assert (await ward.open_item("Observation/k1")).owner == ""


async def test_the_results_of_a_report_are_one_item(ward: Ward) -> None:
    await ward.put(lab("k1", basedOn=BASED), lab("na", SODIUM, "139"))
    assert await ward.item("Observation/k1") is not None
    await ward.put(report("r1", "k1", "na", basedOn=BASED))
    assert await ward.item("Observation/k1") is None
    one = await ward.open_item("DiagnosticReport/r1")
    assert [line.name for line in judged(one).lines] == ["Potassium", "Sodium"]
    assert one.version == "DiagnosticReport/r1/1 Observation/k1/1 Observation/na/1"


async def test_a_result_that_the_report_names_and_that_is_not_there_is_said(ward: Ward) -> None:
    await ward.put(report("r1", "later"))
    one = await ward.open_item("DiagnosticReport/r1")
    assert (one.kind, judged(one).lines[0].value, one.batch) == (2, "not received", False)
    await ward.put(lab("later"))
    assert (await ward.open_item("DiagnosticReport/r1")).batch
    assert await ward.item("Observation/later") is None


async def test_vital_signs_are_no_results(ward: Ward) -> None:
    vital = [
        {
            "coding": [
                {
                    "system": "http://terminology.hl7.org/CodeSystem/observation-category",
                    "code": "vital-signs",
                }
            ]
        }
    ]
    await ward.put(lab("v1", category=vital), lab("tsh", TSH, category=None), lab("k1", category=None))
    assert await ward.item("Observation/v1") is None
    assert await ward.item("Observation/tsh") is None
    assert await ward.item("Observation/k1") is not None  # a missing category hides no potassium


@pytest.mark.parametrize(
    ("more", "there"),
    [
        ({"taken": "2026-10-20T08:00:00Z"}, True),
        ({"taken": "2026-10-10T08:00:00Z"}, False),
        ({"taken": "2026-08-01T08:00:00Z", "issued": "2026-11-17T08:00:00Z"}, True),
        ({"taken": "2016-11-01T08:00:00Z", "value": "7.0"}, False),
        ({"effectiveDateTime": None}, True),
    ],
    ids=["lately", "too old", "issued lately", "an old critical one", "without a date"],
)
async def test_history_does_not_flood_the_inbox(ward: Ward, more: dict[str, Any], there: bool) -> None:
    await ward.put(lab("k1", **more))
    assert (await ward.item("Observation/k1") is not None) == there
    assert await ward.alerts() == []


async def test_what_was_recorded_before_the_inbox_began_is_history(ward: Ward, clock: Clock) -> None:
    now = clock()
    clock.set(datetime(2026, 9, 1, tzinfo=UTC))
    await ward.put(lab("k1", value="7.0", taken="2026-09-01"))
    clock.set(now)
    await ward.work()
    assert await ward.item("Observation/k1") is None


async def test_a_long_pause_of_the_worker_loses_nothing(ward: Ward, clock: Clock) -> None:
    from commonchart.access.records import Put
    from commonchart.fhir.validate import validate

    await ward.loader.commit([Put(validate(lab("k1", value="6.4")), "k1")])
    clock.advance(days=200)
    await ward.work()
    assert await ward.item("Observation/k1") is not None
    assert len(await ward.alerts()) == 1


async def test_an_old_result_that_is_corrected_now_is_news(ward: Ward) -> None:
    await ward.put(lab("k1", taken="2025-01-01"))
    await ward.put(lab("k1", value="6.9", taken="2025-01-01", status="corrected"))
    assert (await ward.open_item("Observation/k1")).kind == 0


async def test_acknowledging_a_partial_result_does_not_close_it(ward: Ward) -> None:
    await ward.put(lab("k1", status="preliminary"))
    one = await ward.open_item("Observation/k1")
    assert (one.partial, one.batch) == (True, False)
    await signed(ward, one, "seen")
    await ward.put(lab("k1", status="final"))
    again = await ward.open_item("Observation/k1")
    assert (again.state, again.partial, again.corrected) == ("open", False, "final now")


async def test_a_signed_result_that_is_corrected_comes_back(ward: Ward) -> None:
    await ward.put(lab("k1"))
    await signed(ward, await ward.open_item("Observation/k1"))
    await ward.put(lab("k1", note=[{"text": "the same value, another comment"}]))
    assert (await ward.open_item("Observation/k1")).state == "signed"
    await ward.put(lab("k1", value="5.6", status="corrected"))
    one = await ward.open_item("Observation/k1")
    assert (one.state, one.corrected, one.batch) == ("open", "corrected after it was signed", False)
    assert msgspec.json.decode(one.changed) == ["Potassium: 4.2 mmol/L is now 5.6 mmol/L (H)"]


@pytest.mark.parametrize("status", ["cancelled", "entered-in-error"])
async def test_a_withdrawn_result_goes_unless_somebody_acted_on_it(ward: Ward, status: str) -> None:
    await ward.put(lab("k1"), lab("k2"))
    await signed(ward, await ward.open_item("Observation/k2"))
    await ward.put(lab("k1", status=status), lab("k2", status=status))
    assert (await ward.open_item("Observation/k1")).state == "gone"
    assert (await ward.open_item("Observation/k2")).state == "open"
    assert "after somebody had acted" in (await ward.open_item("Observation/k2")).corrected


async def test_a_deleted_result_goes(ward: Ward) -> None:
    await ward.put(lab("k1", value="6.9"))
    await ward.delete("Observation", "k1")
    assert (await ward.open_item("Observation/k1")).state == "gone"
    assert [one.state for one in await ward.alerts()] == ["withdrawn"]


# ---- critical values -------------------------------------------------------------------------------------------


async def test_a_critical_value_is_an_alert_until_it_is_corrected(ward: Ward) -> None:
    await ward.put(lab("k1", value="6.4", basedOn=BASED))
    (one,) = await ward.alerts()
    assert (one.state, one.level, one.owner) == ("open", 0, ward.users["wren"].id)
    await ward.put(lab("k1", value="4.6", status="corrected", basedOn=BASED))
    (one,) = await ward.alerts()
    assert (one.state, one.done) == ("withdrawn", "corrected to 4.6 mmol/L")
    await ward.put(lab("k1", value="6.8", status="corrected", basedOn=BASED))
    assert [one.state for one in await ward.alerts()] == ["withdrawn", "open"]


async def test_a_quarantined_value_keeps_its_alert(ward: Ward) -> None:
    await ward.put(lab("k1", value="6.4", taken="2026-12-24"))
    one = await ward.open_item("Observation/k1")
    assert (one.kind, judged(one).lines[0].quarantined, one.batch) == (0, "dated in the future", False)
    assert len(await ward.alerts()) == 1


async def test_a_child_has_no_limits_here_and_that_is_said(ward: Ward) -> None:
    await ward.put(patient("kid", "2020-01-01"))
    await ward.put(lab("k1", value="6.6", patient="kid"), lab("k2", value="4.4", patient="kid"))
    await ward.put(lab("k3", value="6.6", patient="kid", interpretation=flagged("HH")))
    first, second, third = [await ward.open_item(f"Observation/k{n}", "kid") for n in (1, 2, 3)]
    assert "no critical limits for children" in judged(first).lines[0].not_checked
    assert (first.kind, second.kind, second.batch, third.kind) == (1, 3, False, 0)
    assert len(await ward.alerts()) == 1


async def test_the_steps_are_taken_by_the_clock_each_once(ward: Ward, clock: Clock) -> None:
    await ward.put(lab("k1", value="6.4", basedOn=BASED))
    for minutes, level, told in ((14, 0, 1), (1, 1, 4), (14, 1, 4), (1, 2, 4), (600, 2, 4)):
        clock.advance(minutes=minutes)
        await ward.work()
        (one,) = await ward.alerts()
        assert one.level == level
        assert await _told(ward) == told  # without a cover and nobody on call the second step is everybody
    assert one.next_at is None
    assert await _audited(ward) == 2


async def test_a_pause_ends_at_the_step_that_has_come(ward: Ward, clock: Clock) -> None:
    await ward.put(lab("k1", value="6.4", basedOn=BASED))
    clock.advance(hours=5)
    await ward.work()
    assert [(one.level, one.next_at) for one in await ward.alerts()] == [(2, None)]
    assert await _audited(ward) == 1


async def test_the_steps_of_the_site(ward: Ward, clock: Clock) -> None:
    await ward.say(critical_levels="0=clinician 5=everyone")
    await ward.put(lab("k1", value="6.4", basedOn=BASED))
    clock.advance(minutes=6)
    await ward.work()
    assert [one.level for one in await ward.alerts()] == [1]
    await ward.say(critical_levels="nonsense")
    await ward.put(lab("k2", value="6.5", basedOn=BASED))
    assert len(await ward.alerts()) == 2


async def _told(ward: Ward) -> int:
    async with ward.database.single() as conn:
        return int((await conn.fetch("SELECT count(*) FROM critical_notice"))[0][0])


async def _audited(ward: Ward) -> int:
    async with ward.database.single() as conn:
        return int((await conn.fetch("SELECT count(*) FROM audit WHERE action = 'escalate'"))[0][0])


# ---- crashes ---------------------------------------------------------------------------------------------------


class Killed(Exception):
    """Stands for a worker that ends there."""


def _dying(monkeypatch: pytest.MonkeyPatch, module: Any, name: str) -> Callable[[], None]:
    whole = getattr(module, name)

    async def dies(*args: Any, **more: Any) -> Any:
        await whole(*args, **more)
        raise Killed

    monkeypatch.setattr(module, name, dies)
    return lambda: monkeypatch.setattr(module, name, whole)


@pytest.mark.parametrize(("module", "name"), [(inbox, "_alerts"), (inbox, "_tell"), (changes, "advance")])
async def test_a_worker_killed_anywhere_in_a_batch_repeats_nothing(
    ward: Ward, monkeypatch: pytest.MonkeyPatch, module: Any, name: str
) -> None:
    heal = _dying(monkeypatch, module, name)
    with pytest.raises(Killed):
        await ward.put(lab("k1", value="6.4", basedOn=BASED))
    assert await ward.alerts() == []
    assert await ward.item("Observation/k1") is None
    heal()
    await ward.work()
    assert len(await ward.alerts()) == 1
    assert await _told(ward) == 1


async def test_a_worker_killed_in_a_step_takes_it_once(
    ward: Ward, clock: Clock, monkeypatch: pytest.MonkeyPatch
) -> None:
    await ward.put(lab("k1", value="6.4", basedOn=BASED))
    clock.advance(minutes=16)
    heal = _dying(monkeypatch, inbox, "_tell")
    with pytest.raises(Killed):
        await inbox.late(ward.database, clock())
    assert [one.level for one in await ward.alerts()] == [0]
    heal()
    await asyncio.gather(*(inbox.late(ward.database, clock()) for _ in range(3)))
    assert [one.level for one in await ward.alerts()] == [1]
    assert await _audited(ward) == 1
