"""Where a link of an invitation or a reset leads: choose a password. Opening the page changes nothing."""

from __future__ import annotations

from starlette.requests import Request
from starlette.responses import Response

from commonchart.access import passwords
from commonchart.access.people import links
from commonchart.access.people.links import Opened
from commonchart.fhir.outcome import Invalid, NotFound
from commonchart.web.people import door
from commonchart.web.session import site as site_of
from commonchart.web.whence import breached_list

PATH = "/welcome"
TITLES = {"invite": "Choose a password", "reset": "Choose a new password"}


async def page(request: Request) -> Response:
    """Whom the link is for, and the form."""
    token = request.path_params["token"]
    try:
        opened = await links.look(request.app.state.database, token, request.app.state.clock())
    except NotFound:
        return await _over(request)
    return await _form(request, token, opened, [])


async def choose(request: Request) -> Response:
    """Set the password; the token comes in the form, not in the address."""
    given = await door.sent(request, "token", "password", "again")
    state = request.app.state
    try:
        opened = await links.look(state.database, given["token"], state.clock())
    except NotFound:
        return await _over(request)
    if given["password"] != given["again"]:
        issues = [("again", "The two passwords are not the same: type both again")]
        return await _form(request, given["token"], opened, issues, 422)
    site = await site_of(request, opened.tenant)
    try:
        opened = await links.accept(
            state.database, given["token"], given["password"], state.clock(), breached=breached_list(request), site=site.name
        )  # fmt: skip
    except NotFound:
        return await _over(request)
    except Invalid as refusal:
        issues = [("password", issue.message) for issue in refusal.issues]
        return await _form(request, given["token"], opened, issues, 422)
    return await door.page(
        request, "people/chosen.html", PATH, title="Your password is set", opened=opened,
        strength=passwords.strength(given["password"]),
    )  # fmt: skip


async def _over(request: Request) -> Response:
    return await door.page(
        request, "people/over.html", PATH, 404, title="This link is over", words=links.OVER
    )


async def _form(
    request: Request, token: str, opened: Opened, issues: list[tuple[str, str]], status: int = 200
) -> Response:
    return await door.page(
        request, "people/welcome.html", PATH, status, title=TITLES[opened.kind], opened=opened, token=token,
        issues=issues, errors=dict(issues), shortest=passwords.SHORTEST, longest=passwords.LONGEST,
    )  # fmt: skip
