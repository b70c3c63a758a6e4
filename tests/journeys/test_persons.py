"""Two records of one human, the emergency look-up and its review, in a browser."""

from __future__ import annotations

from typing import Any

import psycopg
import pytest
from playwright.sync_api import Browser, expect

from tests.journeys.conftest import Place, Visit
from tests.journeys.pictures import picture
from tests.web.conftest import PASSWORD

pytestmark = pytest.mark.journey


def _stale(place: Place) -> None:
    """The last factor was shown a while ago: break-glass asks for it again."""
    with psycopg.connect(place.database) as conn:
        conn.execute("UPDATE credential SET factor_at = factor_at - interval '10 minutes'")


def test_no_barrier_where_records_are_linked_and_opened(visit: Visit, place: Place) -> None:
    for path, name in (
        ("/persons", "persons"),
        ("/persons?patient=ines", "persons-one"),
        ("/persons/ines/late", "persons-pair"),
    ):
        page: Any = visit.go(path)
        expect(page.get_by_role("heading", level=1)).to_be_visible()
        assert visit.violations() == [], path
        picture(page, name)
    page = visit.go("/emergency")
    page.get_by_label("Family name").fill("Hallowbrook")
    page.get_by_role("button", name="Look").click()
    expect(page.get_by_role("alert")).to_be_visible()
    assert visit.violations() == []
    page.get_by_label("Given name").fill("Inés")
    page.get_by_role("textbox", name="Birth date").fill("14-Mar-1968")
    page.get_by_role("button", name="Look").click()
    page.get_by_role("link", name="Open in an emergency").click()
    expect(page.get_by_text("What this opens")).to_be_visible()
    assert visit.violations() == []
    picture(page, "emergency-confirm")
    _stale(place)
    page.reload()
    page.get_by_label("Why the record is needed now").fill("Unconscious on arrival")
    page.get_by_label("Your password again").fill(PASSWORD)
    page.get_by_role("button", name="Open the record").click()
    expect(page.get_by_text("Break-glass: this record is open to you")).to_be_visible()
    assert visit.violations() == []
    picture(page, "emergency-chart")


def test_the_review_has_no_barrier(browser: Browser, address: str) -> None:
    context = browser.new_context(color_scheme="dark", viewport={"width": 1280, "height": 900})
    made = Visit(context.new_page(), address)
    page: Any = made.enter("root", "/reports/break-glass")
    expect(page.get_by_role("heading", name="Break-glass to review")).to_be_visible()
    expect(page.get_by_text("Unconscious on arrival")).to_be_visible()
    assert made.violations() == []
    picture(page, "emergency-review")
    context.close()
