"""Step-up: what it stands before, that nothing typed is lost, and that sessions and passwords end what they must."""

from __future__ import annotations

import httpx
import pytest

from commonchart.access.people import breached
from commonchart.record.database import Database
from commonchart.web.portal import table
from commonchart.web.routes import READING, SHARED, SHARED_POST, SIGNED_POST, WRITING
from commonchart.web.session import View
from tests.conftest import Clock
from tests.web.conftest import PASSWORD, Client, SignIn, token_of, try_sign_in

ASKING = {
    "/campaigns/{campaign}/letters", "/exchange/{run}/file", "/reports/critical.csv", "/registry/export.csv", "/registry/print",
    "/registries/{registry}/export.csv", "/reports/access/csv", "/reports/alerts.csv", "/medication-rules", "/emergency/{patient}",
    "/persons/{one}/{other}", "/rules/{rule}", "/rules/{rule}/try", "/schedules", "/apps/{app}", "/exchange/begin",
    "/account/factors/app", "/account/password", "/account/factors", "/users/new", "/users/{user}", "/users/{user}/end",
    "/users/ask", "/acting-for/answer", "/account/email",
    "/patients/{patient}/disclosures.csv", "/patients/{patient}/label/{rtype}/{id}/lift/{label}", "/me/sharing/link",
}  # fmt: skip


def _asks(view: View) -> bool:
    return view.__qualname__.startswith("stepped_up")


def test_what_is_dangerous_asks_first() -> None:
    found = {
        path
        for views in (READING, SHARED, SHARED_POST, SIGNED_POST)
        for path, view in views.items()
        if _asks(view)
    }
    found |= {path for path, (_, store) in WRITING.items() if _asks(store)}
    found |= {path for path, _, view in table.views() if _asks(view)}
    assert found == ASKING
    downloads = {path for path in READING if path.endswith((".csv", "/csv", "/file"))}
    assert downloads <= found


async def test_a_file_comes_after_the_password_and_five_minutes_are_free(sage: Client, clock: Clock) -> None:
    assert (await sage.get("/registry/export.csv?rule=x")).headers["content-type"].startswith("text/csv")
    clock.advance(minutes=5)
    asked = await sage.get("/registry/export.csv?rule=x")
    assert asked.status_code == 403
    assert "Confirm that it is you" in asked.text
    assert "You are about to download a list of patients." in asked.text
    assert "content-disposition" not in asked.headers
    sent = {"csrf": token_of(asked), "next": "/registry/export.csv?rule=x", "then": "file"}
    assert 'name="next" value="/registry/export.csv?rule=x"' in asked.text
    wrong = await sage.post("/step-up", data=sent | {"proof_password": "wrong"})
    assert wrong.status_code == 422
    assert 'name="next" value="/registry/export.csv?rule=x"' in wrong.text
    old = sage.cookies["commonchart"]
    done = await sage.post("/step-up", data=sent | {"proof_password": PASSWORD})
    assert done.headers["refresh"] == "0; url=/registry/export.csv?rule=x"
    assert sage.cookies["commonchart"] != old
    assert (await sage.get("/registry/export.csv?rule=x")).status_code == 200
    assert (await sage.get("/patients", headers={"cookie": f"commonchart={old}"})).status_code == 303
    odd = await sage.post(
        "/step-up", data=sent | {"proof_password": PASSWORD, "next": "/registry/print?q=ł;x"}
    )
    assert odd.headers["refresh"] == "0; url=/registry/print?q=%C5%82%3Bx"
    elsewhere = await sage.post(
        "/step-up", data=sent | {"proof_password": PASSWORD, "next": "//evil", "then": ""}
    )
    assert elsewhere.headers["location"] == "/"
    clock.advance(minutes=6)
    for _ in range(9):  # and the one before
        last = await sage.post("/step-up", data=sent | {"proof_password": "wrong"})
    slow = await sage.post("/step-up", data=sent | {"proof_password": PASSWORD})
    assert (last.status_code, slow.status_code, slow.headers["retry-after"]) == (422, 429, "900")


async def test_what_was_typed_goes_on_from_the_page_that_asks(
    sage: Client, database: Database, clock: Clock
) -> None:
    page = await sage.get("/persons/ines/late")
    clock.advance(minutes=6)
    typed = {"csrf": token_of(page), "do": "apart", "reason": 'Twins & "two" <people>'}
    asked = await sage.post("/persons/ines/late", data=typed)
    assert asked.status_code == 403
    assert 'action="/persons/ines/late"' in asked.text
    assert "Twins &amp; &#34;two&#34; &lt;people&gt;" in asked.text
    async with database.single() as conn:
        assert (await conn.fetch("SELECT count(*) FROM person_pair"))[0][0] == 0
    # whoever answers wrongly in the act keeps the session that was made stronger
    empty = await sage.post("/persons/ines/late", data=typed | {"reason": "", "proof_password": PASSWORD})
    assert empty.status_code == 422
    done = await sage.post("/persons/ines/late", data=typed)
    assert (done.status_code, done.headers["location"]) == (303, "/persons/ines/late?said=kept")


async def test_a_new_password_is_never_carried_along_and_ends_what_is_open(
    sage: Client, sign_in: SignIn, app: object, clock: Clock, tmp_path: object
) -> None:
    other = await sign_in("sage")
    page = await sage.get("/account/password")
    clock.advance(minutes=6)
    typed = {"csrf": token_of(page), "password": "quiet river stones", "again": "quiet river stones"}
    asked = await sage.post("/account/password", data=typed)
    assert asked.status_code == 403
    assert "quiet river" not in asked.text
    await sage.post(
        "/step-up", data={"csrf": token_of(asked), "next": "/account/password", "proof_password": PASSWORD}
    )
    folder = app.state.settings.data_dir = tmp_path  # type: ignore[attr-defined]
    breached.write([b"leaked once before"], folder / breached.FILE)  # type: ignore[operator]
    for bad, words in (
        ("short", "12 to 200 characters"),
        ("leaked once before", "known from a breach"),
        (PASSWORD, "the password you have"),
        ("sage", "12 to 200"),
    ):
        answer = await sage.post("/account/password", data=typed | {"password": bad, "again": bad})
        assert answer.status_code == 422
        assert words in answer.text
    assert (await sage.post("/account/password", data=typed | {"again": "another"})).status_code == 422
    assert (await other.get("/patients")).status_code == 200
    assert (await sage.post("/account/password", data=typed)).status_code == 303
    assert (await sage.get("/patients")).status_code == 200
    assert (await other.get("/patients")).status_code == 303
    assert (await try_sign_in(other, "sage", PASSWORD)).status_code == 401
    assert (await try_sign_in(other, "sage", "quiet river stones")).status_code == 303


async def test_a_session_that_is_ended_ends_at_once(sage: Client, app: object, sign_in: SignIn) -> None:
    phone, tablet = await sign_in("sage"), await sign_in("sage")
    desk = await sign_in("desk")
    page = await sage.get("/account/sessions")
    assert page.text.count('name="do" value="end"') == 2
    assert page.text.count("this one") == 1
    handle = page.text.split('name="session" value="')[1].split('"')[0]
    sent = {"csrf": token_of(page), "do": "end", "session": handle}
    theirs = {"csrf": token_of(await desk.get("/account")), "do": "end", "session": handle}
    await desk.post("/account/sessions", data=theirs)  # of somebody else: nothing happens
    assert {(await one.get("/patients")).status_code for one in (phone, tablet)} == {200}
    await sage.post("/account/sessions", data=sent)
    assert sorted([(await one.get("/patients")).status_code for one in (phone, tablet)]) == [200, 303]
    await sage.post("/account/sessions", data={"csrf": sent["csrf"], "do": "others"})
    assert {(await one.get("/patients")).status_code for one in (phone, tablet)} == {303}
    assert (await sage.get("/patients")).status_code == 200


async def test_patients_have_the_same_in_their_own_look(sign_in: SignIn, clock: Clock) -> None:
    me = await sign_in("ines")
    you = await me.get("/me/you")
    for path in ("/account/factors", "/account/password", "/account/email", "/account/sessions"):
        assert f'href="{path}"' in you.text
        page = await me.get(path)
        assert page.status_code == 200
        assert "portal.css" in page.text
        assert 'href="/me/you"' in page.text
    clock.advance(minutes=6)
    asked = await me.get("/account/password")
    assert asked.status_code == 403
    assert "portal.css" in asked.text
    sent = {"csrf": token_of(asked), "next": "/account/password"}
    wrong = await me.post("/step-up", data=sent | {"proof_password": "wrong"})
    assert "There is 1 thing to fix" in wrong.text
    done = await me.post("/step-up", data=sent | {"proof_password": PASSWORD})
    assert done.headers["location"] == "/account/password"


@pytest.mark.parametrize("method", ["GET", "POST"])
async def test_nobody_steps_up_without_a_session(visitor: httpx.AsyncClient, method: str) -> None:
    for path in (
        ("/step-up/options", "/account/factors/options") if method == "GET" else ("/step-up", "/stay")
    ):
        assert (await visitor.request(method, path)).status_code == 303
