"""Vaccine stock: movements add up, only one's own organisation's, and a dose given is taken with its record or not at all."""

from __future__ import annotations

import asyncio
from datetime import date

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from msgspec.structs import replace

from commonchart.access import lots
from commonchart.access.records import Create, Records
from commonchart.fhir.outcome import Conflict, Forbidden, Invalid, NotFound
from commonchart.fhir.validate import validate
from commonchart.record.database import Database
from tests.actors import clinician, front_desk, patient_of
from tests.conftest import Clock

MMR = lots.NewLot("03", "MMR", "MSD", "A123", date(2027, 3, 31), "private", 10)


@pytest.fixture
async def records(database: Database, clock: Clock) -> Records:
    return Records(database, clinician(), clock)


def immunization() -> Create:
    return Create(
        validate(
            {
                "resourceType": "Immunization", "status": "completed", "occurrenceDateTime": "2026-11-18",
                "vaccineCode": {"coding": [{"system": "http://hl7.org/fhir/sid/cvx", "code": "03"}]},
                "patient": {"reference": "Patient/ada"},
            }
        )
    )  # fmt: skip


async def test_a_delivery_adds_to_a_known_lot(records: Records) -> None:
    first = await lots.receive(records, MMR)
    again = await lots.receive(records, replace(MMR, doses=5))
    assert (again.id, again.doses) == (first.id, 15)
    assert [(m.why, m.doses) for m in (await lots.one(records, first.id))[1]] == [
        ("received", 5),
        ("received", 10),
    ]


async def test_one_lot_number_has_one_expiry(records: Records) -> None:
    await lots.receive(records, MMR)
    with pytest.raises(Conflict, match="31-Mar-2027"):
        await lots.receive(records, replace(MMR, expires=date(2028, 1, 1)))
    assert [one.doses for one in await lots.listed(records)] == [10]


@pytest.mark.parametrize(
    ("wrong", "field"),
    [({"doses": 0}, "doses"), ({"lot": " "}, "lot"), ({"cvx": ""}, "cvx"), ({"funding": "gift"}, "funding"),
     ({"lot": "x" * 61}, "lot")],
)  # fmt: skip
async def test_a_wrong_delivery_names_its_field(
    records: Records, wrong: dict[str, object], field: str
) -> None:
    with pytest.raises(Invalid) as refused:
        await lots.receive(records, replace(MMR, **wrong))  # type: ignore[arg-type]
    assert [issue.at for issue in refused.value.issues] == [field]
    assert await lots.listed(records, empty=True) == []


async def test_a_dose_is_taken_with_its_record_or_not_at_all(records: Records) -> None:
    lot = await lots.receive(records, MMR)
    async with records.transaction() as tx:
        [written] = await tx.write([immunization()])
        await lots.given(tx, lot.id, written.stored.id)
    after, moved = await lots.one(records, lot.id)
    assert (after.doses, moved[0].immunization) == (9, written.stored.id)

    async def interrupted() -> None:
        async with records.transaction() as tx:
            await tx.write([immunization()])
            await lots.given(tx, lot.id, "x")
            raise RuntimeError

    with pytest.raises(RuntimeError):
        await interrupted()
    assert (await lots.one(records, lot.id))[0].doses == 9


async def test_doses_given_at_the_same_time_are_all_counted(records: Records) -> None:
    lot = await lots.receive(records, MMR)

    async def give() -> None:
        async with records.transaction() as tx:
            await lots.given(tx, lot.id, "x")

    await asyncio.gather(*(give() for _ in range(8)))
    after, moved = await lots.one(records, lot.id)
    assert after.doses == 2
    assert [one.n for one in moved] == list(range(9, 0, -1))


async def test_expired_and_withdrawn_lots_say_why_they_must_not_be_given(records: Records) -> None:
    lot = await lots.receive(records, MMR)
    assert lot.refused(date(2027, 3, 31)) == ""
    assert "expired on 31-Mar-2027" in lot.refused(date(2027, 4, 1))
    assert "recall" in (await lots.withdraw(records, lot.id, "recall")).refused(date(2026, 11, 18))
    assert (await lots.withdraw(records, lot.id, "")).refused(date(2026, 11, 18)) == ""


async def test_another_organisation_sees_nothing_of_it(records: Records) -> None:
    lot = await lots.receive(records, MMR)
    other = Records(records.database, replace(clinician(), org="elsewhere"), records.clock)
    assert await lots.listed(other) == []
    for act in (lots.one(other, lot.id), lots.withdraw(other, lot.id, "x"), lots.count(other, lot.id, 1, "")):
        with pytest.raises(NotFound):
            await act


@pytest.mark.parametrize("actor", [front_desk(), patient_of("ada")], ids=["front-desk", "patient"])
async def test_stock_is_for_those_who_give(records: Records, actor: object) -> None:
    other = Records(records.database, actor, records.clock)  # type: ignore[arg-type]
    with pytest.raises(Forbidden):
        await lots.listed(other)
    with pytest.raises(Forbidden):
        await lots.receive(other, MMR)


async def test_wasting_needs_a_reason_and_doses(records: Records) -> None:
    lot = await lots.receive(records, MMR)
    with pytest.raises(Invalid) as refused:
        await lots.waste(records, lot.id, 11, "")
    assert {issue.at for issue in refused.value.issues} == {"doses", "note"}
    assert (await lots.waste(records, lot.id, 3, "fridge off")).doses == 7


@settings(max_examples=10, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.lists(st.tuples(st.sampled_from(["receive", "count", "given"]), st.integers(1, 30)), max_size=8))
async def test_what_is_left_is_the_sum_of_the_movements(
    records: Records, acts: list[tuple[str, int]]
) -> None:
    lot = await lots.receive(records, MMR)
    for act, n in acts:
        if act == "receive":
            await lots.receive(records, replace(MMR, doses=n))
        elif act == "count":
            await lots.count(records, lot.id, n, "")
        else:
            async with records.transaction() as tx:
                await lots.given(tx, lot.id, "x")
    after, moved = await lots.one(records, lot.id)
    assert after.doses == sum(one.doses for one in moved)
