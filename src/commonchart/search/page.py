"""A page of a search: what it needs to know first, then one statement, then what is included with it."""

from __future__ import annotations

import base64
import hmac
from collections.abc import Iterator
from hashlib import sha256
from typing import Any

import msgspec
from msgspec import Struct

from commonchart.fhir.outcome import Malformed
from commonchart.record.keys import patient_key, resource_key
from commonchart.record.rows import Found
from commonchart.search import contained
from commonchart.search.compile import COLUMNS, Place, Statement, compile, counting, identifying
from commonchart.search.include import found, included
from commonchart.search.query import Query
from commonchart.search.resolve import NOT_LOADED, Fetch, Terminology, resolved
from commonchart.search.visible import Visible

WIDTH = len(COLUMNS.split(", "))


class Page(Struct, frozen=True):
    """One page: matches in order, what they brought along, the total where it is known, where others begin.

    `inside`, where contained resources are returned by themselves: for each match, a container then, which it is.
    """

    matches: tuple[Found, ...]
    included: tuple[Found, ...] = ()
    total: int | None = None
    next_cursor: str | None = None
    previous_cursor: str | None = None
    inside: tuple[int | None, ...] = ()

    def placed(self) -> Iterator[tuple[Found, int | None]]:
        """Each match, with the place of the resource meant in what it contains; None: the match itself."""
        return zip(self.matches, self.inside or (None,) * len(self.matches), strict=True)


async def run(
    fetch: Fetch,
    query: Query,
    visible: Visible,
    *,
    key: bytes,
    show: Fetch | None = None,
    included_from: Visible | None = None,
    terminology: Terminology = NOT_LOADED,
) -> Page:
    """The page a query asks for. `fetch` runs a statement; `show` one whose rows are shown (and so audited).

    `key` signs cursors; `included_from` is what includes may bring, if not the same. Raises Malformed for a foreign cursor, TooCostly for chains or includes that grow too large.
    """
    show = show or fetch
    at = read_cursor(query, visible, key) if query.cursor else None
    asked, query = query, await resolved(fetch, query, visible, terminology)
    if query.summary == "count" or query.count == 0:
        rows = await show(_counting(query, visible))
        return Page((), total=int(rows[0][0]))
    rows = await show(_compiled(query, visible, at))
    more = len(rows) > query.count
    rows = rows[: query.count]
    back = at is not None and at.back
    if back:
        rows.reverse()
    matches = tuple(map(found, rows))
    total = len(matches) if at is None and not more else None
    if total is None and query.total in ("accurate", "estimate"):
        total = int((await fetch(_counting(query, visible)))[0][0])
    brought = await included(show, query, included_from or visible, matches)
    after = rows and (more or back) and (at is None or at.values)
    before = rows and at is not None and (more or not back)
    return Page(
        matches,
        brought,
        total,
        make_cursor(asked, visible, key, rows[-1], back=False) if after else None,
        make_cursor(asked, visible, key, rows[0], back=True) if before else None,
        tuple(contained.place_of(row[-1]) for row in rows) if query.apart and _searches_inside(query) else (),
    )


def _searches_inside(query: Query) -> bool:
    return query.contained != "false"


def _compiled(query: Query, visible: Visible, at: Place | None) -> Statement:
    return (contained.compile if _searches_inside(query) else compile)(query, visible, at=at)


def _counting(query: Query, visible: Visible) -> Statement:
    return (contained.counting if _searches_inside(query) else counting)(query, visible)


async def matching_ids(fetch: Fetch, query: Query, visible: Visible, limit: int) -> list[tuple[str, str]]:
    """(type, id) of the first matches: for conditional requests, which need to know 0, 1 or many."""
    query = await resolved(fetch, query, visible)
    rows = await fetch(identifying(query, visible, limit))
    return [(row[0], row[1]) for row in rows]


def key_of(rtype: str, id: str) -> int:
    """The shard key of a resource that is about nobody, or of a Patient."""
    return patient_key(id) if rtype == "Patient" else resource_key(rtype, id)


# ---- cursors ---------------------------------------------------------------------------------------------------


def make_cursor(query: Query, visible: Visible, key: bytes, row: tuple[Any, ...], *, back: bool) -> str:
    """An opaque place in the order of this very query, for whoever sees what `visible` says."""
    last = () if _searches_inside(query) else (row[1],)
    payload = msgspec.json.encode([back, *row[WIDTH:], *last])
    signature = hmac.digest(key, _fingerprint(query, visible) + payload, "sha256")[:12]
    return base64.urlsafe_b64encode(signature + payload).decode().rstrip("=")


def end_cursor(query: Query, visible: Visible, key: bytes) -> str:
    """An opaque place behind everything that this very query finds: the last rows are before it."""
    payload = msgspec.json.encode([True])
    signature = hmac.digest(key, _fingerprint(query, visible) + payload, "sha256")[:12]
    return base64.urlsafe_b64encode(signature + payload).decode().rstrip("=")


def read_cursor(query: Query, visible: Visible, key: bytes) -> Place:
    """The place a cursor stands for. Raises Malformed if it was made for another query or reader, or changed."""
    try:
        raw = base64.urlsafe_b64decode(query.cursor + "=" * (-len(query.cursor) % 4))
    except ValueError:
        raw = b""
    signature, payload = raw[:12], raw[12:]
    expected = hmac.digest(key, _fingerprint(query, visible) + payload, "sha256")[:12]
    if not payload or not hmac.compare_digest(signature, expected):
        raise Malformed("_cursor does not belong to this search: begin again without it", at="_cursor")
    back, *values = msgspec.json.decode(payload)
    return Place(values, back)


def _fingerprint(query: Query, visible: Visible) -> bytes:
    given = [pair for pair in query.given if pair[0] != "_cursor"]
    scope = visible.scope()
    return sha256(msgspec.json.encode([query.rtype, query.types, query.compartment, given, scope])).digest()
