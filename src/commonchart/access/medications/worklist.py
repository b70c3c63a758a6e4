"""Open alerts that may kill, over all patients: what came in without anybody being asked, put before a clinician."""

from __future__ import annotations

from datetime import datetime
from typing import TYPE_CHECKING

from msgspec import Struct

from commonchart.access import audit
from commonchart.access.withheld import sees_everything
from commonchart.fhir.outcome import NotFound
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

    Raises Forbidden, NotFound: it is for those who see everything.
    """
    await records.require("create", "MedicationRequest")
    actor = records.actor
    if not sees_everything(actor):
        raise NotFound("There is no such list here")
    predicate, args = records.visible.predicate("r")
    where = f"a.tenant = %s AND a.tier = 'interrupt' AND a.closed IS NULL AND a.answered IS NULL AND NOT r.deleted AND {predicate}"
    values = [actor.tenant, *args]
    if mine:
        where += " AND (r.tokens || '{}'::bigint[]) && %s::bigint[]"
        values.append([token("general-practitioner", f"Practitioner/{actor.practitioner}")])
    columns = ", ".join(f"r.{name}" for name in VERSION_COLUMNS.split(", "))
    async with records.database.connection() as conn:
        cursor = await conn.execute(
            f"SELECT {columns}, a.title, a.why, a.opened, count(*) OVER () FROM medication_alert a JOIN resource r ON r.pk = a.pk "
            f"AND r.tenant = a.tenant AND r.rtype = 'Patient' AND r.id = a.patient WHERE {where} "
            "ORDER BY a.opened, a.patient, a.key LIMIT %s",
            [*values, MOST],
        )
        rows = await cursor.fetchall()
        who = sorted({str(row[1]) for row in rows})
        await audit.note(conn, actor, records.clock(), "open-alerts", patients=who)
    return [Waiting(store.row_stored(row[:15]), *row[15:18]) for row in rows], int(rows[0][18]) if rows else 0
