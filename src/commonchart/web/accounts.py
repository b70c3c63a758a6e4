"""Signing in and out, how long a session lives, and how one's own pages look."""

from __future__ import annotations

import json
from datetime import datetime
from typing import Any

import msgspec
from starlette.requests import Request
from starlette.responses import JSONResponse, Response

from commonchart.access import signin
from commonchart.access.people import address, factors, sessions
from commonchart.access.signin import Session
from commonchart.fhir.outcome import Refused, Throttled, Unauthenticated
from commonchart.web import arrival
from commonchart.web.call import Call, Preferences, go
from commonchart.web.links import local
from commonchart.web.people.words import ROLES
from commonchart.web.session import COOKIE, DOOR_COOKIE, check_token, forget, form, signing_key
from commonchart.web.whence import origin, passkey_site, passkeys_work

TENANT = 1
KINDS = (("totp", "authenticator app"), ("passkey", "passkeys"))
DONE = ("done", "ready", "finished", "complete")
TIMED_OUT = "You were signed out after 15 minutes without activity. Nothing that you had saved is lost."


async def sign_in_page(request: Request) -> Response:
    """The door: name and password; while a demonstration is being seeded it shows how far that is."""
    return await _door(request)


async def sign_in(request: Request) -> Response:
    """Try a name and a password."""
    await check_token(request, request.cookies.get(DOOR_COOKIE, ""))
    fields = await form(request)
    login, password = (str(fields.get(name, "")).replace("\0", "")[:200] for name in ("login", "password"))
    login = login.strip()
    target = local(str(fields.get("next", "/")))
    missing = [
        (name, words)
        for name, words, text in (
            ("login", "Enter your user name", login),
            ("password", "Enter your password", password),
        )
        if not text
    ]
    if missing:
        return await _door(request, 422, login=login, next=target, issues=missing)
    state = request.app.state
    try:
        session = await signin.sign_in(state.database, login, password, state.clock(), origin(request))
    except Refused as refusal:
        if refusal.status not in (401, 403, 422, 429):
            raise
        message = refusal.issues[0].message
        return await _door(request, refusal.status, login=login, next=target, issues=[("login", message)])
    return arrival.welcomed(request, session, target)


async def sign_in_by_passkey(request: Request) -> Response:
    """Come in with a passkey alone."""
    await check_token(request, request.cookies.get(DOOR_COOKIE, ""))
    fields = await form(request)
    target, state = local(str(fields.get("next", "/"))), request.app.state
    try:
        session = await signin.by_passkey(
            state.database, signing_key(request), str(fields.get("proof_passkey", "")), state.clock(),
            passkey_site(request), origin(request),
        )  # fmt: skip
    except (Unauthenticated, Throttled) as refusal:
        return await _door(request, refusal.status, next=target, issues=[("", refusal.issues[0].message)])
    return arrival.welcomed(request, session, target)


async def sign_out(call: Call) -> Response:
    """End the session, here and in the database."""
    await signin.sign_out(call.request.app.state.database, call.request.cookies.get(COOKIE, ""), call.now)
    response = go("/signed-out")
    forget(response)
    return response


async def signed_out(request: Request) -> Response:
    """The end of a session, in words; nothing of the chart is left in the browser."""
    return await arrival.page(request, "signed-out.html", "You are signed out")


async def session_state(request: Request) -> Response:
    """How long the session of this browser still lives, without keeping it alive: for the warning before its end."""
    state = request.app.state
    try:
        found = await signin.resume(
            state.database, request.cookies.get(COOKIE, ""), state.clock(), touch=False
        )
    except Unauthenticated:
        return JSONResponse({"left": 0}, 401)
    return JSONResponse(_state(found, state.clock()))


async def stay(call: Call) -> Response:
    """Stay signed in: coming here was the activity."""
    assert call.session is not None
    return JSONResponse(_state(call.session, call.now))


def _state(session: Session, now: datetime) -> dict[str, Any]:
    until = session.until or now
    return {
        "left": max(0, int((until - now).total_seconds())), "last": session.last == until, "user": session.actor.membership or session.actor.user,
        "csrf": session.csrf,
    }  # fmt: skip


async def timed_out(request: Request) -> Response:
    """Where an idle page goes by itself: back if the session lives on in another tab, else to the door."""
    state = request.app.state
    target = local(request.query_params.get("next", "/"))
    try:
        await signin.resume(state.database, request.cookies.get(COOKIE, ""), state.clock(), touch=False)
    except Unauthenticated:
        return await _door(request, next=target, message=TIMED_OUT)
    return go(target)


async def account(call: Call) -> Response:
    """One's own preferences, and the ways to one's own sign-in."""
    return call.page(
        "account.html", title="Your account", saved=call.request.query_params.get("saved") == "1",
        signing=await signing_in(call),
    )  # fmt: skip


async def signing_in(call: Call) -> list[tuple[str, str, str]]:
    """The pages about signing in, each with its address and how it stands."""
    assert call.session is not None
    async with call.records.database.single() as conn:
        found, left = await factors.listed(conn, call.actor.user)
        mail = await address.kept(conn, call.actor.user)
    open_now = await sessions.listed(call.records.database, call.actor, call.session.token, call.now)
    kinds = [words for kind, words in KINDS if any(one.kind == kind for one in found)]
    words = " and ".join(kinds)
    stands = (
        f"{words[:1].upper()}{words[1:]}; {left} recovery codes left"
        if kinds
        else "Only your password so far"
    )
    many = "Only here" if len(open_now) == 1 else f"In {len(open_now)} places"
    return [
        ("/account/factors", "Second step and passkeys", stands),
        ("/account/password", "Change your password", "It ends your other sessions"),
        ("/account/email", "Your e-mail address", mail or "None is kept"),
        ("/account/sessions", "Where you are signed in", many),
    ]


async def save_account(call: Call) -> Response:
    """Keep one's preferences."""
    fields = await form(call.request)
    wanted = {
        "theme": str(fields.get("theme", "system")),
        "density": str(fields.get("density", "compact")),
        "letters": fields.get("letters") == "yes",
    }
    try:
        chosen = msgspec.convert(wanted, Preferences)
    except msgspec.ValidationError:
        chosen = call.prefs
    await signin.save_preferences(
        call.request.app.state.database, call.actor, msgspec.json.encode(chosen).decode()
    )
    return go("/account?saved=1")


async def _door(request: Request, status: int = 200, **more: Any) -> Response:
    said = await signin.site(request.app.state.database, TENANT)
    ended = bool(request.cookies.get(COOKIE)) and bool(request.query_params.get("next"))
    context: dict[str, Any] = {
        "next": local(request.query_params.get("next", "/")),
        "login": "",
        "issues": [],
        "message": TIMED_OUT if ended else "",
        "seeding": _seeding(said.get("demo.progress", "")),
        "demo_accounts": _accounts(said.get("demo.accounts", "")),
        "passkeys": passkeys_work(request),
    }
    return await arrival.page(request, "sign-in.html", "Sign in", status, **(context | more))


def _seeding(text: str) -> dict[str, Any] | None:
    """How far the demonstration is, None when it is not being seeded."""
    said = _json(text, {})
    if not isinstance(said, dict) or not said.get("state") or said["state"] in DONE:
        return None
    words = (
        "Seeding stopped with an error: see the log."
        if said["state"] == "failed"
        else "The synthetic practice is being made."
    )
    return {"words": words, "done": _whole(said.get("done")), "total": _whole(said.get("total"))}


def _accounts(text: str) -> list[dict[str, str]]:
    """The accounts of a demonstration, for showing; nothing outside one."""
    said = _json(text, [])
    found = [one for one in said if isinstance(one, dict)] if isinstance(said, list) else []
    shown = [{name: str(one.get(name, "")) for name in ("login", "password", "role")} for one in found]
    return [one | {"role": ROLES.get(one["role"], one["role"])} for one in shown]


def _whole(value: Any) -> int:
    return value if isinstance(value, int) and value >= 0 else 0


def _json(text: str, otherwise: Any) -> Any:
    try:
        return json.loads(text) if text else otherwise
    except ValueError:
        return otherwise
