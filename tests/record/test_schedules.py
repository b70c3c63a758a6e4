"""Immunization schedules: kept for good, used from a day on, compiled once."""

from __future__ import annotations

from datetime import UTC, date, datetime

import pytest
from msgspec.structs import replace

from commonchart.care.immunizations import pack as packs
from commonchart.fhir.outcome import Conflict, NotFound
from commonchart.record import schedules
from commonchart.record.database import Database
from commonchart.record.schedules import Use

NOW = datetime(2026, 11, 18, 10, 0, tzinfo=UTC)
AAP = replace(
    packs.found(packs.BUILT_IN), name="aap-2026",
    source=replace(packs.found(packs.BUILT_IN).source, authority="AAP", version="2026"),
)  # fmt: skip


async def test_the_pack_in_the_box_is_used_until_somebody_chooses(database: Database) -> None:
    async with database.connection() as conn:
        assert await schedules.used_on(conn, 1, NOW.date()) == packs.BUILT_IN
        assert (await schedules.active(conn, 1, NOW.date())).name == packs.BUILT_IN
        assert [one.name for one in await schedules.installed(conn, 1)] == packs.available()


async def test_a_pack_is_used_from_its_day_on_and_by_its_tenant_only(database: Database) -> None:
    async with database.connection() as conn:
        await schedules.install(conn, 1, AAP, NOW, "root", "5 passed, 0 failed")
        await schedules.use(conn, 1, Use(date(2027, 1, 1), "aap-2026", NOW, "root"))
        assert await schedules.used_on(conn, 1, date(2026, 12, 31)) == packs.BUILT_IN
        assert (await schedules.active(conn, 1, date(2027, 1, 1))).source.authority == "AAP"
        assert await schedules.used_on(conn, 2, date(2027, 1, 1)) == packs.BUILT_IN
        with pytest.raises(NotFound):
            await schedules.schedule(conn, 2, "aap-2026")


async def test_what_was_used_on_a_past_day_stays_known(database: Database) -> None:
    async with database.connection() as conn:
        await schedules.install(conn, 1, AAP, NOW, "root")
        await schedules.use(conn, 1, Use(date(2026, 11, 18), "aap-2026", NOW, "root"))
        await schedules.use(conn, 1, Use(date(2026, 12, 1), packs.BUILT_IN, NOW, "root"))
        assert await schedules.used_on(conn, 1, date(2026, 11, 30)) == "aap-2026"
        assert [one.name for one in await schedules.uses(conn, 1)] == [packs.BUILT_IN, "aap-2026"]


async def test_an_installed_pack_comes_back_as_it_was_and_is_compiled_once(database: Database) -> None:
    async with database.connection() as conn:
        await schedules.install(conn, 1, AAP, NOW, "root")
        assert await schedules.pack(conn, 1, "aap-2026") == AAP
        assert await schedules.schedule(conn, 1, "aap-2026") is await schedules.schedule(conn, 1, "aap-2026")


async def test_a_name_belongs_to_one_content(database: Database) -> None:
    async with database.connection() as conn:
        first = await schedules.install(conn, 1, AAP, NOW, "root")
        assert await schedules.install(conn, 1, AAP, NOW, "other") == first
        with pytest.raises(Conflict):
            await schedules.install(
                conn, 1, replace(AAP, source=replace(AAP.source, version="2027")), NOW, "root"
            )
        with pytest.raises(NotFound):
            await schedules.use(conn, 1, Use(NOW.date(), "none", NOW, "root"))
