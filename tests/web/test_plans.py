"""Deciding about one due item by its forms: what is stored, who and why is shown, and the whole circle with the worker."""

from __future__ import annotations

import asyncio
import json
import re
from datetime import UTC, datetime
from typing import Any

import pytest
from starlette.applications import Starlette

from commonchart.access import users
from commonchart.access.due import due_of
from commonchart.access.records import Records
from commonchart.fhir import json as fhir_json
from commonchart.jobs import due, worker
from commonchart.record import changes
from commonchart.record.database import Database
from commonchart.record.rows import Stored
from tests.conftest import Clock
from tests.web.conftest import Client, SignIn, token_of

DUE = "/patients/ines/due"


@pytest.fixture
def records(database: Database, clock: Clock) -> Records:
    return Records(database, users.system(1, "test"), clock)


async def settled(records: Records, clock: Clock) -> dict[str, Any]:
    """The due rows of Inés by rule when the worker has followed everything."""
    for _ in range(200):
        await worker.drain(records.database, clock)
        async with records.database.connection() as conn:
            if not await changes.waiting(conn, due.CURSOR):
                break
        await asyncio.sleep(0.02)
    return {row.rule: row for row in await due_of(records, "ines")}


async def post(client: Client, path: str, **sent: str) -> Any:
    page = await client.get(path)
    assert page.status_code == 200, page.text[:600]
    vid = re.search(r'name="vid" value="(\d+)"', page.text)
    given = {"csrf": token_of(page)} | ({"vid": vid[1]} if vid else {})
    return await client.post(path, data=given | {k.replace("__", "-"): v for k, v in sent.items()})


async def done(client: Client, path: str, **sent: str) -> str:
    """Send a form that is right; the reference of what was saved."""
    answer = await post(client, path, **sent)
    assert answer.status_code == 303, re.sub(r"<[^>]+>", " ", answer.text)[:3000]
    return str(answer.headers["location"].split("saved=")[1])


async def body(records: Records, ref: str) -> dict[str, Any]:
    stored: Stored = await records.read(*ref.split("/"))
    return fhir_json.decode(stored.body or b"")  # type: ignore[no-any-return]


async def test_a_deferral_holds_shows_who_and_why_is_changed_ended_and_put_back(
    app: Starlette, sage: Client, records: Records, clock: Clock
) -> None:
    assert (await settled(records, clock))["colorectal"].status == "overdue"
    ref = await done(sage, f"{DUE}/colorectal/defer", until="2027-03-01", why="Waits for the cardiologist")
    stored = await body(records, ref)
    assert (stored["doNotPerform"], stored["intent"], stored["occurrencePeriod"]["end"]) == (
        True,
        "plan",
        "2027-03-01",
    )
    waiting = await sage.get(f"{DUE}/colorectal")
    assert "Being worked out" in waiting.text
    assert "hx-get" in waiting.text
    row = (await settled(records, clock))["colorectal"]
    assert (row.status, str(row.until)) == ("deferred", "2027-03-01")
    shown = (await sage.get(f"{DUE}/colorectal")).text
    assert "Being worked out" not in shown
    for words in ("Deferred", "until 01-Mar-2027", "Waits for the cardiologist", "Sage Person"):
        assert words in shown

    assert (
        await done(sage, f"/patients/ines/plans/{ref}", until="2027-04-01", why="Cardiologist on leave")
        == ref
    )
    assert str((await settled(records, clock))["colorectal"].until) == "2027-04-01"
    await done(sage, f"/patients/ines/plans/{ref}/end", why="Seen already")
    assert (await settled(records, clock))["colorectal"].status == "overdue"
    assert "Put back" in (await sage.get(f"{DUE}/colorectal")).text
    await done(sage, f"/patients/ines/plans/{ref}/again", why="Ended by mistake")
    assert (await settled(records, clock))["colorectal"].status == "deferred"
    stored = await body(records, ref)
    assert [one["text"] for one in stored["note"]] == ["Seen already", "Ended by mistake"]
    assert int(stored["meta"]["versionId"]) == 4

    clock.set(datetime(2027, 4, 1, 8, tzinfo=UTC))
    assert (await settled(records, clock))["colorectal"].status == "overdue"


async def test_a_refusal_says_who_said_so_and_is_asked_again(
    app: Starlette, sage: Client, records: Records, clock: Clock
) -> None:
    ref = await done(
        sage,
        f"{DUE}/colorectal/decline",
        who="patient",
        why="Does not want it",
        until="2027-11-18",
        note="Knows the risk",
    )
    stored = await body(records, ref)
    assert stored["reasonCode"][0]["coding"][0]["code"] == "PATOBJ"
    assert (await settled(records, clock))["colorectal"].status == "declined"
    shown = (await sage.get(f"{DUE}?show=declined")).text
    assert "Said by: the patient" in shown
    clock.set(datetime(2027, 11, 18, 8, tzinfo=UTC))
    assert (await settled(records, clock))["colorectal"].status == "overdue"


async def test_a_new_decision_takes_the_place_of_the_one_before(
    app: Starlette, sage: Client, records: Records, clock: Clock
) -> None:
    first = await done(sage, f"{DUE}/colorectal/defer", until="2027-03-01", why="Later")
    await done(
        sage, f"{DUE}/colorectal/aside", until="2031-03-01", why="Total colectomy elsewhere, letter to come"
    )
    assert (await body(records, first))["status"] == "revoked"
    row = (await settled(records, clock))["colorectal"]
    assert row.status == "not-applicable"
    assert "Total colectomy" in json.loads(row.why)["because"]


async def test_an_own_target_and_interval_go_before_the_rule(
    app: Starlette, sage: Client, records: Records, clock: Clock
) -> None:
    before = (await settled(records, clock))["a1c"]
    assert json.loads(before.why)["within"] == "out"
    ref = await done(sage, f"{DUE}/a1c/target", below__a1c="9", why="Hypoglycaemia at lower values")
    target = (await body(records, ref))["target"][0]["detailQuantity"]
    assert (str(target["value"]), target["comparator"], target["code"]) == ("9", "<", "%")
    assert json.loads((await settled(records, clock))["a1c"].why)["within"] == "in"
    await done(sage, f"{DUE}/a1c/interval", every="12", unit="mo", why="Stable for years")
    row = (await settled(records, clock))["a1c"]
    assert (row.status, str(row.until)) == ("up-to-date", "2027-05-06")
    shown = (await sage.get(f"{DUE}/a1c")).text
    assert "every 1 year, without an end" in shown
    assert "set for this patient" in shown
    newer = await done(sage, f"{DUE}/a1c/target", below__a1c="8.5", why="Better now")
    assert (await body(records, ref))["lifecycleStatus"] == "cancelled"
    assert await done(sage, f"/patients/ines/plans/{newer}", below__a1c="8", why="Better still") == newer
    await done(sage, f"/patients/ines/plans/{newer}/end", why="Back to the rule")
    assert json.loads((await settled(records, clock))["a1c"].why)["within"] == "out"


async def test_surveillance_is_asked_for_its_interval_and_gets_it(
    app: Starlette, sage: Client, records: Records, clock: Clock
) -> None:
    await done(
        sage,
        f"{DUE}/colorectal/record",
        way="0",
        when="2026-10-01",
        outcome="abnormal",
        words="adenoma",
        where="here",
    )
    polyp = await post(sage, "/patients/ines/new/condition", name="Adenoma of the colon", icd10="Z86.010", status="active", certainty="confirmed")  # fmt: skip
    assert polyp.status_code == 303, re.sub(r"<[^>]+>", " ", polyp.text)[:2000]
    assert (await settled(records, clock))["colorectal-surveillance"].status == "cannot-tell"
    assert "Set the interval" in (await sage.get(f"{DUE}?rule=colorectal-surveillance")).text
    await done(
        sage,
        f"{DUE}/colorectal-surveillance/interval",
        every="3",
        unit="a",
        why="Two adenomas",
        until="2036-10-01",
    )
    row = (await settled(records, clock))["colorectal-surveillance"]
    assert (row.status, str(row.until)) == ("up-to-date", "2029-10-01")


async def test_an_order_is_shown_and_closed_by_the_result_that_it_asked_for(
    app: Starlette, sage: Client, records: Records, clock: Clock
) -> None:
    await settled(records, clock)
    ref = await done(
        sage, f"{DUE}/a1c/order", what="0", priority="routine", why="HbA1c: overdue", to="Meridian Laboratory"
    )
    stored = await body(records, ref)
    assert stored["instantiatesUri"] == ["https://commonchart.example/rule/a1c"]
    assert {one["reference"] for one in stored["reasonReference"]} >= {"Observation/h5"}
    assert (await settled(records, clock))["a1c"].status == "overdue"
    assert "Ordered" in (await sage.get(f"{DUE}/a1c")).text
    made = await done(sage, f"{DUE}/a1c/record", when="2026-11-18", v__a1c="6.8", u__a1c="%", where="here")
    assert (await body(records, made))["basedOn"] == [{"reference": ref}]
    assert (await body(records, ref))["status"] == "completed"
    assert (await settled(records, clock))["a1c"].status == "up-to-date"


@pytest.mark.parametrize(
    ("act", "sent", "message"),
    [
        ("defer", {"until": "2027-03-01"}, "Enter the reason"),
        ("defer", {"until": "2026-11-18", "why": "x"}, "a day after today"),
        ("defer", {"until": "2030-01-01", "why": "x"}, "At most 2 years ahead"),
        ("decline", {"why": "x", "until": "2027-11-18"}, "Choose the person who said so"),
        ("aside", {"why": "x", "until": "2099-01-01"}, "At most 10 years ahead"),
        ("interval", {"every": "0", "unit": "mo", "why": "x"}, "must look like"),
        ("interval", {"every": "99", "unit": "a", "why": "x"}, "At most 15 years"),
        ("record", {"when": "2026-11-18", "way": "0", "where": "here"}, "Choose what came out"),
        ("order", {"what": "0", "priority": "routine"}, "Enter the reason"),
    ],
)
async def test_what_is_wrong_is_said_beside_its_field(
    app: Starlette, sage: Client, act: str, sent: dict[str, str], message: str
) -> None:
    answer = await post(sage, f"{DUE}/colorectal/{act}", **sent)
    assert answer.status_code == 422
    assert message in answer.text


async def test_only_what_a_rule_knows_can_be_done_and_only_by_who_may(
    app: Starlette, sage: Client, sign_in: SignIn
) -> None:
    for path in ("colorectal/target", "colorectal/nonsense", "no-rule/defer", "inr/aside"):
        assert (await sage.get(f"{DUE}/{path}")).status_code == 404, path
    assert (await sage.get(f"{DUE}/no-rule")).status_code == 404
    desk = await sign_in("desk")
    assert (await desk.get(f"{DUE}/colorectal/defer")).status_code in (403, 404)
    mine = await sign_in("ines")
    assert (await mine.get(f"{DUE}/colorectal/defer")).status_code == 403
    assert (
        "Record" not in re.sub(r"<[^>]+>", " ", (await mine.get(f"{DUE}/colorectal")).text).split("Facts")[0]
    )


async def test_a_decision_of_somebody_elses_version_is_not_overwritten(app: Starlette, sage: Client) -> None:
    ref = await done(sage, f"{DUE}/colorectal/defer", until="2027-03-01", why="Later")
    page = await sage.get(f"/patients/ines/plans/{ref}")
    await done(sage, f"/patients/ines/plans/{ref}", until="2027-04-01", why="Later still")
    sent = {"csrf": token_of(page), "vid": "1", "until": "2027-05-01", "why": "Mine"}
    answer = await sage.post(f"/patients/ines/plans/{ref}", data=sent)
    assert answer.status_code == 412
    assert "Somebody else" in answer.text


async def test_a_decision_can_be_taken_back_as_an_error(
    app: Starlette, sage: Client, records: Records, clock: Clock
) -> None:
    ref = await done(sage, f"{DUE}/colorectal/defer", until="2027-03-01", why="Wrong patient")
    answer = await post(sage, f"/patients/ines/retract/{ref}", reason="Wrong patient")
    assert answer.status_code == 303
    assert (await settled(records, clock))["colorectal"].status == "overdue"
    goal = await done(sage, f"{DUE}/a1c/target", below__a1c="9", why="Wrong patient")
    assert (await post(sage, f"/patients/ines/retract/{goal}", reason="Wrong patient")).status_code == 303
    assert (await body(records, goal))["lifecycleStatus"] == "entered-in-error"


async def test_the_item_page_shows_the_course_against_the_target(app: Starlette, sage: Client) -> None:
    text = (await sage.get(f"{DUE}/a1c")).text
    assert "HbA1c over time" in text or "A1c over time" in text
    for words in ("Months in range", '<svg class="ch"', "outside", "The rule", "Authority", "Next change"):
        assert words in text
    assert len(text) < 60_000


async def test_pages_say_what_is_missing_of_a_patient(app: Starlette, sage: Client) -> None:
    text = (await sage.get("/patients/blank/due")).text
    assert "The date of birth is not recorded" in text
    assert "Sex is not recorded" in text
    assert "/patients/blank/questionnaire" in text


async def test_a_past_day_has_no_due_list_and_no_decisions(app: Starlette, sage: Client) -> None:
    for path in (DUE, f"{DUE}/colorectal"):
        text = (await sage.get(f"{path}?as_of=2026-11-18")).text
        assert text
    assert (await sage.get(f"{DUE}/colorectal/defer?as_of=2026-11-10")).status_code in (403, 404)


async def test_a_worker_that_does_not_come_is_told(app: Starlette, sage: Client) -> None:
    await done(sage, f"{DUE}/colorectal/defer", until="2027-03-01", why="Later")
    early = (await sage.get(f"{DUE}/colorectal?waited=3")).text
    assert 'hx-get="?waited=4"' in early
    late = (await sage.get(f"{DUE}/colorectal?waited=20")).text
    assert 'hx-trigger="every 1s"' not in late
    assert "do not rely on this list" in late
