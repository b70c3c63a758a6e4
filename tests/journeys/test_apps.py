"""Apps in a browser: registered, approved, allowed, used and taken back; the app is fhirclient.js, which nobody here wrote."""

from __future__ import annotations

import json
import shutil
import threading
from collections.abc import Iterator
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any
from urllib.parse import urlencode

import httpx
import pytest
from playwright.sync_api import Browser, expect

from tests.journeys.conftest import Visit
from tests.journeys.pictures import picture
from tests.npm import packed

pytestmark = pytest.mark.journey

FHIRCLIENT = (
    "fhirclient",
    "2.6.3",
    "CirZixcwWelbkIXxpxlNQx5+ZdJirl6F1s4y4yvA1X7hHAkr9n99aVHaMi0wX+97nATjKQ65X6NB5as/wZoJzg==",
)
SCOPES = "launch launch/patient openid fhirUser offline_access patient/Patient.rs patient/Observation.rs patient/Condition.rs"


class Quiet(SimpleHTTPRequestHandler):
    def log_message(self, format: str, *args: Any) -> None:
        pass


@pytest.fixture(scope="module")
def app_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A small page of ours over fhirclient.js."""
    client = packed(*FHIRCLIENT) / "build" / "fhir-client.min.js"
    folder = tmp_path_factory.mktemp("app")
    for file in (Path(__file__).parent / "smart-app").iterdir():
        shutil.copy(file, folder)
    shutil.copy(client, folder / "fhir-client.js")
    return folder


@pytest.fixture(scope="module")
def app_site(app_folder: Path) -> Iterator[str]:
    """The page on an origin of its own."""
    folder = app_folder
    server = ThreadingHTTPServer(("127.0.0.1", 0), partial(Quiet, directory=str(folder)))
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    yield f"http://127.0.0.1:{server.server_port}"
    server.shutdown()
    thread.join(5)


@pytest.fixture(scope="module")
def client_id(browser: Browser, address: str, app_site: str) -> str:
    """The app, registered and approved on the pages by an administrator."""
    context = browser.new_context(viewport={"width": 1280, "height": 900})
    visit = Visit(context.new_page(), address)
    visit.enter("root").wait_for_url("**/patients*")
    page: Any = visit.go("/apps")
    assert visit.violations() == []
    page.get_by_role("link", name="Register an app").click()
    assert visit.violations() == []
    picture(page, "apps-new")
    page.get_by_label("Name", exact=True).fill("Growth charts")
    page.get_by_role("button", name="Register").click()
    expect(page.get_by_role("alert")).to_contain_text("redirect addresses")
    assert visit.violations() == []
    page.get_by_label("What it does").fill("Draws growth and blood pressure over the years.")
    page.get_by_label("Redirect addresses").fill(f"{app_site}/index.html")
    page.get_by_label("Launch address").fill(f"{app_site}/launch.html")
    page.get_by_label("Scopes").fill(SCOPES)
    page.get_by_text("Both", exact=True).click()
    page.get_by_role("button", name="Register").click()
    expect(page.get_by_text("Waits for approval")).to_be_visible()
    assert visit.violations() == []
    picture(page, "app-waiting")
    page.get_by_role("button", name="Approve").click()
    expect(page.get_by_text("Approved", exact=True)).to_be_visible()
    id = str(page.get_by_text("Client id").locator("xpath=following-sibling::dd[1]").inner_text())
    visit.go("/apps")
    assert visit.violations() == []
    picture(page, "apps")
    assert visit.errors == []
    context.close()
    return id


def _launch(app_site: str, **given: str) -> str:
    return f"{app_site}/launch.html?{urlencode(given)}"


def _told(page: Any, state: str = "ready") -> dict[str, Any]:
    expect(page.locator("#state")).to_have_text(state, timeout=15_000)
    return dict(json.loads(page.locator("#told").inner_text()))


def test_standalone_with_fhirclient(visit: Visit, address: str, app_site: str, client_id: str) -> None:
    page: Any = visit.page
    scope = "launch/patient openid fhirUser offline_access patient/Patient.rs patient/Observation.rs"
    page.goto(_launch(app_site, clientId=client_id, iss=f"{address}/fhir", scope=scope))
    expect(page.get_by_role("heading", name="Which patient is Growth charts for?")).to_be_visible()
    assert visit.violations() == []
    picture(page, "which-patient")
    page.get_by_label("Name, birth date or record number").fill("Hallowbrook")
    page.get_by_role("button", name="Find", exact=True).click()
    page.get_by_role("button", name="Choose").first.click()
    expect(page.get_by_role("heading", name="Allow Growth charts?")).to_be_visible()
    assert visit.violations() == []
    picture(page, "consent")
    page.emulate_media(color_scheme="dark")
    assert visit.violations() == []
    picture(page, "consent-dark")
    page.emulate_media(color_scheme="light")
    page.get_by_role("button", name="Allow", exact=True).click()
    told = _told(page)
    assert told["patient"]
    assert told["scope"].split() == scope.split()
    assert told["refreshable"] is True
    assert told["observations"]
    assert told["idToken"]["iss"] == address
    page.get_by_role("button", name="Refresh").click()
    again = _told(page, "refreshed")
    assert again["token"] != told["token"]
    assert again["observations"] == told["observations"]
    _taken_back(visit, again["token"], told["patient"])


def _taken_back(visit: Visit, token: str, patient: str) -> None:
    """Under connected apps: then the token is of no use."""
    page: Any = visit.go("/connected-apps")
    assert visit.violations() == []
    picture(page, "connected")
    expect(page.get_by_role("heading", name="Growth charts").first).to_be_visible()
    url, headers = f"{visit.address}/fhir/Patient/{patient}", {"authorization": f"Bearer {token}"}
    assert httpx.get(url, headers=headers).status_code == 200
    page.get_by_role("button", name="End access").first.click()
    expect(page.get_by_role("status")).to_contain_text("Ended")
    assert visit.violations() == []
    assert httpx.get(url, headers=headers).status_code == 401


def test_a_person_unticks_and_refuses(visit: Visit, address: str, app_site: str, client_id: str) -> None:
    page: Any = visit.page
    scope = "launch/patient patient/Patient.rs patient/Observation.rs"
    start = _launch(app_site, clientId=client_id, iss=f"{address}/fhir", scope=scope)
    page.goto(start)
    page.get_by_label("Name, birth date or record number").fill("Hallowbrook")
    page.keyboard.press("Enter")
    page.get_by_role("button", name="Choose").first.click()
    page.get_by_label("See results, vital signs").uncheck()
    page.get_by_role("button", name="Allow", exact=True).click()
    told = _told(page)
    assert told["scope"] == "launch/patient patient/Patient.rs"
    assert "does not allow" in told["observations"] or "orbidden" in told["observations"]
    page.goto(start)
    page.get_by_label("Name, birth date or record number").fill("Hallowbrook")
    page.keyboard.press("Enter")
    page.get_by_role("button", name="Choose").first.click()
    page.get_by_role("button", name="Do not allow").click()
    expect(page.locator("#state")).to_have_text("refused", timeout=15_000)
    expect(page.locator("#told")).to_contain_text("did not allow")


def test_from_the_chart_with_fhirclient(visit: Visit, app_folder: Path, client_id: str) -> None:
    page: Any = visit.go("/patients/ines/apps")
    assert visit.violations() == []
    picture(page, "gallery")
    (app_folder / "config.json").write_text(
        json.dumps({"clientId": client_id, "scope": SCOPES.replace("launch/patient ", "")})
    )
    page.get_by_label("Visit").select_option(index=1)
    visit_id = page.get_by_label("Visit").input_value()
    with page.context.expect_page() as opened:
        page.get_by_role("button", name="Open").click()
    app: Any = opened.value
    app.wait_for_load_state()
    expect(app.get_by_role("heading", name="Allow Growth charts?")).to_be_visible(timeout=15_000)
    expect(app.get_by_text("Choose another")).to_have_count(0)
    app.get_by_role("button", name="Allow", exact=True).click()
    told = _told(app)
    assert told["patient"] == "ines"
    assert told["encounter"] == visit_id
    assert told["banner"] is True
    app.close()
