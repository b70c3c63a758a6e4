"""The route table and the ASGI application of the FHIR API: who asks, which interaction, how refusals come out."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Mapping
from functools import cache
from importlib.metadata import version
from typing import Any

import structlog
from starlette.datastructures import State
from starlette.requests import ClientDisconnect, Request
from starlette.responses import Response
from starlette.routing import BaseRoute, Mount, Route
from starlette.types import Receive, Scope, Send

from commonchart.access import credentials
from commonchart.access.records import Records, Transaction
from commonchart.fhir import json
from commonchart.fhir.outcome import (
    Malformed,
    NotAcceptable,
    NotFound,
    Refused,
    TooLarge,
    Unauthenticated,
    UnsupportedMedia,
    operation_outcome,
)
from commonchart.rest import bundle, history, metadata, read, search, write
from commonchart.rest.exchange import Answer, Asked, query_params

log = structlog.get_logger("commonchart.rest")

MEDIA = "application/fhir+json"
THREAD_FROM = 256_000
JSON_TYPES = {
    "application/fhir+json",
    "application/json",
    "text/json",
    "application/json+fhir",
    "*/*",
    "application/*",
    "",
}
HEADERS = {
    "content-type": f"{MEDIA}; charset=utf-8",
    "cache-control": "no-store",
    "x-content-type-options": "nosniff",
    "access-control-allow-origin": "*",
    "access-control-expose-headers": "ETag, Location, Last-Modified",
    "content-security-policy": "default-src 'none'; frame-ancestors 'none'",
    "referrer-policy": "no-referrer",
}
PREFLIGHT = {
    "access-control-allow-origin": "*",
    "access-control-allow-methods": "GET, HEAD, POST, PUT, DELETE, OPTIONS",
    "access-control-allow-headers": "authorization, content-type, accept, prefer, if-match, if-none-match, "
    "if-none-exist, if-modified-since",
    "access-control-max-age": "600",
}

Reading = Callable[[Records, Asked], Awaitable[Answer]]
Writing = Callable[[Transaction, Asked], Awaitable[Answer]]

READS: dict[str, Reading] = {
    "T": search.search,
    "T/id": read.read,
    "T/_history": history.history,
    "T/id/_history": history.history,
    "T/id/_history/v": read.vread,
    "_history": history.history,
}
WRITES: dict[tuple[str, str], Writing] = {
    ("POST", "T"): write.create,
    ("PUT", "T"): write.update_where,
    ("PUT", "T/id"): write.update,
    ("DELETE", "T"): write.delete_where,
    ("DELETE", "T/id"): write.delete,
}


def shape(segments: tuple[str, ...]) -> str:
    """The shape of a path, such as `T/id/_history`, "" for one that is not in the table."""
    if not segments:
        return ""
    head = "_history" if segments[0] == "_history" else "T"
    rest = []
    for n, segment in enumerate(segments[1:], 1):
        rest.append(segment if segment.startswith("_") else "v" if n == 3 else "id")
    found = "/".join([head, *rest])
    return found if found in READS or found == "T/_search" else ""


async def run(records: Records, asked: Asked) -> Answer:
    """Answer one request. Raises Refused."""
    found = shape(asked.segments)
    if not found:
        raise _unrouted(asked)
    if asked.method in ("GET", "HEAD") and found in READS:
        return await READS[found](records, asked)
    if asked.method == "POST" and found == "T/_search":
        return await search.search(records, asked)
    writing = WRITES.get((asked.method, found))
    if writing is None:
        raise MethodNotAllowed(_methods(found))
    async with records.transaction() as tx:
        return await writing(tx, asked)


class MethodNotAllowed(Refused):
    """The address exists, not with this method (405)."""

    status = 405
    code = "not-supported"

    def __init__(self, allowed: str) -> None:
        self.allow = allowed
        super().__init__(f"This address takes {allowed}")


def _methods(found: str) -> str:
    methods = ["GET", "HEAD"] if found in READS else []
    methods += [method for method, path in WRITES if path == found]
    return ", ".join([*methods, "OPTIONS"] if found != "T/_search" else ["POST", "OPTIONS"])


def _unrouted(asked: Asked) -> Refused:
    if asked.segments and asked.segments[-1].startswith("$"):
        return NotFound("This operation is not offered", code="not-supported")
    if len(asked.segments) >= 3 or (asked.segments and asked.segments[0].startswith("_")):
        return NotFound("This address is not offered", code="not-supported")
    return NotFound("There is nothing at this address", code="not-found")


# ---- HTTP ------------------------------------------------------------------------------------------------------


class Api:
    """The ASGI application under /fhir."""

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer one HTTP request; every refusal is an OperationOutcome, every bug a 500 without details."""
        request = Request(scope, receive)
        try:
            response = await self._respond(request)
        except Refused as refusal:
            response = refused(refusal)
        except ClientDisconnect:
            return
        except Exception as error:
            log.error("unexpected", kind=type(error).__name__, method=request.method, exc_info=_safe(error))
            response = _response(Answer(500, _BUG))
        await response(scope, receive, send)

    async def _respond(self, request: Request) -> Response:
        if request.method == "OPTIONS":
            return Response(status_code=204, headers=PREFLIGHT)
        state = request.app.state
        segments = _segments(request)
        _acceptable(request)
        base = f"{_address(request, state)}/fhir"
        if segments == ("metadata",) and request.method in ("GET", "HEAD"):
            return _response(Answer(200, _metadata(base, state)), request.method == "HEAD")
        actor = await credentials.actor_of(state.database, _token(request), state.clock())
        records = Records(state.database, actor, state.clock, key=state.settings.secret or b"commonchart")
        params, body = await _content(request, segments)
        asked = Asked(request.method, segments, params, base, request.headers, body, _large(request))
        if not segments:
            if request.method != "POST":
                raise MethodNotAllowed("POST, OPTIONS")
            answer = await bundle.bundle(records, asked, run)
        else:
            answer = await run(records, asked)
        return _response(answer, request.method == "HEAD")


def routes() -> list[BaseRoute]:
    """The FHIR API, to be mounted by the application."""
    api = Api()
    return [Route("/fhir", api), Mount("/fhir", app=api)]


def _segments(request: Request) -> tuple[str, ...]:
    path = request.scope["path"].removeprefix("/fhir").removeprefix("/")
    if path.endswith("/"):
        path = path[:-1]
    segments = tuple(path.split("/")) if path else ()
    if any(segment in ("", ".", "..") for segment in segments):
        raise NotFound("There is nothing at this address")
    return segments


def _address(request: Request, state: State) -> str:
    configured: str = getattr(state.settings, "base_url", "")
    return configured.rstrip("/") if configured else f"{request.url.scheme}://{request.url.netloc}"


def _token(request: Request) -> str:
    kind, _, token = request.headers.get("authorization", "").partition(" ")
    if kind.lower() != "bearer" or not token.strip():
        raise Unauthenticated("Send a bearer token in the Authorization header")
    return token.strip()


def _acceptable(request: Request) -> None:
    """Only JSON is spoken: `_format` decides before Accept. Raises NotAcceptable."""
    asked = request.query_params.get("_format") or request.headers.get("accept", "*/*")
    kinds = [part.split(";")[0].strip().lower() for part in asked.replace(" json", "+json").split(",")]
    if not any(kind in JSON_TYPES or kind == "json" for kind in kinds):
        raise NotAcceptable(f"This server answers in {MEDIA} only; XML and Turtle are not offered")


async def _content(
    request: Request, segments: tuple[str, ...]
) -> tuple[tuple[tuple[str, str], ...], dict[str, Any] | None]:
    params = query_params(request.scope["query_string"].decode("latin-1"))
    if request.method not in ("POST", "PUT"):
        return params, None
    kind = request.headers.get("content-type", "").split(";")[0].strip().lower()
    data = await _body(request)
    if segments[-1:] == ("_search",):
        if kind not in ("application/x-www-form-urlencoded", ""):
            raise UnsupportedMedia("_search takes application/x-www-form-urlencoded")
        return params + query_params(data.decode("utf-8", "strict") if data.isascii() else _not_ascii()), None
    if kind not in JSON_TYPES:
        raise UnsupportedMedia(f"Send {MEDIA}; XML and Turtle are not offered")
    if not data:
        return params, None
    return params, await asyncio.to_thread(json.decode, data) if len(data) > THREAD_FROM else json.decode(
        data
    )


def _large(request: Request) -> bool:
    length = request.headers.get("content-length", "")
    return not length.isdigit() or int(length) > THREAD_FROM


def _not_ascii() -> str:
    raise Malformed("A form is percent-encoded")


async def _body(request: Request) -> bytes:
    """The body within bounds; compressed ones are not read. Raises TooLarge, UnsupportedMedia."""
    if request.headers.get("content-encoding", "identity").lower() != "identity":
        raise UnsupportedMedia("Compressed request bodies are not read: send the body as it is")
    try:
        announced = int(request.headers.get("content-length", "0"))
    except ValueError:
        raise Malformed("Content-Length is not a number") from None
    if announced > json.MAX_BYTES:
        raise TooLarge(f"A body has at most {json.MAX_BYTES} bytes")
    chunks: list[bytes] = []
    size = 0
    async for chunk in request.stream():
        size += len(chunk)
        if size > json.MAX_BYTES:
            raise TooLarge(f"A body has at most {json.MAX_BYTES} bytes")
        chunks.append(chunk)
    return b"".join(chunks)


def _response(answer: Answer, head: bool = False) -> Response:
    return Response(b"" if head else answer.body, answer.status, {**HEADERS, **answer.headers})


def refused(refusal: Refused) -> Response:
    """A refusal as an OperationOutcome with its status."""
    headers: dict[str, str] = {}
    if isinstance(refusal, MethodNotAllowed):
        headers["Allow"] = refusal.allow
    if refusal.status == 401:
        headers["WWW-Authenticate"] = "Bearer"
    if refusal.status == 503:
        headers["Retry-After"] = "2"
    return _response(Answer(refusal.status, json.encode(operation_outcome(refusal)), headers))


_BUG = (
    b'{"resourceType":"OperationOutcome","issue":[{"severity":"fatal","code":"exception",'
    b'"diagnostics":"Something went wrong here; it was noted, and nothing was stored"}]}'
)


def _safe(error: Exception) -> Any:
    """A traceback without the message, which may hold a patient's data."""
    return (RuntimeError, RuntimeError(type(error).__name__), error.__traceback__)


@cache
def _version() -> str:
    return version("commonchart")


def _metadata(base: str, state: State) -> bytes:
    known: Mapping[str, bytes] = getattr(state, "metadata", {})
    if base not in known:
        made = json.encode(metadata.capability_statement(base, state.clock(), _version()))
        state.metadata = {base: made}
        return made
    return known[base]
