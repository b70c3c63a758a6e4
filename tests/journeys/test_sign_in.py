"""The door in a browser: passkeys by a virtual authenticator (CDP WebAuthn), the second step, step-up, and the warning before the end."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any
from urllib.parse import urlsplit

import psycopg
import pyotp
import pytest
from playwright.sync_api import Browser, Page, TimeoutError, expect

from tests.conftest import Clock
from tests.journeys.conftest import Place, Visit
from tests.journeys.pictures import picture, pictures

pytestmark = pytest.mark.journey
STALE = "UPDATE credential SET factor_at = factor_at - interval '10 minutes'"


def _stale(place: Place) -> None:
    with psycopg.connect(place.database) as conn:
        conn.execute(STALE)


@pytest.fixture
def host(place: Place) -> str:
    """The server by a name: a passkey is bound to one."""
    return f"http://localhost:{urlsplit(place.address).port}"


@pytest.fixture
def somebody(browser: Browser, host: str) -> Iterator[Visit]:
    """A visitor with a security key in the machine that always says yes."""
    context = browser.new_context(viewport={"width": 1280, "height": 900})
    made = Visit(context.new_page(), host)
    key = context.new_cdp_session(made.page)
    key.send("WebAuthn.enable")
    made.key = key.send(  # type: ignore[attr-defined]
        "WebAuthn.addVirtualAuthenticator",
        {"options": {"protocol": "ctap2", "transport": "internal", "hasResidentKey": True, "hasUserVerification": True,
                     "isUserVerified": True, "automaticPresenceSimulation": True}},
    )["authenticatorId"]  # fmt: skip
    yield made
    assert made.errors == []
    context.close()


def _add_a_passkey(page: Page) -> None:
    """Add one, as somebody does: who sees nothing happen loads the page again, and asks for codes if it was kept after all.

    On a busy machine Chromium now and then sends the head of this form and holds its body back until the page is left (seen
    in 3 of 11 runs with 4 busy loops beside it, and not explained); whether it is kept then is a matter of luck.
    """
    codes, again = (
        page.get_by_role("heading", name="Your recovery codes"),
        page.get_by_role("button", name="Make new codes"),
    )
    for _ in range(3):
        page.get_by_label("Name of the new passkey").fill("Desk key")
        page.get_by_role("button", name="Add a passkey").click()
        try:
            codes.wait_for(timeout=15_000)
            return
        except TimeoutError:
            page.goto(page.url, wait_until="load")
        if again.is_visible():
            again.click()
            return


def test_a_passkey_is_made_and_opens_the_door_the_second_step_and_a_dangerous_act(
    somebody: Visit, place: Place
) -> None:
    page: Any = somebody.go("/sign-in")
    expect(page.get_by_role("button", name="Use a passkey")).to_be_visible()
    assert somebody.violations() == []
    pictures(page, "sign-in")
    page.get_by_role("button", name="Use a passkey").click()  # there is none yet
    expect(page.get_by_role("alert")).to_contain_text("was not used")
    page = somebody.enter("root", "/account/factors")
    assert somebody.violations() == []
    _add_a_passkey(page)
    expect(page.get_by_role("heading", name="Your recovery codes")).to_be_visible(timeout=20_000)
    assert somebody.violations() == []
    pictures(page, "codes")
    page.get_by_role("link", name="I have kept them").click()
    expect(page.get_by_role("heading", name="Desk key")).to_be_visible()
    page.get_by_text("Another name").click()
    page.get_by_label("Name", exact=True).fill("Blue key")
    page.get_by_role("button", name="Keep the name").click()
    expect(page.get_by_role("heading", name="Blue key")).to_be_visible()
    assert somebody.violations() == []
    pictures(page, "factors")
    # out, and Back shows no page of before
    page.goto(f"{somebody.address}/account")
    assert somebody.violations() == []
    pictures(page, "account")
    page.get_by_role("button", name="Sign out").click()
    expect(page.get_by_role("heading", name="You are signed out")).to_be_visible()
    assert somebody.violations() == []
    pictures(page, "signed-out")
    page.go_back()
    expect(page.get_by_role("heading", name="Sign in")).to_be_visible()
    # in with the passkey alone
    page.get_by_role("button", name="Use a passkey").click()
    page.wait_for_url("**/account")
    # a dangerous act, later
    _stale(place)
    page.goto(f"{somebody.address}/account/factors/app")
    expect(page.get_by_role("heading", name="Confirm that it is you")).to_be_visible()
    assert somebody.violations() == []
    pictures(page, "step-up")
    page.get_by_role("button", name="Use a passkey").click()
    expect(page.get_by_role("heading", name="Set up an authenticator app")).to_be_visible()
    assert somebody.violations() == []
    page.get_by_text("I cannot scan it").click()
    pictures(page, "app")
    # as the second step after the password
    page = somebody.enter("root", "/account/sessions")
    expect(page.get_by_role("heading", name="Confirm that it is you")).to_be_visible()
    assert somebody.violations() == []
    pictures(page, "second")
    page.get_by_role("button", name="Use a passkey").click()
    expect(page.get_by_role("heading", name="Where you are signed in")).to_be_visible()
    expect(page.get_by_text("password and passkey").first).to_be_visible()
    assert somebody.violations() == []
    pictures(page, "sessions")
    page.get_by_role("button", name="Sign out everywhere else").click()
    expect(page.get_by_text("You are signed out everywhere else.")).to_be_visible()


def test_a_role_that_must_have_one_sets_it_up_and_a_form_goes_on_after_step_up(
    somebody: Visit, place: Place
) -> None:
    with psycopg.connect(place.database) as conn:
        conn.execute("INSERT INTO site_setting VALUES (1, 'second_factor', 'clinician')")
    page = somebody.enter("sage", "/persons/ines/late")
    expect(page.get_by_role("heading", name="Set up a second step")).to_be_visible()
    assert somebody.violations() == []
    pictures(page, "enrol")
    page.get_by_text("I cannot scan it").click()
    app = pyotp.TOTP(page.locator("code.key").inner_text().replace(" ", ""))
    page.get_by_label("The 6 digits").fill("000000")
    page.get_by_role("button", name="Continue").click()
    expect(page.get_by_role("alert").first).to_contain_text("not the one that the app shows")
    assert somebody.violations() == []
    page.get_by_label("The 6 digits").fill(app.at(Clock()()))
    page.get_by_role("button", name="Continue").click()
    codes = page.locator(".codes code").all_inner_texts()
    assert len(codes) == 10
    assert somebody.violations() == []
    pictures(page, "enrol-codes")
    page.get_by_role("link", name="I have kept them").click()
    expect(page.get_by_role("heading", name="Two records side by side")).to_be_visible()
    _stale(place)
    page.get_by_label("Two people").check()
    page.get_by_label("How you know").fill("Different people, seen both")
    page.get_by_role("button", name="Keep the decision").click()
    expect(page.get_by_text("What you typed is kept")).to_be_visible()
    pictures(page, "step-up-typed")
    page.get_by_label("Code").fill("wrong-wrong")
    page.keyboard.press("Enter")
    expect(page.get_by_role("alert").first).to_contain_text("not right")
    page.get_by_label("Code").fill(codes[3])
    page.keyboard.press("Enter")
    expect(page.get_by_text("Different people, seen both")).to_be_visible()
    with psycopg.connect(place.database) as conn:
        conn.execute("DELETE FROM site_setting WHERE key = 'second_factor'")


def test_before_the_session_ends_one_is_told_and_stays_by_one_key(browser: Browser, place: Place) -> None:
    context = browser.new_context(viewport={"width": 1280, "height": 900})
    visit = Visit(context.new_page(), place.address)
    page: Any = visit.page
    page.clock.install()
    page = visit.enter("desk", "/patients/ines/contacts")
    page.wait_for_url("**/contacts")
    ends = "UPDATE credential SET expires = created + interval '%s' WHERE kind = 'session'"
    with psycopg.connect(place.database) as conn:
        conn.execute(ends % "90 seconds")
    page.locator("main a").first.focus()
    page.clock.fast_forward(13 * 60_000 + 5000)
    warning = page.get_by_role("alertdialog", name="You will soon be signed out")
    expect(warning).to_be_visible()
    expect(page.get_by_role("button", name="Stay signed in")).to_be_focused()
    expect(warning.get_by_role("button")).to_have_count(1)
    assert visit.violations() == []
    pictures(page, "idle")
    with psycopg.connect(place.database) as conn:  # what the server's clock would have done
        conn.execute(ends % "15 minutes")
    page.keyboard.press("Enter")
    expect(warning).to_be_hidden()
    assert page.url.endswith("/contacts")
    # another tab kept the session alive: nothing is said
    page.clock.fast_forward(14 * 60_000)
    page.wait_for_timeout(300)
    expect(warning).to_be_hidden()
    # the 12 hours: said once, and cannot be made longer
    with psycopg.connect(place.database) as conn:
        conn.execute(
            "UPDATE credential SET created = created - interval '43110 seconds', expires = created + interval '90 seconds' "
            "WHERE kind = 'session'"
        )
    page.clock.fast_forward(14 * 60_000)
    last = page.get_by_role("alertdialog", name="Your 12 hours are nearly over")
    expect(last).to_be_visible()
    page.keyboard.press("Escape")
    expect(last).to_be_hidden()
    page.clock.fast_forward(20_000)
    page.wait_for_timeout(300)
    expect(last).to_be_hidden()
    # over: the chart leaves the screen
    with psycopg.connect(place.database) as conn:
        conn.execute(ends % "0 seconds")
    page.clock.fast_forward(14 * 60_000)
    expect(page.get_by_role("heading", name="Sign in")).to_be_visible()
    expect(page.get_by_text("You were signed out after 15 minutes")).to_be_visible()
    assert visit.errors == []
    context.close()


def test_what_was_typed_outlives_the_session_for_the_same_person(browser: Browser, place: Place) -> None:
    context = browser.new_context(viewport={"width": 1280, "height": 900})
    visit = Visit(context.new_page(), place.address)
    page: Any = visit.page
    with psycopg.connect(place.database) as conn:
        conn.execute("UPDATE factor SET ended = now()")
    page.clock.install()
    page = visit.enter("root", "/apps/new")
    page.get_by_label("Name", exact=True).fill("Typed before the end")
    with psycopg.connect(place.database) as conn:
        conn.execute("UPDATE credential SET expires = created WHERE kind = 'session'")
    page.clock.fast_forward(16 * 60_000)
    over = page.get_by_role("alertdialog", name="You have been signed out")
    expect(over).to_be_visible()
    assert visit.violations() == []
    picture(page, "idle-over")
    other = Visit(context.new_page(), place.address)
    other.enter("desk")
    other.page.wait_for_url("**/patients")
    page.clock.fast_forward(20_000)
    page.wait_for_timeout(300)
    expect(over).to_be_visible()  # somebody else: nothing is sent in their name
    other.enter("root")
    other.page.wait_for_url("**/patients")
    page.clock.fast_forward(20_000)
    expect(over).to_be_hidden()
    page.get_by_role("button", name="Register").click()
    expect(
        page.get_by_role("heading", name="There is a problem")
    ).to_be_visible()  # read, not refused as too old
    expect(page.get_by_label("Name", exact=True)).to_have_value("Typed before the end")
    assert visit.errors == []
    context.close()


def test_patients_find_the_same_in_plain_words(browser: Browser, place: Place) -> None:
    context = browser.new_context(viewport={"width": 390, "height": 844})
    visit = Visit(context.new_page(), place.address)
    page = visit.enter("ines", "/me/you")
    expect(page.get_by_role("link", name="Second step and passkeys")).to_be_visible()
    for path in (
        "/me/you",
        "/account/factors",
        "/account/factors/app",
        "/account/password",
        "/account/sessions",
    ):
        visit.go(path)
        assert visit.violations() == [], path
        assert page.evaluate("document.documentElement.scrollWidth <= innerWidth"), path
        picture(page, f"patient{path.replace('/', '-')}")
    _stale(place)
    visit.go("/account/password")
    expect(page.get_by_label("Your password again")).to_be_visible()
    assert visit.violations() == []
    picture(page, "patient-step-up")
    assert visit.errors == []
    context.close()
