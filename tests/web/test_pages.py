"""The pages over a real database: statuses, headers, tokens, sizes, sign-in, roles, provenance, the past."""

from __future__ import annotations

import re
from pathlib import Path

import httpx
import pytest
from starlette.applications import Starlette

from commonchart.access.actors import Actor
from commonchart.access.records import Delete, Put, Records
from commonchart.fhir.validate import validate
from commonchart.record import site
from commonchart.record.database import Database
from commonchart.web import rendering, session
from commonchart.web.routes import READING
from tests.conftest import Clock
from tests.web import people
from tests.web.conftest import PASSWORD, Client, SignIn, token_of, try_sign_in

SECTIONS = ["", "/timeline", "/visits", "/conditions", "/medications", "/allergies", "/immunizations", "/results", "/procedures", "/family",
            "/documents", "/insurance", "/contacts"]  # fmt: skip
OTHERS = ["/patients", "/patients?q=hallow", "/account", "/patients/ines/visits/v3", "/patients/ines/results/trend?test=http://loinc.org|4548-4",
          "/patients/ines/facts/Condition/c1", "/patients/ines/documents/DocumentReference/d1"]  # fmt: skip


def records(database: Database, clock: Clock) -> Records:
    return Records(database, Actor(1, "sage", "Sage", "clinician", "northgate", "test", network=False), clock)


@pytest.mark.parametrize("path", [*(f"/patients/ines{section}" for section in SECTIONS), *OTHERS])
async def test_every_page_answers_small_and_with_its_headers(sage: Client, path: str) -> None:
    page = await sage.get(path)
    assert page.status_code == 200
    assert len(page.content) < 60_000
    for name, value in rendering.HEADERS.items():
        assert page.headers[name] == value
    assert not re.search(r"<script(?![^>]* src=)|\son\w+=|\sstyle=|javascript:", page.text)


@pytest.mark.parametrize(
    "path",
    [
        re.sub(r"\{(?!patient)\w+\}", "none", path).replace("{patient}", "ines")
        for path in READING
        if "{rtype}" not in path
    ],
)
async def test_nobody_reads_anything_without_signing_in(visitor: Client, path: str) -> None:
    page = await visitor.get(path)
    assert page.status_code == 303
    assert page.headers["location"].startswith("/sign-in")
    assert "HALLOWBROOK" not in page.text


async def test_signing_in_leads_back_to_where_one_was_going(visitor: Client) -> None:
    page = await visitor.get("/patients/ines/results?show=vitals")
    assert page.headers["location"] == "/sign-in?next=%2Fpatients%2Fines%2Fresults%3Fshow%3Dvitals"
    answer = await try_sign_in(visitor, "sage", PASSWORD, next="/patients/ines/results?show=vitals")
    assert (answer.status_code, answer.headers["location"]) == (303, "/patients/ines/results?show=vitals")
    cookie = answer.headers["set-cookie"]
    assert "HttpOnly" in cookie
    assert "SameSite=lax" in cookie
    assert "Secure" not in cookie


async def test_over_tls_the_cookie_is_secure(app: Starlette, visitor: Client) -> None:
    visitor.base_url = httpx.URL("https://test")
    app.state.settings.base_url = "https://chart.example"
    answer = await try_sign_in(visitor, "sage", PASSWORD)
    assert "Secure" in answer.headers["set-cookie"]
    assert answer.headers["strict-transport-security"].startswith("max-age=")


@pytest.mark.parametrize("next", ["https://evil.example", "//evil.example", "/\\evil.example"])
async def test_signing_in_never_leads_to_another_site(visitor: Client, next: str) -> None:
    answer = await try_sign_in(visitor, "sage", PASSWORD, next=next)
    assert answer.headers["location"] == "/"


@pytest.mark.parametrize(
    ("login", "password", "status"),
    [("sage", "wrong", 401), ("nobody", PASSWORD, 401), ("", "", 422), ("sage\0", "x" * 5000, 401)],
)
async def test_a_failed_sign_in_says_so_at_the_field_and_keeps_no_password(
    visitor: Client, login: str, password: str, status: int
) -> None:
    answer = await try_sign_in(visitor, login, password)
    assert answer.status_code == status
    assert 'role="alert"' in answer.text
    assert not password or password not in answer.text
    assert "commonchart=" not in answer.headers.get("set-cookie", "")


async def test_a_sign_in_form_from_elsewhere_is_refused(visitor: Client) -> None:
    given = {"login": "sage", "password": PASSWORD}
    assert (await visitor.post("/sign-in", data=given)).status_code == 403
    await visitor.get("/sign-in")
    assert (await visitor.post("/sign-in", data=given | {"csrf": "x" * 43})).status_code == 403


@pytest.mark.parametrize("path", ["/account", "/sign-out"])
async def test_a_post_needs_the_token_of_the_session(sage: Client, path: str) -> None:
    assert (await sage.post(path, data={})).status_code == 403
    assert (await sage.post(path, data={"csrf": "wrong"})).status_code == 403
    token = token_of(await sage.get("/account"))
    assert (
        await sage.post(path, data={"csrf": token}, headers={"sec-fetch-site": "cross-site"})
    ).status_code == 403
    assert (await sage.post(path, data={"csrf": token})).status_code == 303


async def test_signing_out_ends_the_session_for_good(sage: Client) -> None:
    kept = {"cookie": f"commonchart={sage.cookies['commonchart']}"}
    left = await sage.post("/sign-out", data={"csrf": token_of(await sage.get("/account"))})
    assert left.headers["clear-site-data"] == '"cache", "storage"'
    assert (await sage.get("/patients", headers=kept)).status_code == 303


async def test_an_idle_session_ends_and_says_why(sage: Client, clock: Clock) -> None:
    refresh = (await sage.get("/patients/ines")).headers["refresh"]
    assert refresh == "905; url=/timed-out?next=%2Fpatients%2Fines"
    assert (await sage.get("/timed-out?next=/patients/ines")).headers["location"] == "/patients/ines"
    clock.advance(minutes=16)
    page = await sage.get("/timed-out?next=/patients/ines")
    assert "signed out after 15 minutes" in page.text
    assert 'name="next" value="/patients/ines"' in page.text
    assert (await sage.get("/patients/ines")).status_code == 303


async def test_preferences_change_ones_pages(sage: Client) -> None:
    token = token_of(await sage.get("/account"))
    await sage.post("/account", data={"csrf": token, "theme": "dark", "density": "comfortable"})
    page = await sage.get("/patients")
    assert 'data-theme="dark" data-density="comfortable"' in page.text
    assert '<body data-letters="off">' in page.text
    await sage.post("/account", data={"csrf": token, "theme": "pink", "density": "?", "letters": "yes"})
    assert 'data-theme="dark"' in (await sage.get("/patients")).text


@pytest.mark.parametrize(
    ("path", "status"),
    [
        ("/patients/nobody", 404),
        ("/patients/nobody/results", 404),
        ("/patients/ines/facts/Condition/nope", 404),
        ("/patients/ines/facts/Nonsense/x", 404),
        ("/patients/ines/facts/Condition/c1?version=9", 404),
        ("/patients/ines/facts/Condition/c1?version=x", 400),
        ("/patients/blank/facts/Condition/c1", 404),
        ("/patients/blank/visits/v1", 404),
        ("/patients/ines/documents/Observation/h1", 404),
        ("/patients/ines/results/trend?test=nope", 404),
        ("/patients/ines?as_of=soon", 422),
        ("/patients/ines?as_of=2999-01-01", 422),
        ("/patients/ines/results?before=%00", 422),
        ("/no/such/page", 404),
        ("/patients/ines%00", 404),
    ],
)
async def test_what_cannot_be_shown_is_a_page_with_the_right_status(
    sage: Client, path: str, status: int
) -> None:
    page = await sage.get(path)
    assert page.status_code == status, page.text
    assert "<h1>" in page.text
    assert "Traceback" not in page.text
    assert page.headers["content-security-policy"] == rendering.POLICY


async def test_a_deleted_fact_is_gone_from_lists_and_kept_in_its_history(
    sage: Client, database: Database, clock: Clock
) -> None:
    clock.advance(minutes=1)
    await records(database, clock).commit([Delete("Encounter", "v1")])
    assert (await sage.get("/patients/ines/visits/v1")).status_code == 410
    page = await sage.get("/patients/ines/facts/Encounter/v1")
    assert page.status_code == 200
    assert "Deleted in this version" in page.text


async def test_a_database_that_is_away_is_said_so(app: Starlette, sage: Client) -> None:
    kept = app.state.database
    app.state.database = Database.opened_later("postgresql://127.0.0.1:1/nowhere", patience=0.1)
    page = await sage.get("/patients")
    assert (page.status_code, page.headers["retry-after"]) == (503, "5")
    assert "Try again in a moment" in page.text
    app.state.database = kept
    assert (await sage.get("/patients")).status_code == 200


async def test_a_bug_shows_nothing_of_itself(
    app: Starlette, sage: Client, monkeypatch: pytest.MonkeyPatch
) -> None:
    def broken(*_: object) -> None:
        raise RuntimeError("HALLOWBROOK has a secret")

    monkeypatch.setattr(Records, "find_patients", broken)
    page = await sage.get("/patients?q=x")
    assert page.status_code == 500
    assert "secret" not in page.text
    assert "RuntimeError" not in page.text


async def test_the_front_desk_sees_who_and_when_but_nothing_clinical(
    sign_in: SignIn, database: Database
) -> None:
    desk = await sign_in("desk")
    assert (await desk.get("/patients/ines")).headers["location"] == "/patients/ines/contacts"
    page = await desk.get("/patients/ines/contacts")
    assert "555 0142" in page.text
    assert "Penicillin" not in page.text
    assert "/patients/ines/conditions" not in page.text
    assert 'id="due"' not in page.text
    assert "/patients/ines/edit/Patient/ines" in page.text
    assert "/patients/ines/new/contact" in page.text
    for section in ("/insurance", "/visits"):
        assert (await desk.get(f"/patients/ines{section}")).status_code == 200
    for section in ("conditions", "medications", "allergies", "results", "family", "calculators"):
        refused = await desk.get(f"/patients/ines/{section}")
        assert refused.status_code == 403
        assert "not shown for your role" in refused.text
        assert "None recorded" not in refused.text
        assert (await desk.get(f"/patients/nobody/{section}")).text == refused.text.replace("ines", "nobody")
    async with database.single() as conn:
        rows = await conn.fetch(
            "SELECT rtype, count(*)::int FROM audit WHERE role = 'front-desk' AND outcome = 8 GROUP BY 1"
        )
    assert dict(rows)["Condition"] == 2
    assert "Diabetes" not in (await desk.get("/patients/ines/timeline")).text.replace("Diabetes review", "")
    for hidden in (
        "/facts/Condition/c1",
        "/results/trend?test=http://loinc.org|4548-4",
        "/documents/DocumentReference/d1",
    ):
        assert (await desk.get(f"/patients/ines{hidden}")).status_code in (403, 404)


async def test_a_patient_reads_their_own_chart_and_no_other(sign_in: SignIn) -> None:
    ines = await sign_in("ines")
    assert (await ines.get("/")).headers["location"] == "/me"
    assert (await ines.get("/me/record")).status_code == 200
    for path in ("/patients/ines", "/patients/late", "/patients?q=stonewell"):
        page = await ines.get(path)
        assert page.status_code == 403
        assert "STONEWELL" not in page.text


@pytest.mark.parametrize(
    "q", ["hallowbrook ines", "ines hall", "Inés", "14-Mar-1968", "1968-03-14", "004 417 726", "555 0142"]
)
async def test_one_box_finds_by_name_date_number_or_phone(sage: Client, q: str) -> None:
    page = await sage.get("/patients", params={"q": q})
    assert 'href="/patients/ines"' in page.text


async def test_nobody_found_and_nobody_opened_say_so(sage: Client) -> None:
    assert "Nobody opened yet" in (await sage.get("/patients")).text
    assert "Nobody found for “zzz”" in (await sage.get("/patients?q=zzz")).text
    await sage.get("/patients/late")
    page = await sage.get("/patients")
    assert "STONEWELL, Abel" in page.text
    assert "Died 03-Feb-2025" in page.text


async def test_provenance_names_who_where_and_when_and_shows_every_digit(sage: Client) -> None:
    page = await sage.get("/patients/ines/facts/Observation/h5")
    for shown in (
        "06-May-2026",
        "18-Nov-2026 10:00 UTC",
        "Meridian Laboratory",
        "Alder Street Family Practice",
        "LOINC 4548-4",
        "&#34;value&#34;: 8.4",
    ):
        assert shown in page.text
    short = await sage.get("/patients/ines/facts/Observation/h5", headers={"hx-request": "true"})
    assert "<html" not in short.text
    assert "Meridian Laboratory" in short.text


async def test_versions_can_be_opened_and_compared(sage: Client, database: Database, clock: Clock) -> None:
    clock.advance(minutes=5)
    changed = people.condition(
        "c1", "Type 2 diabetes with nephropathy", "E11.21", "2014", encounter={"reference": "Encounter/v1"}
    )
    await records(database, clock).commit([Put(validate(changed), "c1")])
    page = await sage.get("/patients/ines/facts/Condition/c1")
    assert "<del>Type 2 diabetes with kidney disease</del>" in page.text
    assert "<ins>Type 2 diabetes with nephropathy</ins>" in page.text
    assert "Northgate General Hospital" in page.text
    older = await sage.get("/patients/ines/facts/Condition/c1?version=1")
    assert "An older version" in older.text
    assert "<h1>Type 2 diabetes with kidney disease</h1>" in older.text


async def test_a_practice_is_shown_nothing_about_sharing(
    app: Starlette, sage: Client, database: Database
) -> None:
    async with database.connection() as conn:
        await site.put(conn, 1, site.MODE, "practice")
    session.forget_sites()
    for path in (*SECTIONS, "/facts/Observation/h5"):
        text = (await sage.get(f"/patients/ines{path}")).text
        for word in ("Sources:", "Source:", "Alder Street", "Author organisation"):
            assert word not in re.sub(r'<pre class="raw".*?</pre>', "", text, flags=re.S), (path, word)


async def test_the_door_shows_how_far_the_demonstration_is(visitor: Client, database: Database) -> None:
    async with database.connection() as conn:
        await site.put(conn, 1, "demo.progress", '{"done": 120, "total": 300, "state": "running"}')
        await site.put(
            conn, 1, "demo.accounts", '[{"login": "sage", "password": "synthetic", "role": "clinician"}]'
        )
    session.forget_sites()
    page = await visitor.get("/sign-in")
    assert "120 of 300 patients" in page.text
    assert "synthetic data" in page.text
    assert "<code>synthetic</code>" in page.text
    assert '<noscript><meta http-equiv="refresh"' in page.text
    assert "refresh" not in page.headers
    async with database.connection() as conn:
        await site.put(conn, 1, "demo.progress", '{"done": 300, "total": 300, "state": "done"}')
    assert "being made" not in (await visitor.get("/sign-in")).text


@pytest.mark.parametrize(
    "progress",
    ["", "not json", "[]", '{"state": "running"}', '{"state": "running", "done": "x", "total": -1}'],
)
async def test_the_door_opens_whatever_the_progress_says(
    visitor: Client, database: Database, progress: str
) -> None:
    async with database.connection() as conn:
        await site.put(conn, 1, "demo.progress", progress)
    assert (await visitor.get("/sign-in")).status_code == 200


async def test_static_files_are_kept_for_a_year_and_lead_nowhere_else(visitor: Client) -> None:
    page = await visitor.get("/sign-in")
    for link in re.findall(r'(?:href|src)="(/static/[^"]+)"', page.text):
        answer = await visitor.get(link)
        assert answer.status_code == 200
        assert "immutable" in answer.headers["cache-control"]
    stale = await visitor.get(re.sub(r"/static/\w+/", "/static/0000/", link))
    assert stale.headers["cache-control"] == "no-cache"
    for bad in (
        "/static/0/../assets.py",
        "/static/0/..%2f..%2fassets.py",
        "/static/0/css",
        "/static/0//etc/passwd",
    ):
        assert (await visitor.get(bad, follow_redirects=True)).status_code == 404


async def test_a_form_that_is_too_large_is_refused(sage: Client) -> None:
    huge = await sage.post(
        "/account",
        content=b"x",
        headers={"content-length": "99999999", "content-type": "application/x-www-form-urlencoded"},
    )
    assert huge.status_code == 413
    many = await sage.post("/account", data={f"f{n}": "1" for n in range(2000)})
    assert many.status_code == 400


async def test_reading_a_chart_leaves_a_trail(sage: Client, database: Database) -> None:
    await sage.get("/patients/ines/results")
    async with database.connection() as conn:
        row = await (
            await conn.execute(
                "SELECT count(*) FROM audit WHERE 'ines' = ANY(patients) AND action = 'read' AND client = 'web'"
            )
        ).fetchone()
    assert row is not None
    assert row[0] >= 3


def test_templates_hold_no_inline_script_or_style() -> None:
    folder = Path(rendering.__file__).parent / "templates"
    for path in folder.rglob("*.html"):
        assert not re.search(r"<script(?![^>]* src=)|\son[a-z]+=|\sstyle=|<style", path.read_text()), path


async def test_a_stranger_cannot_tell_an_unknown_page_from_a_hidden_one(visitor: Client) -> None:
    answers: list[httpx.Response] = [
        await visitor.get("/patients/ines"),
        await visitor.get("/patients/nobody"),
    ]
    assert {answer.status_code for answer in answers} == {303}


async def test_a_coverage_is_in_the_chart_of_the_one_it_covers(sage: Client) -> None:
    page = await sage.get("/patients/ines/insurance")
    assert "Lakeside Health Plan" in page.text
    assert "LH-20417" in page.text


async def test_what_is_due_stands_beside_the_chart_with_its_reasons(sage: Client) -> None:
    page = await sage.get("/patients/ines/conditions")
    rail = page.text[page.text.index('<aside class="rail"') :]
    for shown in (
        "Due now",
        "HbA1c",
        "Overdue",
        "Authority",
        "due?rule=a1c#a1c",
        "Worked out 18-Nov-2026 10:00 UTC",
    ):
        assert shown in rail, shown
    whole = (await sage.get("/patients/ines/due?rule=a1c")).text
    for shown in ("Facts used", "8.4", "/patients/ines/facts/Observation/h5"):
        assert shown in whole, shown


async def test_a_chart_page_never_works_out_what_is_due(sage: Client, database: Database) -> None:
    async with database.connection() as conn:
        await conn.execute("DELETE FROM due")
    page = await sage.get("/patients/ines")
    assert "NOT CHECKED: the due list of this patient has not been worked out yet." in page.text


async def test_the_whole_due_list_explains_every_rule(sage: Client) -> None:
    page = (await sage.get("/patients/ines/due")).text
    assert len(page) < 60_000
    assert "To find out" in page
    assert "Would satisfy it" in page
    one = (await sage.get("/patients/ines/due?rule=uacr")).text
    assert re.search(r'id="uacr"><details open>', one)
    assert 'class="grp" open><summary>' in page
    assert page.count('class="due"') == page.count('class="due" id=') + page.count("until this is known")
    for query in ("show=overdue", "show=up-to-date&start=0", "start=99999", "start=x", "show=nonsense"):
        assert (await sage.get(f"/patients/ines/due?{query}")).status_code == 200
