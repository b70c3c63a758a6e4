"""The only place that wires: settings, database and clock into one ASGI application."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager, suppress
from datetime import datetime

from starlette.applications import Starlette
from starlette.middleware import Middleware
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.types import Scope

from commonchart.access import credentials
from commonchart.access.limits import Limits, Rates
from commonchart.fhir.outcome import Refused, Throttled
from commonchart.ops import health
from commonchart.ops.headers import Headed
from commonchart.ops.limiting import Addresses
from commonchart.record.bounds import Bounds
from commonchart.record.database import Database
from commonchart.rest import health_cards, health_links, oauth, websocket
from commonchart.rest import http as rest
from commonchart.settings import Settings
from commonchart.web import refusals
from commonchart.web import routes as web
from commonchart.web.rendering import secured


def build(settings: Settings, database: Database, clock: Callable[[], datetime]) -> Starlette:
    """The application: FHIR API, pages, health. It opens nothing; `database` connects when it is first used.

    Whatever is asked through it stays within the site's tenant.
    """
    application = Starlette(
        routes=[
            *rest.routes(),
            *websocket.routes(),
            *health_cards.routes(),
            *health_links.routes(),
            *oauth.routes(),
            *health.routes(),
            *web.routes(),
        ],
        exception_handlers=refusals.handlers(),
        middleware=[
            Middleware(Headed, tls=settings.base_url.startswith("https://")),
            Middleware(Addresses, answer=_refused),
        ],
        lifespan=_listening,
    )
    application.state.limits = Limits(
        Rates(settings.limit_user, settings.limit_client, settings.limit_address)
    )
    # such a redirect would name the host that the request claims to ask
    application.router.redirect_slashes = False
    application.state.settings = settings
    application.state.database = database.bound(Bounds(settings.tenant))
    application.state.clock = clock
    return application


@asynccontextmanager
async def _listening(application: Starlette) -> AsyncIterator[None]:
    """While it serves, hear of what other processes take back."""
    heard = asyncio.create_task(credentials.hear(application.state.database))
    yield
    heard.cancel()
    with suppress(asyncio.CancelledError):
        await heard


def _refused(scope: Scope, refusal: Refused) -> Response:
    """What a refusal looks like to whoever asked: an OperationOutcome, the error of OAuth 2, or a page."""
    if scope["path"].startswith("/fhir"):
        answer = rest.refused(refusal)
        return Response(answer.body, answer.status, rest.HEADERS | answer.headers)
    if scope["path"].startswith("/oauth/") and scope["path"] != "/oauth/authorize":
        said = {"error": "temporarily_unavailable", "error_description": str(refusal)}
        seconds = refusal.seconds if isinstance(refusal, Throttled) else 60
        return JSONResponse(said, refusal.status, {"retry-after": str(seconds), "cache-control": "no-store"})
    request = Request(scope)
    return secured(refusals.refused(request, refusal), request.url.scheme == "https")
