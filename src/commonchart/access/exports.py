"""What may leave in bulk: the statements of an export, each under the predicate of whoever asked for it.

As of one moment T: the version of each resource that was current then. That is its current version if recorded by T, else
the one that was superseded after T, which only a resource with a newer current version can have. One statement reads both
in one snapshot, so that no resource is left out or given twice while others write.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from functools import cache
from typing import TYPE_CHECKING, Any

from msgspec import Struct

from commonchart.access import audit, policy
from commonchart.access.actors import Actor
from commonchart.fhir.definitions import r4
from commonchart.fhir.outcome import Forbidden
from commonchart.record.keys import patient_key, token
from commonchart.search.compile import Statement, conditions
from commonchart.search.index import OUTSIDE
from commonchart.search.query import Query
from commonchart.search.resolve import resolved

if TYPE_CHECKING:
    from commonchart.access.records import Records
    from commonchart.record.database import Connection
    from commonchart.search.visible import Visible

EXPORTERS = frozenset({"administrator", "system"})
CHANGED_MOST = 500
# they name patients other than the one they are reached from
NOT_OF_PATIENTS = frozenset({"Group", "AuditEvent", "Subscription"})


class Part(Struct, frozen=True):
    """The resources of one type as of `at`, changed after `since`; of `patients` (None: everybody's) if `compartment`."""

    rtype: str
    at: datetime
    since: datetime | None = None
    compartment: bool = False
    patients: tuple[str, ...] | None = None


# a change is a version, or a day from or until which something holds
_CHANGED = (
    "SELECT DISTINCT patient FROM (SELECT patient FROM resource WHERE tenant = %s AND rtype = 'Consent' AND recorded >= %s "
    "UNION ALL SELECT patient FROM history WHERE tenant = %s AND rtype = 'Consent' AND superseded >= %s "
    "UNION ALL SELECT patient FROM consent_rule WHERE tenant = %s AND (starts BETWEEN %s AND %s OR ends BETWEEN %s AND %s)) x "
    "WHERE patient IS NOT NULL LIMIT %s"
)


def require_exporter(actor: Actor) -> None:
    """Raises Forbidden: exports are for administrators and programs, who answer for what leaves the house."""
    if actor.role not in EXPORTERS:
        raise Forbidden("Only administrators and programs of the role system export or import in bulk")


async def exporting(records: Records) -> None:
    """The same for a request, whose refusal leaves a row. Raises Forbidden."""
    if records.actor.role not in EXPORTERS:
        async with records.database.single() as conn:
            await audit.note(conn, records.actor, records.clock(), "export", outcome=audit.SERIOUS)
    require_exporter(records.actor)


def readable_types(actor: Actor, compartment: bool) -> tuple[str, ...]:
    """The types an export looks at, in the order of the alphabet, Patient first."""
    known = patient_types() if compartment else r4().resource_types
    return tuple(
        sorted((t for t in known if policy.allowed(actor, "read", t)), key=lambda t: (t != "Patient", t))
    )


@cache
def patient_types() -> frozenset[str]:
    """The types of the patient compartment, Patient among them."""
    held = frozenset(t for t in r4().resource_types if r4().compartment("Patient").get(t))
    return (held | {"Patient", "Provenance", *OUTSIDE}) - NOT_OF_PATIENTS


def bodies(visible: Visible, part: Part) -> Statement:
    """The bodies of a part, one a row."""
    return _as_of(visible, part, "r.body", "NOT r.deleted", "NOT r.deleted")


def deletions(visible: Visible, part: Part) -> Statement:
    """(type, id) of what was deleted after `since` and still was at `at`."""
    return _as_of(visible, part, "r.rtype, r.id", "r.deleted", "r.deleted")


def _as_of(visible: Visible, part: Part, columns: str, now: str, then: str) -> Statement:
    seen, seen_args = visible.predicate("r")
    newer, newer_args = visible.predicate("n")
    since = " AND r.recorded > %s" if part.since else ""
    since_args = [part.since] if part.since else []
    own, own_args = _membership(visible, part, tokens=True)
    old, old_args = _membership(visible, part, tokens=False)
    sql = (
        f"SELECT {columns} FROM resource r WHERE {seen} AND r.rtype = %s AND {now} AND r.recorded <= %s{since}{own} "
        f"UNION ALL SELECT {columns} FROM resource n JOIN resource_loc l ON l.tenant = n.tenant AND l.rtype = n.rtype "
        "AND l.id = n.id JOIN history r ON r.pk = ANY(l.pk || l.former) AND r.tenant = n.tenant AND r.rtype = n.rtype "
        f"AND r.id = n.id WHERE {newer} AND {seen} AND n.rtype = %s AND n.recorded > %s AND r.recorded <= %s "
        f"AND r.superseded > %s AND {then}{since}{old}"
    )
    first = [*seen_args, part.rtype, part.at, *since_args, *own_args]
    second = [*newer_args, *seen_args, part.rtype, part.at, part.at, part.at, *since_args, *old_args]
    return Statement(sql, (*first, *second))


def _membership(visible: Visible, part: Part, *, tokens: bool) -> tuple[str, list[Any]]:
    """Whether a row of the alias r belongs to the patients of the part."""
    if not part.compartment:
        return "", []
    if part.rtype == "Provenance":
        return _provenance(visible, part)
    codes = r4().compartment("Patient").get(part.rtype, ())
    if part.patients is None:
        if not tokens or part.rtype == "Patient":
            return " AND r.patient IS NOT NULL", []
        present = [token(code, "") for code in codes]
        return " AND (r.patient IS NOT NULL OR r.tokens && %s::bigint[])", [present]
    ids = list(part.patients)
    own = "(r.pk = ANY(%s) AND r.patient = ANY(%s))"
    args: list[Any] = [[patient_key(id) for id in ids], ids]
    if not tokens or part.rtype == "Patient":
        return f" AND {own}", args
    also = [token("_compartment", f"Patient/{id}") for id in ids]
    return f" AND ({own} OR (r.patient IS NULL AND r.tokens && %s::bigint[]))", [*args, also]


def _provenance(visible: Visible, part: Part) -> tuple[str, list[Any]]:
    """Provenance of anything of the patients: found by the targets it names."""
    whose, args = (
        ("x.patient IS NOT NULL", [])
        if part.patients is None
        else ("x.patient = ANY(%s)", [list(part.patients)])
    )
    seen, seen_args = visible.predicate("x")
    sql = (
        " AND EXISTS (SELECT 1 FROM json_array_elements(r.body::json->'target') AS t(v) "
        "JOIN resource_loc y ON y.tenant = r.tenant AND y.rtype = split_part(t.v->>'reference', '/', 1) "
        "AND y.id = split_part(t.v->>'reference', '/', 2) "
        f"JOIN resource x ON x.pk = y.pk AND x.tenant = y.tenant AND x.rtype = y.rtype AND x.id = y.id AND {whose} "
        f"AND {seen})"
    )
    return sql, [*args, *seen_args]


async def filtered(conn: Connection, visible: Visible, part: Part, queries: Sequence[Query]) -> Statement:
    """The bodies of a part that match any of the queries. Raises TooCostly for a chain that grows too large.

    Search knows current versions only: what was changed after `at` is left to the next export.
    """

    async def fetch(statement: Statement) -> list[tuple[Any, ...]]:
        return await (await conn.execute(statement.sql, statement.args)).fetchall()

    own, own_args = _membership(visible, part, tokens=True)
    since = " AND r.recorded > %s" if part.since else ""
    wheres = [conditions(await resolved(fetch, query, visible), visible) for query in queries]
    matching = " OR ".join(f"({where.text})" for where in wheres)
    args = [arg for where in wheres for arg in where.args]
    sql = (
        f"SELECT r.body FROM resource r WHERE ({matching}) AND NOT r.deleted AND r.recorded <= %s{since}{own}"
    )
    return Statement(sql, (*args, part.at, *([part.since] if part.since else []), *own_args))


def keyed(visible: Visible, keys: Sequence[tuple[str, str]], at: datetime) -> Statement:
    """(type, body) of those of the keys that are about nobody: whom and what a patient's record refers to."""
    seen, args = visible.predicate("r")
    sql = (
        "SELECT r.rtype, r.body FROM unnest(%s::text[], %s::text[]) AS k(rtype, id) "
        "JOIN resource_loc l ON l.tenant = %s AND l.rtype = k.rtype AND l.id = k.id "
        "JOIN resource r ON r.pk = l.pk AND r.tenant = l.tenant AND r.rtype = l.rtype AND r.id = l.id "
        f"WHERE NOT r.deleted AND r.patient IS NULL AND r.recorded <= %s AND {seen} ORDER BY r.rtype, r.id"
    )
    return Statement(sql, ([t for t, _ in keys], [i for _, i in keys], visible.tenant, at, *args))


async def hidden_since(
    conn: Connection, visible: Visible, since: datetime, now: datetime, rtype: str | None
) -> frozenset[str] | None:
    """`Type/id` of what may not be seen now of patients whose consents changed since then; None where too many did.

    Of one type, or of all. The connection is bound to the tenant only.
    """
    if visible.beyond is None:
        return frozenset()
    changed = await conn.fetch(
        _CHANGED, (*(visible.tenant, since) * 2, visible.tenant, *(since, now) * 2, CHANGED_MOST + 1)
    )
    patients = [row[0] for row in changed]
    if len(patients) > CHANGED_MOST:
        return None
    predicate, args = visible.predicate("r")
    rows = await conn.fetch(
        "SELECT r.rtype || '/' || r.id FROM resource r WHERE r.tenant = %s AND r.pk = ANY(%s) AND r.patient = ANY(%s) "
        f"AND r.rtype = coalesce(%s, r.rtype) AND NOT coalesce({predicate}, false)",
        (visible.tenant, [patient_key(one) for one in patients], patients, rtype, *args),
    )
    return frozenset(row[0] for row in rows)


async def past(conn: Connection, xid: str) -> bool:
    """Whether every transaction before this number has ended."""
    row = await (
        await conn.execute("SELECT pg_snapshot_xmin(pg_current_snapshot()) >= %s::text::xid8", (xid,))
    ).fetchone()
    return bool(row and row[0])


async def underway(conn: Connection) -> str:
    """The number that every transaction now under way is below."""
    row = await (await conn.execute("SELECT pg_snapshot_xmax(pg_current_snapshot())::text")).fetchone()
    return str(row[0]) if row else "0"
