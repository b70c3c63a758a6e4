"""Registry, condition registry and dashboard in a browser: with the keyboard, without JavaScript, on a phone, in the dark."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest
from playwright.sync_api import Browser, expect

from commonchart.record.database import Database
from tests.conftest import Clock
from tests.journeys.conftest import Place, Visit
from tests.journeys.pictures import picture
from tests.panels import panel_people, put

pytestmark = pytest.mark.journey
PATHS = (
    "/registry?status=all", "/registry?rule=a1c&status=attention", "/registries/diabetes?show=all", "/registries/anticoagulation",
    "/dashboard", "/registry/views", "/registry/print?rule=a1c&status=all", "/registry/defer?rule=a1c&status=all", "/registry/act?do=csv",
)  # fmt: skip


@pytest.fixture(scope="module", autouse=True)
def listed(place: Place) -> None:
    async def prepared() -> None:
        database = await Database.open(place.database)
        await put(database, Clock(), *panel_people())
        await database.close()

    asyncio.run(prepared())


@pytest.mark.parametrize("path", PATHS)
def test_no_barrier_in_light_dark_and_on_a_phone(visit: Visit, path: str) -> None:
    page: Any = visit.go(path)
    name = path.strip("/").replace("/", "-").split("?")[0]
    assert visit.violations() == []
    picture(page, name)
    page.emulate_media(color_scheme="dark")
    assert visit.violations() == []
    picture(page, f"{name}-dark")
    page.set_viewport_size({"width": 390, "height": 844})
    page.emulate_media(color_scheme="light")
    assert visit.violations() == []
    assert page.evaluate("document.documentElement.scrollWidth <= document.documentElement.clientWidth")
    picture(page, f"{name}-phone")


def test_rows_are_chosen_and_put_off_with_the_keyboard(visit: Visit) -> None:
    page: Any = visit.go("/registry?rule=eye-diabetes&status=all")
    page.keyboard.press("j")
    page.keyboard.press("x")
    page.keyboard.press("j")
    page.keyboard.press("x")
    expect(page.get_by_text("2 chosen")).to_be_visible()
    page.keyboard.press("?")
    expect(page.get_by_text("Choose the row")).to_be_visible()
    page.keyboard.press("Escape")
    page.keyboard.press("d")
    expect(page.get_by_role("heading", name="Put off", exact=True)).to_be_visible()
    page.get_by_label("Reason").fill("Seen elsewhere, letter awaited")
    page.get_by_role("button", name="Put off 2 rows").click()
    expect(page.get_by_role("status")).to_contain_text("2 rows were put off")
    assert visit.violations() == []
    picture(page, "registry-deferred")


def test_a_filter_is_saved_and_deleted_and_brought_back(visit: Visit) -> None:
    page: Any = visit.go("/registry?rule=a1c&range=out&status=all")
    page.get_by_text("Save this filter").click()
    page.get_by_label("Name of the filter").fill("A1c out of range")
    page.get_by_role("button", name="Save the filter").click()
    expect(page.get_by_role("status").first).to_contain_text("The filter is saved")
    assert visit.violations() == []
    page.get_by_role("link", name="Manage saved filters").click()
    page.get_by_role("button", name="Delete A1c out of range").click()
    page.get_by_role("button", name="Undo").click()
    expect(page.get_by_role("link", name="A1c out of range").first).to_be_visible()
    assert visit.violations() == []
    picture(page, "saved-filters")


def test_from_a_number_to_its_patients_and_back(visit: Visit) -> None:
    page: Any = visit.go("/dashboard?clinician=wrenfield&all=yes&q=HbA1c")
    page.get_by_role("link", name="Overdue: HbA1c", exact=False).first.click()
    expect(page.get_by_role("heading", name="Registry", exact=True)).to_be_visible()
    page.get_by_role("link", name="Back to the dashboard").click()
    assert "clinician=wrenfield" in page.url


def test_without_javascript(browser: Browser, place: Place, signed: Any) -> None:
    context: Any = browser.new_context(java_script_enabled=False, storage_state=signed)
    page = context.new_page()
    page.goto(f"{place.address}/registry?rule=a1c&status=all")
    page.get_by_role("button", name="Contact…").click()
    expect(page.get_by_role("alert")).to_contain_text("Choose at least one row")
    page.get_by_label("Choose PERSON-LATE, Ada, HbA1c").check()
    page.get_by_role("button", name="Contact…").click()
    expect(page.get_by_role("heading", name="Contact these")).to_be_visible()
    context.close()
