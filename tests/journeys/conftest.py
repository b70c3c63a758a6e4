"""A server with the invented people in it, and a real browser; skipped, with the reason, where there is no chromium."""

from __future__ import annotations

import asyncio
import shutil
import socket
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple

import pytest
import uvicorn
from axe_playwright_python.base import AXE_SCRIPT
from playwright.sync_api import Browser, Page, sync_playwright
from starlette.applications import Starlette

from commonchart.app import build
from commonchart.record import site as decisions
from commonchart.record.database import Database
from commonchart.settings import Settings
from commonchart.web import session
from tests.conftest import Clock
from tests.smart import TOKEN_KEY
from tests.web.conftest import PASSWORD, peopled

__all__ = ["peopled"]

CHROMIUM = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")

AXE = "axe.run({resultTypes: ['violations']}).then(found => found.violations)"


class Place(NamedTuple):
    """Where a server answers, and where its database is."""

    address: str
    database: str


@pytest.fixture(scope="module")
def address(place: Place) -> str:
    """Where the server answers."""
    return place.address


@pytest.fixture(scope="module")
def place(empty_database: Any, peopled: str) -> Iterator[Place]:
    """A server over a database of its own."""
    if CHROMIUM is None:
        pytest.skip("no chromium here: `make journeys` installs it where it may")
    name = empty_database.lend(peopled)
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    server = uvicorn.Server(uvicorn.Config(_app(empty_database.url(name)), port=port, log_config=None))
    thread = threading.Thread(target=server.run, daemon=True)
    thread.start()
    deadline = time.monotonic() + 30
    while not server.started and time.monotonic() < deadline:
        time.sleep(0.05)
    assert server.started
    yield Place(f"http://127.0.0.1:{port}", empty_database.url(name))
    server.should_exit = True
    thread.join(10)
    empty_database.give_back(name)


def _app(url: str) -> Starlette:
    asyncio.run(_prepared(url))
    settings = Settings(data_dir=Path("/nowhere"), mode="network", secret=b"s" * 32, token_keys=(TOKEN_KEY,))
    return build(settings, Database.opened_later(url), Clock())


async def _prepared(url: str) -> None:
    session.forget_sites()
    database = await Database.open(url)
    async with database.connection() as conn:
        await decisions.put(conn, 1, "name", "Alder Street Family Practice")
        await decisions.put(
            conn, 1, "demo.accounts", '[{"login": "sage", "password": "synthetic", "role": "clinician"}]'
        )
    await database.close()


@pytest.fixture(scope="module")
def browser(address: str) -> Iterator[Browser]:
    """One browser a file: while it is open, its event loop stands in the way of tests that need one of their own."""
    with sync_playwright() as play:
        made = play.chromium.launch(executable_path=CHROMIUM, args=["--no-sandbox"])
        yield made
        made.close()


@pytest.fixture(scope="module")
def signed(browser: Browser, address: str) -> Any:
    """The cookies of the clinician."""
    page = browser.new_page()
    enter(page, address, "sage")
    page.wait_for_url("**/patients")
    state = page.context.storage_state()
    page.context.close()
    return state


def enter(page: Page, address: str, login: str, path: str = "") -> None:
    """Fill in the form of signing in; `path` is where they want to be then."""
    page.goto(f"{address}/sign-in" + (f"?next={path}" if path else ""))
    page.get_by_label("User name").fill(login)
    page.get_by_label("Password").fill(PASSWORD)
    page.get_by_role("button", name="Continue").click()


class Visit:
    """A page in the browser of somebody who is signed in, watched for script errors."""

    def __init__(self, page: Page, address: str) -> None:
        self.page, self.address = page, address
        self.errors: list[str] = []
        page.on("pageerror", lambda error: self.errors.append(str(error)))
        page.on(
            "console",
            lambda said: (
                self.errors.append(said.text)
                if said.type == "error" and "status of 4" not in said.text
                else None
            ),
        )

    def go(self, path: str) -> Page:
        self.page.goto(self.address + path)
        return self.page

    def enter(self, login: str, path: str = "") -> Any:
        """Sign this user in, who wants to be at `path`."""
        enter(self.page, self.address, login, path)
        return self.page

    def violations(self) -> list[str]:
        """What axe finds, in one line each."""
        if not self.page.evaluate("'axe' in window"):  # half a megabyte: once for a page is enough
            self.page.evaluate(AXE_SCRIPT)
        found = self.page.evaluate(AXE)
        return [f"{one['id']}: {one['nodes'][0]['html'][:200]}" for one in found]


@pytest.fixture
def visit(browser: Browser, address: str, signed: Any) -> Iterator[Visit]:
    """The clinician at a desk."""
    context = browser.new_context(storage_state=signed, viewport={"width": 1280, "height": 900})
    made = Visit(context.new_page(), address)
    yield made
    assert made.errors == []
    context.close()


@pytest.fixture
def root(browser: Browser, address: str) -> Iterator[Visit]:
    """The administrator at a desk."""
    context = browser.new_context(viewport={"width": 1280, "height": 900})
    made = Visit(context.new_page(), address)
    made.enter("root").wait_for_url("**/patients")
    yield made
    assert made.errors == []
    context.close()
