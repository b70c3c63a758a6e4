"""Which immunization schedule the site uses: administrators install and choose, everybody who treats may look."""

from __future__ import annotations

from datetime import date
from typing import TYPE_CHECKING

from msgspec import Struct

from commonchart.access import audit
from commonchart.access.outreach.policy import local
from commonchart.care.immunizations.compile import Schedule
from commonchart.care.immunizations.schema import Pack
from commonchart.fhir.outcome import Forbidden, Invalid
from commonchart.record import schedules
from commonchart.record.schedules import Installed, Use

if TYPE_CHECKING:
    from commonchart.access.records import Records


class Schedules(Struct, frozen=True):
    """What is installed, what was chosen from which day, and the name of today's."""

    installed: tuple[Installed, ...]
    uses: tuple[Use, ...]
    today: str


async def known(records: Records) -> Schedules:
    """The packs and choices of the site. Raises Forbidden."""
    await records.require("read", "Immunization")
    tenant, day = records.actor.tenant, records.clock().date()
    async with records.database.connection() as conn:
        return Schedules(
            tuple(await schedules.installed(conn, tenant)),
            tuple(await schedules.uses(conn, tenant)),
            await schedules.used_on(conn, tenant, day),
        )


async def active(records: Records, day: date | None = None) -> Schedule:
    """The schedule used on a day (today). Raises Forbidden."""
    await records.require("read", "Immunization")
    async with records.database.connection() as conn:
        return await schedules.active(conn, records.actor.tenant, day or records.clock().date())


async def named(records: Records, name: str) -> Schedule:
    """An installed schedule by name. Raises Forbidden, NotFound."""
    await records.require("read", "Immunization")
    async with records.database.connection() as conn:
        return await schedules.schedule(conn, records.actor.tenant, name)


async def pack(records: Records, name: str) -> Pack:
    """An installed pack by name, for comparing. Raises Forbidden, NotFound."""
    await records.require("read", "Immunization")
    async with records.database.connection() as conn:
        return await schedules.pack(conn, records.actor.tenant, name)


async def install(records: Records, pack: Pack, checked: str = "") -> Installed:
    """Keep a checked pack, with what published cases said of it. Raises Forbidden, Conflict."""
    _administrator(records)
    actor, now = records.actor, records.clock()
    async with records.database.connection() as conn:
        done = await schedules.install(conn, actor.tenant, pack, now, actor.name, checked)
        await audit.note(conn, actor, now, "install-schedule", detail=f"{done.name} {done.hash[:16]}")
        return done


async def use(records: Records, name: str, effective: date) -> None:
    """From a day on use this pack; due lists are worked out again when the day has come.

    Raises Forbidden, NotFound, Invalid for a day that has passed: what was told then is not changed afterwards.
    """
    _administrator(records)
    actor, now = records.actor, records.clock()
    async with records.database.connection() as conn:
        if effective < (await local(conn, actor.tenant, now)).date():
            raise Invalid("A schedule is used from today or a later day on", at="effective")
        await schedules.use(conn, actor.tenant, Use(effective, name, now, actor.name))
        await audit.note(conn, actor, now, "use-schedule", detail=f"{name} from {effective}")


def _administrator(records: Records) -> None:
    if records.actor.role not in ("administrator", "system"):
        raise Forbidden("Only an administrator installs and chooses immunization schedules")
