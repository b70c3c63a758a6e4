"""Vaccines in the due table: by the schedule that the patient's site uses on the day."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from datetime import date
from typing import TYPE_CHECKING, Any

from msgspec.structs import replace

from commonchart.care.assess import Due
from commonchart.care.immunizations import due, maps
from commonchart.care.immunizations import pack as packs
from commonchart.care.immunizations.compile import Schedule
from commonchart.care.immunizations.evaluate import evaluate
from commonchart.care.immunizations.from_fhir import facts
from commonchart.record import schedules
from commonchart.record.due import InUse

if TYPE_CHECKING:
    from commonchart.record.database import Connection


def assessed(
    patient: dict[str, Any],
    resources: Iterable[dict[str, Any]],
    schedule: Schedule,
    as_of: date,
    vaccines: Mapping[tuple[str, str], str],
) -> list[Due]:
    """The due rows of one patient's vaccines; `vaccines` are codes of other systems as CVX."""
    found = facts(patient, resources, schedule, as_of, replace(maps.built_in(), vaccines=vaccines))
    answer = evaluate(found.person, found.doses, found.observations, schedule, as_of)
    return due.rows(answer, found, schedule)


async def in_use(conn: Connection, day: date) -> list[InUse]:
    """The schedules that due lists must rest on: the one in the box, and what each tenant chose for the day."""
    boxed = packs.load().source
    out = [InUse("schedule", boxed.version, boxed.sha256, boxed.authority)]
    for tenant in await schedules.choosing(conn):
        name = await schedules.used_on(conn, tenant, day)
        one = next(found for found in await schedules.installed(conn, tenant) if found.name == name)
        out.append(InUse(f"schedule:{tenant}", one.version, one.hash, one.authority))
    return out
