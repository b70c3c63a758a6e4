"""Passkeys (WebAuthn level 2): made, and asked for a signature, as second factor or instead of a password.

A challenge is random, names what it is for, runs out after five minutes, and carries our own mark instead of a row, so that
asking for one writes nothing; one that was answered is remembered until then and never counts twice.
"""

from __future__ import annotations

import hmac
import secrets
from datetime import datetime, timedelta
from typing import TYPE_CHECKING, Any
from uuid import uuid4

import msgspec
import webauthn
from msgspec import Struct
from webauthn.helpers import base64url_to_bytes, options_to_json
from webauthn.helpers.exceptions import WebAuthnException
from webauthn.helpers.structs import (
    AuthenticatorSelectionCriteria,
    PublicKeyCredentialDescriptor,
    ResidentKeyRequirement,
    UserVerificationRequirement,
)

from commonchart.access import audit
from commonchart.access.people import cipher, factors, notices
from commonchart.fhir.outcome import Invalid, Unauthenticated

if TYPE_CHECKING:
    from commonchart.access.actors import Actor
    from commonchart.record.database import Connection, Database

LIVES = timedelta(minutes=5)
WRONG = "The passkey was not accepted"
MAKE, ASK = "passkey make", "passkey ask"


class Site(Struct, frozen=True):
    """Where the browser believes it is: the host a passkey is bound to, and the whole origin."""

    host: str
    origin: str


def challenge(secret: bytes, use: str, now: datetime) -> bytes:
    """16 random bytes, the second it runs out, and our mark over both and the use."""
    body = secrets.token_bytes(16) + int((now + LIVES).timestamp()).to_bytes(8, "big")
    return body + cipher.keyed(secret, body.hex(), use)


def _ours(secret: bytes, sent: bytes, use: str, now: datetime) -> bool:
    body, mark = sent[:24], sent[24:]
    right = hmac.compare_digest(mark, cipher.keyed(secret, body.hex(), use))
    return right and int.from_bytes(body[16:], "big") > now.timestamp()


async def to_make(
    database: Database, secret: bytes, actor: Actor, login: str, now: datetime, site: Site
) -> str:
    """What the browser is asked for to make a passkey, as JSON; those that are there already are named, to be left out."""
    async with database.single() as conn:
        there = await _known(conn, actor.user)
    options = webauthn.generate_registration_options(
        rp_id=site.host, rp_name="Commonchart", user_name=login, user_id=actor.user.encode()[:64],
        user_display_name=actor.name, challenge=challenge(secret, f"{MAKE} {actor.user}", now),
        exclude_credentials=[PublicKeyCredentialDescriptor(id=id) for id in there],
        authenticator_selection=AuthenticatorSelectionCriteria(
            resident_key=ResidentKeyRequirement.REQUIRED, user_verification=UserVerificationRequirement.REQUIRED
        ),
    )  # fmt: skip
    return options_to_json(options)


async def _known(conn: Connection, user: str) -> list[bytes]:
    cursor = await conn.execute(
        "SELECT credential FROM factor WHERE actor = %s AND kind = 'passkey' AND ended IS NULL", (user,)
    )
    return [bytes(row[0]) for row in await cursor.fetchall()]


async def keep(
    conn: Connection, secret: bytes, actor: Actor, answer: str, label: str, now: datetime, site: Site
) -> None:
    """Keep the passkey that the browser made. Raises Invalid."""
    use = f"{MAKE} {actor.user}"
    try:
        sent = _challenge_of(answer)
        if not _ours(secret, sent, use, now) or not await _first(conn, sent, now):
            raise Invalid("The passkey took too long: try again")
        made = webauthn.verify_registration_response(
            credential=answer, expected_challenge=sent, expected_rp_id=site.host, expected_origin=site.origin,
            require_user_verification=True,
        )  # fmt: skip
    except (WebAuthnException, msgspec.DecodeError, KeyError, TypeError, ValueError):
        raise Invalid(WRONG) from None
    await conn.execute(
        "INSERT INTO factor (id, tenant, actor, kind, label, secret, credential, counter, created, confirmed) "
        "VALUES (%s, %s, %s, 'passkey', %s, %s, %s, %s, %s, %s)",
        (uuid4().hex, actor.tenant, actor.user, label.strip()[:60] or "Passkey", made.credential_public_key,
         made.credential_id, made.sign_count, now, now),
    )  # fmt: skip
    await audit.note(conn, actor, now, "factor-added", detail="passkey")
    await notices.note(conn, actor.user, "factor-added", now)


async def add(
    database: Database, secret: bytes, actor: Actor, answer: str, label: str, now: datetime, site: Site
) -> list[str]:
    """Keep a passkey; new recovery codes, to be shown this once, where there are none yet. Raises Invalid."""
    async with database.connection() as conn:
        await keep(conn, secret, actor, answer, label, now, site)
        _, left = await factors.listed(conn, actor.user)
        return [] if left else await factors.renew(conn, secret, actor, now)


async def to_ask(database: Database, secret: bytes, user: str, now: datetime, site: Site) -> str:
    """What the browser is asked to sign, as JSON: by a passkey of this user, or of anybody ("")."""
    there: list[bytes] = []
    if user:
        async with database.single() as conn:
            there = await _known(conn, user)
    return options_to_json(
        webauthn.generate_authentication_options(
            rp_id=site.host,
            challenge=challenge(secret, ASK, now),
            user_verification=UserVerificationRequirement.REQUIRED,
            allow_credentials=[PublicKeyCredentialDescriptor(id=id) for id in there],
        )
    )


async def verify(conn: Connection, secret: bytes, answer: str, now: datetime, site: Site) -> str:
    """Whose passkey answered, as user id. Raises Unauthenticated, in the same words for every reason."""
    try:
        sent, id = _challenge_of(answer), base64url_to_bytes(msgspec.json.decode(answer)["rawId"])
        row = await _of(conn, id)
        if row is None or not _ours(secret, sent, ASK, now) or not await _first(conn, sent, now):
            raise Unauthenticated(WRONG)
        said = webauthn.verify_authentication_response(
            credential=answer, expected_challenge=sent, expected_rp_id=site.host, expected_origin=site.origin,
            credential_public_key=bytes(row[1]), credential_current_sign_count=row[2], require_user_verification=True,
        )  # fmt: skip
    except (WebAuthnException, msgspec.DecodeError, KeyError, TypeError, ValueError):
        raise Unauthenticated(WRONG) from None
    await conn.execute(
        "UPDATE factor SET counter = %s, used = %s WHERE credential = %s AND ended IS NULL",
        (said.new_sign_count, now, id),
    )
    return str(row[0])


async def _of(conn: Connection, id: bytes) -> tuple[Any, ...] | None:
    cursor = await conn.execute(
        "SELECT actor, secret, counter FROM factor WHERE credential = %s AND ended IS NULL FOR UPDATE", (id,)
    )
    return await cursor.fetchone()


def _challenge_of(answer: str) -> bytes:
    said = msgspec.json.decode(base64url_to_bytes(msgspec.json.decode(answer)["response"]["clientDataJSON"]))
    return base64url_to_bytes(said["challenge"])


async def _first(conn: Connection, sent: bytes, now: datetime) -> bool:
    """Whether this challenge is answered for the first time."""
    await conn.execute("DELETE FROM passkey_answer WHERE until < %s", (now,))
    cursor = await conn.execute(
        "INSERT INTO passkey_answer (challenge, until) VALUES (%s, %s) ON CONFLICT DO NOTHING",
        (sent, now + LIVES),
    )
    return cursor.rowcount == 1
