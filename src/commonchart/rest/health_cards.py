"""`/.well-known/jwks.json`: the keys by which anybody checks a health card that was printed here. Public by design."""

from __future__ import annotations

import msgspec
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from commonchart.documents import health_card

HEADERS = {"Access-Control-Allow-Origin": "*", "Cache-Control": "public, max-age=3600"}


async def keys(request: Request) -> Response:
    """The public keys as a JWK set."""
    found = health_card.published(request.app.state.settings.card_keys)
    return Response(msgspec.json.encode(found), media_type="application/json", headers=HEADERS)


def routes() -> list[Route]:
    """The route of the key set."""
    return [Route("/.well-known/jwks.json", keys, methods=["GET"])]
