"""The terminology page: what is not loaded is said, a code is looked up, and axe finds nothing."""

from __future__ import annotations

import pytest
from playwright.sync_api import expect

from tests.journeys.conftest import Visit

pytestmark = pytest.mark.journey


def test_what_is_not_loaded_is_said_and_a_code_is_looked_up(visit: Visit) -> None:
    page = visit.go("/terminology")
    expect(page.get_by_role("heading", name="Not loaded")).to_be_visible()
    assert visit.violations() == []
    page.get_by_label("Code system", exact=True).fill("http://terminology.hl7.org/CodeSystem/v3-ActCode")
    page.get_by_label("Code", exact=True).fill("AMB")
    page.get_by_role("button", name="Look up").click()
    expect(page.get_by_role("status")).to_contain_text("ambulatory")
    assert visit.violations() == []
    page.get_by_label("Code system", exact=True).fill("http://snomed.info/sct")
    page.get_by_role("button", name="Look up").click()
    expect(page.get_by_role("status")).to_contain_text("Not loaded")
