"""Open alerts that may kill, over all patients: what came in without anybody being asked, put before a clinician."""

from __future__ import annotations

from datetime import datetime
from typing import TYPE_CHECKING

from msgspec import Struct

from commonchart.access import audit, panels
from commonchart.record import store
from commonchart.record.keys import token
from commonchart.record.rows import Stored
from commonchart.record.schema import VERSION_COLUMNS

if TYPE_CHECKING:
    from commonchart.access.records import Records

MOST = 200


class Waiting(Struct, frozen=True):
    """One open alert, with the Patient as stored."""

    patient: Stored
    title: str
    why: str
    opened: datetime


async def waiting(records: Records, *, mine: bool) -> tuple[list[Waiting], int]:
    """The longest open first, and how many there are; `mine`: of those whose general practitioner the actor is.

    Of a patient of whom anything is withheld from the actor there is none here: it might rest on that. Raises Forbidden.
    """
    await records.require("create", "MedicationRequest")
    actor = records.actor
    predicate, args = records.visible.predicate("r")
    scope, whole_args = panels.each(records.visible)
    where = f"{scope} AND p.tier = 'interrupt' AND p.closed IS NULL AND p.answered IS NULL AND NOT r.deleted AND {predicate}"
    values = [*whole_args, *args]
    if mine:
        where += " AND (r.tokens || '{}'::bigint[]) && %s::bigint[]"
        values.append([token("general-practitioner", f"Practitioner/{actor.practitioner}")])
    columns = ", ".join(f"r.{name}" for name in VERSION_COLUMNS.split(", "))
    async with records.database.connection() as conn:
        cursor = await conn.execute(
            f"SELECT {columns}, p.title, p.why, p.opened, count(*) OVER () FROM medication_alert p JOIN resource r ON r.pk = p.pk "
            f"AND r.tenant = p.tenant AND r.rtype = 'Patient' AND r.id = p.patient WHERE {where} "
            "ORDER BY p.opened, p.patient, p.key LIMIT %s",
            [*values, MOST],
        )
        rows = await cursor.fetchall()
        who = sorted({str(row[1]) for row in rows})
        await audit.note(conn, actor, records.clock(), "open-alerts", patients=who)
    return [Waiting(store.row_stored(row[:15]), *row[15:18]) for row in rows], int(rows[0][18]) if rows else 0
