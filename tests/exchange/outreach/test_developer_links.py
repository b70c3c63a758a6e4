"""Letters with a link wait as rows, are tried again, and hold no token before they are sent."""

from __future__ import annotations

from pathlib import Path

import pytest

from commonchart.access.developers import links, registrations
from commonchart.access.developers.links import Developer
from commonchart.access.people import notices
from commonchart.exchange.outreach.developer_links import NO_ADDRESS
from commonchart.fhir.outcome import NotFound
from commonchart.jobs import accounts, worker
from commonchart.record.database import Database
from tests.conftest import Clock
from tests.developers import DEE, EMAIL, WANTED, Site, letters, link_in, wanted
from tests.outreach import mail_server


async def states(database: Database) -> list[tuple[str, str, str]]:
    async with database.single() as conn:
        rows = await conn.fetch("SELECT kind, address, state FROM account_notice ORDER BY at, kind, address")
    return [tuple(row) for row in rows]  # type: ignore[misc]


async def test_a_letter_that_could_not_be_sent_is_tried_again_with_a_link_that_was_never_kept(
    database: Database, clock: Clock, tmp_path: Path
) -> None:
    said = Site(database)
    await said.say(name="Alder Street", smtp_url="smtp://127.0.0.1:1")
    await registrations.register(database, 1, WANTED, "192.0.2.1", clock())
    await letters(database, clock)  # the mail server is away; the web process may be gone for good
    assert await states(database) == [("link-proof", EMAIL, "waiting")]
    async with database.single() as conn:
        assert await notices.stuck(conn, 1)
    clock.advance(minutes=2)
    async with mail_server(said, tmp_path) as (box, server):
        await letters(database, clock)
        [first] = box.messages
        assert await states(database) == [("link-proof", EMAIL, "sent")]
        async with database.single() as conn:
            assert await notices.stuck(conn, 1) == ""
        token = link_in(first.get_content()).rpartition("/")[2]
        async with database.single() as conn:
            kept = await conn.fetch("SELECT l::text, n::text FROM developer_link l, account_notice n")
        assert token not in str(kept)
        assert (await registrations.look(database, token, clock())) is not None
        # to one's apps: known or not, the same rows; only a known address is written to
        for email in (EMAIL, "nobody@birch.example"):
            await links.ask(database, Developer(1, email), "192.0.2.1", clock())
        server.stop()
        await letters(database, clock)
        assert ("link-apps", EMAIL, "waiting") in await states(database)
        assert ("link-apps", "nobody@birch.example", "none") in await states(database)
        # its registration is taken back meanwhile: nothing is sent of it any more
        another, _ = await registrations.register(database, 1, wanted(app="Other diary"), "", clock())
        await registrations.discard(database, DEE, another, clock())
        clock.advance(minutes=2)
        server.start()
        await letters(database, clock)
        assert [str(one["Subject"]) for one in box.messages[1:]] == ["Alder Street: your apps"]
        assert set(box.recipients) == {EMAIL}
        session, _ = await registrations.open_link(
            database, link_in(box.messages[1].get_content()).rpartition("/")[2], clock()
        )
        assert await links.resume(database, session, clock()) == DEE
    clock.advance(days=3)
    await letters(database, clock)
    assert await states(database) == []


async def test_of_two_tries_the_last_link_is_the_good_one_and_a_day_is_enough(
    database: Database, clock: Clock
) -> None:
    await Site(database).say(smtp_url="smtp://127.0.0.1:1")
    _, letter = await registrations.register(database, 1, WANTED, "", clock())
    assert letter is not None
    tokens = []
    for _ in range(2):
        async with database.connection() as conn:
            made = await links.written(conn, letter, clock())
        assert made is not None
        tokens.append(made.token)
    async with database.single() as conn:
        rows = await conn.fetch("SELECT count(*) FROM developer_link")
    assert rows[0][0] == 1
    assert (await links.look(database, tokens[1], clock())).email == EMAIL
    with pytest.raises(NotFound):
        await links.look(database, tokens[0], clock())
    clock.advance(hours=24)
    await letters(database, clock)
    assert [state for _, _, state in await states(database)] == ["none"]


async def test_without_a_public_address_nothing_is_sent(
    database: Database, clock: Clock, tmp_path: Path
) -> None:
    async with mail_server(Site(database), tmp_path) as (box, _):
        await registrations.register(database, 1, WANTED, "", clock())
        while await accounts.drain(database, clock, worker.Site(Path(), base_url="http://chart.example")):
            pass
    assert box.messages == []
    async with database.single() as conn:
        assert await conn.fetch("SELECT state, error FROM account_notice") == [("none", NO_ADDRESS)]
