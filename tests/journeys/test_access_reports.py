"""Whoever answers for privacy looks at the trail in a browser."""

from __future__ import annotations

from typing import Any

import pytest
from playwright.sync_api import expect

from tests.journeys.conftest import Visit
from tests.journeys.pictures import picture

pytestmark = pytest.mark.journey


@pytest.fixture
def visit(root: Visit) -> Visit:
    """Whoever visits here is the administrator."""
    return root


def test_from_everything_to_one_user(visit: Visit) -> None:
    page: Any = visit.go("/reports/access")
    expect(page.get_by_role("heading", name="Who did what")).to_be_visible()
    assert visit.violations() == []
    picture(page, "access")
    page.get_by_role("link", name="Sign-ins").click()
    expect(page.get_by_role("cell", name="signed in").first).to_be_visible()
    page.get_by_role("link", name="Unusual access").click()
    expect(page.get_by_role("heading", name="Unusual access")).to_be_visible()
    assert visit.violations() == []
    picture(page, "unusual")
