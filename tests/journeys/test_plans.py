"""One due item in a browser: its explanation, every form about it, the wait for the worker; the questionnaire and its paper."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from typing import Any

import pytest
from playwright.sync_api import Browser, expect

from commonchart.jobs import due, worker
from commonchart.record import changes
from commonchart.record.database import Database
from tests.conftest import Clock
from tests.journeys.conftest import Place, Visit
from tests.journeys.pictures import picture

pytestmark = pytest.mark.journey
DUE = "/patients/ines/due"


@pytest.fixture
def phone(browser: Browser, address: str, signed: Any) -> Iterator[Visit]:
    """The clinician with a phone, in the dark."""
    context = browser.new_context(
        storage_state=signed, viewport={"width": 390, "height": 844}, color_scheme="dark"
    )
    made = Visit(context.new_page(), address)
    yield made
    assert made.errors == []
    context.close()


def work(place: Place) -> None:
    """Let the worker follow what was written. In a thread of its own: the browser's loop stands in the way."""

    async def follow() -> None:
        database = await Database.open(place.database)
        for _ in range(200):
            await worker.drain(database, Clock())
            async with database.connection() as conn:
                if not await changes.waiting(conn, due.CURSOR):
                    break
            await asyncio.sleep(0.02)
        await database.close()

    from concurrent.futures import ThreadPoolExecutor

    with ThreadPoolExecutor(1) as pool:
        pool.submit(lambda: asyncio.run(follow())).result()


def test_the_due_list_and_one_item_defend_themselves(visit: Visit, place: Place) -> None:
    work(place)
    page: Any = visit.go(f"{DUE}?rule=a1c")
    expect(page.get_by_role("heading", name="Facts used").first).to_be_visible()
    assert visit.violations() == []
    picture(page, "due-list")
    page.locator("#a1c").get_by_role("link", name="More").click()
    expect(page.get_by_role("heading", name="HbA1c", exact=True)).to_be_visible()
    expect(page.get_by_text("Months in range")).to_be_visible()
    assert visit.violations() == []
    picture(page, "due-item")


def test_a_deferral_is_made_waited_for_and_ended(visit: Visit, place: Place) -> None:
    page: Any = visit.go(f"{DUE}/breast")
    page.get_by_role("link", name="Defer").click()
    assert visit.violations() == []
    picture(page, "form-defer")
    page.get_by_role("button", name="Save").click()
    expect(page.get_by_role("alert")).to_contain_text("Enter the reason")
    assert visit.violations() == []
    page.get_by_label("Reason").fill("After the holidays")
    page.keyboard.press("Control+Enter")
    expect(page.get_by_text("Being worked out.")).to_be_visible()
    assert visit.violations() == []
    picture(page, "being-worked-out")
    work(place)
    expect(page.get_by_text("Being worked out.")).to_be_hidden(timeout=5000)
    expect(page.locator(".verdict")).to_contain_text("Deferred")
    assert visit.violations() == []
    picture(page, "deferred")
    page.get_by_role("link", name="End").click()
    assert visit.violations() == []
    page.get_by_label("Reason").fill("Came back early")
    page.keyboard.press("Control+Enter")
    expect(page.get_by_text("Decided before: 1")).to_be_visible()
    work(place)


@pytest.mark.parametrize(
    "path",
    ["colorectal/record", "colorectal/order", "colorectal/decline", "colorectal/aside", "colorectal/interval", "a1c/target", "a1c/record",
     "blood-pressure/target", "blood-pressure/record"],
)  # fmt: skip
def test_every_form_is_accessible(visit: Visit, path: str) -> None:
    page: Any = visit.go(f"{DUE}/{path}")
    expect(page.get_by_role("heading", level=1)).to_be_visible()
    assert visit.violations() == []
    picture(page, f"form-{path.replace('/', '-')}")


def test_the_questionnaire_is_answered_and_printed(visit: Visit, place: Place) -> None:
    work(place)
    page: Any = visit.go("/patients/ines/questionnaire")
    assert visit.violations() == []
    picture(page, "questionnaire")
    page.get_by_role("button", name="Save the answers").click()
    expect(page.get_by_role("alert")).to_be_visible()
    assert visit.violations() == []
    page.get_by_role("group", name="Who answered").get_by_label("The patient", exact=True).check()
    first = page.get_by_role("group", name="Has it been a year or more since your last period?")
    first.get_by_label("Yes", exact=True).check()
    page.keyboard.press("Control+Enter")
    expect(page.get_by_role("status").first).to_contain_text("Saved")
    work(place)
    page = visit.go("/patients/ines/questionnaire?paper=yes")
    assert visit.violations() == []
    page.emulate_media(media="print")
    expect(page.get_by_text("Print this page with your browser")).to_be_hidden()
    expect(page.get_by_role("heading", name="Questions before your visit")).to_be_visible()
    assert visit.violations() == []
    picture(page, "questionnaire-paper")
    sheet = page.pdf(format="Letter")
    assert sheet.count(b"/Type /Page\n") + sheet.count(b"/Type /Page ") <= 2


def test_on_a_phone_in_the_dark(phone: Visit, place: Place) -> None:
    work(place)
    for path, name in (
        (f"{DUE}?rule=a1c", "due-list"),
        (f"{DUE}/a1c", "due-item"),
        ("/patients/ines/questionnaire", "questionnaire"),
    ):
        page: Any = phone.go(path)
        assert phone.violations() == []
        assert page.evaluate("document.documentElement.scrollWidth <= innerWidth")
        picture(page, f"phone-dark-{name}")
