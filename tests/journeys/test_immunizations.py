"""A vaccine given from a due item in a real browser, and what stops it; pictures for whoever wants to look."""

from __future__ import annotations

from typing import Any

import psycopg
import pytest
from playwright.sync_api import Browser, expect

from tests.journeys.conftest import Place, Visit, enter
from tests.journeys.pictures import picture

pytestmark = pytest.mark.journey


def test_a_vaccine_is_given_from_what_could_be_given_today(visit: Visit) -> None:
    page: Any = visit.go("/patients/ines/immunizations")
    expect(page.get_by_role("heading", name="Forecast")).to_be_visible()
    assert visit.violations() == []
    picture(page, "immunizations")
    page.get_by_role("link", name="Give", exact=False).first.click()
    expect(page.get_by_role("heading", name="Record a vaccine")).to_be_visible()
    assert visit.violations() == []
    page.get_by_label("Another lot").check()
    page.keyboard.press("Control+Enter")
    expect(page.get_by_role("alert")).to_contain_text("Choose")
    assert visit.violations() == []
    page.get_by_label("Lot number").fill("Z1")
    page.get_by_label("Expires").fill("2026-01-01")
    page.get_by_label("Site").select_option("LA")
    page.get_by_label("Yes: as recorded").check()
    page.keyboard.press("Control+Enter")
    expect(page.get_by_role("alert")).to_contain_text("expired on 01-Jan-2026")
    picture(page, "give-stopped")
    assert visit.violations() == []
    page.get_by_label("Expires").fill("2027-01-01")
    page.keyboard.press("Control+Enter")
    expect(page.get_by_role("status")).to_contain_text("Saved")


def test_a_refusal_and_the_schedules_without_javascript(browser: Browser, place: Place) -> None:
    context: Any = browser.new_context(
        java_script_enabled=False, viewport={"width": 390, "height": 844}, color_scheme="dark"
    )
    page = context.new_page()
    enter(page, place.address, "sage", "/patients/ines/immunizations")
    expect(page.get_by_role("heading", name="Could be given today")).to_be_visible()
    picture(page, "immunizations-phone-dark")
    page.get_by_role("link", name="Not given", exact=False).first.click()
    page.get_by_label("Patient or parent declined").check()
    page.get_by_label("Ask again on").fill("2027-02-01")
    page.get_by_role("button", name="Record").click()
    expect(page.get_by_text("until 31-Jan-2027").first).to_be_visible()
    page.goto(f"{place.address}/schedules")
    expect(page.get_by_role("heading", name="Immunization schedules")).to_be_visible()
    context.close()


def test_the_schedules_page_has_no_violations(visit: Visit, place: Place) -> None:
    with psycopg.connect(place.database) as conn:
        assert conn.execute("SELECT count(*) FROM schedule_pack").fetchone() == (0,)
    visit.go("/schedules")
    assert visit.violations() == []
