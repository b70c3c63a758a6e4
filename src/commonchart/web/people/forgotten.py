"""A forgotten password, at the door: the same answer, in the same time, whether or not there is such an account."""

from __future__ import annotations

from starlette.requests import Request
from starlette.responses import Response

from commonchart.access.people import links
from commonchart.fhir.outcome import Throttled
from commonchart.web import arrival
from commonchart.web.people import door, letters
from commonchart.web.whence import origin

PATH = "/forgotten"
TITLE = "Forgotten your password?"


async def page(request: Request) -> Response:
    """The form."""
    return await door.page(request, "people/forgotten.html", PATH, title=TITLE, login="", asked=False)


async def ask(request: Request) -> Response:
    """Send a link to the e-mail address of the account, if there is one; say the same in any case."""
    login = (await door.sent(request, "login"))["login"].strip()
    if not login:
        return await _again(request, "Enter your user name", 422)
    state = request.app.state
    now, address = state.clock(), origin(request).address
    try:
        link = await links.forgotten(state.database, arrival.TENANT, login, address, now)
    except Throttled as refusal:
        response = await _again(request, refusal.issues[0].message, 429)
        response.headers["retry-after"] = str(refusal.seconds)
        return response
    if link is not None:
        letters.send_later(state.database, state.settings, link, now)
    return await door.page(
        request, "people/forgotten.html", PATH, title="Look at your e-mail", login="", asked=True
    )


async def _again(request: Request, words: str, status: int) -> Response:
    issues = [("login", words)]
    return await door.page(
        request, "people/forgotten.html", PATH, status, title=TITLE, login="", asked=False, issues=issues, errors=dict(issues)
    )  # fmt: skip
