"""The inbox as pages: most urgent first, signed once, told why not, covered, and never for the front desk."""

from __future__ import annotations

import csv
import re
from datetime import timedelta
from typing import Any

import pytest
from starlette.applications import Starlette

from commonchart.access.actors import Actor
from commonchart.access.records import Put, Records
from commonchart.access.users import create, find
from commonchart.fhir.validate import validate
from commonchart.jobs import inbox, worker
from commonchart.record import site
from tests.conftest import Clock
from tests.inbox import SITE, SODIUM, lab, patient, report
from tests.web.conftest import PASSWORD, Client, SignIn, token_of

ITEM = "/patients/ada/inbox/Observation"


@pytest.fixture
async def ward(app: Starlette, clock: Clock) -> Any:
    """Results of one patient: critical, abnormal, partial, normal."""
    database = app.state.database
    for login in ("otto", "kim"):
        await create(database, tenant=1, login=login, name=f"{login.title()} Person", role="clinician", org="alder", now=clock(), password=PASSWORD, practitioner=f"pr-{login}")  # fmt: skip
    loader = Records(database, Actor(1, "lab", "Lab", "system", "lab", "test", network=False), clock)

    async def put(*resources: Any) -> None:
        await loader.commit([Put(validate(one), one["id"]) for one in resources])
        await worker.drain(database, clock)
        while await inbox.drain(database, clock, SITE):
            pass

    await put(patient(), patient("bo"))
    return put


async def acted(client: Client, path: str, **sent: str) -> Any:
    page = await client.get(path)
    version = re.search(r'name="version" value="([^"]+)"', page.text)
    return await client.post(
        path, data={"csrf": token_of(page), "version": version[1] if version else "", **sent}
    )


async def test_the_most_urgent_comes_first_and_nothing_is_a_normal_by_default(
    sage: Client, ward: Any
) -> None:
    assert "Nothing waits here" in (await sage.get("/inbox")).text
    await ward(
        lab("n"),
        lab("c", value="6.4"),
        lab("h", value="5.4"),
        lab("u", SODIUM, "139", referenceRange=None),
        lab("p", SODIUM, "139", status="preliminary"),
    )
    page = (await sage.get("/inbox")).text
    order = [page.index(words) for words in ("Critical: 1", "Abnormal: 1", "Cannot tell: 1", "Normal: 2")]
    assert order == sorted(order)
    assert "Partial: preliminary" in page
    assert "critically high" in page
    assert "Sign 1 normal" in page
    assert "are history" in page
    assert len(page) < 60_000
    only = (await sage.get("/inbox?kind=abnormal")).text
    assert f'{ITEM}/h"' in only
    assert f'th scope="row" class="nw"><a href="{ITEM}/n"' not in only
    assert (await sage.get("/inbox?kind=nonsense")).status_code == 422


async def test_signing_one_takes_it_away_and_it_can_be_taken_back(
    sage: Client, ward: Any, clock: Clock
) -> None:
    await ward(lab("n"))
    sent = await acted(sage, f"{ITEM}/n", do="sign", note="fine")
    assert sent.status_code == 303
    page = await sage.get(sent.headers["location"])
    assert "Signed." in page.text
    assert f'href="{ITEM}/n"' not in page.text
    name = str(sent.headers["location"]).partition("=")[2]
    back = await sage.post("/inbox/undo", data={"csrf": token_of(page), "name": name})
    assert back.headers["location"] == "/inbox?back=1"
    assert f'href="{ITEM}/n"' in (await sage.get("/inbox")).text
    shown = (await sage.get(f"{ITEM}/n")).text
    assert "Taken back" in shown
    assert "fine" in shown
    sent = await acted(sage, f"{ITEM}/n", do="sign")
    clock.advance(minutes=11)
    late = await sage.post(
        "/inbox/undo", data={"csrf": token_of(page), "name": str(sent.headers["location"]).partition("=")[2]}
    )
    assert late.status_code == 409
    assert "more than 10 minutes ago" in late.text


async def test_the_second_of_two_is_told(sage: Client, sign_in: SignIn, ward: Any) -> None:
    await ward(lab("n"))
    otto = await sign_in("otto")
    page = await otto.get(f"{ITEM}/n")
    version = re.search(r'name="version" value="([^"]+)"', page.text)
    assert version
    await acted(sage, f"{ITEM}/n", do="sign")
    late = await otto.post(f"{ITEM}/n", data={"csrf": token_of(page), "do": "sign", "version": version[1]})
    assert late.status_code == 409
    assert "Sage Person has already signed it" in late.text


async def test_a_newer_version_is_not_signed_unseen(sage: Client, ward: Any) -> None:
    await ward(lab("n"))
    page = await sage.get(f"{ITEM}/n")
    version = re.search(r'name="version" value="([^"]+)"', page.text)
    assert version
    await ward(lab("n", value="5.9", status="corrected"))
    late = await sage.post(f"{ITEM}/n", data={"csrf": token_of(page), "do": "sign", "version": version[1]})
    assert late.status_code == 409
    assert "a newer version has come" in late.text


async def test_many_normals_are_signed_together_and_only_those(sage: Client, ward: Any) -> None:
    await ward(
        lab("a"),
        lab("b", patient="bo"),
        lab("h", value="5.5"),
        lab("p", status="preliminary"),
        lab("na", SODIUM, "139"),
        report("r", "na"),
    )
    page = await sage.get("/inbox/sign")
    keys = re.findall(r'name="sign" value="([^"]+)"', page.text)
    assert sorted(key.split("|")[1] for key in keys) == [
        "DiagnosticReport/r",
        "Observation/a",
        "Observation/b",
    ]
    refused = await sage.post(
        "/inbox/sign", data={"csrf": token_of(page), "sign": [*keys, "ada|Observation/h|Observation/h/1"]}
    )
    assert refused.status_code == 409
    assert "must be looked at by itself" in refused.text
    assert (await sage.post("/inbox/sign", data={"csrf": token_of(page)})).status_code == 422
    sent = await sage.post("/inbox/sign", data={"csrf": token_of(page), "sign": keys})
    assert sent.status_code == 303
    left = (await sage.get("/inbox")).text
    assert "Normal: 1" in left  # the partial one
    page = await sage.get(sent.headers["location"])
    await sage.post(
        "/inbox/undo", data={"csrf": token_of(page), "name": str(sent.headers["location"]).partition("=")[2]}
    )
    assert "Normal: 4" in (await sage.get("/inbox")).text


async def test_a_partial_result_is_acknowledged_not_signed(sage: Client, ward: Any) -> None:
    await ward(lab("p", status="preliminary"))
    assert "Acknowledge the partial result" in (await sage.get(f"{ITEM}/p")).text
    await acted(sage, f"{ITEM}/p", do="sign")
    assert f'href="{ITEM}/p"' not in (await sage.get("/inbox")).text
    await ward(lab("p"))
    page = (await sage.get("/inbox")).text
    assert f'href="{ITEM}/p"' in page
    assert "Final now" in page


async def test_a_critical_result_stands_on_every_page_until_acknowledged(
    sage: Client, sign_in: SignIn, ward: Any, clock: Clock
) -> None:
    await ward(lab("c", value="6.4"))
    clock.advance(minutes=14)
    for path in ("/patients", "/registry", f"{ITEM}/c"):
        assert "A critical result waits for you, not acknowledged for 14 min" in (await sage.get(path)).text
    assert "critical result waits" in (await (await sign_in("root")).get("/patients")).text
    assert "critical result waits" not in (await (await sign_in("desk")).get("/patients")).text
    sent = await acted(
        sage,
        f"{ITEM}/c",
        do="acknowledge",
        read_back="6.4",
        called="Lakeside, Mr Tan",
        done="called the patient",
    )
    page = (await sage.get(sent.headers["location"])).text
    assert "critical result waits" not in page
    assert "read back: 6.4; called: Lakeside, Mr Tan; called the patient" in page
    assert 'data-key="s"' in page  # it still waits to be signed
    again = await acted(sage, f"{ITEM}/c", do="acknowledge")
    assert again.status_code == 409
    assert "Sage Person acknowledged it" in again.text


async def test_the_report_says_how_long_it_took(sage: Client, ward: Any, clock: Clock) -> None:
    assert "No critical result was raised" in (await sage.get("/reports/critical")).text
    await ward(lab("c", value="6.4"))
    clock.advance(minutes=7)
    await acted(sage, f"{ITEM}/c", do="acknowledge")
    await ward(lab("d", value="2.4", patient="bo"))
    page = (await sage.get("/reports/critical")).text
    assert "1 acknowledged, 1 open" in page
    assert ">7 min<" in page
    assert "have not been reviewed by this site" in page
    assert "Emberlow" not in page
    asked = await sage.get("/reports/critical.csv")  # the password is more than five minutes ago
    proof = {
        "csrf": token_of(asked),
        "next": "/reports/critical.csv",
        "then": "file",
        "proof_password": PASSWORD,
    }
    assert (await sage.post("/step-up", data=proof)).status_code == 200
    sheet = list(csv.DictReader((await sage.get("/reports/critical.csv")).text.splitlines()))
    assert [(one["test"], one["value"], one["state"], one["minutes"]) for one in sheet] == [
        ("Potassium", "6.4 mmol/L", "acknowledged", "7.0"),
        ("Potassium", "2.4 mmol/L", "open", ""),
    ]


async def test_forwarding_keeps_it_with_the_sender_until_it_is_taken(
    sage: Client, sign_in: SignIn, app: Starlette, ward: Any
) -> None:
    await ward(lab("h", value="5.4"))
    otto, kim = await sign_in("otto"), await sign_in("kim")
    to = (await find(app.state.database, "otto")).id
    refused = await acted(sage, f"{ITEM}/h", do="forward", to=to, forward_note=" ")
    assert refused.status_code == 422
    assert 'href="#forward_note"' in refused.text
    await acted(sage, f"{ITEM}/h", do="forward", to=to, forward_note="please call her")
    assert "Forwarded to Otto Person, not taken yet" in (await sage.get("/inbox")).text
    assert "From Sage Person" in (await otto.get("/inbox")).text
    assert f'href="{ITEM}/h"' not in (await kim.get("/inbox")).text
    assert "please call her" in (await otto.get(f"{ITEM}/h")).text
    assert (await acted(otto, f"{ITEM}/h", do="take")).status_code == 303
    assert f'href="{ITEM}/h"' not in (await sage.get("/inbox")).text
    assert (await acted(kim, f"{ITEM}/h", do="take")).status_code == 409


async def test_an_order_follows_from_a_result(sage: Client, ward: Any) -> None:
    await ward(lab("h", value="5.4"))
    assert (await acted(sage, f"{ITEM}/h", do="order", test="", what="", due="2026-12-01")).status_code == 422
    assert (
        await acted(sage, f"{ITEM}/h", do="order", test="Observation/h:", due="2026-01-01")
    ).status_code == 422
    sent = await acted(sage, f"{ITEM}/h", do="order", test="Observation/h:", due="2026-12-01")
    page = (await sage.get(sent.headers["location"])).text
    assert "Repeat: Potassium, by 01-Dec-2026" in page
    order = (
        await sage.get(
            f"/patients/ada/facts/ServiceRequest/{str(sent.headers['location']).partition('=')[2]}"
        )
    ).text
    assert "2823-3" in order
    assert "Observation/h" in order


async def test_the_patient_is_told_in_general_words_or_it_is_said_why_not(
    sage: Client, app: Starlette, ward: Any
) -> None:
    async with app.state.database.single() as conn:
        for key, value in (
            ("name", "Alder Street"),
            ("practice_phone", "555 0100"),
            ("smtp_url", "smtp://127.0.0.1:1"),
        ):
            await site.put(conn, 1, key, value)
    mail = [{"system": "email", "value": "ada@post.example"}]
    await ward(patient(telecom=mail), lab("h", value="5.4"), lab("x", patient="bo"))
    page = (await sage.get(f"{ITEM}/h")).text
    assert "No portal message: has no portal account" in page
    assert "There is something new for you at Alder Street" in page
    sent = await acted(sage, f"{ITEM}/h", do="tell", channel="sms")
    assert sent.status_code == 422
    assert "cannot be told this way" in sent.text
    assert f'href="{ITEM}/h"' in (await sage.get("/inbox")).text
    sent = await acted(sage, f"{ITEM}/h", do="tell", channel="email")
    page = (await sage.get(sent.headers["location"])).text
    assert "The message waits to be sent" in page
    assert "potassium" not in (await _content(app)).lower()
    nobody = (await sage.get("/patients/bo/inbox/Observation/x")).text
    assert "cannot be told by message" in nobody


async def _content(app: Starlette) -> str:
    async with app.state.database.single() as conn:
        return str(
            await conn.fetch(
                "SELECT title, content, wording FROM outreach_campaign JOIN outreach_message ON campaign = id"
            )
        )


async def test_a_cover_begins_and_ends_by_itself(
    sage: Client, sign_in: SignIn, app: Starlette, ward: Any, clock: Clock
) -> None:
    otto, kim = [(await find(app.state.database, one)).id for one in ("otto", "kim")]
    await ward(patient(generalPractitioner=[{"reference": "Practitioner/pr-otto"}]), lab("n"))
    cover = await sign_in("kim")
    assert f'href="{ITEM}/n"' not in (await cover.get("/inbox")).text
    page = await sage.get("/inbox/cover")
    wrong = await sage.post(
        "/inbox/cover",
        data={"csrf": token_of(page), "absent": otto, "cover": otto, "from": "x", "until": "y", "why": ""},
    )
    assert wrong.status_code == 422
    fields = {
        "absent": otto,
        "cover": kim,
        "from": "2026-11-18 10:00",
        "until": "2026-11-20 08:00",
        "why": "leave",
    }
    assert (await sage.post("/inbox/cover", data={"csrf": token_of(page), **fields})).status_code == 303
    assert "Covering: Otto Person" in (await cover.get("/inbox")).text
    chain = await sage.post(
        "/inbox/cover", data={"csrf": token_of(page), **fields, "absent": kim, "cover": otto}
    )
    assert chain.status_code == 422
    assert "is away then too" in chain.text
    await acted(cover, f"{ITEM}/n", do="sign")
    assert "Signed for Otto Person" in (await cover.get(f"{ITEM}/n")).text
    await ward(lab("m"))
    assert f'href="{ITEM}/m"' in (await cover.get("/inbox")).text
    clock.set(clock() + timedelta(days=2))
    assert f'href="{ITEM}/m"' not in (await (await sign_in("kim")).get("/inbox")).text


async def test_a_signing_is_shown_where_the_result_came_from(sage: Client, ward: Any) -> None:
    await ward(lab("n"))
    await acted(sage, f"{ITEM}/n", do="sign")
    assert "Signed by Sage Person" in (await sage.get("/patients/ada/facts/Observation/n")).text


@pytest.mark.parametrize(
    "path",
    ["/inbox", "/inbox/sign", "/inbox/cover", "/reports/critical", "/reports/critical.csv", f"{ITEM}/n"],
)
async def test_the_inbox_is_for_those_who_treat(sign_in: SignIn, ward: Any, path: str) -> None:
    await ward(lab("n"))
    assert (await (await sign_in("desk")).get(path)).status_code == 403
    assert (await (await sign_in("ines")).get(path)).status_code in (403, 404)


async def test_an_administrator_looks_and_forwards_but_does_not_sign(
    sign_in: SignIn, app: Starlette, ward: Any
) -> None:
    await ward(lab("n"))
    root = await sign_in("root")
    page = await root.get(f"{ITEM}/n")
    assert 'data-key="s"' not in page.text
    assert (
        await root.post(
            f"{ITEM}/n", data={"csrf": token_of(page), "do": "sign", "version": "Observation/n/1"}
        )
    ).status_code == 403
    to = (await find(app.state.database, "otto")).id
    assert (await acted(root, f"{ITEM}/n", do="forward", to=to, forward_note="yours?")).status_code == 303


async def test_what_is_not_there_is_not_found(sage: Client, ward: Any) -> None:
    await ward(lab("n"))
    for path in (f"{ITEM}/other", "/patients/bo/inbox/Observation/n", "/patients/ada/inbox/Condition/n"):
        assert (await sage.get(path)).status_code == 404
    assert (await acted(sage, f"{ITEM}/n", do="nonsense")).status_code == 422


async def test_what_no_clinician_may_open_is_watched_by_who_answers_for_it(
    sage: Client, sign_in: SignIn, ward: Any
) -> None:
    """The page says why and what can be done, not whose result it is; the head of every page leads there."""
    secret = {"security": [{"system": "http://terminology.hl7.org/CodeSystem/v3-ActCode", "code": "PSYTHPN"}]}
    root = await sign_in("root")
    await ward(lab("s", value="6.4", meta=secret))
    head = (await root.get("/patients")).text
    assert "A critical result waits that no clinician may open, for 0 min" in head
    assert 'href="/reports/critical#unseen"' in head
    page = (await root.get("/reports/critical")).text
    assert 'id="unseen"' in page
    assert "A label hides it: Psychotherapy notes" in page
    assert [word for word in ("Potassium", "6.4", "Emberlow", "Observation/s") if word in page] == []
    for path in ("/patients", "/reports/critical"):
        assert "no clinician may open" not in (await sage.get(path)).text
    await ward(lab("d", value="2.4"))
    assert "critical result waits for you" in (await sage.get("/patients")).text
