"""Signing in and out, and how one's own pages look."""

from __future__ import annotations

import json
from typing import Any

import msgspec
from starlette.requests import Request
from starlette.responses import Response

from commonchart.access import signin
from commonchart.fhir.outcome import Refused, Unauthenticated
from commonchart.web import rendering
from commonchart.web.call import Call, Preferences, go
from commonchart.web.links import local
from commonchart.web.session import (
    COOKIE,
    DOOR_COOKIE,
    check_token,
    door_token,
    forget,
    form,
    https,
    keep,
    site,
)

TENANT = 1
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
        session = await signin.sign_in(state.database, login, password, state.clock())
    except Refused as refusal:
        if refusal.status not in (401, 403, 422):
            raise
        message = refusal.issues[0].message
        return await _door(request, refusal.status, login=login, next=target, issues=[("login", message)])
    response = go(target)
    keep(request, response, session.token)
    return response


async def sign_out(call: Call) -> Response:
    """End the session, here and in the database."""
    await signin.sign_out(call.request.app.state.database, call.request.cookies.get(COOKIE, ""), call.now)
    response = go("/sign-in")
    forget(response)
    return response


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
    """One's own preferences."""
    return call.page(
        "account.html", title="Your account", saved=call.request.query_params.get("saved") == "1"
    )


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
    made: list[str] = []
    said = await signin.site(request.app.state.database, TENANT)
    seeding = _seeding(said.get("demo.progress", ""))
    ended = bool(request.cookies.get(COOKIE)) and bool(request.query_params.get("next"))
    message = more.get("message") or (TIMED_OUT if ended else "")
    context: dict[str, Any] = {
        "title": "Sign in",
        "csrf": door_token(request, made.append),
        "next": local(request.query_params.get("next", "/")),
        "login": "",
        "issues": [],
        "seeding": seeding,
        "demo_accounts": _accounts(said.get("demo.accounts", "")),
        "actor": None,
        "prefs": Preferences(),
        "site": await site(request, TENANT),
        "may": {},
        "q": "",
    }
    response = rendering.html("sign-in.html", context | more | {"message": message}, status)
    if made:
        response.set_cookie(
            DOOR_COOKIE, made[0], httponly=True, samesite="strict", secure=https(request), path="/sign-in"
        )
    return response


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
    return [{name: str(one.get(name, "")) for name in ("login", "password", "role")} for one in found]


def _whole(value: Any) -> int:
    return value if isinstance(value, int) and value >= 0 else 0


def _json(text: str, otherwise: Any) -> Any:
    try:
        return json.loads(text) if text else otherwise
    except ValueError:
        return otherwise
