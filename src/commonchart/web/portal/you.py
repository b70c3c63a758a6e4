"""How the pages look and in which language; and coming in with an invitation."""

from __future__ import annotations

import msgspec
from starlette.requests import Request
from starlette.responses import Response

from commonchart.access import signin
from commonchart.access.portal import invitations
from commonchart.fhir.outcome import Refused
from commonchart.web import accounts, arrival, rendering
from commonchart.web.call import Preferences, go
from commonchart.web.clinician.writing import texts
from commonchart.web.portal.door import Door
from commonchart.web.portal.words import LANGUAGES, Words
from commonchart.web.session import DOOR_COOKIE, check_token, door_token, put, site
from commonchart.web.session import form as sent_form
from commonchart.web.whence import breached_list, origin

THEMES = (("system", "As on this device"), ("light", "Light"), ("dark", "Dark"))
TENANT = 1


async def page(me: Door) -> Response:
    """Language and colours."""
    return me.page(
        "you.html",
        "You and this page",
        themes=THEMES,
        languages=list(LANGUAGES.items()),
        signing=await accounts.signing_in(me.call),
        saved=me.call.request.query_params.get("said") == "saved",
    )


async def save(me: Door) -> Response:
    """Keep them."""
    sent, now = await texts(me.call), me.call.prefs
    wanted = {
        "theme": sent.get("theme", now.theme),
        "language": sent.get("language", now.language),
        "density": now.density,
        "letters": now.letters,
    }
    try:
        chosen = msgspec.convert(wanted, Preferences)
    except msgspec.ValidationError:
        chosen = now
    await signin.save_preferences(
        me.call.request.app.state.database, me.call.actor, msgspec.json.encode(chosen).decode()
    )
    return go(f"{me.base}/you?said=saved")


async def invitation(request: Request) -> Response:
    """The form for a code; it is never in an address."""
    return await _invitation(request)


async def redeem(request: Request) -> Response:
    """Come in by a code, as somebody new or with the account one has."""
    await check_token(request, request.cookies.get(DOOR_COOKIE, ""))
    fields = await sent_form(request)
    code, login, password, account = (
        str(fields.get(name, "")).replace("\0", "")[:200] for name in ("code", "login", "password", "account")
    )
    given = {"code": code.strip(), "login": login.strip().lower(), "account": account}
    missing = [(at, words) for at, words, text in (
        ("code", "Enter the code from your invitation", given["code"]), ("account", "Choose whether you have an account here", account),
        ("login", "Enter a user name", given["login"]), ("password", "Enter a password", password),
    ) if not text]  # fmt: skip
    if missing:
        return await _invitation(request, 422, missing, given)
    state = request.app.state
    try:
        session = await invitations.redeem(
            state.database, given["code"], given["login"], password, state.clock(), new=account == "new",
            origin=origin(request), breached=breached_list(request),
        )  # fmt: skip
    except Refused as refusal:
        if refusal.status not in (401, 409, 422, 429):
            raise
        at = refusal.issues[0].at or ("code" if refusal.issues[0].message == invitations.WRONG else "login")
        return await _invitation(
            request, refusal.status, [(at if at != "new" else "account", refusal.issues[0].message)], given
        )
    response = arrival.welcomed(request, session, "/me")
    if session.wants and account != "new":
        arrival.keep_code(request, response, given["code"])
    response.delete_cookie(DOOR_COOKIE, path="/invitation")
    return response


async def _invitation(
    request: Request,
    status: int = 200,
    issues: list[tuple[str, str]] | None = None,
    given: dict[str, str] | None = None,
) -> Response:
    made: list[str] = []
    said = await signin.site(request.app.state.database, TENANT)
    context = {
        "title": "Come in with an invitation", "csrf": door_token(request, made.append), "issues": issues or [], "errors": dict(issues or []),
        "given": given or {}, "actor": None, "prefs": Preferences(), "site": await site(request, TENANT), "may": {}, "q": "", "me": None,
        "base": "/", "_": Words(), "language": "en", "translated": False, "nav": [], "practice": said.get("name", ""),
        "phone": said.get("practice_phone", ""), "look": "",
    }  # fmt: skip
    response = rendering.html("portal/invitation.html", context, status)
    if made:
        put(request, response, DOOR_COOKIE, made[0], path="/invitation")
    return response
