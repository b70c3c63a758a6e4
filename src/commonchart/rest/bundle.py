"""batch and transaction. http://hl7.org/fhir/R4/http.html#transaction.

A transaction plans first: every entry gets its target, links follow, everything is validated; then one database
transaction stores deletions, creations and updates in that order and answers reads last, or stores nothing at all.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from typing import Any
from urllib.parse import unquote

import structlog
from msgspec import Struct

from commonchart.access.records import Create, Delete, Put, Records, Transaction
from commonchart.access.writes import new_id
from commonchart.fhir import json
from commonchart.fhir.links import conditional, references, rewrite
from commonchart.fhir.outcome import (
    Ambiguous,
    Gone,
    Invalid,
    Issue,
    Malformed,
    NotFound,
    Refused,
    operation_outcome,
)
from commonchart.fhir.validate import Valid, validate
from commonchart.record.rows import Stored
from commonchart.rest.exchange import ID, Answer, Asked, if_match, query_params
from commonchart.rest.patch import changed, current
from commonchart.rest.search import joined
from commonchart.rest.write import answered, found_instead, matching, taken
from commonchart.search.query import parse

log = structlog.get_logger("commonchart.rest")

MAX_ENTRIES = 10_000
TURN = 20
METHODS = ("GET", "HEAD", "POST", "PUT", "DELETE", "PATCH")
STORING = ("POST", "PUT", "PATCH")

Run = Callable[[Records, Asked], Awaitable[Answer]]


class Step(Struct):
    """One entry of a transaction as it is planned: what is asked, and the target it was given (`made`: an id made here)."""

    n: int
    asked: Asked
    full_url: str
    id: str = ""
    made: bool = False
    existing: Stored | None = None
    valid: Valid | None = None
    answer: Answer | None = None


async def bundle(records: Records, asked: Asked, run: Run) -> Answer:
    """Carry out a batch or transaction Bundle. `run` answers a single request."""
    body = asked.body
    if body is None or body.get("resourceType") != "Bundle":
        raise Malformed(
            "The base takes a Bundle of type batch or transaction", at="resourceType", code="invalid"
        )
    kind, entries = body.get("type"), body.get("entry", [])
    if kind not in ("batch", "transaction"):
        raise Malformed("Bundle.type must be batch or transaction", at="Bundle.type", code="invalid")
    if not isinstance(entries, list) or len(entries) > MAX_ENTRIES:
        raise Malformed(f"Bundle.entry is an array of at most {MAX_ENTRIES} entries", at="Bundle.entry")
    if kind == "batch":
        return await _batch(records, asked, entries, run)
    return await _transaction(records, asked, entries, run)


async def _batch(records: Records, outer: Asked, entries: Sequence[Any], run: Run) -> Answer:
    out = []
    for n, entry in enumerate(entries):
        try:
            answer = await run(records, request_of(entry, n, outer))
        except Refused as refusal:
            answer = _refusal(refusal)
        except Exception as error:  # what other entries stored must still be told
            log.error("unexpected", kind=type(error).__name__, method="batch", entry=n)
            answer = Answer(500, _BUG)
        out.append(_response(answer))
    return Answer(200, joined(b"batch-response", out))


def _refusal(refusal: Refused) -> Answer:
    return Answer(refusal.status, json.encode(operation_outcome(refusal)))


async def _transaction(records: Records, outer: Asked, entries: Sequence[Any], run: Run) -> Answer:
    steps = [_step(entry, n, outer) for n, entry in enumerate(entries)]
    async with records.transaction() as tx:
        mapping = await _targets(tx, steps)
        await _validated(tx, steps, mapping)
        await _write(tx, steps)
        for step in steps:
            if step.asked.method in ("GET", "HEAD"):
                await _readable(tx, step, run)
    for step in steps:
        if step.asked.method in ("GET", "HEAD"):
            step.answer = await _read(records, step, run)
    return Answer(
        200, joined(b"transaction-response", [_response(step.answer or Answer(200)) for step in steps])
    )


async def _readable(tx: Transaction, step: Step, run: Run) -> None:
    """Refuse what cannot be read while nothing is stored yet. Raises NotFound, Gone, Malformed, Forbidden."""
    asked = step.asked
    if len(asked.segments) == 1:
        parse(asked.rtype, asked.params, strict=asked.strict)
        await tx.records.require("search", asked.rtype)
    elif len(asked.segments) == 2:
        found = await tx.read(asked.rtype, asked.id)
        if found is None:
            await run(tx.records, asked)
        elif found.deleted:
            raise Gone(f"The {asked.rtype} of an entry is deleted", at=f"Bundle.entry[{step.n}]")
        await tx.records.require("read", asked.rtype)


async def _read(records: Records, step: Step, run: Run) -> Answer:
    """What a reading entry is answered; the writes stand by now, so that a late refusal is its own only."""
    try:
        return await run(records, step.asked)
    except Refused as refusal:
        return _refusal(refusal)


def request_of(entry: Any, n: int, outer: Asked) -> Asked:
    """What an entry asks. Raises Malformed, naming the entry."""
    at = f"Bundle.entry[{n}]"
    request = entry.get("request") if isinstance(entry, dict) else None
    if not isinstance(request, dict):
        raise Malformed("An entry needs a request", at=f"{at}.request", code="required")
    method, url = request.get("method"), request.get("url")
    if method not in METHODS:
        raise Malformed(
            f"request.method is one of {', '.join(METHODS)}", at=f"{at}.request.method", code="value"
        )
    path, _, query = str(url or "").partition("?")
    segments = tuple(path.removeprefix("/").split("/"))
    if (
        not path
        or path.startswith("//")
        or ":" in path
        or "%" in path
        or any(s in ("", ".", "..") for s in segments)
    ):
        raise Malformed(
            "request.url is relative to the base: Type, Type/id or Type?query", at=f"{at}.request.url"
        )
    headers = {
        "if-match": request.get("ifMatch"),
        "if-none-match": request.get("ifNoneMatch"),
        "if-none-exist": request.get("ifNoneExist"),
        "prefer": outer.headers.get("prefer"),
    }
    kept = {name: value for name, value in headers.items() if isinstance(value, str)}
    body = entry.get("resource")
    if isinstance(body, dict) and body.get("resourceType") == "Bundle" and segments == ("",):
        raise Malformed("A Bundle is not carried out inside a Bundle", at=at)
    return Asked(
        method, segments, query_params(query), outer.base, kept, body if isinstance(body, dict) else None
    )


def _step(entry: Any, n: int, outer: Asked) -> Step:
    asked = request_of(entry, n, outer)
    at = f"Bundle.entry[{n}].request"
    shapes = {"POST": (1,), "PUT": (1, 2), "DELETE": (1, 2), "PATCH": (1, 2)}
    if asked.method in shapes and (
        len(asked.segments) not in shapes[asked.method] or asked.segments[0].startswith("_")
    ):
        raise Malformed(f"{asked.method} takes Type, Type/id or Type?query here", at=f"{at}.url")
    asked.rtype  # noqa: B018 - refuses an unknown type now
    full = entry.get("fullUrl")
    return Step(n, asked, full if isinstance(full, str) else "")


# ---- targets ---------------------------------------------------------------------------------------------------


async def _targets(tx: Transaction, steps: Sequence[Step]) -> dict[str, str]:
    """Give every written entry its id; fullUrl -> Type/id for the links. Raises Malformed, Ambiguous."""
    now = tx.records.clock()
    mapping: dict[str, str] = {}
    taken: set[tuple[str, str]] = set()
    for step in steps:
        if step.asked.method in ("GET", "HEAD"):
            continue
        step.id, step.existing = await _target(tx, step.asked)
        if not step.id and step.asked.method != "DELETE":
            step.id, step.made = new_id(now), True
        key = (step.asked.rtype, step.id)
        if step.id and key in taken:
            raise Malformed(
                "Two entries write the same resource", at=f"Bundle.entry[{step.n}]", code="duplicate"
            )
        taken.add(key)
        if step.full_url and step.id:
            mapping[step.full_url] = f"{step.asked.rtype}/{step.id}"
    return mapping


async def _target(tx: Transaction, asked: Asked) -> tuple[str, Stored | None]:
    """The id that is written and what is under it, if that was found by a condition; "" where none is known yet."""
    if asked.method == "PATCH":
        return await _patched(tx, asked)
    if len(asked.segments) == 2:
        return asked.id, None
    condition = asked.params
    if asked.method == "POST":
        condition = (
            query_params(asked.headers["if-none-exist"].lstrip("?"))
            if "if-none-exist" in asked.headers
            else ()
        )
    existing = await matching(tx, asked.rtype, condition) if condition or asked.method != "POST" else None
    if existing is not None:
        return existing.id, existing
    sent = (asked.body or {}).get("id") if asked.method == "PUT" else None
    return (sent if isinstance(sent, str) and ID.fullmatch(sent) else ""), None


async def _patched(tx: Transaction, asked: Asked) -> tuple[str, Stored]:
    """What a patch changes. Raises NotFound, Gone, Ambiguous."""
    await tx.records.require("update", asked.rtype)
    if len(asked.segments) == 2:
        return asked.id, await current(tx, asked, asked.id)
    found = await matching(tx, asked.rtype, asked.params)
    if found is None:
        raise NotFound(f"No {asked.rtype} matches the condition of an entry")
    return found.id, found


async def _validated(tx: Transaction, steps: Sequence[Step], mapping: dict[str, str]) -> None:
    """Follow links and validate every entry that is stored. Raises Invalid with the issues of all of them."""
    issues: list[Issue] = []
    for step in steps:
        if step.n % TURN == 0:  # others are answered between the entries of a long Bundle
            await asyncio.sleep(0)
        if step.asked.method not in STORING or (step.asked.method == "POST" and step.existing is not None):
            continue
        at = f"Bundle.entry[{step.n}].resource"
        try:
            step.valid = await taken(tx, step.asked, await _linked(tx, step, mapping, at), at)
        except Invalid as bad:
            issues += bad.issues
    if issues:
        raise Invalid(issues=issues[:100])


async def _linked(tx: Transaction, step: Step, mapping: dict[str, str], at: str) -> Valid:
    if step.asked.method == "PATCH" and step.existing is not None:
        resource = changed(tx, step.asked, step.existing)
    else:
        resource = step.asked.resource()
    if step.asked.method == "PUT" and len(step.asked.segments) == 2 and resource.get("id") != step.id:
        raise Invalid("The id in the body must be the id in the address", at=f"{at}.id")
    searches = {text for _, text in references(resource) if conditional(text)}
    sent = resource.get("id", step.id)
    if searches or not (isinstance(sent, str) and ID.fullmatch(sent)):
        validate(resource, at=at, conditional=True)
    known = {**mapping, **{text: await _condition(tx, text, at) for text in sorted(searches)}}
    rewritten = rewrite({**resource, "id": step.id}, known)
    if rewritten.dangling:
        validate(resource, at=at, conditional=True)
        raise Invalid(
            issues=[
                Issue("not-found", "refers to no entry of this Bundle", f"{at}: {w}")
                for w, _ in rewritten.dangling
            ]
        )
    return validate(rewritten.resource, at=at)


async def _condition(tx: Transaction, text: str, at: str) -> str:
    """A conditional reference as the one resource it means."""
    rtype, _, query = text.partition("?")
    try:
        parsed = parse(rtype, query_params(unquote(query) if "=" not in query else query), strict=True)
        keys = await tx.search_ids(parsed)
    except Malformed as bad:
        raise Invalid(f"A conditional reference cannot be read: {bad}", at=at) from None
    if len(keys) != 1:
        how = "nothing" if not keys else "more than one resource"
        raise Ambiguous(f"A conditional reference matches {how}", at=at)
    return f"{keys[0][0]}/{keys[0][1]}"


# ---- carrying out ----------------------------------------------------------------------------------------------


async def _write(tx: Transaction, steps: Sequence[Step]) -> None:
    for step in steps:
        if step.asked.method == "DELETE":
            step.answer = await _delete(tx, step)
        elif step.asked.method == "POST" and step.existing is not None:
            step.answer = await found_instead(tx, step.asked, step.existing)
    storing = [s for s in steps if s.valid is not None]
    ordered = sorted(storing, key=lambda step: STORING.index(step.asked.method))
    wanted = [_wanted(step) for step in ordered]
    for step, written in zip(ordered, await tx.write(wanted) if wanted else [], strict=True):
        step.answer = answered(tx, step.asked, written.stored, 201 if written.state == "created" else 200)


def _wanted(step: Step) -> Put | Create:
    assert step.valid is not None
    if step.asked.method == "PATCH" and step.existing is not None:
        return Put(step.valid, step.id, step.existing.vid)
    new = step.asked.method == "POST" or step.asked.headers.get("if-none-match", "").strip() == "*"
    return Put(step.valid, step.id, if_match(step.asked), must_be_new=new, made=step.made)


async def _delete(tx: Transaction, step: Step) -> Answer:
    if not step.id:
        return Answer(204)
    try:
        await tx.write([Delete(step.asked.rtype, step.id, if_match(step.asked))])
    except Gone:
        return Answer(204)
    return Answer(204)


_BUG = (
    b'{"resourceType":"OperationOutcome","issue":[{"severity":"fatal","code":"exception",'
    b'"diagnostics":"Something went wrong with this entry; it was noted"}]}'
)
_WORDS = {200: "200 OK", 201: "201 Created", 204: "204 No Content", 304: "304 Not Modified"}


def _response(answer: Answer) -> bytes:
    response: dict[str, Any] = {"status": _WORDS.get(answer.status, str(answer.status))}
    for header, name in (("Location", "location"), ("ETag", "etag")):
        if header in answer.headers:
            response[name] = answer.headers[header]
    if answer.body is None:
        return json.encode({"response": response})
    if answer.body.startswith(b'{"resourceType":"OperationOutcome"'):
        return b'{"response":' + json.encode(response)[:-1] + b',"outcome":' + answer.body + b"}}"
    return b'{"resource":' + answer.body + b',"response":' + json.encode(response) + b"}"
