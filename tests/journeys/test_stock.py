"""A delivery, a count and a recall in a browser."""

from __future__ import annotations

from typing import Any

import pytest
from playwright.sync_api import expect

from tests.journeys.conftest import Visit
from tests.journeys.pictures import picture

pytestmark = pytest.mark.journey


def test_a_delivery_is_entered_counted_and_recalled(visit: Visit) -> None:
    page: Any = visit.go("/stock")
    assert visit.violations() == []
    page.get_by_label("Vaccine", exact=True).select_option("03")
    page.get_by_label("Lot number").fill("J77")
    page.get_by_label("Expires").fill("2027-03")
    page.get_by_label("Doses received").fill("10")
    page.keyboard.press("Control+Enter")
    expect(page.get_by_role("alert")).to_contain_text("must be a day")
    assert visit.violations() == []
    page.get_by_label("Expires").fill("2027-03-31")
    page.keyboard.press("Control+Enter")
    expect(page.get_by_role("status")).to_contain_text("on the shelf")
    picture(page, "stock")
    page.get_by_role("link", name="J77").click()
    page.get_by_label("Doses on the shelf").fill("9")
    page.get_by_role("button", name="Save the count").click()
    expect(page.get_by_text("Counted")).to_be_visible()
    page.get_by_label("Why it must not be given").fill("recall")
    page.get_by_role("button", name="Withdraw").click()
    expect(page.get_by_role("heading", name="Withdrawn: recall")).to_be_visible()
    assert visit.violations() == []
    picture(page, "lot")
