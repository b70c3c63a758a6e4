"""A person's chart: facts by type, now or as they were known at a moment, over the records linked to the person.

Known at t: recorded <= t, and not yet superseded then (docs/decisions/0003).
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from typing import TYPE_CHECKING, Any

from msgspec import Struct

from commonchart.access import audit, policy
from commonchart.record import people, store
from commonchart.record.keys import patient_key, token
from commonchart.record.rows import Stored
from commonchart.record.schema import VERSION_COLUMNS
from commonchart.search.compile import Statement
from commonchart.search.parameters import main_code

if TYPE_CHECKING:
    from commonchart.access.records import Records

_COLUMNS = VERSION_COLUMNS.split(", ")
_R = ", ".join(f"r.{name}" for name in _COLUMNS)
_CATEGORY_SYSTEMS = (
    "http://terminology.hl7.org/CodeSystem/observation-category",
    "http://hl7.org/fhir/observation-category",
    "http://terminology.hl7.org/CodeSystem/condition-category",
    "",
)


LONG = 2000
"""From so many facts on it is worth a longer statement to ask once what `Visible.about` asks once."""
_REMEMBERED = 1000
_long: dict[tuple[int, str], None] = {}
"""Patients whose record was long when it was counted last: how their charts are asked for, not what is seen."""


class Facts(Struct, frozen=True):
    """A page of facts, and how many there are in all."""

    items: list[Stored]
    total: int


class _Where(Struct):
    """Conditions on the alias r of both tables, and those on codes, which each table answers in its own way."""

    text: str
    args: list[Any]
    hashes: list[int] = []
    codes: list[str] = []


# any coding of the main code: today's rows have tokens, superseded ones (few for one person) are asked themselves;
# json, not jsonb, whose numbers are narrower than FHIR's decimals
_CODED_NOW = "r.tokens && %s::bigint[]"
_CODED_THEN = (
    "EXISTS (SELECT 1 FROM json_array_elements(coalesce(r.body::json->'code', r.body::json->'vaccineCode', "
    "r.body::json->'medicationCodeableConcept')->'coding') c "
    "WHERE coalesce(c->>'system', '') || '|' || (c->>'code') = ANY(%s))"
)


async def facts(
    records: Records,
    patient: str,
    rtypes: Sequence[str],
    *,
    as_of: datetime | None = None,
    codes: Sequence[str] = (),
    categories: Sequence[str] = (),
    lo: datetime | None = None,
    hi: datetime | None = None,
    limit: int = 50,
    offset: int = 0,
    newest_first: bool = True,
) -> Facts:
    """Facts of these types by clinical date (undated last), then id.

    `codes` are "system|code" of any coding of the main code, `categories` codes such as "laboratory", `lo` and `hi` bound the start
    of the clinical date (hi excluded).
    """
    where = await _where(records, patient, rtypes, codes, categories, lo, hi)
    rows, args = _known(where, as_of)
    order = f"r.date_lo {'DESC' if newest_first else 'ASC'} NULLS LAST, r.id"
    sql = f"SELECT {_R}, (SELECT count(*) FROM {rows} AS r) AS total FROM {rows} AS r ORDER BY {order} LIMIT %s OFFSET %s"
    query = f"facts={','.join(rtypes)}" + (f"&as_of={as_of.isoformat()}" if as_of else "")
    statement = audit.noted(
        Statement(sql, (*args, *args, limit, offset)), records.actor, records.clock(), "read", query
    )
    async with records.database.single() as conn:
        found = await conn.fetch(statement.sql, statement.args)
    return Facts([store.row_stored(row[:15]) for row in found], int(found[0][15]) if found else 0)


async def counts(records: Records, patient: str, as_of: datetime | None) -> dict[str, int]:
    """Readable facts by type."""
    where = await _where(records, patient, (), (), (), None, None)
    rows, args = _known(where, as_of)
    async with records.database.single() as conn:
        sql = f"SELECT r.rtype, count(*) AS n, min(r.patient) AS patient FROM {rows} AS r GROUP BY r.rtype"
        query = "counts" + (f"&as_of={as_of.isoformat()}" if as_of else "")
        statement = audit.noted(Statement(sql, tuple(args)), records.actor, records.clock(), "read", query)
        found = await conn.fetch(statement.sql, statement.args)
    _measured((records.actor.tenant, patient), sum(n for _, n, _ in found))
    return {rtype: n for rtype, n, _ in found if policy.allowed(records.actor, "read", rtype)}


def _measured(key: tuple[int, str], facts: int) -> None:
    _long.pop(key, None)
    if facts >= LONG:
        _long[key] = None
    if len(_long) > _REMEMBERED:
        del _long[next(iter(_long))]


async def latest(
    records: Records,
    patient: str,
    *,
    categories: Sequence[str] = (),
    as_of: datetime | None = None,
    per_code: int = 2,
) -> list[Stored]:
    """The newest `per_code` Observations of each code in these categories."""
    where = await _where(records, patient, ("Observation",), (), categories, None, None)
    statement = _latest_now(where, per_code) if as_of is None else _latest_then(where, as_of, per_code)
    return await records.shown(statement, "read", f"latest={','.join(categories)}", "Observation")


def _latest_now(where: _Where, per_code: int) -> Statement:
    """Steps from code to code along the (pk, code, date) index, so that 20,000 results cost no more than their codes."""
    own = f"{where.text} AND NOT r.deleted"
    sql = (
        f"WITH RECURSIVE c AS (SELECT (SELECT min(r.code) FROM resource r WHERE {own}) AS code UNION ALL "
        f"SELECT (SELECT min(r.code) FROM resource r WHERE {own} AND r.code > c.code) FROM c WHERE c.code IS NOT NULL) "
        f"SELECT x.* FROM c CROSS JOIN LATERAL (SELECT {_R} FROM resource r WHERE {own} AND r.code = c.code "
        "ORDER BY r.date_lo DESC NULLS LAST, r.id LIMIT %s) x"
    )
    return Statement(sql, (*where.args, *where.args, *where.args, per_code))


def _latest_then(where: _Where, as_of: datetime, per_code: int) -> Statement:
    rows, args = _known(where, as_of)
    sql = (
        f"SELECT {', '.join(_COLUMNS)} FROM (SELECT {_R}, row_number() OVER (PARTITION BY r.code "
        f"ORDER BY r.date_lo DESC NULLS LAST, r.id) AS n FROM {rows} AS r) x WHERE n <= %s"
    )
    return Statement(sql, (*args, per_code))


async def named(records: Records, keys: Sequence[tuple[str, str]]) -> dict[tuple[str, str], Stored]:
    """Visible current versions of these keys."""
    if not keys:
        return {}
    predicate, args = records.visible.predicate("r")
    rtypes, ids = [rtype for rtype, _ in keys], [id for _, id in keys]
    statement = Statement(f"{store.READ_MANY} WHERE {predicate}", (rtypes, ids, records.actor.tenant, *args))
    found = await records.shown(statement, "read", "names")
    return {(one.rtype, one.id): one for one in found}


async def recent(records: Records, limit: int) -> list[Stored]:
    """Patients whose charts the user opened, newest first."""
    predicate, args = records.visible.predicate("r")
    sql = (
        f"SELECT {_R} FROM recent_patient o JOIN resource_loc l ON l.tenant = o.tenant AND l.rtype = 'Patient' "
        "AND l.id = o.patient JOIN resource r ON r.pk = l.pk AND r.tenant = l.tenant AND r.rtype = 'Patient' AND r.id = l.id "
        f"WHERE o.tenant = %s AND o.actor = %s AND o.org = %s AND NOT r.deleted AND {predicate} ORDER BY o.opened DESC LIMIT %s"
    )
    statement = Statement(sql, (records.actor.tenant, records.actor.user, records.actor.org, *args, limit))
    return await records.shown(statement, "search", "recent", "Patient")


async def remember(records: Records, patient: str) -> None:
    """Keep that a chart was opened, for the list of recent ones."""
    async with records.database.single() as conn:
        await conn.fetch(
            "INSERT INTO recent_patient (tenant, actor, org, patient, opened) VALUES (%s, %s, %s, %s, %s) "
            "ON CONFLICT (tenant, actor, org, patient) DO UPDATE SET opened = excluded.opened",
            (records.actor.tenant, records.actor.user, records.actor.org, patient, records.clock()),
        )


def _category_tokens(categories: Sequence[str]) -> list[int]:
    return [token("category", f"{system}|{code}") for code in categories for system in _CATEGORY_SYSTEMS]


# ---- shared ----------------------------------------------------------------------------------------------------


async def _where(
    records: Records,
    patient: str,
    rtypes: Sequence[str],
    codes: Sequence[str],
    categories: Sequence[str],
    lo: datetime | None,
    hi: datetime | None,
) -> _Where:
    """Conditions on the alias r that hold for current rows and history alike; `resource` in them is replaced."""
    linked = await people.linked(records.database, records.actor.tenant, patient)
    long = (records.actor.tenant, patient) in _long
    predicate, args = records.visible.about("r", linked) if long else records.visible.predicate("r")
    parts, values = [predicate], list(args)

    def add(text: str, *more: Any) -> None:
        parts.append(text)
        values.extend(more)

    if len(linked) == 1:
        add("r.pk = %s AND r.patient = %s", patient_key(linked[0]), linked[0])
    else:
        add("r.pk = ANY(%s) AND r.patient = ANY(%s)", [patient_key(one) for one in linked], linked)
    if len(rtypes) == 1:
        add("r.rtype = %s", rtypes[0])
    elif rtypes:
        add("r.rtype = ANY(%s)", list(rtypes))
    if categories:
        add("r.category = ANY(%s)", _category_tokens(categories))
    if lo is not None:
        add("r.date_lo >= %s", lo)
    if hi is not None:
        add("r.date_lo < %s", hi)
    hashes = [token(param, code) for param in sorted({main_code(t) for t in rtypes}) for code in codes]
    return _Where(" AND ".join(parts), values, hashes, list(codes))


def _known(where: _Where, as_of: datetime | None) -> tuple[str, list[Any]]:
    """The rows to choose from: today's, or those known at the moment."""
    now, now_args, then, then_args = where.text, where.args, where.text, where.args
    if where.codes:
        now, now_args = f"{now} AND {_CODED_NOW}", [*now_args, where.hashes]
        then, then_args = f"{then} AND {_CODED_THEN}", [*then_args, where.codes]
    now = f"SELECT {_R} FROM resource r WHERE {now} AND NOT r.deleted"
    if as_of is None:
        return f"({now})", now_args
    then = f"SELECT {_R} FROM history r WHERE {then} AND NOT r.deleted AND r.recorded <= %s AND r.superseded > %s"
    return f"({now} AND r.recorded <= %s UNION ALL {then})", [*now_args, as_of, *then_args, as_of, as_of]
