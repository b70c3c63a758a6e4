"""How much may be asked of one process: by user, by app, by address; what is refused, how, and what it costs."""

from __future__ import annotations

from collections.abc import AsyncIterator
from datetime import timedelta
from pathlib import Path
from time import perf_counter

import httpx
import pytest
from hypothesis import given
from hypothesis import strategies as st
from msgspec.structs import replace
from starlette.applications import Starlette

from commonchart import app as wiring
from commonchart.access import credentials, limits, signin, users
from commonchart.access.limits import KEPT, Limits, Rates
from commonchart.fhir.outcome import Invalid, Throttled
from commonchart.record.database import Database
from commonchart.settings import Settings, load
from tests.conftest import Clock
from tests.smart import TOKEN_KEY

PASSWORD = "a long enough password"


class Seconds:
    """A clock in seconds that stands still."""

    def __init__(self) -> None:
        self.now = 1000.0

    def __call__(self) -> float:
        return self.now


@given(st.integers(1, 50), st.lists(st.floats(0, 30), min_size=1, max_size=60))
def test_a_minute_never_holds_more_than_twice_the_rate_and_waiting_as_told_is_enough(
    rate: int, pauses: list[float]
) -> None:
    seconds = Seconds()
    held, taken = Limits(Rates(user=rate), seconds), []
    for pause in pauses:
        seconds.now += pause
        for _ in range(3):
            wait = held.wait("user", "a", rate)
            if not wait:
                taken.append(seconds.now)
            else:
                seconds.now += wait + 1e-6
                assert not held.wait("user", "a", rate)
                taken.append(seconds.now)
    for at in taken:
        assert sum(at <= one < at + 60 for one in taken) <= 2 * rate + 1


def test_keys_do_not_share_and_no_limit_is_none() -> None:
    seconds = Seconds()
    held = Limits(Rates(), seconds)
    assert [bool(held.wait("user", key, 1)) for key in "aab"] == [False, True, False]
    assert not any(held.wait("user", "a", 0) for _ in range(1000))
    assert [held.first("user", "a") for _ in range(3)] == [True, False, False]
    seconds.now += 61
    assert held.first("user", "a")


def test_what_is_remembered_is_bounded_and_a_request_costs_microseconds() -> None:
    held = Limits(Rates())
    for n in range(KEPT + 10):
        held.wait("address", str(n), 60)
    assert len(held._full) <= KEPT
    started = perf_counter()
    for _ in range(10_000):
        held.wait("user", "somebody", 1_000_000)
    assert (perf_counter() - started) / 10_000 < 50e-6


@pytest.fixture
def application(database: Database, clock: Clock, tmp_path: Path) -> Starlette:
    settings = Settings(
        tmp_path, secret=b"s" * 32, token_keys=(TOKEN_KEY,), limit_user=3, limit_client=2, limit_address=12
    )
    made = wiring.build(settings, database, clock)
    assert made.state.limits.rates == Rates(3, 2, 12)
    made.state.limits = Limits(made.state.limits.rates, Seconds())
    return made


@pytest.fixture
async def client(application: Starlette) -> AsyncIterator[httpx.AsyncClient]:
    transport = httpx.ASGITransport(application, client=("203.0.113.7", 5))
    async with httpx.AsyncClient(transport=transport, base_url="http://test") as made:
        yield made


async def test_too_much_is_refused_at_every_door_and_noted_once(
    client: httpx.AsyncClient, application: Starlette, database: Database, clock: Clock
) -> None:
    sage = await users.create(database, tenant=1, login="sage", name="Sage", role="clinician", org="o", now=clock(), password=PASSWORD)  # fmt: skip
    token = await credentials.issue(
        database, sage.id, clock(), kind="token", client="t", lives=timedelta(days=1)
    )
    session = await signin.sign_in(database, "sage", PASSWORD, clock())
    head, cookie = {"authorization": f"Bearer {token}"}, {"cookie": f"commonchart={session.token}"}
    assert [(await client.get("/fhir/Patient", headers=head)).status_code for _ in range(3)] == [200] * 3
    over = await client.get("/fhir/Patient", headers=head)
    assert (over.status_code, over.headers["retry-after"]) == (429, "20")
    assert over.json()["issue"][0]["code"] == "throttled"
    page = await client.get("/account", headers=cookie)
    assert (page.status_code, page.headers["retry-after"]) == (429, "20")
    assert "Too much at once" in page.text

    for _ in range(7):
        await client.get("/sign-in")
    for path, kind in (("/fhir/metadata", "json"), ("/oauth/jwks.json", "json"), ("/sign-in", "html"), ("/nowhere", "html")):  # fmt: skip
        answer = await client.get(path)
        assert (answer.status_code, answer.headers["retry-after"]) == (429, "5"), path
        assert kind in answer.headers["content-type"]
        assert answer.headers["cache-control"] == "no-store"
    assert (await client.get("/health")).status_code == 200
    other = httpx.ASGITransport(application, client=("203.0.113.8", 5))
    async with httpx.AsyncClient(transport=other, base_url="http://test") as elsewhere:
        assert (await elsewhere.get("/sign-in")).status_code == 200
    async with database.single() as conn:
        rows = await conn.fetch(
            "SELECT detail, actor FROM audit WHERE action = 'throttle' AND outcome = 4 ORDER BY seq"
        )
    assert rows == [("by user", sage.id), ("by address", "")]


async def test_an_app_has_a_limit_of_its_own(database: Database, clock: Clock) -> None:
    held = Limits(Rates(user=100, client=1), Seconds())
    ada = users.actor(users.User("a", 1, "a", "A", "clinician", "o", None, None, True, clock()), "app:growth")
    await limits.hold(held, database, replace(ada, app="g1"), clock())
    with pytest.raises(Throttled, match="This app"):
        await limits.hold(held, database, replace(ada, user="b", app="g2"), clock())
    await limits.hold(held, database, ada, clock())


async def test_a_proxy_on_this_machine_counts_for_itself(
    database: Database, clock: Clock, tmp_path: Path
) -> None:
    settings = Settings(tmp_path, secret=b"s" * 32, base_url="https://chart.example", limit_address=1)
    transport = httpx.ASGITransport(wiring.build(settings, database, clock), client=("127.0.0.1", 5))
    async with httpx.AsyncClient(transport=transport, base_url="http://test") as made:
        assert [(await made.get("/sign-in")).status_code for _ in range(3)] == [200] * 3


def test_a_limit_is_a_number(tmp_path: Path) -> None:
    assert load({"COMMONCHART_LIMIT_USER": "0"}, data_dir=tmp_path).limit_user == 0
    with pytest.raises(Invalid, match="limit"):
        load({"COMMONCHART_LIMIT_USER": "-1"}, data_dir=tmp_path)
