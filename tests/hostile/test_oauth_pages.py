"""The pages of the OAuth 2 server: no redirect, form or session that another site could use (F7, G11, G15), and who may do what."""

from __future__ import annotations

import re
from typing import Any
from urllib.parse import parse_qs, urlencode, urlsplit

import httpx
import pytest

from commonchart.access.oauth.apps import App
from commonchart.record.database import Database
from tests.conftest import Clock
from tests.smart import BASE, CALLBACK, CHALLENGE, an_app
from tests.web.conftest import Client, SignIn, app, database_url, peopled, sage, sign_in, token_of, visitor

__all__ = ["app", "database_url", "peopled", "sage", "sign_in", "visitor"]


def asking(app: App, **more: str) -> dict[str, str]:
    return {
        "response_type": "code", "client_id": app.id, "redirect_uri": CALLBACK, "scope": "launch/patient patient/*.rs", "state": "s&x=1",
        "aud": BASE, "code_challenge": CHALLENGE, "code_challenge_method": "S256",
    } | more  # fmt: skip


def at(params: dict[str, str]) -> str:
    return f"/oauth/authorize?{urlencode(params)}"


def fields(page: httpx.Response) -> dict[str, Any]:
    found: dict[str, Any] = {}
    for name, value in re.findall(
        r'<input type="(?:hidden|checkbox)" name="([^"]+)" value="([^"]*)"', page.text
    ):
        found.setdefault(name, []).append(value.replace("&amp;", "&"))
    return found


async def test_a_bad_request_never_reaches_a_foreign_address(
    visitor: Client, sage: Client, database: Database, clock: Clock
) -> None:
    made, _ = await an_app(database, clock)
    for client in (visitor, sage):
        for wrong in (
            {"redirect_uri": "https://evil.example/cb"},
            {"client_id": "nobody"},
            {"redirect_uri": "//evil.example"},
        ):
            answer = await client.get(at(asking(made, **wrong)))
            assert answer.status_code == 400
            assert "location" not in answer.headers
        answer = await client.get(at(asking(made, aud="https://other.example/fhir")))
        assert answer.status_code == 303
        assert answer.headers["location"].startswith(f"{CALLBACK}?error=invalid_request")
        assert parse_qs(urlsplit(answer.headers["location"]).query)["state"] == ["s&x=1"]
        twice = await client.get(at(asking(made)) + "&scope=user%2F*.cruds")
        assert twice.headers["location"].startswith(f"{CALLBACK}?error=invalid_request")
    door = await visitor.get(at(asking(made)))
    assert door.headers["location"].startswith("/sign-in?next=%2Foauth%2Fauthorize%3F")
    posted = await visitor.post("/oauth/authorize", data=asking(made))
    assert posted.headers["location"] == at(asking(made))


async def test_consent_is_given_on_our_page_only(
    sage: Client, sign_in: SignIn, visitor: Client, database: Database, clock: Clock
) -> None:
    made, _ = await an_app(
        database, clock, redirect_uris=(CALLBACK, "https://app.example/cb", "org.example.app:/cb")
    )
    page = await sage.get(at(asking(made)) + "&chosen_patient=ines")
    policy = page.headers["content-security-policy"]
    assert "form-action 'self' http://127.0.0.1:9999;" in policy
    assert "frame-ancestors 'none'" in policy
    native = await sage.get(at(asking(made, redirect_uri="org.example.app:/cb")) + "&chosen_patient=ines")
    assert "form-action 'self' org.example.app:;" in native.headers["content-security-policy"]
    sent = fields(page) | {"do": "allow"}
    for client, change, headers in (
        (sage, {"csrf": "x"}, {}), (sage, {}, {"sec-fetch-site": "cross-site"}), (await sign_in("desk"), {}, {}),
    ):  # fmt: skip
        answer = await client.post("/oauth/consent", data=sent | change, headers=headers)
        assert answer.status_code == 403
    assert (await visitor.post("/oauth/consent", data=sent)).headers["location"].startswith("/sign-in")
    for change in ({"redirect_uri": "https://evil.example"}, {"client_id": "x"}):
        assert (await sage.post("/oauth/consent", data=sent | change)).status_code == 400
    unseen = await sage.post("/oauth/consent", data=sent | {"chosen_patient": "nobody"})
    assert unseen.status_code == 404
    wider = await sage.post(
        "/oauth/consent", data=sent | {"scope_ticked": ["launch/patient", "user/*.cruds", "patient/*.cruds"]}
    )
    assert "error=access_denied" in wider.headers["location"]
    done = await sage.post("/oauth/consent", data=sent)
    said = parse_qs(urlsplit(done.headers["location"]).query)
    assert done.headers["location"].startswith(f"{CALLBACK}?code=")
    assert said["state"] == ["s&x=1"]
    assert done.headers["referrer-policy"] == "no-referrer"
    refused = await sage.post("/oauth/consent", data=sent | {"do": "refuse"})
    assert "error=access_denied" in refused.headers["location"]
    async with database.single() as conn:
        cursor = await conn.execute(
            "SELECT outcome, patients FROM audit WHERE action = 'allow-app' ORDER BY seq"
        )
        assert await cursor.fetchall() == [(0, ["ines"]), (4, [])]


async def test_a_patient_allows_their_own_record_only(
    sign_in: SignIn, database: Database, clock: Clock
) -> None:
    made, _ = await an_app(database, clock)
    ines = await sign_in("ines")
    page = await ines.get(at(asking(made)) + "&chosen_patient=late")
    assert "HALLOWBROOK" in page.text
    assert "Choose another" not in page.text
    done = await ines.post("/oauth/consent", data=fields(page) | {"do": "allow", "chosen_patient": "late"})
    assert "code=" in done.headers["location"]
    async with database.single() as conn:
        assert await (await conn.execute("SELECT patient FROM app_grant")).fetchall() == [("ines",)]


async def test_a_launch_is_for_whom_and_what_it_was_made(
    sage: Client, sign_in: SignIn, database: Database, clock: Clock
) -> None:
    made, _ = await an_app(database, clock, launch_url="https://app.example/launch?x=1", audience="clinician")
    other, _ = await an_app(database, clock, launch_url="https://app.example/launch")
    gallery = await sage.get("/patients/ines/apps")
    assert "form-action 'self' https://app.example;" in gallery.headers["content-security-policy"]

    async def launched() -> str:
        form = {"csrf": token_of(gallery), "app": made.id}
        answer = await sage.post("/patients/ines/apps/launch", data=form)
        assert answer.headers["location"].startswith(
            "https://app.example/launch?x=1&iss=http%3A%2F%2Ftest%2Ffhir&launch="
        )
        return parse_qs(urlsplit(answer.headers["location"]).query)["launch"][0]

    scope = "launch patient/*.rs"
    token = await launched()
    for params in (
        asking(other, scope=scope, launch=token),
        asking(made, scope=scope, launch="made-up"),
        asking(made, scope=scope),
    ):
        assert "error=invalid_request" in (await sage.get(at(params))).headers["location"]
    assert (await (await sign_in("root")).get(at(asking(made, scope=scope, launch=token)))).status_code == 403
    page = await sage.get(at(asking(made, scope=scope, launch=token)) + "&chosen_patient=late")
    assert "HALLOWBROOK" in page.text
    done = await sage.post("/oauth/consent", data=fields(page) | {"do": "allow"})
    assert "code=" in done.headers["location"]
    again = await sage.post("/oauth/consent", data=fields(page) | {"do": "allow"})
    assert "error=invalid_request" in again.headers["location"]
    late = await launched()
    clock.advance(minutes=5)
    assert (
        "error=invalid_request"
        in (await sage.get(at(asking(made, scope=scope, launch=late)))).headers["location"]
    )
    for path in ("/patients/nobody/apps", "/patients/nobody/apps/launch"):
        form = {"csrf": token_of(gallery), "app": made.id}
        answer = await (sage.post(path, data=form) if path.endswith("launch") else sage.get(path))
        assert answer.status_code == 404
    assert made.id not in (await (await sign_in("ines")).get("/patients/ines/apps")).text


@pytest.mark.parametrize("login", ["sage", "desk", "ines"])
async def test_only_administrators_see_the_apps_of_the_site(
    sign_in: SignIn, database: Database, clock: Clock, login: str
) -> None:
    made, _ = await an_app(database, clock, kind="secret")
    client = await sign_in(login)
    for path in ("/apps", "/apps/new", f"/apps/{made.id}"):
        assert (await client.get(path)).status_code == 403
    csrf = token_of(await client.get("/me" if login == "ines" else "/account"))
    for path, form in (
        ("/apps/new", {"name": "x"}),
        (f"/apps/{made.id}", {"do": "secret"}),
        (f"/apps/{made.id}", {"do": "disabled"}),
    ):
        assert (await client.post(path, data=form | {"csrf": csrf})).status_code == 403
