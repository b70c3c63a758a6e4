"""The checks that were kept with orders: what was covered, what was found, and why it was ordered all the same."""

from __future__ import annotations

from datetime import datetime
from typing import TYPE_CHECKING

import msgspec
from msgspec import Struct

from commonchart.access import audit
from commonchart.access.withheld import sees_everything
from commonchart.care.medications.answers import Alert
from commonchart.record.keys import patient_key
from commonchart.record.people import linked_on

if TYPE_CHECKING:
    from commonchart.access.records import Records

MOST = 20
WITHHELD = "Part of this record is withheld from you: what was found is told by who ordered it"


class Kept(Struct, frozen=True):
    """The check of one version of one order. `name` is who ordered it."""

    id: str
    vid: int
    at: datetime
    name: str
    text: str
    lines: tuple[str, ...]
    alerts: tuple[Alert, ...]
    reason: str


async def of_patient(records: Records, patient: str, order: str = "") -> list[Kept]:
    """The newest checks of a person's orders, or of one order. Raises Forbidden.

    Somebody from whom anything is withheld is told what was found only where they ordered it themselves.
    """
    await records.require("read", "MedicationRequest")
    actor = records.actor
    async with records.database.connection() as conn:
        same = await linked_on(conn, actor.tenant, patient)
        cursor = await conn.execute(
            "SELECT c.id, c.vid, c.at, coalesce(u.name, c.actor), c.text, c.lines, c.alerts, c.reason, c.actor "
            "FROM medication_check c LEFT JOIN app_user u ON u.id = c.actor AND u.tenant = c.tenant "
            "WHERE c.pk = ANY(%s) AND c.tenant = %s AND c.patient = ANY(%s) AND (%s = '' OR c.id = %s) "
            "ORDER BY c.at DESC, c.id LIMIT %s",
            ([patient_key(one) for one in same], actor.tenant, same, order, order, MOST),
        )
        rows = await cursor.fetchall()
        await audit.note(conn, actor, records.clock(), "read-checks", patients=[patient])
    whole = sees_everything(actor)
    return [_kept(row[:8]) if whole or row[8] == actor.user else _bare(row) for row in rows]


def _kept(row: tuple[object, ...]) -> Kept:
    id, vid, at, name, text, lines, alerts, reason = row
    return Kept(
        id, vid, at, name, text, msgspec.json.decode(str(lines), type=tuple[str, ...]),  # type: ignore[arg-type]
        msgspec.json.decode(str(alerts), type=tuple[Alert, ...]), reason,  # type: ignore[arg-type]
    )  # fmt: skip


def _bare(row: tuple[object, ...]) -> Kept:
    id, vid, at, name, text = row[:5]
    return Kept(id, vid, at, name, text, (WITHHELD,), (), "")  # type: ignore[arg-type]
