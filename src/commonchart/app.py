"""The only place that wires: settings, database and clock into one ASGI application."""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime

from starlette.applications import Starlette
from starlette.middleware import Middleware

from commonchart.ops import health
from commonchart.ops.headers import Headed
from commonchart.record.database import Database
from commonchart.rest import health_cards, oauth, websocket
from commonchart.rest import http as rest
from commonchart.settings import Settings
from commonchart.web import refusals
from commonchart.web import routes as web


def build(settings: Settings, database: Database, clock: Callable[[], datetime]) -> Starlette:
    """The application: FHIR API, pages, health. It opens nothing; `database` connects when it is first used."""
    application = Starlette(
        routes=[
            *rest.routes(),
            *websocket.routes(),
            *health_cards.routes(),
            *oauth.routes(),
            *health.routes(),
            *web.routes(),
        ],
        exception_handlers=refusals.handlers(),
        middleware=[Middleware(Headed, tls=settings.base_url.startswith("https://"))],
    )
    # such a redirect would name the host that the request claims to ask
    application.router.redirect_slashes = False
    application.state.settings = settings
    application.state.database = database
    application.state.clock = clock
    return application
