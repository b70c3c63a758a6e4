"""Somebody leaves, and every door that stood open to them is shut; administrators reach no further than they should."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from datetime import timedelta
from pathlib import Path

import httpx
import pytest
from starlette.applications import Starlette

from commonchart import app as wiring
from commonchart.access import credentials, signin, users
from commonchart.access.actors import Actor
from commonchart.access.oauth import apps, grants, launches
from commonchart.access.people import links, staff
from commonchart.access.people.links import Person
from commonchart.access.people.staff import Change, Wanted
from commonchart.access.records import Put, Records
from commonchart.exchange.subscriptions import state, tickets
from commonchart.exchange.subscriptions.plan import Plan
from commonchart.fhir.outcome import Conflict, Forbidden, Invalid, NotFound, Unauthenticated
from commonchart.fhir.validate import validate
from commonchart.record.database import Database
from commonchart.settings import Settings
from tests.conftest import Clock
from tests.rest.test_subscriptions import Line
from tests.smart import TOKEN_KEY, a_code, an_app, basic, bearer, code_form

PASSWORD = "a long enough password"
ALL = "openid fhirUser launch/patient offline_access patient/*.rs"
ROOT = Actor(1, "root", "Root", "administrator", "alder", "web", network=False)


def by(database: Database, clock: Clock, **more: object) -> Records:
    return Records(database, Actor(**{**_asdict(ROOT), **more}), clock)  # type: ignore[arg-type]


def _asdict(actor: Actor) -> dict[str, object]:
    return {name: getattr(actor, name) for name in Actor.__struct_fields__}


@pytest.fixture
def application(database: Database, clock: Clock, tmp_path: Path) -> Starlette:
    return wiring.build(Settings(tmp_path, secret=b"s" * 32, token_keys=(TOKEN_KEY,)), database, clock)


@pytest.fixture
async def client(application: Starlette) -> AsyncIterator[httpx.AsyncClient]:
    async with httpx.AsyncClient(transport=httpx.ASGITransport(application), base_url="http://test") as made:
        yield made


async def test_whoever_leaves_loses_everything_at_once(
    client: httpx.AsyncClient, application: Starlette, database: Database, clock: Clock
) -> None:
    """Pages, API token, an app's access and refresh token, its code, introspection, launch, websocket, links, exports."""
    root = by(database, clock)
    loader = Records(database, Actor(1, "l", "L", "system", "alder", "cli", network=False), clock)
    await loader.commit([Put(validate({"resourceType": "Patient", "id": "ada"}), "ada")])
    sage = await users.create(
        database, tenant=1, login="sage", name="Sage", role="administrator", org="alder", now=clock(), password=PASSWORD
    )  # fmt: skip
    who = users.actor(sage, "web")
    session = await signin.sign_in(database, "sage", PASSWORD, clock())
    token = await credentials.issue(
        database, sage.id, clock(), kind="token", client="token:x", lives=timedelta(days=9)
    )
    app, secret = await an_app(database, clock, kind="secret")
    proof = basic(app.id, secret)
    held = (await client.post("/oauth/token", data=code_form(app, await a_code(database, clock, app, who, ALL, "ada")), headers=proof)).json()  # fmt: skip
    code = await a_code(database, clock, app, who, ALL, "ada")
    mine = Records(database, who, clock)
    asked = await apps.register(database, ROOT, apps.NewApp(name="G", redirect_uris=("https://g.example/c",), launch_url="https://g.example/l", scopes="launch patient/*.rs"), clock())  # fmt: skip
    await apps.decide(database, ROOT, asked[0].id, "approved", clock())
    await launches.begin(mine, asked[0].id, "ada")
    invited = await links.invite(mine, Person("bea", "Bea", "nurse", "alder"))
    async with database.connection() as conn:
        await state.begin(conn, 1, "sub", 1, (sage.id, "alder"), Plan("http://t", "websocket"), clock())
        await state.active(conn, 1, "sub", 1, clock())
        ticket, other = [await tickets.issue(conn, who, ["sub"], clock()) for _ in range(2)]
        await conn.execute("INSERT INTO draft (tenant, actor, key, body, saved) VALUES (1, %s, 'k', 'text', now())", (sage.id,))  # fmt: skip
    kicked = await client.get("/fhir/$export", headers={**bearer(token), "prefer": "respond-async", "accept": "application/fhir+json"})  # fmt: skip
    assert kicked.status_code == 202
    line = Line(application)
    await line.hear()
    line.say(f"bind-with-token {ticket}")
    assert (await line.hear())["type"] == "websocket.send"
    cookie = {"cookie": f"commonchart={session.token}"}
    for headers in (bearer(token), bearer(held["access_token"])):
        assert (await client.get("/fhir/Patient/ada", headers=headers)).status_code == 200
    assert (await client.get("/account", headers=cookie)).status_code == 200

    with pytest.raises(Conflict, match="last administrator"):
        await staff.leave(root, sage.id)
    await users.create(database, tenant=1, login="root", name="Root", role="administrator", org="alder", now=clock(), password=PASSWORD)  # fmt: skip
    ended = await staff.leave(root, sage.id)
    assert (ended.sessions, ended.tokens, ended.apps, ended.launches, ended.invitations, ended.subscriptions) == (1, 1, 2, 1, 1, 1)  # fmt: skip
    assert (ended.exports, ended.drafts) == (1, 1)

    for headers in (bearer(token), bearer(held["access_token"])):
        assert (await client.get("/fhir/Patient/ada", headers=headers)).status_code == 401
    assert (await client.get("/account", headers=cookie)).status_code == 303
    refreshed = await client.post("/oauth/token", data={"grant_type": "refresh_token", "refresh_token": held["refresh_token"]}, headers=proof)  # fmt: skip
    assert (refreshed.status_code, refreshed.json()["error"]) == (400, "invalid_grant")
    traded = await client.post("/oauth/token", data=code_form(app, code), headers=proof)
    assert (traded.status_code, traded.json()["error"]) == (400, "invalid_grant")
    for text in (held["access_token"], held["refresh_token"]):
        said = await client.post("/oauth/introspect", data={"token": text}, headers=proof)
        assert said.json() == {"active": False}
    assert (await line.hear())["type"] == "websocket.close"
    again = Line(application)
    await again.hear()
    again.say(f"bind-with-token {other}")
    assert (await again.hear())["type"] == "websocket.close"
    await asyncio.gather(line.leave(), again.leave())
    with pytest.raises(NotFound):
        await links.look(database, invited.token, clock())
    with pytest.raises(Unauthenticated):
        await signin.sign_in(database, "sage", PASSWORD, clock())
    async with database.single() as conn:
        rows = await conn.fetch("SELECT (SELECT state FROM bulk_run), (SELECT count(*) FROM draft), (SELECT count(*) FROM app_launch)")  # fmt: skip
        trail = await conn.fetch(
            "SELECT detail FROM audit WHERE action = 'deactivate' AND id = %s", (sage.id,)
        )
    assert rows == [("refused", 1, 0)]
    assert trail == [("administrator",)]

    back = await staff.back(root, sage.id, channel="hand")
    await links.accept(database, back.token, "seven green bicycles", clock())
    assert (await signin.sign_in(database, "sage", "seven green bicycles", clock())).actor.user == sage.id
    for headers in (bearer(token), bearer(held["access_token"]), cookie):
        assert (await client.get("/fhir/Patient/ada", headers=headers)).status_code == 401
    assert await grants.connected(database, who, clock()) == []


async def test_a_patient_who_is_ended_shares_nothing_any_more(database: Database, clock: Clock) -> None:
    ines = await users.create(database, tenant=1, login="ines", name="I", role="patient", org="alder", now=clock(), patient="ines")  # fmt: skip
    async with database.single() as conn:
        await conn.execute(
            "INSERT INTO share_link (id, tenant, sha256, salt, patient, actor, reader, scope, sections, made, expires) "
            "VALUES ('l', 1, 'd', 's', 'ines', %s, 'Dr', 'full', '{}', %s, %s)",
            (ines.id, clock(), clock() + timedelta(days=1)),
        )
        await conn.execute("INSERT INTO share_file (sha256, link, body, expires) VALUES ('f', 'l', 'b', %s)", (clock(),))  # fmt: skip
    held = await staff.leave(by(database, clock), ines.id)
    assert held.shares == 1
    await staff.back(by(database, clock), ines.id, channel="hand")
    async with database.single() as conn:
        rows = await conn.fetch("SELECT (SELECT revoked FROM share_link), (SELECT count(*) FROM share_file)")
    assert rows == [(clock(), 0)]


async def test_a_change_holds_in_remembered_tokens(database: Database, clock: Clock) -> None:
    ada = await users.create(
        database, tenant=1, login="ada", name="Ada", role="clinician", org="alder", now=clock()
    )
    token = await credentials.issue(
        database, ada.id, clock(), kind="token", client="t", lives=timedelta(days=1)
    )
    assert (await credentials.actor_of(database, token, clock())).role == "clinician"
    await staff.change(by(database, clock), ada.id, Change("Ada B", "billing", "alder"))
    now = await credentials.actor_of(database, token, clock())
    assert (now.role, now.name) == ("billing", "Ada B")
    async with database.single() as conn:
        rows = await conn.fetch("SELECT detail FROM audit WHERE action = 'change-user'")
    assert rows == [("role: clinician -> billing, name",)]


async def test_in_a_network_an_administrator_looks_after_their_own(database: Database, clock: Clock) -> None:
    made = [
        await users.create(database, tenant=1, login=f"u-{org}", name="U", role="nurse", org=org, now=clock())
        for org in ("alder", "birch")
    ]
    here = by(database, clock, network=True)
    found, total = await staff.listed(here, Wanted(), limit=9)
    assert ([one.login for one in found], total) == (["u-alder"], 1)
    assert await staff.organisations(here) == ["alder"]
    for act in (
        staff.one(here, made[1].id), staff.leave(here, made[1].id), staff.new_link(here, made[1].id, channel="hand"),
        staff.change(here, made[1].id, Change("U", "nurse", "birch")), staff.back(here, made[1].id, channel="hand"),
    ):  # fmt: skip
        with pytest.raises(NotFound):
            await act
    with pytest.raises(Invalid, match="own organisation"):
        await staff.change(here, made[0].id, Change("U", "nurse", "birch"))
    with pytest.raises(Invalid, match="own organisation"):
        await staff.invite(here, Person("x1", "X", "nurse", "birch"), channel="hand")
    everybody, _ = await staff.listed(by(database, clock, network=True, org=""), Wanted(), limit=9)
    assert len(everybody) == 2


@pytest.mark.parametrize("role", ["clinician", "nurse", "privacy-officer", "patient", "system"])
async def test_others_are_refused_and_noted(database: Database, clock: Clock, role: str) -> None:
    ada = await users.create(
        database, tenant=1, login="ada", name="Ada", role="nurse", org="alder", now=clock()
    )
    other = by(database, clock, role=role)
    for act in (
        staff.listed(other, Wanted(), limit=1), staff.one(other, ada.id), staff.leave(other, ada.id),
        staff.change(other, ada.id, Change("A", "administrator", "alder")), staff.organisations(other),
        staff.invite(other, Person("x1", "X", "nurse", "alder"), channel="hand"), staff.back(other, ada.id, channel="hand"),
        staff.new_link(other, ada.id, channel="hand"),
    ):  # fmt: skip
        with pytest.raises(Forbidden):
            await act
    async with database.single() as conn:
        rows = await conn.fetch("SELECT count(*) FROM audit WHERE action = 'administer' AND outcome = 4")
    assert rows == [(8,)]


async def test_through_an_app_nobody_looks_after_accounts(database: Database, clock: Clock) -> None:
    with pytest.raises(Forbidden):
        await staff.listed(by(database, clock, app="grant"), Wanted(), limit=1)
