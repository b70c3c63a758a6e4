"""Between the password and the session: the second factor is shown, or made where the role must have one.

Whoever waits here holds a cookie that opens these pages and nothing else.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Any
from urllib.parse import quote

from starlette.requests import Request
from starlette.responses import Response

from commonchart.access import signin
from commonchart.access.people import factors, passkeys
from commonchart.access.portal import invitations
from commonchart.access.signin import Proof, Session
from commonchart.fhir.outcome import Invalid, Refused, Unauthenticated
from commonchart.web import rendering
from commonchart.web.call import Preferences, go
from commonchart.web.links import local
from commonchart.web.present import pictures
from commonchart.web.session import (
    DOOR_COOKIE,
    PENDING_COOKIE,
    WAITS,
    Endpoint,
    check_token,
    door_token,
    form,
    keep,
    keep_device,
    keep_waiting,
    plain,
    put,
    signing_key,
    site,
)
from commonchart.web.whence import origin, passkey_site, passkeys_work

TENANT = 1
CODE_COOKIE = "commonchart-invitation"
PLACES = {"factor": "/sign-in/second", "enrol": "/sign-in/enrol"}


async def page(
    request: Request, template: str, title: str, status: int = 200, *, path: str = "/sign-in", **more: Any
) -> Response:
    """A page of the door, for people who are not signed in (yet); its form is sent to `path` or below."""
    made: list[str] = []
    context: dict[str, Any] = {
        "title": title, "csrf": door_token(request, made.append), "actor": None, "prefs": Preferences(density="comfortable"),
        "site": await site(request, TENANT), "may": {}, "q": "", "issues": [], "errors": {},
    }  # fmt: skip
    response = rendering.html(template, context | more, status)
    if made:
        put(request, response, DOOR_COOKIE, made[0], path=path)
    if status == 429:
        response.headers["retry-after"] = "900"
    return response


def welcomed(request: Request, session: Session, target: str) -> Response:
    """In, or on to the second factor; the browser gets the cookie of either."""
    place = PLACES.get(session.wants)
    response: Response = go(f"{place}?next={quote(target, safe='')}" if place else target)
    _cookies(request, response, session)
    return response


def _cookies(request: Request, response: Response, session: Session) -> None:
    if session.wants:
        keep_waiting(request, response, session.token)
    else:
        keep(request, response, session.token)
    if session.device:
        keep_device(request, response, session.device)


def keep_code(request: Request, response: Response, code: str) -> None:
    """Remember the code of an invitation until the second factor was shown: only then it is taken up."""
    put(request, response, CODE_COOKIE, code, path="/sign-in", lasts=WAITS)


async def options(request: Request) -> Response:
    """What a passkey is asked to sign, as JSON."""
    state, user = request.app.state, ""
    token = request.cookies.get(PENDING_COOKIE, "")
    if token and request.query_params.get("for") == "second":
        user = (await signin.pending(state.database, token, state.clock())).actor.user
    asked = await passkeys.to_ask(
        state.database, signing_key(request), user, state.clock(), passkey_site(request)
    )
    return Response(asked, media_type="application/json")


# ---- the second factor -----------------------------------------------------------------------------------------


async def second_page(request: Request, waiting: Session) -> Response:
    """Ask for the second factor."""
    return await _second(request, waiting)


async def second(request: Request, waiting: Session) -> Response:
    """Look at what was shown."""
    sent, state = plain(await form(request)), request.app.state
    proof = Proof(sent.get("proof_code", "")[:60].strip(), sent.get("proof_passkey", ""))
    if not proof.code and not proof.passkey:
        return await _second(request, waiting, 422, [("proof_code", "Enter the code")])
    try:
        session = await signin.second(
            state.database, signing_key(request), waiting.token, proof, state.clock(), passkey_site(request),
            origin(request),
        )  # fmt: skip
    except Refused as refusal:
        if refusal.status not in (401, 429):
            raise
        at = "" if proof.passkey else "proof_code"
        return await _second(request, waiting, refusal.status, [(at, refusal.issues[0].message)])
    target, refusal_words = await _invited(request, session)
    if refusal_words:
        response = await page(
            request, "sign-in-invited.html", "You are signed in", message=refusal_words, next=target
        )
    else:
        response = go(target)
    _cookies(request, response, session)
    response.delete_cookie(CODE_COOKIE, path="/sign-in")
    return response


async def _second(
    request: Request, waiting: Session, status: int = 200, issues: list[tuple[str, str]] | None = None
) -> Response:
    async with request.app.state.database.single() as conn:
        found, left = await factors.listed(conn, waiting.actor.user)
    kinds = {one.kind for one in found}
    return await page(
        request, "sign-in-second.html", "Confirm that it is you", status, csrf=waiting.csrf, next=_next(request),
        issues=issues or [], errors=dict(issues or []), app="totp" in kinds, passkey="passkey" in kinds,
        passkeys=passkeys_work(request), left=left,
    )  # fmt: skip


# ---- making one at the door ------------------------------------------------------------------------------------


async def enrol_page(request: Request, waiting: Session) -> Response:
    """Make a second factor before going on."""
    return await _enrol(request, waiting)


async def enrol(request: Request, waiting: Session) -> Response:
    """Keep it, show the recovery codes this once, and let them in."""
    sent, state = plain(await form(request)), request.app.state
    args = (state.database, signing_key(request), waiting.actor)
    kind = "passkey" if sent.get("made") else "totp"
    try:
        if kind == "passkey":
            codes = await passkeys.add(
                *args, sent["made"], sent.get("label", ""), state.clock(), passkey_site(request)
            )  # fmt: skip
        else:
            codes = await factors.confirm(*args, sent.get("code", "")[:20], state.clock())
    except Invalid as refusal:
        return await _enrol(request, waiting, [(i.at, i.message) for i in refusal.issues])
    session = await signin.finish(state.database, waiting, kind, state.clock(), origin(request))
    target, message = await _invited(request, session)
    response = await page(
        request, "sign-in-codes.html", "Your recovery codes", codes=codes, next=target, message=message,
        whose=await whose(request, session),
    )  # fmt: skip
    _cookies(request, response, session)
    response.delete_cookie(CODE_COOKIE, path="/sign-in")
    return response


async def making_options(request: Request, waiting: Session) -> Response:
    """What the browser is asked for to make a passkey, as JSON."""
    state = request.app.state
    login = await factors.login_of(state.database, waiting.actor)
    asked = await passkeys.to_make(
        state.database, signing_key(request), waiting.actor, login, state.clock(), passkey_site(request)
    )
    return Response(asked, media_type="application/json")


async def _enrol(request: Request, waiting: Session, issues: list[tuple[str, str]] | None = None) -> Response:
    state = request.app.state
    login = await factors.login_of(state.database, waiting.actor)
    begun = await factors.begin(state.database, signing_key(request), waiting.actor, login, state.clock())
    return await page(
        request, "sign-in-enrol.html", "Set up a second step", 422 if issues else 200, csrf=waiting.csrf,
        next=_next(request), issues=issues or [], errors=dict(issues or []), begun=begun,
        picture=pictures.qr(begun.address), key=pictures.groups(begun.key), passkeys=passkeys_work(request),
    )  # fmt: skip


async def whose(request: Request, session: Session) -> str:
    """What stands on the sheet of recovery codes: the user name, and where."""
    state = request.app.state
    login = await factors.login_of(state.database, session.actor)
    return f"{login}, {(await site(request, session.actor.tenant)).name or 'Commonchart'}"


# ---- both ------------------------------------------------------------------------------------------------------


def waits_for(wants: str, view: Callable[[Request, Session], Awaitable[Response]]) -> Endpoint:
    """An endpoint for people whose password was right and who wait for this; others are sent where they belong."""

    async def answer(request: Request) -> Response:
        state, target = request.app.state, quote(_next(request), safe="")
        try:
            found = await signin.pending(
                state.database, request.cookies.get(PENDING_COOKIE, ""), state.clock()
            )
        except Unauthenticated:
            return go(f"/sign-in?next={target}")
        if found.wants != wants:
            return go(f"{PLACES[found.wants]}?next={target}")
        if request.method == "POST":
            await check_token(request, found.csrf)
        return await view(request, found)

    return answer


def _next(request: Request) -> str:
    return local(request.query_params.get("next", "/"))


async def _invited(request: Request, session: Session) -> tuple[str, str]:
    """Where to go now, and what was wrong with the invitation that was waiting, if there was one."""
    code, state = request.cookies.get(CODE_COOKIE, ""), request.app.state
    if not code:
        return _next(request), ""
    try:
        await invitations.take_up(state.database, code, session.actor, state.clock())
    except Refused as refusal:
        return "/", refusal.issues[0].message
    return "/me", ""
