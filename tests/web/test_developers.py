"""From a developer's form to an app that people allow, a change of it, and its end; and what strangers get of these pages."""

from __future__ import annotations

import re
from collections.abc import AsyncIterator
from pathlib import Path
from urllib.parse import urlencode

import httpx
import pytest
from starlette.applications import Starlette

from commonchart.exchange.outreach import developer_links
from commonchart.jobs import accounts
from commonchart.record.database import Database
from tests.conftest import Clock
from tests.developers import EMAIL, TYPED, Site, csrf_of, link_in, told
from tests.inbox import SITE
from tests.outreach import Mailbox, mail_server
from tests.smart import BASE, CHALLENGE
from tests.web.conftest import Client, SignIn

CALLBACK = "https://diary.example/callback"


@pytest.fixture(autouse=True)
def offered(app: Starlette) -> None:
    """A site that lets developers register."""
    app.state.settings.developer_registration = "on"


@pytest.fixture
async def box(database: Database, tmp_path: Path) -> AsyncIterator[Mailbox]:
    """What the mail server got."""
    said = Site(database)
    await said.say(name="Alder Street")
    async with mail_server(said, tmp_path) as (box, _):
        yield box


async def sent(client: Client, path: str, page: str = "", **fields: str) -> httpx.Response:
    return await client.post(path, data={"csrf": csrf_of(await client.get(page or path)), **fields})


async def opened(client: Client, path: str) -> httpx.Response:
    """Press the button of a link."""
    shown = await client.get(path)
    assert shown.status_code == 200
    assert shown.headers["referrer-policy"] == "no-referrer"
    return await client.post(
        "/developers/open", data={"csrf": csrf_of(shown), "token": path.rpartition("/")[2]}
    )


async def letters(database: Database, clock: Clock) -> None:
    await developer_links.settled()
    while await accounts.drain(database, clock, SITE):
        pass


async def posted(client: Client, path: str, **fields: str) -> httpx.Response:
    return await sent(client, path, **fields)


def revision(page: httpx.Response, name: str = "revision") -> str:
    found = re.search(rf'name="{name}" value="(\d+)"', page.text)
    assert found
    return found[1]


async def test_from_a_form_to_an_app_that_people_allow_and_its_end(
    visitor: Client, sign_in: SignIn, database: Database, clock: Clock, box: Mailbox
) -> None:
    async with database.single() as conn:
        await conn.execute("UPDATE app_user SET email = 'root@alder.example' WHERE login = 'root'")
    assert "http://test/fhir" in (await visitor.get("/developers")).text
    answer = await sent(visitor, "/developers", **TYPED)
    assert (answer.status_code, "Look at your e-mail" in answer.text) == (200, True)
    await letters(database, clock)
    [proof] = box.messages
    assert (proof["To"], proof["Subject"]) == (EMAIL, "Alder Street: confirm your e-mail address")
    for typed in ("Pressure", "Birch", "Dee", "diary"):
        assert typed not in proof.get_content()
    root = await sign_in("root")
    assert "Pressure diary" not in (await root.get("/apps")).text

    path = link_in(proof.get_content())
    for _ in range(2):  # a mail filter looks twice: nothing happens
        shown = await visitor.get(path)
        assert "https://diary.example/callback" in shown.text
    assert "Pressure diary" not in (await root.get("/apps")).text
    done = await opened(visitor, path)
    mine = done.headers["location"].partition("?")[0]
    id = mine.rpartition("/")[2]
    assert "HttpOnly; Max-Age=1800; Path=/developers; SameSite=strict" in done.headers["set-cookie"]
    assert (await visitor.get(path)).status_code == 404
    assert "waits for approval now" in (await visitor.get(done.headers["location"])).text
    refused = await sent(visitor, mine, do="secret")
    assert (refused.status_code, "once the app is approved" in refused.text) == (409, True)

    listed = (await root.get("/apps")).text
    assert "a developer: Birch Labs" in listed
    page = await root.get(f"/apps/{id}")
    for words in ("Asked by a developer", "Dee Voss", EMAIL, "proven", "https://diary.example/terms"):
        assert words in page.text, words
    unsaid = await posted(root, f"/apps/{id}", do="refused", revision=revision(page))
    assert (unsaid.status_code, 'href="#why"' in unsaid.text) == (422, True)
    assert (
        await posted(root, f"/apps/{id}", do="approved")
    ).status_code == 422  # nobody says what was looked at
    assert (await posted(root, f"/apps/{id}", do="refused", revision=revision(page), reason="Name your product")).status_code == 303  # fmt: skip
    shown = await visitor.get(mine)
    assert "Name your product" in shown.text
    assert (await sent(visitor, mine, do="change", **TYPED)).headers["location"].endswith("said=changed")
    late = await posted(root, f"/apps/{id}", do="approved", revision=revision(page))
    assert (late.status_code, "changed it since" in late.text) == (409, True)
    page = await root.get(f"/apps/{id}")
    assert (await posted(root, f"/apps/{id}", do="approved", revision=revision(page))).status_code == 303
    assert "makes its secret" in (await posted(root, f"/apps/{id}", do="secret")).text

    given = await sent(visitor, mine, do="secret")
    secret = re.search(r'<code class="brk">([\w-]{43})</code>', given.text)
    assert secret
    assert secret[1] not in (await visitor.get(mine)).text
    clock.advance(minutes=1)
    again = re.search(r'<code class="brk">([\w-]{43})</code>', (await sent(visitor, mine, do="secret")).text)
    assert again
    assert again[1] != secret[1]

    asked = {
        "response_type": "code", "client_id": id, "redirect_uri": CALLBACK, "scope": "launch/patient patient/Observation.rs",
        "state": "s", "aud": BASE, "code_challenge": CHALLENGE, "code_challenge_method": "S256", "chosen_patient": "ines",
    }  # fmt: skip
    sage = await sign_in("sage")
    consent = (await sage.get(f"/oauth/authorize?{urlencode(asked)}")).text
    assert "<b>Birch Labs</b>, diary.example. It calls itself so; Alder Street approved the app" in consent
    assert 'href="https://diary.example/privacy" rel="noopener noreferrer"' in consent

    wider = {**TYPED, "redirect_uris": "https://evil.example/cb", "scopes": "user/*.cruds"}
    assert (await sent(visitor, mine, do="change", **wider)).headers["location"].endswith("said=asked")
    assert (await sage.get(f"/oauth/authorize?{urlencode(asked | {'redirect_uri': 'https://evil.example/cb'})}")).status_code == 400  # fmt: skip
    page = await root.get(f"/apps/{id}")
    assert "It would gain" in page.text
    assert '<strong class="tag">new</strong> <code class="brk">https://evil.example/cb</code>' in page.text
    assert "a change waits for approval" in (await root.get("/apps")).text
    no = await posted(root, f"/apps/{id}", do="change-refused", change=revision(page, "change"), reason="Too much")  # fmt: skip
    assert no.status_code == 303
    assert "Too much" in (await visitor.get(mine)).text
    assert (await sent(visitor, mine, do="back")).headers["location"].endswith("said=back")

    unsure = await sent(visitor, mine, do="withdraw")
    assert (unsure.status_code, 'href="#sure"' in unsure.text) == (422, True)
    assert (await sent(visitor, mine, do="withdraw", sure="yes")).status_code == 303
    assert (await sage.get(f"/oauth/authorize?{urlencode(asked)}")).status_code == 400
    assert "Withdrawn by its developer" in (await root.get(f"/apps/{id}")).text
    assert (await posted(root, f"/apps/{id}", page="/apps/new", do="disabled")).status_code == 409
    assert (await sent(visitor, "/developers/leave", "/developers")).headers["location"] == "/developers"
    assert (await visitor.get(mine)).headers["location"] == "/developers/link"

    await letters(database, clock)
    waits = [
        one["To"] for one in box.messages if one["Subject"] == "Alder Street: an app waits for a decision"
    ]
    assert (
        waits == ["root@alder.example"] * 2
    )  # one for what is new, one for changes: several in an hour are told once
    assert box.recipients.count(EMAIL) == 6
    kinds = [kind for kind, to, _ in await told(database) if to == EMAIL]
    assert sorted(kinds) == ["app-approved", "app-refused", "app-secret", "app-withdrawn", "change-refused"]
    whole = "\n".join(one.get_content() for one in box.messages[1:])
    for words in (
        "Name your product",
        "Too much",
        "“Pressure diary”",
        "https://chart.example/developers/link",
    ):
        assert words in whole, words
    for words in ("evil.example", "diary.example", secret[1], "Birch", "Dee Voss"):
        assert words not in whole, words


async def test_what_is_wrong_stands_at_its_field_and_what_was_typed_stays(
    visitor: Client, clock: Clock, box: Mailbox
) -> None:
    for field, value in (
        ("developer", ""), ("organization", ""), ("organization", "Alder Street"), ("email", "dee"), ("email", "a@b.example\r\nBcc: c@d.example"),
        ("email", "dee@birch.example,eve@evil.example"), ("name", ""), ("name", "Diary\u202e"), ("name", "Commonchart"), ("name", "see www.evil.example"),
        ("about", ""), ("kind", "x"), ("audience", "x"), ("redirect_uris", "http://diary.example"), ("redirect_uris", "https://d.example/" + "x" * 30_000),
        ("launch_url", "javascript:1"), ("scopes", "all"), ("scopes", ""), ("terms_url", "http://diary.example"), ("policy_url", "https://a b"),
        ("jwks", "{}"),
    ):  # fmt: skip
        clock.advance(minutes=1)
        answer = await sent(visitor, "/developers", **TYPED | {field: value})
        assert answer.status_code == 422, (field, value)
        assert f'href="#{field}"' in answer.text, (field, value)
        assert "Draws blood pressure" in answer.text or field == "about"
    await developer_links.settled()
    assert box.messages == []


async def test_a_link_is_asked_for_without_telling_who_is_known(
    visitor: Client, clock: Clock, box: Mailbox
) -> None:
    await sent(visitor, "/developers", **TYPED)
    await developer_links.settled()  # letters are sent side by side: the first is the proof
    answers = [
        await sent(visitor, "/developers/link", email=email) for email in (EMAIL.upper(), "eve@birch.example")
    ]
    bodies = {re.sub(r'value="[^"]*"', "", one.text) for one in answers}
    assert (len(bodies), {one.status_code for one in answers}) == (1, {200})
    await developer_links.settled()
    assert box.recipients == [EMAIL] * 2
    assert (await sent(visitor, "/developers/link", email="nobody")).status_code == 422
    assert (await opened(visitor, link_in(box.messages[1].get_content()))).headers[
        "location"
    ] == "/developers/apps"
    page = await visitor.get("/developers/apps")
    assert "Waits for you to confirm it" in page.text
    id = re.search(r"/developers/apps/(\w{32})", page.text)
    assert id
    assert "Confirm it only if it was you" in (await visitor.get(f"/developers/apps/{id[1]}")).text
    gone = await sent(visitor, f"/developers/apps/{id[1]}", do="discard")
    assert "Nothing is registered" in (await visitor.get(gone.headers["location"])).text
    assert (await visitor.get(link_in(box.messages[0].get_content()))).status_code == 404
    for _ in range(4):
        assert (await sent(visitor, "/developers", **TYPED)).status_code == 200
    await developer_links.settled()
    assert len(box.messages) == 3  # no more than three a quarter of an hour, and nobody is told so
    for n in range(20):
        last = await sent(visitor, "/developers/link", email=f"guess{n}@birch.example")
    assert (last.status_code, last.headers["retry-after"]) == (429, "900")
    assert (await sent(visitor, "/developers", **TYPED)).status_code == 429


async def test_a_site_that_does_not_offer_it_answers_like_an_unknown_page(
    visitor: Client, sign_in: SignIn, app: Starlette
) -> None:
    root = await sign_in("root")
    assert "no mail server" in (await root.get("/apps")).text
    app.state.settings.developer_registration = "off"
    assert "mail server" not in (await root.get("/apps")).text
    for method, path in (
        ("GET", "/developers"), ("POST", "/developers"), ("GET", "/developers/link"), ("POST", "/developers/open"),
        ("GET", "/developers/link/x"), ("GET", "/developers/apps"), ("POST", "/developers/apps/x"), ("POST", "/developers/leave"),
    ):  # fmt: skip
        answer = await visitor.request(method, path)
        unknown = await visitor.request(method, "/nowhere")
        assert (answer.status_code, answer.text) == (404, unknown.text), path
        assert answer.headers.get("set-cookie") is None


async def test_no_form_of_another_site_is_taken(visitor: Client, box: Mailbox) -> None:
    token = csrf_of(await visitor.get("/developers"))
    for path in ("/developers", "/developers/link", "/developers/open"):
        for data, headers in (
            ({}, {}),
            ({"csrf": "x" * 43}, {}),
            ({"csrf": token}, {"sec-fetch-site": "cross-site"}),
        ):
            assert (await visitor.post(path, data=TYPED | data, headers=headers)).status_code == 403, path
    for path in ("/developers/apps/x", "/developers/leave"):
        assert (await visitor.post(path, data={"csrf": token})).headers["location"] == "/developers/link"
    await sent(visitor, "/developers", **TYPED)
    await developer_links.settled()
    await opened(visitor, link_in(box.messages[0].get_content()))
    for path in ("/developers/apps/x", "/developers/leave"):
        assert (await visitor.post(path, data={"csrf": "x"})).status_code == 403, path
    assert (
        await sent(visitor, "/developers/apps/x", page="/developers", do="withdraw", sure="yes")
    ).status_code == 404
