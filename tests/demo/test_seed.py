"""Filling a data folder: the years are replayed by the record's clock, and a filling that was cut off goes on."""

from __future__ import annotations

import json
from datetime import UTC, date, datetime, timedelta

import pytest

from commonchart.access import signin
from commonchart.access.actors import Actor
from commonchart.access.records import Records
from commonchart.demo import practice, seed
from commonchart.fhir.outcome import Unauthenticated
from commonchart.record import site
from commonchart.record.database import Database
from tests.conftest import Clock

UNTIL = date(2026, 11, 18)
FEW = 3


async def fill(database: Database, count: int = FEW, until: date = UNTIL) -> list[tuple[int, int]]:
    return [step async for step in seed.seed(database, until, count)]


async def counted(database: Database, table: str = "resource") -> int:
    async with database.connection() as conn:
        row = await (await conn.execute(f"SELECT count(*) FROM {table}")).fetchone()
    assert row
    return int(row[0])


async def said(database: Database) -> dict[str, object]:
    async with database.connection() as conn:
        found: dict[str, object] = json.loads(await site.get(conn, 1, seed.PROGRESS, "{}"))
    return found


async def test_nothing_is_recorded_later_than_the_clock(database: Database) -> None:
    """In the middle of a working day: of somebody who is there in the afternoon, only what happened before."""
    whole = (practice.member(n, UNTIL) for n in range(400))
    member = next(
        one for one in whole if any(e.recorded.date() == UNTIL and e.recorded.hour > 8 for e in one.entries)
    )
    last = max(one.recorded for one in member.entries)
    now = last.replace(minute=0) - timedelta(hours=1)
    n = next(n for n in range(400) if practice.patient_id(n) == member.id)
    await seed._member(database, n, UNTIL, now)
    async with database.connection() as conn:
        for table, column in (("audit", "at"), ("resource", "recorded"), ("history", "recorded")):
            row = await (await conn.execute(f"SELECT count(*), max({column}) FROM {table}")).fetchone()
            assert row is not None
            assert row[1] is None or row[1] <= now, table
            assert row[0] > 0 or table == "history"


async def test_it_stores_every_version_at_its_own_time(database: Database, clock: Clock) -> None:
    steps = await fill(database)
    assert steps[-1] == (FEW, FEW)
    entries = [e for n in range(FEW) for e in practice.member(n, UNTIL).entries] + practice.staff()
    assert await counted(database) + await counted(database, "history") == len(entries)
    records = Records(database, Actor(1, "t", "T", "system", "", "test", network=False), clock)
    first = practice.member(0, UNTIL)
    stored = await records.history("Patient", first.id)
    recorded = [e.recorded for e in first.entries if e.resource["id"] == first.id]
    assert [one.recorded for one in reversed(stored.matches)] == recorded


async def test_the_past_shows_what_was_known_then(database: Database, clock: Clock) -> None:
    await fill(database, 1)
    records = Records(database, Actor(1, "t", "T", "system", "", "test", network=False), clock)
    early = datetime(2025, 6, 1, tzinfo=UTC)
    then = await records.facts(practice.patient_id(0), ["AllergyIntolerance"], as_of=early)
    now = await records.facts(practice.patient_id(0), ["AllergyIntolerance"])
    assert now.total == then.total + 1


async def test_a_second_time_changes_nothing(database: Database) -> None:
    await fill(database)
    before = await counted(database), await counted(database, "history"), await counted(database, "change")
    await fill(database)
    assert before == (
        await counted(database),
        await counted(database, "history"),
        await counted(database, "change"),
    )


async def test_it_goes_on_where_it_was_cut_off(database: Database) -> None:
    going = seed.seed(database, UNTIL, FEW)
    await anext(going)
    await going.aclose()
    assert (await said(database))["state"] == "running"
    await fill(database, until=date(2027, 5, 5))
    assert await said(database) == {"done": FEW, "total": FEW, "state": "done", "until": UNTIL.isoformat()}
    entries = [e for n in range(FEW) for e in practice.member(n, UNTIL).entries] + practice.staff()
    assert await counted(database) + await counted(database, "history") == len(entries)


async def test_every_account_may_sign_in_and_no_other(database: Database, clock: Clock) -> None:
    assert await seed.prepare(database, clock(), FEW)
    for account in seed.accounts():
        session = await signin.sign_in(database, account.login, account.password, clock())
        assert session.actor.role == account.role
    with pytest.raises(Unauthenticated):
        await signin.sign_in(database, "clinician", "another one", clock())


async def test_it_is_prepared_once(database: Database, clock: Clock) -> None:
    assert await seed.prepare(database, clock(), FEW)
    await fill(database)
    assert not await seed.prepare(database, clock(), FEW)
    assert await seed.prepare(database, clock(), FEW + 1)
