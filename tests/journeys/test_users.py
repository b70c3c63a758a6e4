"""An administrator and somebody new, in a browser: invited, at work, ended; a forgotten password; the matrix of roles; one
account for two organisations."""

from __future__ import annotations

import asyncio
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pyotp
import pytest
from playwright.sync_api import Browser, expect

from commonchart.access import users
from commonchart.access.actors import Actor
from commonchart.access.people import staff
from commonchart.access.people.staff import Asked
from commonchart.access.records import Put, Records
from commonchart.fhir.validate import validate
from commonchart.record.database import Database
from tests.conftest import Clock
from tests.joining import as_user, enrolled
from tests.journeys.conftest import Place, Visit
from tests.journeys.pictures import picture
from tests.web.conftest import PASSWORD

pytestmark = pytest.mark.journey


@pytest.fixture
def visit(root: Visit) -> Visit:
    """Whoever visits here is the administrator."""
    return root


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
    picture(page, "roles-print")
    page.emulate_media(media="screen", color_scheme="dark")
    _looked(visit, "roles-dark")
    visit.go("/users?q=nobody-is-called-this")
    _looked(visit, "users-none-dark")


ALDER, BIRCH = "Alder Street Family Practice", "Birch Lane Clinic"


async def _asked(url: str) -> tuple[pyotp.TOTP, str]:
    """Kim of Birch, who has an authenticator, is asked by Alder to work there too: that, and the code they are given."""
    database, clock = await Database.open(url), Clock()
    clock.advance(minutes=-5)
    loader = Records(database, Actor(1, "l", "L", "system", "birch", "test", network=False), clock)
    bodies: list[dict[str, Any]] = [
        {"resourceType": "Organization", "id": "birch", "name": BIRCH},
        {"resourceType": "Patient", "id": "bo", "name": [{"family": "Bode", "given": ["Bo"]}], "birthDate": "1980-01-01"},
    ]  # fmt: skip
    await loader.commit([Put(validate(body), str(body["id"])) for body in bodies])
    await users.create(database, tenant=1, login="kim", name="Kim Person", role="clinician", org="birch", now=clock(), password=PASSWORD)  # fmt: skip
    app = await enrolled(database, clock, "kim")
    word = await staff.ask(await as_user(database, clock, "root"), Asked("kim", "nurse", "alder"))
    await database.close()
    return app, word


def test_one_account_for_two_organisations(visit: Visit, browser: Browser, place: Place) -> None:
    with ThreadPoolExecutor(1) as elsewhere:
        app, word = elsewhere.submit(asyncio.run, _asked(place.database)).result()
    context = browser.new_context(viewport={"width": 1280, "height": 900})
    kim = Visit(context.new_page(), place.address)
    page: Any = kim.enter("kim")
    page.get_by_label("Code").fill(app.at(Clock()()))
    page.keyboard.press("Enter")
    page.wait_for_url("**/patients")
    _everywhere(kim, "acting-patients-asked")
    page.get_by_role("link", name=f"{ALDER} asks you to work for them").click()
    _everywhere(kim, "acting-asked")
    page.get_by_label("The code that they gave you").fill("abcde-fghjk")
    page.get_by_role("button", name=f"Work for {ALDER}").click()
    expect(page.get_by_role("alert")).to_contain_text("not the code")
    _everywhere(kim, "acting-wrong")
    page.get_by_label("The code that they gave you").fill(word)
    page.get_by_role("button", name=f"Work for {ALDER}").click()
    expect(page.get_by_role("status")).to_contain_text("You work for them from now on")
    _everywhere(kim, "acting-two")

    # by keyboard, from the head of any page
    kim.go("/patients")
    page.locator(".acting summary").focus()
    page.keyboard.press("Enter")
    _everywhere(kim, "acting-menu")
    page.keyboard.press("Tab")
    expect(page.get_by_role("button", name=f"Act for {ALDER}")).to_be_focused()
    page.keyboard.press("Enter")
    expect(page.get_by_text(f"Acting for {ALDER} as nurse")).to_be_visible()

    # a form of one is not stored for the other
    kim.go("/account/email")
    expect(page.get_by_text("Save or leave this form before you switch.")).to_be_visible()
    _everywhere(kim, "acting-typing")
    kim.go("/patients/ines/new/allergy")
    tab: Any = context.new_page()
    tab.goto(f"{place.address}/acting-for")
    tab.get_by_role("button", name=f"Act for {BIRCH}").click()
    expect(tab.get_by_text(f"Acting for {BIRCH} as clinician")).to_be_visible()
    page.locator("#substance").fill("Latex")
    page.keyboard.press("Control+Enter")
    expect(page.get_by_role("heading", name="You filled this in for another organisation")).to_be_visible()
    _everywhere(kim, "acting-mixed")
    bare = browser.new_context(storage_state=context.storage_state(), java_script_enabled=False)
    plain: Any = bare.new_page()
    plain.goto(f"{place.address}/patients")
    plain.locator(".acting summary").click()
    plain.get_by_role("button", name=f"Act for {ALDER}").click()
    expect(plain.get_by_text(f"Acting for {ALDER} as nurse")).to_be_visible()
    bare.close()

    # what an administrator sees of it, who reaches both here
    visit.go("/users/ask")
    _everywhere(visit, "acting-ask")
    visit.page.get_by_label("User name").fill("sage")
    visit.page.get_by_label("Role").select_option("nurse")
    visit.page.get_by_label("Organisation").fill("birch")
    visit.page.keyboard.press("Control+Enter")
    expect(visit.page.get_by_role("heading", name="sage is asked")).to_be_visible()
    _everywhere(visit, "acting-given")
    visit.go("/users?q=kim")
    visit.page.get_by_role("link", name="Kim Person").first.click()
    expect(visit.page.get_by_text("is theirs alone")).to_be_visible()
    _everywhere(visit, "acting-user")
    visit.page.get_by_role("link", name=f"End their work for {BIRCH}").click()
    expect(visit.page.get_by_role("heading", name=f"End the work of Kim Person for {BIRCH}")).to_be_visible()
    _everywhere(visit, "acting-ending")
    assert kim.errors == []
    context.close()


def _everywhere(visit: Visit, name: str) -> None:
    """Right at a desk in light and on a phone in dark, where nothing is wider than the phone; pictures of both in both."""
    _looked(visit, f"{name}-1280-light")
    page: Any = visit.page
    page.emulate_media(color_scheme="dark")
    picture(page, f"{name}-1280-dark")
    page.set_viewport_size({"width": 390, "height": 844})
    _looked(visit, f"{name}-390-dark")
    assert page.evaluate("document.documentElement.scrollWidth") <= 390
    expect(page.locator(".bar summary", has_text="More")).to_be_visible()
    page.emulate_media(color_scheme="light")
    picture(page, f"{name}-390-light")
    page.set_viewport_size({"width": 1280, "height": 900})


def _looked(visit: Visit, name: str) -> None:
    assert visit.violations() == []
    assert len(visit.page.content().encode()) < 60_000
    picture(visit.page, name)
