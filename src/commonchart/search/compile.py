"""A query as one SQL statement. Values are always arguments; the visibility predicate is on every alias."""

from __future__ import annotations

import re
from typing import Any

from msgspec import Struct

from commonchart.fhir.definitions import r4
from commonchart.record.keys import token
from commonchart.search.order import beyond, keys, order_by
from commonchart.search.query import Query, Term
from commonchart.search.terms import Sql, patients_of, term_sql
from commonchart.search.visible import Visible

COLUMNS = "rtype, id, body, patient"
ALIAS = re.compile(r"\br\.")


class Statement(Struct, frozen=True):
    """SQL with its arguments in order."""

    sql: str
    args: tuple[Any, ...]


class Place(Struct, frozen=True):
    """A place in the order: the sort values as text, none for the end; `back`: the rows before it are wanted."""

    values: list[str | None]
    back: bool = False


def compile(
    query: Query,
    visible: Visible,
    *,
    at: Place | None = None,
    limit: int | None = None,
) -> Statement:
    """The rows of a page: `limit` (default: one more than asked) from a place on. `visible` is required.

    After the columns come the sort values as text. Rows before a place come in the opposite order.
    """
    where = conditions(query, visible)
    found = keys(query)
    back = at is not None and at.back
    if at is not None and at.values:
        follow = beyond(found, at.values, back)
        where = Sql(f"{where.text} AND {follow.text}", where.args + follow.args)
    shown = ", ".join(f"r.{name}" for name in COLUMNS.split(", "))
    sorted_by = ", ".join(f"{key.text}::text AS s{n}" for n, key in enumerate(found[:-1]))
    sql = f"SELECT {shown}, {sorted_by} FROM resource r WHERE {where.text} ORDER BY {order_by(found, back)} LIMIT %s"
    return Statement(sql, (*where.args, query.count + 1 if limit is None else limit))


def counting(query: Query, visible: Visible) -> Statement:
    """How many match."""
    where = conditions(query, visible)
    return Statement(f"SELECT count(*) FROM resource r WHERE {where.text}", tuple(where.args))


def identifying(query: Query, visible: Visible, limit: int) -> Statement:
    """Type and id of the first matches, for chains and conditional references."""
    where = conditions(query, visible)
    return Statement(
        f"SELECT r.rtype, r.id FROM resource r WHERE {where.text} LIMIT %s", (*where.args, limit)
    )


def reading(query: Query, visible: Visible, limit: int) -> Statement:
    """The bodies of the first matches, for what they refer to."""
    where = conditions(query, visible)
    return Statement(f"SELECT r.body FROM resource r WHERE {where.text} LIMIT %s", (*where.args, limit))


def conditions(query: Query, visible: Visible) -> Sql:
    """The WHERE clause of a query on the alias r."""
    predicate, args = visible.predicate("r")
    parts = [predicate, "r.rtype = ANY(%s)" if query.types else "r.rtype = %s", "NOT r.deleted"]
    args = [*args, list(query.types) if query.types else query.rtype]
    if query.compartment is not None:
        inside = _inside(query, *query.compartment)
        parts.append(inside.text)
        args += inside.args
    scoped = query.compartment is not None or any(
        patients_of(query.rtype, term) for term in query.terms if not query.types
    )
    for term in query.terms:
        made = _across(query, term, scoped, visible)
        parts.append(made.text)
        args += made.args
    return Sql(" AND ".join(parts), args)


def _across(query: Query, term: Term, scoped: bool, visible: Visible) -> Sql:
    """One term, on each of the types where they keep it differently."""
    if term.within is not None:
        return _within(term, term.within, visible)
    made = {rtype: term_sql(rtype, term, scoped) for rtype in query.every_type}
    first = made[query.rtype]
    if all(one.text == first.text and one.args == first.args for one in made.values()):
        return first
    text = " OR ".join(f"(r.rtype = %s AND {one.text})" for one in made.values())
    return Sql(f"({text})", [arg for rtype, one in made.items() for arg in (rtype, *one.args)])


def _within(term: Term, query: Query, visible: Visible) -> Sql:
    """What a patient's own rows say about the patient, and the other way round: left to the database."""
    inner = conditions(query, visible)
    text = ALIAS.sub("h.", inner.text)
    if term.code == "_has":
        return Sql(f"r.id IN (SELECT h.patient FROM resource h WHERE {text})", inner.args)
    return Sql(f"(r.pk, r.patient) IN (SELECT h.pk, h.id FROM resource h WHERE {text})", inner.args)


def _inside(query: Query, owner: str, id: str) -> Sql:
    """In the compartment of (owner, id): any of the parameters that its definition names refers to it."""
    if owner == "Patient":
        own = [token("_compartment", f"Patient/{id}")]
        return Sql("(r.tokens && %s::bigint[] OR (r.rtype = 'Patient' AND r.id = %s))", [own, id])
    held = r4().compartment(owner)
    alike: dict[tuple[str, ...], list[str]] = {}
    for rtype in query.every_type:
        alike.setdefault(tuple(held.get(rtype, ())), []).append(rtype)
    parts = ["(r.rtype = %s AND r.id = %s)"]
    args: list[Any] = [owner, id]
    for codes, types in alike.items():
        parts.append("(r.rtype = ANY(%s) AND r.tokens && %s::bigint[])")
        args += [types, [token(code, f"{owner}/{id}") for code in codes]]
    return Sql(f"({' OR '.join(parts)})", args)
