"""Asking for a link to one's apps, and what a link leads to. Opening the page of a link changes nothing; its button does."""

from __future__ import annotations

from starlette.requests import Request
from starlette.responses import Response

from commonchart.access.developers import links, registrations
from commonchart.access.developers.links import Developer
from commonchart.access.developers.registrations import EMAIL, LONGEST_EMAIL, address
from commonchart.fhir.outcome import Conflict, NotFound, Throttled
from commonchart.web.apps import typed
from commonchart.web.call import go
from commonchart.web.developers import door
from commonchart.web.present.scopes import choices
from commonchart.web.whence import origin

TITLE = "A link to your apps"


@door.offered
async def page(request: Request) -> Response:
    """The form."""
    return await door.page(request, "ask.html", TITLE, asked=False, email="")


@door.offered
async def ask(request: Request) -> Response:
    """Send a link, if anything was registered with this address; say the same in any case."""
    email = address((await door.sent(request)).get("email", "")[:400])
    if len(email) > LONGEST_EMAIL or not EMAIL.fullmatch(email):
        return await _again(request, email, "The e-mail address must look like name@example.org", 422)
    state = request.app.state
    try:
        await links.ask(state.database, Developer(door.TENANT, email), origin(request).address, state.clock())
    except Throttled as refusal:
        return await _again(request, email, refusal.issues[0].message, 429)
    return await door.page(request, "ask.html", "Look at your e-mail", asked=True, email="")


async def _again(request: Request, email: str, words: str, status: int) -> Response:
    issues = [("email", words)]
    return await door.page(
        request, "ask.html", TITLE, status, asked=False, email=email, issues=issues, errors=dict(issues)
    )


@door.offered
async def link(request: Request) -> Response:
    """What the link is for, and its button."""
    return await _shown(request, request.path_params["token"])


@door.offered
async def use(request: Request) -> Response:
    """Use the link up; the token comes in the form, not in the address."""
    token = (await door.sent(request)).get("token", "")[:100]
    state = request.app.state
    try:
        session, id = await registrations.open_link(state.database, token, state.clock())
    except NotFound:
        return await _over(request)
    except Conflict as refusal:
        return await _shown(request, token, refusal.issues[0].message)
    where = f"/{id}?said=proven" if id else ""
    return door.let_in(request, go(f"{door.PATH}/apps{where}"), session)


async def _shown(request: Request, token: str, wrong: str = "") -> Response:
    state = request.app.state
    try:
        found = await registrations.look(state.database, token, state.clock())
    except NotFound:
        return await _over(request)
    title = "Is this your app?" if found else "Your apps"
    asked = found.asked if found else None
    return await door.page(
        request, "link.html", title, 409 if wrong else 200, token=token, found=found, asked=asked, wrong=wrong,
        kinds=dict(typed.KINDS), audiences=dict(typed.AUDIENCES), choices=choices(asked.scopes.split()) if asked else [],
    )  # fmt: skip


async def _over(request: Request) -> Response:
    return await door.page(request, "over.html", "This link is over", 404, words=links.OVER)
