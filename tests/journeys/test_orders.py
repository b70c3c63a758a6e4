"""An order that is stopped, given a reason and stored, in a real browser; the review, the report; pictures for who wants to look."""

from __future__ import annotations

import asyncio
import threading
from typing import Any

import psycopg
import pytest
from playwright.sync_api import Browser, expect

from commonchart.access import users
from commonchart.access.records import Records
from commonchart.jobs import medications
from commonchart.record.database import Database
from tests.access.medications.people import ADA, allergy, order, put
from tests.conftest import Clock
from tests.journeys.conftest import Place, Visit, enter
from tests.journeys.pictures import picture

pytestmark = pytest.mark.journey

WHO = {**ADA, "id": "orla", "name": [{"family": "Quill", "given": ["Orla"]}]}


def about(body: dict[str, Any]) -> dict[str, Any]:
    return body | {"subject": {"reference": "Patient/orla"}}


async def _loaded(url: str, *bodies: dict[str, Any]) -> None:
    database = await Database.open(url)
    await put(Records(database, users.system(1, "import"), Clock()), *bodies)
    await medications.drain(database, Clock()())
    await database.close()


@pytest.fixture(scope="module")
def orla(place: Place) -> None:
    """Somebody who takes nitroglycerin and warfarin and is allergic to penicillin."""
    loading = _loaded(
        place.database, WHO, about(order("on", "Nitroglycerin 0.4 mg sublingual tablet", "1 tablet as needed")),
        about(order("ow", "Warfarin 5 mg tablet")), allergy("op", "Penicillin", "orla"),
    )  # fmt: skip
    # the browser has an event loop in this thread already
    thread = threading.Thread(target=asyncio.run, args=(loading,))
    thread.start()
    thread.join(60)


def test_an_order_is_stopped_then_given_a_reason(visit: Visit, orla: None) -> None:
    page: Any = visit.go("/patients/orla/medications")
    page.get_by_role("link", name="Order", exact=False).first.click()
    expect(page.get_by_role("heading", name="Add: Medication order")).to_be_visible()
    assert visit.violations() == []
    page.get_by_role("textbox", name="Medicine").first.fill("Sildenafil 50 mg tablet")
    page.get_by_label("How it is taken").fill("1 tablet once a day")
    picture(page, "order-form")
    page.keyboard.press("Control+Enter")
    expect(page.get_by_role("alert")).to_contain_text("Not ordered: Sildenafil 50 mg tablet")
    assert visit.violations() == []
    picture(page, "order-stopped")
    page.get_by_text("Order it all the same: give a reason").click()
    page.get_by_role("button", name="Order all the same").click()
    expect(page.get_by_text("Choose or type why it is ordered all the same")).to_be_visible()
    assert visit.violations() == []
    picture(page, "order-stopped-without-reason")
    page.get_by_label("Why it goes on all the same").select_option("apart")
    page.get_by_role("button", name="Order all the same").click()
    expect(page.get_by_role("status").first).to_contain_text("Saved")
    picture(page, "order-stored")
    assert visit.violations() == []


def test_what_only_has_to_be_known_and_what_was_not_checked(visit: Visit, orla: None) -> None:
    page: Any = visit.go("/patients/orla/new/order")
    page.get_by_role("textbox", name="Medicine").first.fill("Fluconazole 150 mg tablet")
    page.get_by_label("How it is taken").fill("1 tablet once a day")
    page.get_by_role("button", name="Only check").click()
    expect(page.get_by_role("heading", name="To know: it does not stop the order")).to_be_visible()
    assert visit.violations() == []
    picture(page, "order-passive")
    page.get_by_role("textbox", name="Medicine").first.fill("blue pill")
    page.keyboard.press("Control+Enter")
    expect(page.get_by_text('NOT CHECKED: no code for "blue pill"').first).to_be_visible()
    assert visit.violations() == []
    picture(page, "order-not-checked")


def test_the_review_and_a_decision_on_it(visit: Visit, orla: None, place: Place) -> None:
    page: Any = visit.go("/patients/orla/new/allergy")
    page.get_by_role("textbox", name="Substance").fill("Warfarin")
    page.keyboard.press("Control+Enter")
    expect(page.get_by_text("Medication alerts", exact=True).first).to_be_visible()
    picture(page, "banner-after-allergy")
    page = visit.go("/patients/orla/medication-check")
    expect(page.get_by_text("May kill").first).to_be_visible()
    assert visit.violations() == []
    picture(page, "medication-check")
    page.get_by_text("It goes on as it is: give a reason").first.click()
    page.get_by_role("button", name="Keep the reason").first.click()
    expect(page.get_by_role("alert")).to_contain_text("Say why")
    assert visit.violations() == []
    page = visit.go("/medication-alerts?show=all")
    assert visit.violations() == []
    picture(page, "open-alerts")
    page = visit.go("/medication-rules")
    assert visit.violations() == []
    picture(page, "medication-rules")


def test_the_report(visit: Visit, orla: None, place: Place) -> None:
    with psycopg.connect(place.database) as conn:
        conn.execute(
            "INSERT INTO alert_event (pk, tenant, patient, id, at, actor, origin, rule, title, pack, digest, about, state, reason) "
            "SELECT 1, 1, 'orla', 'n' || n, '2026-11-10', 'x', 'medication', 'noisy-rule', 'Warfarin with a statin', '', "
            "'d' || n, 'x', 'overridden', 'The patient has tolerated it' FROM generate_series(1, 24) n"
        )
    page: Any = visit.go("/reports/alerts")
    expect(page.get_by_text("1 noisy alert")).to_be_visible()
    assert visit.violations() == []
    picture(page, "alert-report")
    page.get_by_role("link", name="Warfarin with a statin").click()
    expect(page.get_by_role("heading", name="Each time it was shown")).to_be_visible()
    assert visit.violations() == []
    picture(page, "alert-events")


def test_on_a_phone_in_the_dark_without_javascript(browser: Browser, place: Place, orla: None) -> None:
    context: Any = browser.new_context(
        java_script_enabled=False, viewport={"width": 390, "height": 844}, color_scheme="dark"
    )
    page = context.new_page()
    enter(page, place.address, "sage", "/patients/orla/new/order")
    page.get_by_role("textbox", name="Medicine").first.fill("Tadalafil 5 mg tablet")
    page.get_by_label("How it is taken").fill("1 tablet once a day")
    page.get_by_label("How it is taken").press("Enter")
    expect(page.get_by_role("alert")).to_contain_text("Not ordered")
    picture(page, "order-stopped-phone-dark")
    page.get_by_role("button", name="Do not order").click()
    expect(page.get_by_text("Nothing was ordered")).to_be_visible()
    page.goto(f"{place.address}/patients/orla/medication-check")
    picture(page, "medication-check-phone-dark")
    page.goto(f"{place.address}/reports/alerts")
    picture(page, "alert-report-phone-dark")
    context.close()
