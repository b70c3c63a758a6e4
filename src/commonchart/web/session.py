"""The session cookie, the token against forged forms, and what stands before every view."""

from __future__ import annotations

import hmac
import re
import secrets
import time
from collections.abc import Awaitable, Callable

import msgspec
from starlette.datastructures import FormData
from starlette.exceptions import HTTPException
from starlette.requests import ClientDisconnect, Request
from starlette.responses import Response

from commonchart.access import limits, signin
from commonchart.access.inbox import reading
from commonchart.access.records import Records
from commonchart.fhir.outcome import Forbidden, Invalid, Malformed, NotFound, Refused, TooLarge
from commonchart.web import acting, refusals
from commonchart.web.call import Call, Preferences, Site
from commonchart.web.present.zone import zone_of
from commonchart.web.rendering import secured
from commonchart.web.whence import DEVICE_COOKIE

COOKIE = "commonchart"
DOOR_COOKIE = "commonchart-door"
PENDING_COOKIE = "commonchart-pending"
A_YEAR = 365 * 24 * 3600
WAITS = 600
SITE_SECONDS = 5.0
MOST_FIELDS = 400
MOST_BYTES = 2_000_000
View = Callable[[Call], Awaitable[Response]]
Endpoint = Callable[[Request], Awaitable[Response]]
_ID = re.compile(r"[A-Za-z0-9.\-]{1,64}")  # FHIR R4 id; types and form names fit it too
_sites: dict[tuple[int, int], tuple[float, Site]] = {}


def signed_in(view: View) -> Endpoint:
    """An endpoint for people who are signed in: builds the Call, checks the token of a POST, renders refusals as pages."""

    async def answer(request: Request) -> Response:
        call = await acting.known(await signed_in_call(request))
        if request.method == "POST":
            fields = await form(request)
            if (other := acting.mixed(call, fields)) is not None:
                await check_token(request, str(fields.get("csrf", "")))
                return acting.ask(call, other, fields)
            await check_token(request, call.csrf)
            call = await acting.back(call, fields)
        return await view(call)

    return guarded(answer)


def guarded(endpoint: Endpoint) -> Endpoint:
    """Any page: refusals become pages, bugs become the 500 page, and every answer carries the security headers."""

    async def answer(request: Request) -> Response:
        try:
            response = await endpoint(request)
        except Refused as refusal:
            response = refusals.refused(request, refusal)
        except Exception as error:
            response = refusals.bug(request, error)
        stronger = getattr(request.state, "session_token", "")
        if stronger:
            keep(request, response, stronger)
        return secured(response, https(request))

    return answer


def https(request: Request) -> bool:
    """Do people reach this site over TLS, directly or through a proxy that the settings name?"""
    settings = getattr(request.app.state, "settings", None)
    return request.url.scheme == "https" or str(getattr(settings, "base_url", "")).startswith("https://")


async def signed_in_call(request: Request) -> Call:
    """Who is asking. Raises Unauthenticated without a living session, NotFound for an address that names no id."""
    if not all(_ID.fullmatch(value) for value in request.path_params.values() if isinstance(value, str)):
        raise NotFound("There is no such page")
    if any("\0" in part for pair in request.query_params.multi_items() for part in pair):
        raise Invalid("This address holds a character that none can hold")
    state = request.app.state
    now = state.clock()
    session = await signin.resume(state.database, request.cookies.get(COOKIE, ""), now)
    await limits.hold(limits.limits_of(state), state.database, session.actor, now)
    records = Records(state.database, session.actor, state.clock, key=signing_key(request))
    return Call(
        request=request,
        actor=session.actor,
        records=records,
        now=now,
        csrf=session.csrf,
        prefs=preferences(session.preferences),
        site=await site(request, session.actor.tenant),
        critical=await reading.waiting(records) if request.method == "GET" else None,
        session=session,
    )


def signing_key(request: Request) -> bytes:
    """What signs cursors: the installation's secret."""
    return getattr(getattr(request.app.state, "settings", None), "secret", b"") or b"commonchart"


def preferences(text: str) -> Preferences:
    """Stored preferences; anything unreadable means the defaults."""
    try:
        return msgspec.json.decode(text or "{}", type=Preferences)
    except msgspec.DecodeError:
        return Preferences()


async def site(request: Request, tenant: int) -> Site:
    """How the site presents itself, read at most every few seconds."""
    database = request.app.state.database
    key = (id(database), tenant)
    read, found = _sites.get(key, (0.0, Site()))
    if time.monotonic() - read > SITE_SECONDS or not read:
        settings = getattr(request.app.state, "settings", None)
        said = await signin.site(database, tenant)
        found = Site(
            str(said.get("mode") or getattr(settings, "mode", "practice")),
            said.get("name", ""),
            bool(said.get("demo.accounts")),
            zone_of(said.get("time_zone", "")),
        )
        _sites[key] = (time.monotonic(), found)
    return found


async def form(request: Request) -> FormData:
    """The fields of a POST, once read and kept. Raises Malformed for too many or too large ones."""
    try:
        length = int(request.headers.get("content-length", "0"))
    except ValueError:
        raise Malformed("The form cannot be read") from None
    if length > MOST_BYTES:
        raise TooLarge("The form is larger than this server reads")
    try:
        return await request.form(max_fields=MOST_FIELDS, max_files=0, max_part_size=MOST_BYTES)
    except HTTPException:
        raise Malformed("The form cannot be read") from None
    except ClientDisconnect:  # nobody waits for an answer any more
        raise Malformed("The form broke off") from None


def plain(fields: FormData) -> dict[str, str]:
    """The fields that are texts, without NUL, which PostgreSQL does not keep."""
    return {name: value.replace("\0", "") for name, value in fields.items() if isinstance(value, str)}


async def check_token(request: Request, expected: str) -> None:
    """A POST must come from a page of ours: same site, and with the token of this session. Raises Forbidden."""
    if request.headers.get("sec-fetch-site", "same-origin") not in ("same-origin", "none"):
        raise Forbidden("This form came from another site")
    sent = (await form(request)).get("csrf", "")
    if not expected or not isinstance(sent, str) or not hmac.compare_digest(sent.encode(), expected.encode()):
        raise Forbidden("This form has expired: go back, reload the page and send it again")


def keep(request: Request, response: Response, token: str) -> None:
    """Give the browser its session."""
    response.set_cookie(COOKIE, token, httponly=True, samesite="lax", secure=https(request), path="/")
    response.delete_cookie(DOOR_COOKIE, path="/sign-in")
    response.delete_cookie(PENDING_COOKIE, path="/sign-in")


def keep_waiting(request: Request, response: Response, token: str) -> None:
    """Give the browser what waits for the second factor: it opens nothing but the pages that ask for that."""
    put(request, response, PENDING_COOKIE, token, path="/sign-in", lasts=WAITS)


def keep_device(request: Request, response: Response, device: str) -> None:
    """Know this browser from now on: somebody was let in from here."""
    put(request, response, DEVICE_COOKIE, device, path="/", lasts=A_YEAR)


def put(
    request: Request, response: Response, name: str, value: str, *, path: str, lasts: int | None = None
) -> None:
    """A cookie that scripts do not read and other sites do not send; `lasts` seconds, else as long as the browser is open."""
    response.set_cookie(
        name, value, max_age=lasts, httponly=True, samesite="strict", secure=https(request), path=path
    )


def forget(response: Response) -> None:
    """Take the session back, and what the browser kept of it; the device stays known."""
    response.delete_cookie(COOKIE, path="/")
    response.headers["clear-site-data"] = '"cache", "storage"'


def door_token(request: Request, response_cookies: Callable[[str], None]) -> str:
    """The token of the sign-in form, which has no session yet: the same in a cookie that only /sign-in gets."""
    token = request.cookies.get(DOOR_COOKIE, "")
    if len(token) < 32:
        token = secrets.token_urlsafe(32)
        response_cookies(token)
    return token


def forget_sites() -> None:
    """Read the site's decisions afresh, as after one of them was changed in this process."""
    _sites.clear()
