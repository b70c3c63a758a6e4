"""The ASGI application of the FHIR API: who asks, what the body is, how answers and refusals come out.

It speaks ASGI itself rather than through Starlette's Request and Response: it is on the path of every read.
"""

from __future__ import annotations

from functools import cache
from importlib.metadata import version
from typing import Any

import structlog
from msgspec.structs import replace
from starlette.datastructures import State
from starlette.responses import FileResponse
from starlette.routing import BaseRoute, Mount, Route
from starlette.types import Receive, Scope, Send

from commonchart.access import credentials, limits
from commonchart.access.records import Records
from commonchart.fhir import json
from commonchart.fhir.outcome import (
    MethodNotAllowed,
    NotFound,
    Refused,
    Throttled,
    Unauthenticated,
    operation_outcome,
)
from commonchart.record import site
from commonchart.rest import body, bundle, metadata, search, smart
from commonchart.rest.exchange import Answer, Asked, query_params
from commonchart.rest.routes import run
from commonchart.settings import public_address

log = structlog.get_logger("commonchart.rest")

MEDIA = "application/fhir+json"
HEADERS = {
    "content-type": f"{MEDIA}; charset=utf-8",
    "cache-control": "no-store",
    "x-content-type-options": "nosniff",
    "access-control-allow-origin": "*",
    "access-control-expose-headers": "ETag, Location, Content-Location, Last-Modified, Retry-After, "
    "WWW-Authenticate, X-Progress",
    "content-security-policy": "default-src 'none'; frame-ancestors 'none'",
    "referrer-policy": "no-referrer",
    "vary": "accept-encoding",
}
_FIXED = [(name.encode(), value.encode()) for name, value in HEADERS.items()]
HSTS = {"strict-transport-security": "max-age=31536000"}
PREFLIGHT = {
    "access-control-allow-methods": "GET, HEAD, POST, PUT, PATCH, DELETE, OPTIONS",
    "access-control-allow-headers": "authorization, content-type, accept, prefer, if-match, if-none-match, "
    "if-none-exist, if-modified-since",
    "access-control-max-age": "600",
}
WITH_BODY = frozenset({"POST", "PUT", "PATCH"})


class Api:
    """The ASGI application under /fhir."""

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer one HTTP request; every refusal is an OperationOutcome, every bug a 500 without details."""
        if scope["type"] != "http":
            await send({"type": "websocket.close", "code": 1008})
            return
        headers = {name.decode("latin-1"): value.decode("latin-1") for name, value in scope["headers"]}
        head = scope["method"] == "HEAD"
        try:
            answer = await _answer(scope, receive, headers)
        except Refused as refusal:
            answer = refused(refusal, given="authorization" in headers)
        except body.Gone:
            return
        except Exception as error:
            log.error("unexpected", kind=type(error).__name__, method=scope["method"], exc_info=_safe(error))
            answer = Answer(500, _BUG)
        if answer.file is not None:
            await FileResponse(answer.file, answer.status, {**HEADERS, **answer.headers})(
                scope, receive, send
            )
        else:
            if scope.get("scheme") == "https":
                answer = replace(answer, headers={**HSTS, **answer.headers})
            await _send(send, await body.shaped(scope, headers, answer), head)


def routes() -> list[BaseRoute]:
    """The FHIR API, to be mounted by the application."""
    api = Api()
    return [Route("/fhir", api), Mount("/fhir", app=api)]


async def _answer(scope: Scope, receive: Receive, headers: dict[str, str]) -> Answer:
    method: str = scope["method"]
    if method == "OPTIONS":
        return Answer(204, None, PREFLIGHT)
    state: State = scope["app"].state
    segments = _segments(scope["path"])
    params = query_params(scope["query_string"].decode("latin-1"))
    address = address_of(scope, headers, state)
    base = f"{address}/fhir"
    if segments == (".well-known", "smart-configuration") and method in ("GET", "HEAD"):
        return Answer(
            200, smart.configuration(address, state.settings), smart.HEADERS
        )  # whatever Accept says
    body.acceptable(params, headers)
    if segments == ("metadata",) and method in ("GET", "HEAD"):
        return Answer(200, await _metadata(base, state))
    settings = state.settings
    actor = await credentials.actor_of(state.database, _token(headers), state.clock())
    await limits.hold(limits.limits_of(state), state.database, actor, state.clock())
    records = Records(state.database, actor, state.clock, key=settings.secret or b"commonchart")
    content: dict[str, Any] | None = None
    large = False
    if method in WITH_BODY:
        more, content, large = await body.content(receive, headers, segments)
        params += more
    asked = Asked(method, segments, params, base, headers, content, large, settings)
    if segments:
        return await run(records, asked)
    if method == "POST":
        return await bundle.bundle(records, asked, run)
    if method in ("GET", "HEAD"):
        return await search.everywhere(records, asked)
    raise MethodNotAllowed("GET, HEAD, POST, OPTIONS")


def _segments(path: str) -> tuple[str, ...]:
    path = path.removeprefix("/fhir").removeprefix("/")
    if path.endswith("/"):
        path = path[:-1]
    segments = tuple(path.split("/")) if path else ()
    if any(segment in ("", ".", "..") for segment in segments):
        raise NotFound("There is nothing at this address")
    return segments


def address_of(scope: Scope, headers: dict[str, str], state: State) -> str:
    """The address people use, without a slash at its end."""
    host, port = scope.get("server") or ("localhost", None)
    named = headers.get("host") or (f"{host}:{port}" if port else host)
    return public_address(state.settings, scope.get("scheme", "http"), named)


def _token(headers: dict[str, str]) -> str:
    kind, _, token = headers.get("authorization", "").partition(" ")
    if kind.lower() != "bearer" or not token.strip():
        raise Unauthenticated("Send a bearer token in the Authorization header")
    return token.strip()


async def _send(send: Send, answer: Answer, head: bool) -> None:
    content = answer.body or b""
    own = {name.lower(): value for name, value in answer.headers.items()}
    listed = [pair for pair in _FIXED if pair[0].decode() not in own] if own.keys() & HEADERS else [*_FIXED]
    listed += [(name.encode("latin-1"), value.encode("latin-1")) for name, value in own.items()]
    if answer.status not in (204, 304):
        listed.append((b"content-length", b"%d" % len(content)))
    await send({"type": "http.response.start", "status": answer.status, "headers": listed})
    await send({"type": "http.response.body", "body": b"" if head else content})


def refused(refusal: Refused, *, given: bool = False) -> Answer:
    """A refusal as an OperationOutcome with its status; `given`: there was a token (RFC 6750, section 3.1)."""
    headers: dict[str, str] = {}
    if isinstance(refusal, MethodNotAllowed):
        headers["Allow"] = refusal.allow
    if refusal.status == 401:
        headers["WWW-Authenticate"] = 'Bearer error="invalid_token"' if given else "Bearer"
    if isinstance(refusal, Throttled):
        headers["Retry-After"] = str(refusal.seconds)
    elif refusal.status == 503:
        headers["Retry-After"] = "2"
    return Answer(refusal.status, json.encode(operation_outcome(refusal)), headers)


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


async def _metadata(base: str, state: State) -> bytes:
    """The CapabilityStatement at this address in the mode that the site is in now, made once."""
    async with state.database.single() as conn:
        network = await site.get(conn, state.database.tenant, site.MODE) == "network"
    known: dict[tuple[str, bool], bytes] = getattr(state, "metadata", {})
    if (base, network) not in known:
        statement = metadata.capability_statement(base, state.clock(), _version(), network=network)
        known = state.metadata = {(base, network): json.encode(statement)}
    return known[base, network]
