from __future__ import annotations

from commonchart.record import site
from commonchart.record.database import Database


async def test_a_site_decides_and_changes_its_mind(database: Database) -> None:
    async with database.connection() as conn:
        assert await site.get(conn, 1, site.MODE, "practice") == "practice"
        await site.put(conn, 1, site.MODE, "network")
        await site.put(conn, 2, site.MODE, "practice")
    async with database.connection() as conn:
        assert await site.get(conn, 1, site.MODE) == "network"
        await site.put(conn, 1, site.MODE, "practice")
        assert await site.get(conn, 1, site.MODE) == "practice"
