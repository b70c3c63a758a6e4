"""Break-glass: one user, one patient, for at most an hour, with a reason; seen by the privacy officer and by the patient.

A grant is a row that `search.visible` asks in every statement, so that it opens and ends at once. What it never opens is
in `policy.NEVER_IN_EMERGENCY`. Whoever a patient has shut out by name gets none.
"""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import TYPE_CHECKING
from uuid import uuid4

from msgspec import Struct

from commonchart.access import audit, policy
from commonchart.access.actors import Actor
from commonchart.fhir.outcome import Forbidden, Invalid, NotFound

if TYPE_CHECKING:
    from commonchart.access.records import Records
    from commonchart.record.database import Connection

ROLES = frozenset({"clinician", "nurse"})
LONGEST = timedelta(minutes=60)
PURPOSE = "BTG"
SHORTEST_REASON = 10
REVIEW_WITHIN = timedelta(hours=72)
VERDICTS = ("justified", "not justified", "to be looked into")
_COLUMNS = "id, actor, org, patient, reason, starts, ends, revoked, reviewed, verdict"


class Grant(Struct, frozen=True):
    """One emergency access. `verdict` is what the review said, "" before it."""

    id: str
    actor: str
    org: str
    patient: str
    reason: str
    starts: datetime
    ends: datetime
    revoked: datetime | None
    reviewed: datetime | None
    verdict: str | None


async def grant(records: Records, patient: str, reason: str, *, lasting: timedelta = LONGEST) -> Grant:
    """Open a patient's record to this user for a while. Raises Forbidden, Invalid, NotFound (no such patient).

    The caller has asked for the second factor again, and limits how often this may be tried.
    """
    actor, now = records.actor, records.clock()
    await _may(records, patient, reason, lasting)
    async with records.database.connection() as conn:
        if not await _known(conn, actor, patient, now):
            await audit.note(
                conn, actor, now, "break-glass", outcome=audit.MINOR, rtype="Patient", id=patient[:64]
            )
            missing = True
        else:
            missing = False
            made = Grant(
                str(uuid4()), actor.user, actor.org, patient, reason, now, now + lasting, None, None, None
            )
            await _keep(conn, actor, made)
    if missing:
        raise NotFound("There is no Patient with this id")
    return made


async def _may(records: Records, patient: str, reason: str, lasting: timedelta) -> None:
    actor = records.actor
    if actor.role not in ROLES or not policy.allowed(actor, "read", "Patient"):
        async with records.database.single() as conn:
            await audit.note(
                conn, actor, records.clock(), "break-glass", outcome=audit.SERIOUS, rtype="Patient", id=patient[:64]
            )  # fmt: skip
        raise Forbidden("Your role does not open records in an emergency")
    if len(reason.strip()) < SHORTEST_REASON:
        raise Invalid("Say in a few words why the record is needed now", at="reason")
    if not timedelta(0) < lasting <= LONGEST:
        raise Invalid("At most 60 minutes", at="lasting")


async def _known(conn: Connection, actor: Actor, patient: str, now: datetime) -> bool:
    """Whether there is such a patient who does not shut out this very person now."""
    rows = await conn.fetch(
        "SELECT 1 FROM resource_loc l WHERE l.tenant = %s AND l.rtype = 'Patient' AND l.id = %s AND NOT EXISTS "
        "(SELECT 1 FROM consent_rule k WHERE k.tenant = l.tenant AND k.patient = l.id AND NOT k.permit "
        "AND k.starts <= %s AND k.ends > %s AND %s = ANY(k.people))",
        (actor.tenant, patient, now, now, f"Practitioner/{actor.practitioner or ''}"),
    )
    return bool(rows)


async def _keep(conn: Connection, actor: Actor, made: Grant) -> None:
    await conn.fetch(
        "INSERT INTO emergency_access (id, tenant, actor, org, patient, purpose, reason, starts, ends) "
        "VALUES (%s, %s, %s, %s, %s, %s, %s, %s, %s)",
        (
            made.id,
            actor.tenant,
            made.actor,
            made.org,
            made.patient,
            PURPOSE,
            made.reason,
            made.starts,
            made.ends,
        ),
    )
    await conn.fetch(
        "INSERT INTO privacy_notice (tenant, at, kind, org, patient, source, words) "
        "SELECT %s, %s, 'break-glass', o.org, %s, %s, %s FROM (SELECT %s AS org UNION SELECT org FROM relationship "
        "WHERE tenant = %s AND patient = %s AND kind = 'record') o",
        (actor.tenant, made.starts, made.patient, made.id, made.reason, made.org, actor.tenant, made.patient),
    )
    await audit.note(
        conn, actor, made.starts, "break-glass", rtype="Patient", id=made.patient, patients=[made.patient],
        detail=f"{made.id} until {made.ends.isoformat()}",
    )  # fmt: skip


async def end(records: Records, id: str) -> None:
    """End an emergency access before its time: one's own, or as a privacy officer any. Raises NotFound."""
    actor, now = records.actor, records.clock()
    async with records.database.connection() as conn:
        rows = await conn.fetch(
            "UPDATE emergency_access SET revoked = %s, revoked_by = %s WHERE id = %s AND tenant = %s AND revoked IS NULL "
            "AND (actor = %s OR %s) RETURNING patient",
            (
                now,
                actor.user,
                id,
                actor.tenant,
                actor.user,
                actor.role in ("privacy-officer", "administrator"),
            ),
        )
        if not rows:
            raise NotFound("There is no such emergency access")
        await audit.note(conn, actor, now, "break-glass-end", patients=[rows[0][0]], detail=id)


async def current(records: Records) -> list[Grant]:
    """This user's emergency access in force."""
    now = records.clock()
    async with records.database.single() as conn:
        rows = await conn.fetch(
            f"SELECT {_COLUMNS} FROM emergency_access WHERE tenant = %s AND actor = %s AND org = %s AND revoked IS NULL AND ends > %s "
            "ORDER BY ends",
            (records.actor.tenant, records.actor.user, records.actor.org, now),
        )
    return [Grant(*row) for row in rows]


async def to_review(records: Records) -> list[Grant]:
    """Emergency access that nobody has reviewed, oldest first: of this organisation's people or patients. Raises NotFound."""
    actor = records.actor
    if actor.role not in ("privacy-officer", "administrator"):
        raise NotFound("There is nothing here")
    async with records.database.connection() as conn:
        rows = await conn.fetch(
            f"SELECT {_COLUMNS} FROM emergency_access e WHERE tenant = %s AND reviewed IS NULL AND (%s OR org = %s OR EXISTS "
            "(SELECT 1 FROM relationship t WHERE t.tenant = e.tenant AND t.patient = e.patient AND t.org = %s "
            "AND t.kind = 'record')) ORDER BY starts",
            (actor.tenant, actor.network is False, actor.org, actor.org),
        )
        found = [Grant(*row) for row in rows]
        who = sorted({one.patient for one in found})
        await audit.note(conn, actor, records.clock(), "read-break-glass", patients=who)
    return found


async def reviewed(records: Records, id: str, verdict: str, comment: str) -> None:
    """What the review said: one of VERDICTS, and in words. Raises NotFound, Invalid."""
    if verdict not in VERDICTS:
        raise Invalid("Choose what the review found", at="verdict")
    if not comment.strip():
        raise Invalid("Say what the review found, in a few words", at="comment")
    if not any(one.id == id for one in await to_review(records)):
        raise NotFound("There is no such emergency access to review")
    async with records.database.connection() as conn:
        rows = await conn.fetch(
            "UPDATE emergency_access SET reviewed = %s, reviewed_by = %s, verdict = %s, comment = %s WHERE id = %s AND tenant = %s "
            "AND reviewed IS NULL RETURNING patient",
            (records.clock(), records.actor.user, verdict, comment.strip()[:1000], id, records.actor.tenant),
        )
        if not rows:
            raise NotFound("There is no such emergency access to review")
        await audit.note(
            conn, records.actor, records.clock(), "break-glass-review", patients=[rows[0][0]], detail=id
        )


async def of_patient(records: Records, patient: str) -> list[Grant]:
    """Every emergency access to a patient, newest first: what the patient sees, too. Raises Forbidden, NotFound."""
    await records.read("Patient", patient)
    async with records.database.connection() as conn:
        rows = await conn.fetch(
            f"SELECT {_COLUMNS} FROM emergency_access WHERE tenant = %s AND patient = %s ORDER BY starts DESC",
            (records.actor.tenant, patient),
        )
        await audit.note(conn, records.actor, records.clock(), "read-break-glass", patients=[patient])
    return [Grant(*row) for row in rows]


async def names(records: Records, users: list[str]) -> dict[str, str]:
    """The names of users by id, for the review."""
    async with records.database.single() as conn:
        rows = await conn.fetch(
            "SELECT id, name FROM app_user WHERE tenant = %s AND id = ANY(%s)", (records.actor.tenant, users)
        )
    return dict(rows)
