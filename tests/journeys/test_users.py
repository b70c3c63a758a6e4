"""An administrator and somebody new, in a browser: invited, at work, ended; a forgotten password; the matrix of roles."""

from __future__ import annotations

import os
from collections.abc import Iterator
from typing import Any

import pytest
from playwright.sync_api import Browser, expect

from tests.journeys.conftest import Visit
from tests.web.conftest import PASSWORD

pytestmark = pytest.mark.journey


@pytest.fixture
def visit(browser: Browser, address: str) -> Iterator[Visit]:
    """The administrator at a desk."""
    context = browser.new_context(viewport={"width": 1280, "height": 900})
    made = Visit(context.new_page(), address)
    page = made.go("/sign-in")
    page.get_by_label("User name").fill("root")
    page.get_by_label("Password").fill(PASSWORD)
    page.get_by_role("button", name="Continue").click()
    page.wait_for_url("**/patients")
    yield made
    assert made.errors == []
    context.close()


def test_from_an_invitation_to_the_end_of_an_account(visit: Visit, browser: Browser, address: str) -> None:
    page: Any = visit.go("/users")
    _looked(visit, "users")
    page.get_by_role("link", name="Invite somebody").click()
    page.get_by_label("Name", exact=True).fill("Ada Birch")
    page.get_by_label("User name").fill("ada birch")
    page.keyboard.press("Control+Enter")
    expect(page.get_by_role("alert")).to_contain_text("lower-case letters")
    _looked(visit, "users-invite")
    page.get_by_label("User name").fill("ada.birch")
    page.get_by_label("Role").select_option("nurse")
    page.keyboard.press("Control+Enter")
    shown = page.locator("#link").inner_text()
    _looked(visit, "users-link")

    context = browser.new_context(viewport={"width": 1280, "height": 900})
    new = Visit(context.new_page(), address)
    other: Any = new.go("/welcome/" + shown.rpartition("/")[2])
    other.get_by_label("Password", exact=True).fill("password")
    expect(other.locator("#strength")).to_have_text("Too short: 8 of 12 characters")
    _looked(new, "users-welcome")
    other.get_by_label("Password", exact=True).fill("seven green bicycles")
    expect(other.locator("#strength")).to_have_text("Very good: long")
    other.get_by_label("The same password again").fill("seven green bicycles")
    other.get_by_role("button", name="Set the password").click()
    expect(other.get_by_role("heading", name="Your password is set")).to_be_visible()
    _looked(new, "users-chosen")
    other.get_by_role("link", name="Sign in").click()
    other.get_by_label("User name").fill("ada.birch")
    other.get_by_label("Password").fill("seven green bicycles")
    other.get_by_role("button", name="Continue").click()
    other.wait_for_url("**/patients")
    new.go("/welcome/" + shown.rpartition("/")[2])
    _looked(new, "users-over")

    visit.go("/users?q=ada")
    page.get_by_role("link", name="Ada Birch").click()
    _looked(visit, "users-one")
    page.get_by_role("link", name="End the account of").click()
    expect(page.get_by_text("1 open session")).to_be_visible()
    _looked(visit, "users-ending")
    page.get_by_role("button", name="End the account").click()
    expect(page.get_by_role("status")).to_contain_text("has ended")
    _looked(visit, "users-ended")
    other.goto(f"{address}/patients")
    expect(other.get_by_role("heading", name="Sign in")).to_be_visible()
    other.get_by_role("link", name="Forgotten your password?").click()
    _looked(new, "users-forgotten")
    other.get_by_label("User name").fill("ada.birch")
    other.get_by_role("button", name="Send a link").click()
    expect(other.get_by_role("heading", name="Look at your e-mail")).to_be_visible()
    _looked(new, "users-asked")
    assert new.errors == []
    context.close()


def test_who_may_do_what_is_read_and_printed(visit: Visit) -> None:
    page: Any = visit.go("/roles")
    _looked(visit, "roles")
    page.locator("summary", has_text="7 types").first.click()
    expect(page.get_by_text("PractitionerRole")).to_be_visible()
    page.emulate_media(media="print")
    _shot(page, "roles-print")
    page.emulate_media(media="screen", color_scheme="dark")
    _looked(visit, "roles-dark")
    visit.go("/users?q=nobody-is-called-this")
    _looked(visit, "users-none-dark")


def _looked(visit: Visit, name: str) -> None:
    assert visit.violations() == []
    assert len(visit.page.content().encode()) < 60_000
    _shot(visit.page, name)


def _shot(page: Any, name: str) -> None:
    """A picture for whoever wants to look: COMMONCHART_SHOTS names the folder."""
    if os.environ.get("COMMONCHART_SHOTS"):
        page.screenshot(path=f"{os.environ['COMMONCHART_SHOTS']}/{name}.png", full_page=True)
