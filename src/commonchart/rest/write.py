"""create, update, delete, and their conditional forms. http://hl7.org/fhir/R4/http.html#create.

Each works in the caller's transaction, so that a Bundle can use the same.
"""

from __future__ import annotations

import asyncio
import re
from typing import Any

import msgspec

from commonchart.access import permitted
from commonchart.access.records import Create, Delete, Put, Transaction
from commonchart.exchange.subscriptions.accept import admitted
from commonchart.fhir.links import references
from commonchart.fhir.outcome import (
    Ambiguous,
    Conflict,
    Gone,
    Invalid,
    Issue,
    Malformed,
    Refused,
    Stale,
    operation_outcome,
)
from commonchart.fhir.validate import Valid, validate
from commonchart.record.rows import Stored, Written
from commonchart.rest.exchange import (
    ID,
    Answer,
    Asked,
    Params,
    if_match,
    location,
    query_params,
    version_headers,
)
from commonchart.search.query import parse

_PATIENT_AT = re.compile(
    r"(?:[A-Za-z][A-Za-z0-9+.\-]*://)?(.+)/Patient/([A-Za-z0-9\-.]{1,64})(?:/_history/[^/]+)?"
)
_ELSEWHERE = "names a patient of another server by an id that a patient has here too: write Patient/id for ours, an identifier for theirs"


async def validated(asked: Asked, resource: dict[str, Any]) -> Valid:
    """The resource as Valid; a large one is looked at in a thread. Raises Invalid."""
    return await asyncio.to_thread(validate, resource) if asked.large else validate(resource)


async def taken(tx: Transaction, asked: Asked, valid: Valid, at: str = "") -> Valid:
    """What a client's write stores, as `admitted`. Raises Invalid, also for what would be filed in the wrong chart.

    A reference is filed by its type and id. One to a patient of another server is refused when a patient of ours, whom the
    client sees, has the same id; it does not say who is meant. `at`: where in a Bundle the resource is.
    """
    here = asked.base.partition("://")[2]
    named = [(where, _PATIENT_AT.fullmatch(text)) for where, text in references(valid.resource)]
    others = [(where, found[2]) for where, found in named if found and found[1] != here]
    ours = await tx.read_many(sorted({("Patient", id) for _, id in others}))
    wrong = [f"{at}: {where}" if at else where for where, id in others if ("Patient", id) in ours]
    if wrong:
        raise Invalid(issues=[Issue("business-rule", _ELSEWHERE, where) for where in wrong[:100]])
    return await admitted(tx, valid)


async def create(tx: Transaction, asked: Asked) -> Answer:
    """Store under a new id (201); with If-None-Exist only if nothing matches, else the match (200)."""
    valid = await taken(tx, asked, await validated(asked, asked.resource()))
    condition = asked.headers.get("if-none-exist")
    if condition is not None:
        existing = await matching(tx, asked.rtype, query_params(condition.lstrip("?")))
        if existing is not None:
            return await found_instead(tx, asked, existing)
    (written,) = await tx.write([Create(valid)])
    return answered(tx, asked, written.stored, 201)


async def update(tx: Transaction, asked: Asked) -> Answer:
    """Store the next version of this id, or the first (201)."""
    resource = asked.resource()
    if resource.get("id") != asked.id:
        raise Malformed(
            "The id in the body must be the id in the address", at=f"{asked.rtype}.id", code="invalid"
        )
    valid = await taken(tx, asked, await validated(asked, resource))
    put = Put(
        valid, asked.id, if_match(asked), must_be_new=asked.headers.get("if-none-match", "").strip() == "*"
    )
    return stored_answer(tx, asked, (await written_or_stale(tx, put)))


async def written_or_stale(tx: Transaction, put: Put) -> Written:
    """Write; a `must_be_new` that is not new is a failed precondition (412)."""
    try:
        return (await tx.write([put]))[0]
    except Stale:
        raise
    except Conflict as taken:
        if put.must_be_new:
            raise Stale("If-None-Match: * asks for a new resource, and this id is taken") from taken
        raise


def stored_answer(tx: Transaction, asked: Asked, written: Written) -> Answer:
    """201 for a new resource, 200 for a next version."""
    return answered(tx, asked, written.stored, 201 if written.state == "created" else 200)


async def update_where(tx: Transaction, asked: Asked) -> Answer:
    """Conditional update: the one match becomes this, or it is created when nothing matches."""
    resource = asked.resource()
    existing = await matching(tx, asked.rtype, asked.params)
    sent = resource.get("id")
    if sent is not None and not (isinstance(sent, str) and ID.fullmatch(sent)):
        validate(resource)
    if existing is None:
        valid = await taken(tx, asked, await validated(asked, resource))
        wanted = Put(valid, str(sent), if_match(asked), must_be_new=True) if sent else Create(valid)
        (written,) = await tx.write([wanted])
        return stored_answer(tx, asked, written)
    if sent is not None and sent != existing.id:
        raise Malformed("The id in the body is not that of the match", at=f"{asked.rtype}.id", code="invalid")
    valid = await taken(tx, asked, await validated(asked, {**resource, "id": existing.id}))
    (written,) = await tx.write([Put(valid, existing.id, if_match(asked))])
    return stored_answer(tx, asked, written)


async def delete(tx: Transaction, asked: Asked) -> Answer:
    """Mark as deleted (204); again is no error."""
    try:
        (written,) = await tx.write([Delete(asked.rtype, asked.id, if_match(asked))])
    except Gone:
        return Answer(204)
    return Answer(204, None, version_headers(written.stored))


async def delete_where(tx: Transaction, asked: Asked) -> Answer:
    """Conditional delete of the one match; none is no error, many are refused (412)."""
    await tx.records.require("delete", asked.rtype)
    existing = await matching(tx, asked.rtype, asked.params)
    if existing is None:
        return Answer(204)
    (written,) = await tx.write([Delete(asked.rtype, existing.id, if_match(asked))])
    return Answer(204, None, version_headers(written.stored))


async def matching(tx: Transaction, rtype: str, params: Params) -> Stored | None:
    """The one resource that a condition means, None if there is none. Raises Malformed, Ambiguous."""
    query = parse(rtype, params, strict=True)
    if not query.terms:
        raise Malformed("A condition needs at least one search parameter")
    await tx.alone(f"{rtype}?{sorted(params)}")
    keys = await tx.search_ids(query)
    if len(keys) > 1:
        raise Ambiguous(f"The condition matches more than one {rtype}")
    return (await tx.read_many(keys)).get(keys[0]) if keys else None


async def found_instead(tx: Transaction, asked: Asked, existing: Stored) -> Answer:
    """The answer to a create for which something was there already: it is shown, and that leaves a row."""
    await tx.shown(existing)
    return answered(tx, asked, existing, 200)


def answered(tx: Transaction, asked: Asked, stored: Stored, status: int) -> Answer:
    """The answer to a write: Location and version, and the body unless `Prefer: return` says otherwise.

    `return=OperationOutcome` also tells what the stated profiles had to say, where the site only warns. What was patched
    is shown to who may read it: a scope to update alone is none to look.
    """
    headers = {**version_headers(stored), "Location": location(asked, stored)}
    how = asked.preference("return")
    if asked.method == "PATCH" and not permitted.readable(tx.records.actor, stored):
        return Answer(status, None, headers)
    if how == "minimal":
        return Answer(status, None, headers)
    if how == "OperationOutcome":
        told = tx.told.get((stored.rtype, stored.id), ())
        return Answer(status, msgspec.json.encode(operation_outcome(Refused(issues=(_DONE, *told)))), headers)
    return Answer(status, stored.body, headers)


_DONE = Issue("informational", "Stored", severity="information")
