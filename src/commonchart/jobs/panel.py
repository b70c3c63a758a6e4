"""What lists are narrowed, sorted and counted by, out of a Patient and what was worked out of the record; counts by day."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import date, datetime
from typing import TYPE_CHECKING, Any

import msgspec

from commonchart.access import users, views
from commonchart.access.records import Records
from commonchart.care import registries
from commonchart.care.evidence import first_day, moment_day
from commonchart.care.registries import Row
from commonchart.record import panel
from commonchart.record.due import DueRow, InUse
from commonchart.record.panel import STATUSES, Member, RegistryRow
from commonchart.search.fold import fold

if TYPE_CHECKING:
    from commonchart.record.database import Database

PACK = "registries"


def in_use() -> InUse:
    """The registries that stored rows must rest on."""
    held = registries.built_in()
    return InUse(PACK, held.hash[:12], held.hash, "")


def member(patient: dict[str, Any], rows: Sequence[DueRow]) -> Member:
    """A patient as lists see them."""
    doctors = [one for one in patient.get("generalPractitioner") or () if isinstance(one, dict)]
    ids = [str(one.get("reference", "")).removeprefix("Practitioner/") for one in doctors]
    statuses = [row.status for row in rows]
    return Member(
        _name(patient), first_day(patient.get("birthDate")), str(patient.get("gender", "")),
        tuple(dict.fromkeys(id for id in ids if id and "/" not in id)),
        fold(str(doctors[0].get("display") or ids[0])) if doctors else "",
        tuple(statuses.count(one) for one in STATUSES),
        sum(row.status == "overdue" or row.within in ("out", "alert") for row in rows),
    )  # fmt: skip


_USES = {"official": 0, "usual": 1, "old": 9}


def _name(patient: dict[str, Any]) -> str:
    names = [one for one in patient.get("name") or () if isinstance(one, dict)]
    best = min(names, key=lambda one: _USES.get(str(one.get("use")), 2), default={})
    parts = [best.get("family"), *(best.get("given") or ())]
    return fold(" ".join(str(one) for one in parts if one) or str(best.get("text") or ""))


def registry_row(patient: str, one: Row, day: date, pack: str) -> RegistryRow:
    """A row of a condition registry as it is stored."""
    return RegistryRow(
        patient, one.registry, one.urgency, one.status, one.within, one.main, one.due_on, one.inside, one.known,
        list(one.numbers), list(one.days), day, pack, msgspec.json.encode(one.cells).decode(),
    )  # fmt: skip


async def count(database: Database, now: datetime) -> int:
    """Bring today's counts up to date, where somebody was assessed since; of how many tenants."""
    done = 0
    async with database.single() as conn:
        everywhere = await panel.tenants(conn)
    for tenant in everywhere:
        async with database.connection() as conn:
            if await panel.stale(conn, tenant, moment_day(now)):
                await panel.count(conn, tenant, moment_day(now), now)
                await views.count_all(conn, Records(database, users.system(tenant, "panel"), lambda: now))
                done += 1
    return done
