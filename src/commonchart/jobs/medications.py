"""Keeping medication alerts right: a person is reviewed when what a check reads changed, a day came, or the pack is another.

This is how orders that nobody was asked about are caught: imports, HL7 v2, programs, and a new allergy or diagnosis.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from datetime import datetime
from typing import TYPE_CHECKING

from commonchart.access import audit, users
from commonchart.access.medications import reading, standing
from commonchart.care.evidence import moment_day
from commonchart.record import changes, due
from commonchart.record.keys import patient_key, token
from commonchart.record.people import linked_on
from commonchart.record.rows import Change

if TYPE_CHECKING:
    from commonchart.record.database import Connection, Database

CURSOR = "medication-alerts"
CHANGES = 1000
PATIENTS = 50
ALWAYS = frozenset({*reading.MEDICINES, "AllergyIntolerance", "Patient"})
"""Types whose every change is reviewed; of a Condition or Observation only where the person takes something."""


async def drain(database: Database, now: datetime) -> int:
    """Bring the alerts up to date with everything committed, and with the day and the pack; how many changes were followed."""
    done = 0
    while taken := await follow(database, now):
        done += taken
        if taken < CHANGES:
            break
    while await renew(database, now):
        pass
    return done


async def follow(database: Database, now: datetime) -> int:
    """Take one batch of the feed and review the people it is about; how many changes were taken."""
    async with database.connection() as conn:
        batch = await changes.take(conn, CURSOR, CHANGES)
        if not batch.changes:
            return 0
        await _review_all(conn, await _touched(conn, batch.changes), now)
        await changes.advance(conn, CURSOR, batch)
        return len(batch.changes)


async def renew(database: Database, now: datetime) -> int:
    """Review some of those whose answer rests on another day or another pack; how many."""
    async with database.connection() as conn:
        found = await standing.outdated(conn, PATIENTS)
        found += await standing.changing(conn, moment_day(now), PATIENTS - len(found))
        await _review_all(conn, set(found), now)
        return len(found)


async def _touched(conn: Connection, batch: Sequence[Change]) -> set[tuple[int, str]]:
    """(tenant, patient) of those whose alerts a change may change, with everybody linked to the same person."""
    read = [one for one in batch if one.patient and one.rtype in reading.TYPES]
    found = {(one.tenant, one.patient or "") for one in read if one.rtype in ALWAYS}
    for tenant in {one.tenant for one in read}:
        asked = [one for one in read if one.tenant == tenant and (tenant, one.patient) not in found]
        new = [one for one in asked if one.rtype == "Observation" and one.op == "create"]
        others = {one.patient or "" for one in asked if one not in new}
        others |= set(await due.telling(conn, tenant, new, reading.TOKENS)) if new else set()
        found |= {(tenant, one) for one in await _taking(conn, tenant, sorted(others))}
    for tenant in {one.tenant for one in batch}:
        medicines = [one.id for one in batch if one.tenant == tenant and one.rtype == "Medication"]
        found |= {(tenant, one) for one in await _ordered(conn, tenant, medicines)}
    return {(t, one) for t, patient in found for one in await linked_on(conn, t, patient)}


async def _taking(conn: Connection, tenant: int, patients: list[str]) -> list[str]:
    """Those of the patients in whose record there is any medicine, or a review that may have to go."""
    rows = await conn.fetch(
        "SELECT k.patient FROM unnest(%s::bigint[], %s::text[]) AS k(pk, patient) WHERE EXISTS (SELECT 1 FROM resource r "
        "WHERE r.pk = k.pk AND r.tenant = %s AND r.patient = k.patient AND r.rtype = ANY(%s) AND NOT r.deleted)",
        ([patient_key(one) for one in patients], patients, tenant, list(reading.MEDICINES)),
    )
    return [row[0] for row in rows]


async def _ordered(conn: Connection, tenant: int, medicines: list[str]) -> list[str]:
    """The patients of whatever refers to these Medications: another code there is another medicine for all of them."""
    if not medicines:
        return []
    rows = await conn.fetch(
        "SELECT DISTINCT r.patient FROM resource r WHERE r.tenant = %s AND r.rtype = ANY(%s) AND NOT r.deleted "
        "AND r.patient IS NOT NULL AND r.tokens && %s::bigint[]",
        (tenant, list(reading.MEDICINES), [token("medication", f"Medication/{one}") for one in medicines]),
    )
    return [row[0] for row in rows]


async def _review_all(conn: Connection, patients: Iterable[tuple[int, str]], now: datetime) -> None:
    """In order, so that two rounds never wait for each other crosswise."""
    by_tenant: dict[int, list[str]] = {}
    for tenant, patient in sorted(patients):
        await standing.refresh(conn, tenant, patient, now)
        by_tenant.setdefault(tenant, []).append(patient)
    for tenant, done in by_tenant.items():
        await audit.note(
            conn, users.system(tenant, "medication-alerts"), now, "review-medications", patients=done
        )
