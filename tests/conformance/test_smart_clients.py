"""SMART clients that nobody here wrote, against a live server: Authlib, and fhirclient and fhirpy of PyPI."""

from __future__ import annotations

import asyncio
import re
import time
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, NamedTuple
from urllib.parse import parse_qs, urlsplit

import httpx
import pytest
from joserfc import jwt
from joserfc.jwk import KeySet

from commonchart import app as wiring
from commonchart.access import users
from commonchart.access.actors import Actor
from commonchart.access.oauth import apps
from commonchart.access.oauth.apps import NewApp
from commonchart.access.records import Put, Records
from commonchart.fhir.validate import validate
from commonchart.record.database import Database
from commonchart.settings import Settings
from tests.live import free_port, served
from tests.rest.conftest import observation, patient
from tests.smart import ROOT, TOKEN_KEY, public, rsa_key

CALLBACK = "http://127.0.0.1:9/callback"
PASSWORD = "a long enough password"
SCOPE = "launch/patient openid fhirUser offline_access patient/Patient.rs patient/Observation.rs"
KEY = rsa_key()


class Site(NamedTuple):
    """The server, and the client ids and secret of its apps."""

    address: str
    public: str
    confidential: str
    secret: str
    backend: str


def _now() -> datetime:
    return datetime.now(UTC)


@pytest.fixture(scope="module")
def site(empty_database: Any, template: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Site]:
    name = empty_database.create(template)
    url, port = empty_database.url(name), free_port()
    ids = asyncio.run(_prepared(url))
    settings = Settings(
        tmp_path_factory.mktemp("smart"), secret=b"s" * 32, token_keys=(TOKEN_KEY,), port=port
    )
    with served(wiring.build(settings, Database.opened_later(url), _now), port) as address:
        yield Site(address, *ids)
    empty_database.drop(name)


async def _prepared(url: str) -> tuple[str, str, str, str]:
    database = await Database.open(url)
    await users.create(
        database, tenant=1, login="sage", name="Sage", role="clinician", org="alder", now=_now(), password=PASSWORD,
        practitioner="sage",
    )  # fmt: skip
    loader = Records(database, Actor(1, "loader", "Loader", "system", "alder", "cli"), _now)
    bodies = [
        patient(id="ada"), patient(id="bea"), observation("ada", id="a1"), observation("bea", id="b1"),
        {"resourceType": "Practitioner", "id": "sage", "name": [{"family": "Sage"}]},
    ]  # fmt: skip
    await loader.commit([Put(validate(body), body["id"]) for body in bodies])
    made = []
    for more in (
        {},
        {"kind": "secret"},
        {
            "kind": "key",
            "audience": "backend",
            "jwks": public(KEY),
            "scopes": "system/*.rs",
            "redirect_uris": (),
        },
    ):
        fields = {"name": "App", "redirect_uris": (CALLBACK,), "scopes": SCOPE} | more
        app, secret = await apps.register(database, ROOT, NewApp(**fields), _now())  # type: ignore[arg-type]
        await apps.decide(database, ROOT, app.id, "approved", _now())
        made.append((app.id, secret))
    await database.close()
    return made[0][0], made[1][0], made[1][1], made[2][0]


def consented(authorize: str) -> str:
    """What a person does in the browser: signs in, chooses Ada, allows all; where they are sent."""
    with httpx.Client(follow_redirects=False) as browser:
        door = browser.get(_at(authorize, browser))
        csrf = _csrf(door.text)
        form = {"csrf": csrf, "login": "sage", "password": PASSWORD, "next": _value(door.text, "next")}
        back = browser.post(_join(authorize, "/sign-in"), data=form)
        which = browser.get(_join(authorize, back.headers["location"]))
        assert "Which patient" in which.text
        consent = browser.get(_join(authorize, back.headers["location"]) + "&chosen_patient=ada")
        fields = [
            (n, _plain(v))
            for n, v in re.findall(
                r'<input type="(?:hidden|checkbox)" name="([^"]+)" value="([^"]*)"', consent.text
            )
        ]
        sent: dict[str, Any] = {"do": "allow"}
        for name, value in fields:
            sent.setdefault(name, []).append(value)
        answer = browser.post(_join(authorize, "/oauth/consent"), data=sent)
        assert answer.status_code == 303, answer.text[:500]
        return answer.headers["location"]


def _at(authorize: str, browser: httpx.Client) -> str:
    answer = browser.get(authorize)
    assert answer.status_code == 303, answer.text[:300]
    return _join(authorize, answer.headers["location"])


def _join(base: str, path: str) -> str:
    return str(httpx.URL(base).join(path))


def _plain(text: str) -> str:
    return (
        text.replace("&#34;", '"')
        .replace("&#39;", "'")
        .replace("&lt;", "<")
        .replace("&gt;", ">")
        .replace("&amp;", "&")
    )


def _csrf(page: str) -> str:
    return _value(page, "csrf")


def _value(page: str, name: str) -> str:
    found = re.search(rf'name="{name}" value="([^"]*)"', page)
    assert found, page[:500]
    return _plain(found[1])


def discovered(site: Site) -> dict[str, Any]:
    return dict(httpx.get(f"{site.address}/fhir/.well-known/smart-configuration").json())


@pytest.mark.parametrize("kind", ["public", "confidential"])
def test_authlib_signs_in_refreshes_introspects_and_revokes(site: Site, kind: str) -> None:
    from authlib.integrations.httpx_client import OAuth2Client

    said = discovered(site)
    id, secret = (site.public, None) if kind == "public" else (site.confidential, site.secret)
    method = "none" if kind == "public" else "client_secret_basic"
    client = OAuth2Client(
        id, secret, token_endpoint_auth_method=method, scope=SCOPE, redirect_uri=CALLBACK, code_challenge_method="S256"
    )  # fmt: skip
    verifier = "v" * 64
    url, state = client.create_authorization_url(
        said["authorization_endpoint"], code_verifier=verifier, aud=f"{site.address}/fhir", nonce="n1"
    )
    back = consented(url)
    assert parse_qs(urlsplit(back).query)["state"] == [state]
    token = client.fetch_token(said["token_endpoint"], authorization_response=back, code_verifier=verifier)
    assert token["patient"] == "ada"
    keys = KeySet.import_key_set(httpx.get(said["jwks_uri"]).json())
    claims = jwt.decode(token["id_token"], keys, algorithms=["RS256"]).claims
    assert claims["nonce"] == "n1"
    assert claims["fhirUser"] == f"{site.address}/fhir/Practitioner/sage"
    assert client.get(claims["fhirUser"]).json()["name"][0]["family"] == "Sage"
    assert [e["resource"]["id"] for e in client.get(f"{site.address}/fhir/Observation").json()["entry"]] == [
        "a1"
    ]
    assert client.get(f"{site.address}/fhir/Patient/bea").status_code == 404
    new = client.refresh_token(said["token_endpoint"])
    assert new["access_token"] != token["access_token"]
    if kind == "confidential":
        looked = client.introspect_token(said["introspection_endpoint"], token=new["access_token"])
        assert looked.json()["active"] is True
    assert client.revoke_token(said["revocation_endpoint"], token=new["refresh_token"]).status_code == 200
    time.sleep(0.1)
    assert (
        httpx.get(
            f"{site.address}/fhir/Patient/ada", headers={"authorization": f"Bearer {new['access_token']}"}
        ).status_code
        == 401
    )


def backend_token(site: Site) -> dict[str, Any]:
    """By Authlib's private_key_jwt; its own five minutes are sixty, so that exp is given."""
    from authlib.integrations.httpx_client import OAuth2Client
    from authlib.oauth2.rfc7523 import PrivateKeyJWT

    endpoint = discovered(site)["token_endpoint"]
    pem = KEY.as_pem(private=True).decode()
    client = OAuth2Client(
        site.backend, pem, token_endpoint_auth_method="private_key_jwt", scope="system/*.rs"
    )
    claims = {"exp": int(time.time()) + 200}
    client.register_client_auth_method(
        PrivateKeyJWT(endpoint, claims=claims, headers={"kid": "k1"}, alg="RS384")
    )
    return dict(client.fetch_token(endpoint, grant_type="client_credentials"))


def test_authlib_and_fhirpy_as_a_backend_service(site: Site) -> None:
    from fhirpy import SyncFHIRClient

    token = backend_token(site)
    assert token["expires_in"] == 300
    assert "refresh_token" not in token
    client = SyncFHIRClient(f"{site.address}/fhir", authorization=f"Bearer {token['access_token']}")
    assert sorted(one["id"] for one in client.resources("Patient").fetch_all()) == ["ada", "bea"]
    assert client.reference("Observation", "a1").to_resource()["status"] == "final"
    with pytest.raises(Exception, match=r"scope|role|allow|orbidden"):
        client.resource("Observation", **observation("ada")).save()


def test_fhirclient_of_pypi_signs_in(site: Site, tmp_path: Path) -> None:
    from fhirclient.client import FHIRClient
    from fhirclient.models.observation import Observation

    settings = {
        "app_id": site.public,
        "api_base": f"{site.address}/fhir",
        "redirect_uri": CALLBACK,
        "scope": SCOPE,
    }
    smart = FHIRClient(settings=settings)
    assert smart.prepare() is False
    smart.handle_callback(consented(smart.authorize_url))
    assert smart.ready
    assert smart.patient_id == "ada"
    assert smart.human_name(smart.patient.name[0]) == "Zoë Ångström"
    found = Observation.where(struct={"patient": "ada"}).perform_resources(smart.server)
    assert [one.id for one in found] == ["a1"]
    assert smart.reauthorize() is not False
    assert smart.patient_id == "ada"
