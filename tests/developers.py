"""Developers in tests: what they type, the links that come to them, and a site with a mail server."""

from __future__ import annotations

import re
from datetime import datetime
from typing import Any

import httpx
from msgspec.structs import replace

from commonchart.access.developers import links, registrations
from commonchart.access.developers.links import Developer, Mailed
from commonchart.access.developers.registrations import Wanted
from commonchart.access.oauth.apps import NewApp
from commonchart.jobs import accounts
from commonchart.record import site
from commonchart.record.database import Database
from tests.conftest import Clock
from tests.inbox import SITE

EMAIL = "dee@birch.example"
DEE = Developer(1, EMAIL)
SCOPES = "launch/patient openid patient/Observation.rs"
TYPED = {
    "developer": "Dee Voss", "organization": "Birch Labs", "email": EMAIL, "name": "Pressure diary",
    "about": "Draws blood pressure over the years.", "audience": "both", "kind": "secret",
    "redirect_uris": "https://diary.example/callback\r\nhttps://diary.example/other", "launch_url": "https://diary.example/launch",
    "scopes": SCOPES, "terms_url": "https://diary.example/terms", "policy_url": "https://diary.example/privacy",
}  # fmt: skip
APP = NewApp(
    name="Pressure diary", about="Draws blood pressure over the years.", kind="secret", audience="both",
    redirect_uris=("http://127.0.0.1:9999/callback",), scopes=SCOPES,
)  # fmt: skip
WANTED = Wanted(email=EMAIL, name="Dee Voss", organization="Birch Labs", app=APP)


class Site:
    """Decisions of the site, for the mail server of tests."""

    def __init__(self, database: Database) -> None:
        self.database = database

    async def say(self, **said: str) -> None:
        async with self.database.connection() as conn:
            for name, value in said.items():
                await site.put(conn, 1, name, value)


def wanted(**more: Any) -> Wanted:
    """A registration of another app, or by somebody else."""
    of_app = {
        name: value for name, value in more.items() if name in NewApp.__struct_fields__ and name != "name"
    }
    if "app" in more:
        of_app["name"] = more["app"]
    rest = {name: more[name] for name in ("email", "organization") if name in more}
    return replace(WANTED, **rest, app=replace(APP, **of_app))


async def mailed(database: Database, letter: str | None, now: datetime) -> Mailed:
    """The link of a letter, as it is made when that is sent."""
    assert letter is not None
    async with database.connection() as conn:
        link = await links.written(conn, letter, now)
    assert link is not None
    return link


async def letters(database: Database, clock: Clock) -> None:
    """The worker sends what waits."""
    while await accounts.drain(database, clock, SITE):
        pass


async def registered(database: Database, now: datetime, one: Wanted = WANTED) -> tuple[str, str]:
    """A proven registration: the client_id of the app that waits, and the session of its developer."""
    id, letter = await registrations.register(database, 1, one, "", now)
    link = await mailed(database, letter, now)
    session, made = await registrations.open_link(database, link.token, now)
    assert made == id
    return id, session


async def acts(database: Database) -> list[str]:
    """What the audit trail says of apps, in order."""
    async with database.single() as conn:
        rows = await conn.fetch(
            "SELECT action FROM audit WHERE action ~ 'app|develop|registr' AND action <> 'token' ORDER BY seq",
            (),
        )
    return [row[0] for row in rows]


async def told(database: Database) -> list[tuple[str, str, str]]:
    """Kind, address and name of the app of every e-mail that was noted, beside those that bring a link."""
    async with database.single() as conn:
        rows = await conn.fetch(
            "SELECT kind, address, about FROM account_notice WHERE kind NOT LIKE 'link-%%' ORDER BY at, id",
            (),
        )
    return [(row[0], row[1], row[2]) for row in rows]


def link_in(text: str) -> str:
    """The path of the link in a letter."""
    found = re.search(r"https://chart\.example(/developers/link/[\w-]+)", text)
    assert found, text[:800]
    return found[1]


def csrf_of(page: httpx.Response) -> str:
    found = re.search(r'name="csrf" value="([^"]+)"', page.text)
    assert found, page.text[:500]
    return found[1]
