"""The doors of the OAuth 2 server that programs use: token, introspection, revocation, registration, discovery and keys.

What a person sees (authorize, consent) is in `web/apps`. Every answer is `no-store` but the public ones; CORS is open, since
no cookie counts here.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping
from functools import partial
from typing import Any
from urllib.parse import parse_qsl

import msgspec
import structlog
from starlette.requests import ClientDisconnect, Request
from starlette.responses import Response
from starlette.routing import BaseRoute, Route

from commonchart.access import audit
from commonchart.access.actors import nobody
from commonchart.access.oauth import clients, id_tokens, tokens
from commonchart.access.oauth.apps import App
from commonchart.access.oauth.assertions import Key
from commonchart.access.oauth.clients import Door
from commonchart.access.oauth.denied import Denied, UnknownClient
from commonchart.access.oauth.failures import Failures
from commonchart.access.oauth.id_tokens import Signer
from commonchart.access.oauth.tokens import Place
from commonchart.exchange.egress import Guard
from commonchart.exchange.jwks import KeySets
from commonchart.exchange.rules import guard_of
from commonchart.fhir.outcome import NotFound, Refused, Throttled
from commonchart.rest import register, smart
from commonchart.settings import client_address, public_address

log = structlog.get_logger("commonchart.oauth")

MAX_BODY = 64 * 1024
CORS = {"access-control-allow-origin": "*", "x-content-type-options": "nosniff"}
PRIVATE = {**CORS, "cache-control": "no-store", "pragma": "no-cache", "referrer-policy": "no-referrer"}
PUBLIC = {**CORS, "cache-control": "public, max-age=300"}
PREFLIGHT = {
    **CORS,
    "access-control-allow-methods": "GET, POST, OPTIONS",
    "access-control-allow-headers": "authorization, content-type, accept",
    "access-control-max-age": "600",
}
STYLE = {
    "color_background": "#ffffff",
    "color_error": "#a4123f",
    "color_highlight": "#0b5c8a",
    "color_modal_backdrop": "",
    "color_success": "#1d6b3a",
    "color_text": "#16202a",
    "dim_border_radius": "4px",
    "dim_font_size": "14px",
    "dim_spacing_size": "8px",
    "font_family_body": "system-ui, sans-serif",
    "font_family_heading": "system-ui, sans-serif",
}

Form = Mapping[str, str]
Served = Callable[[Request, App, Form, Place], Awaitable[dict[str, Any] | None]]


def routes() -> list[BaseRoute]:
    """Every address of the OAuth 2 server but those with pages."""
    doors: dict[str, Served] = {"token": _token, "introspect": _introspect, "revoke": _revoke}
    public = {
        "/.well-known/openid-configuration": _openid,
        "/oauth/jwks.json": _keys,
        "/oauth/style.json": _style,
    }
    return [
        *(Route(f"/oauth/{name}", partial(_secured, partial(_door, served)), methods=["POST", "OPTIONS"]) for name, served in doors.items()),
        Route("/oauth/register", partial(_secured, _register), methods=["POST", "OPTIONS"]),
        *(Route(path, partial(_secured, partial(_shown, made)), methods=["GET", "OPTIONS"]) for path, made in public.items()),
    ]  # fmt: skip


async def _secured(answering: Callable[[Request], Awaitable[Response]], request: Request) -> Response:
    """The answer, with HSTS where it goes out by https."""
    response = await answering(request)
    if request.url.scheme == "https":
        response.headers["strict-transport-security"] = "max-age=31536000"
    return response


async def _door(served: Served, request: Request) -> Response:
    """One answer; every refusal in the words of the protocol, every bug a 500 without details."""
    return await _said(request, 200, partial(_answered, served))


async def _register(request: Request) -> Response:
    """A client registers itself (RFC 7591), where the site lets it; else nothing is here."""
    if request.app.state.settings.dynamic_registration != "on":
        return _json(404, {"error": "not_found", "error_description": "This server registers no clients by itself"})  # fmt: skip
    return await _said(request, 201, register.answer)


async def _said(
    request: Request, status: int, answering: Callable[[Request], Awaitable[dict[str, Any] | None]]
) -> Response:
    if request.method == "OPTIONS":
        return Response(status_code=204, headers=PREFLIGHT)
    try:
        return _json(status, await answering(request))
    except Denied as refusal:
        said = {"error": refusal.error, "error_description": str(refusal)}
        basic = request.headers.get("authorization", "").lower().startswith("basic")
        return _json(
            refusal.status,
            said,
            {"www-authenticate": 'Basic realm="commonchart"'} if refusal.status == 401 and basic else {},
        )
    except Refused as refusal:
        error = "invalid_request" if refusal.status == 400 else "temporarily_unavailable"
        said = {"error": error, "error_description": str(refusal)}
        wait = refusal.seconds if isinstance(refusal, Throttled) else 60
        return _json(refusal.status, said, {"retry-after": str(wait)} if refusal.status in (429, 503) else {})
    except ClientDisconnect:
        return Response(status_code=400)
    except Exception as error:
        log.error("oauth failed", kind=type(error).__name__)
        return _json(500, {"error": "server_error"})


async def _answered(served: Served, request: Request) -> dict[str, Any] | None:
    state = request.app.state
    form = await _form(request)
    peer = request.client.host if request.client else ""
    address = client_address(state.settings, peer, request.headers.get("x-forwarded-for", ""))
    failures = _kept(state, "oauth_failures", Failures)
    client = clients.named(request.headers, form)
    guessed = client if "authorization" in request.headers else ""
    failures.check(guessed, address)
    now = state.clock()
    door = Door(f"{address_of(request)}/oauth/token", partial(_fetched, state))
    try:
        app = await clients.client_of(state.database, request.headers, form, door, now)
        return await served(request, app, form, place_of(request))
    except Denied as refusal:
        failures.failed(guessed, address)
        if isinstance(refusal, UnknownClient):
            async with state.database.single() as conn:
                who = nobody(state.database.tenant, f"app:{client[:100]}")
                await audit.note(conn, who, now, "token", outcome=audit.MINOR, detail="client not proven")
        raise


async def _form(request: Request) -> Form:
    """The fields of a form, each once. Raises Denied."""
    if (
        request.headers.get("content-type", "").split(";")[0].strip().lower()
        != "application/x-www-form-urlencoded"
    ):
        raise Denied("invalid_request", "Send a form: application/x-www-form-urlencoded")
    body = b""
    async for chunk in request.stream():
        body += chunk
        if len(body) > MAX_BODY:
            raise Denied("invalid_request", "The form is too large")
    try:
        pairs = parse_qsl(body.decode(), keep_blank_values=True, max_num_fields=50)
    except ValueError:
        raise Denied("invalid_request", "The form cannot be read") from None
    if len({name for name, _ in pairs}) != len(pairs):
        raise Denied("invalid_request", "A parameter is given twice")
    return {name: value.replace("\0", "") for name, value in pairs if value}


async def _fetched(state: Any, url: str, afresh: bool) -> list[Key]:
    async def guard() -> Guard:
        made: Guard | None = getattr(state, "egress", None)
        if made is not None:
            return made
        async with state.database.single() as conn:
            return await guard_of(conn, state.settings.tenant)

    sets: KeySets = _kept(state, "oauth_keys", KeySets)
    return await sets.of(url, guard, afresh)


def _kept(state: Any, name: str, make: Callable[[], Any]) -> Any:
    if getattr(state, name, None) is None:
        setattr(state, name, make())
    return getattr(state, name)


async def _token(request: Request, app: App, form: Form, place: Place) -> dict[str, Any]:
    state = request.app.state
    return await tokens.answer(state.database, app, form, place, state.clock())


async def _introspect(request: Request, app: App, form: Form, place: Place) -> dict[str, Any]:
    if app.kind == "public":
        raise UnknownClient("Introspection is for clients that prove who they are")
    state = request.app.state
    return await tokens.introspect(state.database, app, form, place, state.clock())


async def _revoke(request: Request, app: App, form: Form, place: Place) -> None:
    state = request.app.state
    await tokens.revoke(state.database, app, form, state.clock())


# ---- what anybody may read ---------------------------------------------------------------------------------------


async def _shown(made: Callable[[Request], bytes], request: Request) -> Response:
    if request.method == "OPTIONS":
        return Response(status_code=204, headers=PREFLIGHT)
    try:
        return Response(made(request), media_type="application/json", headers=PUBLIC)
    except Refused as refusal:
        return _json(refusal.status, {"error": "not_found", "error_description": str(refusal)})


def _openid(request: Request) -> bytes:
    if not request.app.state.settings.token_keys:
        raise NotFound("This server signs no id tokens")
    return smart.openid_configuration(address_of(request), request.app.state.settings)


def _keys(request: Request) -> bytes:
    return msgspec.json.encode(id_tokens.published(request.app.state.settings.token_keys))


def _style(request: Request) -> bytes:
    return msgspec.json.encode(STYLE)


def address_of(request: Request) -> str:
    """The address people use, without a slash at its end."""
    return public_address(request.app.state.settings, request.url.scheme, request.url.netloc)


def place_of(request: Request) -> Place:
    """Where this server is, for what tokens say."""
    address, keys = address_of(request), request.app.state.settings.token_keys
    signer = Signer(address, keys[0]) if keys else None
    return Place(f"{address}/fhir", f"{address}/oauth/style.json", signer)


def _json(status: int, said: dict[str, Any] | None, headers: Mapping[str, str] | None = None) -> Response:
    body = b"" if said is None else msgspec.json.encode(said)
    return Response(body, status, {**PRIVATE, **(headers or {})}, "application/json")
