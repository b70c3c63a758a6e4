"""A table that was filled quickly is known before autovacuum comes by."""

from __future__ import annotations

import asyncio

from commonchart.record import statistics
from commonchart.record.database import Connection, Database


async def grown(conn: Connection) -> list[str]:
    """What is refreshed, once PostgreSQL has counted what was done."""
    for _ in range(100):
        await conn.execute("SELECT pg_stat_force_next_flush()")
        found = await statistics.refresh(conn)
        if found:
            return found
        await asyncio.sleep(0.05)
    return []


async def test_what_has_grown_is_analyzed_once(database: Database) -> None:
    insert = (
        "INSERT INTO resource (pk, tenant, rtype, id, vid, recorded, org, actor) "
        "SELECT n / 100, 1, 'Observation', 'o' || n, 1, now(), 'o', 'me' FROM generate_series(%s::int, %s::int) n"
    )
    async with database.single() as conn:
        await conn.execute("ANALYZE")
        await conn.execute(insert, (1, 400))
        await conn.execute("SELECT pg_stat_force_next_flush()")
        assert await statistics.refresh(conn) == []
        await conn.execute(insert, (401, 2000))
        assert await grown(conn) == ["resource"]
        row = await (
            await conn.execute("SELECT reltuples FROM pg_class WHERE relname = 'resource'")
        ).fetchone()
        assert row
        assert row[0] == 2000
        plan = await conn.execute(
            "EXPLAIN SELECT id FROM resource WHERE tenant = 1 AND rtype = 'Observation' AND NOT deleted AND pk = 3 "
            "ORDER BY date_lo DESC NULLS LAST, id LIMIT 20"
        )
        assert "resource_patient_date" in str(await plan.fetchall())
        await conn.execute("SELECT pg_stat_force_next_flush()")
        assert await statistics.refresh(conn) == []
