"""An authorization request, read and checked. RFC 6749, section 4.1.1; SMART App Launch 2.2; RFC 7636 (PKCE, S256 only).

Nothing is ever sent to a redirect address before the client and this very address were found to belong together.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from datetime import datetime
from typing import TYPE_CHECKING
from urllib.parse import urlencode

from msgspec import Struct

from commonchart.access import scopes
from commonchart.access.oauth import apps, launches
from commonchart.access.oauth.apps import App
from commonchart.access.oauth.denied import Denied
from commonchart.access.oauth.launches import Launch
from commonchart.fhir.outcome import Refused

if TYPE_CHECKING:
    from commonchart.record.database import Database

NAMES = (
    "response_type", "client_id", "redirect_uri", "scope", "state", "aud", "launch", "code_challenge",
    "code_challenge_method", "nonce",
)  # fmt: skip
MAX_VALUE = 4000
_CHALLENGE = re.compile(r"[A-Za-z0-9_-]{43}")


class NotTheirs(Refused):
    """The app is unknown, or the address is not one of its own: told to the person, never to the address (400)."""


class Turned(Denied):
    """A refusal that is told to the app, at its own address."""

    def __init__(self, error: str, words: str, address: str) -> None:
        self.address = address
        super().__init__(error, words)


class Request(Struct, frozen=True):
    """What an app asks for. `scopes` is what it may get at most; `launch` what it was launched for."""

    app: App
    redirect_uri: str
    state: str
    scopes: tuple[str, ...]
    challenge: str
    nonce: str
    launch_token: str
    launch: Launch | None

    @property
    def needs_patient(self) -> bool:
        """Whether it gets a patient in context: it asked for one, or for scopes that are about one."""
        of_one = any(one.context == "patient" for one in scopes.resources(self.scopes))
        return of_one or "launch/patient" in self.scopes

    def answer(self, **said: str) -> str:
        """The address that the person is sent back to."""
        return returning(self.redirect_uri, said | ({"state": self.state} if self.state else {}))


def returning(uri: str, said: Mapping[str, str]) -> str:
    """The address with more in its query."""
    return f"{uri}{'&' if '?' in uri else '?'}{urlencode(said)}"


async def read(
    database: Database, params: Mapping[str, str], repeated: bool, base: str, now: datetime
) -> Request:
    """The request. `base` is the address of the FHIR API. Raises NotTheirs; Turned once the address is known to be theirs."""
    app = await _client(database, params)
    uri, state = params["redirect_uri"], params.get("state", "")
    try:
        return await _checked(database, app, params, repeated, base, now)
    except Turned:
        raise
    except Denied as refusal:
        said = {"error": refusal.error, "error_description": str(refusal)}
        if state and len(state) <= MAX_VALUE:
            said["state"] = state
        raise Turned(refusal.error, str(refusal), returning(uri, said)) from None


async def _client(database: Database, params: Mapping[str, str]) -> App:
    async with database.single() as conn:
        app = await apps.find(conn, params.get("client_id", ""))
    if app is None or app.state != "approved" or app.audience == "backend":
        raise NotTheirs("This app is not known here, or not approved")
    if params.get("redirect_uri", "") not in app.redirect_uris:
        raise NotTheirs("The app wants you sent to an address that is not registered for it")
    return app


async def _checked(
    database: Database, app: App, params: Mapping[str, str], repeated: bool, base: str, now: datetime
) -> Request:
    if repeated:
        raise Denied("invalid_request", "A parameter is given twice")
    if any(len(value) > MAX_VALUE or "\0" in value for value in params.values()):
        raise Denied("invalid_request", "A parameter is too long")
    if params.get("response_type") != "code":
        raise Denied("unsupported_response_type", "response_type is code")
    if params.get("aud", "").rstrip("/") != base:
        raise Denied("invalid_request", f"aud is {base}")
    challenge = params.get("code_challenge", "")
    if params.get("code_challenge_method") != "S256" or not _CHALLENGE.fullmatch(challenge):
        raise Denied("invalid_request", "PKCE is required: code_challenge_method S256 and its code_challenge")
    granted = scopes.narrow(scopes.split(params.get("scope", "")), app.registered)
    if not scopes.resources(granted) and "openid" not in granted:
        raise Denied("invalid_scope", "None of these scopes is registered for the app")
    token = params.get("launch", "")
    launch = await _launch(database, app, token, now) if token else None
    if "launch" in granted and launch is None:
        raise Denied("invalid_request", "The scope launch goes with a launch from a chart")
    return Request(
        app, params["redirect_uri"], params.get("state", ""), granted, challenge, params.get("nonce", ""), token, launch
    )  # fmt: skip


async def _launch(database: Database, app: App, token: str, now: datetime) -> Launch:
    async with database.single() as conn:
        launch = await launches.look(conn, token, now)
    if launch is None or launch.app != app.id:
        raise Denied("invalid_request", "The launch is unknown, used or older than five minutes")
    return launch
