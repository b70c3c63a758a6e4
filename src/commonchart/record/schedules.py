"""Immunization schedules in the database: the packs a site installed, and which one is used from which day.

A pack in the box needs no installing. Packs stay for good, so that "what did we tell this patient in March" has an answer.
"""

from __future__ import annotations

import hashlib
from collections import OrderedDict
from datetime import date, datetime
from typing import TYPE_CHECKING

import msgspec
from msgspec import Struct

from commonchart.care.immunizations import pack as packs
from commonchart.care.immunizations.compile import Schedule, compiled
from commonchart.care.immunizations.schema import Pack
from commonchart.fhir.outcome import Conflict, NotFound

if TYPE_CHECKING:
    from commonchart.record.database import Connection

_COMPILED: OrderedDict[str, Schedule] = OrderedDict()
_KEPT = 8


class Installed(Struct, frozen=True):
    """A pack that can be used: `installed` None for one that comes in the box."""

    name: str
    hash: str
    authority: str
    version: str
    published: str
    checked: str = ""
    installed: datetime | None = None
    installed_by: str = ""


class Use(Struct, frozen=True):
    """From `effective` on this pack is used, until a later day's choice."""

    effective: date
    name: str
    chosen: datetime
    chosen_by: str


def digest(pack: Pack) -> str:
    """What tells one content of a pack from another."""
    return hashlib.sha256(msgspec.json.encode(pack, order="deterministic")).hexdigest()


async def install(
    conn: Connection, tenant: int, pack: Pack, now: datetime, who: str, checked: str = ""
) -> Installed:
    """Keep a checked pack. Raises Conflict for a name that is taken by another content."""
    mine, source = digest(pack), pack.source
    known = {one.name: one for one in await installed(conn, tenant)}
    if pack.name in known:
        if known[pack.name].hash != mine:
            raise Conflict(
                f"There is another schedule pack {pack.name} already: give this one a name of its own"
            )
        return known[pack.name]
    await conn.execute(
        "INSERT INTO schedule_pack (tenant, name, hash, authority, version, published, body, checked, installed, installed_by) "
        "VALUES (%s, %s, %s, %s, %s, %s, %s, %s, %s, %s)",
        (tenant, pack.name, mine, source.authority, source.version, source.published,
         msgspec.json.encode(pack).decode(), checked, now, who),
    )  # fmt: skip
    return Installed(pack.name, mine, source.authority, source.version, source.published, checked, now, who)


async def installed(conn: Connection, tenant: int) -> list[Installed]:
    """Every pack that can be used: those in the box, then the site's by name."""
    cursor = await conn.execute(
        "SELECT name, hash, authority, version, published, checked, installed, installed_by FROM schedule_pack "
        "WHERE tenant = %s ORDER BY name",
        (tenant,),
    )
    return [*_boxed(), *(Installed(*row) for row in await cursor.fetchall())]


def _boxed() -> list[Installed]:
    out = []
    for name in packs.available():
        schedule = packs.load(name)
        source = schedule.source
        out.append(Installed(name, source.sha256, source.authority, source.version, source.published))
    return out


async def uses(conn: Connection, tenant: int) -> list[Use]:
    """Every choice, the latest day first."""
    cursor = await conn.execute(
        "SELECT effective, name, chosen, chosen_by FROM schedule_use WHERE tenant = %s ORDER BY effective DESC",
        (tenant,),
    )
    return [Use(*row) for row in await cursor.fetchall()]


async def choosing(conn: Connection) -> list[int]:
    """The tenants that chose a schedule at all."""
    cursor = await conn.execute("SELECT DISTINCT tenant FROM schedule_use ORDER BY tenant")
    return [row[0] for row in await cursor.fetchall()]


async def use(conn: Connection, tenant: int, chosen: Use) -> None:
    """From a day on use this pack. Raises NotFound for a pack that is not installed."""
    if chosen.name not in {one.name for one in await installed(conn, tenant)}:
        raise NotFound(f"There is no schedule pack {chosen.name}")
    await conn.execute(
        "INSERT INTO schedule_use (tenant, effective, name, chosen, chosen_by) VALUES (%s, %s, %s, %s, %s) "
        "ON CONFLICT (tenant, effective) DO UPDATE SET name = excluded.name, chosen = excluded.chosen, "
        "chosen_by = excluded.chosen_by",
        (tenant, chosen.effective, chosen.name, chosen.chosen, chosen.chosen_by),
    )


async def used_on(conn: Connection, tenant: int, day: date) -> str:
    """The name of the pack used on a day: the one in the box where nobody chose."""
    cursor = await conn.execute(
        "SELECT name FROM schedule_use WHERE tenant = %s AND effective <= %s ORDER BY effective DESC LIMIT 1",
        (tenant, day),
    )
    row = await cursor.fetchone()
    return row[0] if row else packs.BUILT_IN


async def schedule(conn: Connection, tenant: int, name: str) -> Schedule:
    """A pack, compiled; the last few are remembered. Raises NotFound."""
    if name in packs.available():
        return packs.load(name)
    cursor = await conn.execute(
        "SELECT hash FROM schedule_pack WHERE tenant = %s AND name = %s", (tenant, name)
    )
    row = await cursor.fetchone()
    if row is None:
        raise NotFound(f"There is no schedule pack {name}")
    if row[0] not in _COMPILED:
        _COMPILED[row[0]] = compiled(await pack(conn, tenant, name))
        while len(_COMPILED) > _KEPT:
            _COMPILED.popitem(last=False)
    return _COMPILED[row[0]]


async def pack(conn: Connection, tenant: int, name: str) -> Pack:
    """A pack as it was installed, or as it is in the box. Raises NotFound."""
    if name in packs.available():
        return packs.found(name)
    cursor = await conn.execute(
        "SELECT body FROM schedule_pack WHERE tenant = %s AND name = %s", (tenant, name)
    )
    row = await cursor.fetchone()
    if row is None:
        raise NotFound(f"There is no schedule pack {name}")
    return msgspec.json.decode(row[0], type=Pack)


async def active(conn: Connection, tenant: int, day: date) -> Schedule:
    """The schedule used on a day."""
    return await schedule(conn, tenant, await used_on(conn, tenant, day))
