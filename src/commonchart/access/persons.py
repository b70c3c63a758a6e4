"""Linking patient records of one human by hand: who may, what is suggested, what was decided, and taking it back.

A decision is a row about a pair; the links that the chart follows (`person_link`) are worked out from those in force, so
that unlinking leaves exactly what all others say. What a client writes into `Patient.link` is data and opens nothing.
Sight that somebody has only by an emergency does not count: a link would outlast it.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from datetime import datetime
from itertools import combinations
from typing import TYPE_CHECKING, Any
from uuid import uuid4

from msgspec import Struct
from msgspec.structs import replace

from commonchart.access import audit, policy
from commonchart.access.records import keyed
from commonchart.fhir import json
from commonchart.fhir.outcome import Conflict, Forbidden, Invalid, NotFound
from commonchart.identity.agreement import Field, compared, families, identifiers, suggested
from commonchart.identity.persons import ordered, persons
from commonchart.identity.union import differing
from commonchart.record import people, store
from commonchart.record.keys import hash64
from commonchart.record.rows import Stored
from commonchart.record.schema import VERSION_COLUMNS
from commonchart.search.compile import Statement
from commonchart.search.fold import fold
from commonchart.search.visible import Visible

if TYPE_CHECKING:
    from commonchart.access.records import Records, Transaction
    from commonchart.record.database import Connection

DECIDING = frozenset({"clinician", "administrator"})
LOOKING = DECIDING | {"nurse", "front-desk", "privacy-officer"}
SHORTEST_REASON = 10
LONGEST_REASON = 500
GROUPS, IN_GROUP, CANDIDATES = 100, 8, 200
_R = ", ".join(f"r.{name}" for name in VERSION_COLUMNS.split(", "))
_SAME = "x.pk = r.pk AND x.tenant = r.tenant AND x.rtype = r.rtype AND x.id = r.id"


class Decision(Struct, frozen=True):
    """What somebody found about two records, why, and who took it back when and why (None: it is in force)."""

    id: str
    one: str
    other: str
    same: bool
    at: datetime
    by: str
    why: str
    ended: datetime | None
    ended_by: str | None
    ended_why: str | None


class Suggestion(Struct, frozen=True):
    """Two records that may be of one human, and what says so."""

    one: Stored
    other: Stored
    why: str


class Beside(Struct, frozen=True):
    """Two records side by side: field by field, what was decided of them so far (newest first), and whether they are linked."""

    one: Stored
    other: Stored
    fields: tuple[Field, ...]
    suggested: str
    decisions: tuple[Decision, ...]
    linked: bool

    @property
    def current(self) -> Decision | None:
        """The decision about this very pair that is in force."""
        return next((held for held in self.decisions if held.ended is None), None)


# ---- looking ------------------------------------------------------------------------------------------------------


async def looking(records: Records) -> None:
    """Raises Forbidden for a role that does not compare records; the attempt is an event."""
    if records.actor.role not in LOOKING:
        await _refused(records, "compare-records")


async def _refused(records: Records, action: str) -> None:
    async with records.database.single() as conn:
        await audit.note(conn, records.actor, records.clock(), action, outcome=audit.SERIOUS, rtype="Patient")
    raise Forbidden("Your role does not link records of one person")


async def of_patient(records: Records, patient: str) -> list[Suggestion]:
    """Records that may be of the same human as this one, among those the actor sees without an emergency.

    Raises Forbidden, NotFound, Gone.
    """
    await looking(records)
    own = await records.read("Patient", patient)
    body = _body(own)
    predicate, args = without_emergency(records).predicate("r")
    numbers = sorted(identifiers(body))
    sql = (
        f"SELECT {_R} FROM resource r WHERE {predicate} AND r.rtype = 'Patient' AND NOT r.deleted AND r.id <> %s AND ("
        f"EXISTS (SELECT 1 FROM identifier_row x JOIN unnest(%s::text[], %s::text[]) AS k(system, value) "
        f"ON x.system = k.system AND lower(x.value) = k.value WHERE {_SAME}) OR (r.date_lo = %s AND EXISTS "
        f"(SELECT 1 FROM string_row x WHERE {_SAME} AND x.param = 'family' AND x.folded = ANY(%s)))) ORDER BY r.id LIMIT %s"
    )
    statement = Statement(
        sql,
        (*args, patient, [one[0] for one in numbers], [one[1] for one in numbers], own.date_lo,
         [fold(one) for one in families(body)], CANDIDATES),
    )  # fmt: skip
    found = await records.shown(statement, "search", "same-person", "Patient")
    return await _open(records, ((own, one) for one in found))


async def waiting(records: Records) -> list[Suggestion]:
    """The work list: pairs that nobody has decided on, among the records the actor sees. Raises Forbidden.

    Groups by birth date and family name and by identifier, at most `GROUPS` of each; larger than `IN_GROUP` is no hint.
    """
    await looking(records)
    predicate, args = without_emergency(records).predicate("r")
    mine = f"{predicate} AND r.rtype = 'Patient' AND NOT r.deleted"
    grouped = (
        f"SELECT array_agg(DISTINCT r.id) AS ids FROM resource r JOIN {{}} x ON {_SAME} WHERE {mine}{{}} GROUP BY {{}} "
        "HAVING count(DISTINCT r.id) BETWEEN 2 AND %s LIMIT %s"
    )
    sql = (
        f"SELECT ids FROM ({grouped.format('string_row', _FAMILY, 'r.date_lo, x.folded')}) a UNION "
        f"SELECT ids FROM ({grouped.format('identifier_row', _GIVEN_OUT, 'x.system, x.value')}) b"
    )
    async with records.database.single() as conn:
        rows = await conn.fetch(sql, (*args, IN_GROUP, GROUPS, *args, IN_GROUP, GROUPS))
    groups = [sorted(row[0]) for row in rows]
    named = await records.named([("Patient", id) for id in sorted({id for ids in groups for id in ids})])
    pairs = {pair for ids in groups for pair in combinations(ids, 2)}
    return await _open(
        records,
        ((named["Patient", a], named["Patient", b]) for a, b in sorted(pairs) if {("Patient", a), ("Patient", b)} <= named.keys()),
    )  # fmt: skip


_FAMILY = " AND x.param = 'family' AND r.date_lo IS NOT NULL"
_GIVEN_OUT = " AND x.system <> '' AND x.value <> ''"


async def _open(records: Records, pairs: Iterable[tuple[Stored, Stored]]) -> list[Suggestion]:
    """Those that suggest one human and on which nothing was decided yet."""
    found = [Suggestion(a, b, why) for a, b in pairs if (why := suggested(_body(a), _body(b)))]
    if not found:
        return []
    keys = [ordered(one.one.id, one.other.id) for one in found]
    async with records.database.single() as conn:
        rows = await conn.fetch(
            "SELECT k.a, k.b FROM unnest(%s::text[], %s::text[]) AS k(a, b) WHERE EXISTS (SELECT 1 FROM person_pair p "
            "WHERE p.tenant = %s AND p.a = k.a AND p.b = k.b AND p.ended_at IS NULL) OR EXISTS (SELECT 1 FROM person_link m "
            "JOIN person_link o ON o.tenant = m.tenant AND o.person = m.person AND o.unlinked_at IS NULL "
            "WHERE m.tenant = %s AND m.patient = k.a AND m.unlinked_at IS NULL AND o.patient = k.b)",
            ([a for a, _ in keys], [b for _, b in keys], records.actor.tenant, records.actor.tenant),
        )
    decided = {(row[0], row[1]) for row in rows}
    return [one for one, key in zip(found, keys, strict=True) if key not in decided]


async def beside(records: Records, one: str, other: str) -> Beside:
    """Two records side by side. Raises Forbidden, NotFound, Gone, Invalid (the same record twice)."""
    await looking(records)
    if one == other:
        raise Invalid("These are one and the same record")
    left, right = await records.read("Patient", one), await records.read("Patient", other)
    a, b = ordered(one, other)
    async with records.database.connection() as conn:
        rows = await conn.fetch(
            "SELECT p.id, p.a, p.b, p.same, p.at, coalesce(u.name, p.by), p.why, p.ended_at, coalesce(v.name, p.ended_by), "
            "p.ended_why FROM person_pair p LEFT JOIN app_user u ON u.id = p.by LEFT JOIN app_user v ON v.id = p.ended_by "
            "WHERE p.tenant = %s AND p.a = %s AND p.b = %s ORDER BY p.at DESC, p.ended_at DESC NULLS FIRST",
            (records.actor.tenant, a, b),
        )
        linked = other in await people.linked_on(conn, records.actor.tenant, one)
        await audit.note(
            conn, records.actor, records.clock(), "compare-records", rtype="Patient", patients=[one, other]
        )
    fields = compared(_body(left), _body(right))
    return Beside(
        left,
        right,
        fields,
        suggested(_body(left), _body(right)),
        tuple(Decision(*row) for row in rows),
        linked,
    )


async def disagreements(records: Records, patient: str) -> list[tuple[str, tuple[str, ...]]]:
    """What the records of a linked person disagree on that the actor may see: for the banner. None where nothing is linked."""
    if len(await people.linked(records.database, records.actor.tenant, patient)) == 1:
        return []
    found = await records.facts(patient, ["Patient"], limit=20)
    return differing([_body(one) for one in found.items])


def without_emergency(records: Records) -> Visible:
    """What the actor sees as a matter of course: break-glass opens nothing of it."""
    visible = records.visible
    return visible if visible.beyond is None else replace(visible, beyond=replace(visible.beyond, user=""))


def _body(stored: Stored) -> dict[str, Any]:
    return json.decode(stored.body or b"{}")


# ---- deciding -----------------------------------------------------------------------------------------------------


async def decide(tx: Transaction, one: str, other: str, why: str, *, same: bool) -> list[str]:
    """Say that two records are of one human, or that they are not; the records whose person may have changed.

    Raises Forbidden (role), NotFound (either is not seen as a matter of course), Invalid (reason), Conflict (decided already).
    """
    reason = await _asked(tx, why)
    if one == other:
        raise Invalid("These are one and the same record")
    await _both_seen(tx, one, other)
    a, b = ordered(one, other)
    actor, now = tx.records.actor, tx.records.clock()
    await _lock(tx.conn, actor.tenant)
    if other in await people.linked_on(tx.conn, actor.tenant, one):
        raise Conflict("These records are linked already")
    await _end(tx, a, b, reason, same=False)
    id = str(uuid4())
    await tx.conn.fetch(
        "INSERT INTO person_pair (id, tenant, a, b, same, at, by, why) VALUES (%s, %s, %s, %s, %s, %s, %s, %s)",
        (id, actor.tenant, a, b, same, now, actor.user, reason),
    )
    touched = await _follow(tx, [a, b], reason) if same else []
    action = "link-records" if same else "records-apart"
    await audit.note(tx.conn, actor, now, action, rtype="Patient", id=a, patients=[a, b], detail=id)
    return touched


async def take_back(tx: Transaction, one: str, other: str, why: str) -> list[str]:
    """End the decision about a pair that is in force; the records whose person may have changed. Raises as `decide`."""
    reason = await _asked(tx, why)
    await _both_seen(tx, one, other)
    a, b = ordered(one, other)
    actor = tx.records.actor
    await _lock(tx.conn, actor.tenant)
    ended = await _end(tx, a, b, reason)
    if not ended:
        raise Conflict(
            "Nothing is decided about these two records themselves: look at what links each of them"
        )
    touched = await _follow(tx, [a, b], reason)
    await audit.note(
        tx.conn, actor, tx.records.clock(), "unlink-records", rtype="Patient", id=a, patients=[a, b], detail=ended[0]
    )  # fmt: skip
    return touched


async def _asked(tx: Transaction, why: str) -> str:
    if tx.records.actor.role not in DECIDING or not policy.allowed(tx.records.actor, "update", "Patient"):
        await _refused(tx.records, "link-records")
    reason = why.strip()
    if not SHORTEST_REASON <= len(reason) <= LONGEST_REASON:
        raise Invalid(
            f"Say how you know, in {SHORTEST_REASON} to {LONGEST_REASON} characters", at="reason", code="required"
        )  # fmt: skip
    return reason


async def _both_seen(tx: Transaction, one: str, other: str) -> None:
    keys = [("Patient", one), ("Patient", other)]
    statement = keyed(without_emergency(tx.records), keys)
    found = [store.row_stored(row) for row in await tx.conn.fetch(statement.sql, statement.args)]
    if {held.id for held in found if not held.deleted} != {one, other}:
        raise NotFound("There is no Patient with this id")


async def _lock(conn: Connection, tenant: int) -> None:
    await conn.execute("SELECT pg_advisory_xact_lock(%s)", (hash64(f"{tenant}\x1fpersons"),))


async def _end(tx: Transaction, a: str, b: str, why: str, same: bool | None = None) -> list[str]:
    """End what is in force of a pair; with `same`, only a decision of that kind. The ids of what was ended."""
    rows = await tx.conn.fetch(
        "UPDATE person_pair SET ended_at = %s, ended_by = %s, ended_why = %s WHERE tenant = %s AND a = %s AND b = %s "
        "AND ended_at IS NULL AND (%s::boolean IS NULL OR same = %s) RETURNING id",
        (tx.records.clock(), tx.records.actor.user, why, tx.records.actor.tenant, a, b, same, same),
    )
    return [row[0] for row in rows]


# all records that were, or are now, connected with these
_AROUND = (
    "WITH RECURSIVE edge AS (SELECT a, b FROM person_pair WHERE tenant = %s AND same AND ended_at IS NULL "
    "UNION SELECT m.patient, o.patient FROM person_link m JOIN person_link o ON o.tenant = m.tenant AND o.person = m.person "
    "AND o.unlinked_at IS NULL AND o.patient <> m.patient WHERE m.tenant = %s AND m.unlinked_at IS NULL), "
    "around(id) AS (SELECT unnest(%s::text[]) UNION SELECT CASE WHEN e.a = n.id THEN e.b ELSE e.a END "
    "FROM around n JOIN edge e ON n.id IN (e.a, e.b)) SELECT id FROM around ORDER BY id"
)
_CLOSE = (
    "UPDATE person_link SET unlinked_at = GREATEST(%s, linked_at), unlinked_by = %s, unlinked_why = %s "
    "WHERE tenant = %s AND patient = %s AND unlinked_at IS NULL AND person <> %s"
)
# a moment of its own for each version, also where the clock stands
_OPEN = (
    "INSERT INTO person_link (tenant, patient, person, linked_at, actor, reason) SELECT %s, %s, %s, GREATEST(%s, "
    "(SELECT max(linked_at) + interval '1 microsecond' FROM person_link WHERE tenant = %s AND patient = %s)), %s, %s "
    "WHERE NOT EXISTS (SELECT 1 FROM person_link WHERE tenant = %s AND patient = %s AND unlinked_at IS NULL)"
)


async def _follow(tx: Transaction, seeds: Sequence[str], why: str) -> list[str]:
    """Make the links of everybody around these what the pairs in force say."""
    actor, now, conn = tx.records.actor, tx.records.clock(), tx.conn
    tenant = actor.tenant
    around = [row[0] for row in await conn.fetch(_AROUND, (tenant, tenant, list(seeds)))]
    rows = await conn.fetch(
        "SELECT a, b FROM person_pair WHERE tenant = %s AND same AND ended_at IS NULL AND (a = ANY(%s) OR b = ANY(%s))",
        (tenant, around, around),
    )
    wanted = persons((row[0], row[1]) for row in rows)
    for patient in around:
        person = wanted.get(patient, "")
        await conn.fetch(_CLOSE, (now, actor.user, why, tenant, patient, person))
        if person:
            await conn.fetch(
                _OPEN, (tenant, patient, person, now, tenant, patient, actor.user, why, tenant, patient)
            )
    return around
