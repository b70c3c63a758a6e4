"""The whole program over the invented people of tests/web: a network in which Birch has nothing to do with Alder's patients."""

from __future__ import annotations

import re
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from datetime import timedelta
from pathlib import Path
from typing import Any

import httpx
import pytest
from starlette.applications import Starlette

from commonchart import app as wiring
from commonchart.access import credentials, users
from commonchart.documents import health_card
from commonchart.record import site
from commonchart.record.database import Database
from commonchart.settings import Settings
from commonchart.web import session
from tests.conftest import Clock
from tests.hostile import doors
from tests.web.conftest import PASSWORD, Client, peopled, try_sign_in

__all__ = ["peopled"]

SignedIn = Callable[..., Awaitable[Client]]
SAMPLES = {
    "patient": "ines", "form": "condition", "visit": "v1", "rule": "a1c", "act": "defer", "section": "conditions",
    "rtype": "Condition", "id": "c1", "registry": "diabetes", "one": "ines", "other": "blank",
}  # fmt: skip
"""What stands in an address where nothing else is said: things that are there."""
OF_RESULTS = ("/results/", "/inbox/", "/quarantine/", "/hold/")
OF_NOTES = ("/documents/", "/notes/")


@pytest.fixture
def database_url(request: pytest.FixtureRequest, empty_database: Any, template: str) -> Iterator[str]:
    """The address of a fresh database, with the invented people for tests of the whole program."""
    filled = "whole" in request.fixturenames
    name = empty_database.lend(request.getfixturevalue("peopled") if filled else template)
    yield empty_database.url(name)
    empty_database.give_back(name)


@pytest.fixture
async def whole(database: Database, clock: Clock, tmp_path: Path) -> Starlette:
    """Everything that `serve` serves, for a network."""
    session.forget_sites()
    async with database.connection() as conn:
        await site.put(conn, 1, site.MODE, "network")
    settings = Settings(
        tmp_path, secret=b"s" * 32, card_keys=(health_card.new_key(),), mode="network", base_url="http://test",
        developer_registration="on", dynamic_registration="on",
    )  # fmt: skip
    return wiring.build(settings, database, clock)


@pytest.fixture
async def signed_in(whole: Starlette, database: Database, clock: Clock) -> AsyncIterator[SignedIn]:
    """`await signed_in("sage")`, or somebody new: `await signed_in("kim", role="clinician", org="birch")`."""
    made: list[Client] = []

    async def client_of(login: str = "", **new: Any) -> Client:
        client = httpx.AsyncClient(
            transport=httpx.ASGITransport(whole, raise_app_exceptions=False), base_url="http://test"
        )
        made.append(client)
        if new:
            await users.create(
                database, tenant=1, login=login, name=login, now=clock(), password=PASSWORD, **new
            )
        if login:
            assert (await try_sign_in(client, login, PASSWORD)).status_code == 303
        return client

    yield client_of
    for client in made:
        await client.aclose()


async def program_of(
    application: Starlette, database: Database, clock: Clock, login: str, **new: Any
) -> Client:
    """A program that asks for somebody, or for somebody new, with a token. To be closed by the caller."""
    if new:
        await users.create(database, tenant=new.pop("tenant", 1), login=login, name=login, now=clock(), **new)
    token = await credentials.issue(
        database, users.id_of(login), clock(), kind="token", client="t", lives=timedelta(days=1)
    )
    return httpx.AsyncClient(
        transport=httpx.ASGITransport(application, raise_app_exceptions=False), base_url="http://test",
        headers={"authorization": f"Bearer {token}"},
    )  # fmt: skip


def filled(address: str, **more: str) -> str:
    """An address with a sample in every place."""
    samples = SAMPLES | more
    if "id" not in more:
        if any(part in address for part in OF_RESULTS):
            samples |= {"rtype": "Observation", "id": "h5"}
        elif any(part in address for part in OF_NOTES):
            samples |= {"rtype": "DocumentReference", "id": "d1"}
    return re.sub(r"\{(\w+)(?::\w+)?\}", lambda place: samples.get(place[1], "none"), address)


def pages(application: Starlette, method: str = "GET") -> list[str]:
    """The addresses of all pages of people: not the machines' doors, not the files of the browser."""
    skipped = ("/fhir", "/oauth/token", "/oauth/introspect", "/oauth/revoke", "/oauth/register", "/oauth/jwks", "/oauth/style", "/.well-known", "/health", "/static")  # fmt: skip
    found = [o.partition(" ") for o in dict.fromkeys(doors.of_application(application))]
    return [path for verb, _, path in found if verb == method and not path.startswith(skipped)]


def forms(application: Starlette) -> list[str]:
    """The addresses that take a form."""
    return pages(application, "POST")


OPEN = (
    "/sign-in", "/signed-out", "/session", "/timed-out", "/welcome", "/forgotten", "/invitation", "/oauth/authorize", "/share/", "/shl/",
    "/developers",
)  # fmt: skip
"""Pages for those who are not signed in."""
