"""Apps in tests: registered, approved, allowed by a person, and the forms they send."""

from __future__ import annotations

import base64
import json
import secrets
from hashlib import sha256
from typing import Any

import httpx
from joserfc import jwt
from joserfc.jwk import ECKey, RSAKey

from commonchart.access import credentials, users
from commonchart.access.actors import Actor
from commonchart.access.oauth import apps, asked, grants, id_tokens
from commonchart.access.oauth.apps import App, NewApp
from commonchart.access.oauth.assertions import TYPE
from commonchart.record.database import Database
from tests.conftest import Clock

BASE = "http://test/fhir"
CALLBACK = "http://127.0.0.1:9999/callback"
ROOT = Actor(1, "root", "Root", "administrator", "alder", "web")
TOKEN_KEY = id_tokens.new_key()
VERIFIER = "v" * 50
CHALLENGE = base64.urlsafe_b64encode(sha256(VERIFIER.encode()).digest()).decode().rstrip("=")


async def an_app(database: Database, clock: Clock, **more: Any) -> tuple[App, str]:
    """An approved app and its secret."""
    fields = {"name": "Growth", "redirect_uris": (CALLBACK,), "scopes": "openid fhirUser launch launch/patient offline_access online_access patient/*.cruds user/*.cruds"}  # fmt: skip
    app, secret = await apps.register(database, ROOT, NewApp(**(fields | more)), clock())
    return await apps.decide(database, ROOT, app.id, "approved", clock()), secret


async def a_backend(
    database: Database, clock: Clock, key: Any, scopes: str = "system/*.rs", **more: Any
) -> App:
    """An approved backend service with this key (or `jwks_url`)."""
    keys = {} if "jwks_url" in more else {"jwks": public(key)}
    app, _ = await an_app(
        database, clock, kind="key", audience="backend", redirect_uris=(), scopes=scopes, **keys, **more
    )
    return app


def rsa_key(kid: str = "k1", bits: int = 2048) -> RSAKey:
    return RSAKey.generate_key(bits, {"kid": kid, "use": "sig", "alg": "RS384"})


def ec_key(kid: str = "e1") -> ECKey:
    return ECKey.generate_key("P-384", {"kid": kid, "use": "sig", "alg": "ES384"})


def public(*keys: Any) -> str:
    return json.dumps({"keys": [key.as_dict(private=False) for key in keys]})


def assertion(
    app: str, key: Any, clock: Clock, header: dict[str, Any] | None = None, alg: str = "", **claims: Any
) -> str:
    """A client assertion; claims given as None are left out."""
    alg = alg or ("ES384" if isinstance(key, ECKey) else "RS384")
    now = int(clock().timestamp())
    made = {"iss": app, "sub": app, "aud": "http://test/oauth/token", "exp": now + 200, "jti": secrets.token_hex(8)} | claims  # fmt: skip
    head = {"alg": alg, "kid": key.kid, "typ": "JWT"} | (header or {})
    return jwt.encode(
        {k: v for k, v in head.items() if v is not None},
        {k: v for k, v in made.items() if v is not None},
        key,
        algorithms=[alg],
        default_type=None,
    )


def signed(text: str, **more: str) -> dict[str, str]:
    """A form that proves a client by an assertion."""
    return {"client_assertion_type": TYPE, "client_assertion": text, **more}


def basic(id: str, secret: str) -> dict[str, str]:
    return {"authorization": "Basic " + base64.b64encode(f"{id}:{secret}".encode()).decode()}


async def a_person(database: Database, clock: Clock, role: str = "clinician", **more: Any) -> Actor:
    login = f"{role}-{secrets.token_hex(4)}"
    user = await users.create(
        database, tenant=1, login=login, name=role.title(), role=role, org="alder", now=clock(), **more
    )
    return users.actor(user, "web")


async def a_code(
    database: Database,
    clock: Clock,
    app: App,
    actor: Actor,
    scope: str,
    patient: str | None = None,
    unticked: tuple[str, ...] = (),
    session: str = "",
    **params: str,
) -> str:
    """What the person's browser brings to the app after they allowed it."""
    given = {
        "response_type": "code", "client_id": app.id, "redirect_uri": CALLBACK, "scope": scope, "state": "s", "aud": BASE,
        "code_challenge": CHALLENGE, "code_challenge_method": "S256", "nonce": "n",
    } | params  # fmt: skip
    request = await asked.read(database, given, False, BASE, clock())
    ticked = [text for text in request.scopes if text not in unticked]
    return await grants.allow(database, actor, request, ticked, patient, session, clock())


def code_form(app: App, code: str, **more: str) -> dict[str, str]:
    return {
        "grant_type": "authorization_code", "code": code, "redirect_uri": CALLBACK, "code_verifier": VERIFIER,
        "client_id": app.id,
    } | more  # fmt: skip


async def a_token(
    client: httpx.AsyncClient,
    database: Database,
    clock: Clock,
    app: App,
    actor: Actor,
    scope: str,
    patient: str | None = None,
    **more: Any,
) -> dict[str, Any]:
    """The token response to a public app."""
    code = await a_code(database, clock, app, actor, scope, patient, **more)
    answer = await client.post("/oauth/token", data=code_form(app, code))
    assert answer.status_code == 200, answer.text
    return dict(answer.json())


def bearer(token: str | dict[str, Any]) -> dict[str, str]:
    return {"authorization": f"Bearer {token if isinstance(token, str) else token['access_token']}"}


def forget() -> None:
    """As if five seconds had passed in every process."""
    credentials.forget()
