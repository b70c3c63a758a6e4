"""The route table of the FHIR API: which function answers which method at which shape of address."""

from __future__ import annotations

from collections.abc import Awaitable, Callable

from commonchart.access.records import Records, Transaction
from commonchart.fhir.definitions import r4
from commonchart.fhir.outcome import MethodNotAllowed, NotFound, Refused
from commonchart.rest import audit_events, files, history, patch, read, reindex, search, write
from commonchart.rest.exchange import Answer, Asked
from commonchart.rest.operations.operation import Operation
from commonchart.rest.operations.table import operation_at

Reading = Callable[[Records, Asked], Awaitable[Answer]]
Writing = Callable[[Transaction, Asked], Awaitable[Answer]]

READS: dict[str, Reading] = {
    "T": search.search,
    "T/id": read.read,
    "T/id/T": search.compartment,
    "T/_history": history.history,
    "T/id/_history": history.history,
    "T/id/_history/v": read.vread,
    "_history": history.history,
}
TRAIL: dict[str, Reading] = {
    "T": audit_events.search,
    "T/_search": audit_events.search,
    "T/id": audit_events.read,
}
"""The audit trail is no stored resource: how `AuditEvent` is read."""
FORMS: dict[str, Reading] = {
    "T/_search": search.search,
    "_search": search.everywhere,
    "T/id/T/_search": search.compartment,
}
WRITES: dict[tuple[str, str], Writing] = {
    ("POST", "T"): write.create,
    ("PUT", "T"): write.update_where,
    ("PUT", "T/id"): write.update,
    ("PATCH", "T"): patch.patch_where,
    ("PATCH", "T/id"): patch.patch,
    ("DELETE", "T"): write.delete_where,
    ("DELETE", "T/id"): write.delete,
}
PLACES: dict[str, Reading] = {"_bulk": files.bulk, "_reindex": reindex.status}


def shape(segments: tuple[str, ...]) -> str:
    """The shape of a path, such as `T/id/_history`, "" for one that is not in the table."""
    parts = []
    for n, segment in enumerate(segments):
        if segment.startswith("_"):
            parts.append(segment)
        elif n == 2 and (segment == "*" or segment in r4().resource_types):
            parts.append("T")
        else:
            parts.append(("T", "id", "?", "v")[min(n, 3)])
    found = "/".join(parts)
    return found if found in READS or found in FORMS else ""


async def run(records: Records, asked: Asked) -> Answer:
    """Answer one request. Raises Refused."""
    if asked.segments[0] in PLACES:
        return await PLACES[asked.segments[0]](records, asked)
    if asked.segments[-1].startswith("$"):
        return await _operate(records, asked, operation_at(asked.segments))
    found = shape(asked.segments)
    if not found:
        raise _unrouted(asked)
    if asked.segments[0] == "AuditEvent":
        return await _of_trail(records, asked, found)
    if asked.method in ("GET", "HEAD") and found in READS:
        return await READS[found](records, asked)
    if asked.method == "POST" and found in FORMS:
        return await FORMS[found](records, asked)
    writing = WRITES.get((asked.method, found))
    if writing is None:
        raise MethodNotAllowed(_methods(found))
    async with records.transaction(once=True) as tx:
        return await writing(tx, asked)


async def _of_trail(records: Records, asked: Asked, found: str) -> Answer:
    if found not in TRAIL:
        raise NotFound("This is not offered for AuditEvent", code="not-supported")
    if asked.method not in (("POST",) if found in FORMS else ("GET", "HEAD")):
        raise MethodNotAllowed("POST, OPTIONS" if found in FORMS else "GET, HEAD, OPTIONS")
    return await TRAIL[found](records, asked)


async def _operate(records: Records, asked: Asked, operation: Operation) -> Answer:
    allowed = ("POST",) if operation.changes else ("GET", "HEAD", "POST")
    if asked.method not in allowed:
        raise MethodNotAllowed(", ".join((*allowed, "OPTIONS")))
    if len(asked.segments) > 1:
        asked.rtype  # noqa: B018 - refuses an unknown type
    return await operation.run(records, asked)


def _methods(found: str) -> str:
    methods = ["GET", "HEAD"] if found in READS else []
    methods += ["POST"] if found in FORMS else []
    methods += [method for method, path in WRITES if path == found]
    return ", ".join([*methods, "OPTIONS"])


def _unrouted(asked: Asked) -> Refused:
    if len(asked.segments) >= 3 or (asked.segments and asked.segments[0].startswith("_")):
        return NotFound("This address is not offered", code="not-supported")
    return NotFound("There is nothing at this address", code="not-found")
