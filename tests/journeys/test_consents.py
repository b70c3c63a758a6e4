"""Consents, what others would see, the privacy officer's queue, disclosures and share links in a browser."""

from __future__ import annotations

import asyncio
import re
from typing import Any

import pytest
from playwright.sync_api import Browser, expect

from commonchart.access import audit
from commonchart.access.actors import Actor
from commonchart.access.records import Put, Records
from commonchart.fhir.validate import validate
from commonchart.record import site as decisions
from commonchart.record.database import Database
from tests.conftest import Clock
from tests.journeys.conftest import Place, Visit
from tests.journeys.pictures import picture
from tests.web.people import condition

pytestmark = pytest.mark.journey
ODD = {
    "resourceType": "Consent", "id": "odd", "status": "active", "patient": {"reference": "Patient/ines"}, "scope": {"coding": [{"code": "weather"}]},
    "category": [{"text": "?"}], "policyRule": {"text": "?"}, "provision": {"type": "permit"}, "dateTime": "2026-10-01",
}  # fmt: skip


@pytest.fixture(scope="module", autouse=True)
def network(place: Place) -> None:
    """A site that shares, a labelled condition, a consent that cannot be understood, and something that went outside."""
    asyncio.run(_prepared(place.database))


async def _prepared(url: str) -> None:
    database, clock = await Database.open(url), Clock()
    async with database.connection() as conn:
        await decisions.put(conn, 1, "mode", "network")
        research = Actor(1, "nora", "Nora", "clinician", "northgate", "web", "HRESCH", network=True)
        await audit.note(conn, research, clock(), "read", rtype="Observation", patients=["ines"])
    loader = Records(database, Actor(1, "loader", "L", "system", "alder", "test", network=True), clock)
    sud = condition("sud", "Opioid use", "F11.20", "2024")
    await loader.commit([Put(validate(one), str(one["id"])) for one in (sud, ODD)])
    await database.close()


def _in(browser: Browser, place: Place, login: str, **how: Any) -> Visit:
    visit = Visit(browser.new_context(**how).new_page(), place.address)
    visit.enter(login).wait_for_url(re.compile(r"/(patients|me)$"))
    return visit


IN_THE_DARK = ("link-errors-phone-dark", "link-made-phone-dark", "share-record-phone-dark")


def _looked(visit: Visit, name: str) -> None:
    """No barrier, nothing wider than the window, and a picture for whoever wants to look; in the dark, where colours tell."""
    if name.endswith("phone-dark") and name not in IN_THE_DARK:
        return
    assert visit.violations() == [], name
    assert visit.page.evaluate("document.documentElement.scrollWidth <= innerWidth"), name
    picture(visit.page, name)


DESK = {"viewport": {"width": 1280, "height": 900}}
PHONE = {"viewport": {"width": 390, "height": 844}}


def test_a_consent_from_the_form_to_what_they_would_see(browser: Browser, place: Place) -> None:
    visit = _in(browser, place, "sage", **DESK, color_scheme="light")
    page = visit.go("/patients/ines/consents")
    page.get_by_role("link", name="Record a consent").click()
    page.get_by_role("button", name="Record the consent").click()
    expect(page.get_by_role("alert")).to_contain_text("Choose")
    _looked(visit, "consent-errors")
    page.get_by_label("Permits").check()
    page.get_by_label("Kind of recipient").select_option("organization")
    page.get_by_label("Organisation", exact=False).first.select_option("northgate")
    page.get_by_label("Everything that is not specially protected").check()
    page.get_by_label("Purpose").select_option("treat")
    page.get_by_label("On paper, signed").check()
    page.get_by_label("Where the signed paper is kept").fill("consent folder")
    page.get_by_label("This is a consent by 42 CFR Part 2").check()
    page.get_by_role("button", name="Record the consent").click()
    expect(page.get_by_role("status")).to_contain_text("Recorded")
    _looked(visit, "consents")
    page.get_by_role("link", name="Permits Northgate General Hospital").click()
    expect(page.get_by_role("button", name="Withdraw")).to_be_visible()
    _looked(visit, "consent")
    page = visit.go("/patients/ines/would-see?organization=meridian&role=nurse&purpose=TREAT")
    expect(page.get_by_text("Denied by a consent").first).to_be_visible()
    _looked(visit, "would-see")
    assert visit.errors == []
    page.context.close()


def test_the_privacy_officer_in_the_dark_and_on_a_phone(browser: Browser, place: Place) -> None:
    visit = _in(browser, place, "root", **DESK, color_scheme="dark")
    for path, name in (("/reports/consents", "queue-dark"), ("/patients/ines/disclosures?all=yes", "disclosures-dark"), ("/labels?count=yes", "labels-dark")):  # fmt: skip
        expect(visit.go(path).get_by_role("heading", level=1)).to_be_visible()
        _looked(visit, name)
    page = visit.go("/reports/consents")
    page.get_by_role("button", name="Looked at").click()
    expect(page.get_by_role("button", name="Open again")).to_be_visible()
    _looked(visit, "queue-after")
    page.set_viewport_size(PHONE["viewport"])
    for path, name in (
        ("/patients/ines/consents/new", "consent-new-phone"),
        ("/patients/ines/would-see?role=nurse", "would-see-phone"),
    ):
        expect(visit.go(path).get_by_role("heading", level=1)).to_be_visible()
        _looked(visit, name)
    assert visit.errors == []
    page.context.close()


@pytest.mark.parametrize(("name", "scheme"), [("phone", "light"), ("phone-dark", "dark")])
def test_a_link_from_the_patient_to_the_reader(
    browser: Browser, place: Place, name: str, scheme: Any
) -> None:
    visit = _in(browser, place, "ines", **PHONE, color_scheme=scheme, java_script_enabled=True)
    visit.go("/me/disclosures")
    _looked(visit, f"me-disclosures-{name}")
    page = visit.go("/me/sharing/link")
    page.get_by_role("button", name="Make the link").click()
    expect(page.get_by_role("alert")).to_contain_text("Say whom the link is for")
    _looked(visit, f"link-errors-{name}")
    page.get_by_label("Who is it for?").fill("Dr. Ona Field")
    page.get_by_label("My whole record").check()
    page.get_by_label("All of it").check()
    page.get_by_label("Passcode").fill("blue heron")
    page.get_by_role("button", name="Make the link").click()
    expect(page.get_by_role("img", name="QR code of the link")).to_be_visible()
    _looked(visit, f"link-made-{name}")
    link = page.locator("main a.long").inner_text()
    visit.go("/me/sharing")
    _looked(visit, f"sharing-{name}")
    page.get_by_role("link", name=re.compile("See what they see.*Ona Field")).first.click()
    _looked(visit, f"link-preview-{name}")
    reader = Visit(
        browser.new_context(**PHONE, color_scheme=scheme, java_script_enabled=False).new_page(), place.address
    )
    there = reader.go("/share/" + link.rpartition("/")[2])
    there.get_by_label("Passcode").fill("red heron")
    there.get_by_role("button", name="Open the record").click()
    expect(there.get_by_role("alert")).to_contain_text("4 tries left")
    there.get_by_label("Passcode").fill("blue heron")
    there.get_by_role("button", name="Open the record").click()
    expect(there.get_by_role("heading", level=1)).to_contain_text("Health record of")
    there.context.close()
    reader = Visit(browser.new_context(**PHONE, color_scheme=scheme).new_page(), place.address)
    there = reader.go("/share/" + link.rpartition("/")[2])
    _looked(reader, f"share-open-{name}")
    there.get_by_label("Passcode").fill("blue heron")
    there.get_by_role("button", name="Open the record").click()
    expect(there.get_by_role("heading", level=1)).to_contain_text("Health record of")
    _looked(reader, f"share-record-{name}")
    reader.go("/share/" + "x" * 43)
    _looked(reader, f"share-over-{name}")
    assert visit.errors == reader.errors == []
    there.context.close()
    page.context.close()
