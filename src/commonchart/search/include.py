"""What comes along with the matches: `_include` and `_revinclude`, once or again and again."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any

from commonchart.fhir import json
from commonchart.fhir.outcome import TooCostly
from commonchart.fhir.path.nodes import root
from commonchart.record.rows import Found
from commonchart.search.compile import COLUMNS, Statement, compile
from commonchart.search.index import references_of
from commonchart.search.query import Query, Term
from commonchart.search.resolve import Fetch
from commonchart.search.values import Value
from commonchart.search.visible import Visible
from commonchart.search.wanted import Include

MAX_INCLUDED = 2000
MAX_ROUNDS = 8

Key = tuple[str, str]


async def included(
    show: Fetch, query: Query, visible: Visible, matches: Sequence[Found]
) -> tuple[Found, ...]:
    """The resources that the matches bring along, each once. Raises TooCostly."""
    if not matches or not (query.includes or query.revincludes):
        return ()
    seen = {(one.rtype, one.id) for one in matches}
    out: list[Found] = []
    new: Sequence[Found] = matches
    for turn in range(MAX_ROUNDS + 1):
        forward = [one for one in query.includes if not turn or one.iterate]
        backward = [one for one in query.revincludes if not turn or one.iterate]
        if turn == MAX_ROUNDS and (forward or backward):
            raise TooCostly(f"What is included leads on for more than {MAX_ROUNDS} steps")
        new = await _round(show, visible, forward, backward, new, seen)
        out += new
        if len(out) > MAX_INCLUDED:
            raise TooCostly(f"More than {MAX_INCLUDED} resources would be included: ask for a smaller page")
        if not new:
            break
    return tuple(out)


async def _round(
    show: Fetch,
    visible: Visible,
    forward: Sequence[Include],
    backward: Sequence[Include],
    sources: Sequence[Found],
    seen: set[Key],
) -> list[Found]:
    out: list[Found] = []
    wanted = sorted(_named(forward, sources) - seen)
    if len(wanted) > MAX_INCLUDED:
        raise TooCostly(f"More than {MAX_INCLUDED} resources would be included: ask for a smaller page")
    if wanted:
        _add(out, seen, await show(_by_key(wanted, visible)))
    for include in backward:
        statement = _referring(include, sources, visible)
        if statement is not None:
            _add(out, seen, await show(statement))
    return out


def found(row: Sequence[Any]) -> Found:
    """A row of `COLUMNS` (and more after them)."""
    return Found(row[0], row[1], row[2].encode(), row[3])


def _add(out: list[Found], seen: set[Key], rows: Iterable[Sequence[Any]]) -> None:
    for row in rows:
        one = found(row)
        if (one.rtype, one.id) not in seen:
            seen.add((one.rtype, one.id))
            out.append(one)


def _named(includes: Sequence[Include], sources: Sequence[Found]) -> set[Key]:
    """(type, id) of what the sources refer to."""
    wanted: set[Key] = set()
    types = {include.source for include in includes}
    for source in sources:
        if source.rtype not in types:
            continue
        focus = root(json.decode(source.body))
        for include in includes:
            if include.source == source.rtype:
                texts = references_of(include.parameter.step(focus))
                pairs = (text.split("/") for text in texts if text.count("/") == 1)
                wanted |= {(rtype, id) for rtype, id in pairs if include.target in ("", rtype)}
    return wanted


def _by_key(keys: Sequence[Key], visible: Visible) -> Statement:
    predicate, args = visible.predicate("r")
    columns = ", ".join(f"r.{name}" for name in COLUMNS.split(", "))
    if len(keys) == 1:  # for this, one plan does for all
        sql = (
            f"SELECT {columns} FROM resource_loc l "
            "JOIN resource r ON r.pk = l.pk AND r.tenant = l.tenant AND r.rtype = l.rtype AND r.id = l.id "
            f"WHERE l.rtype = %s AND l.id = %s AND l.tenant = %s AND NOT r.deleted AND {predicate}"
        )
        return Statement(sql, (*keys[0], visible.tenant, *args))
    sql = (
        f"SELECT {columns} FROM resource_loc l "
        "JOIN unnest(%s::text[], %s::text[]) AS k(rtype, id) ON l.rtype = k.rtype AND l.id = k.id "
        "JOIN resource r ON r.pk = l.pk AND r.tenant = l.tenant AND r.rtype = l.rtype AND r.id = l.id "
        f"WHERE l.tenant = %s AND NOT r.deleted AND {predicate} LIMIT %s"
    )
    rtypes, ids = [rtype for rtype, _ in keys], [id for _, id in keys]
    return Statement(sql, (rtypes, ids, visible.tenant, *args, MAX_INCLUDED + 1))


def _referring(include: Include, sources: Sequence[Found], visible: Visible) -> Statement | None:
    values = tuple(Value(f"{m.rtype}/{m.id}") for m in sources if include.target in ("", m.rtype))
    if not values:
        return None
    query = Query(include.source, (Term(include.code, "reference", values),))
    return compile(query, visible, limit=MAX_INCLUDED + 1)
