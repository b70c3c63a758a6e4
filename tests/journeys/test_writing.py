"""Journeys of writing: by hand and by keys, refused and mended, signed and added to; and axe on every form."""

from __future__ import annotations

from typing import Any

import psycopg
import pytest
from playwright.sync_api import Browser, expect

from commonchart.web.forms.catalogue import FORMS
from tests.journeys.conftest import Place, Visit

pytestmark = pytest.mark.journey
HIDDEN = {"pressure", "patient", "note", "visit"}
PAGES = [
    *(f"/patients/ines/new/{key}" for key in FORMS if key not in HIDDEN),
    "/patients/ines/visits/new",
    "/patients/ines/notes/new",
    "/patients/new",
    "/registry",
    "/registry?status=all",
    "/registry?from=140",
    "/receipts",
]


@pytest.mark.parametrize("path", PAGES)
def test_no_form_has_an_accessibility_violation(visit: Visit, path: str) -> None:
    visit.go(path)
    assert visit.violations() == []


@pytest.mark.parametrize("path", ["/patients/ines/new/vitals", "/registry", "/patients/new"])
def test_nor_in_the_dark_on_a_phone(browser: Browser, address: str, signed: Any, path: str) -> None:
    context = browser.new_context(
        storage_state=signed, viewport={"width": 390, "height": 844}, color_scheme="dark"
    )
    visit = Visit(context.new_page(), address)
    page = visit.go(path)
    assert visit.violations() == []
    assert page.evaluate("document.documentElement.scrollWidth") <= 390
    context.close()


def test_a_condition_is_refused_mended_stored_and_taken_back(visit: Visit) -> None:
    page = visit.go("/patients/ines/new/condition")
    page.get_by_label("Condition", exact=True).fill("Gout")
    page.get_by_label("Since").fill("next year")
    page.keyboard.press("Control+Enter")
    expect(page.get_by_role("alert")).to_contain_text("Since must be a date")
    assert visit.violations() == []
    page.get_by_role("alert").get_by_role("link").first.click()
    expect(page.get_by_label("Since")).to_be_focused()
    page.get_by_label("Since").fill("2024")
    page.keyboard.press("Control+Enter")
    expect(page.get_by_role("status")).to_contain_text("Saved.")
    page.get_by_role("link", name="entered in error").click()
    page.get_by_label("Why is this an error?").fill("Typed into the wrong chart")
    assert visit.violations() == []
    page.get_by_role("button", name="Mark as entered in error").click()
    expect(page.get_by_role("main")).to_contain_text("Entered in error.")


def test_a_visit_and_its_note_from_draft_to_addendum(visit: Visit) -> None:
    page = visit.go("/patients/ines/visits/new")
    page.get_by_label("Reason for the visit").fill("Diabetes review")
    page.get_by_role("button", name="Save and write a note").click()
    page.get_by_label("Note", exact=True).fill("Feels well.")
    page.get_by_role("button", name="Keep as draft").click()
    expect(page.get_by_role("main")).to_contain_text("Not signed yet")
    assert visit.violations() == []
    page.get_by_role("link", name="Write on or sign").click()
    page.get_by_role("button", name="Sign").click()
    page.get_by_role("link", name="Add addendum").click()
    assert visit.violations() == []
    page.get_by_label("Addendum").fill("Feet looked at.")
    page.get_by_role("button", name="Sign the addendum").click()
    expect(page.get_by_role("main")).to_contain_text("Feels well.")
    expect(page.get_by_role("main")).to_contain_text("Feet looked at.")


def test_what_was_typed_is_there_after_a_mishap(visit: Visit) -> None:
    page = visit.go("/patients/ines/new/procedure")
    with page.expect_response("**/drafts"):
        page.get_by_label("Procedure", exact=True).fill("Half a tho")
    page = visit.go("/patients/ines/new/procedure")
    expect(page.get_by_label("Procedure", exact=True)).to_have_value("Half a tho")
    page.get_by_role("button", name="Discard it").click()
    expect(page.get_by_label("Procedure", exact=True)).to_have_value("")


def test_writing_works_without_script(browser: Browser, address: str, signed: Any) -> None:
    context = browser.new_context(storage_state=signed, java_script_enabled=False)
    page = context.new_page()
    page.goto(f"{address}/patients/ines/new/allergy")
    page.locator("#substance").fill("Latex")
    page.get_by_role("button", name="Save").click()
    expect(page.get_by_role("main")).to_contain_text("Latex")
    context.close()


def test_the_registry_leads_to_a_chart_and_back_out_by_filters(visit: Visit) -> None:
    page = visit.go("/registry?status=all")
    page.get_by_label("Name", exact=True).fill("hallowbrook")
    page.get_by_role("button", name="Apply").click()
    expect(page.locator("tbody tr").first).to_contain_text("HALLOWBROOK")
    page.locator("tbody a").first.click()
    expect(page.get_by_role("region", name="Patient", exact=True)).to_contain_text("HALLOWBROOK")


def test_a_receipt_accounts_for_every_entry(visit: Visit, place: Place) -> None:
    with psycopg.connect(place.database) as conn:
        conn.execute(
            "INSERT INTO load_run (id, tenant, started, finished, actor, org, source, state) "
            "VALUES ('run', 1, now(), now(), 'me', 'o', 'north', 'finished') ON CONFLICT DO NOTHING"
        )
        conn.execute(
            "INSERT INTO load_entry (run, n, file, place, rtype, outcome, reason) VALUES "
            "('run', 0, 'a.ndjson', 'line 1', 'Patient', 'stored', ''), "
            "('run', 1, 'a.ndjson', 'line 2', 'Patient', 'rejected', 'Patient.shoe is not an element') ON CONFLICT DO NOTHING"
        )
    page = visit.go("/receipts/run")
    expect(page.get_by_role("main")).to_contain_text("1 stored + 0 unchanged + 1 rejected = 2 read")
    expect(page.get_by_role("main")).to_contain_text("Patient.shoe")
    assert visit.violations() == []
