"""Registrations: nothing is an app before the address is proven; each link once; no name that is taken; not too many."""

from __future__ import annotations

import asyncio
from datetime import timedelta

import pytest
from msgspec.structs import replace

from commonchart.access.developers import keeping, links, registrations
from commonchart.access.developers.links import Developer
from commonchart.access.oauth import apps
from commonchart.fhir.outcome import Conflict, Invalid, NotFound, Refused, Throttled, Unauthenticated
from commonchart.record.database import Database
from tests.conftest import Clock
from tests.developers import DEE, EMAIL, WANTED, Site, acts, mailed, registered, wanted
from tests.smart import ROOT, an_app


async def tokens(database: Database, clock: Clock) -> tuple[str, str]:
    id, letter = await registrations.register(database, 1, WANTED, "192.0.2.1", clock())
    return id, (await mailed(database, letter, clock())).token


async def test_nothing_is_an_app_before_the_address_is_proven(database: Database, clock: Clock) -> None:
    id, token = await tokens(database, clock)
    assert await apps.listed(database, 1) == []
    for _ in range(2):  # looking is not using
        found = await registrations.look(database, token, clock())
        assert found is not None
        assert (found.id, found.email, found.asked.name) == (id, EMAIL, "Pressure diary")
    async with database.single() as conn:
        kept = await conn.fetch("SELECT l::text FROM developer_link l", ())
    assert token not in str(kept)
    session, made = await registrations.open_link(database, token, clock())
    assert made == id
    app = await apps.one(database, 1, id)
    assert (app.state, app.secret, app.publisher) == ("waiting", None, "Birch Labs")
    assert await links.resume(database, session, clock()) == DEE
    assert await acts(database) == ["developer-register", "register-app", "developer-session"]
    with pytest.raises(NotFound, match="has been used"):
        await registrations.open_link(database, token, clock())
    clock.advance(minutes=30)
    with pytest.raises(Unauthenticated):
        await links.resume(database, session, clock())
    for odd in ("", "x" * 5000, "\0", session):
        with pytest.raises(NotFound):
            await registrations.look(database, odd, clock())


async def test_a_link_lives_a_day_and_of_two_at_once_one_is_right(database: Database, clock: Clock) -> None:
    _, token = await tokens(database, clock)
    both = await asyncio.gather(
        *(registrations.open_link(database, token, clock()) for _ in range(2)), return_exceptions=True
    )
    assert sorted(isinstance(one, NotFound) for one in both) == [False, True]
    assert len(await apps.listed(database, 1)) == 1
    _, letter = await registrations.register(database, 1, wanted(app="Another diary"), "", clock())
    late = await mailed(database, letter, clock())
    clock.now += timedelta(hours=24)
    with pytest.raises(NotFound):
        await registrations.open_link(database, late.token, clock())


async def test_no_app_is_called_like_another(database: Database, clock: Clock) -> None:
    await Site(database).say(name="Alder Street")
    await an_app(database, clock, name="Growth charts")
    for name in ("GROWTH charts", "Gr0wth charts", "Grow\u0442h charts", "Alder Street diary", "Diary\u202e"):
        with pytest.raises(Invalid) as refused:
            await registrations.register(database, 1, wanted(app=name), "", clock())
        assert [issue.at for issue in refused.value.issues] == ["name"], name
    for organization in ("Alder Street", "Commonchart Inc", "x\u200bx", ""):
        with pytest.raises(Invalid) as refused:
            await registrations.register(database, 1, wanted(organization=organization), "", clock())
        assert [issue.at for issue in refused.value.issues] == ["organization"], organization
    # two that were asked at the same time: the second to be proven is refused, and its link stays good
    _, first = await registrations.register(database, 1, WANTED, "", clock())
    _, second = await registrations.register(
        database, 1, wanted(email="eve@evil.example", app="Pressure-Diary"), "", clock()
    )
    one, two = [await mailed(database, letter, clock()) for letter in (first, second)]
    await registrations.open_link(database, one.token, clock())
    with pytest.raises(Conflict):
        await registrations.open_link(database, two.token, clock())
    assert (await links.look(database, two.token, clock())).email == "eve@evil.example"
    # a refused app holds no name
    app = (await apps.listed(database, 1))[1]
    await apps.decide(database, ROOT, app.id, "refused", clock(), revision=app.revision, reason="no")
    await registrations.open_link(database, two.token, clock())
    # and does not get it back while another has it
    with pytest.raises(Conflict, match="looks like it"):
        await apps.decide(database, ROOT, app.id, "approved", clock())
    with pytest.raises(Conflict, match="looks like it"):
        await keeping.change(database, DEE, app.id, replace(WANTED.app, about="Better"), clock())
    assert (await apps.one(database, 1, app.id)).state == "refused"


async def test_somebody_elses_registration_with_ones_address_is_never_proven_by_the_way(
    database: Database, clock: Clock
) -> None:
    """Eve registers with Dee's address; Dee asks for a link to her own apps: Eve's waits until Dee says that it is hers."""
    await registered(database, clock())
    id, _ = await registrations.register(database, 1, wanted(app="Evil twin"), "", clock())
    link = await mailed(database, await links.ask(database, DEE, "", clock()), clock())
    await registrations.open_link(database, link.token, clock())
    assert [app.name for app in await apps.listed(database, 1)] == ["Pressure diary"]
    eve = Developer(1, "eve@evil.example")
    for act in (registrations.confirm, registrations.discard):
        with pytest.raises(NotFound):
            await act(database, eve, id, clock())
    await registrations.discard(database, DEE, id, clock())
    with pytest.raises(NotFound):
        await registrations.confirm(database, DEE, id, clock())


async def test_nobody_floods_an_address_or_the_site(
    database: Database, clock: Clock, monkeypatch: pytest.MonkeyPatch
) -> None:
    sent = []
    for day in range(2):
        for n in range(20):
            _, letter = await registrations.register(
                database, 1, wanted(app=f"Diary {day} of {n}"), "", clock()
            )
            sent += [await mailed(database, letter, clock())] if letter else []
            clock.advance(minutes=10)
        clock.now += timedelta(days=1)
    assert len(sent) == 2 * links.PER_EMAIL_A_DAY
    monkeypatch.setattr(registrations, "MOST_WAITING", 2)
    ids = [link for link in sent[-3:] if link]
    clock.now = ids[0].expires - timedelta(hours=1)
    await registrations.open_link(database, ids[0].token, clock())
    await registrations.open_link(database, ids[1].token, clock())
    with pytest.raises(Conflict, match="wait for a decision"):
        await registrations.open_link(database, ids[2].token, clock())
    monkeypatch.setattr(registrations, "MOST_UNPROVEN", 2)
    with pytest.raises(Throttled):
        await registrations.register(database, 1, wanted(email="a@b.example", app="Yet another"), "", clock())
    for _ in range(links.PER_ADDRESS):
        with pytest.raises(Refused) as refused:
            await registrations.register(database, 1, wanted(app=""), "192.0.2.9", clock())
        assert refused.value.status == 422
    with pytest.raises(Throttled):
        await links.ask(database, DEE, "192.0.2.9", clock())


async def test_an_unknown_address_costs_the_same_statements(
    database: Database, clock: Clock, monkeypatch: pytest.MonkeyPatch
) -> None:
    await registered(database, clock())
    asked: list[list[str]] = []
    from commonchart.record.connection import Connection

    fetch = Connection.together

    async def counting(self: Connection, given: object) -> object:
        asked[-1] += [str(one[0])[:40] for one in given]  # type: ignore[attr-defined]
        return await fetch(self, given)  # type: ignore[arg-type]

    monkeypatch.setattr(Connection, "together", counting)
    links_made = []
    for email in (EMAIL, "nobody@birch.example"):
        asked.append([])
        links_made.append(await links.ask(database, Developer(1, email), "192.0.2.1", clock()))
    assert (links_made[0] is None, links_made[1]) == (False, None)
    assert asked[0] == asked[1]
    assert len(asked[0]) > 4
    async with database.single() as conn:
        rows = await conn.fetch(
            "SELECT email FROM developer_link WHERE expires > %s AND kind = 'apps'", (clock(),)
        )
    assert rows == [(EMAIL,)]
