"""`$graphql`, of the whole record and of one resource. http://hl7.org/fhir/R4/graphql.html."""

from __future__ import annotations

import asyncio
from typing import Any

import msgspec
from graphql import execute_sync
from msgspec import Struct

from commonchart.access.records import Records
from commonchart.fhir import json
from commonchart.fhir.outcome import Malformed
from commonchart.rest.exchange import Answer, Asked
from commonchart.rest.graphql.answer import Answering
from commonchart.rest.graphql.document import Document, Refusal, read
from commonchart.rest.operations.operation import Operation

HEADERS = {"content-type": "application/json; charset=utf-8"}
_introspecting = asyncio.Semaphore(1)


class Request(Struct, frozen=True):
    """What a client sends, by GET or POST."""

    query: str
    variables: dict[str, Any]
    operation: str | None = None


async def _graphql(records: Records, asked: Asked) -> Answer:
    """Carry out a query: from the root, or from the resource in the address."""
    request = _request(asked)
    start = None
    if len(asked.segments) == 3:
        start = json.decode((await records.read(asked.rtype, asked.id)).body or b"{}")
    root = asked.rtype if start is not None else ""
    offered = await records.offered()
    try:
        document = await asyncio.to_thread(
            read, request.query, request.variables, request.operation, offered, root
        )
    except Refusal as refusal:
        return Answer(400, json.encode({"errors": refusal.errors}), HEADERS)
    if document.introspects:
        async with _introspecting:
            return Answer(200, await asyncio.to_thread(_described, document), HEADERS)
    answering = Answering(document, records, offered)
    data = await answering.of(start)
    errors = {"errors": answering.errors} if answering.errors else {}
    return Answer(200, json.encode({"data": data, **errors}), HEADERS)


def _described(document: Document) -> bytes:
    """What the schema says of itself; fields that are no part of it are left null."""
    found = execute_sync(document.schema, document.tree, operation_name=_name(document))
    return msgspec.json.encode(found.formatted)


def _name(document: Document) -> str | None:
    return document.operation.name.value if document.operation.name else None


def _request(asked: Asked) -> Request:
    """From the query, a JSON body, or Parameters. Raises Malformed."""
    body = asked.body if asked.body is not None and "resourceType" not in asked.body else {}
    given = asked.arguments()
    query = body.get("query") if body else given.one("query")
    if not isinstance(query, str) or not query.strip():
        raise Malformed("$graphql needs a query", at="query", code="required")
    variables = body.get("variables") if body else given.one("variables")
    name = body.get("operationName") if body else given.one("operationName")
    if name is not None and not isinstance(name, str):
        raise Malformed("operationName is a text", at="operationName")
    return Request(query, _variables(variables), name or None)


def _variables(given: Any) -> dict[str, Any]:
    if isinstance(given, str) and given:
        given = json.decode(given.encode("utf-8", "surrogatepass"))
    if given in (None, ""):
        return {}
    if not isinstance(given, dict):
        raise Malformed("variables is an object", at="variables")
    return given


GRAPHQL = (Operation("graphql", _graphql, system=True, instance=True),)
