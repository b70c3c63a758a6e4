"""J9: what was revoked after a backup stays revoked when yesterday's backup is restored."""

from __future__ import annotations

from datetime import timedelta
from pathlib import Path
from typing import Any

import psycopg
import pytest

from commonchart.access import credentials, users
from commonchart.fhir.outcome import Unauthenticated
from commonchart.record import backup, restored
from commonchart.record.database import Database
from tests.conftest import Clock


async def test_nobody_is_let_in_by_what_an_old_backup_says(
    database: Database, database_url: str, empty_database: Any, clock: Clock, tmp_path: Path
) -> None:
    user = await users.create(
        database, tenant=1, login="ada", name="Ada", role="clinician", org="alder", now=clock()
    )
    token = await credentials.issue(
        database, user.id, clock(), kind="token", client="t", lives=timedelta(days=9)
    )
    async with database.connection() as conn:
        await conn.execute(
            "INSERT INTO emergency_access (id, tenant, actor, org, patient, purpose, reason, starts, ends) "
            "VALUES ('e', 1, 'ada', 'alder', 'p', 'BTG', 'r', %s, %s)",
            (clock(), clock() + timedelta(minutes=60)),
        )
        await conn.execute(
            "INSERT INTO account_link (sha256, tenant, actor, kind, made_by, created, expires) VALUES ('\\x01', 1, 'ada', 'reset', 'x', %s, %s)",
            (clock(), clock() + timedelta(days=1)),
        )
    target, made = tmp_path / "kept.backup", clock()
    backup.make(database_url, tmp_path, target, now=made, program="test")
    await credentials.revoke_all(database, user.id, clock())
    name = empty_database.create()
    url = empty_database.url(name)
    backup.restore(target, url, tmp_path / "new")
    again = await Database.open(url)
    assert (await credentials.actor_of(again, token, clock())).user == user.id  # what an old backup would do
    ended = restored.nobody_returns(url, made, clock.advance(minutes=1))
    credentials.forget()
    with pytest.raises(Unauthenticated):
        await credentials.actor_of(again, token, clock())
    await again.close()
    assert ended == {"sessions and tokens": 1, "emergency accesses": 1, "links by mail": 1}
    with psycopg.connect(url) as conn:
        assert conn.execute("SELECT kind, org FROM privacy_notice").fetchall() == [("restored", "alder")]
        assert conn.execute("SELECT action, detail FROM audit WHERE action = 'restore'").fetchall() == [
            ("restore", f"of {made.isoformat()}; ended 3")
        ]
    empty_database.drop(name)


def test_every_table_of_what_lets_in_is_known() -> None:
    """A new table of secrets that are kept by their digest has to be ended here too, or say why not."""
    import re

    folder = Path(restored.__file__).parent / "migrations/versions"
    sql = "".join(path.read_text() for path in folder.glob("*.sql"))
    held = {
        table
        for table, columns in re.findall(r"CREATE TABLE (\w+) \((.*?)\n\);", sql, re.S)
        if re.search(r"\bsha256 bytea", columns)
    }
    ended = set(re.findall(r"(?:UPDATE|DELETE FROM) (\w+)", " ".join(restored.ENDED.values())))
    # a device that is known lets nobody in: it only keeps a guesser elsewhere from making its owner wait
    assert held - ended == {"known_device"}
