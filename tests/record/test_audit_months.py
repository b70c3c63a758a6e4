"""Months are made ahead, and take over what came before them."""

from __future__ import annotations

from datetime import date

from commonchart.access import audit
from commonchart.record import audit_months
from commonchart.record.database import Database
from tests.actors import clinician
from tests.conftest import Clock


async def where(database: Database) -> dict[int, str]:
    async with database.connection() as conn:
        cursor = await conn.execute("SELECT seq, tableoid::regclass::text FROM audit")
        return dict(await cursor.fetchall())


async def test_months_ahead(database: Database, clock: Clock) -> None:
    async with database.connection() as conn:
        await audit.note(conn, clinician(), clock(), "read")
    async with database.dedicated(owner=True) as conn:
        assert await audit_months.ahead(conn, clock().date()) == 3
        assert await audit_months.ahead(conn, clock().date()) == 0
    async with database.connection() as conn:
        assert await audit_months.present(conn) == [date(2026, 11, 1), date(2026, 12, 1), date(2027, 1, 1)]
        await audit.note(conn, clinician(), clock.advance(days=13), "read")
        await audit.note(conn, clinician(), clock.advance(days=-4000), "read")
    assert await where(database) == {1: "audit_2026_11", 2: "audit_2026_12", 3: "audit_rest"}


def test_months_follow() -> None:
    assert audit_months.following(date(2026, 12, 1)) == date(2027, 1, 1)
    assert audit_months.following(date(2026, 1, 1)) == date(2026, 2, 1)
