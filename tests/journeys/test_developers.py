"""A developer and an administrator in a browser: registered, confirmed, approved, changed, withdrawn; no JavaScript, by keyboard."""

from __future__ import annotations

import asyncio
import secrets
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from urllib.parse import urlencode

import psycopg
import pytest
from playwright.sync_api import Browser, expect
from starlette.applications import Starlette

from commonchart.access import credentials
from commonchart.app import build
from commonchart.record.database import Database
from commonchart.settings import Settings
from tests.conftest import Clock
from tests.developers import EMAIL, TYPED
from tests.journeys import conftest as journeys
from tests.journeys.conftest import Place, Visit
from tests.journeys.pictures import FOLDER, picture
from tests.smart import CHALLENGE

pytestmark = pytest.mark.journey

NARROW = {"width": 390, "height": 844}
DARK = {"developers-wrong", "developers-change", "developers-difference", "developers-consent"}


@pytest.fixture(scope="module", autouse=True)
def offered() -> Iterator[None]:
    """The server of this file lets developers register."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(journeys, "_app", _app)
        yield


def _app(url: str) -> Starlette:
    asyncio.run(journeys._prepared(url))
    settings = Settings(
        data_dir=Path("/nowhere"), mode="network", secret=b"s" * 32, developer_registration="on"
    )
    return build(settings, Database.opened_later(url), Clock())


@pytest.fixture
def dee(browser: Browser, address: str) -> Iterator[Visit]:
    """A developer."""
    context = browser.new_context(viewport={"width": 1280, "height": 900})
    made = Visit(context.new_page(), address)
    yield made
    assert made.errors == []
    context.close()


def test_from_a_form_to_an_app_and_its_end(
    dee: Visit, root: Visit, visit: Visit, place: Place, address: str
) -> None:
    page: Any = dee.go("/developers")
    _looked(dee, "developers")
    _typed(page, {**TYPED, "redirect_uris": "http://diary.example"})
    page.get_by_label("Privacy policy").press("Enter")
    expect(page.get_by_role("alert")).to_contain_text("An address begins with https://")
    _looked(dee, "developers-wrong")
    page.get_by_label("Redirect addresses").fill(TYPED["redirect_uris"])
    page.get_by_role("button", name="Register").press("Enter")
    expect(page.get_by_role("heading", name="Look at your e-mail")).to_be_visible()
    _looked(dee, "developers-sent")
    dee.go("/developers/link")
    _looked(dee, "developers-ask")
    dee.go("/developers/link/none")
    _looked(dee, "developers-over")

    dee.go(f"/developers/link/{_link(place, EMAIL)}")
    _looked(dee, "developers-confirm")
    page.get_by_role("button", name="Yes, this is my app").press("Enter")
    expect(page.get_by_role("status")).to_contain_text("waits for approval now")
    _looked(dee, "developers-waiting")
    mine = page.url.partition("?")[0]

    desk: Any = root.go("/apps")
    _looked(root, "developers-apps")
    desk.get_by_role("link", name="Pressure diary").click()
    _looked(root, "developers-decide")
    desk.get_by_role("button", name="Refuse", exact=True).click()
    expect(desk.get_by_role("alert")).to_contain_text("Say why")
    _looked(root, "developers-why")
    desk.get_by_role("button", name="Approve").click()
    expect(desk.get_by_text("Approved", exact=True)).to_be_visible()

    _allowed(visit, address, mine.rpartition("/")[2])
    page.goto(mine)
    page.get_by_role("button", name="Show the secret").press("Enter")
    expect(page.get_by_role("status")).to_contain_text("shown this once")
    _looked(dee, "developers-secret")
    page.goto(mine)
    page.get_by_text("Ask for a change").click()
    page.get_by_label("Scopes").fill("launch/patient openid patient/Observation.rs patient/Condition.cud")
    page.get_by_role("button", name="Ask for this change").click()
    expect(page.get_by_role("heading", name="Your change waits for approval")).to_be_visible()
    _looked(dee, "developers-change")
    desk.reload()
    expect(desk.get_by_text("It would gain")).to_be_visible()
    _looked(root, "developers-difference")
    desk.get_by_role("button", name="Approve the change").click()
    expect(desk.get_by_text("A change waits")).to_have_count(0)

    page.goto(f"{address}/developers/apps")
    _looked(dee, "developers-list")
    page.goto(mine)
    page.get_by_text("Withdraw the app").click()
    page.get_by_label("I am sure").check()
    page.get_by_role("button", name="Withdraw", exact=True).click()
    expect(page.get_by_role("status")).to_contain_text("is withdrawn")
    _looked(dee, "developers-withdrawn")
    desk.reload()
    _looked(root, "developers-gone")


def _allowed(visit: Visit, address: str, id: str) -> None:
    """Whoever is asked to allow it reads whose app it is, and where it sends them."""
    asked = {
        "response_type": "code", "client_id": id, "redirect_uri": "https://diary.example/callback", "state": "s", "scope": TYPED["scopes"],
        "aud": f"{address}/fhir", "code_challenge": CHALLENGE, "code_challenge_method": "S256", "chosen_patient": "ines",
    }  # fmt: skip
    page: Any = visit.go(f"/oauth/authorize?{urlencode(asked)}")
    expect(page.get_by_text("Birch Labs, diary.example. It calls itself so;")).to_be_visible()
    expect(page.get_by_role("link", name="Privacy policy")).to_have_attribute("rel", "noopener noreferrer")
    _looked(visit, "developers-consent")


def test_without_scripts_and_by_keyboard(browser: Browser, place: Place, address: str) -> None:
    context = browser.new_context(java_script_enabled=False, viewport=NARROW)  # type: ignore[arg-type]
    page: Any = context.new_page()
    page.goto(f"{address}/developers")
    _typed(page, {**TYPED, "email": "kim@alder.example", "name": "Another diary", "scopes": "all"})
    page.get_by_label("Privacy policy").press("Enter")
    expect(page.get_by_role("alert")).to_contain_text("This scope is not known here: all")
    page.get_by_label("Scopes").fill(TYPED["scopes"])
    page.get_by_role("button", name="Register").press("Enter")
    expect(page.get_by_role("heading", name="Look at your e-mail")).to_be_visible()
    page.goto(f"{address}/developers/link/{_link(place, 'kim@alder.example')}")
    page.get_by_role("button", name="Yes, this is my app").press("Enter")
    expect(page.get_by_role("status")).to_contain_text("waits for approval now")
    page.get_by_text("Change it").press("Enter")
    page.get_by_label("What it does").fill("Draws it better.")
    page.get_by_role("button", name="Keep this").press("Enter")
    expect(page.get_by_role("status")).to_contain_text("waits for approval as it stands now")
    context.close()


def _typed(page: Any, typed: dict[str, str]) -> None:
    labels = {
        "developer": "Your name", "organization": "Organisation", "email": "E-mail", "name": "Name", "about": "What it does",
        "redirect_uris": "Redirect addresses", "launch_url": "Launch address", "scopes": "Scopes", "terms_url": "Terms of use",
        "policy_url": "Privacy policy",
    }  # fmt: skip
    for name, label in labels.items():
        page.locator(f"#{name}").fill(typed[name])
        assert page.get_by_label(label, exact=False).count() >= 1
    page.get_by_text("Both", exact=True).click()
    page.get_by_text("By a secret that it keeps on its server").click()


def _link(place: Place, email: str) -> str:
    """A link as it would have come by e-mail: the one of the letter is kept as a hash only, so another takes its place."""
    token = secrets.token_urlsafe(32)
    with psycopg.connect(place.database) as conn:
        changed = conn.execute(
            "UPDATE developer_link SET sha256 = %s WHERE email = %s AND kind = 'proof' AND ended IS NULL",
            (credentials.digest(token), email),
        )
        assert changed.rowcount == 1
    return token


def _looked(visit: Visit, name: str) -> None:
    """axe finds nothing, of some in dark too; small enough; nothing sticks out on a phone; and pictures."""
    page = visit.page
    assert len(page.content().encode()) < 60_000
    wide = page.viewport_size
    assert wide is not None
    for scheme in ("dark", "light"):
        if scheme == "dark" and name not in DARK and not FOLDER:
            continue
        page.emulate_media(color_scheme=scheme)  # type: ignore[arg-type]
        assert visit.violations() == [], (name, scheme)
        picture(page, f"{name}-{scheme}")
    page.set_viewport_size(NARROW)  # type: ignore[arg-type]
    assert page.evaluate("document.documentElement.scrollWidth") <= NARROW["width"], name
    picture(page, f"{name}-phone")
    page.set_viewport_size(wide)
