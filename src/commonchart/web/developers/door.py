"""What stands before every page of developers: that the site offers them, and who is here."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Any

from starlette.requests import Request
from starlette.responses import Response

from commonchart.access.developers import links
from commonchart.access.developers.links import Developer
from commonchart.fhir.outcome import Unauthenticated
from commonchart.web import arrival, refusals
from commonchart.web.call import go
from commonchart.web.people import door
from commonchart.web.session import DOOR_COOKIE, Endpoint, check_token, form, plain, put

PATH = "/developers"
COOKIE = "commonchart-developer"
TENANT = arrival.TENANT
View = Callable[[Request, Developer], Awaitable[Response]]


def offers_form(request: Request) -> bool:
    """Whether developers register on a page here."""
    return getattr(request.app.state.settings, "developer_registration", "off") == "on"


def offers_protocol(request: Request) -> bool:
    """Whether programs register clients here (RFC 7591)."""
    return getattr(request.app.state.settings, "dynamic_registration", "off") == "on"


def offered(endpoint: Endpoint) -> Endpoint:
    """The endpoint where the site lets developers register in either way; else what any unknown address answers."""

    async def answer(request: Request) -> Response:
        if not (offers_form(request) or offers_protocol(request)):
            return nothing(request)
        return await endpoint(request)

    return answer


def nothing(request: Request) -> Response:
    """What an unknown address answers."""
    return refusals.page(request, 404, [])


def known(view: View) -> Endpoint:
    """An endpoint for developers who came by a link; others are sent where they can ask for one. A form has its token."""

    async def answer(request: Request) -> Response:
        state = request.app.state
        try:
            who = await links.resume(state.database, request.cookies.get(COOKIE, ""), state.clock())
        except Unauthenticated:
            return go(f"{PATH}/link")
        if request.method == "POST":
            await check_token(request, request.cookies.get(DOOR_COOKIE, ""))
        return await view(request, who)

    return offered(answer)


async def page(request: Request, template: str, title: str, status: int = 200, **more: Any) -> Response:
    """A page of developers; no other site is told its address."""
    return await door.page(request, f"developers/{template}", PATH, status, title=title, **more)


async def sent(request: Request) -> dict[str, str]:
    """The fields of its form, once the token is right. Raises Forbidden."""
    await check_token(request, request.cookies.get(DOOR_COOKIE, ""))
    return plain(await form(request))


def let_in(request: Request, response: Response, session: str) -> Response:
    """Give the browser a session of half an hour, for these pages only."""
    put(request, response, COOKIE, session, path=PATH, lasts=int(links.LIVES["session"].total_seconds()))
    return response
