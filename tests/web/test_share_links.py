"""Links by which a patient lets one reader in: shown once, narrowed, counted, ended at once; the same by SMART Health Links."""

from __future__ import annotations

import json
import re
from typing import Any

import httpx
import pytest
from joserfc.errors import JoseError
from starlette.applications import Starlette

from commonchart.access import users
from commonchart.access.actors import Actor
from commonchart.access.portal import links
from commonchart.access.records import Put, Records
from commonchart.documents import health_link
from commonchart.fhir.validate import validate
from commonchart.record.database import Database
from commonchart.rest import health_links
from commonchart.web.portal import lines
from tests.conftest import Clock
from tests.web.conftest import SignIn, token_of
from tests.web.people import condition

FORM = {"reader": "Dr. Ona Field", "what": "all", "scope": "full", "until": "7", "most": ""}


@pytest.fixture
async def doors(app: Starlette, database: Database, clock: Clock) -> Starlette:
    """The pages, the addresses of health links, and a condition of Inés that is labelled."""
    app.router.routes.extend(health_links.routes())
    loader = Records(database, Actor(1, "loader", "L", "system", "alder", "test", network=False), clock)
    hiv = condition("hiv", "Zebrafinch", "B20", "2024")
    await loader.commit([Put(validate(hiv), "hiv")])
    return app


async def made(me: httpx.AsyncClient, **fields: str) -> tuple[str, dict[str, Any]]:
    """Make a link by the form: (path of its page, what its health link carries)."""
    form = await me.get("/me/sharing/link")
    id = form.text.split('name="id" value="')[1].split('"')[0]
    answer = await me.post("/me/sharing/link", data={"csrf": token_of(form), "id": id, **FORM, **fields})
    assert answer.status_code == 200, answer.text
    assert 'src="data:image/png;base64,' in answer.text
    token = re.search(r"https://chart.example/share/([\w-]{43})", answer.text)
    assert token
    return f"/share/{token[1]}", {"token": token[1]}


async def manifest(visitor: httpx.AsyncClient, path: str, **sent: Any) -> httpx.Response:
    return await visitor.post(path.replace("/share/", "/shl/"), json={"recipient": "An app", **sent})


async def opened(visitor: httpx.AsyncClient, path: str, **fields: str) -> httpx.Response:
    return await visitor.post(path, data=fields)


def test_the_sections_are_those_of_the_page() -> None:
    assert {kind.id: set(kind.rtypes) - {"List"} for kind in lines.KINDS} == {
        name: set(types) for name, (types, _) in links.SECTIONS.items()
    }


async def test_a_link_is_opened_seen_counted_and_ended(
    doors: Starlette, sign_in: SignIn, visitor: httpx.AsyncClient
) -> None:
    me = await sign_in("ines")
    path, _ = await made(me)
    asked = await visitor.get(path)
    assert "Dr. Ona Field" in asked.text
    assert "Hallowbrook" not in asked.text
    assert asked.headers["referrer-policy"] == "no-referrer"
    assert "noindex" in asked.headers["x-robots-tag"]
    assert "Dr. Ona Field (link)" in (await me.get("/me/sharing")).text
    page = await opened(visitor, path)
    assert "Health record of" in page.text
    assert "Penicillin" in page.text
    assert "Zebrafinch" in page.text
    assert "set-cookie" not in page.headers
    assert page.headers["cache-control"] == "no-store"
    shared = (await me.get("/me/sharing")).text
    assert "opened 1 time<" in shared
    log = (await me.get("/me/access")).text
    assert "Dr. Ona Field" in log
    assert "by a link that you made" in log
    share = re.search(r"/me/sharing/(link-[0-9a-f]{32})/stop", shared)
    assert share
    assert "Zebrafinch" in (await me.get(f"/me/sharing/{share[1]}")).text
    stop = await me.get(f"/me/sharing/{share[1]}/stop")
    assert (await me.post(f"/me/sharing/{share[1]}/stop", data={"csrf": token_of(stop)})).status_code == 303
    for answer in (await visitor.get(path), await opened(visitor, path), await manifest(visitor, path)):
        assert answer.status_code == 404
    assert (await visitor.get(path)).text == (await visitor.get(f"/share/{'x' * 43}")).text
    assert (await visitor.get("/share/short")).status_code == 404


async def test_only_the_parts_that_were_chosen(
    doors: Starlette, sign_in: SignIn, visitor: httpx.AsyncClient
) -> None:
    me = await sign_in("ines")
    path, _ = await made(me, what="some", **{"part-allergies": "yes"})
    page = (await opened(visitor, path)).text
    assert "Penicillin" in page
    assert "Zebrafinch" not in page
    assert "This is not the whole record" in page
    bundle = _bundle(path, (await manifest(visitor, path)).json())
    assert {entry["resource"]["resourceType"] for entry in bundle["entry"]} <= {
        "Patient", "AllergyIntolerance", "List", "Practitioner", "Organization",
    }  # fmt: skip
    path, _ = await made(me, scope="limited")
    page = (await opened(visitor, path)).text
    assert "Penicillin" in page
    assert "Zebrafinch" not in page
    assert "Zebrafinch" not in json.dumps(_bundle(path, (await manifest(visitor, path)).json()))


KEYS: dict[str, bytes] = {}


def _bundle(path: str, answer: dict[str, Any]) -> dict[str, Any]:
    (file,) = answer["files"]
    assert file["contentType"] == "application/fhir+json"
    found: dict[str, Any] = json.loads(health_link.opened(file["embedded"], KEYS[path]))
    return found


@pytest.fixture(autouse=True)
def keys(monkeypatch: pytest.MonkeyPatch) -> None:
    """Remember the key that each picture carries, as the app that scans it would have it."""
    plain = health_link.link

    def link(url: str, key: bytes, *rest: Any, **more: Any) -> str:
        text = plain(url, key, *rest, **more)
        said = health_link.payload_of(f"https://viewer.example#{text}")
        assert len(said["url"]) <= 128
        KEYS[said["url"].removeprefix("https://chart.example").replace("/shl/", "/share/")] = key
        return text

    monkeypatch.setattr(health_link, "link", link)


async def test_a_health_link_by_its_specification(
    doors: Starlette, sign_in: SignIn, visitor: httpx.AsyncClient, clock: Clock, database: Database
) -> None:
    me = await sign_in("ines")
    path, _ = await made(me)
    answer = await manifest(visitor, path)
    assert answer.headers["access-control-allow-origin"] == "*"
    bundle = _bundle(path, answer.json())
    assert bundle["type"] == "collection"
    assert bundle["entry"][0]["resource"]["id"] == "ines"
    with pytest.raises(JoseError):
        health_link.opened(answer.json()["files"][0]["embedded"], b"k" * 32)
    (file,) = (await manifest(visitor, path, embeddedLengthMax=10)).json()["files"]
    where = file["location"].removeprefix("https://chart.example")
    fetched = await visitor.get(where)
    assert fetched.headers["content-type"].startswith("application/jose")
    assert json.loads(health_link.opened(fetched.text, KEYS[path]))["entry"][0]["resource"]["id"] == "ines"
    assert (await visitor.get(where)).status_code == 404
    async with database.single() as conn:
        rows = await conn.fetch(
            "SELECT detail FROM audit WHERE action = 'link' ORDER BY seq DESC LIMIT 2", ()
        )
    assert [row[0].split(",")[0] for row in rows] == ["file", "app"]
    assert (await manifest(visitor, path, recipient=" ")).status_code == 400
    assert (await visitor.post(path.replace("/share/", "/shl/"), content=b"{")).status_code == 400
    assert (await visitor.options(path.replace("/share/", "/shl/"))).status_code == 204
    (file,) = (await manifest(visitor, path, embeddedLengthMax=10)).json()["files"]
    await users.set_active(database, "ines", False, clock())  # whoever made the link is shut out
    assert (await visitor.get(file["location"].removeprefix("https://chart.example"))).status_code == 404
    await users.set_active(database, "ines", True, clock())
    clock.advance(days=8)
    assert (await manifest(visitor, path)).status_code == 404


async def test_wrong_passcodes_are_counted_for_life(
    doors: Starlette, sign_in: SignIn, visitor: httpx.AsyncClient, clock: Clock
) -> None:
    path, _ = await made(await sign_in("ines"), passcode="blue heron")
    assert "Type the passcode" in (await opened(visitor, path)).text
    wrong = await opened(visitor, path, passcode="red heron")
    assert wrong.status_code == 422
    assert "4 tries left" in wrong.text
    assert "Penicillin" not in wrong.text
    assert (await manifest(visitor, path)).json() == {"remainingAttempts": 4}
    assert (await manifest(visitor, path, passcode="x")).json() == {"remainingAttempts": 3}
    assert "Penicillin" in (await opened(visitor, path, passcode="blue heron")).text
    for left in (2, 1):
        clock.advance(hours=6)
        answer = await manifest(visitor, path, passcode="x")
        assert (answer.status_code, answer.json()) == (401, {"remainingAttempts": left})
    assert (await manifest(visitor, path, passcode="x")).status_code == 404
    assert (await opened(visitor, path, passcode="blue heron")).status_code == 404


async def test_it_opens_only_so_often_and_strangers_are_slowed_down(
    doors: Starlette, sign_in: SignIn, visitor: httpx.AsyncClient
) -> None:
    path, _ = await made(await sign_in("ines"), most="1")
    assert (await visitor.get(path)).status_code == 200
    assert (await opened(visitor, path)).status_code == 200
    assert (await opened(visitor, path)).status_code == 404
    for n in range(links.MOST_UNKNOWN):
        answer = await visitor.get(f"/share/{n:043}")
    answer = await visitor.get(f"/share/{'y' * 43}")
    assert answer.status_code == 429


async def test_what_is_wrong_is_said_and_nobody_makes_links_for_others(
    doors: Starlette, sign_in: SignIn, sage: httpx.AsyncClient, database: Database, clock: Clock
) -> None:
    me = await sign_in("ines")
    form = await me.get("/me/sharing/link")
    id = form.text.split('name="id" value="')[1].split('"')[0]
    for wrong, words in (
        ({"reader": ""}, "Say whom the link is for"),
        ({"what": "some"}, "Choose what they may see"),
        ({"what": ""}, "Choose what they may see"),
        ({"scope": ""}, "Choose with or without sensitive parts"),
        ({"until": "9999"}, "Choose until when"),
        ({"most": "7"}, "Choose how often"),
        ({"passcode": "123"}, "A passcode has at least 6"),
        ({"id": "x"}, "The form is not complete"),
    ):
        answer = await me.post("/me/sharing/link", data={"csrf": token_of(form), "id": id, **FORM, **wrong})
        assert answer.status_code == 422, wrong
        assert words in answer.text
    assert re.findall(r'type="radio" name="(\w+)"[^>]* checked', form.text) == [
        "until",
        "most",
    ]  # how much is the patient's choice
    bare = await me.post(
        "/me/sharing/link", data={"csrf": token_of(form), "id": id, "until": "7", "most": "5"}
    )
    for field in ("reader", "what", "scope"):
        assert f'href="#{field}"' in bare.text
    sent = {"csrf": token_of(form), "id": id, **FORM}
    assert (await me.post("/me/sharing/link", data=sent)).status_code == 200
    assert (await me.post("/me/sharing/link", data=sent)).status_code == 303  # sent twice, made once
    assert (await sage.get("/me/sharing/link")).status_code == 403
    async with database.connection() as conn:
        found = await links.of_patient(conn, 1, "ines")
    assert len(found) == 1
