"""Results in a browser: a critical one acknowledged, many normal ones signed by keyboard, a cover, the report; light and dark."""

from __future__ import annotations

import asyncio
from datetime import timedelta
from typing import Any

import psycopg
import pytest
from playwright.sync_api import expect

from commonchart.access import users
from commonchart.access.actors import Actor
from commonchart.access.records import Put, Records
from commonchart.fhir.validate import validate
from commonchart.jobs import inbox
from commonchart.record.database import Database
from tests.conftest import Clock
from tests.inbox import SITE, SODIUM, TSH, flagged, lab, patient, report
from tests.journeys.conftest import Place, Visit
from tests.journeys.pictures import picture

pytestmark = pytest.mark.journey
GIVEN = ["Pell", "Ysolde", "Nell", "Aldo", "Amos", "Thea", "Perrin", "Mira", "Hugh", "Kit"]


async def _fill(url: str) -> None:
    clock = Clock()
    database = await Database.open(url)
    loader = Records(
        database, Actor(1, "lab", "Meridian Laboratory", "system", "meridian", "test", network=False), clock
    )
    people = [
        patient(f"pt{n}", f"19{50 + n}-06-09", name=[{"family": "Cinderfold", "given": [name]}])
        for n, name in enumerate(GIVEN)
    ]
    early = [
        lab(f"old{n}", value=f"4.{n}", patient=f"pt{n}", taken="2026-03-04T08:00:00Z") for n in range(10)
    ]
    early += [
        lab(f"mid{n}", value=f"4.{n + 2}", patient=f"pt{n}", taken="2026-08-04T08:00:00Z") for n in range(3)
    ]
    now = [
        lab("crit", value="6.4", patient="pt0"), lab("cna", SODIUM, "133", patient="pt0"), report("panel", "crit", "cna", patient="pt0"),
        lab("high", value="5.6", patient="pt1"), lab("tsh", TSH, "8.9", patient="pt2", interpretation=flagged("H")),
        lab("part", value="4.4", patient="pt3", status="preliminary"), lab("bare", SODIUM, "139", patient="pt4", referenceRange=None),
        lab("hid", value="6.8", patient="pt9", meta={"security": [{"system": "http://terminology.hl7.org/CodeSystem/v3-ActCode", "code": "PSYTHPN"}]}),
        *(lab(f"norm{n}", SODIUM, f"13{n}", patient=f"pt{n}") for n in range(5, 10)),
    ]  # fmt: skip
    await users.create(
        database,
        tenant=1,
        login="otto",
        name="Otto Tansley",
        role="clinician",
        org="alder",
        now=clock(),
        practitioner="pr-otto",
    )
    await loader.commit([Put(validate(one), one["id"]) for one in [*people, *early]])
    clock.now -= timedelta(minutes=12)
    await loader.commit([Put(validate(one), one["id"]) for one in now])
    clock.now += timedelta(minutes=12)
    while await inbox.drain(database, clock, SITE):
        pass
    await database.close()


@pytest.fixture(scope="module", autouse=True)
def filled(place: Place) -> None:
    """Results of ten people, one of them critical for twelve minutes."""
    import threading

    thread = threading.Thread(target=lambda: asyncio.run(_fill(place.database)))
    thread.start()
    thread.join()


def test_a_morning_with_the_inbox(visit: Visit) -> None:
    page: Any = visit.go("/inbox")
    expect(page.get_by_text("Critical, not acknowledged for 12 min")).to_be_visible()
    for theme in ("light", "dark"):
        page.emulate_media(color_scheme=theme)
        assert visit.violations() == []
        picture(page, f"inbox-{theme}")
    page.emulate_media(color_scheme="light")
    page.keyboard.press("a")
    expect(page.get_by_role("heading", name="Basic metabolic panel").first).to_be_visible()
    for theme in ("light", "dark"):
        page.emulate_media(color_scheme=theme)
        assert visit.violations() == []
        picture(page, f"item-{theme}")
    page.emulate_media(color_scheme="light")
    page.get_by_label("Value read back").fill("6.4")
    page.get_by_label("What you did").fill("Called the patient in")
    page.get_by_role("button", name="Acknowledge", exact=True).click()
    expect(page.get_by_role("status")).to_contain_text("still waits to be signed")
    expect(page.get_by_label("Critical results")).to_have_count(0)
    page.keyboard.press("o")
    page.get_by_label("Repeat a test").select_option(label="Repeat: Potassium")
    page.get_by_role("button", name="Order", exact=True).click()
    expect(page.get_by_text("Repeat: Potassium, by 25-Nov-2026")).to_be_visible()
    for letter, words in (("f", "What they are asked to do"), ("m", "Comment"), ("t", "Sign and tell")):
        page.keyboard.press(letter)
        expect(page.get_by_text(words).first).to_be_visible()
    assert visit.violations() == []
    picture(page, "item-forms")
    page.keyboard.press("s")
    expect(page.get_by_role("status")).to_contain_text("Signed.")
    page.keyboard.press("u")
    page.wait_for_url("**/inbox?back=1")


def test_many_are_signed_by_keyboard(visit: Visit) -> None:
    page: Any = visit.go("/inbox")
    page.keyboard.press("j")
    page.keyboard.press("j")
    page.keyboard.press("k")
    assert page.evaluate("document.activeElement.closest('tr') !== null")
    page.keyboard.press("b")
    expect(page.get_by_role("heading", name="Sign normal results")).to_be_visible()
    for theme in ("light", "dark"):
        page.emulate_media(color_scheme=theme)
        assert visit.violations() == []
        picture(page, f"batch-{theme}")
    page.get_by_role("checkbox").first.uncheck()
    page.get_by_role("button", name="Sign what is ticked").click()
    expect(page.get_by_role("status")).to_contain_text("Signed.")
    picture(page, "signed")


def test_a_cover_and_the_report(visit: Visit) -> None:
    page: Any = visit.go("/inbox/cover")
    page.get_by_role("button", name="Arrange").click()
    expect(page.get_by_role("alert")).to_contain_text("There is a problem")
    assert visit.violations() == []
    page.get_by_label("Who is away").select_option(label="Otto Tansley")
    page.get_by_label("Who covers").select_option(label="Sage Person")
    page.get_by_label("From", exact=True).fill("2026-11-18 10:00")
    page.get_by_label("Until", exact=True).fill("2026-11-30 08:00")
    page.get_by_label("Why", exact=True).fill("leave")
    page.get_by_role("button", name="Arrange").click()
    expect(page.get_by_role("status")).to_contain_text("Kept.")
    for theme in ("light", "dark"):
        page.emulate_media(color_scheme=theme)
        assert visit.violations() == []
        picture(page, f"cover-{theme}")
    page = visit.go("/reports/critical")
    expect(page.get_by_text("Potassium").first).to_be_visible()
    for theme in ("light", "dark"):
        page.emulate_media(color_scheme=theme)
        assert visit.violations() == []
        picture(page, f"report-{theme}")
    page.set_viewport_size({"width": 390, "height": 800})
    page = visit.go("/inbox")
    assert visit.violations() == []
    picture(page, "inbox-phone")


def test_what_no_clinician_may_open_and_a_colleague_among_many(root: Visit, place: Place) -> None:
    page: Any = root.go("/patients")
    page.get_by_role("link", name="See why, and what can be done").click()
    table = page.get_by_role("region", name="Table: what no clinician may open")
    expect(table).to_contain_text("A label hides it: Psychotherapy notes")
    _everywhere(root, "unseen")
    id = _many(place)
    root.go(f"/users/{id}/end")
    expect(page.get_by_text("100 colleagues may not see all of them")).to_be_visible()
    _everywhere(root, "ending")
    page.get_by_role("searchbox", name="Find a colleague").fill("Colleague 117")
    page.get_by_role("searchbox", name="Find a colleague").press("Enter")
    expect(page.get_by_label("Hand them over to").get_by_role("option")).to_have_count(3)
    expect(page.get_by_text("1 result cannot be handed to Colleague 117")).to_be_visible()
    _everywhere(root, "ending-found")


def _many(place: Place) -> str:
    """A hundred and twenty colleagues of somebody for whom the hidden result waits: their id."""
    with psycopg.connect(place.database) as conn:
        conn.execute(
            "INSERT INTO app_user (id, tenant, login, name, created) SELECT 'many-' || n, 1, 'many' || n, 'Colleague ' || n, now() "
            "FROM generate_series(1, 120) n"
        )
        conn.execute(
            "INSERT INTO membership (id, tenant, actor, org, role, asked, since) SELECT 'many-' || n, 1, 'many-' || n, 'alder', "
            "'clinician', now(), now() FROM generate_series(1, 120) n"
        )
        found = conn.execute(
            "UPDATE inbox_item i SET owner = u.id, org = 'alder' FROM app_user u WHERE u.login = 'otto' AND i.item = 'Observation/hid' "
            "RETURNING u.id"
        ).fetchone()
    assert found is not None
    return str(found[0])


def _everywhere(visit: Visit, name: str) -> None:
    """axe finds nothing, light and dark; small enough; nothing sticks out on a phone."""
    page: Any = visit.page
    assert len(page.content().encode()) < 60_000
    for theme in ("dark", "light"):
        page.emulate_media(color_scheme=theme)
        assert visit.violations() == [], (name, theme)
        picture(page, f"{name}-{theme}")
    page.set_viewport_size({"width": 390, "height": 844})
    assert page.evaluate("document.documentElement.scrollWidth") <= 390, name
    picture(page, f"{name}-phone")
    page.set_viewport_size({"width": 1280, "height": 900})
