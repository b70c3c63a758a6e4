"""What the site offers to developers, in plain words, and the form by which they register an app."""

from __future__ import annotations

from collections.abc import Mapping

from starlette.requests import Request
from starlette.responses import Response

from commonchart.access.developers import clearing, registrations
from commonchart.access.developers.registrations import Wanted
from commonchart.fhir.outcome import Invalid, Throttled
from commonchart.settings import public_address
from commonchart.web.apps import typed
from commonchart.web.developers import door
from commonchart.web.session import form
from commonchart.web.whence import origin

WHO = ("developer", "organization", "email")
DEFAULTS = {"kind": "public", "audience": "patient"}
TITLE = "Build an app"


@door.offered
async def page(request: Request) -> Response:
    """What there is to build on, and the form."""
    return await _form(request, DEFAULTS, [])


@door.offered
async def send(request: Request) -> Response:
    """Keep what was typed aside and send a link to the address; say the same where it was written to too often."""
    if not door.offers_form(request):
        return door.nothing(request)
    await door.sent(request)
    given = typed.read(await form(request), (*WHO, *typed.FIELDS))
    state = request.app.state
    try:
        app = typed.app(given)
        wanted = Wanted(
            email=given["email"], name=given["developer"], organization=given["organization"], app=app
        )
        await registrations.register(
            state.database, door.TENANT, wanted, origin(request).address, state.clock()
        )
    except Invalid as refusal:
        return await _form(request, given, typed.issues_of(refusal), 422)
    except Throttled as refusal:
        return await _form(request, given, [("", refusal.issues[0].message)], 429)
    return await door.page(request, "sent.html", "Look at your e-mail", days=clearing.UNPROVEN.days)


async def _form(request: Request, given: Mapping[str, str], issues: list[tuple[str, str]], status: int = 200) -> Response:  # fmt: skip
    values = dict.fromkeys((*WHO, *typed.FIELDS), "") | dict(given)
    settings = request.app.state.settings
    return await door.page(
        request, "register.html", TITLE, status, values=values, issues=issues, errors=typed.errors_of(issues),
        kinds=typed.KINDS, audiences=typed.AUDIENCES, days=clearing.DECIDED.days,
        address=public_address(settings, request.url.scheme, request.url.netloc),
        protocol=door.offers_protocol(request), form=door.offers_form(request),
    )  # fmt: skip
