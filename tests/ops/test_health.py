from __future__ import annotations

import psycopg

from commonchart.ops.health import health_of
from commonchart.record.database import Database
from commonchart.record.upgrade import head


async def test_a_migrated_database_is_healthy(database: Database) -> None:
    health = await health_of(database)
    assert (health.status, health.schema, health.behind) == ("ok", head(), 0)


async def test_what_the_slowest_reader_has_not_seen_is_counted(database: Database, database_url: str) -> None:
    with psycopg.connect(database_url) as conn:
        conn.execute(
            "INSERT INTO change (xid, tenant, pk, rtype, id, vid, org, recorded, op) "
            "SELECT '5', 1, 1, 'Patient', n::text, 1, 'o', now(), 'create' FROM generate_series(1, 7) n"
        )
    assert (await health_of(database)).behind == 7
    with psycopg.connect(database_url) as conn:
        conn.execute("INSERT INTO change_cursor SELECT 'due', '5', min(seq) + 2 FROM change")
        conn.execute("INSERT INTO change_cursor SELECT 'other', '5', max(seq) FROM change")
    assert (await health_of(database)).behind == 4


async def test_a_database_of_another_version_is_failing(database: Database, database_url: str) -> None:
    with psycopg.connect(database_url) as conn:
        conn.execute("UPDATE alembic_version SET version_num = '0000'")
    assert (await health_of(database)).status == "failing"


async def test_a_database_that_is_away_is_said_and_not_raised() -> None:
    health = await health_of(Database.opened_later("host=/nowhere dbname=nothing"))
    assert (health.status, health.database) == ("failing", "away")
