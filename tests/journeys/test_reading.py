"""Journeys of reading: with mouse, keys, without script, on a phone, in the dark; and axe on every page."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import psycopg
import pytest
from playwright.sync_api import Browser, expect

from tests.journeys.conftest import Place, Visit

pytestmark = pytest.mark.journey
CHART = ["", "/timeline", "/visits", "/visits/v3", "/conditions", "/medications", "/allergies", "/immunizations", "/results",
         "/results/trend?test=http://loinc.org|4548-4", "/procedures", "/family", "/documents", "/documents/DocumentReference/d1", "/insurance",
         "/contacts", "/facts/Observation/h5", "?as_of=2026-11-17"]  # fmt: skip
PAGES = [*(f"/patients/ines{path}" for path in CHART), "/patients", "/patients?q=hallow", "/patients?q=zzz", "/patients/blank", "/patients/late",
         "/account", "/patients/nobody", "/patients/ines?as_of=soon"]  # fmt: skip
DARK = [
    "/patients/ines",
    "/patients/ines/results",
    "/patients/ines/facts/Observation/h5",
    "/patients",
    "/patients/late",
]
PICTURES = os.environ.get("COMMONCHART_PICTURES", "")


def keep(visit: Visit, name: str) -> None:
    """Keep a picture, when somebody wants to look."""
    if PICTURES:
        wide = (visit.page.viewport_size or {}).get("width", 0)
        visit.page.screenshot(
            path=Path(PICTURES) / f"{name.strip('/').replace('/', '_').split('?')[0] or 'home'}-{wide}.png",
            full_page=wide < 600,
        )


@pytest.mark.parametrize("path", PAGES)
def test_no_page_has_an_accessibility_violation(visit: Visit, path: str) -> None:
    visit.go(path)
    keep(visit, path)
    assert visit.violations() == []


@pytest.mark.parametrize("path", DARK)
def test_nor_in_the_dark_on_a_phone(browser: Browser, address: str, signed: Any, path: str) -> None:
    context = browser.new_context(
        storage_state=signed, viewport={"width": 390, "height": 844}, color_scheme="dark"
    )
    visit = Visit(context.new_page(), address)
    page = visit.go(path)
    keep(visit, path)
    assert visit.violations() == []
    assert page.evaluate("document.documentElement.scrollWidth") <= 390
    context.close()


def test_the_door_has_no_violation_either(browser: Browser, address: str) -> None:
    visit = Visit(browser.new_page(), address)
    visit.go("/sign-in")
    keep(visit, "sign-in")
    assert visit.violations() == []
    visit.page.close()


def test_finding_a_patient_while_typing(visit: Visit) -> None:
    page = visit.go("/patients")
    page.get_by_role("searchbox", name="Find patient by name").last.fill("ines")
    expect(page.locator("#results tbody tr")).to_have_count(1)
    page.get_by_role("link", name="HALLOWBROOK, Inés").click()
    expect(page.get_by_role("heading", level=1)).to_have_text("Summary")


def test_a_slash_typed_into_a_box_stays_a_slash(visit: Visit) -> None:
    box = visit.go("/patients").get_by_role("searchbox", name="Find patient by name").last
    box.fill("ines")
    visit.page.keyboard.press("/")
    expect(box).to_have_value("ines/")


def test_finding_from_inside_a_chart_with_the_keys(visit: Visit) -> None:
    page = visit.go("/patients/late")
    page.keyboard.press("/")
    page.keyboard.type("quill")
    expect(page.locator("#found a")).to_have_count(1)
    keep(visit, "found")
    assert visit.violations() == []
    page.keyboard.press("Enter")
    page.wait_for_url("**/patients?q=quill")


def test_a_value_opens_its_provenance_in_place_and_gives_the_focus_back(visit: Visit) -> None:
    page = visit.go("/patients/ines/results")
    value = page.locator("td.num a", has_text="8.4").first
    value.click()
    shown = page.locator("#pop")
    expect(shown).to_be_visible()
    expect(shown).to_contain_text("Meridian Laboratory")
    keep(visit, "pop")
    assert visit.violations() == []
    page.keyboard.press("Escape")
    expect(shown).to_be_hidden()
    expect(value).to_be_focused()


def test_a_source_mark_opens_the_record_page_in_another_tab_as_any_link(visit: Visit) -> None:
    page = visit.go("/patients/ines/conditions")
    mark = page.locator("a.src").first
    assert "/patients/ines/facts/Condition/" in str(mark.evaluate("a => a.href"))


def test_sections_by_key_and_rows_by_key(visit: Visit) -> None:
    page = visit.go("/patients/ines")
    page.keyboard.press("g")
    page.keyboard.press("3")
    page.wait_for_url("**/visits")
    page.keyboard.press("j")
    page.keyboard.press("j")
    page.keyboard.press("Enter")
    page.wait_for_url("**/visits/v1")
    page.keyboard.press("?")
    expect(page.locator("#keys")).to_be_visible()
    keep(visit, "keys")
    assert visit.violations() == []


def test_the_palette_offers_what_the_page_offers(visit: Visit) -> None:
    page = visit.go("/patients/ines")
    page.keyboard.press("Control+k")
    expect(page.locator("#palette")).to_contain_text("Acts on HALLOWBROOK, Inés")
    page.keyboard.type("immun")
    expect(page.get_by_role("option")).to_have_count(1)
    keep(visit, "palette")
    assert visit.violations() == []
    page.keyboard.press("Enter")
    page.wait_for_url("**/immunizations")


def test_single_letters_can_be_switched_off(visit: Visit) -> None:
    page = visit.go("/account")
    page.get_by_label("Single-letter shortcuts").uncheck()
    page.get_by_role("button", name="Save").click()
    page.wait_for_url("**saved=1")
    page.goto(f"{visit.address}/patients/ines")
    page.keyboard.press("g")
    page.keyboard.press("3")
    page.keyboard.press("?")
    expect(page.locator("#keys")).to_be_hidden()
    assert page.url.endswith("/patients/ines")
    page.goto(f"{visit.address}/account")
    page.get_by_label("Single-letter shortcuts").check()
    page.get_by_role("button", name="Save").click()


def test_going_to_a_past_day_and_back(visit: Visit) -> None:
    page = visit.go("/patients/ines/conditions")
    page.get_by_label("As known on").fill("17-Nov-2026")
    page.get_by_role("button", name="Show").click()
    expect(page.get_by_role("heading", level=1)).to_have_text("Not here")
    page = visit.go("/patients/ines/conditions?as_of=2026-11-18")
    expect(page.locator(".past")).to_have_count(0)


def test_everything_can_be_read_without_script(browser: Browser, address: str, signed: Any) -> None:
    context = browser.new_context(storage_state=signed, java_script_enabled=False)
    page = context.new_page()
    page.goto(f"{address}/patients")
    page.get_by_role("searchbox", name="Find patient by name").last.fill("hallowbrook")
    page.get_by_role("button", name="Find").click()
    page.get_by_role("link", name="HALLOWBROOK, Inés").click()
    page.get_by_role("link", name="Results and vitals").click()
    page.locator("td.num a", has_text="8.4").first.click()
    expect(page.get_by_role("heading", level=2).first).to_have_text("Where this came from")
    page.get_by_text("The resource as stored").click()
    expect(page.locator("pre.raw")).to_contain_text('"value": 8.4')
    context.close()


def test_two_open_patients_never_share_a_title(visit: Visit) -> None:
    titles = [visit.go(f"/patients/{id}/conditions").title() for id in ("ines", "late", "blank")]
    assert len(set(titles)) == 3


def test_the_door_follows_the_seeding_without_losing_what_was_typed(browser: Browser, place: Place) -> None:
    def say(text: str) -> None:
        with psycopg.connect(place.database, autocommit=True) as conn:
            conn.execute(
                "INSERT INTO site_setting VALUES (1, 'demo.progress', %s) ON CONFLICT (tenant, key) DO UPDATE SET value = excluded.value",
                [text],
            )

    say('{"done": 10, "total": 20, "state": "running"}')
    visit = Visit(browser.new_page(), place.address)
    page = visit.go("/sign-in")
    expect(page.locator("#seeding")).to_contain_text("10 of 20 patients")
    page.get_by_label("User name").fill("sag")
    assert visit.violations() == []
    say('{"done": 15, "total": 20, "state": "running"}')
    expect(page.locator("#seeding")).to_contain_text("15 of 20 patients")
    say('{"done": 20, "total": 20, "state": "done"}')
    expect(page.locator("#seeding")).to_have_count(0)
    expect(page.get_by_label("User name")).to_have_value("sag")
    assert visit.errors == []
    page.close()
