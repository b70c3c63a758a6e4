"""Emergency look-up and break-glass pages: exact, few, with a reason and the password, and only what the matrix opens."""

from __future__ import annotations

from typing import Any

import pytest

from commonchart.access import users
from commonchart.access.actors import Actor
from commonchart.access.records import Put, Records
from commonchart.fhir.validate import validate
from commonchart.record import site as decisions
from commonchart.record.database import Database
from tests.conftest import Clock
from tests.web.conftest import PASSWORD, Client, SignIn, token_of

WHO = {"family": "Canary", "given": "Yara", "born": "03-Feb-1990"}


@pytest.fixture
async def birch(app: Any, database: Database, clock: Clock, sign_in: SignIn) -> Client:
    """A clinician of another organisation, who has no relation to Yara of Alder."""
    await users.create(
        database,
        tenant=1,
        login="bo",
        name="Bo Birch",
        role="clinician",
        org="birch",
        now=clock(),
        password=PASSWORD,
    )
    async with database.connection() as conn:
        await decisions.put(conn, 1, "mode", "network")
    loader = Records(database, Actor(1, "loader", "L", "system", "alder", "test", network=True), clock)
    yara = {
        "resourceType": "Patient",
        "id": "yara",
        "name": [{"family": "Canary", "given": ["Yara"]}],
        "birthDate": "1990-02-03",
        "telecom": [{"system": "phone", "value": "555-CANARY"}],
    }
    await loader.commit([Put(validate(yara), "yara")])
    return await sign_in("bo")


async def looked(client: Client, **sent: str) -> Any:
    return await client.post("/emergency", data={"csrf": token_of(await client.get("/emergency")), **sent})


async def test_only_an_exact_match_is_found_and_only_its_banner_told(birch: Client) -> None:
    assert (await birch.get("/patients/yara")).status_code == 404
    assert (await birch.get("/emergency/yara")).status_code == 404
    for wrong in ({"given": "Yar"}, {"born": "04-Feb-1990"}, {"family": "Cana%"}):
        assert "Nobody fits exactly" in (await looked(birch, **(WHO | wrong))).text
    page = (await looked(birch, **WHO)).text
    assert 'href="/emergency/yara"' in page
    assert "555-CANARY" not in page
    assert (await looked(birch, family="Canary")).status_code == 422


async def test_ten_an_hour(birch: Client, clock: Clock) -> None:
    for _ in range(10):
        assert (await looked(birch, **WHO)).status_code == 200
    answer = await looked(birch, **WHO)
    assert answer.status_code == 503
    assert 'href="/emergency/yara"' not in answer.text


async def test_reason_and_password_open_it_and_it_ends(birch: Client, clock: Clock) -> None:
    await looked(birch, **WHO)
    clock.advance(minutes=6)
    asked = await birch.get("/emergency/yara")
    assert "stays closed" in asked.text
    assert "Your password again" in asked.text
    form = {
        "csrf": token_of(asked),
        "reason": "Unconscious in the emergency room",
        "proof_password": PASSWORD,
    }
    assert (await birch.post("/emergency/yara", data=form | {"proof_password": ""})).status_code == 403
    wrong = await birch.post("/emergency/yara", data=form | {"proof_password": "wrong password"})
    assert wrong.status_code == 422
    assert 'name="reason" value="Unconscious in the emergency room"' in wrong.text
    assert (await birch.post("/emergency/yara", data=form | {"reason": "x"})).status_code == 422
    assert (await birch.get("/patients/yara")).status_code == 404
    assert (await birch.post("/emergency/yara", data=form)).status_code == 303
    chart = await birch.get("/patients/yara")
    assert chart.status_code == 200
    assert "Break-glass: this record is open to you until" in chart.text
    page = (await birch.get("/emergency")).text
    access = page.split('name="access" value="')[1].split('"')[0]
    await looked(birch, do="end", access=access)
    assert (await birch.get("/patients/yara")).status_code == 404


async def test_what_was_opened_is_reviewed(birch: Client, sign_in: SignIn, clock: Clock) -> None:
    await looked(birch, **WHO)
    asked = await birch.get("/emergency/yara")
    form = {"csrf": token_of(asked), "reason": "Unconscious in the emergency room"}
    await birch.post("/emergency/yara", data=form)
    root = await sign_in("root")
    page = await root.get("/reports/break-glass")
    assert "Unconscious in the emergency room" in page.text
    assert "Bo Birch" in page.text
    assert "<strong>late</strong>" not in page.text
    clock.advance(hours=73)
    root = await sign_in("root")
    page = await root.get("/reports/break-glass")
    assert "<strong>late</strong>" in page.text
    access = page.text.split('name="access" value="')[1].split('"')[0]
    sent = {"csrf": token_of(page), "access": access, "verdict": "justified", "comment": "seen with the ward"}
    assert (await root.post("/reports/break-glass", data=sent | {"comment": " "})).status_code == 422
    assert (await root.post("/reports/break-glass", data=sent)).status_code == 303
    assert "Nothing waits for review" in (await root.get("/reports/break-glass")).text


async def test_only_those_who_answer_for_privacy_review(sage: Client) -> None:
    assert (await sage.get("/reports/break-glass")).status_code == 404


async def test_a_role_without_break_glass_does_not_look(sign_in: SignIn) -> None:
    assert (await (await sign_in("desk")).get("/emergency")).status_code == 403
