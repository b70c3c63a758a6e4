"""The whole program over the invented people of tests/web: a network in which Birch has nothing to do with Alder's patients."""

from __future__ import annotations

import re
from collections.abc import AsyncIterator, Awaitable, Callable
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
def database_url(empty_database: Any, peopled: str) -> Any:
    name = empty_database.create(peopled)
    yield empty_database.url(name)
    empty_database.drop(name)


@pytest.fixture
async def whole(database: Database, clock: Clock, tmp_path: Path) -> Starlette:
    """Everything that `serve` serves, for a network."""
    session.forget_sites()
    async with database.connection() as conn:
        await site.put(conn, 1, site.MODE, "network")
    settings = Settings(
        tmp_path, secret=b"s" * 32, card_keys=(health_card.new_key(),), mode="network", base_url="http://test"
    )
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


async def bearer(database: Database, clock: Clock, client: Client, login: str) -> Client:
    """The same person as a program: with a token besides the cookie."""
    token = await credentials.issue(
        database, users.id_of(login), clock(), kind="token", client="t", lives=session_long()
    )
    client.headers["authorization"] = f"Bearer {token}"
    return client


def session_long() -> Any:
    from datetime import timedelta

    return timedelta(days=1)


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
    skipped = ("/fhir", "/oauth/token", "/oauth/introspect", "/oauth/revoke", "/oauth/jwks", "/oauth/style", "/.well-known", "/health", "/static")  # fmt: skip
    found = [o.partition(" ") for o in dict.fromkeys(doors.of_application(application))]
    return [path for verb, _, path in found if verb == method and not path.startswith(skipped)]


def forms(application: Starlette) -> list[str]:
    """The addresses that take a form."""
    return pages(application, "POST")


OPEN = ("/sign-in", "/timed-out", "/invitation", "/oauth/authorize")
"""Pages for those who are not signed in."""
