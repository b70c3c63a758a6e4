"""Dynamic client registration (RFC 7591): off unless the site says so, then the page for developers in another form."""

from __future__ import annotations

import json
from pathlib import Path
from random import Random
from typing import Any

import httpx
import pytest

from commonchart import app as wiring
from commonchart.access.developers import keeping
from commonchart.access.oauth import apps
from commonchart.record.database import Database
from commonchart.settings import Settings
from tests.conftest import Clock
from tests.developers import DEE, EMAIL, Site, letters, link_in
from tests.outreach import mail_server
from tests.smart import CHALLENGE, ROOT, TOKEN_KEY, basic, public, rsa_key

Client = httpx.AsyncClient
CALLBACK = "https://diary.example/callback"
SAID: dict[str, Any] = {
    "client_name": "Pressure diary", "client_about": "Draws blood pressure over the years.", "organization": "Birch Labs",
    "contacts": [EMAIL, "more@birch.example"], "redirect_uris": [CALLBACK], "scope": "launch/patient  patient/Observation.rs",
    "grant_types": ["authorization_code", "refresh_token"], "response_types": ["code"], "tos_uri": "https://diary.example/terms",
    "logo_uri": "https://diary.example/logo.png", "software_id": "x",
}  # fmt: skip
BACKEND = {
    "client_name": "Warehouse", "client_about": "Counts.", "client_uri": "https://www.birch.example/", "contacts": [EMAIL],
    "token_endpoint_auth_method": "private_key_jwt", "grant_types": ["client_credentials"], "scope": "system/*.rs",
    "jwks": json.loads(public(rsa_key())),
}  # fmt: skip


def serving(database: Database, clock: Clock, folder: Path, **more: Any) -> Client:
    """A client of the whole program with these settings."""
    settings = Settings(
        folder, secret=b"s" * 32, token_keys=(TOKEN_KEY,), base_url="https://chart.example", **more
    )
    application = wiring.build(settings, database, clock)
    return httpx.AsyncClient(transport=httpx.ASGITransport(application), base_url="https://chart.example")


@pytest.fixture
def client(database: Database, clock: Clock, tmp_path: Path) -> Client:
    return serving(database, clock, tmp_path, dynamic_registration="on")


async def test_a_site_that_does_not_offer_it_has_no_such_door(
    database: Database, clock: Clock, tmp_path: Path
) -> None:
    client = serving(database, clock, tmp_path, developer_registration="on")
    answer = await client.post("/oauth/register", json=SAID)
    assert (answer.status_code, answer.json()["error"]) == (404, "not_found")
    for path in ("/fhir/.well-known/smart-configuration", "/.well-known/openid-configuration"):
        assert "registration_endpoint" not in (await client.get(path)).json()


async def test_a_client_registers_waits_is_proven_and_approved(
    client: Client, database: Database, clock: Clock, tmp_path: Path
) -> None:
    for path in ("/fhir/.well-known/smart-configuration", "/.well-known/openid-configuration"):
        assert (await client.get(path)).json()[
            "registration_endpoint"
        ] == "https://chart.example/oauth/register"
    async with mail_server(Site(database), tmp_path) as (box, _):
        answer = await client.post("/oauth/register", json=SAID)
        await letters(database, clock)
    assert (answer.status_code, answer.headers["cache-control"]) == (201, "no-store")
    said = answer.json()
    id = said.pop("client_id")
    assert said.pop("client_id_issued_at") == int(clock().timestamp())
    assert said.pop("registration_note")
    assert said == {
        "client_name": "Pressure diary", "client_about": "Draws blood pressure over the years.", "organization": "Birch Labs",
        "contact_name": "Birch Labs", "contacts": [EMAIL], "token_endpoint_auth_method": "client_secret_basic",
        "scope": "launch/patient patient/Observation.rs", "grant_types": ["authorization_code", "refresh_token"],
        "response_types": ["code"], "redirect_uris": [CALLBACK], "tos_uri": "https://diary.example/terms", "audience": "both",
        "registration_state": "waiting",
    }  # fmt: skip
    asked = {
        "response_type": "code", "client_id": id, "redirect_uri": CALLBACK, "scope": "patient/Observation.rs", "state": "s",
        "aud": "https://chart.example/fhir", "code_challenge": CHALLENGE, "code_challenge_method": "S256",
    }  # fmt: skip

    async def refused() -> bool:
        page = await client.get("/oauth/authorize", params=asked)
        return page.status_code == 400 and "not approved" in page.text and "location" not in page.headers

    assert await refused()
    assert await apps.listed(database, 1) == []
    path = link_in(box.messages[0].get_content())
    page = await client.get(path)  # the pages of links are there although the form is not
    csrf = page.text.partition('name="csrf" value="')[2].partition('"')[0]
    token = path.rpartition("/")[2]
    done = await client.post("/developers/open", data={"csrf": csrf, "token": token})
    assert done.headers["location"] == f"/developers/apps/{id}?said=proven"
    assert (await client.post("/developers", data={"csrf": csrf})).status_code == 404
    assert 'action="/developers"' not in (await client.get("/developers")).text
    assert await refused()
    app = await apps.one(database, 1, id)
    await apps.decide(database, ROOT, id, "approved", clock(), revision=app.revision)
    assert (await client.get("/oauth/authorize", params=asked)).headers["location"].startswith("/sign-in")
    secret = await keeping.secret(database, DEE, id, clock())
    form = {"grant_type": "refresh_token", "refresh_token": "x"}
    assert (await client.post("/oauth/token", data=form, headers=basic(id, secret))).json()[
        "error"
    ] == "invalid_grant"


async def test_a_program_by_itself_is_registered_by_its_keys(
    client: Client, database: Database, clock: Clock
) -> None:
    said = (await client.post("/oauth/register", json=BACKEND)).json()
    assert (said["grant_types"], said["response_types"], said["jwks"]) == (["client_credentials"], [], BACKEND["jwks"])  # fmt: skip
    assert (said["organization"], "redirect_uris" in said) == ("birch example", False)


UNFIT: list[tuple[str, dict[str, Any]]] = [
    ("invalid_redirect_uri", {"redirect_uris": ["http://diary.example"]}), ("invalid_redirect_uri", {"redirect_uris": []}),
    ("invalid_redirect_uri", {"redirect_uris": ["https://diary.example/#x"]}), ("invalid_software_statement", {"software_statement": "e30.e30."}),
    ("invalid_client_metadata", {"client_name": ""}), ("invalid_client_metadata", {"client_name": "Diary\u202e"}), ("invalid_client_metadata", {"client_name": 5}),
    ("invalid_client_metadata", {"contacts": []}), ("invalid_client_metadata", {"contacts": "dee"}), ("invalid_client_metadata", {"organization": ""}),
    ("invalid_client_metadata", {"scope": "all"}), ("invalid_client_metadata", {"scope": "system/*.rs"}), ("invalid_client_metadata", {"grant_types": ["implicit"]}),
    ("invalid_client_metadata", {"grant_types": ["password"]}), ("invalid_client_metadata", {"response_types": ["token"]}),
    ("invalid_client_metadata", {"grant_types": ["authorization_code", "client_credentials"]}), ("invalid_client_metadata", {"token_endpoint_auth_method": "client_secret_post"}),
    ("invalid_client_metadata", {"jwks_uri": "https://diary.example/keys"}), ("invalid_client_metadata", {"jwks": [], "token_endpoint_auth_method": "private_key_jwt"}),
    ("invalid_client_metadata", {"tos_uri": "http://diary.example"}), ("invalid_client_metadata", {"audience": "everybody"}),
]  # fmt: skip


async def test_what_cannot_be_registered_is_refused_in_the_words_of_the_protocol(
    client: Client, clock: Clock
) -> None:
    for error, more in UNFIT:
        clock.advance(minutes=1)
        answer = await client.post("/oauth/register", json=SAID | more)
        assert (answer.status_code, answer.json()["error"]) == (400, error), (more, answer.text)
        assert answer.json()["error_description"]
        assert answer.headers["cache-control"] == "no-store"


async def test_too_much_is_refused(client: Client, clock: Clock) -> None:
    for n in range(3):
        assert (
            await client.post("/oauth/register", json=SAID | {"client_name": f"Diary {n} of us"})
        ).status_code == 201
    over = await client.post("/oauth/register", json=SAID)
    assert (over.status_code, over.headers["retry-after"]) == (429, "86400")


async def test_odd_metadata_never_make_it_fail(client: Client, clock: Clock) -> None:
    random = Random(20261126)
    odd: list[Any] = [
        None,
        True,
        5,
        1e300,
        [],
        {},
        "",
        "\u0000",
        "x" * 30_000,
        ["x" * 600],
        [[]],
        [None],
        {"keys": [{}]},
        "\ud7ff",
        "a\r\nBcc: x@y.example",
    ]
    bodies = [
        b"",
        b"[]",
        b"{",
        b"null",
        b"[" * 9000,
        b'{"a":1,"a":2}',
        b"\xff\xfe",
        b"{" + b" " * 70_000 + b"}",
    ]
    answers = [await client.post("/oauth/register", content=body, headers={"content-type": "application/json"}) for body in bodies]  # fmt: skip
    answers.append(await client.post("/oauth/register", data={"client_name": "x"}))
    for _ in range(40):
        more = {name: random.choice(odd) for name in random.sample([*SAID, "jwks", "audience"], 2)}
        base = random.choice((SAID, BACKEND))
        answers.append(
            await client.post(
                "/oauth/register",
                content=json.dumps(base | more),
                headers={"content-type": "application/json"},
            )
        )
        clock.advance(minutes=2)
    assert {one.status_code for one in answers} <= {201, 400, 429}
    assert all("error" in one.json() for one in answers if one.status_code != 201)
    assert (await client.options("/oauth/register")).status_code == 204
