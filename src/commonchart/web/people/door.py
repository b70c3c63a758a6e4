"""Pages before anybody is signed in: a form with a token of its own, and an address that goes nowhere else."""

from __future__ import annotations

from typing import Any

from starlette.requests import Request
from starlette.responses import Response

from commonchart.web import arrival
from commonchart.web.session import DOOR_COOKIE, check_token, form


async def page(request: Request, template: str, path: str, status: int = 200, **more: Any) -> Response:
    """A page whose form is sent to `path` or below; no other site is told its address."""
    response = await arrival.page(request, template, more.pop("title"), status, path=path, **more)
    response.headers["referrer-policy"] = "no-referrer"
    return response


async def sent(request: Request, *names: str) -> dict[str, str]:
    """The fields of its form, once the token is right. Raises Forbidden."""
    await check_token(request, request.cookies.get(DOOR_COOKIE, ""))
    fields = await form(request)
    return {name: str(fields.get(name, "")).replace("\0", "")[:300] for name in names}
