"""One human in two organisations of a network: what is opened in one opens nothing in the other, at every door."""

from __future__ import annotations

import re
from datetime import timedelta
from html import unescape
from typing import Any

import pytest
from starlette.applications import Starlette

from commonchart.access import credentials, signin, trail, users
from commonchart.access.oauth import launches
from commonchart.access.people import memberships, staff
from commonchart.access.people.staff import Asked, Change
from commonchart.access.records import Records
from commonchart.fhir.outcome import Conflict, Forbidden, Invalid, NotFound, Unauthenticated
from commonchart.record.database import Database
from tests.conftest import Clock
from tests.hostile.conftest import SignedIn, program_of
from tests.hostile.test_search_sees_nothing_more import put
from tests.joining import as_user, asked, come_in, enrolled, join, sent, session_of
from tests.joining import code as next_code
from tests.smart import a_code, an_app, basic, bearer, code_form
from tests.web.conftest import PASSWORD, token_of
from tests.web.people import about
from tests.web.test_writing import CONDITION

CANARY = "canary-of-birch"
HIDDEN = re.compile(r'<input type="hidden" name="([^"]+)" value="([^"]*)"')


async def place_of(database: Database, login: str, org: str) -> str:
    async with database.single() as conn:
        return await credentials.only_one(conn, users.id_of(login), org)


async def rows_of(database: Database, sql: str, *args: Any) -> list[tuple[Any, ...]]:
    async with database.single() as conn:
        return [tuple(row) for row in await conn.fetch(sql, args)]


@pytest.fixture
async def birch(whole: Starlette, database: Database, clock: Clock) -> None:
    """Birch, with a patient of its own, an administrator, and Kim, a clinician there."""
    loader = await program_of(whole, database, clock, "birch-load", role="system", org="birch")
    await put(
        loader,
        {"resourceType": "Organization", "id": "birch", "name": "Birch Lane Clinic"},
        {"resourceType": "Practitioner", "id": "kim", "name": [{"family": "Kim"}]},
        {"resourceType": "Patient", "id": "bo", "name": [{"family": CANARY}], "birthDate": "1980-01-01"},
        about("Condition", "bo-1", patient="bo", code={"text": CANARY}),
    )
    await loader.aclose()
    for login, role in (("bea", "administrator"), ("kim", "clinician")):
        await users.create(
            database, tenant=1, login=login, name=f"{login.title()} of Birch", role=role, org="birch", now=clock(),
            password=PASSWORD, practitioner="kim" if login == "kim" else None,
        )  # fmt: skip
    clock.advance(minutes=1)  # so that Birch is where Kim worked first


def refreshing(held: dict[str, Any]) -> dict[str, str]:
    return {"grant_type": "refresh_token", "refresh_token": held["refresh_token"]}


async def test_from_being_asked_to_the_end_in_one_and_the_other_goes_on(
    whole: Starlette, signed_in: SignedIn, database: Database, clock: Clock, birch: None
) -> None:
    root, kim = await signed_in("root"), await signed_in("kim")
    id = users.id_of("kim")
    assert "Acting for" not in (await kim.get("/patients")).text
    ask = {"login": "Kim", "role": "clinician", "org": "alder"}
    for wrong, at in (({"org": "birch"}, "org"), ({"role": "king"}, "role"), ({"login": "nobody"}, "login")):
        refused = await sent(root, "/users/ask", **(ask | wrong))
        assert (refused.status_code, f'href="#{at}"' in refused.text) == (422, True)
    given = re.search(r'<code class="key">([^<]+)', (await sent(root, "/users/ask", **ask)).text)
    assert given
    again = await sent(root, "/users/ask", **ask)
    assert again.status_code == 409
    assert "work for this organisation already" in again.text

    # asked is nothing: neither what alder keeps for kim, nor who kim is for alder
    listed = (await root.get("/users?state=invited")).text
    assert "Asked, no answer yet" in listed
    assert "Kim of Birch" not in listed + (await root.get(f"/users/{id}")).text
    assert (await kim.get("/patients/ines")).status_code == 404
    place = (await rows_of(database, "SELECT id FROM membership WHERE actor = %s AND org = 'alder'", id))[0][
        0
    ]
    assert (await sent(kim, "/acting-for", "/acting-for", place=place)).status_code == 404
    assert "Alder Street Family Practice asks you" in (await kim.get("/patients")).text
    yes = {"do": "accept", "place": place, "code": given[1].upper().replace("-", " ")}
    wrong = await sent(kim, "/acting-for/answer", "/acting-for", **(yes | {"code": "abcde-fghjk"}))
    assert (wrong.status_code, f'href="#code-{place}"' in wrong.text) == (422, True)
    assert (
        "second step that you set up yourself"
        in (await sent(kim, "/acting-for/answer", "/acting-for", **yes)).text
    )
    app = await enrolled(database, clock, "kim")
    other = await come_in(await signed_in("kim"), app, clock)
    asks = await sent(kim, "/acting-for/answer", "/acting-for", **yes)  # a password is no second step
    assert (asks.status_code, "proof_code" in asks.text) == (403, True)
    proved = yes | {"csrf": token_of(asks), "proof_code": next_code(app, clock)}
    assert (await kim.post("/acting-for/answer", data=proved)).status_code == 303
    assert (await other.get("/patients")).status_code == 303  # whoever else sits in the account is out

    # a yes changes nothing for now; a form opened for birch is not stored for alder
    birch_form = await kim.get("/patients/bo/new/condition")
    assert birch_form.status_code == 200
    assert (await kim.get("/patients/ines")).status_code == 404
    old = kim.cookies["commonchart"]
    went = await sent(kim, "/acting-for", "/patients", place=place, next="/patients/bo")
    assert (went.status_code, went.headers["location"]) == (303, "/patients")
    assert kim.cookies["commonchart"] != old
    assert "Acting for <strong>Alder Street" in (await kim.get("/patients")).text
    assert (await kim.get("/patients/ines")).status_code == 200
    for path in ("/patients/bo", "/patients?q=canary", "/fhir/Condition/bo-1"):
        assert CANARY not in (await kim.get(path)).text, path
    typed = CONDITION | {"name": "Gout & <pain>"}
    mixed = await kim.post("/patients/bo/new/condition", data={"csrf": token_of(birch_form), **typed})
    assert mixed.status_code == 409
    assert "Nothing was stored" in mixed.text
    assert 'value="Gout &amp; &lt;pain&gt;"' in mixed.text
    before = await rows_of(
        database, "SELECT count(*) FROM resource WHERE rtype = 'Condition' AND patient = 'bo'"
    )
    assert before == [(1,)]
    hidden = {
        name: unescape(value)
        for name, value in HIDDEN.findall(mixed.text.split("<main")[1].split("</main")[0])
    }
    stored = await kim.post("/patients/bo/new/condition", data=hidden)
    assert stored.status_code == 303, stored.text[:2000]
    made = await rows_of(database, "SELECT org, actor FROM resource WHERE rtype = 'Condition' AND patient = 'bo' AND id <> 'bo-1'")  # fmt: skip
    assert made == [("birch", id)]
    assert "Acting for <strong>Birch" in (await kim.get("/patients")).text

    # who saw my record, and the trail of each organisation
    seen = await rows_of(database, "SELECT DISTINCT org FROM audit WHERE actor = %s AND 'ines' = ANY(patients) AND outcome = 0", id)  # fmt: skip
    assert seen == [("alder",)]
    own = await trail.own(
        Records(database, (await as_user(database, clock, "ines")).actor, clock), "ines", limit=50
    )
    assert {(one.who, one.org, one.role) for one in own if one.actor == id} == {
        ("Kim of Birch", "alder", "clinician")
    }
    theirs = await trail.events(
        await as_user(database, clock, "root"),
        trail.Ask(clock() - timedelta(days=1), clock() + timedelta(days=1), actor=id),
        limit=200,
    )
    assert {one.event.org for one in theirs} == {"alder"}
    assert {"join", "switch"} <= {one.event.action for one in theirs}

    # alder's administrator reaches no further than alder
    alder = await as_user(database, clock, "root")
    page = (await root.get(f"/users/{id}")).text
    assert "birch" not in page.lower().replace("kim of birch", "")
    with pytest.raises(NotFound):
        await staff.leave(alder, id, membership=await place_of(database, "kim", "birch"))
    with pytest.raises(Conflict, match="last administrator"):
        await staff.change(alder, users.id_of("root"), Change("Root", "nurse", "alder"))

    # tokens are for one, and what ends in one ends there
    with pytest.raises(Invalid, match="several"):
        await credentials.issue(database, id, clock(), kind="token", client="t", lives=timedelta(days=1))
    tokens = {
        org: {"authorization": "Bearer " + await credentials.issue(database, id, clock(), kind="token", client="t", lives=timedelta(days=1), org=org)}
        for org in ("alder", "birch")
    }  # fmt: skip
    machine = await signed_in()
    for org, patient, other in (("alder", "ines", "bo"), ("birch", "bo", "ines")):
        assert (await machine.get(f"/fhir/Patient/{patient}", headers=tokens[org])).status_code == 200
        assert (await machine.get(f"/fhir/Patient/{other}", headers=tokens[org])).status_code == 404
        found = (await machine.get("/fhir/Condition?_count=200", headers=tokens[org])).text
        assert (CANARY in found) is (org == "birch")
    here = await come_in(await signed_in("kim"), app, clock)
    assert (await sent(here, "/acting-for", "/patients", place=place)).status_code == 303
    assert (await here.get("/patients/ines")).status_code == 200
    ending = (await root.get(f"/users/{id}/end")).text
    assert "1 open session" in ending
    assert (await sent(root, f"/users/{id}/end", place=place)).status_code == 303
    assert (await here.get("/patients/ines")).status_code == 303
    assert (await machine.get("/fhir/Patient/ines", headers=tokens["alder"])).status_code == 401
    assert (await machine.get("/fhir/Patient/bo", headers=tokens["birch"])).status_code == 200
    assert (await kim.get("/patients/bo")).status_code == 200
    assert "Acting for" not in (await kim.get("/patients")).text
    assert (await sent(kim, "/acting-for", "/account", place=place)).status_code == 404

    # being asked again brings nothing back; leaving the install ends all
    word = await staff.ask(alder, Asked("kim", "front-desk", "alder"))
    yes = {"do": "accept", "place": await asked(database, "kim", "alder"), "code": word}
    clock.advance(minutes=6)
    asks = await sent(kim, "/acting-for/answer", "/acting-for", **yes)
    proved = yes | {"csrf": token_of(asks), "proof_code": next_code(app, clock)}
    assert (await kim.post("/acting-for/answer", data=proved)).status_code == 303
    assert (await machine.get("/fhir/Patient/ines", headers=tokens["alder"])).status_code == 401
    await users.set_active(database, "kim", active=False, now=clock())
    assert (await kim.get("/patients/bo")).status_code == 303
    assert (await machine.get("/fhir/Patient/bo", headers=tokens["birch"])).status_code == 401
    assert await rows_of(
        database, "SELECT count(*) FROM membership WHERE actor = %s AND ended IS NULL", id
    ) == [(0,)]
    with pytest.raises(Unauthenticated):
        await signin.sign_in(database, "kim", PASSWORD, clock())


async def test_an_app_stays_with_the_organisation_that_it_was_allowed_for(
    whole: Starlette, signed_in: SignedIn, database: Database, clock: Clock, birch: None
) -> None:
    """Access, refresh and id token; a launch from the chart of one does not open while its owner acts for the other."""
    alder, kim = await as_user(database, clock, "root"), await as_user(database, clock, "kim")
    session = await session_of(database, clock, "kim", await join(database, clock, alder, "kim", "alder"))
    token, there = await memberships.switch(kim, session.token, await asked(database, "kim", "alder"))
    app, secret = await an_app(database, clock, kind="secret", launch_url="https://g.example/l")
    proof, machine = basic(app.id, secret), await signed_in()
    wanted = "openid fhirUser launch/patient offline_access patient/*.rs"
    code = await a_code(database, clock, app, there, wanted, "ines")
    held = (await machine.post("/oauth/token", data=code_form(app, code), headers=proof)).json()
    _, launched = await launches.begin(Records(database, there, clock), app.id, "ines")
    await memberships.switch(Records(database, there, clock), token, kim.actor.membership)
    async with database.single() as conn:
        launch = await launches.look(conn, launched, clock())
    assert launch is not None
    launches.same(launch, there.user, there.membership)
    with pytest.raises(Forbidden, match="another organisation"):
        launches.same(launch, kim.actor.user, kim.actor.membership)
    again = (await machine.post("/oauth/token", data=refreshing(held), headers=proof)).json()
    assert (await machine.get("/fhir/Patient/ines", headers=bearer(again["access_token"]))).status_code == 200
    assert (await machine.get("/fhir/Patient/bo", headers=bearer(again["access_token"]))).status_code == 404
    said = (
        await machine.post("/oauth/introspect", data={"token": again["access_token"]}, headers=proof)
    ).json()
    assert (said["active"], said["scope"]) == (True, wanted)
    await staff.leave(alder, kim.actor.user)
    assert (await machine.get("/fhir/Patient/ines", headers=bearer(again["access_token"]))).status_code == 401
    refused = await machine.post("/oauth/token", data=refreshing(again), headers=proof)
    assert (refused.status_code, refused.json()["error"]) == (400, "invalid_grant")
    assert (await machine.post("/oauth/introspect", data={"token": again["access_token"]}, headers=proof)).json() == {"active": False}  # fmt: skip


async def test_what_a_colleague_is_named_in_opens_the_record_to_no_other_place_of_theirs(
    whole: Starlette, signed_in: SignedIn, database: Database, clock: Clock, birch: None
) -> None:
    """A care team of Alder that names Kim, who works for both, gives Birch nothing; nor does an emergency opened for one."""
    alder, kim = await as_user(database, clock, "root"), await as_user(database, clock, "kim")
    app = await join(database, clock, alder, "kim", "alder")
    loader = await program_of(whole, database, clock, "alder-load", role="system", org="alder")
    team = about(
        "CareTeam", "t1", status="active", participant=[{"member": {"reference": "Practitioner/kim"}}]
    )
    await put(loader, team)
    await loader.aclose()
    at_birch = await come_in(await signed_in("kim"), app, clock)
    assert (await at_birch.get("/patients/ines")).status_code == 404
    bea = await program_of(whole, database, clock, "bea-2", role="clinician", org="birch")
    assert (await bea.get("/fhir/Patient/ines")).status_code == 404
    await bea.aclose()
    assert {
        row[0] for row in await rows_of(database, "SELECT org FROM relationship WHERE source = 'CareTeam/t1'")
    } == {"alder"}
    async with database.connection() as conn:  # opened for birch: it opens there, and not for a third place
        await conn.execute(
            "INSERT INTO emergency_access (id, tenant, actor, org, patient, purpose, reason, starts, ends) "
            "VALUES ('e', 1, %s, 'alder', 'bo', 'ETREAT', 'x', %s, %s)",
            (kim.actor.user, clock(), clock() + timedelta(minutes=30)),
        )
    assert (await at_birch.get("/patients/ines")).status_code == 404
    assert (
        await sent(at_birch, "/acting-for", "/patients", place=await asked(database, "kim", "alder"))
    ).status_code == 303
    assert (await at_birch.get("/patients/bo")).status_code == 200
