"""search by GET and POST. http://hl7.org/fhir/R4/search.html. A Bundle is a join of stored bytes."""

from __future__ import annotations

from collections.abc import Iterable
from urllib.parse import urlencode

from commonchart.access.records import Records
from commonchart.fhir import json
from commonchart.record.rows import Stored
from commonchart.rest.exchange import Answer, Asked, Params
from commonchart.rest.subset import How, subset, wanted
from commonchart.search.page import Page
from commonchart.search.query import Query, parse


async def search(records: Records, asked: Asked) -> Answer:
    """A page of matches, with links to itself and the next one."""
    query = parse(asked.rtype, asked.params, strict=asked.strict)
    page = await records.search(query)
    return Answer(200, bundle(asked, query, page))


def bundle(asked: Asked, query: Query, page: Page) -> bytes:
    """The searchset Bundle."""
    how = wanted(asked.params)
    entries = [_entry(asked.base, one, b"match", how) for one in page.matches]
    entries += [_entry(asked.base, one, b"include", None) for one in page.included]
    if query.ignored:
        entries.append(_ignored(query.ignored))
    links = [("self", query.given)]
    if page.next_cursor:
        links.append(("next", (*query.given, ("_cursor", page.next_cursor))))
    total = b"" if page.total is None else b',"total":%d' % page.total
    return joined(b"searchset", entries, _links(asked.base, query.rtype, links), total)


def joined(kind: bytes, entries: Iterable[bytes], links: bytes = b"", total: bytes = b"") -> bytes:
    """A Bundle from entries that are JSON already; `entry` is left out when there are none."""
    inner = b",".join(entries)
    listed = b',"entry":[' + inner + b"]" if inner else b""
    return b'{"resourceType":"Bundle","type":"' + kind + b'"' + total + links + listed + b"}"


def _entry(base: str, stored: Stored, mode: bytes, how: How | None) -> bytes:
    body = stored.body or b"{}"
    full = f'{{"fullUrl":"{base}/{stored.rtype}/{stored.id}","resource":'.encode()
    return full + (body if how is None else subset(body, how)) + b',"search":{"mode":"' + mode + b'"}}'


def _ignored(names: tuple[str, ...]) -> bytes:
    issues = [
        {
            "severity": "warning",
            "code": "not-supported",
            "diagnostics": "This search parameter was ignored",
            "expression": [name],
        }
        for name in names
    ]
    outcome = {"resourceType": "OperationOutcome", "issue": issues}
    return json.encode({"resource": outcome, "search": {"mode": "outcome"}})


def _links(base: str, rtype: str, links: list[tuple[str, Params]]) -> bytes:
    listed = [
        {"relation": relation, "url": f"{base}/{rtype}" + (f"?{urlencode(params)}" if params else "")}
        for relation, params in links
    ]
    return b',"link":' + json.encode(listed)
