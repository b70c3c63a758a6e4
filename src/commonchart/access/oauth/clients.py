"""Which client is asking: by nothing but its id, by a secret (HTTP Basic), or by an assertion that it signed."""

from __future__ import annotations

import base64
import binascii
from collections.abc import Awaitable, Callable, Mapping
from datetime import datetime
from typing import TYPE_CHECKING
from urllib.parse import unquote_plus

from msgspec import Struct

from commonchart.access import credentials
from commonchart.access.oauth import apps, assertions
from commonchart.access.oauth.apps import App
from commonchart.access.oauth.assertions import Key
from commonchart.access.oauth.denied import Denied, UnknownClient

if TYPE_CHECKING:
    from commonchart.record.database import Database

# the keys at a registered address; `afresh` when a kid was not among those that are remembered
Keys = Callable[[str, bool], Awaitable[list[Key]]]


class Door(Struct, frozen=True):
    """Where clients prove who they are: the address of the token endpoint, and how keys at an address are fetched."""

    audience: str
    keys: Keys


def named(headers: Mapping[str, str], form: Mapping[str, str]) -> str:
    """The client_id that is claimed, not believed yet: for counting failures. "" where none can be read."""
    try:
        return _basic(headers)[0] if "authorization" in headers else _claimed(form)
    except Denied:
        return ""


async def client_of(
    database: Database, headers: Mapping[str, str], form: Mapping[str, str], door: Door, now: datetime
) -> App:
    """The approved app that is asking. Raises UnknownClient, or Denied for two ways at once."""
    signed, basic = "client_assertion" in form, "authorization" in headers
    if signed and basic:
        raise Denied("invalid_request", "A client proves itself in one way")
    if "client_secret" in form:
        raise UnknownClient("A secret is sent by HTTP Basic")
    id, secret = _basic(headers) if basic else (_claimed(form), "")
    if not id and not basic and form.get("grant_type") == "refresh_token":
        id = await _holder(database, form.get("refresh_token", ""))
    async with database.single() as conn:
        app = await apps.find(conn, id) if id else None
    if "client_id" in form and form["client_id"] != id:
        raise UnknownClient()
    if app is None or app.state != "approved":
        raise UnknownClient()
    if signed:
        await _signed(database, app, form, door, now)
    elif not (app.kind == "secret" and app.proves(secret) if basic else app.kind == "public"):
        raise UnknownClient()
    return app


async def _holder(database: Database, token: str) -> str:
    """Whose refresh token this is: a public client need not say so itself (RFC 6749, section 6)."""
    async with database.single() as conn:
        cursor = await conn.execute(
            "SELECT g.app FROM credential c JOIN app_grant g ON g.id = c.app_grant WHERE c.sha256 = %s AND c.kind = 'refresh'",
            (credentials.digest(token),),
        )
        row = await cursor.fetchone()
    return str(row[0]) if row else ""


def _claimed(form: Mapping[str, str]) -> str:
    if "client_assertion" in form:
        return assertions.issuer_of(form["client_assertion"])
    return form.get("client_id", "")


def _basic(headers: Mapping[str, str]) -> tuple[str, str]:
    """Id and secret, each form-encoded (RFC 6749, section 2.3.1)."""
    kind, _, text = headers.get("authorization", "").partition(" ")
    try:
        id, colon, secret = base64.b64decode(text.strip(), validate=True).decode().partition(":")
    except (binascii.Error, ValueError):
        raise UnknownClient() from None
    named = unquote_plus(id)
    if kind.lower() != "basic" or not colon or not named.isprintable():
        raise UnknownClient()
    return named, unquote_plus(secret)


async def _signed(database: Database, app: App, form: Mapping[str, str], door: Door, now: datetime) -> None:
    """Raises UnknownClient unless the assertion is by a key of the app, for us, and was not used before."""
    text = form["client_assertion"]
    if form.get("client_assertion_type") != assertions.TYPE or app.kind != "key":
        raise UnknownClient()
    header = assertions.header_of(text)
    if "jku" in header and header["jku"] != app.jwks_url:
        raise UnknownClient("jku is not the registered address")
    key = await _key(app, header, door)
    if key is None:
        raise UnknownClient("The app has no key with this kid for this algorithm")
    proof = assertions.proven(text, key, app.id, door.audience, now)
    async with database.connection() as conn:
        await conn.execute("DELETE FROM app_assertion WHERE app = %s AND expires <= %s", (app.id, now))
        cursor = await conn.execute(
            "INSERT INTO app_assertion (app, jti, expires) VALUES (%s, %s, %s) ON CONFLICT DO NOTHING",
            (app.id, proof.jti, proof.expires),
        )
    if cursor.rowcount != 1:
        raise UnknownClient("This client assertion was used before")


async def _key(app: App, header: dict[str, str], door: Door) -> Key | None:
    if app.jwks:
        return assertions.chosen(assertions.keys_of(app.jwks.encode()), header)
    found = assertions.chosen(await door.keys(app.jwks_url, False), header)
    return found or assertions.chosen(await door.keys(app.jwks_url, True), header)
