"""The doors of developers under attack: fields that no browser sends, and an e-mail that carries what somebody typed (D1, E1, F1, F5, G13)."""

from __future__ import annotations

from pathlib import Path
from random import Random

from msgspec.structs import replace
from starlette.applications import Starlette

from commonchart.access.developers import registrations
from commonchart.access.oauth import apps
from commonchart.exchange.outreach import account_notices
from commonchart.exchange.outreach.notices import Post
from commonchart.record.database import Database
from tests.conftest import Clock
from tests.developers import APP, TYPED, WANTED, Site, csrf_of, link_in, registered
from tests.hostile.conftest import SignedIn
from tests.hostile.test_page_fuzz import ODD, SEED
from tests.outreach import mail_server
from tests.smart import ROOT

FIELDS = [*TYPED, "do", "sure", "token", "app", "revision", "state", "publisher", "email"]


async def test_no_field_of_a_developer_makes_it_fail(
    whole: Starlette, signed_in: SignedIn, database: Database, clock: Clock
) -> None:
    """With a session, so that every act is reached; and nothing that is sent along decides anything (D1)."""
    random, client = Random(SEED), await signed_in()
    id, session = await registered(database, clock())
    client.cookies.set("commonchart-developer", session, domain="test.local", path="/developers")
    csrf = csrf_of(await client.get("/developers"))
    mine = f"/developers/apps/{id}"
    assert "Waits for approval" in (await client.get(mine)).text
    wrong = []
    for path in ("/developers", "/developers/link", "/developers/open", mine):
        for _ in range(12):
            sent = {name: random.choice(ODD) for name in random.sample(FIELDS, 4)}
            if path == mine:
                sent["do"] = random.choice(("secret", "change", "back", "confirm", "discard", "withdraw", ""))
                sent.pop("sure", None)
            given = (TYPED if random.random() < 0.5 else {}) | sent | {"csrf": csrf, "state": "approved"}
            answer = await client.post(path, data=given)
            if answer.status_code >= 500 or "<script>alert" in answer.text:
                wrong.append((path, sent, answer.status_code))
            clock.advance(seconds=20)
    assert wrong == []
    assert {app.state for app in await apps.listed(database, 1)} == {"waiting"}


async def test_nothing_that_was_typed_comes_out_of_the_mail_server(
    database: Database, clock: Clock, tmp_path: Path
) -> None:
    """A registration is no way to have the site send somebody's words: the letter to an unproven address holds none of them.

    Later ones hold the name of the app, which is no address, and what an administrator wrote.
    """
    said = Site(database)
    await said.say(name="Alder Street")
    app = replace(
        APP, name="Cheap pills now", about="Buy at evil.example", redirect_uris=("https://evil.example/cb",)
    )
    one = replace(WANTED, name="Bob evil.example", organization="Evil Corporation", app=app)
    async with mail_server(said, tmp_path) as (box, _):
        id, _ = await registrations.register(database, 1, one, "", clock())
        await account_notices.round_of(Post(database, clock, "https://chart.example"))
        token = link_in(box.messages[0].get_content()).rpartition("/")[2]
        await registrations.open_link(database, token, clock())
        await apps.decide(database, ROOT, id, "approved", clock())
        await account_notices.round_of(Post(database, clock, "https://chart.example"))
    first, later = box.messages
    for words in ("pills", "evil", "Evil", "Bob"):
        assert words not in first.as_string(), words
    assert "“Cheap pills now”" in later.get_content()
    for words in ("evil", "Evil", "Bob"):
        assert words not in later.as_string(), words
    assert [str(one["Subject"]) for one in box.messages] == ["Alder Street: confirm your e-mail address", "Alder Street: your app"]  # fmt: skip
    assert [one.get_all("To") for one in box.messages] == [[WANTED.email]] * 2
    assert all(one.get_all("Bcc") is None for one in box.messages)
