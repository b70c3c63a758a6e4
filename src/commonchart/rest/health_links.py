"""`/shl`: what an app that was given a SMART Health Link asks for: the manifest, and the sealed file it names.

https://docs.smarthealthit.org/smart-health-links/spec. The token in the address, and the passcode if the patient set one, are
all the authorisation there is; CORS is open, since no cookie counts here. Every reason why a link opens nothing is one 404.
"""

from __future__ import annotations

from functools import partial
from typing import Any

import msgspec
import structlog
from starlette.requests import ClientDisconnect, Request
from starlette.responses import Response
from starlette.routing import BaseRoute, Route

from commonchart.access import everything
from commonchart.access.portal import links
from commonchart.access.portal.links import Link, Reading, Wrong
from commonchart.documents import health_link
from commonchart.fhir.outcome import Malformed, NotFound, Refused, TooLarge
from commonchart.settings import client_address

log = structlog.get_logger("commonchart.links")

MAX_BODY = 16 * 1024
HEADERS = {
    "access-control-allow-origin": "*",
    "cache-control": "no-store",
    "referrer-policy": "no-referrer",
    "x-content-type-options": "nosniff",
    "x-robots-tag": "noindex, nofollow",
}
PREFLIGHT = {
    **HEADERS,
    "access-control-allow-methods": "GET, POST, OPTIONS",
    "access-control-allow-headers": "content-type, accept",
    "access-control-max-age": "600",
}


class Asked(msgspec.Struct, frozen=True, rename="camel"):
    """What the app sends: who receives it, in its own words; the passcode; the longest file to put into the manifest."""

    recipient: str = ""
    passcode: str | None = None
    embedded_length_max: int | None = None


def routes() -> list[BaseRoute]:
    """The manifest and the files."""
    return [
        Route("/shl/file/{file}", partial(_guarded, _file), methods=["GET", "OPTIONS"]),
        Route("/shl/{link}", partial(_guarded, _manifest), methods=["POST", "OPTIONS"]),
    ]


async def _guarded(answer: Any, request: Request) -> Response:
    """One answer; refusals in few words, bugs without any."""
    if request.method == "OPTIONS":
        return Response(status_code=204, headers=PREFLIGHT)
    try:
        response: Response = await answer(request)
    except Wrong as refusal:
        response = _json({"remainingAttempts": refusal.left}, 401)
    except Refused as refusal:
        response = _json({"error": str(refusal)}, refusal.status)
        if refusal.status == 429:
            response.headers["retry-after"] = "900"
    except ClientDisconnect:
        response = Response(status_code=400, headers=HEADERS)
    except Exception as error:
        log.error("link failed", kind=type(error).__name__)
        response = _json({"error": "Something went wrong here"}, 500)
    if request.url.scheme == "https":
        response.headers["strict-transport-security"] = "max-age=31536000"
    return response


def _json(value: Any, status: int = 200) -> Response:
    return Response(msgspec.json.encode(value), status, HEADERS, "application/json")


async def _manifest(request: Request) -> Response:
    """The files of a link, one: the record as a Bundle, sealed; in the manifest itself, or fetched once where that is too long."""
    asked, state = await _asked(request), request.app.state
    token, now = request.path_params["link"], state.clock()
    peer = request.client.host if request.client else ""
    address = client_address(state.settings, peer, request.headers.get("x-forwarded-for", ""))
    link = await links.look(state.database, token, address, now)
    recipient = "".join(letter for letter in asked.recipient if letter.isprintable())[:100]
    link = await links.let_in(state.database, link, asked.passcode, now, f"app, for {recipient}")
    file = await _sealed(request, link, token)
    made: dict[str, Any] = {"contentType": health_link.FHIR, "lastUpdated": now.isoformat(timespec="seconds")}
    if asked.embedded_length_max is None or len(file) <= asked.embedded_length_max:
        made["embedded"] = file
    else:
        kept = await links.keep_file(state.database, link, file, now)
        made["location"] = f"{state.settings.address}/shl/file/{kept}"
    return _json({"status": "can-change", "files": [made]})


async def _asked(request: Request) -> Asked:
    """Raises Malformed, TooLarge."""
    body = b""
    async for chunk in request.stream():
        body += chunk
        if len(body) > MAX_BODY:
            raise TooLarge("The request is larger than this server reads")
    try:
        asked = msgspec.json.decode(body, type=Asked)
    except msgspec.DecodeError:
        raise Malformed("Send JSON with the recipient") from None
    if not asked.recipient.strip():
        raise Malformed("Say who receives it", at="recipient")
    return asked


async def _sealed(request: Request, link: Link, token: str) -> str:
    state = request.app.state
    records = Reading(state.database, link, state.clock, key=state.settings.secret)
    text = await everything.bundle(records, link.patient, f"{state.settings.address}/fhir")
    key = health_link.key_of(token, await links.salt_of(state.database, link))
    return health_link.sealed(text.encode(), key)


async def _file(request: Request) -> Response:
    """A sealed file, once."""
    token = request.path_params["file"]
    if len(token) != 43:
        raise NotFound(links.OVER)
    state = request.app.state
    body = await links.take_file(state.database, token, state.clock())
    return Response(body, 200, HEADERS, "application/jose")
