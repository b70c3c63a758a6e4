"""Somebody of one organisation who comes to work for another too, in few words, for tests."""

from __future__ import annotations

import httpx
import pyotp

from commonchart.access import signin, users
from commonchart.access.people import factors, memberships, staff
from commonchart.access.people.passkeys import Site
from commonchart.access.people.staff import Asked
from commonchart.access.records import Records
from commonchart.access.signin import Proof, Session
from commonchart.record.database import Database
from tests.conftest import Clock
from tests.web.conftest import PASSWORD, Client, token_of

SECRET = b"s" * 32
SITE = Site("chart.example", "https://chart.example")


async def as_user(database: Database, clock: Clock, login: str) -> Records:
    """The records of somebody, as they last acted, in a network."""
    return Records(database, users.actor(await users.find(database, login), "web", network=True), clock)


async def enrolled(database: Database, clock: Clock, login: str) -> pyotp.TOTP:
    """An authenticator of theirs."""
    actor = users.actor(await users.find(database, login), "web")
    begun = await factors.begin(database, SECRET, actor, login, clock())
    await factors.confirm(database, SECRET, actor, pyotp.TOTP(begun.key).at(clock()), clock())
    return pyotp.TOTP(begun.key)


def code(app: pyotp.TOTP, clock: Clock) -> str:
    """The next code: each counts once."""
    clock.advance(seconds=30)
    return app.at(clock())


async def session_of(
    database: Database, clock: Clock, login: str, app: pyotp.TOTP, password: str = PASSWORD
) -> Session:
    """Signed in with both."""
    waiting = await signin.sign_in(database, login, password, clock())
    assert waiting.wants == "factor"
    return await signin.second(database, SECRET, waiting.token, Proof(code(app, clock)), clock(), SITE)


async def come_in(client: Client, app: pyotp.TOTP, clock: Clock) -> Client:
    """Signed in with both in a browser that has shown the password."""
    page = await client.get("/sign-in/second")
    sent = {"csrf": token_of(page), "proof_code": code(app, clock), "next": "/patients"}
    answer = await client.post("/sign-in/second", data=sent)
    assert answer.status_code == 303, answer.text
    return client


async def asked(database: Database, login: str, org: str) -> str:
    """The id of what they work for there, or are asked to."""
    async with database.single() as conn:
        found = await memberships.mine(conn, users.id_of(login))
    return next(one.id for one in found if one.org == org)


async def join(
    database: Database, clock: Clock, by: Records, login: str, org: str, role: str = "clinician"
) -> pyotp.TOTP:
    """Asked by an administrator, and yes said with an authenticator, which is returned."""
    word = await staff.ask(by, Asked(login, role, org))
    app = await enrolled(database, clock, login)
    session = await session_of(database, clock, login, app)
    await memberships.accept(
        Records(database, session.actor, clock), await asked(database, login, org), session.token, word
    )
    return app


async def sent(client: Client, path: str, page: str = "", **fields: str) -> httpx.Response:
    """A form, filled in and sent from a page that shows one."""
    shown = await client.get(page or path)
    return await client.post(path, data={"csrf": token_of(shown), **fields})
