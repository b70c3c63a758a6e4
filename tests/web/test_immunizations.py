"""The immunization pages: why a dose counts, what is next, giving with its stops, refusing, the card, choosing a schedule."""

from __future__ import annotations

import re
from typing import Any

import pytest
from msgspec.structs import replace
from starlette.applications import Starlette

from commonchart.access import lots, schedules
from commonchart.access.records import Put, Records
from commonchart.care.immunizations import pack as packs
from commonchart.fhir import json
from commonchart.fhir.validate import validate
from commonchart.record.database import Database
from commonchart.search.query import parse
from tests.access.medications.people import allergy
from tests.actors import administrator, clinician
from tests.conftest import Clock
from tests.web.conftest import Client, SignIn, token_of

CVX = "http://hl7.org/fhir/sid/cvx"
GIVE = {
    "vaccine": "03", "lot": "other", "lot_number": "A1", "expires": "2027-03-31", "when": "2026-11-18", "site": "LA",
    "route": "SC", "amount": "0.5", "funding": "private", "eligibility": "", "statement": "2025-01-31",
    "allergies": "none", "override": "", "note": "",
}  # fmt: skip


def dose(id: str, cvx: str, day: str, **more: Any) -> dict[str, Any]:
    return {
        "resourceType": "Immunization", "id": id, "status": "completed", "occurrenceDateTime": day,
        "vaccineCode": {"coding": [{"system": CVX, "code": cvx}]}, "patient": {"reference": "Patient/otto"},
    } | more  # fmt: skip


@pytest.fixture
async def otto(database: Database, clock: Clock, app: Starlette) -> Records:
    """A boy of four, behind schedule."""
    records = Records(database, clinician(), clock)
    child = {
        "resourceType": "Patient", "id": "otto", "birthDate": "2022-07-02", "gender": "male",
        "name": [{"family": "Pebblewick", "given": ["Otto"]}],
    }  # fmt: skip
    bodies = [
        child,
        dose("m0", "03", "2023-06-27"),
        dose("m1", "03", "2023-12-12", lotNumber="X9"),
        dose("u", "9998", "2024-01-01"),
    ]
    await records.commit([Put(validate(body), body["id"]) for body in bodies])
    return records


async def given(sage: Client, **other: str) -> Any:
    page = await sage.get("/patients/otto/immunizations/give?cvx=03")
    return await sage.post(
        "/patients/otto/immunizations/give", data={"csrf": token_of(page), **GIVE, **other}
    )


async def overridden(sage: Client, reason: str, **other: str) -> Any:
    """Be stopped, read what speaks against it, and give it all the same."""
    seen = seen_of(await given(sage, **other))
    return await given(sage, **other, alerts_seen=seen, override=reason)


def seen_of(answer: Any) -> str:
    """What a page that stopped names as shown."""
    found = re.search(r'name="alerts_seen" value="(\w+)"', answer.text)
    assert found, answer.text[:2000]
    return found.group(1)


async def events(records: Records) -> list[tuple[Any, ...]]:
    async with records.database.single() as conn:
        return await conn.fetch(
            "SELECT rule, state, reason FROM alert_event WHERE origin = 'immunization' ORDER BY id"
        )


async def stored(records: Records) -> list[dict[str, Any]]:
    page = await records.search(parse("Immunization", [("patient", "otto"), ("_count", "50")]))
    return [json.decode(one.body or b"{}") for one in page.matches]


async def test_each_dose_says_whether_it_counts_and_why(sage: Client, otto: Records) -> None:
    page = (await sage.get("/patients/otto/immunizations")).text
    assert "Given 5 days before the minimum age of 12 months" in page
    assert re.search(r"MMR, dose 2.*since 02-Jul-2026", page, re.S)
    assert "CDC 4.64" in page
    assert "NOT CHECKED: allergies" in page
    assert "9998" in page
    assert len(page) < 60_000


async def test_a_vaccine_is_given_in_three_actions_and_counts_at_once(sage: Client, otto: Records) -> None:
    page = await sage.get("/patients/otto/immunizations")
    link = re.search(r'href="(/patients/otto/immunizations/give\?cvx=(\w+))"', page.text)
    assert link
    form = await sage.get(link[1])
    assert f'<option value="{link[2]}" selected>' in form.text
    assert (await given(sage)).status_code == 303
    [new] = [one for one in await stored(otto) if one["occurrenceDateTime"] == "2026-11-18"]
    assert (new["lotNumber"], new["expirationDate"], new["education"][0]["publicationDate"]) == (
        "A1",
        "2027-03-31",
        "2025-01-31",
    )
    assert not re.search(r"MMR, dose 2", (await sage.get("/patients/otto/immunizations")).text)


async def test_a_dose_from_the_shelf_is_taken_from_it(
    sage: Client, otto: Records, database: Database, clock: Clock
) -> None:
    mine = Records(database, replace(clinician(), org=await _org(database)), clock)
    lot = await lots.receive(
        mine, lots.NewLot("03", "MMR", "MSD", "S1", clock.now.date().replace(year=2027), "private", 3)
    )
    page = await sage.get("/patients/otto/immunizations/give?cvx=03")
    assert f'value="{lot.id}" checked' in page.text
    assert (await given(sage, lot=lot.id, lot_number="", expires="")).status_code == 303
    assert (await lots.one(mine, lot.id))[0].doses == 2
    [new] = [one for one in await stored(otto) if one.get("lotNumber") == "S1"]
    assert new["manufacturer"]["identifier"]["value"] == "MSD"


async def _org(database: Database) -> str:
    async with database.single() as conn:
        row = await (
            await conn.execute(
                "SELECT m.org FROM membership m JOIN app_user u ON u.id = m.actor WHERE u.login = 'sage'"
            )
        ).fetchone()
    return str(row[0]) if row else ""


@pytest.mark.parametrize(
    ("wrong", "said"),
    [
        ({"expires": "2026-11-17"}, "expired on 17-Nov-2026"),
        ({"when": "2023-12-20"}, "dose or event of"),
        ({"vaccine": "21", "when": "2023-12-20"}, "live vaccines need 28 days"),
    ],
    ids=["expired lot", "too soon", "live virus"],
)
async def test_what_speaks_against_it_stops_it_until_a_reason_is_given(
    sage: Client, otto: Records, wrong: dict[str, str], said: str
) -> None:
    before = len(await stored(otto))
    answer = await given(sage, **wrong)
    assert answer.status_code == 409
    assert said in answer.text
    assert 'href="#override"' in answer.text
    assert len(await stored(otto)) == before
    assert (await overridden(sage, "given already at school", **wrong)).status_code == 303
    assert {(state, why) for _, state, why in await events(otto)} == {
        ("overridden", "given already at school")
    }
    [kept] = [
        one["note"][0]["text"]
        for one in await stored(otto)
        if "given already at school" in str(one.get("note"))
    ]
    assert said in kept
    assert "no known allergies" in kept


async def test_a_reason_typed_up_front_is_asked_for_again(sage: Client, otto: Records) -> None:
    before = len(await stored(otto))
    answer = await given(sage, expires="2026-11-17", override="it is fine")
    assert answer.status_code == 409
    assert "it is fine" not in answer.text
    # nor does a reason given for one thing do for another
    seen = seen_of(answer)
    other = await given(sage, vaccine="21", when="2023-12-20", alerts_seen=seen, override="it is fine")
    assert other.status_code == 409
    guessed = await given(sage, when="2023-12-20", alerts_seen="0" * 32, override="it is fine")
    assert guessed.status_code == 409
    assert len(await stored(otto)) == before
    assert {state for _, state, _ in await events(otto)} == {"shown"}


async def test_giving_something_else_instead_is_a_stop_accepted(sage: Client, otto: Records) -> None:
    assert (await given(sage, expires="2026-11-17")).status_code == 409
    assert (await given(sage)).status_code == 303
    assert {state for _, state, _ in await events(otto)} == {"changed"}


async def allergies(records: Records) -> list[dict[str, Any]]:
    page = await records.search(parse("AllergyIntolerance", [("patient", "otto")]))
    return [json.decode(one.body or b"{}") for one in page.matches]


async def test_no_known_allergies_is_kept_as_a_fact_once(sage: Client, otto: Records) -> None:
    assert (await given(sage)).status_code == 303
    (kept,) = await allergies(otto)
    assert kept["code"]["coding"] == [{"system": "http://snomed.info/sct", "code": "716186003"}]
    assert (await given(sage, vaccine="21")).status_code == 303
    assert len(await allergies(otto)) == 1


async def test_none_is_not_taken_for_an_answer_where_allergies_are_recorded(
    sage: Client, otto: Records
) -> None:
    await otto.commit([Put(validate(allergy("pen", "Penicillin", "otto")), "pen")])
    answer = await given(sage)
    assert answer.status_code == 422
    assert "Allergies are recorded" in answer.text
    assert (await given(sage, allergies="recorded")).status_code == 303
    assert len(await allergies(otto)) == 1


async def test_an_expired_lot_that_was_given_is_sub_standard_and_forecast_again(
    sage: Client, otto: Records
) -> None:
    await overridden(sage, "it was given already", expires="2026-11-17")
    page = (await sage.get("/patients/otto/immunizations")).text
    assert "Sub-standard" in page
    assert "MMR, dose 2" in page


@pytest.mark.parametrize(
    ("wrong", "field"),
    [({"lot_number": ""}, "lot_number"), ({"when": "2027-01-01"}, "when"), ({"site": ""}, "site"), ({"allergies": ""}, "allergies"),
     ({"funding": "vfc"}, "eligibility"), ({"vaccine": "0"}, "vaccine")],
    ids=["lot", "future", "site", "allergies", "vfc", "vaccine"],
)  # fmt: skip
async def test_a_form_that_is_not_complete_says_where(
    sage: Client, otto: Records, wrong: dict[str, str], field: str
) -> None:
    answer = await given(sage, **wrong)
    assert answer.status_code == 422
    assert f'href="#{field}"' in answer.text


async def test_a_refusal_is_kept_with_its_reason_and_its_end(sage: Client, otto: Records) -> None:
    page = await sage.get("/patients/otto/immunizations/refuse?cvx=03")
    sent = {"csrf": token_of(page), "vaccine": "03", "reason": "PATOBJ", "until": "2026-11-18", "note": ""}
    assert (await sage.post("/patients/otto/immunizations/refuse", data=sent)).status_code == 422
    answer = await sage.post("/patients/otto/immunizations/refuse", data=sent | {"until": "2027-02-01"})
    assert answer.status_code == 303
    page = await sage.get("/patients/otto/immunizations")
    assert "Patient or parent declined; until 31-Jan-2027" in page.text


async def test_the_card_is_a_pdf_that_is_audited(sage: Client, otto: Records, database: Database) -> None:
    answer = await sage.get("/patients/otto/immunizations/card.pdf")
    assert (answer.status_code, answer.headers["content-type"]) == (200, "application/pdf")
    assert answer.content.startswith(b"%PDF-")
    async with database.single() as conn:
        row = await (await conn.execute("SELECT patients FROM audit WHERE action = 'print'")).fetchone()
    assert row == (["otto"],)


async def test_the_past_judges_nothing(sage: Client, otto: Records, clock: Clock) -> None:
    clock.advance(days=3)
    page = await sage.get("/patients/otto/immunizations?as_of=2026-11-18")
    assert page.status_code in (200, 303)
    assert "Could be given today" not in page.text


async def test_the_front_desk_may_neither_see_nor_give(sign_in: SignIn, otto: Records) -> None:
    desk = await sign_in("desk")
    assert (await desk.get("/patients/otto/immunizations/give")).status_code == 403
    assert (await desk.get("/patients/otto/immunizations/card.pdf")).status_code == 403


async def test_schedules_are_compared_and_chosen_by_an_administrator(
    sage: Client, sign_in: SignIn, otto: Records, database: Database, clock: Clock
) -> None:
    boxed = packs.found(packs.BUILT_IN)
    other = replace(boxed, name="aap-2026", source=replace(boxed.source, authority="AAP", version="2026"))
    await schedules.install(Records(database, administrator(), clock), other, "5 passed, 0 failed")
    page = await sage.get("/schedules")
    assert "5 passed, 0 failed" in page.text
    assert 'action="/schedules"' not in page.text
    assert (
        "The two say the same" in (await sage.get(f"/schedules/compare?a={packs.BUILT_IN}&b=aap-2026")).text
    )
    told = await sage.get("/patients/otto/immunizations/compare?with=aap-2026")
    assert "AAP 2026" in told.text
    root = await sign_in("root")
    page = await root.get("/schedules")
    sent = {"csrf": token_of(page), "name": "aap-2026", "effective": "2026-11-17"}
    assert "today or a later day" in (await root.post("/schedules", data=sent)).text
    assert (await root.post("/schedules", data=sent | {"effective": "2026-11-18"})).status_code == 303
    assert "AAP 2026" in (await sage.get("/patients/otto/immunizations")).text
