"""The worker forgets registrations that nobody proved, refused apps, and whom to write to about a withdrawn one."""

from __future__ import annotations

from datetime import timedelta

from commonchart.access.developers import keeping, registrations
from commonchart.access.oauth import apps
from commonchart.jobs import developers as job
from commonchart.jobs import worker
from commonchart.record.database import Database
from tests.conftest import Clock
from tests.developers import APP, DEE, acts, registered, wanted
from tests.smart import ROOT


async def test_what_was_not_proven_or_refused_is_forgotten(database: Database, clock: Clock) -> None:
    refused, _ = await registered(database, clock())
    await apps.decide(database, ROOT, refused, "refused", clock(), reason="Say more")
    unproven, _ = await registrations.register(database, 1, wanted(app="Another diary"), "", clock())
    keeps, _ = await registered(database, clock(), wanted(app="A third diary", email="kim@alder.example"))
    clock.now += timedelta(days=7, minutes=1)
    await job.drain(database, clock, None)
    assert {one.registration.id for one in await keeping.listed(database, DEE)} == {refused}
    # mended within the month, it waits again
    await keeping.change(database, DEE, refused, APP, clock())
    assert (await apps.one(database, 1, refused)).state == "waiting"
    await apps.decide(database, ROOT, refused, "refused", clock(), reason="Still not")
    clock.now += timedelta(days=31)
    await job.drain(database, clock, None)
    assert [app.id for app in await apps.listed(database, 1)] == [keeps]
    async with database.single() as conn:
        for table in ("developer_registration", "developer_link", "developer_change"):
            rows = await conn.fetch(f"SELECT count(*) FROM {table}", ())
            assert rows[0][0] == (1 if table == "developer_registration" else 0), table
    assert (await acts(database)).count("clear-registrations") == 2
    assert unproven != refused
    assert worker.LANES["developers"] is job.drain
