"""Quarantine, growth and calculators in a browser: axe finds nothing, light and dark, on a phone and on paper."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest
from playwright.sync_api import expect

from commonchart.access import users
from commonchart.access.records import Put, Records
from commonchart.fhir.validate import validate
from commonchart.jobs import worker
from commonchart.record.database import Database
from tests.conftest import Clock
from tests.journeys.conftest import Place, Visit
from tests.journeys.pictures import pictures
from tests.web.test_growth_page import child, measured
from tests.web.test_quarantine import potassium

pytestmark = pytest.mark.journey


async def _fill(url: str) -> None:
    database = await Database.open(url)
    records = Records(database, users.system(1, "test"), Clock())
    growing = [
        measured(f"{name}{n}", loinc, f"202{n}-0{month}-10", str(value + step * n))
        for name, loinc, value, step in (("w", "29463-7", 7, 2.1), ("h", "8302-2", 60, 8.0))
        for n, month in ((2, 7), (3, 4), (4, 3), (5, 2), (6, 5))
    ]
    odd = [
        potassium("old", "2026-10-01", "4.1"),
        potassium("mid", "2026-10-20", "4.4"),
        potassium("odd", "2026-11-10", "14"),
    ]
    await records.commit(
        [
            Put(validate(one), one["id"])
            for one in (child(name=[{"family": "Kestrel", "given": ["Ada"]}]), *growing, *odd)
        ]
    )
    await worker.drain(database, Clock())
    await database.close()


@pytest.fixture(scope="module")
def filled(place: Place) -> None:
    import threading

    thread = threading.Thread(target=lambda: asyncio.run(_fill(place.database)))
    thread.start()
    thread.join()


def test_a_doubtful_result_is_released_and_taken_back(filled: None, visit: Visit) -> None:
    page: Any = visit.go("/quarantine")
    assert visit.violations() == []
    pictures(page, "quarantine", printed=True)
    page.get_by_role("link", name="Potassium").first.click()
    expect(page.get_by_text("Nobody can have it")).to_be_visible()
    assert visit.violations() == []
    pictures(page, "quarantine-one", printed=True)
    page.get_by_role("button", name="Release").click()
    expect(page.get_by_role("alert")).to_contain_text("Say why")
    assert visit.violations() == []
    page.locator("#released-comment").fill("Haemolysis ruled out by phone")
    page.get_by_role("button", name="Release").click()
    expect(page.get_by_role("status")).to_contain_text("Released")
    page.locator("#undone-comment").fill("Wrong patient after all")
    page.get_by_role("button", name="Undo").click()
    expect(page.get_by_text("Nobody can have it")).to_be_visible()
    page = visit.go("/patients/ines/results")
    assert visit.violations() == []
    pictures(page, "results", printed=True)


def test_growth_and_calculators(filled: None, visit: Visit) -> None:
    for name, path in (("growth", "/patients/kid/growth"), ("calculators", "/patients/ines/calculators")):
        page: Any = visit.go(path)
        assert visit.violations() == []
        page.emulate_media(color_scheme="dark")
        assert visit.violations() == []
        page.emulate_media(color_scheme="light")
        pictures(page, name, printed=True)
    page.get_by_label("Creatinine").fill("1.4")
    page.get_by_role("button", name="Compute").click()
    expect(page.get_by_role("status")).to_contain_text("Nothing was stored")
    assert visit.violations() == []
