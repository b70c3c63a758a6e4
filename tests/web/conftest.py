"""The pages over a real database: an app, people who may sign in, and clients that are signed in."""

from __future__ import annotations

import asyncio
import re
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from types import SimpleNamespace
from typing import Any

import httpx
import pytest
from starlette.applications import Starlette

from commonchart.access import users
from commonchart.access.actors import Actor
from commonchart.access.records import Put, Records
from commonchart.documents import health_card
from commonchart.fhir.validate import validate
from commonchart.jobs import worker
from commonchart.record.database import Database
from commonchart.web import refusals, session
from commonchart.web.routes import routes
from tests.conftest import Clock
from tests.web import people

PASSWORD = "a long enough password"
Client = httpx.AsyncClient
CARD_KEY = health_card.new_key()
SignIn = Callable[[str], Awaitable[Client]]


@pytest.fixture(scope="session")
def peopled(empty_database: Any, template: str) -> str:
    """The name of a database with the invented people in it, made once per session, to be cloned."""
    name: str = empty_database.create(template)
    with ThreadPoolExecutor(1) as elsewhere:  # a loop may be running here
        elsewhere.submit(asyncio.run, _peopled(empty_database.url(name))).result()
    return name


async def _peopled(url: str) -> None:
    database = await Database.open(url)
    await fill(database, Clock())
    await database.close()


@pytest.fixture
def database_url(request: pytest.FixtureRequest, empty_database: Any, template: str) -> Iterator[str]:
    """The address of a database as migrated, with the invented people for tests of the app."""
    filled = "app" in request.fixturenames
    name = empty_database.lend(request.getfixturevalue("peopled") if filled else template)
    yield empty_database.url(name)
    empty_database.give_back(name)


@pytest.fixture
async def app(database: Database, clock: Clock) -> Starlette:
    """Only the pages, over a database with the invented people in it."""
    session.forget_sites()
    made = Starlette(routes=routes(), exception_handlers=refusals.handlers())
    made.state.database, made.state.clock = database, clock
    made.state.settings = SimpleNamespace(
        mode="network", base_url="", secret=b"s" * 32, address="https://chart.example", card_keys=(CARD_KEY,)
    )
    return made


async def fill(database: Database, clock: Clock) -> None:
    """Users of every role, and the charts of tests/web/people.py."""
    for login, role, patient in (
        ("sage", "clinician", None),
        ("desk", "front-desk", None),
        ("root", "administrator", None),
        ("ines", "patient", "ines"),
    ):
        await users.create(
            database,
            tenant=1,
            login=login,
            name=f"{login.title()} Person",
            role=role,
            org="alder",
            now=clock(),
            password=PASSWORD,
            patient=patient,
        )
    loader = Records(database, Actor(1, "loader", "Loader", "system", "alder", "test", network=False), clock)
    await loader.commit([Put(validate(body), body["id"]) for body in people.everybody()])
    await worker.drain(database, clock)


@pytest.fixture
async def visitor(app: Starlette) -> AsyncIterator[Client]:
    """Somebody who is not signed in."""
    async with httpx.AsyncClient(
        transport=httpx.ASGITransport(app, raise_app_exceptions=False), base_url="http://test"
    ) as client:
        yield client


@pytest.fixture
async def sign_in(app: Starlette) -> AsyncIterator[SignIn]:
    """Gives a client in which this user is signed in."""
    made: list[Client] = []

    async def client_of(login: str) -> Client:
        client = httpx.AsyncClient(
            transport=httpx.ASGITransport(app, raise_app_exceptions=False), base_url="http://test"
        )
        made.append(client)
        answer = await try_sign_in(client, login, PASSWORD)
        assert answer.status_code == 303, answer.text
        return client

    yield client_of
    for client in made:
        await client.aclose()


@pytest.fixture
async def sage(sign_in: SignIn) -> Client:
    """The clinician."""
    return await sign_in("sage")


async def try_sign_in(client: Client, login: str, password: str, next: str = "/") -> httpx.Response:
    """Fill in the sign-in form as a browser would."""
    page = await client.get("/sign-in")
    return await client.post(
        "/sign-in", data={"csrf": token_of(page), "login": login, "password": password, "next": next}
    )


def token_of(page: httpx.Response) -> str:
    """The token in a page's form."""
    found = re.search(r'name="csrf" value="([^"]+)"', page.text)
    assert found, page.text[:500]
    return found.group(1)
