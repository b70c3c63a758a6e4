"""Ordering a medicine: the alert first, a reason after it, what was not checked; the review, the report, and open alerts."""

from __future__ import annotations

import csv
import io
import re
from typing import Any

import pytest
from msgspec.structs import replace

from commonchart.access import credentials, policy, users
from commonchart.access.medications.gate import OVERRIDE
from commonchart.access.medications.standing import whole
from commonchart.access.policy import ACTIONS, Grant
from commonchart.access.records import Records
from commonchart.fhir import json
from commonchart.fhir.definitions import r4
from commonchart.jobs import medications
from commonchart.record import site as decisions
from commonchart.record.database import Database
from commonchart.search.query import parse
from tests.access.medications.people import ADA, allergy, order, put
from tests.actors import clinician
from tests.conftest import Clock
from tests.web.conftest import Client, SignIn, token_of

NEW = "/patients/ada/new/order"
CHECK = "/patients/ada/medication-check"
SILDENAFIL = {
    "name": "Sildenafil 50 mg tablet", "rxnorm": "", "dose": "1 tablet once a day", "needed": "", "status": "active",
    "day": "2026-11-18", "until": "", "reason": "", "note": "",
}  # fmt: skip


@pytest.fixture
async def ada(database: Database, clock: Clock, app: Any) -> Records:
    """Somebody who takes nitroglycerin and is allergic to penicillin."""
    loader = Records(database, users.system(1, "seed"), clock)
    await put(loader, ADA, order("nitro", "Nitroglycerin 0.4 mg tablet"), allergy("pen", "Penicillin"))
    return Records(database, clinician(), clock)


async def send(sage: Client, **other: str) -> Any:
    page = await sage.get(NEW)
    return await sage.post(NEW, data={"csrf": token_of(page), **SILDENAFIL, "do": "save", **other})


def seen_of(answer: Any) -> str:
    found = re.search(r'name="alerts_seen" value="(\w+)"', answer.text)
    assert found, answer.text[:2000]
    return found.group(1)


async def orders(records: Records) -> list[dict[str, Any]]:
    page = await records.search(parse("MedicationRequest", [("patient", "ada"), ("_count", "50")]))
    return [json.decode(one.body or b"{}") for one in page.matches]


async def test_the_alert_comes_first_and_nothing_is_stored(sage: Client, ada: Records) -> None:
    answer = await send(sage)
    assert answer.status_code == 422
    assert "Not ordered: Sildenafil 50 mg tablet" in answer.text
    assert answer.text.index("Not ordered") < answer.text.index('id="name"')
    assert 'value="Sildenafil 50 mg tablet"' in answer.text  # what was typed is there still
    assert len(await orders(ada)) == 1


async def test_going_on_takes_a_reason_that_is_given_after_it(sage: Client, ada: Records) -> None:
    early = await send(sage, do="override", override="benefit", override_words="typed before")
    assert early.status_code == 422
    assert "The alerts are not the ones you gave a reason for" in early.text
    assert "typed before" not in early.text
    seen = seen_of(early)
    bare = await send(sage, do="override", alerts_seen=seen, override="other")
    assert bare.status_code == 422
    assert "Choose or type why it is ordered all the same" in bare.text
    pressed = await send(sage, alerts_seen=seen, override="benefit")  # a reason without the button is none
    assert pressed.status_code == 422
    done = await send(
        sage, do="override", alerts_seen=seen, override="benefit", override_words="told not to combine"
    )
    assert done.status_code == 303
    stored = next(one for one in await orders(ada) if one["id"] != "nitro")
    (extension,) = stored["extension"]
    assert extension["url"] == OVERRIDE
    assert "told not to combine" in str(extension)
    page = (await sage.get(done.headers["location"])).text
    assert "Checked 2 medications and 1 allergy against pack medications-2026" in page
    check = (await sage.get(CHECK)).text
    assert "told not to combine" in check
    assert "Decided" in check


async def test_an_order_given_up_is_told_to_the_report(sage: Client, ada: Records) -> None:
    seen = seen_of(await send(sage))
    answer = await send(sage, do="withdraw", alerts_seen=seen)
    assert answer.headers["location"].endswith("said=withdrawn")
    assert "Nothing was ordered" in (await sage.get(answer.headers["location"])).text
    assert len(await orders(ada)) == 1
    page = (await sage.get("/reports/alerts/events?rule=" + await a_rule(ada))).text
    assert "Accepted: not ordered" in page


async def a_rule(records: Records) -> str:
    async with records.database.single() as conn:
        return str((await conn.fetch("SELECT rule FROM alert_event LIMIT 1"))[0][0])


async def test_what_does_not_stop_is_shown_beside_it(sage: Client, ada: Records) -> None:
    await put(ada, order("w", "Warfarin 5 mg tablet"))
    looked = await send(sage, name="Fluconazole 150 mg tablet", do="check")
    assert looked.status_code == 200
    assert "To know: it does not stop the order" in looked.text
    assert len(await orders(ada)) == 2
    done = await send(sage, name="Fluconazole 150 mg tablet")
    assert done.status_code == 303
    page = (await sage.get(done.headers["location"])).text
    assert "To know: it does not stop the order" in page
    assert "luconazole" in page


async def test_only_checking_shows_a_stop_too(sage: Client, ada: Records) -> None:
    answer = await send(sage, do="check")
    assert answer.status_code == 422
    done = await send(sage, do="override", alerts_seen=seen_of(answer), override="apart")
    assert done.status_code == 303


async def test_a_blue_pill_is_not_checked_by_name(sage: Client, ada: Records) -> None:
    done = await send(sage, name="blue pill")
    assert done.status_code == 303
    page = (await sage.get(done.headers["location"])).text
    assert "NOT CHECKED: no code for &#34;blue pill&#34;" in page
    assert "NOT CHECKED: no code for &#34;blue pill&#34;" in (await sage.get(CHECK)).text


async def test_a_correction_of_an_order_is_checked(sage: Client, ada: Records) -> None:
    await put(ada, order("m", "Metformin 500 mg tablet"))
    page = await sage.get("/patients/ada/edit/MedicationRequest/m")
    changed = {**SILDENAFIL, "csrf": token_of(page), "vid": "1", "do": "save"}
    answer = await sage.post("/patients/ada/edit/MedicationRequest/m", data=changed)
    assert answer.status_code == 422
    more = {"do": "override", "override": "apart", "alerts_seen": seen_of(answer)}
    assert (await sage.post("/patients/ada/edit/MedicationRequest/m", data=changed | more)).status_code == 303


async def test_looking_at_a_structured_dose_does_not_lose_it(sage: Client, ada: Records) -> None:
    line = {
        "timing": {"repeat": {"frequency": 2, "period": 1, "periodUnit": "d"}},
        "doseAndRate": [{"doseQuantity": {"value": 1, "unit": "tablet"}}],
    }
    await put(ada, order("m", "Metformin 500 mg tablet", dosageInstruction=[line]))
    page = await sage.get("/patients/ada/edit/MedicationRequest/m")
    shown = re.search(r'name="dose"[^>]*value="([^"]*)"', page.text)
    assert shown
    sent = {**SILDENAFIL, "name": "Metformin 500 mg tablet", "dose": shown[1], "day": "", "note": "with food"}
    day = re.search(r'name="day"[^>]*value="([^"]*)"', page.text)
    assert day
    answer = await sage.post(
        "/patients/ada/edit/MedicationRequest/m",
        data={**sent, "csrf": token_of(page), "vid": "1", "do": "save", "day": day[1] or "2026-11-18"},
    )
    assert answer.status_code == 303, answer.text
    kept = next(one for one in await orders(ada) if one["id"] == "m")
    assert kept["dosageInstruction"][0]["timing"] == line["timing"]
    assert kept["note"][0]["text"] == "with food"


async def test_a_new_allergy_is_checked_against_what_is_taken(sage: Client, ada: Records) -> None:
    page = await sage.get("/patients/ada/new/allergy")
    sent = {
        "csrf": token_of(page), "kind": "allergy", "substance": "Nitroglycerin", "rxnorm": "", "category": "", "criticality": "",
        "status": "active", "certainty": "confirmed", "onset": "", "reaction": "", "severity": "", "note": "",
    }  # fmt: skip
    answer = await sage.post("/patients/ada/new/allergy", data=sent)
    assert answer.status_code == 303
    after = (await sage.get(answer.headers["location"])).text
    assert re.search(
        r"Medication alerts.*Nitroglycerin", after, re.S
    )  # on the next page, without waiting for the worker


async def test_an_open_alert_is_decided_once_with_a_reason(
    sage: Client, ada: Records, database: Database, clock: Clock
) -> None:
    await put(Records(database, users.system(1, "import"), clock), order("s", "Sildenafil 50 mg tablet"))
    await medications.drain(database, clock())
    page = await sage.get(CHECK)
    assert "May kill" in page.text
    assert "May kill" not in (await sage.get("/patients/ines/medications")).text
    worklist = (await sage.get("/medication-alerts?show=all")).text
    assert "/patients/ada/medication-check" in worklist
    key = re.search(r'name="alert" value="(\w+)"', page.text)
    assert key
    sent = {"csrf": token_of(page), "alert": key[1], "override": "", "override_words": ""}
    bare = await sage.post(CHECK, data=sent)
    assert bare.status_code == 422
    assert "Say why it goes on as it is" in bare.text
    assert (await sage.post(CHECK, data=sent | {"override": "apart"})).status_code == 303
    assert (await sage.post(CHECK, data=sent | {"override": "apart"})).status_code == 409
    assert "No open alert" in (await sage.get("/medication-alerts?show=all")).text
    assert "Not taken at the same time" in (await sage.get(CHECK)).text
    assert (await sage.post(CHECK, data=sent | {"alert": "0" * 32, "override": "apart"})).status_code == 404


async def test_the_review_says_what_was_looked_at(
    sage: Client, ada: Records, database: Database, clock: Clock
) -> None:
    empty = (await sage.get(CHECK)).text
    assert "NOT CHECKED yet" in empty
    await medications.drain(database, clock())
    page = (await sage.get(CHECK)).text
    assert "Checked 1 medication and 1 allergy against pack medications-2026" in page
    assert (
        "Nothing found in: allergies, pairs, duplicate therapy, dose and opioid load, kidney function, age"
        in page
    )
    assert len(page) < 60_000


async def test_the_report_puts_the_noisy_first_and_drills_down(
    sage: Client, ada: Records, database: Database, clock: Clock
) -> None:
    async with database.connection() as conn:
        await conn.execute(
            "INSERT INTO alert_event (pk, tenant, patient, id, at, actor, origin, rule, title, pack, digest, about, state, reason) "
            "SELECT 1, 1, 'ada', 'a' || n, %s, 'sage', 'medication', 'loud', 'A loud one', '', 'd' || n, 'x', "
            "CASE WHEN n <= 1 THEN 'withdrawn' ELSE 'overridden' END, '=cmd()' FROM generate_series(1, 21) n",
            (clock(),),
        )
        await conn.execute(
            "INSERT INTO alert_event (pk, tenant, patient, id, at, actor, origin, rule, title, pack, digest, about, state, reason) "
            "SELECT 1, 1, 'ada', 'b' || n, %s, 'root', 'medication', 'rare', 'A rare one', '', 'e' || n, 'x', 'overridden', 'r' "
            "FROM generate_series(1, 19) n",
            (clock(),),
        )
    page = (await sage.get("/reports/alerts")).text
    assert "1 noisy alert" in page
    assert page.index("A loud one") < page.index("A rare one")
    assert "95 %" in page
    narrowed = (await sage.get("/reports/alerts?user=root")).text
    assert "A loud one" not in narrowed
    assert "A rare one" in narrowed
    assert (
        "No alert stopped anybody" in (await sage.get("/reports/alerts?from=2020-01-01&to=2020-12-31")).text
    )
    assert (await sage.get("/reports/alerts?from=whenever")).status_code == 422
    events = (await sage.get("/reports/alerts/events?rule=loud")).text
    assert "/patients/ada/medication-check" in events
    answer = await sage.get("/reports/alerts.csv")
    rows = list(csv.DictReader(io.StringIO(answer.text)))
    assert [(row["rule"], row["noisy"]) for row in rows] == [("loud", "yes"), ("rare", "no")]
    assert rows[0]["reasons"].startswith("'=cmd()")
    assert "ada" not in answer.text


async def test_rules_from_memory_are_approved_by_name(sage: Client, ada: Records) -> None:
    page = await sage.get("/medication-rules")
    assert "fentanyl-patch-naive" in page.text
    sent = {"csrf": token_of(page), "rule": "fentanyl-patch-naive", "do": "approve", "comment": ""}
    assert (await sage.post("/medication-rules", data=sent)).status_code == 422
    assert (await sage.post("/medication-rules", data=sent | {"comment": "label of 2023"})).status_code == 303
    assert "label of 2023" in (await sage.get("/medication-rules")).text
    assert (await sage.post("/medication-rules", data=sent | {"do": "withdraw"})).status_code == 303
    assert "label of 2023" not in (await sage.get("/medication-rules")).text
    assert len(page.text) < 60_000


@pytest.mark.parametrize("login", ["desk", "ines"])
async def test_those_who_do_not_order_see_none_of_it(sign_in: SignIn, ada: Records, login: str) -> None:
    client = await sign_in(login)
    for address in (
        NEW,
        CHECK,
        "/reports/alerts",
        "/reports/alerts.csv",
        "/medication-alerts",
        "/medication-rules",
    ):
        assert (await client.get(address)).status_code in (403, 404), address


async def test_the_chart_of_a_restricted_reader_names_nothing(
    ada: Records, database: Database, clock: Clock, monkeypatch: pytest.MonkeyPatch
) -> None:
    await put(Records(database, users.system(1, "import"), clock), order("a", "Amoxicillin 500 mg capsule"))
    await medications.drain(database, clock())
    assert any("Amoxicillin" in one.alert.title for one in (await whole(ada, "ada")).alerts)
    shown = frozenset(r4().resource_types) - {"MedicationStatement", "Condition"}
    monkeypatch.setitem(policy.GRANTS, "locum", (Grant(ACTIONS, shown),))
    locum = Records(database, replace(clinician("locum"), role="locum"), clock)
    # nothing that a check reads is hidden: the same alerts
    assert any("Amoxicillin" in one.alert.title for one in (await whole(locum, "ada")).alerts)
    hidden = {
        "resourceType": "MedicationStatement", "id": "war", "status": "active", "subject": {"reference": "Patient/ada"},
        "medicationCodeableConcept": {"text": "Warfarin"},
    }  # fmt: skip
    await put(Records(database, users.system(1, "import"), clock), hidden, order("f", "Fluconazole 150 mg"))
    found = await whole(locum, "ada")
    assert not any("arfarin" in str(one) for one in found.alerts)
    assert any(
        one.alert.title == "Conflicts with a restricted entry: call or break glass" for one in found.alerts
    )


async def test_a_draft_of_the_form_does_not_order(sage: Client, ada: Records) -> None:
    assert (await send(sage, status="draft")).status_code == 303
    assert [one["status"] for one in await orders(ada) if one["id"] != "nitro"] == ["draft"]


@pytest.mark.parametrize("hidden", [False, True])
async def test_in_a_network_open_alerts_are_of_whom_nothing_is_withheld(
    sage: Client, database: Database, clock: Clock, hidden: bool
) -> None:
    """An alert over the whole record might rest on what a reader may not see; that somebody is left out is said."""
    async with database.connection() as conn:
        await decisions.put(conn, 1, "mode", "network")
    credentials.forget()
    alder = Records(database, users.system(1, "import", "alder"), clock)
    await put(alder, ADA, order("nitro", "Nitroglycerin 0.4 mg tablet"))
    birch = Records(database, users.system(1, "import", "birch"), clock)
    code = {"system": "http://terminology.hl7.org/CodeSystem/v3-ActCode", "code": "42CFRPart2"}
    label = {"meta": {"security": [code]}} if hidden else {}
    await put(birch if hidden else alder, order("s", "Sildenafil 50 mg tablet") | label)
    await medications.drain(database, clock())
    page = (await sage.get("/medication-alerts?show=all")).text
    assert ("/patients/ada/medication-check" in page) is not hidden
    assert "NOT LISTED" in page
    assert (await sage.get("/reports/alerts")).status_code == 200
