"""Rules of the medication pack that were written from memory and that a named clinician of the site approved."""

from __future__ import annotations

from datetime import datetime
from typing import TYPE_CHECKING

from msgspec import Struct

from commonchart.access import audit
from commonchart.care.medications.pack import built_in
from commonchart.fhir.outcome import Forbidden, Invalid, NotFound

if TYPE_CHECKING:
    from commonchart.access.records import Records
    from commonchart.record.database import Connection


class Approval(Struct, frozen=True):
    """Who approved a rule, when, and what they said of it."""

    rule: str
    at: datetime
    name: str
    comment: str


async def approved(conn: Connection, tenant: int) -> frozenset[str]:
    """The ids of rules that the site approved and has not withdrawn."""
    rows = await conn.fetch(
        "SELECT rule FROM alert_approval WHERE tenant = %s AND withdrawn IS NULL", (tenant,)
    )
    return frozenset(row[0] for row in rows)


async def standing(records: Records) -> list[Approval]:
    """The approvals that stand. Raises Forbidden."""
    await records.require("read", "MedicationRequest")
    async with records.database.single() as conn:
        cursor = await conn.execute(
            "SELECT rule, approved, name, comment FROM alert_approval WHERE tenant = %s AND withdrawn IS NULL ORDER BY rule",
            (records.actor.tenant,),
        )
        return [Approval(*row) for row in await cursor.fetchall()]


async def approve(records: Records, rule: str, comment: str) -> None:
    """From now on this rule may interrupt. Raises Forbidden, NotFound (no such rule), Invalid (no comment)."""
    _clinician(records)
    if rule not in {one.id for one in built_in().every()}:
        raise NotFound("The medication pack has no such rule")
    if not comment.strip():
        raise Invalid("Say what the rule was compared with", at="comment", code="required")
    actor, now = records.actor, records.clock()
    async with records.database.connection() as conn:
        if rule in await approved(conn, actor.tenant):
            return
        await conn.execute(
            "INSERT INTO alert_approval (tenant, rule, approved, actor, name, comment) VALUES (%s, %s, %s, %s, %s, %s)",
            (actor.tenant, rule, now, actor.user, actor.name, comment.strip()[:400]),
        )
        await audit.note(conn, actor, now, "approve-alert", detail=rule)


async def withdraw(records: Records, rule: str) -> None:
    """The rule no longer interrupts. Raises Forbidden."""
    _clinician(records)
    actor, now = records.actor, records.clock()
    async with records.database.connection() as conn:
        await conn.execute(
            "UPDATE alert_approval SET withdrawn = %s WHERE tenant = %s AND rule = %s AND withdrawn IS NULL",
            (now, actor.tenant, rule),
        )
        await audit.note(conn, actor, now, "withdraw-alert-approval", detail=rule)


def _clinician(records: Records) -> None:
    if records.actor.role not in ("clinician", "administrator"):
        raise Forbidden("Only a clinician of the site approves rules that interrupt")
