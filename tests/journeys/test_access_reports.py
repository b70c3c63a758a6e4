"""Whoever answers for privacy looks at the trail in a browser."""

from __future__ import annotations

import os
from typing import Any

import pytest
from playwright.sync_api import expect

from tests.journeys.conftest import Visit

pytestmark = pytest.mark.journey


@pytest.fixture
def visit(root: Visit) -> Visit:
    """Whoever visits here is the administrator."""
    return root


def test_from_everything_to_one_user(visit: Visit) -> None:
    page: Any = visit.go("/reports/access")
    expect(page.get_by_role("heading", name="Who did what")).to_be_visible()
    assert visit.violations() == []
    _shot(page, "access")
    page.get_by_role("link", name="Sign-ins").click()
    expect(page.get_by_role("cell", name="signed in").first).to_be_visible()
    page.get_by_role("link", name="Unusual access").click()
    expect(page.get_by_role("heading", name="Unusual access")).to_be_visible()
    assert visit.violations() == []
    _shot(page, "unusual")


def _shot(page: Any, name: str) -> None:
    """A picture for whoever wants to look: COMMONCHART_SHOTS names the folder."""
    if os.environ.get("COMMONCHART_SHOTS"):
        page.screenshot(path=f"{os.environ['COMMONCHART_SHOTS']}/{name}.png", full_page=True)
