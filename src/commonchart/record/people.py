"""Persons: which Patient records of one human belong together (DESIGN 2). Links are rows of ours, made by identity."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from commonchart.record.database import Connection, Database


async def linked(database: Database, tenant: int, patient: str) -> list[str]:
    """The ids of all Patients linked to the same person as this one, itself first."""
    async with database.single() as conn:
        return await linked_on(conn, tenant, patient)


async def linked_on(conn: Connection, tenant: int, patient: str) -> list[str]:
    """The same, on a connection."""
    rows = await conn.fetch(
        "SELECT other.patient FROM person_link mine JOIN person_link other "
        "ON other.tenant = mine.tenant AND other.person = mine.person AND other.unlinked_at IS NULL "
        "WHERE mine.tenant = %s AND mine.patient = %s AND mine.unlinked_at IS NULL AND other.patient <> mine.patient "
        "ORDER BY other.patient",
        (tenant, patient),
    )
    return [patient, *(row[0] for row in rows)]
