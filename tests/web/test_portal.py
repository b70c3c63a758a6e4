"""The patient's door: their own record, in plain words, and nobody else's."""

from __future__ import annotations

import json
import re
from typing import Any

import httpx
import pytest

from commonchart.access import grants, users
from commonchart.access.actors import Actor
from commonchart.access.portal import holds, proxies
from commonchart.access.records import Put, Records
from commonchart.fhir.validate import validate
from commonchart.record.database import Database
from commonchart.record.keys import patient_key
from commonchart.web import session
from commonchart.web.portal.table import PAGES
from tests.conftest import Clock
from tests.web.conftest import PASSWORD, SignIn, token_of, try_sign_in
from tests.web.people import condition, reading

CANARY = "Zebrafinch"
OF_STAFF = re.compile(r"\b\d\d-[A-Z][a-z]{2}-\d{4}\b|\bUTC\b|privacy-officer|front-desk|Find patient")
"""What only the pages of staff say: days as clinicians read them, keys of roles, their search."""


def program(database: Database, clock: Clock, org: str = "alder") -> Records:
    return Records(database, Actor(1, "loader", "Loader", "system", org, "test", network=False), clock)


def clinician(database: Database, clock: Clock, org: str = "alder", network: bool = False) -> Records:
    return Records(database, Actor(1, "doc", "Doc", "clinician", org, "test", network=network), clock)


async def network(database: Database) -> None:
    """The site shares between organisations."""
    async with database.single() as conn:
        await conn.execute("INSERT INTO site_setting VALUES (1, 'mode', 'network') ON CONFLICT DO NOTHING")
    session.forget_sites()


def child(id: str, born: str) -> dict[str, Any]:
    return {
        "resourceType": "Patient",
        "id": id,
        "name": [{"family": CANARY, "given": ["Leo"]}],
        "birthDate": born,
    }


async def family(
    database: Database, clock: Clock, born: str = "2022-10-30", kind: str = "parent", scope: str = "full"
) -> str:
    """Leo, and Ines acting for him: the id of the right."""
    hiv = condition("leo-hiv", f"{CANARY} secret", "B20", "2025") | {"subject": {"reference": "Patient/leo"}}
    plain = condition("leo-eczema", f"{CANARY} eczema", "L20.9", "2024") | {
        "subject": {"reference": "Patient/leo"}
    }
    await program(database, clock).commit(
        [Put(validate(one), one["id"]) for one in (child("leo", born), hiv, plain)]
    )
    user = await users.find(database, "ines")
    async with database.connection() as conn:
        given = await proxies.give(
            conn,
            users.system(1, "test"),
            proxies.Wanted(user.id, "leo", kind, scope, "son", why="seen"),
            clock(),
        )
    return given.id


def addresses(root: str) -> list[str]:
    """Every page under a root, with ids of Ines."""
    filled = {
        "{section}": "conditions",
        "{rtype}": "DocumentReference",
        "{id}": "h1",
        "{share}": "org-northgate",
    }
    out = []
    for page in PAGES:
        path = page.path.replace("/documents/{rtype}/{id}", "/documents/DocumentReference/d1")
        for name, value in filled.items():
            path = path.replace(name, value)
        out.append(root + path)
    return out


async def post(client: httpx.AsyncClient, path: str, **fields: str) -> httpx.Response:
    page = await client.get("/me/you")
    return await client.post(path, data={"csrf": token_of(page)} | fields)


async def test_signing_in_leads_home_and_every_page_answers(sign_in: SignIn, database: Database) -> None:
    await network(database)
    me = await sign_in("ines")
    assert (await me.get("/")).headers["location"] == "/me"
    for path in addresses("/me"):
        answer = await me.get(path)
        assert answer.status_code == 200, (path, answer.text[-600:])
        assert answer.headers["cache-control"] == "no-store"
        assert len(answer.content) < 60_000 or "download" in path, path
        assert not OF_STAFF.search(answer.text if "download" not in path and ".csv" not in path else ""), path
    for path in ("/connected-apps", "/account/sessions", "/account/factors"):
        page = (await me.get(path)).text
        assert "You and this page" in page, path
        assert not OF_STAFF.search(page), path
    assert "Observation" not in (await me.get("/me/results/none")).text


async def test_staff_and_patients_each_have_their_own_pages(sign_in: SignIn) -> None:
    me, sage = await sign_in("ines"), await sign_in("sage")
    for path in ("/me", "/me/record", "/me/access", "/me/download/record.json"):
        assert (await sage.get(path)).status_code == 403, path
    for path in (
        "/patients",
        "/patients/ines",
        "/registry",
        "/inbox",
        "/requests",
        "/account",
        "/patients/ines/portal",
    ):
        assert (await me.get(path)).status_code == 403, path


async def test_the_record_is_in_plain_words_with_its_source(sign_in: SignIn) -> None:
    page = (await (await sign_in("ines")).get("/me/record")).text
    assert "Penicillin" in page
    assert "Severe. Tell every doctor, dentist and pharmacist." in page
    assert "Metformin ER" in page
    assert "Lisinopril" not in page
    assert "From Alder Street Family Practice" in page
    blank = "Nobody has written down yet whether you have allergies"
    assert blank not in page


async def test_a_result_says_what_it_means_and_never_calls_silence_fine(
    sign_in: SignIn, database: Database, clock: Clock
) -> None:
    me = await sign_in("ines")
    page = (await me.get("/me/results/h5")).text
    assert "HbA1c shows your blood sugar over about 3 months." in page
    assert "Above the usual range" in page
    assert "have not been checked by a clinician yet" in page
    assert "Your value, 8.4 %, is outside the usual range, which is 4.0 to 5.6." in page
    assert "Higher than last time (8.1 %, 3 February 2026)." in page
    assert "We cannot tell whether your care team has looked at it." in page
    row = (patient_key("ines"), clock(), "Observation/h5/1")
    async with database.single() as conn:
        await conn.execute(
            "INSERT INTO inbox_item (pk, tenant, patient, item, kind, title, content, version, partial, batch, received, state) "
            "VALUES (%s, 1, 'ines', 'Observation/h5', 1, 'x', '{}', %s, false, false, %s, 'open') "
            "ON CONFLICT (pk, tenant, patient, item) DO UPDATE SET state = 'open'",
            (row[0], row[2], row[1]),
        )
    assert "Your care team has not looked at it yet." in (await me.get("/me/results/h5")).text
    async with database.single() as conn:
        await conn.execute("UPDATE inbox_item SET state = 'signed' WHERE item = 'Observation/h5'")
    assert "Your care team has looked at it." in (await me.get("/me/results/h5")).text
    assert "Talk to us about this today" in (await me.get("/me/results/k2")).text
    assert "No usual range is given" in (await me.get("/me/results/w2")).text
    assert (await me.get("/me/results/wrong")).status_code == 404


async def test_a_held_result_is_nowhere_until_it_is_released(
    sign_in: SignIn, app: Any, database: Database, clock: Clock
) -> None:
    from datetime import timedelta

    me, sage = await sign_in("ines"), await sign_in("sage")
    await network(database)
    doctor = clinician(database, clock)
    await holds.hold(
        doctor, "ines", "Observation", "k2", "to be told in person first", clock() + timedelta(days=3)
    )
    for path in addresses("/me"):
        if not path.endswith("pdf"):
            assert "6.4" not in (await me.get(path)).text.replace("86.4", ""), path
    assert (await me.get("/me/results/k2")).status_code == 404
    assert "Held back until" in (await sage.get("/patients/ines/hold/Observation/k2")).text
    clock.set(clock() + timedelta(days=4))
    assert (await (await sign_in("ines")).get("/me/results/k2")).status_code == 200


async def test_a_delay_needs_a_reason_an_end_and_a_clinician(
    sign_in: SignIn, database: Database, clock: Clock
) -> None:
    sage = await sign_in("sage")
    path = "/patients/ines/hold/Observation/k2"
    token = token_of(await sage.get(path))
    for fields in (
        {"reason": "short", "until": "2026-11-20"},
        {"reason": "a long enough reason", "until": "2027-11-20"},
    ):
        assert (await sage.post(path, data={"csrf": token} | fields)).status_code == 422
    answer = await sage.post(
        path, data={"csrf": token, "reason": "a long enough reason", "until": "2026-11-20"}
    )
    assert answer.status_code == 303
    assert (await (await sign_in("root")).get(path)).status_code == 403


async def test_who_saw_the_record_by_day_in_words(sign_in: SignIn) -> None:
    sage = await sign_in("sage")
    await sage.get("/patients/ines")
    me = await sign_in("ines")
    page = (await me.get("/me/access")).text
    assert "Sage Person, doctor or other clinician" in page
    assert "Today, 18 November" in page
    assert "Why: your care" in page
    assert "Sage Person" not in (await me.get("/me/access?q=nobody")).text
    assert "You" in (await me.get("/me/access?show=self")).text


async def test_a_correction_goes_to_staff_and_its_answer_comes_back(sign_in: SignIn) -> None:
    me, sage = await sign_in("ines"), await sign_in("sage")
    bad = await post(me, "/me/ask", kind="correction", focus="AllergyIntolerance/a2")
    assert bad.status_code == 422
    assert "There are 2 things to fix" in bad.text
    good = await post(
        me,
        "/me/ask",
        kind="correction",
        focus="AllergyIntolerance/a2",
        wrong="wrong",
        text="It was not a rash",
    )
    assert good.status_code == 303
    assert "We are looking at it" in (await me.get("/me/requests")).text
    page = await sage.get("/requests")
    assert "It was not a rash" in page.text
    assert "Sulfonamide antibiotics" in page.text
    import re

    id = re.search(r'name="id" value="([^"]+)"', page.text)
    assert id
    fields = {
        "csrf": token_of(page),
        "id": id[1],
        "vid": "1",
        "act": "accept",
        "reason": "We have corrected it",
    }
    assert (await sage.post("/requests", data=fields | {"changed": "Observation/nope"})).status_code == 422
    assert (
        await sage.post("/requests", data=fields | {"changed": "AllergyIntolerance/a2"})
    ).status_code == 303
    assert (
        await sage.post("/requests", data=fields | {"changed": "AllergyIntolerance/a2"})
    ).status_code == 409
    mine = (await me.get("/me/requests")).text
    assert "We have corrected it" in mine
    assert "Done" in mine


async def test_sharing_stops_with_an_organisation_and_starts_again(
    sign_in: SignIn, database: Database, clock: Clock
) -> None:
    await network(database)
    me = await sign_in("ines")
    them = clinician(database, clock, "northgate", network=True)
    page = (await me.get("/me/sharing")).text
    assert "Northgate General Hospital" in page
    assert (await them.facts("ines", ["Condition"])).total > 0
    preview = (await me.get("/me/sharing/org-northgate")).text
    assert "Type 2 diabetes" in preview
    assert "You are looking as" in preview
    assert (await post(me, "/me/sharing/org-northgate/stop")).status_code == 303
    assert (await them.facts("ines", ["Condition"])).total == 0
    assert "Type 2 diabetes" not in (await me.get("/me/sharing/org-northgate")).text
    assert "Stopped on 18 November 2026" in (await me.get("/me/sharing")).text
    assert (await post(me, "/me/sharing/org-northgate/again")).status_code == 303
    assert (await them.facts("ines", ["Condition"])).total > 0
    assert (await clinician(database, clock).facts("ines", ["Condition"])).total > 0


async def test_what_an_app_sees_is_shown_by_its_scopes(
    sign_in: SignIn, database: Database, clock: Clock
) -> None:
    user = await users.find(database, "ines")
    async with database.connection() as conn:
        await conn.execute(
            "INSERT INTO app (tenant, id, name, about, kind, redirect_uris, scopes, audience, state, actor, created) "
            "VALUES (1, 'pal', 'Allergy Pal', '', 'public', '{}', '', 'patient', 'approved', 'root', %s)",
            (clock(),),
        )
        await conn.execute(
            "INSERT INTO app_grant (id, tenant, app, actor, scopes, patient, context, nonce, created, used, expires, membership) "
            "VALUES ('g1', 1, 'pal', %s, 'patient/AllergyIntolerance.r', 'ines', '{}', '', %s, %s, %s + interval '9 days', %s)",
            (user.id, clock(), clock(), clock(), user.membership),
        )
    me = await sign_in("ines")
    assert "/me/sharing/app-g1" in (await me.get("/me/sharing")).text
    page = (await me.get("/me/sharing/app-g1")).text
    assert "Allergy Pal would see this" in page
    assert "Penicillin" in page
    seen, unseen = page.split("They see</span>")[1], page.split("They do not see</span>")[1]
    assert "Conditions" in unseen.split("They see</span>")[0]
    assert "Conditions" not in seen


async def test_the_preview_is_decided_as_their_own_request(
    sign_in: SignIn, database: Database, clock: Clock
) -> None:
    await network(database)
    secret = condition("c-sud", f"{CANARY} opioid", "F11.20", "2025")
    await program(database, clock).commit([Put(validate(secret), "c-sud")])
    me = await sign_in("ines")
    assert CANARY in (await me.get("/me/record")).text
    assert CANARY not in (await me.get("/me/sharing/org-northgate")).text
    them = clinician(database, clock, "northgate", network=True)
    assert "c-sud" not in [one.id for one in (await them.facts("ines", ["Condition"])).items]


async def test_a_proxy_acts_in_the_childs_name_and_loses_what_is_ended(
    sign_in: SignIn, database: Database, clock: Clock
) -> None:
    right = await family(database, clock)
    me = await sign_in("ines")
    home = (await me.get("/me")).text
    assert f"/me/for/{right}" in home
    theirs = (await me.get(f"/me/for/{right}")).text
    assert "you are acting for" in theirs
    assert "Leo’s home page" in theirs
    record = (await me.get(f"/me/for/{right}/record")).text
    assert f"{CANARY} eczema" in record
    assert f"{CANARY} secret" in record
    await proxies.end(clinician(database, clock), right, "asked for")
    for path in addresses(f"/me/for/{right}"):
        answer = await me.get(path)
        assert (answer.status_code, CANARY in answer.text) == (404, False), path


@pytest.mark.parametrize(
    ("born", "sees", "secret"),
    [("2014-11-19", 200, True), ("2014-11-18", 200, False), ("2008-11-19", 200, False), ("2008-11-18", 404, False), ("2012", 200, False)],
)  # fmt: skip
async def test_a_parent_sees_less_as_the_child_grows(
    sign_in: SignIn, database: Database, clock: Clock, born: str, sees: int, secret: bool
) -> None:
    right = await family(database, clock, born)
    me = await sign_in("ines")
    page = await me.get(f"/me/for/{right}/record")
    assert page.status_code == sees
    assert (f"{CANARY} secret" in page.text) == secret
    assert (f"{CANARY} eczema" in page.text) == (sees == 200)
    if not secret:
        assert (await me.get(f"/me/for/{right}/download/record.json")).status_code == 404


async def test_the_sites_ages_hold(sign_in: SignIn, database: Database, clock: Clock) -> None:
    right = await family(database, clock, "2012-01-01")
    async with database.single() as conn:
        await conn.execute("INSERT INTO site_setting VALUES (1, 'portal_teen_limited_from', '16')")
    assert f"{CANARY} secret" in (await (await sign_in("ines")).get(f"/me/for/{right}/record")).text


async def test_birthdays_are_counted_on_the_day_of_the_practice(
    sign_in: SignIn, database: Database, clock: Clock
) -> None:
    """On the clocks of the practice it is the 19th while it is the 18th in UTC: the birthday has come."""
    right = await family(database, clock, "2014-11-19")
    clock.advance(hours=5)  # 15:00 UTC
    async with database.single() as conn:
        await conn.execute("INSERT INTO site_setting VALUES (1, 'time_zone', 'Australia/Sydney')")
    page = await (await sign_in("ines")).get(f"/me/for/{right}/record")
    assert f"{CANARY} eczema" in page.text
    assert f"{CANARY} secret" not in page.text


async def test_a_parents_right_ends_where_only_the_year_of_birth_is_known(
    sign_in: SignIn, database: Database, clock: Clock
) -> None:
    right = await family(database, clock, "1990")
    me = await sign_in("ines")
    assert (await me.get(f"/me/for/{right}/record")).status_code == 404
    assert right not in (await me.get("/me")).text


async def test_an_invitation_works_once_and_says_nothing_to_guessers(
    sign_in: SignIn, visitor: httpx.AsyncClient, database: Database, clock: Clock
) -> None:
    import re

    sage = await sign_in("sage")
    page = await sage.get("/patients/blank/portal")
    made = await sage.post(
        "/patients/blank/portal",
        data={"csrf": token_of(page), "act": "invite", "kind": "self", "channel": "hand"},
    )
    code = re.search(r"[A-Z2-9]{4}(?:-[A-Z2-9]{4}){3}", made.text)
    assert code, made.text[-800:]
    door = await visitor.get("/invitation")
    fields = {"csrf": token_of(door), "code": code[0], "login": "tom", "password": PASSWORD, "account": "new"}
    wrong = await visitor.post("/invitation", data=fields | {"code": "AAAA-BBBB-CCCC-DDDD"})
    assert wrong.status_code == 401
    assert "is not right, was used already, or is too old" in wrong.text
    assert (await visitor.post("/invitation", data=fields | {"password": "short"})).status_code == 422
    right = await visitor.post("/invitation", data=fields)
    assert (right.status_code, right.headers["location"]) == (303, "/me")
    assert "Tom" in (await visitor.get("/me")).text
    again = await visitor.post(
        "/invitation", data=fields | {"login": "tom2", "csrf": token_of(await visitor.get("/invitation"))}
    )
    assert again.status_code == 401


async def test_an_invited_parent_makes_an_account_of_their_own(
    sign_in: SignIn, visitor: httpx.AsyncClient, database: Database, clock: Clock
) -> None:
    import re

    await family(database, clock)
    sage = await sign_in("sage")
    fields = {
        "csrf": token_of(await sage.get("/patients/leo/portal")),
        "act": "invite",
        "kind": "parent",
        "name": "Dana",
        "channel": "hand",
    }
    assert (await sage.post("/patients/leo/portal", data=fields)).status_code == 422
    made = await sage.post("/patients/leo/portal", data=fields | {"why": "birth certificate seen"})
    code = re.search(r"[A-Z2-9]{4}(?:-[A-Z2-9]{4}){3}", made.text)
    assert code
    door = {
        "csrf": token_of(await visitor.get("/invitation")),
        "code": code[0],
        "login": "dana",
        "password": PASSWORD,
        "account": "new",
    }
    assert (await visitor.post("/invitation", data=door)).status_code == 303
    home = (await visitor.get("/me")).text
    link = re.search(r"/me/for/[0-9a-f]{32}", home)
    assert link
    assert (await visitor.get(link[0])).status_code == 200
    assert (await visitor.get("/me/record")).status_code == 404


async def test_downloads_hold_the_record_and_leave_their_trail(sign_in: SignIn, database: Database) -> None:
    me = await sign_in("ines")
    bundle = json.loads((await me.get("/me/download/record.json")).text)
    found = {(one["resource"]["resourceType"], one["resource"]["id"]) for one in bundle["entry"]}
    assert ("Patient", "ines") in found
    assert ("Condition", "c1") in found
    assert ("Patient", "blank") not in found
    assert (await me.get("/me/download/record.pdf")).content.startswith(b"%PDF")
    assert "Type 2 diabetes" in (await me.get("/me/download/record.html")).text
    async with database.single() as conn:
        rows = await conn.fetch(
            "SELECT DISTINCT purpose, role FROM audit WHERE action = 'export' AND 'ines' = ANY(patients)"
        )
    assert rows == [("PATRQT", "patient")]


async def test_the_home_page_speaks_spanish(sign_in: SignIn) -> None:
    me = await sign_in("ines")
    assert (await post(me, "/me/you", language="es", theme="dark")).status_code == 303
    page = (await me.get("/me")).text
    assert '<html lang="es" data-theme="dark"' in page
    assert "Lo que le toca hacerse" in page
    assert "Historia clínica" in page


async def test_a_patient_answers_what_the_rules_ask(sign_in: SignIn, database: Database) -> None:
    import re

    me = await sign_in("ines")
    page = (await me.get("/me/questions")).text
    names = re.findall(r'type="radio" name="(a-[^"]+)"', page)
    assert names
    assert (await post(me, "/me/questions")).status_code == 422
    assert (await post(me, "/me/questions", **{names[0]: "no"})).status_code == 303
    found = await Records(
        database, Actor(1, "x", "", "clinician", "alder", "t", network=False), Clock()
    ).facts("ines", ["QuestionnaireResponse"])
    assert found.total == 1


async def test_the_door_takes_no_wrong_password_from_a_proxy(visitor: httpx.AsyncClient) -> None:
    assert (await try_sign_in(visitor, "ines", "wrong password")).status_code == 401


async def test_grants_name_people_who_act(sign_in: SignIn, database: Database, clock: Clock) -> None:
    user = await users.create(
        database,
        tenant=1,
        login="lia",
        name="Lia Hallowbrook",
        role="proxy",
        org="alder",
        now=clock(),
        password=PASSWORD,
    )
    async with database.connection() as conn:
        wanted = proxies.Wanted(user.id, "ines", "authorised", "limited", "daughter", why="form signed")
        given = await proxies.give(conn, users.system(1, "test"), wanted, clock())
    me = await sign_in("ines")
    assert "Lia Hallowbrook" in (await me.get("/me/sharing")).text
    assert (await me.get(f"/me/sharing/person-{given.id}")).status_code == 200
    lia = await sign_in("lia")
    assert (await lia.get(f"/me/for/{given.id}/record")).status_code == 200
    assert (await lia.get(f"/me/for/{given.id}/access")).status_code == 404
    assert (await post(me, f"/me/sharing/person-{given.id}/stop")).status_code == 303
    assert (await lia.get(f"/me/for/{given.id}/record")).status_code == 404
    async with database.single() as conn:
        gone = await grants.grants(
            Records(database, Actor(1, "x", "", "clinician", "alder", "t", network=False), clock), "ines"
        )
        del conn
    assert [one.ended is not None for one in gone if one.kind == "person"] == [True]


def test_readings_without_a_day_are_drawn_nowhere() -> None:
    from commonchart.web.clinician.lookups import Fact
    from commonchart.web.portal import meaning
    from commonchart.web.present import readings

    body = reading("x", "HbA1c", "4548-4", "2026-01-01", "7", "%") | {"effectiveDateTime": None}
    assert meaning.course(readings.read(Fact("Observation", "x", body))) is None


async def test_a_long_section_is_read_in_parts(sign_in: SignIn, database: Database, clock: Clock) -> None:
    many = [
        reading(f"gl{n}", f"Glucose {n}", "2345-7", f"2020-01-01T08:{n % 60:02}:00Z", "90", "mg/dL")
        for n in range(130)
    ]
    await program(database, clock).commit([Put(validate(one), one["id"]) for one in many])
    ines = await sign_in("ines")
    path, met, parts = "/me/record/results", set[str](), 0
    while path:
        page = await ines.get(path)
        assert page.status_code == 200
        assert len(page.content) < 60_000
        met |= set(re.findall(r"/results/(gl\d+)\"", page.text))
        older = re.search(r'href="(\?after=\d+)">Show older ones', page.text)
        path, parts = f"/me/record/results{older.group(1)}" if older else "", parts + 1
    assert parts == 3
    assert len(met) == 130
    assert 'href="?after=60">Show newer ones' in page.text
    assert "1 to 60 of" in (await ines.get("/me/record/results?after=99999")).text
