"""All of one patient's record, or of one encounter, a page at a time. http://hl7.org/fhir/R4/operation-patient-everything.html.

What belongs to the patient comes first, by type and id; the last page brings what it refers to and is about nobody
(practitioners, organisations, medications). Lists and groups are never followed: they name other patients.
"""

from __future__ import annotations

import re
import time
from collections.abc import Sequence
from datetime import datetime
from typing import TYPE_CHECKING, Any

from msgspec import Struct

from commonchart.access import audit, policy
from commonchart.fhir.definitions import r4
from commonchart.fhir.outcome import NotFound
from commonchart.record.keys import patient_key, resource_key, token
from commonchart.search.compile import Statement

if TYPE_CHECKING:
    from commonchart.access.records import Records
    from commonchart.record.database import Connection

REFERENCE = re.compile(r'"reference":"([A-Z][A-Za-z]+)/([A-Za-z0-9\-.]{1,64})(?:/_history/[^"]{1,64})?"')
_IN_SQL = r'"reference":"([A-Z][A-Za-z]+)/([A-Za-z0-9.-]{1,64})(?:/_history/[^"]{1,64})?"'
NOT_FOLLOWED = frozenset({"Group", "List", "AuditEvent"})
MAX_REFERRED = 5000

Key = tuple[str, str]


class Asked(Struct, frozen=True):
    """What is wanted: `types` empty for every type, changed `since`, clinical dates from `start` to `end`, a page."""

    types: frozenset[str] = frozenset()
    since: datetime | None = None
    start: datetime | None = None
    end: datetime | None = None
    count: int = 1000
    after: Key | None = None


class Shown(Struct, frozen=True):
    """One resource as it is answered."""

    rtype: str
    id: str
    body: str


class Pages(Struct, frozen=True):
    """One page, and after which (type, id) the next begins."""

    shown: list[Shown]
    next: Key | None = None


class _Scope(Struct, frozen=True):
    """Which rows belong: SQL on the alias r, with its arguments; `head` is the resource that was named."""

    text: str
    args: list[Any]
    head: Key
    pk: int


async def of_patient(records: Records, patient: str, asked: Asked) -> Pages:
    """A page of a patient's record. Raises Forbidden, NotFound."""
    await records.require("read", "Patient")
    compartment = token("_compartment", f"Patient/{patient}")
    # the GIN index answers the second half; the first is the shard's own key
    text = "(r.pk = %s AND r.patient = %s OR (r.tokens && %s::bigint[] AND r.patient IS NULL))"
    scope = _Scope(
        text, [patient_key(patient), patient, [compartment]], ("Patient", patient), patient_key(patient)
    )
    return await _page(records, scope, asked)


async def bundle(records: Records, patient: str, address: str) -> str:
    """All of a patient's record as one Bundle (collection), the stored bodies byte for byte. Raises Forbidden, NotFound.

    `address` is the base of the FHIR API, without a slash at its end.
    """
    entries: list[str] = []
    asked = Asked()
    while True:
        found = await of_patient(records, patient, asked)
        entries += [
            f'{{"fullUrl":"{address}/{one.rtype}/{one.id}","resource":{one.body}}}' for one in found.shown
        ]
        if found.next is None:
            break
        asked = Asked(after=found.next)
    now = records.clock().isoformat(timespec="seconds")
    return (
        f'{{"resourceType":"Bundle","type":"collection","timestamp":"{now}","entry":[{",".join(entries)}]}}'
    )


async def of_encounter(records: Records, encounter: str, asked: Asked) -> Pages:
    """A page of what happened in an encounter. Raises Forbidden, NotFound."""
    stored = await records.read("Encounter", encounter)
    codes = sorted({code for held in r4().compartment("Encounter").values() for code in held})
    pk = patient_key(stored.patient) if stored.patient else resource_key("Encounter", encounter)
    hashes = [token(code, f"Encounter/{encounter}") for code in codes]
    text = "r.pk = %s AND ((r.tokens || '{}'::bigint[]) && %s::bigint[] OR (r.rtype = 'Encounter' AND r.id = %s))"
    return await _page(records, _Scope(text, [pk, hashes, encounter], ("Encounter", encounter), pk), asked)


async def _page(records: Records, scope: _Scope, asked: Asked) -> Pages:
    query = f"{scope.head[0]}/{scope.head[1]}/$everything"
    if asked.after is None and not _narrowed(asked):
        await _there(records, scope)
    async with records.database.single() as conn:
        rows = await _rows(records, conn, _own(records, scope, asked), query)
        if len(rows) > asked.count:
            last = rows[asked.count - 1]
            return Pages([Shown(*row[:3]) for row in rows[: asked.count]], (last[0], last[1]))
        keys = await _referred(conn, records, scope, asked, rows)
        if keys:
            rows += await _rows(records, conn, _named(records, scope, keys, asked), query)
    return Pages([Shown(*row[:3]) for row in rows])


async def _there(records: Records, scope: _Scope) -> None:
    """Raises NotFound unless the named resource itself is seen: asked first, so that a long hidden record takes no longer."""
    began = time.monotonic()
    predicate, args = records.visible.predicate("r")
    async with records.database.single() as conn:
        rows = await conn.fetch(
            f"SELECT 1 FROM resource r WHERE r.pk = %s AND r.rtype = %s AND r.id = %s AND NOT r.deleted AND {predicate}",
            (scope.pk, *scope.head, *args),
        )
        if rows:
            return
        await audit.note(
            conn, records.actor, records.clock(), "everything", outcome=audit.MINOR, rtype=scope.head[0], id=scope.head[1]
        )  # fmt: skip
    await records.missed(began)
    raise NotFound(f"There is no {scope.head[0]} with this id")


def _narrowed(asked: Asked) -> bool:
    """Whether the named resource itself may be left out."""
    return bool(asked.types or asked.since)


async def _rows(
    records: Records, conn: Connection, statement: Statement, query: str
) -> list[tuple[Any, ...]]:
    noted = audit.noted(statement, records.actor, records.clock(), "everything", query)
    return await conn.fetch(noted.sql, noted.args)


def _own(records: Records, scope: _Scope, asked: Asked) -> Statement:
    """What belongs, the named resource first, then by type and id."""
    where, args = _where(records, scope, asked)
    rank = "(r.rtype, r.id) <> (%s, %s)"
    if asked.after is not None:
        where += (
            f" AND {rank} AND (r.rtype, r.id) > (%s, %s)" if asked.after != scope.head else f" AND {rank}"
        )
        args += [*scope.head, *(asked.after if asked.after != scope.head else ())]
    sql = (
        f"SELECT r.rtype, r.id, r.body, r.patient FROM resource r WHERE {where} "
        f"ORDER BY {rank}, r.rtype, r.id LIMIT %s"
    )
    return Statement(sql, (*args, *scope.head, asked.count + 1))


def _where(records: Records, scope: _Scope, asked: Asked) -> tuple[str, list[Any]]:
    predicate, args = records.visible.predicate("r")
    where = [predicate, scope.text, "NOT r.deleted", "r.rtype <> ALL(%s)"]
    args = [*args, *scope.args, sorted(_unreadable(records) | {"Group", "AuditEvent"})]
    if asked.types:
        where.append("r.rtype = ANY(%s)")
        args.append(sorted(asked.types))
    if asked.since is not None:
        where.append("r.recorded >= %s")
        args.append(asked.since)
    if asked.start is not None:
        where.append("(r.date_hi IS NULL OR r.date_hi > %s OR r.rtype = 'Patient')")
        args.append(asked.start)
    if asked.end is not None:
        where.append("(r.date_lo IS NULL OR r.date_lo < %s OR r.rtype = 'Patient')")
        args.append(asked.end)
    return " AND ".join(where), args


def _unreadable(records: Records) -> frozenset[str]:
    actor = records.actor
    return frozenset(t for t in r4().resource_types if not policy.allowed(actor, "read", t))


async def _referred(
    conn: Connection, records: Records, scope: _Scope, asked: Asked, rows: Sequence[tuple[Any, ...]]
) -> list[Key]:
    """What the record refers to, in all of its pages: from the rows at hand where they are all of them."""
    if asked.after is None:
        found = {key for row in rows for key in REFERENCE.findall(row[2])}
    else:
        where, args = _where(records, scope, asked)
        cursor = await conn.execute(
            f"SELECT DISTINCT m[1], m[2] FROM resource r, regexp_matches(r.body, %s, 'g') m WHERE {where} LIMIT %s",
            (_IN_SQL, *args, MAX_REFERRED),
        )
        found = {(str(rtype), str(id)) for rtype, id in await cursor.fetchall()}
    wanted = asked.types or r4().resource_types
    known = {(row[0], row[1]) for row in rows}
    skip = NOT_FOLLOWED | _unreadable(records)
    return sorted(key for key in found - known if key[0] in wanted and key[0] not in skip)[:MAX_REFERRED]


def _named(records: Records, scope: _Scope, keys: Sequence[Key], asked: Asked) -> Statement:
    """Those of the keys that are about nobody; of an encounter, also whose it is."""
    predicate, args = records.visible.predicate("r")
    about = "r.patient IS NULL OR (r.pk = %s AND %s)"
    since = " AND r.recorded >= %s" if asked.since is not None else ""
    sql = (
        "SELECT r.rtype, r.id, r.body, r.patient FROM resource_loc l "
        "JOIN unnest(%s::text[], %s::text[]) AS k(rtype, id) ON l.rtype = k.rtype AND l.id = k.id "
        "JOIN resource r ON r.pk = l.pk AND r.tenant = l.tenant AND r.rtype = l.rtype AND r.id = l.id "
        f"WHERE l.tenant = %s AND NOT r.deleted AND ({about}) AND {predicate}{since} ORDER BY r.rtype, r.id"
    )
    rtypes, ids = [rtype for rtype, _ in keys], [id for _, id in keys]
    more = [asked.since] if asked.since is not None else []
    whose = scope.head[0] == "Encounter"
    return Statement(sql, (rtypes, ids, records.actor.tenant, scope.pk, whose, *args, *more))
