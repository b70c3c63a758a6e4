"""Finding a patient in an emergency: exact matches only, a few times an hour, kept as a digest.

What is found is told by its banner alone; the record stays closed until break-glass opens it (`access.emergency`).
"""

from __future__ import annotations

import hmac
from datetime import date, timedelta
from hashlib import sha256
from typing import TYPE_CHECKING

from commonchart.access import audit
from commonchart.access.emergency import ROLES
from commonchart.fhir.outcome import Busy, Forbidden, Invalid, NotFound
from commonchart.record import store
from commonchart.record.keys import hash64
from commonchart.record.rows import Stored
from commonchart.record.schema import VERSION_COLUMNS
from commonchart.search.fold import fold

if TYPE_CHECKING:
    from commonchart.access.records import Records
    from commonchart.record.database import Connection

AN_HOUR, TIMES, MOST = timedelta(hours=1), 10, 3
REMEMBERED = timedelta(minutes=15)
_R = ", ".join(f"r.{name}" for name in VERSION_COLUMNS.split(", "))
_SAME = "x.pk = r.pk AND x.tenant = r.tenant AND x.rtype = r.rtype AND x.id = r.id"
_NAMED = f"EXISTS (SELECT 1 FROM string_row x WHERE {_SAME} AND x.param = %s AND x.folded = %s)"
_OPEN = (  # nobody who is shut out by name now, by any way
    "r.tenant = %s AND r.rtype = 'Patient' AND NOT r.deleted AND NOT EXISTS (SELECT 1 FROM consent_rule k "
    "WHERE k.tenant = r.tenant AND k.patient = r.id AND NOT k.permit AND k.starts <= %s AND k.ends > %s AND %s = ANY(k.people))"
)


async def find(records: Records, family: str, given: str, born: date | None, number: str) -> list[Stored]:
    """The patients with exactly this name and birth date, or this record number; none where more than three fit.

    Raises Forbidden (role), Invalid (not enough to look for), Busy (too often within the hour); each is an event.
    """
    actor, now = records.actor, records.clock()
    await required(records)
    if not number.strip() and not (family.strip() and given.strip() and born):
        raise Invalid("Give the record number, or family name, given name and birth date", at="family")
    digest = hmac.new(
        records.key, "\n".join((fold(family), fold(given), str(born), number.strip())).encode(), sha256
    ).hexdigest()  # fmt: skip
    async with records.whole.connection() as conn:
        await conn.execute("SELECT pg_advisory_xact_lock(%s)", (hash64(f"emergency-lookup {actor.user}"),))
        often = await conn.fetch(
            "SELECT count(*) FROM emergency_lookup WHERE tenant = %s AND actor = %s AND at > %s",
            (actor.tenant, actor.user, now - AN_HOUR),
        )
        free = often[0][0] < TIMES
        found = await _matching(conn, records, family, given, born, number) if free else []
        who = [one.id for one in found]
        if free:
            await conn.fetch(
                "INSERT INTO emergency_lookup (tenant, actor, at, digest, found) VALUES (%s, %s, %s, %s, %s)",
                (actor.tenant, actor.user, now, digest, who),
            )
        await audit.note(
            conn, actor, now, "break-glass-lookup", outcome=audit.OK if free else audit.SERIOUS, rtype="Patient",
            patients=who, query=f"digest={digest[:32]}", detail="" if free else "too often",
        )  # fmt: skip
    if not free:
        raise Busy(f"At most {TIMES} emergency look-ups an hour: call the privacy officer")
    return found


async def _matching(
    conn: Connection, records: Records, family: str, given: str, born: date | None, number: str
) -> list[Stored]:
    actor = records.actor
    now = records.clock()
    base = (actor.tenant, now, now, f"Practitioner/{actor.practitioner or ''}")
    if number.strip():
        where, args = (
            f"EXISTS (SELECT 1 FROM identifier_row x WHERE {_SAME} AND x.value = %s)",
            (number.strip(),),
        )
    else:
        where = f"r.date_lo = %s::date::timestamp AT TIME ZONE 'UTC' AND {_NAMED} AND {_NAMED}"
        args = (born, "family", fold(family), "given", fold(given))  # type: ignore[assignment]
    rows = await conn.fetch(
        f"SELECT {_R} FROM resource r WHERE {_OPEN} AND {where} ORDER BY r.id LIMIT %s", (*base, *args, MOST + 1)
    )  # fmt: skip
    return [] if len(rows) > MOST else [store.row_stored(row) for row in rows]


async def found_before(records: Records, patient: str) -> Stored:
    """A patient whom this user found within the last minutes. Raises Forbidden, NotFound."""
    await required(records)
    actor, now = records.actor, records.clock()
    async with records.whole.connection() as conn:
        rows = await conn.fetch(
            f"SELECT {_R} FROM resource r WHERE {_OPEN} AND r.id = %s AND EXISTS (SELECT 1 FROM emergency_lookup l "
            "WHERE l.tenant = r.tenant AND l.actor = %s AND l.at > %s AND r.id = ANY(l.found))",
            (
                actor.tenant,
                now,
                now,
                f"Practitioner/{actor.practitioner or ''}",
                patient,
                actor.user,
                now - REMEMBERED,
            ),
        )
        await audit.note(
            conn, actor, now, "break-glass-ask", outcome=audit.OK if rows else audit.MINOR, rtype="Patient",
            id=patient[:64], patients=[patient] if rows else [],
        )  # fmt: skip
    if not rows:
        raise NotFound("Look for this patient first: what was found is kept for 15 minutes")
    return store.row_stored(rows[0])


async def required(records: Records) -> None:
    """Raises Forbidden for a role without break-glass; the attempt is an event."""
    if records.actor.role in ROLES:
        return
    async with records.database.single() as conn:
        await audit.note(
            conn, records.actor, records.clock(), "break-glass-lookup", outcome=audit.SERIOUS, rtype="Patient"
        )  # fmt: skip
    raise Forbidden("Your role does not open records in an emergency")
