"""From the registry to letters and an answer in a browser, with the keyboard and without JavaScript."""

from __future__ import annotations

import asyncio
from typing import Any

import psycopg
import pytest
from playwright.sync_api import Browser, expect

from commonchart.access.actors import Actor
from commonchart.access.records import Put, Records
from commonchart.fhir.validate import validate
from commonchart.jobs import worker
from commonchart.record.database import Database
from tests.conftest import Clock
from tests.journeys.conftest import Place, Visit, enter
from tests.journeys.pictures import picture
from tests.outreach import woman
from tests.web.test_campaigns import appointment

pytestmark = pytest.mark.journey


@pytest.fixture(scope="module", autouse=True)
def due(place: Place) -> None:
    """Two women who are due, one of whom comes today; the practice is named by the fixture of the journeys."""
    asyncio.run(_prepared(place.database))


async def _prepared(url: str) -> None:
    database, clock = await Database.open(url), Clock()
    records = Records(database, Actor(1, "loader", "Loader", "system", "alder", "test", network=False), clock)
    people = [
        woman("ada"),
        woman("bea"),
        woman("eva", deceasedBoolean=True),
        appointment("today", "ada", "2026-11-18T14:30:00Z"),
    ]
    await records.commit([Put(validate(one), one["id"]) for one in people])
    await worker.drain(database, clock)
    async with database.single() as conn:
        await conn.execute("INSERT INTO site_setting VALUES (1, 'practice_phone', '555 0100')")
    await database.close()


@pytest.mark.parametrize("javascript", [True, False])
def test_a_campaign_of_letters(browser: Browser, place: Place, javascript: bool) -> None:
    with psycopg.connect(place.database, autocommit=True) as conn:
        conn.execute("DELETE FROM outreach_message")
        conn.execute("DELETE FROM outreach_campaign")
    context: Any = browser.new_context(
        java_script_enabled=javascript, viewport={"width": 1280, "height": 900}
    )
    page = context.new_page()
    visit = Visit(page, place.address)

    def checked(name: str) -> None:
        assert not javascript or visit.violations() == []
        if javascript:
            picture(page, name)

    enter(page, place.address, "root", "/campaigns")
    expect(page.get_by_text("Nobody has been contacted yet.")).to_be_visible()
    checked("campaigns-empty")
    page.goto(f"{place.address}/registry?rule=colorectal")
    page.get_by_role("link", name="Contact these").click()
    expect(page.get_by_role("heading", name="Contact these")).to_be_visible()
    expect(page.get_by_text("Colorectal cancer screening").first).to_be_visible()
    checked("campaign-new")
    page.get_by_label("Channel", exact=True).select_option("email")
    page.get_by_role("button", name="Show", exact=True).click()
    expect(page.get_by_role("alert")).to_contain_text("has not set up this channel")
    checked("campaign-refused")
    page.get_by_label("Channel", exact=True).select_option("letter")
    page.get_by_role("button", name="Show", exact=True).click()
    page.get_by_role("button", name="Contact ").click()
    expect(page.get_by_role("alert")).to_contain_text("Give the campaign a name")
    checked("campaign-untitled")
    page.get_by_label("Name of the campaign").fill("Autumn check-ups")
    page.get_by_label("Name of the campaign").press("Enter")
    expect(page.get_by_role("heading", name="Autumn check-ups")).to_be_visible()
    checked("campaign-begun")
    page.get_by_role("button", name="Write the letters").click()
    expect(page.get_by_role("status")).to_contain_text("The letters are written")
    with page.expect_download() as download:
        page.get_by_role("link", name="Print the letters (PDF)").click()
    assert download.value.path().read_bytes().startswith(b"%PDF")
    page.get_by_role("button", name="Keep the answer of Ada Hallow").click()
    expect(page.get_by_role("alert")).to_contain_text("Choose an answer")
    checked("campaign-answer")
    page.get_by_label("Answer of Ada Hallow").select_option("booked")
    page.get_by_role("button", name="Keep the answer of Ada Hallow").click()
    expect(page.get_by_role("status")).to_contain_text("The answer is kept")
    with psycopg.connect(place.database, autocommit=True) as conn:
        conn.execute("UPDATE outreach_message SET state = 'doubt' WHERE patient = 'bea'")
    page.goto(page.url.partition("?")[0])
    expect(page.get_by_text("1 may have been sent.")).to_be_visible()
    checked("campaign-doubt")
    page.get_by_role("button", name="It was sent to Bea Hallow").click()
    expect(page.get_by_role("status")).to_contain_text("Kept as sent")
    page.goto(f"{place.address}/campaigns")
    expect(page.get_by_role("link", name="Autumn check-ups")).to_be_visible()
    checked("campaigns")
    context.close()


@pytest.mark.parametrize(
    "path",
    [
        "/templates",
        "/digest",
        "/patients/ada/contact-preferences",
        "/campaigns/new?rule=none",
        "/patients/ada/timeline",
    ],
)
def test_the_pages_beside_it_hold_no_barrier(visit: Visit, path: str) -> None:
    page: Any = visit.go(path)
    assert visit.violations() == []
    page.emulate_media(color_scheme="dark")
    assert visit.violations() == []
    picture(page, path.split("?")[0].split("/")[-1])
