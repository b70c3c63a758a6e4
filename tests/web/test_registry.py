"""The registry, condition registries and the dashboard as pages: filters that are kept, selections, refusals, files."""

from __future__ import annotations

import re
from typing import Any

import pytest

from commonchart.jobs import worker
from commonchart.record.database import Database
from tests.conftest import Clock
from tests.panels import panel_people, put
from tests.web.conftest import Client, SignIn, token_of


@pytest.fixture
async def listed(app: Any, database: Database, clock: Clock) -> None:
    await put(database, clock, *panel_people())


def post_form(page: Any, **more: str) -> dict[str, str]:
    form = page.text[page.text.index('<form method="post"') :]
    return (
        dict(re.findall(r'<input type="hidden" name="(\w+)" value="([^"]*)"', form))
        | {"csrf": token_of(page)}
        | more
    )


async def test_headings_sort_and_chips_keep_the_filters(sage: Client, listed: None) -> None:
    page = (await sage.get("/registry?rule=a1c&status=all&sort=last")).text
    assert 'aria-sort="ascending"' in page
    assert "sort=-last" in page
    assert 'href="/registry?rule=a1c&amp;status=attention&amp;sort=last"' in page
    assert "Out of range" in page
    assert page.index("PERSON-LATE") < page.index("PERSON-GOOD")
    empty = (await sage.get("/registry?name=nobody-of-this-name&status=all")).text
    assert "Nobody fits" in empty


async def test_a_selection_leads_to_a_campaign_with_exactly_those(sage: Client, listed: None) -> None:
    nothing = await sage.get("/registry/act?rule=a1c&do=contact")
    assert nothing.status_code == 422
    assert 'href="#all"' in nothing.text
    sent = await sage.get("/registry/act?rule=a1c&status=all&do=contact&pick=late~a1c&pick=none~a1c")
    assert sent.headers["location"] == "/campaigns/new?rule=a1c&status=all&pick=late~a1c&pick=none~a1c"
    page = (await sage.get(sent.headers["location"])).text
    assert "<dt>Selected</dt><dd>2</dd>" in page
    assert page.count('name="pick"') == 2
    assert 'href="/registry?rule=a1c&amp;status=all"' in page
    every = await sage.get("/registry/act?rule=a1c&status=all&do=contact&pick=late~a1c&all=yes")
    assert every.headers["location"] == "/campaigns/new?rule=a1c&status=all"
    assert (await sage.get("/registry/act?do=explode&all=yes")).status_code == 404


async def test_putting_off_shows_who_and_reports(
    sage: Client, listed: None, database: Database, clock: Clock
) -> None:
    address = "/registry/defer?status=all&pick=late~a1c&pick=good~a1c"
    page = await sage.get(address)
    assert "it is not open" in page.text
    bad = await sage.post(address, data=post_form(page, reason="", until="never"))
    assert bad.status_code == 422
    assert 'href="#until"' in bad.text
    bad = await sage.post(address, data=post_form(page, reason="", until="18-Feb-2027"))
    assert 'href="#reason"' in bad.text
    sent = post_form(page, reason="Travelling", until="18-Feb-2027")
    done = await sage.post(address, data=sent)
    assert done.status_code == 200, done.text
    assert "1 row was put off until 18-Feb-2027" in done.text
    assert "PERSON-GOOD" in done.text
    await worker.drain(database, clock)
    deferred = (await sage.get("/registry?rule=a1c&status=deferred")).text
    assert "PERSON-LATE" in deferred
    assert "Travelling" in deferred


async def test_files_and_paper(sage: Client, listed: None, database: Database) -> None:
    csv = await sage.get("/registry/export.csv?rule=a1c&status=all")
    assert csv.headers["content-type"].startswith("text/csv")
    lines = csv.text.lstrip("\ufeff").splitlines()
    assert lines[0].startswith("Name,Born,Sex")
    assert len(lines) == 9  # the heading, six of ours, and two of the people of all page tests
    assert any("PERSON-HIGH" in line and ",out," in line for line in lines)
    paper = (await sage.get("/registry/print?rule=a1c&status=overdue")).text
    assert "PERSON-LATE" in paper
    assert "PERSON-GOOD" not in paper
    own = await sage.get("/registries/diabetes/export.csv?show=all")
    assert "8.1" in own.text
    async with database.single() as conn:
        found = await conn.fetch("SELECT action FROM audit WHERE action LIKE '%-registry' ORDER BY seq")
    assert [action for (action,) in found] == ["export-registry", "print-registry", "export-registry"]


async def test_nothing_in_a_file_is_a_formula(
    sage: Client, listed: None, database: Database, clock: Clock
) -> None:
    from tests.panels import person, problem

    await put(database, clock, person("evil", name=[{"family": "=cmd|' /C calc'!A0"}]), problem("evil"))
    csv = (await sage.get("/registry/export.csv?rule=a1c&status=all")).text
    assert "\"'=CMD" in csv or "'=CMD" in csv
    assert "\n=CMD" not in csv


async def test_saved_filters_as_pages(sage: Client, sign_in: SignIn, listed: None) -> None:
    page = await sage.get("/registry?rule=a1c&range=out&status=all")
    refused = await sage.post(
        "/registry/views/save?rule=a1c&range=out&status=all", data=post_form(page) | {"view-name": ""}
    )
    assert refused.status_code == 422
    assert 'href="#view-name"' in refused.text
    saved = await sage.post(
        "/registry/views/save?rule=a1c&range=out&status=all",
        data=post_form(page) | {"view-name": "A1c out", "shared": "yes"},
    )
    assert saved.status_code == 303
    shown = await sage.get(saved.headers["location"])
    assert "saved filter: A1c out" in shown.text
    assert "PERSON-ALARM" in shown.text
    listing = await sage.get("/registry/views")
    id = re.search(r"/registry/views/(\w+)/open", listing.text)
    assert id
    root = await sign_in("root")
    assert "A1c out" in (await root.get("/registry/views")).text
    token = {"csrf": token_of(listing), "id": id[1]}
    assert (await sage.post("/registry/views", data=token | {"do": "default"})).status_code == 303
    opened = await sage.get("/registry")
    assert opened.headers["location"].endswith(f"&view={id[1]}")
    assert (await sage.get("/registry?status=")).status_code == 200
    bad = await sage.post("/registry/views", data=token | {"do": "rename", "name": " "})
    assert bad.status_code == 422
    assert f'href="#name-{id[1]}"' in bad.text
    gone = await sage.post("/registry/views", data=token | {"do": "delete"})
    page = await sage.get(gone.headers["location"])
    assert "Undo" in page.text
    await sage.post("/registry/views", data=token | {"do": "back"})
    assert "A1c out" in (await sage.get("/registry/views")).text
    assert (await sage.get("/registry/views/unknown/open")).status_code == 404


async def test_a_condition_registry(sage: Client, listed: None) -> None:
    page = (await sage.get("/registries/diabetes")).text
    assert page.index("PERSON-ALARM") < page.index("PERSON-HIGH") < page.index("PERSON-LATE")
    assert "high, alert" in page
    assert re.search(r"HbA1c in range: \d+ % \(\d+ of \d+ with a value that counts; 2 without\)", page)
    whole = (await sage.get("/registries/diabetes?show=all&sort=-a1c")).text
    assert "<s>57 on 01-Nov-2026</s>" in whole
    assert 'aria-label="HbA1c: 6.6, 6.4 %"' in whole
    empty = (await sage.get("/registries/anticoagulation")).text
    assert "Nobody belongs to this registry" in empty
    assert (await sage.get("/registries/gout")).status_code == 404
    assert (await sage.get("/registries/diabetes?show=x")).status_code == 400


async def test_the_dashboard_leads_to_patients_and_back(sage: Client, listed: None) -> None:
    page = (await sage.get("/dashboard?clinician=other&all=yes&q=HbA1c")).text
    assert "kept since 18-Nov-2026" in page
    assert "There is no trend yet" in page
    found = re.search(r'href="(/registry\?rule=a1c[^"]*status=up-to-date[^"]*)"', page)
    assert found
    there = (await sage.get(found[1].replace("&amp;", "&"))).text
    assert "PERSON-HIGH" in there
    assert 'href="/dashboard?clinician=other&amp;all=yes&amp;q=HbA1c"' in there
    assert "Weekly panel report" in page
    found_rules = (await sage.get("/dashboard?kind=monitoring&q=HBA1C")).text
    assert "rule=a1c" in found_rules
    assert re.search(r"\d rules?, greatest gap first", found_rules)
    assert not re.search(r'href="/registry\?rule=(?!a1c)', found_rules)
    assert "No rule that is asked of anybody here fits." in (await sage.get("/dashboard?q=gout")).text
    outside = (await sage.get("/registry?status=all&back=https://evil.example/dashboard")).text
    assert (
        "evil.example" not in outside.split("</main>")[0].split('name="back"')[0]
        or "Back to the" not in outside
    )


@pytest.mark.parametrize(
    "path",
    [
        "/registry",
        "/registries/diabetes",
        "/dashboard",
        "/registry/views",
        "/registry/export.csv",
        "/registry/print",
    ],
)
async def test_who_may_not_see_problems_has_no_lists(sign_in: SignIn, listed: None, path: str) -> None:
    for login, status in (("desk", 403), ("ines", 404)):
        client = await sign_in(login)
        assert (await client.get(path)).status_code in (status, 403), (login, path)


@pytest.mark.parametrize(
    "path", ["/registry?status=all", "/registries/diabetes?show=all", "/dashboard", "/registry/views"]
)
async def test_pages_are_small(sage: Client, listed: None, path: str) -> None:
    assert len((await sage.get(path)).content) < 60_000
