"""A rule is found, changed, tried on everybody, used, approved and gone back from, in a browser and by keyboard."""

from __future__ import annotations

import asyncio
import threading
from typing import Any

import pytest
from playwright.sync_api import expect

from commonchart.access.actors import Actor
from commonchart.access.records import Put, Records
from commonchart.fhir.validate import validate
from commonchart.jobs import rule_previews, worker
from commonchart.record.database import Database
from tests.conftest import Clock
from tests.journeys.conftest import Place, Visit
from tests.journeys.pictures import picture
from tests.outreach import woman

pytestmark = pytest.mark.journey


def _apart(place: Place, *, fill: bool = False) -> None:
    """What the worker does meanwhile, on a loop of its own: the browser's is in the way here."""

    async def work() -> None:
        database, clock = await Database.open(place.database), Clock()
        if fill:
            records = Records(
                database, Actor(1, "loader", "Loader", "system", "alder", "test", network=False), clock
            )
            people = [woman(f"rule{n}") | {"birthDate": f"{1960 + 3 * n}-03-14"} for n in range(8)]
            await records.commit([Put(validate(one), one["id"]) for one in people])
        while await rule_previews.lane(database, clock):
            pass
        await worker.drain(database, clock)
        await database.close()

    thread = threading.Thread(target=lambda: asyncio.run(work()))
    thread.start()
    thread.join()


def test_a_rule_is_changed_tried_used_approved_and_gone_back_from(visit: Visit, place: Place) -> None:
    _apart(place, fill=True)
    page: Any = visit.go("/rules")
    _looks(visit, "library")
    page.get_by_label("Find", exact=True).fill("mammogram")
    page.keyboard.press("Enter")
    page.get_by_role("link", name="Screening mammogram", exact=True).click()
    expect(page.get_by_role("heading", name="Approval")).to_be_visible()
    _looks(visit, "rule")
    page.get_by_role("link", name="Change", exact=True).click()
    _looks(visit, "editor")
    page.get_by_label("From the age of").fill("80")
    page.get_by_label("Why it is changed").fill("Local policy")
    page.keyboard.press("Control+Enter")
    expect(page.get_by_role("alert")).to_contain_text("applies.min_age is above applies.max_age")
    assert visit.violations() == []
    page.get_by_label("From the age of").fill("50")
    page.keyboard.press("Control+Enter")
    expect(page.get_by_role("status")).to_contain_text("Saved as a draft")
    page.get_by_role("link", name="Try it on everybody").click()
    page.get_by_role("button", name="Work it out for everybody").click()
    expect(page.get_by_role("progressbar")).to_be_visible()
    assert visit.violations() == []
    picture(page, "running")
    _apart(place)
    page.reload()
    page.get_by_role("link", name="no longer due").click()
    expect(page.get_by_role("table", name="Who would change, and how")).to_be_visible()
    _looks(visit, "preview")
    page.get_by_label("Why", exact=True).fill("Agreed at the meeting")
    page.get_by_role("button", name="Use it from now on").click()
    expect(page.get_by_text("In use from now on")).to_be_visible()
    _apart(place)
    page.reload()
    page.get_by_label("What you compared it with").fill("Our policy of November")
    page.get_by_role("button", name="Approve version site.1").click()
    expect(page.get_by_text("version site.1: approved by Sage Person")).to_be_visible()
    _looks(visit, "changed-rule")
    page.get_by_label("Why go back").fill("It left out too many")
    page.get_by_role("button", name="Go back to the version in the box").click()
    expect(page.get_by_text("Gone back.")).to_be_visible()
    _apart(place)
    page = visit.go("/rules/new")
    _looks(visit, "new")


def _looks(visit: Visit, name: str) -> None:
    """No violation in light and dark, and pictures for whoever wants to look."""
    for scheme in ("light", "dark"):
        visit.page.emulate_media(color_scheme=scheme)
        assert visit.violations() == [], (name, scheme)
        picture(visit.page, f"{name}-{scheme}")
    visit.page.emulate_media(color_scheme="light")
