"""A page of a search: chains resolved first, then one statement, then what is included with it."""

from __future__ import annotations

import base64
import hmac
from collections.abc import Awaitable, Callable, Iterable
from datetime import datetime
from decimal import Decimal
from hashlib import sha256
from typing import Any

import msgspec
from msgspec import Struct

from commonchart.fhir import json
from commonchart.fhir.outcome import Malformed, TooCostly
from commonchart.fhir.path.nodes import root
from commonchart.record.keys import patient_key, resource_key
from commonchart.record.rows import Stored
from commonchart.search.compile import COLUMNS, Statement, compile, counting, identifying
from commonchart.search.index import references_of
from commonchart.search.parameters import parameters
from commonchart.search.query import Include, Query, Term, Value
from commonchart.search.visible import Visible

MAX_CHAIN = 1000
MAX_INCLUDED = 2000

Fetch = Callable[[Statement], Awaitable[list[tuple[Any, ...]]]]


class Page(Struct, frozen=True):
    """One page: matches in order, what they brought along, the total where it is known, where the next page begins."""

    matches: tuple[Stored, ...]
    included: tuple[Stored, ...] = ()
    total: int | None = None
    next_cursor: str | None = None


async def run(fetch: Fetch, query: Query, visible: Visible, *, key: bytes, show: Fetch | None = None) -> Page:
    """The page a query asks for. `fetch` runs a statement; `show` one whose rows are shown (and so audited).

    `key` signs cursors. Raises Malformed for a foreign cursor, TooCostly for chains or includes that grow too large.
    """
    show = show or fetch
    after = read_cursor(query, visible, key) if query.cursor else None
    query = await resolved(fetch, query, visible)
    if query.summary == "count" or query.count == 0:
        rows = await show(counting(query, visible))
        return Page((), total=int(rows[0][0]))
    rows = await show(compile(query, visible, after=after))
    matches = tuple(stored(row) for row in rows[: query.count])
    more = len(rows) > query.count
    total = len(matches) if after is None and not more else None
    if total is None and query.total in ("accurate", "estimate"):
        total = int((await fetch(counting(query, visible)))[0][0])
    included = await _included(show, query, visible, matches)
    cursor = make_cursor(query, visible, key, rows[query.count - 1]) if more else None
    return Page(matches, included, total, cursor)


def stored(row: tuple[Any, ...]) -> Stored:
    """A row of `compile`'s columns as Stored."""
    values = list(row[:15])
    if isinstance(values[8], str):
        values[8] = values[8].encode()
    return Stored(*values)


async def matching_ids(fetch: Fetch, query: Query, visible: Visible, limit: int) -> list[tuple[str, str]]:
    """(type, id) of the first matches: for conditional requests, which need to know 0, 1 or many."""
    query = await resolved(fetch, query, visible)
    rows = await fetch(identifying(query, visible, limit))
    return [(row[0], row[1]) for row in rows]


async def resolved(fetch: Fetch, query: Query, visible: Visible) -> Query:
    """The query with each chain replaced by the references it leads to; unreadable targets do not match."""
    if not any(term.chain for term in query.terms):
        return query
    terms = [await _unchained(fetch, term, visible) if term.chain else term for term in query.terms]
    return msgspec.structs.replace(query, terms=tuple(terms))


async def _unchained(fetch: Fetch, term: Term, visible: Visible) -> Term:
    found: list[Value] = []
    for target in term.chain:
        rows = await fetch(identifying(target, visible, MAX_CHAIN + 1))
        found += [Value(f"{rtype}/{id}") for rtype, id in rows]
    if len(found) > MAX_CHAIN:
        raise TooCostly(
            f"The chain through {term.code} matches more than {MAX_CHAIN} resources: narrow it", at=term.code
        )
    return Term(term.code, "reference", tuple(found) or (Value("Nothing/-"),))


# ---- includes --------------------------------------------------------------------------------------------------


async def _included(
    show: Fetch, query: Query, visible: Visible, matches: tuple[Stored, ...]
) -> tuple[Stored, ...]:
    if not matches or not (query.includes or query.revincludes):
        return ()
    seen = {(one.rtype, one.id) for one in matches}
    out: list[Stored] = []
    wanted = _forward(query.includes, matches) - seen
    if wanted:
        out += [stored(row) for row in await show(_by_key(sorted(wanted), visible))]
    for include in query.revincludes:
        rows = await show(_backward(include, matches, visible))
        known = seen | {(one.rtype, one.id) for one in out}
        out += [one for one in map(stored, rows) if (one.rtype, one.id) not in known]
    if len(out) > MAX_INCLUDED:
        raise TooCostly(f"More than {MAX_INCLUDED} resources would be included: ask for a smaller page")
    return tuple(out)


def _forward(includes: Iterable[Include], matches: tuple[Stored, ...]) -> set[tuple[str, str]]:
    wanted: set[tuple[str, str]] = set()
    for include in includes:
        step = parameters(include.source)[include.code].step
        for match in matches:
            texts = references_of(step(root(json.decode(match.body or b"{}"))))
            pairs = (text.split("/") for text in texts if text.count("/") == 1)
            wanted |= {(rtype, id) for rtype, id in pairs if include.target in ("", rtype)}
    return wanted


def _by_key(keys: list[tuple[str, str]], visible: Visible) -> Statement:
    predicate, args = visible.predicate("r")
    columns = ", ".join(f"r.{name}" for name in COLUMNS.split(", "))
    sql = (
        f"SELECT {columns} FROM resource_loc l "
        "JOIN unnest(%s::text[], %s::text[]) AS k(rtype, id) ON l.rtype = k.rtype AND l.id = k.id "
        "JOIN resource r ON r.pk = l.pk AND r.tenant = l.tenant AND r.rtype = l.rtype AND r.id = l.id "
        f"WHERE l.tenant = %s AND NOT r.deleted AND {predicate} LIMIT %s"
    )
    rtypes, ids = [rtype for rtype, _ in keys], [id for _, id in keys]
    return Statement(sql, (rtypes, ids, visible.tenant, *args, MAX_INCLUDED + 1))


def _backward(include: Include, matches: tuple[Stored, ...], visible: Visible) -> Statement:
    values = tuple(Value(f"{m.rtype}/{m.id}") for m in matches if include.target in ("", m.rtype))
    query = Query(include.source, (Term(include.code, "reference", values or (Value("Nothing/-"),)),))
    return compile(query, visible, limit=MAX_INCLUDED + 1)


def key_of(rtype: str, id: str) -> int:
    """The shard key of a resource that is about nobody, or of a Patient."""
    return patient_key(id) if rtype == "Patient" else resource_key(rtype, id)


# ---- cursors ---------------------------------------------------------------------------------------------------


def make_cursor(query: Query, visible: Visible, key: bytes, row: tuple[Any, ...]) -> str:
    """An opaque place in the order of this very query, for whoever sees what `visible` says."""
    keys = max(1, len(query.sort))
    values = [_spelled(value) for value in (*row[len(COLUMNS.split(", ")) :][:keys], row[1])]
    payload = msgspec.json.encode(values)
    signature = hmac.digest(key, _fingerprint(query, visible) + payload, "sha256")[:12]
    return base64.urlsafe_b64encode(signature + payload).decode().rstrip("=")


def read_cursor(query: Query, visible: Visible, key: bytes) -> list[Any]:
    """The sort values a cursor stands for. Raises Malformed if it was made for another query or reader, or changed."""
    try:
        raw = base64.urlsafe_b64decode(query.cursor + "=" * (-len(query.cursor) % 4))
    except ValueError:
        raw = b""
    signature, payload = raw[:12], raw[12:]
    expected = hmac.digest(key, _fingerprint(query, visible) + payload, "sha256")[:12]
    if not payload or not hmac.compare_digest(signature, expected):
        raise Malformed("_cursor does not belong to this search: begin again without it", at="_cursor")
    return [_read(value) for value in msgspec.json.decode(payload)]


def _fingerprint(query: Query, visible: Visible) -> bytes:
    given = [pair for pair in query.given if pair[0] != "_cursor"]
    scope = [
        visible.tenant,
        visible.everything,
        sorted(visible.patients),
        sorted(visible.shared),
        sorted(visible.types or ()),
    ]
    return sha256(msgspec.json.encode([query.rtype, given, scope])).digest()


def _spelled(value: Any) -> Any:
    if isinstance(value, datetime):
        return ["d", value.isoformat()]
    if isinstance(value, Decimal):
        return ["n", str(value)]
    return value


def _read(value: Any) -> Any:
    if isinstance(value, list):
        return datetime.fromisoformat(value[1]) if value[0] == "d" else Decimal(value[1])
    return value
