"""A result is shown to the patient as soon as it is final; a clinician can delay one, with a reason and an end.

The row is asked by `search.visible` in every statement of a patient, so that it holds on pages, downloads and through the
API alike. 45 CFR 171.201 allows it to prevent harm, decided for the one patient: the reason is kept, and so is who.
"""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import TYPE_CHECKING

from msgspec import Struct

from commonchart.access import audit
from commonchart.fhir import json
from commonchart.fhir.outcome import Forbidden, Invalid, NotFound

if TYPE_CHECKING:
    from commonchart.access.records import Records
    from commonchart.record.database import Connection

LONGEST = timedelta(days=14)
SHORTEST_REASON = 10
TYPES = ("Observation", "DiagnosticReport")
ROLES = frozenset({"clinician"})


class Hold(Struct, frozen=True):
    """One result held back."""

    rtype: str
    id: str
    reason: str
    until: datetime
    made: datetime
    by: str


async def hold(records: Records, patient: str, rtype: str, id: str, reason: str, until: datetime) -> None:
    """Delay a result, of a report with its results. Raises Forbidden, Invalid, NotFound."""
    now = records.clock()
    await _required(records)
    if len(reason.strip()) < SHORTEST_REASON:
        raise Invalid("Say why the patient should not see this before you have spoken with them", at="reason")
    if not now < until <= now + LONGEST:
        raise Invalid(f"Choose a day within the next {LONGEST.days} days", at="until")
    keys = await _members(records, patient, rtype, id)
    async with records.database.connection() as conn:
        for one, name in keys:
            await conn.fetch(
                "INSERT INTO result_hold (tenant, patient, rtype, id, made, made_by, reason, until) VALUES "
                "(%s, %s, %s, %s, %s, %s, %s, %s) ON CONFLICT DO NOTHING",
                (
                    records.actor.tenant,
                    patient,
                    one,
                    name,
                    now,
                    records.actor.user,
                    reason.strip()[:500],
                    until,
                ),
            )
        await audit.note(
            conn, records.actor, now, "hold-result", rtype=rtype, id=id, patients=[patient], detail=until.isoformat(timespec="minutes")
        )  # fmt: skip


async def lift(records: Records, patient: str, rtype: str, id: str) -> None:
    """Show it now, of a report with its results. Raises Forbidden, NotFound."""
    await _required(records)
    keys = await _members(records, patient, rtype, id)
    async with records.database.connection() as conn:
        rows = await conn.fetch(
            "UPDATE result_hold SET lifted = %s, lifted_by = %s WHERE tenant = %s AND patient = %s AND lifted IS NULL "
            "AND (rtype, id) IN (SELECT * FROM unnest(%s::text[], %s::text[])) RETURNING 1",
            (
                records.clock(),
                records.actor.user,
                records.actor.tenant,
                patient,
                *map(list, zip(*keys, strict=True)),
            ),
        )
        if not rows:
            raise NotFound("This result is not held back")
        await audit.note(
            conn, records.actor, records.clock(), "release-result", rtype=rtype, id=id, patients=[patient]
        )


async def of_result(
    conn: Connection, tenant: int, patient: str, rtype: str, id: str, now: datetime
) -> Hold | None:
    """What holds this result back now."""
    rows = await conn.fetch(
        "SELECT h.rtype, h.id, h.reason, h.until, h.made, coalesce(u.name, h.made_by) FROM result_hold h "
        "LEFT JOIN app_user u ON u.id = h.made_by WHERE h.tenant = %s AND h.patient = %s AND h.rtype = %s AND h.id = %s "
        "AND h.lifted IS NULL AND h.until > %s ORDER BY h.until DESC LIMIT 1",
        (tenant, patient, rtype, id, now),
    )
    return Hold(*rows[0]) if rows else None


async def _required(records: Records) -> None:
    if records.actor.role not in ROLES:
        raise Forbidden("Only a clinician delays or releases a result")


async def _members(records: Records, patient: str, rtype: str, id: str) -> list[tuple[str, str]]:
    """The result and, of a report, what it is made of. Raises NotFound for what is not this patient's."""
    if rtype not in TYPES:
        raise NotFound("There is no such result")
    stored = await records.read(rtype, id)
    if stored.patient != patient:
        raise NotFound("There is no such result")
    body = json.decode(stored.body or b"{}")
    names = [
        str(one.get("reference", "")) for one in (*(body.get("result") or ()), *(body.get("hasMember") or ()))
    ]
    found = [
        tuple(name.split("/")) for name in names if name.startswith("Observation/") and name.count("/") == 1
    ]
    return [(rtype, id), *((one, other) for one, other in found)]
