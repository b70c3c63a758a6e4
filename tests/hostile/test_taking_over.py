"""An administrator of one organisation and somebody who also works for another: nothing that they can do, now or beforehand,
lets them act as that person there."""

from __future__ import annotations

import asyncio
from pathlib import Path
from uuid import uuid4

import pytest
from starlette.applications import Starlette

from commonchart.access import signin, users
from commonchart.access.people import address, factors, links, memberships, sessions, staff
from commonchart.access.people.staff import Asked, Change
from commonchart.access.records import Records
from commonchart.cli.app import ROOT
from commonchart.fhir.outcome import Conflict, Invalid, NotFound, Unauthenticated
from commonchart.jobs import accounts
from commonchart.jobs.worker import Site
from commonchart.record.database import Database
from tests.conftest import Clock
from tests.hostile.conftest import SignedIn
from tests.joining import SECRET, as_user, asked, come_in, enrolled, join, sent, session_of
from tests.web.conftest import PASSWORD

EVIL = "mine@evil.example"
OTHER = "quiet river stones"
KIM = users.id_of("kim")


@pytest.fixture
async def birch(whole: Starlette, database: Database, clock: Clock) -> Records:
    """Birch, where Kim works, and the records of Bea, its administrator: it is her who is not to be trusted here."""
    for login, role in (("bea", "administrator"), ("kim", "clinician")):
        await users.create(
            database, tenant=1, login=login, name=f"{login.title()} of Birch", role=role, org="birch", now=clock(),
            password=PASSWORD, practitioner="kim" if login == "kim" else None,
        )  # fmt: skip
    return await as_user(database, clock, "bea")


async def may_not(bea: Records) -> None:
    """The account is Kim's alone: a link, the factors, the address, the name and who they are; the role at Birch is Bea's."""
    for act in (staff.new_link(bea, KIM, channel="hand"), staff.without_factors(bea, KIM)):
        with pytest.raises(Conflict, match="theirs alone"):
            await act
    with pytest.raises(Invalid) as held:
        await staff.change(bea, KIM, Change("Kim", "nurse", "birch", EVIL, "wrenfield"))
    assert {one.at for one in held.value.issues} == {"name", "email", "practitioner"}
    account, _ = await staff.one(bea, KIM)
    same = Change(account.name, "nurse", "birch", account.email, "kim")
    assert (await staff.change(bea, KIM, same)).role == "nurse"


async def test_from_the_question_on_the_account_is_its_owners_alone(
    birch: Records, signed_in: SignedIn, database: Database, clock: Clock
) -> None:
    """By calls and by the page, while Kim is asked and once they work for both; where one organisation is left it ends."""
    alder = await as_user(database, clock, "root")
    link = await staff.new_link(birch, KIM, channel="hand")
    word = await staff.ask(alder, Asked("kim", "clinician", "alder"))
    with pytest.raises(NotFound):  # what Bea made before and kept
        await links.look(database, link.token, clock())
    await may_not(birch)
    bea, path = await signed_in("bea"), f"/users/{KIM}"
    shown = (await bea.get(path)).text
    assert "is theirs alone" in shown
    assert not any(f'value="{todo}"' in shown for todo in ("link", "factors", "back"))
    for todo in ("link", "factors"):
        assert (await sent(bea, path, do=todo, channel="hand")).status_code == 409
    kept = {"name": "Kim of Birch", "role": "nurse", "org": "birch", "practitioner": "kim"}
    refused = await sent(bea, path, do="change", email=EVIL, **kept)
    assert (refused.status_code, "only the role is yours" in refused.text) == (422, True)
    app = await enrolled(database, clock, "kim")
    session = await session_of(database, clock, "kim", app)
    kim = Records(database, session.actor, clock)
    await memberships.accept(kim, await asked(database, "kim", "alder"), session.token, word)
    await may_not(birch)
    whoever = Records(database, users.actor(await users.find(database, "bea"), "web"), clock)
    for reaching in (
        whoever,
        alder,
    ):  # where nothing is shared an administrator reaches all, and yet not this
        with pytest.raises(Conflict, match="theirs alone"):
            await staff.new_link(reaching, KIM, channel="hand")

    # whoever runs the program helps; at Alder it ends, and Birch looks after the account again
    ours = Records(database, ROOT, clock)
    assert (await staff.new_link(ours, KIM, channel="hand")).kind == "reset"
    await staff.leave(alder, KIM)
    assert (await staff.new_link(birch, KIM, channel="hand")).kind == "reset"


async def test_a_question_that_nobody_answers_lapses_and_gives_nothing_then(
    birch: Records, database: Database, clock: Clock
) -> None:
    """Whoever asks cannot keep an account from the administrators who look after it for longer than a fortnight."""
    alder = await as_user(database, clock, "root")
    word = await staff.ask(alder, Asked("kim", "clinician", "alder"))
    app, place = await enrolled(database, clock, "kim"), await asked(database, "kim", "alder")
    clock.advance(days=13)
    await accounts.drain(database, clock, Site(Path()))
    await may_not(birch)
    clock.advance(days=1)
    session = await session_of(database, clock, "kim", app)
    with pytest.raises(Invalid, match="older than 14 days"):
        await memberships.accept(Records(database, session.actor, clock), place, session.token, word)
    await accounts.drain(database, clock, Site(Path()))
    with pytest.raises(NotFound):
        await memberships.accept(Records(database, session.actor, clock), place, session.token, word)
    assert (await staff.new_link(birch, KIM, channel="hand")).kind == "reset"
    async with database.dedicated(owner=True) as conn:
        told = await conn.fetch("SELECT actor, org, id, outcome FROM audit WHERE detail = 'not answered'")
    assert told == [("account-worker", "alder", KIM, 4)]
    assert await staff.ask(alder, Asked("kim", "nurse", "alder")) != word


async def test_what_was_prepared_before_kim_joined_opens_nothing_at_the_other(
    birch: Records, database: Database, clock: Clock
) -> None:
    """An address, a link that was kept, a passkey and recovery codes that Bea made as Kim, a session of hers that stayed open."""
    await staff.change(birch, KIM, Change("Kim of Birch", "clinician", "birch", EVIL, "kim"))
    app = await enrolled(database, clock, "kim")
    as_kim = users.actor(await users.find(database, "kim"), "web")
    async with database.connection() as conn:
        await conn.execute(
            "INSERT INTO factor (id, tenant, actor, kind, label, secret, credential, created, confirmed, used) "
            "VALUES ('hers', 1, %s, 'passkey', 'x', '', 'hers', %s, %s, %s)",
            (KIM, clock(), clock(), clock()),
        )
        codes = await factors.renew(conn, SECRET, as_kim, clock())
    hers = await session_of(database, clock, "kim", app)
    kept = await staff.new_link(birch, KIM, channel="hand")

    word = await staff.ask(await as_user(database, clock, "root"), Asked("kim", "administrator", "alder"))
    session = await session_of(database, clock, "kim", app)
    place = await asked(database, "kim", "alder")
    await memberships.accept(Records(database, session.actor, clock), place, session.token, word)
    assert (await signin.resume(database, session.token, clock())).actor.user == KIM
    with pytest.raises(NotFound):
        await links.look(database, kept.token, clock())
    with pytest.raises(Unauthenticated):
        await signin.resume(database, hers.token, clock())
    async with database.single() as conn:
        assert [one.kind for one in (await factors.listed(conn, KIM))[0]] == ["totp"]
        assert [await factors.verify(conn, SECRET, KIM, one, clock()) for one in codes] == [""] * len(codes)
    # the post that she reads gives her a password, and that is not enough
    link = await links.forgotten(database, 1, "kim", "198.51.100.1", clock())
    assert (link.email if link else "") == EVIL
    await links.accept(database, link.token if link else "", OTHER, clock())
    assert (await signin.sign_in(database, "kim", OTHER, clock())).wants == "factor"
    # Kim, who has the authenticator, mends the address; what went to hers ends
    late = await links.forgotten(database, 1, "kim", "198.51.100.1", clock())
    mine = await session_of(database, clock, "kim", app, OTHER)
    await address.change(database, mine.actor, "kim@own.example", clock())
    with pytest.raises(NotFound):
        await links.look(database, late.token if late else "", clock())
    async with database.single() as conn:
        rows = await conn.fetch(
            "SELECT address FROM account_notice WHERE kind = 'email' ORDER BY at, address"
        )
    assert [row[0] for row in rows][-2:] == ["kim@own.example", EVIL]


async def test_yes_is_said_with_a_second_step_of_ones_own(
    birch: Records, signed_in: SignedIn, database: Database, clock: Clock
) -> None:
    """No password, no recovery code, nothing that was shown long ago, and in no other session; the last factor then stays.

    Nor without the code: whoever can sign in as Kim and has a factor of their own there does not have what Alder gave Kim.
    """
    alder = await as_user(database, clock, "root")
    word = await staff.ask(alder, Asked("kim", "clinician", "alder"))
    place = await asked(database, "kim", "alder")
    bare = await signin.sign_in(database, "kim", PASSWORD, clock())
    kim = Records(database, bare.actor, clock)
    refusals = [bare.token]
    app = await enrolled(database, clock, "kim")
    good = await session_of(database, clock, "kim", app)
    async with database.connection() as conn:
        on_paper = await sessions.begin(
            conn, KIM, kim.actor.membership, clock(), kind="session", factor="password and recovery"
        )
    refusals += [on_paper, ""]
    clock.advance(minutes=6)
    for token in (*refusals, good.token):
        with pytest.raises(Conflict, match="set up yourself"):
            await memberships.accept(kim, place, token, word)
    clock.advance(seconds=30)
    other = await signin.sign_in(database, "root", PASSWORD, clock())
    with pytest.raises(Conflict):
        await memberships.accept(kim, place, other.token, word)
    page = await come_in(await signed_in("kim"), app, clock)
    yes = {"do": "accept", "place": place}
    for guess in ("", "abcde-fghjk"):
        refused = await sent(page, "/acting-for/answer", "/acting-for", code=guess, **yes)
        assert (refused.status_code, "not the code" in refused.text) == (422, True)
    assert (await sent(page, "/acting-for/answer", "/acting-for", code=word, **yes)).status_code == 303
    with pytest.raises(Unauthenticated):
        await signin.resume(database, good.token, clock())
    async with database.single() as conn:
        [factor] = (await factors.listed(conn, KIM))[0]
    with pytest.raises(Conflict, match="several organisations"):
        await factors.remove(database, kim.actor, factor.id, clock())
    # taken away by whoever runs the program, another one is made at the door
    async with database.connection() as conn:
        await factors.take_away(conn, ROOT, KIM, clock())
    assert (await signin.sign_in(database, "kim", PASSWORD, clock())).wants == "enrol"
    await staff.leave(alder, KIM)
    assert (await signin.sign_in(database, "kim", PASSWORD, clock())).wants == ""


async def test_a_link_and_a_question_at_the_same_time(
    birch: Records, database: Database, clock: Clock
) -> None:
    """Whoever looks at an account waits for who is changing whom its owner works for, and then sees it."""
    async with database.connection() as conn:
        await memberships.hold(conn, 1, KIM)
        link = asyncio.create_task(staff.new_link(birch, KIM, channel="hand"))
        done, _ = await asyncio.wait({link}, timeout=0.2)
        assert not done
        await conn.execute(
            "INSERT INTO membership (id, tenant, actor, org, role, asked) VALUES (%s, 1, %s, 'alder', 'nurse', %s)",
            (str(uuid4()), KIM, clock()),
        )
    with pytest.raises(Conflict, match="theirs alone"):
        await link


async def test_who_ends_one_ends_nothing_of_the_other(
    birch: Records, database: Database, clock: Clock
) -> None:
    """Bea ends Kim's work at Birch: it is all that she ends, and letting them in again is not hers while they work elsewhere."""
    app = await join(database, clock, await as_user(database, clock, "root"), "kim", "alder")
    session = await session_of(database, clock, "kim", app)
    kim = Records(database, session.actor, clock)
    token, _ = await memberships.switch(kim, session.token, await asked(database, "kim", "alder"))
    await staff.leave(birch, KIM)
    assert (await signin.resume(database, token, clock())).actor.org == "alder"
    with pytest.raises(Conflict, match="another organisation"):
        await staff.back(birch, KIM, channel="hand")
    for act in (staff.new_link(birch, KIM, channel="hand"), staff.without_factors(birch, KIM)):
        with pytest.raises(Conflict, match="has ended"):
            await act
    await address.change(database, kim.actor, "kim@own.example", clock())
    assert (await staff.one(birch, KIM))[0].email == ""
    assert (await staff.listed(birch, staff.Wanted(q="own.example"), limit=9))[1] == 0
