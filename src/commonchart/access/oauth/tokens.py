"""The token endpoint: codes, refresh tokens and client credentials into access tokens; introspection and revocation.

A code or refresh token that comes twice was stolen from somebody: everything that was given for it ends (RFC 9700, 4.14.2).
"""

from __future__ import annotations

import base64
import hmac
import re
from collections.abc import Mapping
from datetime import datetime, timedelta
from hashlib import sha256
from typing import TYPE_CHECKING, Any

from msgspec import Struct

from commonchart.access import audit, credentials, policy, scopes
from commonchart.access.actors import FOR_A_PATIENT, Actor
from commonchart.access.oauth import grants
from commonchart.access.oauth.apps import App, service_user
from commonchart.access.oauth.denied import Denied
from commonchart.access.oauth.grants import Grant
from commonchart.access.oauth.id_tokens import Signer
from commonchart.access.oauth.launches import read_context
from commonchart.access.people import sessions

if TYPE_CHECKING:
    from commonchart.record.database import Connection, Database

ACCESS = timedelta(hours=1)
SERVICE = timedelta(minutes=5)
KINDS = ("token", "refresh")
_VERIFIER = re.compile(r"[A-Za-z0-9._~-]{43,128}")


class Place(Struct, frozen=True):
    """Where this server is: the addresses of the FHIR API and of the style sheet, and who signs id tokens (None: nobody)."""

    fhir: str
    style: str
    signer: Signer | None


class _Stolen(Denied):
    """A code or token that was used before."""

    def __init__(self, grant: str, why: str) -> None:
        self.grant, self.why = grant, why
        super().__init__("invalid_grant", "It is good once, for who asked for it: everything that was given for it has ended")  # fmt: skip


async def answer(
    database: Database, app: App, form: Mapping[str, str], place: Place, now: datetime
) -> dict[str, Any]:
    """The answer of the token endpoint to a client that proved who it is. Raises Denied."""
    kinds = {"authorization_code": _by_code, "refresh_token": _by_refresh, "client_credentials": _by_itself}
    given = form.get("grant_type", "")
    if given not in kinds:
        raise Denied(
            "unsupported_grant_type" if given else "invalid_request", f"grant_type is one of {', '.join(kinds)}"
        )  # fmt: skip
    try:
        async with database.connection() as conn:
            return await kinds[given](conn, app, form, place, now)
    except _Stolen as theft:
        async with database.connection() as conn:
            await grants.revoke(conn, theft.grant, theft.why, now)
            await audit.note(
                conn, _program(app), now, "token", outcome=audit.SERIOUS, id=app.id, detail=theft.why
            )
        raise


def _needed(form: Mapping[str, str], name: str) -> str:
    """A parameter without which nothing is asked. Raises Denied (RFC 6749, section 5.2)."""
    if not form.get(name):
        raise Denied("invalid_request", f"{name} is missing")
    return form[name]


# ---- by a code -------------------------------------------------------------------------------------------------


async def _by_code(
    conn: Connection, app: App, form: Mapping[str, str], place: Place, now: datetime
) -> dict[str, Any]:
    key = credentials.digest(_needed(form, "code"))
    cursor = await conn.execute(
        "SELECT app_grant, app, redirect_uri, challenge, expires, used FROM app_code WHERE sha256 = %s FOR UPDATE",
        (key,),
    )
    row = await cursor.fetchone()
    if row is None:
        raise Denied("invalid_grant", "The code is unknown or expired")
    id, owner, uri, challenge, expires, used = row
    if used is not None or owner != app.id:
        raise _Stolen(id, "its code came a second time, or from another app")
    if not _fits(form.get("code_verifier", ""), challenge) or form.get("redirect_uri", "") != uri:
        raise _Stolen(id, "its code came with the wrong verifier or address")
    grant = await grants.find(conn, id, lock=True)
    if grant is None or expires <= now:
        raise Denied("invalid_grant", "The code is unknown or expired")
    await conn.execute("UPDATE app_code SET used = %s WHERE sha256 = %s", (now, key))
    return await _given(conn, app, grant, grant.texts, place, now, first=True)


def _fits(verifier: str, challenge: str) -> bool:
    if not _VERIFIER.fullmatch(verifier):
        return False
    made = base64.urlsafe_b64encode(sha256(verifier.encode()).digest()).rstrip(b"=")
    return hmac.compare_digest(made, challenge.encode())


async def _given(
    conn: Connection,
    app: App,
    grant: Grant,
    texts: tuple[str, ...],
    place: Place,
    now: datetime,
    *,
    first: bool = False,
) -> dict[str, Any]:
    """An access token, what goes with it, and an audit row."""
    lives = min(ACCESS, grant.expires - now)
    actor = await _person(conn, grant, app)
    token = await credentials.keep(
        conn, grant.actor, now, kind="token", client=_client(app), lives=lives, scopes=" ".join(texts), app_grant=grant.id
    )  # fmt: skip
    await conn.execute("UPDATE app_grant SET used = %s WHERE id = %s", (now, grant.id))
    out: dict[str, Any] = {
        "access_token": token, "token_type": "Bearer", "expires_in": int(lives.total_seconds()), "scope": " ".join(texts),
    }  # fmt: skip
    if set(scopes.LASTING) & set(grant.texts):
        out["refresh_token"] = await credentials.keep(
            conn, grant.actor, now, kind="refresh", client=_client(app), lives=grant.expires - now,
            scopes=grant.scopes, app_grant=grant.id,
        )  # fmt: skip
    if "openid" in texts and place.signer is not None:
        nonce = {"nonce": grant.nonce} if first and grant.nonce else {}
        out["id_token"] = place.signer.signed(_identity(actor, texts, place) | nonce, app.id, now)
    who = [grant.patient] if grant.patient else []
    await audit.note(conn, actor, now, "token", id=app.id, patients=who, detail=" ".join(texts)[:1000])
    return out | _context(grant, place, actor.tenant)


def _context(grant: Grant, place: Place, tenant: int) -> dict[str, Any]:
    """The launch context, as the token response and introspection tell it."""
    if grant.patient is None:
        return {}
    kept = read_context(grant.context)
    out: dict[str, Any] = {
        "patient": grant.patient, "need_patient_banner": kept.need_patient_banner, "smart_style_url": place.style,
        "tenant": str(tenant),
    }  # fmt: skip
    if grant.encounter:
        out["encounter"] = grant.encounter
    if kept.fhir_context:
        out["fhirContext"] = list(kept.fhir_context)
    if kept.intent:
        out["intent"] = kept.intent
    return out


def _identity(actor: Actor, texts: tuple[str, ...], place: Place) -> dict[str, Any]:
    """Who signed in: `sub` never changes; `fhirUser` is the address of the resource that they are, if they have one.

    Beside it `organization`, the address of the one that they act for: a claim of ours, since one Practitioner may act for
    several.
    """
    out: dict[str, Any] = {"sub": actor.user}
    own = policy.own_resource(actor)
    if own is not None and {"fhirUser", "profile"} & set(texts):
        out["fhirUser"] = f"{place.fhir}/{own[0]}/{own[1]}"
    if actor.org and actor.role not in FOR_A_PATIENT and {"fhirUser", "profile"} & set(texts):
        out["organization"] = f"{place.fhir}/Organization/{actor.org}"
    if "profile" in texts:
        out["name"] = actor.name
    return out


async def _person(conn: Connection, grant: Grant, app: App) -> Actor:
    row = await (
        await conn.execute(
            "SELECT u.tenant, u.id, u.name, m.role, m.org, u.patient, u.practitioner FROM app_user u "
            "JOIN membership m ON m.actor = u.id WHERE u.id = %s AND m.id = %s", (grant.actor, grant.membership)
        )
    ).fetchone()  # fmt: skip
    assert row is not None
    tenant, id, name, role, org, patient, practitioner = row
    return Actor(
        tenant, id, name, role, org, _client(app), patient=patient, practitioner=practitioner,
        scopes=frozenset(grant.texts), app=grant.id, context=grant.patient, membership=grant.membership,
    )  # fmt: skip


def _client(app: App) -> str:
    return f"app:{app.id}"


def _program(app: App) -> Actor:
    return Actor(app.tenant, _client(app), app.name, "system", "", _client(app))


# ---- by a refresh token ------------------------------------------------------------------------------------------


async def _by_refresh(
    conn: Connection, app: App, form: Mapping[str, str], place: Place, now: datetime
) -> dict[str, Any]:
    key = credentials.digest(_needed(form, "refresh_token"))
    cursor = await conn.execute(
        "SELECT c.app_grant, g.app, c.expires, c.revoked FROM credential c JOIN app_grant g ON g.id = c.app_grant "
        "WHERE c.sha256 = %s AND c.kind = 'refresh' FOR UPDATE OF c",
        (key,),
    )
    row = await cursor.fetchone()
    if row is None or row[1] != app.id:
        raise Denied("invalid_grant", "The refresh token is unknown, expired or revoked")
    grant = await grants.find(conn, row[0], lock=True)
    if row[3] is not None and grant is not None:
        raise _Stolen(row[0], "a refresh token of it came a second time")
    if grant is None or min(row[2], grant.expires) <= now or not await _still_there(conn, grant, now):
        raise Denied("invalid_grant", "The refresh token is unknown, expired or revoked")
    texts = scopes.split(form["scope"]) if form.get("scope") else grant.texts
    if not texts or not scopes.within(texts, grant.texts):
        raise Denied("invalid_scope", "A refresh gives what was given before, or less")
    await conn.execute("UPDATE credential SET revoked = %s WHERE sha256 = %s", (now, key))
    return await _given(conn, app, grant, texts, place, now)


async def _still_there(conn: Connection, grant: Grant, now: datetime) -> bool:
    """Whether the session lives that an online grant ends with."""
    if grant.session is None:
        return True
    cursor = await conn.execute(
        "SELECT 1 FROM credential WHERE sha256 = %s AND revoked IS NULL AND expires > %s AND created > %s",
        (grant.session, now, now - sessions.ABSOLUTE),
    )
    return await cursor.fetchone() is not None


# ---- by itself -----------------------------------------------------------------------------------------------------


async def _by_itself(
    conn: Connection, app: App, form: Mapping[str, str], place: Place, now: datetime
) -> dict[str, Any]:
    if app.audience != "backend" or app.kind != "key":
        raise Denied("unauthorized_client", "Only a backend service gets a token by itself")
    asked = scopes.split(form.get("scope", ""))
    texts = scopes.narrow(asked, app.registered)
    if not scopes.resources(texts) or any(one.context != "system" for one in scopes.resources(asked)):
        raise Denied(
            "invalid_scope", "Ask for scopes that begin with system/ and are registered for the service"
        )
    grant = await grants.of_service(conn, app, now)
    token = await credentials.keep(
        conn, service_user(app.id), now, kind="token", client=_client(app), lives=SERVICE, scopes=" ".join(texts),
        app_grant=grant,
    )  # fmt: skip
    await audit.note(conn, _program(app), now, "token", id=app.id, detail=" ".join(texts)[:1000])
    return {
        "access_token": token, "token_type": "Bearer", "expires_in": int(SERVICE.total_seconds()), "scope": " ".join(texts),
    }  # fmt: skip


# ---- introspection and revocation ----------------------------------------------------------------------------------


async def introspect(
    database: Database, app: App, form: Mapping[str, str], place: Place, now: datetime
) -> dict[str, Any]:
    """What a token of this very app stands for (RFC 7662); of anything else only that it is not active. Raises Denied."""
    token = _needed(form, "token")
    async with database.single() as conn:
        cursor = await conn.execute(
            "SELECT c.app_grant, c.scopes, c.created, c.expires FROM credential c WHERE c.sha256 = %s AND c.kind = ANY(%s) "
            "AND c.client = %s AND c.revoked IS NULL AND c.expires > %s",
            (credentials.digest(token), list(KINDS), _client(app), now),
        )
        row = await cursor.fetchone()
        grant = await grants.find(conn, row[0]) if row else None
        if row is None or grant is None or not await _still_there(conn, grant, now):
            return {"active": False}
        actor = await _person(conn, grant, app)
    out = {
        "active": True, "scope": row[1], "client_id": app.id, "token_type": "Bearer",
        "iat": int(row[2].timestamp()), "exp": int(row[3].timestamp()),
    }  # fmt: skip
    if "openid" in grant.texts and place.signer is not None:
        out |= {"iss": place.signer.issuer} | _identity(actor, grant.texts, place)
    return out | _context(grant, place, actor.tenant)


async def revoke(database: Database, app: App, form: Mapping[str, str], now: datetime) -> None:
    """End a token of this app (RFC 7009), a refresh token with everything that was given; others are left alone. Raises Denied."""
    key = credentials.digest(_needed(form, "token"))
    async with database.connection() as conn:
        cursor = await conn.execute(
            "UPDATE credential SET revoked = %s WHERE sha256 = %s AND client = %s AND kind = ANY(%s) AND revoked IS NULL "
            "RETURNING kind, app_grant",
            (now, key, _client(app), list(KINDS)),
        )
        row = await cursor.fetchone()
        if row is None:
            return
        await credentials.tell(conn)
        if row[0] == "refresh":
            await grants.revoke(conn, row[1], "revoked by the app", now)
        await audit.note(conn, _program(app), now, "revoke-token", id=app.id, detail=row[0])
    credentials.forget()
