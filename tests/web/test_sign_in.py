"""The door: second factors, recovery codes, what waits between, throttling, and the invitation of somebody who has an account."""

from __future__ import annotations

import re

import httpx
import pyotp
import pytest
from starlette.requests import Request

from commonchart.access import users
from commonchart.access.actors import Actor
from commonchart.access.people import guessing
from commonchart.access.portal import invitations
from commonchart.access.records import Put, Records
from commonchart.fhir.outcome import Malformed
from commonchart.fhir.validate import validate
from commonchart.record import site as decisions
from commonchart.record.database import Database
from commonchart.web.session import form
from tests.conftest import Clock
from tests.web.conftest import PASSWORD, Client, SignIn, token_of, try_sign_in

TARGET = "/patients/ines/results"


async def set_up(client: Client, clock: Clock) -> tuple[pyotp.TOTP, list[str]]:
    """Set up an authenticator as its owner does: type the key, send the first code; the recovery codes are shown once."""
    page = await client.get("/account/factors/app")
    assert page.status_code == 200
    assert 'src="data:image/svg+xml' in page.text
    found = re.search(r'class="key">([A-Z2-7 ]+)<', page.text)
    assert found
    app = pyotp.TOTP(found[1].replace(" ", ""))
    sent = {"csrf": token_of(page), "code": app.at(clock())}
    assert (await client.post("/account/factors/app", data=sent | {"code": "000000"})).status_code == 422
    done = await client.post("/account/factors/app", data=sent)
    codes = re.findall(r"<li><code>([a-z2-9]{5}-[a-z2-9]{5})</code>", done.text)
    assert len(codes) == 10
    assert codes[0] not in (await client.get("/account/factors")).text
    return app, codes


async def second(client: Client, code: str, **more: str) -> httpx.Response:
    page = await client.get("/sign-in/second", params=more)
    sent = {"csrf": token_of(page), "proof_code": code}
    return await client.post("/sign-in/second", params=more, data=sent)


async def signed_out(client: Client) -> None:
    answer = await client.post("/sign-out", data={"csrf": token_of(await client.get("/connected-apps"))})
    assert answer.headers["location"] == "/signed-out"
    assert answer.headers["clear-site-data"] == '"cache", "storage"'
    page = await client.get("/signed-out")
    assert "You are signed out" in page.text
    assert page.headers["cache-control"] == "no-store"


async def test_password_and_code_let_in_and_nothing_opens_between(sage: Client, clock: Clock) -> None:
    app, codes = await set_up(sage, clock)
    first = app.at(clock())
    await signed_out(sage)
    answer = await try_sign_in(sage, "sage", PASSWORD, next=TARGET)
    assert answer.headers["location"] == "/sign-in/second?next=%2Fpatients%2Fines%2Fresults"
    waiting = sage.cookies.get("commonchart-pending")
    for cookie in ({}, {"cookie": f"commonchart={waiting}"}):
        for path in (TARGET, "/account/factors", "/sign-in/enrol", "/account/password"):
            assert (await sage.get(path, headers=cookie)).status_code == 303, path
    assert (await sage.get("/session")).status_code == 401
    page = await sage.get("/sign-in/second")
    assert (await sage.post("/sign-in/second", data={"proof_code": first})).status_code == 403
    assert (await sage.post("/sign-in/second", data={"csrf": token_of(page)})).status_code == 422
    replayed = await second(sage, first)
    assert replayed.status_code == 401
    assert "or was used already" in replayed.text
    clock.advance(minutes=1)
    done = await second(sage, f" {app.at(clock())[:3]} {app.at(clock())[3:]} ", next=TARGET)
    assert (done.status_code, done.headers["location"]) == (303, TARGET)
    assert (await sage.get(TARGET)).status_code == 200
    assert (await sage.get("/sign-in/second")).headers["location"].startswith("/sign-in?")
    for status in (303, 401):  # a recovery code counts once
        await try_sign_in(sage, "sage", PASSWORD)
        assert (await second(sage, codes[0].upper())).status_code == status
    clock.advance(minutes=11)  # and the wait has an end
    late = await sage.get("/sign-in/second?next=/inbox")
    assert late.headers["location"] == "/sign-in?next=%2Finbox"


async def test_a_role_that_must_have_one_makes_it_at_the_door(
    visitor: Client, database: Database, clock: Clock
) -> None:
    async with database.connection() as conn:
        await decisions.put(conn, 1, "second_factor", "front-desk clinician")
    answer = await try_sign_in(visitor, "desk", PASSWORD, next="/patients/ines/contacts")
    assert answer.headers["location"].startswith("/sign-in/enrol?next=")
    assert (await visitor.get("/patients")).status_code == 303
    assert (await visitor.get("/sign-in/second")).headers["location"].startswith("/sign-in/enrol")
    page = await visitor.get("/sign-in/enrol?next=/patients/ines/contacts")
    key = re.search(r'class="key">([A-Z2-7 ]+)<', page.text)
    assert key
    app = pyotp.TOTP(key[1].replace(" ", ""))
    sent = {"csrf": token_of(page), "code": "123456"}
    wrong = await visitor.post("/sign-in/enrol", data=sent)
    assert wrong.status_code == 422
    assert key[1] in wrong.text
    done = await visitor.post(
        "/sign-in/enrol?next=/patients/ines/contacts", data=sent | {"code": app.at(clock())}
    )
    assert len(re.findall(r"<li><code>", done.text)) == 10
    assert 'href="/patients/ines/contacts"' in done.text
    mine = await visitor.get("/account/factors")
    assert "Your role must have one" in mine.text
    factor = re.search(
        r'name="do" value="remove"><input type="hidden" name="factor" value="(\w+)"', mine.text
    )
    assert factor
    act = {"csrf": token_of(mine), "do": "remove", "factor": factor[1]}
    assert (await visitor.post("/account/factors", data=act)).status_code == 409
    renewed = await visitor.post("/account/factors", data={"csrf": token_of(mine), "do": "renew"})
    assert len(re.findall(r"<li><code>", renewed.text)) == 10
    async with database.connection() as conn:
        await decisions.put(conn, 1, "second_factor", "")
    assert (await visitor.post("/account/factors", data=act)).status_code == 303
    assert "They come with an app" in (await visitor.get("/account/factors")).text
    refused = await visitor.post("/account/factors", data={"csrf": token_of(mine), "do": "renew"})
    assert refused.status_code == 404


async def test_hammering_never_locks_out_the_owners_browser(
    sage: Client, visitor: Client, clock: Clock
) -> None:
    await signed_out(sage)
    page = await visitor.get("/sign-in")
    guess = {"csrf": token_of(page), "login": "sage", "password": "guess"}
    for _ in range(guessing.FREE_FAILURES + 2):
        assert (await visitor.post("/sign-in", data=guess)).status_code == 401
    assert (await try_sign_in(visitor, "sage", PASSWORD)).status_code == 401  # a browser not known waits
    assert (await try_sign_in(sage, "sage", PASSWORD)).status_code == 303
    for _ in range(guessing.PER_ADDRESS):
        await visitor.post("/sign-in", data=guess | {"login": "nobody"})
    slow = await visitor.post("/sign-in", data=guess | {"login": "desk", "password": PASSWORD})
    assert (slow.status_code, slow.headers["retry-after"]) == (429, "900")
    assert "Wait a quarter of an hour" in slow.text
    await signed_out(sage)
    assert (await try_sign_in(sage, "sage", PASSWORD)).status_code == 303


async def test_wrong_codes_of_another_browser_do_not_use_up_ones_own(
    sage: Client, visitor: Client, clock: Clock
) -> None:
    app, _ = await set_up(sage, clock)
    await signed_out(sage)
    await try_sign_in(visitor, "sage", PASSWORD)  # somebody who knows the password, and nothing else
    assert "commonchart-device" not in visitor.cookies
    for _ in range(guessing.PER_FACTOR):
        assert (await second(visitor, "abcde-fghjk")).status_code == 401
    clock.advance(minutes=1)
    slow = await second(visitor, app.at(clock()))
    assert slow.status_code == 429
    assert "Wait a quarter of an hour" in slow.text
    await try_sign_in(sage, "sage", PASSWORD)
    assert (await second(sage, app.at(clock()))).status_code == 303


async def test_an_invitation_opens_nothing_before_the_second_factor(
    sign_in: SignIn, visitor: Client, database: Database, clock: Clock
) -> None:
    me = await sign_in("ines")
    app, _ = await set_up(me, clock)
    child = {
        "resourceType": "Patient", "id": "leo", "name": [{"family": "Hallowbrook", "given": ["Leo"]}], "birthDate": "2019-05-01",
    }  # fmt: skip
    await Records(database, Actor(1, "loader", "L", "system", "alder", "test", network=False), clock).commit(
        [Put(validate(child), "leo")]
    )
    user = await users.find(database, "sage")
    doctor = Records(database, users.actor(user, "web"), clock)
    code = await invitations.invite(
        doctor, invitations.Invited("leo", "Ines", kind="parent", relation="mother", why="seen")
    )
    door = await visitor.get("/invitation")
    sent = {"csrf": token_of(door), "code": code, "login": "ines", "password": PASSWORD, "account": "have"}
    answer = await visitor.post("/invitation", data=sent)
    assert answer.headers["location"] == "/sign-in/second?next=%2Fme"

    async def grants() -> int:
        async with database.single() as conn:
            return int((await conn.fetch("SELECT count(*) FROM proxy_grant"))[0][0])

    assert await grants() == 0
    clock.advance(minutes=1)
    done = await second(visitor, app.at(clock()))
    assert (done.status_code, done.headers["location"]) == (303, "/me")
    assert await grants() == 1
    assert "/me/for/" in (await visitor.get("/me")).text


async def test_an_administrator_takes_lost_factors_away(
    sign_in: SignIn, sage: Client, clock: Clock, database: Database
) -> None:
    await set_up(sage, clock)
    user = (await users.find(database, "sage")).id
    root = await sign_in("root")
    page = await root.get(f"/users/{user}")
    assert "Take the second factors of Sage Person away" in page.text
    act = {"csrf": token_of(page), "do": "factors"}
    assert (await sage.get("/patients")).status_code == 200
    assert (await root.post(f"/users/{user}", data=act)).status_code == 303
    assert (await sage.get("/patients")).status_code == 303
    assert (await root.post(f"/users/{user}", data=act)).status_code == 409
    assert (await try_sign_in(sage, "sage", PASSWORD)).headers["location"] == "/"
    own = (await users.find(database, "root")).id
    assert (await root.post(f"/users/{own}", data=act)).status_code == 409


@pytest.mark.parametrize(
    "odd", ["\0", "{}", "[]", '{"rawId": 5}', '{"rawId":"a","response":{"clientDataJSON":"e30"}}', "é" * 50]
)
async def test_what_no_browser_sends_is_refused_in_words(
    sage: Client, visitor: Client, odd: str, clock: Clock
) -> None:
    _, codes = await set_up(sage, clock)
    token = token_of(await sage.get("/account/factors"))
    for path, fields in (
        ("/account/factors", {"do": "passkey", "made": odd}),
        ("/account/factors", {"do": "rename", "factor": odd, f"label-{odd}": odd}),
        ("/account/factors", {"do": "remove", "factor": odd}),
        ("/account/factors/app", {"code": odd}),
        ("/account/sessions", {"do": "end", "session": odd}),
        ("/account/password", {"password": odd, "again": f"{odd}?"}),
        ("/step-up", {"next": odd, "proof_passkey": odd}),
        ("/step-up", {"next": odd, "proof_code": odd}),
    ):
        answer = await sage.post(path, data={"csrf": token} | fields)
        assert answer.status_code in (303, 404, 422), (path, fields)
    page = await visitor.get("/sign-in")
    answer = await visitor.post("/sign-in/passkey", data={"csrf": token_of(page), "proof_passkey": odd})
    assert answer.status_code == 401
    await try_sign_in(visitor, "sage", PASSWORD)
    assert (await second(visitor, odd)).status_code in (401, 422)
    assert (await second(visitor, codes[1])).status_code == 303


async def test_the_state_of_a_session_is_told_without_keeping_it_alive(sage: Client, clock: Clock) -> None:
    clock.advance(minutes=13)
    for _ in range(2):
        state = (await sage.get("/session")).json()
        assert (state["left"], state["last"]) == (120, False)
    assert (await sage.post("/stay", data={"csrf": "x" * 43})).status_code == 403
    assert (await sage.post("/stay", data={"csrf": state["csrf"]})).json()["left"] == 900
    for _ in range(54):  # 12 hours end it whatever is done
        clock.advance(minutes=13)
        await sage.post("/stay", data={"csrf": state["csrf"]})
    assert (await sage.get("/session")).json()["last"] is True
    clock.advance(minutes=6)
    assert (await sage.get("/session")).status_code == 401
    assert (await sage.post("/stay", data={"csrf": state["csrf"]})).headers["location"] == "/sign-in"


async def test_a_form_that_breaks_off_is_a_refusal_and_no_fault_of_the_program() -> None:
    async def receive() -> dict[str, str]:
        return {"type": "http.disconnect"}

    kind = (b"content-type", b"application/x-www-form-urlencoded")
    request = Request({"type": "http", "method": "POST", "headers": [kind], "app": None}, receive)  # type: ignore[arg-type]
    with pytest.raises(Malformed, match="broke off"):
        await form(request)
