"""The patient's door in a browser: on a phone and a desk, light and dark, for oneself and for a child."""

from __future__ import annotations

import asyncio
import re
from typing import Any

import pytest
from playwright.sync_api import Browser, expect

from commonchart.access import users
from commonchart.access.actors import Actor
from commonchart.access.portal import proxies
from commonchart.access.records import Put, Records
from commonchart.fhir.validate import validate
from commonchart.jobs import worker
from commonchart.record.database import Database
from tests.conftest import Clock
from tests.journeys.conftest import Place, Visit
from tests.journeys.pictures import picture
from tests.web.conftest import PASSWORD
from tests.web.people import about

pytestmark = pytest.mark.journey
PATHS = {
    "home": "", "record": "/record", "conditions": "/record/conditions", "results": "/results", "result": "/results/h5", "critical": "/results/k2",
    "due": "/due", "questions": "/questions", "access": "/access?show=self&show=auto", "sharing": "/sharing", "preview": "/sharing/org-northgate",
    "stop": "/sharing/org-northgate/stop", "requests": "/requests", "ask": "/ask?kind=correction&focus=AllergyIntolerance/a2",
    "download": "/download", "readable": "/download/record.html", "document": "/documents/DocumentReference/d1", "you": "/you",
}  # fmt: skip


@pytest.fixture(scope="module", autouse=True)
def right(place: Place) -> str:
    """A site that shares, a visit that is planned, and a child for whom Ines acts."""
    return asyncio.run(_prepared(place.database))


async def _prepared(url: str) -> str:
    database, clock = await Database.open(url), Clock()
    records = Records(database, Actor(1, "loader", "Loader", "system", "alder", "test", network=False), clock)
    leo = {
        "resourceType": "Patient",
        "id": "leo",
        "name": [{"family": "Sample", "given": ["Leo"]}],
        "birthDate": "2022-10-30",
    }
    visit = {
        "resourceType": "Appointment", "id": "next", "status": "booked", "start": "2026-11-25T14:20:00Z", "end": "2026-11-25T14:40:00Z",
        "description": "Diabetes check", "participant": [{"actor": {"reference": "Patient/ines"}, "status": "accepted"}, {"actor": {"reference": "Practitioner/wrenfield"}, "status": "accepted"}],
    }  # fmt: skip
    eczema = about("Condition", "leo-1", "leo", code={"text": "Eczema"})
    await records.commit([Put(validate(one), str(one["id"])) for one in (leo, visit, eczema)])
    await worker.drain(database, clock)
    user = await users.find(database, "ines")
    async with database.connection() as conn:
        await conn.execute(
            "INSERT INTO site_setting VALUES (1, 'mode', 'network'), (1, 'practice_phone', '555 0100') ON CONFLICT DO NOTHING"
        )
        wanted = proxies.Wanted(user.id, "leo", "parent", relation="son", why="seen")
        given = await proxies.give(conn, users.system(1, "test"), wanted, clock())
    await database.close()
    return given.id


def _in(browser: Browser, place: Place, login: str, **how: Any) -> Visit:
    visit = Visit(browser.new_context(**how).new_page(), place.address)
    visit.enter(login)
    return visit


@pytest.mark.parametrize(
    ("name", "wide", "scheme"),
    [("phone", 390, "light"), ("phone-dark", 390, "dark"), ("desk", 1280, "light")],
)
def test_every_page(browser: Browser, place: Place, right: str, name: str, wide: int, scheme: Any) -> None:
    visit = _in(browser, place, "ines", viewport={"width": wide, "height": 844}, color_scheme=scheme)
    visit.page.wait_for_url("**/me")
    child = {
        f"child-{key}": f"/me/for/{right}{PATHS[key]}" for key in ("home", "record", "due", "access", "ask")
    }
    if "focus" in child["child-ask"]:
        child["child-ask"] = f"/me/for/{right}/ask?kind=restriction"
    every = {key: f"/me{path}" for key, path in PATHS.items()} | child
    every |= {"refused": "/me/results/none", "apps": "/connected-apps"}
    for key, path in every.items():
        page = visit.go(path)
        assert visit.violations() == [], path
        assert page.evaluate("document.documentElement.scrollWidth <= innerWidth"), path
        picture(visit.page, f"{key}-{name}")
    assert visit.errors == []
    visit.page.context.close()


def test_a_request_without_javascript_and_the_answer_of_staff(browser: Browser, place: Place) -> None:
    visit = _in(browser, place, "ines", java_script_enabled=False, viewport={"width": 390, "height": 844})
    page = visit.go("/me/ask?kind=correction&focus=AllergyIntolerance/a2")
    page.get_by_role("button", name="Send").click()
    expect(page.get_by_role("alert")).to_contain_text("There are 2 things to fix")
    picture(visit.page, "ask-errors-phone")
    page.get_by_label("Something is wrong or missing in it").check()
    page.get_by_label("What should it say?").fill("It was a fever")
    page.get_by_role("button", name="Send").click()
    expect(page.get_by_text("We are looking at it")).to_be_visible()
    page.context.close()
    staff = _in(browser, place, "sage", viewport={"width": 1280, "height": 900})
    for path in ("/requests", "/patients/ines/portal", "/patients/ines/hold/Observation/k2"):
        staff.go(path)
        assert staff.violations() == [], path
        picture(staff.page, f"staff-{re.sub(r'[^a-z]', '-', path[1:].lower())}")
    staff.page.set_viewport_size({"width": 1024, "height": 800})
    for path in ("/patients/ines/contacts", "/patients/ines/consents"):
        assert staff.go(path).evaluate("document.documentElement.scrollWidth <= innerWidth"), path
    staff.page.context.close()


def test_an_invitation_is_taken_up(browser: Browser, place: Place) -> None:
    staff = _in(browser, place, "sage", viewport={"width": 1280, "height": 900})
    page = staff.go("/patients/blank/portal")
    page.get_by_label("The patient", exact=True).check()
    page.get_by_role("button", name="Make a code").click()
    code = page.locator("p.mono").inner_text()
    page.context.close()
    visit = Visit(browser.new_context(viewport={"width": 390, "height": 844}).new_page(), place.address)
    page = visit.go("/invitation")
    assert visit.violations() == []
    picture(visit.page, "invitation-phone")
    page.get_by_label("Code").fill(code)
    page.get_by_label("No, make one").check()
    page.get_by_label("User name").fill("tom")
    page.get_by_label("Password").fill(PASSWORD)
    page.get_by_role("button", name="Come in").click()
    page.wait_for_url("**/me")
    expect(page.get_by_role("heading", level=1)).to_contain_text("Tom")
    assert visit.violations() == []
    picture(visit.page, "home-empty-phone")
    page.context.close()
