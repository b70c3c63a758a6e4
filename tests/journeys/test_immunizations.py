"""A vaccine given from a due item in a real browser, and what stops it; pictures for whoever wants to look."""

from __future__ import annotations

import os
from typing import Any

import psycopg
import pytest
from playwright.sync_api import Browser, expect

from tests.journeys.conftest import Place, Visit
from tests.web.conftest import PASSWORD

pytestmark = pytest.mark.journey


def shot(page: Any, name: str) -> None:
    if os.environ.get("COMMONCHART_SHOTS"):
        page.screenshot(path=f"{os.environ['COMMONCHART_SHOTS']}/{name}.png", full_page=True)


def test_a_vaccine_is_given_from_what_could_be_given_today(visit: Visit) -> None:
    page: Any = visit.go("/patients/ines/immunizations")
    expect(page.get_by_role("heading", name="Forecast")).to_be_visible()
    assert visit.violations() == []
    shot(page, "immunizations")
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
    shot(page, "give-stopped")
    assert visit.violations() == []
    page.get_by_label("Expires").fill("2027-01-01")
    page.keyboard.press("Control+Enter")
    expect(page.get_by_role("status")).to_contain_text("Saved")


def test_a_refusal_and_the_schedules_without_javascript(browser: Browser, place: Place) -> None:
    context: Any = browser.new_context(
        java_script_enabled=False, viewport={"width": 390, "height": 844}, color_scheme="dark"
    )
    page = context.new_page()
    page.goto(f"{place.address}/sign-in?next=/patients/ines/immunizations")
    page.get_by_label("User name").fill("sage")
    page.get_by_label("Password").fill(PASSWORD)
    page.get_by_role("button", name="Continue").click()
    expect(page.get_by_role("heading", name="Could be given today")).to_be_visible()
    shot(page, "immunizations-phone-dark")
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
