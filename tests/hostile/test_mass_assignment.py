"""Fields that nobody offered, and references that lead in circles (hostile list D1, D9)."""

from __future__ import annotations

import time

from starlette.applications import Starlette

from commonchart.fhir import json
from commonchart.record.database import Database
from tests.conftest import Clock
from tests.hostile.conftest import SignedIn, filled, forms, program_of
from tests.hostile.test_search_sees_nothing_more import put
from tests.web.conftest import token_of
from tests.web.people import about, concept, reading

FORGED = {
    "role": "administrator", "tenant": "2", "org": "birch", "actor": "root", "user": "root", "author": "Practitioner/root", "recorder": "Practitioner/root",
    "practitioner": "root", "patient": "late", "subject": "Patient/late", "id": "forged", "vid": "99", "version": "99", "versionId": "99",
    "status": "final", "verified": "true", "issued": "1999-01-01", "signature": "x", "active": "false", "network": "false", "meta.security": "",
    "recorded": "1999-01-01", "lastUpdated": "1999-01-01",
}  # fmt: skip


async def test_no_form_takes_a_field_that_it_does_not_show(
    whole: Starlette, signed_in: SignedIn, database: Database
) -> None:
    """Whatever is sent along with a form changes nobody's role or tenant, writes for nobody else and in nobody else's chart."""
    sage = await signed_in("sage")
    csrf = token_of(await sage.get("/account"))
    before = await _users(database)
    for path in forms(whole):
        if path == "/sign-out" or path.startswith(("/me/", "/account/sessions")):
            continue
        answer = await sage.post(filled(path), data=FORGED | {"csrf": csrf})
        assert answer.status_code < 500, path
    assert await _users(database) == before
    async with database.single() as conn:
        written = await conn.fetch(
            "SELECT DISTINCT tenant, org, actor FROM resource WHERE recorded >= (SELECT max(recorded) FROM resource) "
            "AND actor <> 'loader' AND rtype <> 'Organization'", ()
        )  # fmt: skip
        late = await conn.fetch(
            "SELECT count(*) FROM resource WHERE patient = 'late' AND rtype <> 'Patient'", ()
        )
        acts = await conn.fetch("SELECT DISTINCT tenant, org FROM audit WHERE client = 'web'", ())
    assert {(row[0], row[1]) for row in written} <= {(1, "alder")}
    assert late[0][0] == 0
    assert {(row[0], row[1]) for row in acts} == {(1, "alder")}


async def _users(database: Database) -> list[tuple[object, ...]]:
    async with database.single() as conn:
        rows = await conn.fetch(
            "SELECT u.id, u.tenant, u.login, m.role, m.org, u.patient, u.active, m.since, m.ended FROM app_user u "
            "LEFT JOIN membership m ON m.actor = u.id ORDER BY u.id, m.id",
            (),
        )
    return [tuple(row) for row in rows]


async def test_what_the_server_keeps_is_not_taken_from_a_body(
    whole: Starlette, database: Database, clock: Clock
) -> None:
    client = await program_of(whole, database, clock, "doc", role="clinician", org="alder")
    meta = {
        "versionId": "99",
        "lastUpdated": "1999-01-01T00:00:00Z",
        "tag": [{"system": "tenant", "code": "2"}],
    }
    body = reading("h5", "HbA1c", "4548-4", "2026-05-06", "8.4", "%") | {"id": "forged", "meta": meta}
    kind = {"content-type": "application/fhir+json"}
    made = await client.post("/fhir/Observation", content=json.encode(body), headers=kind)
    assert made.status_code == 201
    stored = (await client.get(made.headers["location"])).json()
    assert stored["id"] != "forged"
    assert stored["meta"]["versionId"] == "1"
    assert stored["meta"]["lastUpdated"].startswith("2026-11-18")
    async with database.single() as conn:
        rows = await conn.fetch("SELECT tenant, org FROM resource WHERE id = %s", (stored["id"],))
    assert [tuple(row) for row in rows] == [(1, "alder")]
    other = await client.put(f"/fhir/Observation/{stored['id']}", json=stored | {"id": "h5"})
    assert other.status_code == 400
    await client.aclose()


async def test_references_to_oneself_in_circles_and_by_thousands_are_bounded(
    whole: Starlette, database: Database, clock: Clock
) -> None:
    client = await program_of(whole, database, clock, "load", role="system", org="alder")
    panel = about(
        "Observation",
        "self",
        status="final",
        code=concept("Panel"),
        hasMember=[{"reference": "Observation/self"}],
    )
    inside = [
        {"resourceType": "Observation", "id": one, "status": "final", "code": concept("x"), "hasMember": [{"reference": f"#{other}"}]}
        for one, other in (("a", "b"), ("b", "a"))
    ]  # fmt: skip
    many = [{"reference": f"Observation/h{n % 6}"} for n in range(10_000)]
    await put(client, panel)
    for body in (
        about(
            "Observation",
            "circle",
            status="final",
            code=concept("x"),
            contained=inside,
            hasMember=[{"reference": "#a"}],
        ),
        about("Observation", "many", status="final", code=concept("x"), hasMember=many),
    ):
        began = time.monotonic()
        answer = await client.put(f"/fhir/Observation/{body['id']}", json=body)
        assert answer.status_code in (200, 201, 400, 422), answer.text[:300]
        assert time.monotonic() - began < 20
    for address in (
        "Observation?_id=self&_include:iterate=Observation:has-member&_revinclude:iterate=Observation:has-member",
        "Observation/self/_history", "Patient/ines/$everything", "Observation?has-member.has-member.has-member=Observation/self",
    ):  # fmt: skip
        assert (await client.get(f"/fhir/{address}")).status_code == 200, address
    gone = await client.delete("/fhir/Patient/ines")
    assert gone.status_code == 409
    await client.aclose()
