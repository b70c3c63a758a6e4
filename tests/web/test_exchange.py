"""The administrators' page of exports and subscriptions: what it shows, what its buttons do, and for whom."""

from __future__ import annotations

from pathlib import Path

import pytest
from starlette.applications import Starlette

from commonchart.access import users
from commonchart.exchange.subscriptions import state
from commonchart.exchange.subscriptions.plan import Plan
from commonchart.exchange.subscriptions.topics import BASE
from commonchart.jobs import bulk
from commonchart.jobs.worker import Site
from commonchart.record.database import Database
from tests.conftest import Clock
from tests.web.conftest import Client, SignIn, token_of


@pytest.fixture
async def root(sign_in: SignIn) -> Client:
    return await sign_in("root")


async def troubled(database: Database, clock: Clock) -> None:
    """A subscription that was given up with two events untold."""
    user = await users.find(database, "root")
    plan = Plan(f"{BASE}lab-result", "rest-hook", "https://hooks.example/secret-path")
    async with database.connection() as conn:
        await state.begin(conn, 1, "s1", 1, (user.id, user.org), plan, clock())
        await conn.execute(
            "UPDATE subscription_state SET events = 2, state = 'error', error = 'The endpoint answers 500'"
        )


async def test_an_export_from_the_page(
    root: Client, app: Starlette, database: Database, clock: Clock, tmp_path: Path
) -> None:
    app.state.settings.data_dir = tmp_path
    page = await root.get("/exchange")
    assert "Nothing has been exported" in page.text
    assert "Nobody has subscribed" in page.text
    sent = await root.post("/exchange/begin", data={"csrf": token_of(page), "types": "Patient, Observation"})
    assert (sent.status_code, sent.headers["location"]) == (303, "/exchange?said=begun")
    while await bulk.drain(database, clock, Site(tmp_path)):
        pass
    page = await root.get("/exchange?said=begun")
    assert "Patient.ndjson" in page.text
    href = page.text.split('<a href="/exchange/')[1].partition('"')[0]
    file = await root.get(f"/exchange/{href}")
    assert (file.status_code, file.headers["content-type"]) == (200, "application/fhir+ndjson")
    assert file.text.startswith('{"resourceType":"Patient"')
    run = href.partition("/")[0]
    sent = await root.post("/exchange/cancel", data={"csrf": token_of(page), "run": run})
    assert sent.status_code == 303
    assert (await root.get(f"/exchange/{href}")).status_code == 404
    assert "Given up" in (await root.get("/exchange")).text


async def test_an_unknown_type_is_said(root: Client) -> None:
    page = await root.get("/exchange")
    sent = await root.post("/exchange/begin", data={"csrf": token_of(page), "types": "Shoe"})
    assert sent.status_code == 422
    assert 'href="#types"' in sent.text


async def test_trouble_is_shown_and_tried_again(root: Client, database: Database, clock: Clock) -> None:
    await troubled(database, clock)
    page = await root.get("/exchange")
    for words in ("In error", "The endpoint answers 500", "hooks.example", "A laboratory result"):
        assert words in page.text
    assert "secret-path" not in page.text
    sent = await root.post("/exchange/again", data={"csrf": token_of(page), "subscription": "s1"})
    assert sent.status_code == 303
    async with database.single() as conn:
        row = await state.one(conn, 1, "s1")
    assert row is not None
    assert (row.state, row.failures, row.events) == ("requested", 0, 2)
    assert (
        await root.post("/exchange/again", data={"csrf": token_of(page), "subscription": "x"})
    ).status_code == 404


async def test_it_is_for_administrators(sign_in: SignIn, root: Client) -> None:
    assert "/exchange" in (await root.get("/account")).text
    for login in ("sage", "desk"):
        other = await sign_in(login)
        assert (await other.get("/exchange")).status_code == 403
        token = token_of(await other.get("/account"))
        for path in ("begin", "cancel", "again"):
            assert (await other.post(f"/exchange/{path}", data={"csrf": token})).status_code == 403
        assert "/exchange" not in (await other.get("/account")).text


async def test_a_file_is_for_whoever_asked(
    root: Client, sign_in: SignIn, app: Starlette, database: Database, clock: Clock, tmp_path: Path
) -> None:
    app.state.settings.data_dir = tmp_path
    await users.create(
        database, tenant=1, login="root2", name="Other", role="administrator", org="alder", now=clock(),
        password="a long enough password",
    )  # fmt: skip
    page = await root.get("/exchange")
    await root.post("/exchange/begin", data={"csrf": token_of(page), "types": "Patient"})
    while await bulk.drain(database, clock, Site(tmp_path)):
        pass
    href = (await root.get("/exchange")).text.split('<a href="/exchange/')[1].partition('"')[0]
    other = await sign_in("root2")
    assert "only for whoever asked" in (await other.get("/exchange")).text
    assert (await other.get(f"/exchange/{href}")).status_code == 404
