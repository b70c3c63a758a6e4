"""The administrators' page of exports and subscriptions in a browser: begun, seen, given up; without JavaScript too."""

from __future__ import annotations

from typing import Any

import psycopg
import pytest
from playwright.sync_api import Browser, expect

from tests.journeys.conftest import Place, Visit, enter

pytestmark = pytest.mark.journey

TROUBLE = """INSERT INTO subscription_state (tenant, id, vid, user_id, topic, plan, state, events, delivered, failures, error, changed)
VALUES (1, 's1', 1, 'x', 'http://commonchart.org/SubscriptionTopic/lab-result',
'{"topic":"http://commonchart.org/SubscriptionTopic/lab-result","channel":"rest-hook","endpoint":"https://hooks.example/x"}',
'error', 3, 1, 0, 'The endpoint answers 500', now()) ON CONFLICT DO NOTHING"""


@pytest.mark.parametrize("javascript", [True, False])
def test_an_export_is_begun_and_given_up_and_a_subscription_tried_again(
    browser: Browser, place: Place, javascript: bool
) -> None:
    with psycopg.connect(place.database, autocommit=True) as conn:
        conn.execute("DELETE FROM subscription_state")
        conn.execute("DELETE FROM bulk_run")
        conn.execute(TROUBLE)
    context: Any = browser.new_context(
        java_script_enabled=javascript, viewport={"width": 1280, "height": 900}
    )
    page = context.new_page()
    enter(page, place.address, "root", "/exchange")
    expect(page.get_by_role("heading", name="Exchange")).to_be_visible()
    visit = Visit(page, place.address)
    assert not javascript or visit.violations() == []
    page.get_by_label("Types to export").fill("Shoe")
    page.get_by_role("button", name="Begin an export").click()
    expect(page.get_by_role("alert")).to_contain_text("Write types of FHIR R4")
    assert not javascript or visit.violations() == []
    page.get_by_label("Types to export").fill("Patient")
    page.get_by_role("button", name="Begin an export").click()
    expect(page.get_by_role("status")).to_contain_text("has begun")
    page.get_by_role("button", name="Try again").click()
    expect(page.get_by_role("status")).to_contain_text("tried again")
    page.get_by_role("button", name="Give up").click()
    expect(page.get_by_role("status")).to_contain_text("Given up")
    assert not javascript or visit.violations() == []
    context.close()
