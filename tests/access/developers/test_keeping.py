"""What a developer does with an approved app never gives it anything by itself; what an administrator decides is what they saw."""

from __future__ import annotations

from datetime import timedelta

import pytest
from msgspec.structs import replace

from commonchart.access import credentials
from commonchart.access.developers import keeping, registrations
from commonchart.access.developers.links import Developer
from commonchart.access.oauth import apps, tokens
from commonchart.access.oauth.apps import App, NewApp
from commonchart.access.oauth.tokens import Place
from commonchart.fhir.outcome import Conflict, Forbidden, Invalid, NotFound, Throttled, Unauthenticated
from commonchart.jobs import developers as job
from commonchart.record.database import Database
from tests.conftest import Clock
from tests.developers import APP, DEE, acts, registered, told, wanted
from tests.smart import ROOT, a_code, a_person, an_app, code_form

PLACE = Place("http://test/fhir", "", None)
WIDER = replace(
    APP, redirect_uris=("https://evil.example/cb",), scopes="user/*.cruds", name="Another", kind="public"
)


async def approved(database: Database, clock: Clock) -> App:
    id, _ = await registered(database, clock())
    app = await apps.one(database, 1, id)
    return await apps.decide(database, ROOT, id, "approved", clock(), revision=app.revision)


async def a_change(database: Database, app: App) -> keeping.Change:
    async with database.single() as conn:
        found = await keeping.change_of(conn, app.id)
    assert found is not None
    return found


async def test_an_approved_app_gains_nothing_before_somebody_agreed(database: Database, clock: Clock) -> None:
    app = await approved(database, clock)
    await keeping.change(database, DEE, app.id, WIDER, clock())
    now = await apps.one(database, 1, app.id)
    assert keeping.as_asked(now) == keeping.as_asked(app)
    change = await a_change(database, app)
    lines = keeping.difference(now, change.asked)
    assert {line.field for line in lines} == {"redirect_uris", "scopes"}
    [scopes] = [line for line in lines if line.field == "scopes"]
    assert (scopes.added, scopes.removed) == ({"user/*.cruds"}, set(APP.scopes.split()))
    # another change while the first is looked at, or the first taken back and another asked: what was seen decides
    await keeping.take_back(database, DEE, app.id, clock())
    await keeping.change(database, DEE, app.id, replace(APP, scopes="patient/*.rs"), clock())
    with pytest.raises(Conflict, match="changed it since"):
        await keeping.decide_change(database, ROOT, app.id, change.revision, clock(), agreed=True)
    with pytest.raises(Forbidden):
        await keeping.decide_change(database, DEE.actor, app.id, change.revision, clock(), agreed=True)
    newer = await a_change(database, app)
    with pytest.raises(Invalid):
        await keeping.decide_change(database, ROOT, app.id, newer.revision, clock(), agreed=False)
    await keeping.decide_change(database, ROOT, app.id, newer.revision, clock(), agreed=True)
    now = await apps.one(database, 1, app.id)
    assert (now.scopes, now.redirect_uris, now.name, now.kind) == ("patient/*.rs", app.redirect_uris, app.name, "secret")  # fmt: skip
    with pytest.raises(NotFound):
        await keeping.decide_change(database, ROOT, app.id, newer.revision, clock(), agreed=True)
    assert (await acts(database))[-5:] == ["approve-app", "change-app", "change-app", "change-app", "approve-app-change"]  # fmt: skip
    assert ("change-approved", DEE.email, app.name) in await told(database)


async def test_what_waits_is_approved_as_it_was_seen(database: Database, clock: Clock) -> None:
    id, _ = await registered(database, clock())
    seen = (await apps.one(database, 1, id)).revision
    await keeping.change(database, DEE, id, WIDER, clock())
    for state in ("approved", "refused"):
        with pytest.raises(Conflict, match="changed it since"):
            await apps.decide(database, ROOT, id, state, clock(), revision=seen, reason="x")  # type: ignore[arg-type]
    with pytest.raises(Invalid) as refused:
        await keeping.change(database, DEE, id, replace(WIDER, redirect_uris=("javascript:x",)), clock())
    assert [issue.at for issue in refused.value.issues] == ["redirect_uris"]
    with pytest.raises(Conflict, match="Nothing differs"):
        await keeping.change(database, DEE, id, WIDER, clock())


async def test_one_developer_has_nothing_of_another(database: Database, clock: Clock) -> None:
    app = await approved(database, clock)
    ours, _ = await an_app(database, clock)
    eve = Developer(1, "eve@evil.example")
    await registered(database, clock(), wanted(email=eve.email, app="Evil twin"))
    for id in (app.id, ours.id, "nobody", "\0"):
        for act in (
            keeping.one(database, eve, id),
            keeping.secret(database, eve, id, clock()),
            keeping.change(database, eve, id, WIDER, clock()),
            keeping.take_back(database, eve, id, clock()),
            keeping.withdraw(database, eve, id, clock()),
        ):
            with pytest.raises(NotFound, match="no app of yours"):
                await act
    assert [kept.registration.asked.name for kept in await keeping.listed(database, eve)] == ["Evil twin"]
    assert (await apps.one(database, 1, app.id)).state == "approved"


async def test_withdrawing_ends_everything_at_once_and_for_good(database: Database, clock: Clock) -> None:
    app = await approved(database, clock)
    made = await keeping.secret(database, DEE, app.id, clock())
    assert (await apps.one(database, 1, app.id)).proves(made)
    who = await a_person(database, clock)
    app = await apps.one(database, 1, app.id)
    code = await a_code(database, clock, app, who, app.scopes, "ada")
    given = await tokens.answer(database, app, code_form(app, code), PLACE, clock())
    token = given["access_token"]
    assert (await credentials.actor_of(database, token, clock())).user == who.user
    await keeping.withdraw(database, DEE, app.id, clock())
    with pytest.raises(Unauthenticated):
        await credentials.actor_of(database, token, clock())
    async with database.single() as conn:
        assert await conn.fetch("SELECT why FROM app_grant", ()) == [("its developer withdrew the app",)]
    assert not (await apps.one(database, 1, app.id)).proves(made)
    for again in (
        keeping.withdraw(database, DEE, app.id, clock()),
        keeping.change(database, DEE, app.id, WIDER, clock()),
        keeping.secret(database, DEE, app.id, clock()),
        apps.decide(database, ROOT, app.id, "approved", clock()),
    ):
        with pytest.raises(Conflict):
            await again
    # the app stays, since somebody allowed it; its developer's contact does not
    clock.now += timedelta(days=31)
    assert await job.drain(database, clock, None) == 0
    assert (await apps.one(database, 1, app.id)).state == "withdrawn"
    assert await registrations.contact(database, 1, app.id) is None


async def test_a_secret_is_there_when_it_is_approved_and_renewed_by_nobody_else(
    database: Database, clock: Clock
) -> None:
    id, _ = await registered(database, clock())
    with pytest.raises(Conflict):
        await keeping.secret(database, DEE, id, clock())
    with pytest.raises(Invalid, match="developer"):
        await apps.new_secret(database, ROOT, id, clock())
    app = await apps.decide(database, ROOT, id, "approved", clock())
    first = await keeping.secret(database, DEE, id, clock())
    assert not app.proves(first)
    second = await keeping.secret(database, DEE, id, clock())
    app = await apps.one(database, 1, id)
    assert (app.proves(first), app.proves(second)) == (False, True)
    assert [kind for kind, *_ in await told(database)].count("app-secret") == 1
    for _ in range(18):
        await keeping.secret(database, DEE, id, clock())
    with pytest.raises(Throttled):
        await keeping.secret(database, DEE, id, clock())
    await apps.decide(database, ROOT, id, "disabled", clock(), revision=None)
    clock.advance(minutes=16)
    with pytest.raises(Conflict):
        await keeping.secret(database, DEE, id, clock())


def test_every_field_of_an_app_is_changed_or_belongs_to_another_app() -> None:
    fixed = {"name", "kind", "audience"}
    assert set(keeping.FIELDS) | fixed == set(NewApp.__struct_fields__)
