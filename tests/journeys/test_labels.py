"""Labels by hand in a browser: marked by keyboard alone, gone for whom it keeps out, lifted, reviewed; and an account that ends."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Callable, Iterator
from typing import Any

import pytest
from playwright.sync_api import Browser, BrowserContext, expect

from commonchart.access import users
from commonchart.access.actors import Actor
from commonchart.access.records import Put, Records
from commonchart.fhir.validate import validate
from commonchart.jobs import inbox
from commonchart.record.database import Database
from tests.conftest import Clock
from tests.inbox import SITE, SODIUM, lab, order
from tests.journeys.conftest import Place, Visit
from tests.journeys.pictures import FOLDER, picture
from tests.web.conftest import PASSWORD

pytestmark = pytest.mark.journey
AT = "/patients/ines/label/Condition/c1"
As = Callable[..., Visit]


@pytest.fixture(scope="module", autouse=True)
def filled(place: Place) -> None:
    """A biller, a privacy officer, and a clinician for whom results wait, one of them marked."""
    thread = threading.Thread(target=lambda: asyncio.run(_fill(place.database)))
    thread.start()
    thread.join()


async def _fill(url: str) -> None:
    clock, database = Clock(), await Database.open(url)
    people = (("bill", "Bill Marrow", "billing", None), ("pia", "Pia Quell", "privacy-officer", None), ("otto", "Otto Tansley", "clinician", "pr-otto"))  # fmt: skip
    for login, name, role, practitioner in people:
        await users.create(
            database, tenant=1, login=login, name=name, role=role, org="alder", now=clock(), password=PASSWORD, practitioner=practitioner,
        )  # fmt: skip
    loader = Records(database, Actor(1, "lab", "Lab", "system", "alder", "test", network=False), clock)
    based = [{"reference": "ServiceRequest/o1"}]
    hidden = {"security": [{"system": "http://terminology.hl7.org/CodeSystem/v3-ActCode", "code": "PSYTHPN"}]}
    results = [
        lab("k1", value="6.9", patient="ines", basedOn=based), lab("k2", SODIUM, "139", patient="ines", basedOn=based),
        lab("k3", SODIUM, "129", patient="ines", basedOn=based, meta=hidden),
    ]  # fmt: skip
    practitioner = {"resourceType": "Practitioner", "id": "pr-otto", "name": [{"family": "Tansley", "given": ["Otto"]}]}  # fmt: skip
    stored = [practitioner, order("o1", "pr-otto", "ines"), *results]
    await loader.commit([Put(validate(one), str(one["id"])) for one in stored])
    while await inbox.drain(database, clock, SITE):
        pass
    await database.close()


@pytest.fixture
def signed_as(browser: Browser, address: str) -> Iterator[As]:
    """Gives somebody's browser, signed in, with or without JavaScript."""
    made: list[tuple[Visit, BrowserContext]] = []

    def of(login: str, **how: Any) -> Visit:
        context = browser.new_context(viewport={"width": 1280, "height": 900}, **how)
        one = Visit(context.new_page(), address)
        made.append((one, context))
        one.enter(login).wait_for_url("**/patients")
        return one

    yield of
    for one, context in made:
        assert one.errors == []
        context.close()


def test_an_entry_is_marked_by_keyboard_and_gone_for_whom_it_keeps_out(visit: Visit, signed_as: As) -> None:
    bill = signed_as("bill")
    hidden: Any = bill.go("/patients/ines/conditions")
    expect(hidden.get_by_text("Type 2 diabetes with kidney disease").first).to_be_visible()
    page: Any = visit.go("/patients/ines/facts/Condition/c1")
    _tab_to(page, "Sensitive")
    page.keyboard.press("Enter")
    page.wait_for_url(f"**{AT}")
    _looked(visit, "label-empty")
    _tab_to(page, "Why")
    page.keyboard.press("Control+Enter")
    expect(page.get_by_role("alert")).to_contain_text("Choose a label")
    expect(page.get_by_role("alert")).to_contain_text("Say why")
    assert page.evaluate("document.activeElement.getAttribute('role')") == "alert"
    _looked(visit, "label-errors")
    _tab_to(page, "Label")
    page.keyboard.type("Restricted")
    _tab_to(page, "Why")
    page.keyboard.type("She asked for it on 17 November")
    page.keyboard.press("Control+Enter")
    expect(page.get_by_role("status")).to_contain_text("Marked.")
    expect(page.get_by_text("put by hand")).to_be_visible()
    _looked(visit, "label-put")
    bill.go("/patients/ines/conditions")
    expect(hidden.get_by_text("Type 2 diabetes with kidney disease")).to_have_count(0)
    assert bill.violations() == []
    # lifted, by keyboard again
    page.get_by_role("heading", name="Labels it carries").click()
    _tab_to(page, "Lift Restricted")
    page.keyboard.press("Enter")
    page.wait_for_url("**/lift/restricted")
    _looked(visit, "lift")
    _tab_to(page, "Why this label is wrong here")
    page.keyboard.press("Control+Enter")
    expect(page.get_by_role("alert")).to_contain_text("Say why")
    _looked(visit, "lift-errors")
    _tab_to(page, "Why this label is wrong here")
    page.keyboard.type("It was about somebody else")
    page.keyboard.press("Control+Enter")
    expect(page.get_by_role("status")).to_contain_text("Lifted.")
    _looked(visit, "label-lifted")
    bill.go("/patients/ines/conditions")
    expect(hidden.get_by_text("Type 2 diabetes with kidney disease").first).to_be_visible()
    visit.go("/patients/ines/facts/Condition/c1")
    _looked(visit, "label-fact")
    page.set_viewport_size({"width": 390, "height": 900})
    page.get_by_text("More", exact=True).click()
    expect(page.get_by_role("link", name="Inbox").last).to_be_in_viewport()
    picture(page, "menu-390")


def test_a_second_person_looks_at_it(signed_as: As) -> None:
    pia = signed_as("pia", java_script_enabled=False)
    page: Any = pia.go("/labels")
    expect(page.get_by_text("waits for a second person", exact=True)).to_be_visible()
    expect(page.get_by_role("row").filter(has_text="It was about somebody else")).to_contain_text("Sage")
    page.get_by_role("button", name="Agree").click()
    expect(page.get_by_role("status")).to_contain_text("Agreed.")
    page.get_by_role("button", name="Put back").first.click()
    expect(page.get_by_role("status")).to_contain_text("Put back.")
    seeing = signed_as("pia")
    seeing.go("/labels")
    _looked(seeing, "labels")
    seeing.go("/labels?count=yes")
    _looked(seeing, "labels-counted")


def test_an_entry_is_marked_and_lifted_without_javascript(signed_as: As) -> None:
    sage = signed_as("sage", java_script_enabled=False)
    page: Any = sage.go("/patients/ines/label/Condition/c2")
    page.get_by_role("button", name="Mark it").click()
    expect(page.get_by_role("alert")).to_contain_text("Choose a label")
    page.get_by_label("Label", exact=True).select_option(label="HIV")
    page.get_by_label("Why", exact=True).fill("In confidence")
    page.get_by_role("button", name="Mark it").click()
    expect(page.get_by_role("status")).to_contain_text("Marked.")
    page.get_by_role("link", name="Lift HIV").click()
    page.get_by_label("Why this label is wrong here").fill("A slip")
    page.get_by_role("button", name="Lift it").click()
    expect(page.get_by_role("status")).to_contain_text("Lifted.")
    page.get_by_role("button", name="Put back HIV").click()
    expect(page.get_by_role("status")).to_contain_text("Put back.")


def test_an_account_ends_and_its_results_are_handed_over(signed_as: As) -> None:
    root = signed_as("root", java_script_enabled=False)
    page: Any = root.go("/users?q=otto")
    page.get_by_role("link", name="Otto Tansley").click()
    page.get_by_role("link", name="End the account of").click()
    expect(page.get_by_text("1 critical")).to_be_visible()
    expect(
        page.get_by_text("1 result cannot be handed to Sage Person: Sage Person may not see it.")
    ).to_be_visible()
    page.get_by_role("button", name="End the account").click()
    expect(page.get_by_role("alert")).to_contain_text("choose who takes them over")
    seeing = signed_as("root")
    seeing.go(page.url.removeprefix(root.address).removesuffix("/end") + "/end")
    _looked(seeing, "ending")
    page.get_by_label("Hand them over to").select_option(label="Sage Person (sage)")
    page.get_by_role("button", name="End the account").click()
    expect(page.get_by_role("status")).to_contain_text("has ended")
    seeing.go("/inbox")
    expect(seeing.page.get_by_text("1 result waits for somebody who may see it.")).to_be_visible()
    _looked(seeing, "ended-inbox")


def _tab_to(page: Any, name: str) -> None:
    """Press Tab until what is called so has the focus."""
    for _ in range(80):
        page.keyboard.press("Tab")
        if page.evaluate(_NAME) == name:
            return
    raise AssertionError(f"{name} is not reached by Tab")


_NAME = """() => { const one = document.activeElement
  const said = one.labels && one.labels.length ? one.labels[0].textContent : one.textContent
  return said.trim().replace(/\\s+/g, ' ').replace(/ ?\\(required\\)$/, '') }"""


def _looked(visit: Visit, name: str) -> None:
    """No violation; nothing wider than the window, at a desk, on a small screen and on a phone; in the dark where pictures are taken."""
    page = visit.page
    assert len(page.content().encode()) < 60_000
    assert visit.violations() == []
    for width in (1024, 390, 1280):
        page.set_viewport_size({"width": width, "height": 900})
        assert page.evaluate("document.documentElement.scrollWidth <= window.innerWidth"), width
        picture(page, f"{name}-{width}")
    if FOLDER:
        page.emulate_media(color_scheme="dark")
        assert visit.violations() == []
        picture(page, f"{name}-dark")
        page.emulate_media(color_scheme="light")
