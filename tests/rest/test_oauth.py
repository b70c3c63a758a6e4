"""The OAuth 2 server: discovery, codes, refresh, id tokens, introspection, revocation (SMART App Launch 2.2; hostile G5-G9)."""

from __future__ import annotations

import base64
import json
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any
from urllib.parse import quote

import httpx
import pytest
from joserfc import jwt
from joserfc.jwk import KeySet
from starlette.applications import Starlette

from commonchart import app as wiring
from commonchart.access import credentials, signin, users
from commonchart.access.oauth import apps, asked, grants
from commonchart.access.oauth.apps import NewApp
from commonchart.access.oauth.denied import Denied
from commonchart.exchange.egress import Reply
from commonchart.fhir.outcome import Forbidden, Invalid, NotFound
from commonchart.record.database import Database
from commonchart.settings import Settings
from tests.conftest import Clock
from tests.exchange.test_jwks import Fake
from tests.hostile.test_search_sees_nothing_more import put
from tests.rest.conftest import Client, ClientOf, observation, patient
from tests.smart import (
    BASE,
    CALLBACK,
    CHALLENGE,
    ROOT,
    TOKEN_KEY,
    a_backend,
    a_code,
    a_person,
    a_token,
    an_app,
    assertion,
    basic,
    bearer,
    code_form,
    ec_key,
    forget,
    public,
    rsa_key,
    signed,
)

ALL = "openid fhirUser launch/patient offline_access patient/*.rs"


@pytest.fixture
def application(database: Database, clock: Clock, tmp_path: Path) -> Starlette:
    settings = Settings(tmp_path, secret=b"s" * 32, token_keys=(TOKEN_KEY,))
    return wiring.build(settings, database, clock)


@pytest.fixture
async def client(application: Starlette) -> AsyncIterator[Client]:
    """Anybody: what they may do, their requests say."""
    async with Client(transport=httpx.ASGITransport(application), base_url="http://test") as made:
        yield made


@pytest.fixture
async def ada(client_of: ClientOf) -> str:
    await put(
        await client_of("administrator"),
        patient(id="ada"),
        patient(id="bea"),
        observation("ada", id="a1"),
        observation("bea", id="b1"),
    )
    return "ada"


async def test_discovery_is_open_to_any_page(client: Client) -> None:
    for path in (
        "/fhir/.well-known/smart-configuration",
        "/.well-known/openid-configuration",
        "/oauth/jwks.json",
    ):
        answer = await client.get(path, headers={"origin": "https://app.example"})
        assert answer.status_code == 200
        assert answer.headers["content-type"].startswith("application/json")
        assert answer.headers["access-control-allow-origin"] == "*"
    said = (await client.get("/fhir/.well-known/smart-configuration")).json()
    assert said["code_challenge_methods_supported"] == ["S256"]
    assert {"authorization_code", "client_credentials"} <= set(said["grant_types_supported"])
    assert {"launch-ehr", "launch-standalone", "sso-openid-connect", "permission-v2"} <= set(
        said["capabilities"]
    )
    assert said["issuer"] == (await client.get("/.well-known/openid-configuration")).json()["issuer"]
    keys = (await client.get("/oauth/jwks.json")).json()["keys"]
    assert [set(key) for key in keys] == [{"kty", "kid", "use", "alg", "n", "e"}]
    security = (await client.get("/fhir/metadata")).json()["rest"][0]["security"]
    assert security["service"][0]["coding"][0]["code"] == "SMART-on-FHIR"
    preflight = await client.options("/oauth/token", headers={"origin": "https://app.example"})
    assert preflight.headers["access-control-allow-origin"] == "*"


async def test_a_code_gives_tokens_once_and_a_second_time_ends_them(
    client: Client, database: Database, clock: Clock, ada: str
) -> None:
    app, _ = await an_app(database, clock)
    who = await a_person(database, clock, practitioner="sage")
    code = await a_code(database, clock, app, who, ALL, ada)
    answer = await client.post("/oauth/token", data=code_form(app, code))
    said = answer.json()
    assert answer.headers["cache-control"] == "no-store"
    assert answer.headers["pragma"] == "no-cache"
    assert answer.headers["access-control-allow-origin"] == "*"
    assert (said["token_type"], said["expires_in"], said["patient"], said["need_patient_banner"]) == ("Bearer", 3600, "ada", True)  # fmt: skip
    assert said["scope"] == ALL
    assert (await client.get(said["smart_style_url"])).json()["color_text"]
    keys = KeySet.import_key_set((await client.get("/oauth/jwks.json")).json())
    token = jwt.decode(said["id_token"], keys, algorithms=["RS256"])
    assert token.header["kid"] == TOKEN_KEY["kid"]
    claims = token.claims
    assert (claims["iss"], claims["aud"], claims["nonce"]) == ("http://test", app.id, "n")
    assert claims["sub"] == who.user
    assert claims["fhirUser"] == f"{BASE}/Practitioner/sage"
    assert claims["organization"] == f"{BASE}/Organization/alder"
    assert (await client.get("/fhir/Observation/a1", headers=bearer(said))).status_code == 200
    again = await client.post("/oauth/token", data=code_form(app, code))
    assert (again.status_code, again.json()["error"]) == (400, "invalid_grant")
    forget()
    assert (await client.get("/fhir/Observation/a1", headers=bearer(said))).status_code == 401
    refresh = {"grant_type": "refresh_token", "refresh_token": said["refresh_token"], "client_id": app.id}
    assert (await client.post("/oauth/token", data=refresh)).json()["error"] == "invalid_grant"


WRONG = [
    {"code_verifier": ""}, {"code_verifier": "w" * 50}, {"code_verifier": "v" * 42}, {"code_verifier": CHALLENGE}, {"redirect_uri": "http://127.0.0.1:9999/callback/"},
    {"redirect_uri": ""}, {"code": "x"},
]  # fmt: skip


async def test_a_code_is_bound_to_its_verifier_and_address(
    client: Client, database: Database, clock: Clock, ada: str
) -> None:
    """G5."""
    app, _ = await an_app(database, clock)
    who = await a_person(database, clock)
    for wrong in WRONG:
        code = await a_code(database, clock, app, who, ALL, ada)
        answer = await client.post("/oauth/token", data=code_form(app, code) | wrong)
        assert (answer.status_code, answer.json()["error"]) == (400, "invalid_grant")
        if "code" not in wrong:
            again = await client.post("/oauth/token", data=code_form(app, code))
            assert again.json()["error"] == "invalid_grant"
    other = await a_code(database, clock, app, who, ALL, ada, code_challenge="x" * 43)
    assert (await client.post("/oauth/token", data=code_form(app, other))).json()["error"] == "invalid_grant"


async def test_a_code_is_bound_to_its_app_and_lives_a_minute(
    client: Client, database: Database, clock: Clock, ada: str
) -> None:
    app, _ = await an_app(database, clock)
    other, _ = await an_app(database, clock, name="Other")
    who = await a_person(database, clock)
    stolen = await a_code(database, clock, app, who, ALL, ada)
    assert (await client.post("/oauth/token", data=code_form(other, stolen))).json()[
        "error"
    ] == "invalid_grant"
    assert (await client.post("/oauth/token", data=code_form(app, stolen))).json()["error"] == "invalid_grant"
    late = await a_code(database, clock, app, who, ALL, ada)
    clock.advance(seconds=60)
    assert (await client.post("/oauth/token", data=code_form(app, late))).json()["error"] == "invalid_grant"


BAD = [
    ({"code_challenge": ""}, "invalid_request"), ({"code_challenge_method": "plain"}, "invalid_request"), ({"code_challenge_method": ""}, "invalid_request"),
    ({"code_challenge": "short"}, "invalid_request"), ({"aud": "https://evil.example/fhir"}, "invalid_request"), ({"aud": ""}, "invalid_request"),
    ({"response_type": "token"}, "unsupported_response_type"), ({"scope": "patient/Nothing.rs x"}, "invalid_scope"), ({"launch": "made-up"}, "invalid_request"),
    ({"scope": "launch patient/*.rs"}, "invalid_request"),
]  # fmt: skip


async def test_a_bad_request_is_told_to_the_app_at_its_own_address(database: Database, clock: Clock) -> None:
    app, _ = await an_app(database, clock)
    given = {
        "response_type": "code", "client_id": app.id, "redirect_uri": CALLBACK, "scope": ALL, "state": "s", "aud": BASE,
        "code_challenge": CHALLENGE, "code_challenge_method": "S256",
    }  # fmt: skip
    for wrong, error in BAD:
        with pytest.raises(asked.Turned) as told:
            await asked.read(database, given | wrong, False, BASE, clock())
        assert told.value.error == error
        assert told.value.address.startswith(f"{CALLBACK}?error={error}&")
        assert told.value.address.endswith("&state=s")
    with pytest.raises(asked.Turned):
        await asked.read(database, given, True, BASE, clock())


ELSEWHERE = [{"client_id": "nobody"}, {"client_id": ""}, {"redirect_uri": ""}, {"redirect_uri": CALLBACK + "/x"}, {"redirect_uri": CALLBACK + "?x=1"},
     {"redirect_uri": CALLBACK.upper()}, {"redirect_uri": "https://evil.example"}, {"redirect_uri": "javascript:alert(1)"}]  # fmt: skip


async def test_nothing_is_sent_to_an_address_that_is_not_the_apps(database: Database, clock: Clock) -> None:
    """G15: the person is told, the address never hears of it."""
    app, _ = await an_app(database, clock)
    for wrong in ELSEWHERE:
        with pytest.raises(asked.NotTheirs):
            await asked.read(
                database, {"client_id": app.id, "redirect_uri": CALLBACK} | wrong, False, BASE, clock()
            )


async def test_an_app_that_is_not_approved_is_not_known(
    client: Client, database: Database, clock: Clock
) -> None:
    app, secret = await apps.register(
        database,
        ROOT,
        NewApp(name="W", kind="secret", redirect_uris=(CALLBACK,), scopes="patient/*.rs"),
        clock(),
    )
    with pytest.raises(asked.NotTheirs):
        await asked.read(database, {"client_id": app.id, "redirect_uri": CALLBACK}, False, BASE, clock())
    answer = await client.post("/oauth/introspect", data={"token": "x"}, headers=basic(app.id, secret))
    assert (answer.status_code, answer.json()["error"]) == (401, "invalid_client")


async def refreshed(client: Client, app: Any, token: dict[str, Any], **more: str) -> Any:
    form = {
        "grant_type": "refresh_token",
        "refresh_token": token["refresh_token"],
        "client_id": app.id,
    } | more
    return await client.post("/oauth/token", data=form)


async def test_refresh_tokens_rotate_and_an_old_one_ends_the_family(
    client: Client, database: Database, clock: Clock, ada: str
) -> None:
    """G7."""
    app, _ = await an_app(database, clock)
    first = await a_token(client, database, clock, app, await a_person(database, clock), ALL, ada)
    second = (await refreshed(client, app, first)).json()
    assert second["refresh_token"] != first["refresh_token"]
    assert second["patient"] == "ada"
    unnamed = {"grant_type": "refresh_token", "refresh_token": second["refresh_token"]}
    third = (await client.post("/oauth/token", data=unnamed)).json()
    assert third["patient"] == "ada"
    assert (await client.post("/oauth/token", data=unnamed | {"refresh_token": "x"})).status_code == 401
    assert (await refreshed(client, app, first)).json()["error"] == "invalid_grant"
    assert (await refreshed(client, app, third)).json()["error"] == "invalid_grant"
    forget()
    for token in (first, second):
        assert (await client.get("/fhir/Patient/ada", headers=bearer(token))).status_code == 401


async def test_a_refresh_gives_less_never_more(
    client: Client, database: Database, clock: Clock, ada: str
) -> None:
    """G7."""
    app, _ = await an_app(database, clock)
    who = await a_person(database, clock)
    token = await a_token(
        client, database, clock, app, who, "offline_access launch/patient patient/Observation.rs", ada
    )
    wider = await refreshed(client, app, token, scope="patient/*.rs")
    assert (wider.status_code, wider.json()["error"]) == (400, "invalid_scope")
    for scope in ("user/Observation.rs", "patient/Observation.cruds", "openid"):
        assert (await refreshed(client, app, token, scope=scope)).json()["error"] == "invalid_scope"
    narrower = await refreshed(client, app, token, scope="patient/Observation.r")
    said = narrower.json()
    assert said["scope"] == "patient/Observation.r"
    assert (await client.get("/fhir/Observation/a1", headers=bearer(said))).status_code == 200
    assert (await client.get("/fhir/Observation?patient=ada", headers=bearer(said))).status_code == 403


async def test_offline_access_lives_three_months(
    client: Client, database: Database, clock: Clock, ada: str
) -> None:
    app, _ = await an_app(database, clock)
    token = await a_token(client, database, clock, app, await a_person(database, clock), ALL, ada)
    clock.advance(days=92)
    assert (await refreshed(client, app, token)).status_code == 200


async def test_online_access_ends_with_the_session(
    client: Client, database: Database, clock: Clock, ada: str
) -> None:
    app, _ = await an_app(database, clock)
    await users.create(database, tenant=1, login="sage", name="Sage", role="clinician", org="", now=clock(), password="long enough it is")  # fmt: skip
    session = await signin.sign_in(database, "sage", "long enough it is", clock())
    scope = "online_access launch/patient patient/*.rs"
    token = await a_token(client, database, clock, app, session.actor, scope, ada, session=session.token)
    token = (await refreshed(client, app, token)).json()
    assert (await client.get("/fhir/Patient/ada", headers=bearer(token))).status_code == 200
    await signin.sign_out(database, session.token, clock())
    forget()
    assert (await client.get("/fhir/Patient/ada", headers=bearer(token))).status_code == 401
    assert (await refreshed(client, app, token)).json()["error"] == "invalid_grant"


async def test_without_either_there_is_no_refresh_token(
    client: Client, database: Database, clock: Clock, ada: str
) -> None:
    app, _ = await an_app(database, clock)
    token = await a_token(
        client, database, clock, app, await a_person(database, clock), "launch/patient patient/*.rs", ada
    )
    assert "refresh_token" not in token
    assert "id_token" not in token


@pytest.mark.parametrize("how", ["person", "disable", "leave", "password"])
async def test_what_was_allowed_ends_at_once(
    client: Client, database: Database, clock: Clock, ada: str, how: str
) -> None:
    """G7: by the person, by disabling the app, when the person is shut out or changes the password."""
    app, _ = await an_app(database, clock)
    await users.create(database, tenant=1, login="sage", name="Sage", role="clinician", org="", now=clock())
    who = users.actor(await users.find(database, "sage"), "web")
    token = await a_token(client, database, clock, app, who, ALL, ada)
    assert (await client.get("/fhir/Patient/ada", headers=bearer(token))).status_code == 200
    if how == "person":
        (one,) = await grants.connected(database, who, clock())
        other = await a_person(database, clock)
        with pytest.raises(NotFound):
            await grants.take_back(database, other, one.grant.id, clock())
        await grants.take_back(database, who, one.grant.id, clock())
        assert await grants.connected(database, who, clock()) == []
    elif how == "disable":
        await apps.decide(database, ROOT, app.id, "disabled", clock())
        await apps.decide(database, ROOT, app.id, "approved", clock())
    elif how == "leave":
        await users.set_active(database, "sage", False, clock())
    else:
        await users.set_password(database, "sage", "another long password", clock())
    assert (await client.get("/fhir/Patient/ada", headers=bearer(token))).status_code == 401
    answer = await refreshed(client, app, token)
    assert (answer.status_code, answer.json()["error"]) == (400, "invalid_grant")


async def test_somebody_else_proves_nothing(
    client: Client, database: Database, clock: Clock, ada: str
) -> None:
    app, secret = await an_app(database, clock, kind="secret")
    code = await a_code(database, clock, app, await a_person(database, clock), ALL, ada)
    form = code_form(app, code)
    for headers, more in (
        ({}, {}), (basic(app.id, "wrong"), {}), (basic("nobody", secret), {}), (basic(app.id, ""), {}), ({"authorization": "Basic ???"}, {}),
        ({"authorization": f"Bearer {secret}"}, {}), ({}, {"client_secret": secret}),
    ):  # fmt: skip
        answer = await client.post("/oauth/token", data=form | more, headers=headers)
        assert (answer.status_code, answer.json()["error"]) == (401, "invalid_client")
    form.pop("client_id")
    assert (await client.post("/oauth/token", data=form, headers=basic(app.id, secret))).status_code == 200


@pytest.mark.parametrize("name", ["x\0y", "\ud800", "\n"])
async def test_a_client_whose_name_no_table_holds_is_unknown_and_in_the_trail(
    client: Client, database: Database, name: str
) -> None:
    parts = ({"alg": "RS384", "kid": "k", "typ": "JWT"}, {"iss": name, "sub": name})
    said = [base64.urlsafe_b64encode(json.dumps(one).encode()).decode().rstrip("=") for one in parts]
    form = signed(".".join([*said, "eA"]), grant_type="client_credentials")
    quoted = base64.b64encode(f"{quote(name, errors='surrogatepass')}:x".encode()).decode()
    answers = [
        await client.post("/oauth/token", data=form),
        await client.post(
            "/oauth/token", data={"grant_type": "x"}, headers={"authorization": f"Basic {quoted}"}
        ),
    ]
    assert [(one.status_code, one.json()["error"]) for one in answers] == [(401, "invalid_client")] * 2
    async with database.single() as conn:
        rows = await conn.fetch("SELECT count(*) FROM audit WHERE detail = 'client not proven'", ())
    assert rows[0][0] == 2


async def test_a_secret_is_form_encoded_in_basic(client: Client, database: Database, clock: Clock) -> None:
    app, secret = await an_app(database, clock, kind="secret")
    quoted = "".join(f"%{ord(letter):02X}" for letter in secret)
    answer = await client.post("/oauth/introspect", data={"token": "x"}, headers=basic(app.id, quoted))
    assert answer.json() == {"active": False}
    new = await apps.new_secret(database, ROOT, app.id, clock())
    for text, status in ((secret, 401), (new, 200)):
        answer = await client.post("/oauth/introspect", data={"token": "x"}, headers=basic(app.id, text))
        assert answer.status_code == status


async def test_introspection_and_revocation_are_for_ones_own_tokens(
    client: Client, database: Database, clock: Clock, ada: str
) -> None:
    """G9."""
    app, secret = await an_app(database, clock, kind="secret")
    other, other_secret = await an_app(database, clock, kind="secret")
    who = await a_person(database, clock, practitioner="sage")
    code = await a_code(database, clock, app, who, ALL, ada)
    token = (
        await client.post("/oauth/token", data=code_form(app, code), headers=basic(app.id, secret))
    ).json()

    async def looked(text: str, headers: dict[str, str]) -> Any:
        return await client.post("/oauth/introspect", data={"token": text}, headers=headers)

    own = (await looked(token["access_token"], basic(app.id, secret))).json()
    assert (own["active"], own["client_id"], own["patient"], own["scope"]) == (True, app.id, "ada", ALL)
    assert own["fhirUser"] == f"{BASE}/Practitioner/sage"
    assert own["organization"] == f"{BASE}/Organization/alder"
    assert own["exp"] - own["iat"] == 3600
    for text in (token["access_token"], token["refresh_token"], "random"):
        assert (await looked(text, basic(other.id, other_secret))).json() == {"active": False}
    assert (await looked(token["access_token"], {"authorization": "Basic Og=="})).status_code == 401
    browser, _ = await an_app(database, clock)
    assert (await client.post("/oauth/introspect", data={"token": "x", "client_id": browser.id})).status_code == 401  # fmt: skip
    for headers in (basic(other.id, other_secret), basic(app.id, secret)):
        answer = await client.post("/oauth/revoke", data={"token": token["refresh_token"]}, headers=headers)
        assert answer.status_code == 200
        forget()
        mine = headers == basic(app.id, secret)
        active = (await looked(token["access_token"], basic(app.id, secret))).json()["active"]
        assert active is not mine
        assert (await client.get("/fhir/Patient/ada", headers=bearer(token))).status_code == (
            401 if mine else 200
        )
    expired = await looked(token["access_token"], basic(app.id, secret))
    assert expired.json() == {"active": False}


async def test_a_form_is_read_in_one_way_only(client: Client, database: Database, clock: Clock) -> None:
    app, _ = await an_app(database, clock)
    kind = {"content-type": "application/x-www-form-urlencoded"}
    for body in (
        f"client_id={app.id}&client_id={app.id}",
        f"client_id={app.id}&grant_type=password",
        f"client_id={app.id}",
    ):
        answer = await client.post("/oauth/token", content=body, headers=kind)
        assert answer.status_code == 400
    assert (await client.post("/oauth/token", json={"client_id": app.id})).json()[
        "error"
    ] == "invalid_request"
    large = await client.post("/oauth/token", content="a=" + "x" * 70_000, headers=kind)
    assert large.json()["error"] == "invalid_request"
    wrong = await client.get("/oauth/token")
    assert (wrong.status_code, set(wrong.headers["allow"].split(", "))) == (405, {"POST", "OPTIONS"})


async def test_guessing_is_slowed(client: Client, database: Database, clock: Clock) -> None:
    app, secret = await an_app(database, clock, kind="secret")
    statuses = [
        (
            await client.post("/oauth/token", data={"grant_type": "x"}, headers=basic(app.id, f"{n}"))
        ).status_code
        for n in range(22)
    ]
    assert statuses == [401] * 20 + [429] * 2
    assert (
        await client.post("/oauth/introspect", data={"token": "x"}, headers=basic(app.id, secret))
    ).status_code == 429


async def test_a_signature_cannot_be_guessed_and_bars_nobody(
    client: Client, database: Database, clock: Clock
) -> None:
    key, other = rsa_key(), rsa_key()
    app = await a_backend(database, clock, key)
    asked_for = {"grant_type": "client_credentials", "scope": "system/*.rs"}
    for _ in range(22):
        forged = signed(assertion(app.id, other, clock), **asked_for)
        assert (await client.post("/oauth/token", data=forged)).status_code == 401
    right = signed(assertion(app.id, key, clock), **asked_for)
    assert (await client.post("/oauth/token", data=right)).status_code == 200


async def test_what_is_missing_is_named(client: Client, database: Database, clock: Clock) -> None:
    app, _ = await an_app(database, clock)
    for kind in ("authorization_code", "refresh_token"):
        answer = await client.post("/oauth/token", data={"grant_type": kind, "client_id": app.id})
        assert (answer.status_code, answer.json()["error"]) == (400, "invalid_request"), kind
    app, secret = await an_app(database, clock, kind="secret")
    for door in ("introspect", "revoke"):  # RFC 7662, section 2.1; RFC 7009, section 2.1
        answer = await client.post(
            f"/oauth/{door}", data={"client_id": app.id}, headers=basic(app.id, secret)
        )
        assert (answer.status_code, answer.json()["error"]) == (400, "invalid_request"), door


async def test_clients_are_told_what_is_wrong_with_a_token(client: Client) -> None:
    for headers, told in (({}, "Bearer"), (bearer("nope"), 'Bearer error="invalid_token"')):
        answer = await client.get("/fhir/Patient/ada", headers=headers)
        assert (answer.status_code, answer.headers["www-authenticate"]) == (401, told)
    discovery = await client.get(
        "/fhir/.well-known/smart-configuration", headers={"accept": "application/xml"}
    )
    assert (discovery.status_code, discovery.headers["content-type"]) == (200, "application/json")


@pytest.mark.parametrize("host", ["[", "a b", "x/../y", "evil.example/fhir?x=", "x@y", 'a"b<', "x:y", "a,b"])
async def test_what_is_no_host_stands_in_no_address(client: Client, host: str) -> None:
    for path in (
        "/fhir/metadata",
        "/fhir/.well-known/smart-configuration",
        "/.well-known/openid-configuration",
    ):
        answer = await client.get(path, headers={"host": host})
        assert answer.status_code == 400, (path, answer.text)
        assert f"://{host}" not in answer.text
    assert (await client.get("/sign-in", headers={"host": host})).status_code == 400
    asked_for = {"grant_type": "authorization_code", "code": "x", "client_id": "y"}
    answer = await client.post("/oauth/token", data=asked_for, headers={"host": host})
    assert (answer.status_code, answer.json()["error"]) == (400, "invalid_request")


NOT_REGISTERED: list[tuple[dict[str, Any], str]] = [({"name": " "}, "name"), ({"redirect_uris": ()}, "redirect_uris"), ({"redirect_uris": ("http://app.example/cb",)}, "redirect_uris"),
     ({"redirect_uris": ("https://app.example/cb#x",)}, "redirect_uris"), ({"redirect_uris": ("https://*.example/cb",)}, "redirect_uris"),
     ({"redirect_uris": ("javascript:alert(1)",)}, "redirect_uris"), ({"redirect_uris": ("data:text/html,x",)}, "redirect_uris"),
     ({"redirect_uris": ("https://app.example/cb;form-action *",)}, "redirect_uris"), ({"scopes": ""}, "scopes"), ({"scopes": "patient/Nothing.rs"}, "scopes"),
     ({"scopes": "system/*.rs"}, "scopes"), ({"kind": "key"}, "jwks_url"), ({"kind": "key", "jwks": "{}"}, "jwks"),
     ({"kind": "key", "jwks_url": "http://app.example/keys"}, "jwks_url"), ({"launch_url": "http://app.example"}, "launch_url"),
     ({"audience": "backend", "kind": "secret", "redirect_uris": (), "scopes": "system/*.rs"}, "kind")]  # fmt: skip


async def test_what_may_not_be_registered(database: Database, clock: Clock) -> None:
    for wrong, at in NOT_REGISTERED:
        with pytest.raises(Invalid) as told:
            await an_app(database, clock, **wrong)
        assert at in {issue.at for issue in told.value.issues}, wrong


async def test_only_administrators_keep_apps(database: Database, clock: Clock) -> None:
    who = await a_person(database, clock)
    app, _ = await an_app(database, clock)
    with pytest.raises(Forbidden):
        await apps.decide(database, who, app.id, "approved", clock())
    with pytest.raises(Forbidden):
        await apps.register(database, who, NewApp(name="x"), clock())


async def test_unticked_scopes_are_not_given_and_nothing_ticked_is_nothing(
    client: Client, database: Database, clock: Clock, ada: str
) -> None:
    app, _ = await an_app(database, clock)
    who = await a_person(database, clock)
    scope = "launch/patient patient/Patient.rs patient/Observation.rs"
    token = await a_token(client, database, clock, app, who, scope, ada, unticked=("patient/Observation.rs",))
    assert token["scope"] == "launch/patient patient/Patient.rs"
    assert (await client.get("/fhir/Observation/a1", headers=bearer(token))).status_code == 403
    with pytest.raises(Denied):
        await a_code(database, clock, app, who, scope, ada, unticked=tuple(scope.split()))
    with pytest.raises(Denied):
        await a_code(database, clock, app, who, scope, None)


async def test_every_step_leaves_a_row(client: Client, database: Database, clock: Clock, ada: str) -> None:
    app, _ = await an_app(database, clock)
    token = await a_token(client, database, clock, app, await a_person(database, clock), ALL, ada)
    await client.get("/fhir/Observation/a1", headers=bearer(token))
    async with database.single() as conn:
        cursor = await conn.execute("SELECT action, client, patients FROM audit ORDER BY seq")
        rows = await cursor.fetchall()
    said = [(action, client) for action, client, _ in rows]
    for row in [("register-app", "web"), ("approve-app", "web"), ("allow-app", "web"), ("token", f"app:{app.id}"), ("read", f"app:{app.id}")]:  # fmt: skip
        assert row in said
    assert [who for action, _, who in rows if action in ("allow-app", "token")] == [["ada"], ["ada"]]


async def test_a_token_without_scopes_sees_nothing(
    client: Client, database: Database, clock: Clock, ada: str
) -> None:
    """B3: an empty list of what is permitted is nothing, never all."""
    app, _ = await an_app(database, clock)
    token = await a_token(client, database, clock, app, await a_person(database, clock), "openid", None)
    async with database.single() as conn:
        await conn.execute("UPDATE credential SET scopes = '' WHERE sha256 = %s", (credentials.digest(token["access_token"]),))  # fmt: skip
    for path in (
        "Patient/ada",
        "Observation",
        "Observation/a1",
        "Patient/ada/$everything",
        "Patient/_history",
    ):
        assert (await client.get(f"/fhir/{path}", headers=bearer(token))).status_code == 403
    clock.advance(hours=1)
    assert (await client.get("/fhir/Patient/ada", headers=bearer(token))).status_code == 401


async def test_a_backend_service_gets_what_it_is_registered_for_and_no_more(
    client: Client, database: Database, clock: Clock, ada: str
) -> None:
    key, other_key = rsa_key(), ec_key()
    service = await a_backend(database, clock, key, "system/Observation.rs system/Patient.r")
    other = await a_backend(database, clock, other_key)

    async def tried(text: str, **more: str) -> Any:
        form = {"grant_type": "client_credentials", "scope": "system/Observation.rs"} | more
        return await client.post("/oauth/token", data=signed(text, **form))

    first = assertion(service.id, key, clock, jti="once")
    answer = await tried(first)
    said = answer.json()
    assert (answer.status_code, said["expires_in"], said["scope"]) == (200, 300, "system/Observation.rs")
    assert "refresh_token" not in said
    found = (await client.get("/fhir/Observation", headers=bearer(said))).json()
    assert {entry["resource"]["id"] for entry in found["entry"]} == {"a1", "b1"}
    assert (await client.get("/fhir/Patient/ada", headers=bearer(said))).status_code == 403
    again = await tried(first)
    assert (again.status_code, again.json()["error"]) == (401, "invalid_client")
    assert (await tried(assertion(other.id, other_key, clock, jti="once"))).status_code == 200
    narrowed = await tried(assertion(service.id, key, clock), scope="system/*.cruds")
    assert narrowed.json()["scope"] == "system/Observation.rs system/Patient.r"
    for scope in (
        "patient/Observation.rs",
        "user/*.rs",
        "openid",
        "",
        "system/Condition.rs",
        "system/Observation.rs user/*.rs",
    ):
        refused = await tried(assertion(service.id, key, clock), scope=scope)
        assert (refused.status_code, refused.json()["error"]) == (400, "invalid_scope"), scope
    for text, more in (
        (assertion(service.id, other_key, clock), {}), (assertion(service.id, key, clock, aud="http://test/fhir"), {}), (assertion(service.id, key, clock), {"client_id": other.id}),
        (assertion(service.id, key, clock), {"client_assertion_type": "x"}), (assertion("nobody", key, clock), {}), (assertion(service.id, key, clock, header={"jku": "https://evil.example/k"}), {}),
    ):  # fmt: skip
        refused = await tried(text, **more)
        assert (refused.status_code, refused.json()["error"]) == (401, "invalid_client")
    plain, _ = await an_app(database, clock)
    form = {"grant_type": "client_credentials", "scope": "user/*.rs", "client_id": plain.id}
    assert (await client.post("/oauth/token", data=form)).json()["error"] == "unauthorized_client"
    clock.advance(minutes=5)
    assert (await client.get("/fhir/Observation", headers=bearer(said))).status_code == 401
    fresh = (await tried(assertion(service.id, key, clock))).json()
    assert (await client.get("/fhir/Observation", headers=bearer(fresh))).status_code == 200
    await apps.decide(database, ROOT, service.id, "disabled", clock())
    assert (await client.get("/fhir/Observation", headers=bearer(fresh))).status_code == 401
    assert (await tried(assertion(service.id, key, clock))).status_code == 401


async def test_keys_at_an_address_are_fetched_through_the_guard(
    client: Client, application: Starlette, database: Database, clock: Clock
) -> None:
    """G3: also the kid that was not there yet is looked for, and an address inside is never called."""
    key = ec_key("new")
    service = await a_backend(database, clock, None, jwks_url="https://keys.example/set")
    application.state.egress = fake = Fake(Reply(200, {"cache-control": "max-age=60"}, public(key).encode()))
    form = {"grant_type": "client_credentials", "scope": "system/*.rs"}
    for header in ({}, {"jku": "https://keys.example/set"}):
        text = assertion(service.id, key, clock, header=header)
        assert (await client.post("/oauth/token", data=signed(text, **form))).status_code == 200
    assert len(fake.asked) == 1
    application.state.egress = None
    inside = await a_backend(database, clock, None, jwks_url="https://127.0.0.1/set")
    answer = await client.post("/oauth/token", data=signed(assertion(inside.id, key, clock), **form))
    assert (answer.status_code, answer.json()["error"]) == (401, "invalid_client")
