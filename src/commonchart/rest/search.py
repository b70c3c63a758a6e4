"""search by GET and POST. http://hl7.org/fhir/R4/search.html. A Bundle is a join of stored bytes."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from urllib.parse import urlencode

from commonchart.access import policy
from commonchart.access.records import Records
from commonchart.fhir import json
from commonchart.fhir.definitions import r4
from commonchart.fhir.outcome import Forbidden, Malformed, NotFound
from commonchart.record.rows import Stored
from commonchart.rest import recommendations
from commonchart.rest.exchange import ID, Answer, Asked, Params
from commonchart.rest.subset import How, subset, wanted
from commonchart.search.page import Page
from commonchart.search.query import COMPARTMENTS, Query, parse


async def search(records: Records, asked: Asked) -> Answer:
    """A page of matches, with links to itself and the pages around it."""
    query = parse(asked.rtype, asked.params, strict=asked.strict, offered=await records.offered())
    more = await recommendations.worked_out(records, asked, query)
    page = await records.search(query)
    return Answer(200, bundle(asked, query, page, asked.rtype, [more] if more else []))


async def everywhere(records: Records, asked: Asked) -> Answer:
    """Search across types: `GET [base]?_type=A,B` by what they have in common; without _type by what all have."""
    named = _named_types(asked.params)
    for rtype in named:
        await records.require("search", rtype)
    readable = [t for t in sorted(r4().resource_types) if policy.allowed(records.actor, "search", t)]
    query = parse(
        "", asked.params, strict=asked.strict, offered=await records.offered(), types=named or readable
    )
    if not named and not query.terms:
        raise Malformed(
            "Name the types to search with _type, or say what to look for", at="_type", code="required"
        )
    return await _answer(records, asked, query, "")


def _named_types(params: Params) -> list[str]:
    named = [rtype for name, value in params if name == "_type" for rtype in value.split(",") if rtype]
    unknown = [rtype for rtype in named if rtype not in r4().resource_types]
    if unknown:
        raise Malformed("_type is a list of resource types of FHIR R4", at="_type")
    return named


async def compartment(records: Records, asked: Asked) -> Answer:
    """`Patient/x/Observation` and `Patient/x/*`: what is in the compartment, and may be seen."""
    owner, id, wanted_type = asked.segments[:3]
    if owner not in COMPARTMENTS:
        raise NotFound(f"There is no compartment of a {owner}", code="not-supported")
    if not ID.fullmatch(id):
        raise NotFound(f"There is no {owner} with this id")
    held = {rtype for rtype, codes in r4().compartment(owner).items() if codes} | {owner}
    offered = await records.offered()
    if wanted_type != "*":
        if wanted_type not in held:
            raise Malformed(
                f"{wanted_type} is not part of the compartment of a {owner}", code="not-supported"
            )
        query = parse(
            wanted_type, asked.params, strict=asked.strict, offered=offered, compartment=(owner, id)
        )
    else:
        named = _named_types(asked.params)
        types = [
            t
            for t in sorted(held)
            if policy.allowed(records.actor, "search", t) and (not named or t in named)
        ]
        if not types:
            raise Forbidden("Your role does not allow search of these types")
        query = parse(
            "", asked.params, strict=asked.strict, offered=offered, types=types, compartment=(owner, id)
        )
    return await _answer(records, asked, query, "/".join((owner, id, wanted_type)))


async def _answer(records: Records, asked: Asked, query: Query, path: str) -> Answer:
    return Answer(200, bundle(asked, query, await records.search(query), path))


def bundle(
    asked: Asked, query: Query, page: Page, path: str | None = None, more: Sequence[bytes] = ()
) -> bytes:
    """The searchset Bundle; `path` below the base is where its links lead, by default the type; `more` are entries made here."""
    how = wanted(asked.params)
    entries = [_entry(asked.base, one, b"match", how) for one in page.matches]
    entries += [_entry(asked.base, one, b"include", None) for one in page.included]
    entries[:0] = more
    if query.ignored:
        entries.append(_ignored(query.ignored))
    links = [("self", _with(query, query.cursor)), ("first", query.given)]
    if page.next_cursor:
        links.append(("next", _with(query, page.next_cursor)))
    if page.previous_cursor:
        links.append(("previous", _with(query, page.previous_cursor)))
    total = b"" if page.total is None else b',"total":%d' % (page.total + len(more))
    return joined(
        b"searchset", entries, _links(asked.base, query.rtype if path is None else path, links), total
    )


def _with(query: Query, cursor: str) -> Params:
    return (*query.given, ("_cursor", cursor)) if cursor else query.given


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


def _links(base: str, path: str, links: list[tuple[str, Params]]) -> bytes:
    address = f"{base}/{path}" if path else base
    listed = [
        {"relation": relation, "url": address + (f"?{urlencode(params)}" if params else "")}
        for relation, params in links
    ]
    return b',"link":' + json.encode(listed)
