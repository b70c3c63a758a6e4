"""What a label keeps from somebody is at no door, and what somebody is shown is in the trail (hostile list B1, J3).

Birch treats Inés by a referral of Alder's, so that most of her record is open to it; the facts under 42 CFR Part 2 are not.
"""

from __future__ import annotations

import json
from collections.abc import AsyncIterator
from typing import Any

import httpx
import pytest
from starlette.applications import Starlette

from commonchart.access.actors import Actor
from commonchart.access.records import Put, Records
from commonchart.fhir.validate import validate
from commonchart.jobs import worker
from commonchart.record.database import Database
from tests.conftest import Clock
from tests.hostile import doors
from tests.hostile.conftest import SignedIn, filled, pages, program_of
from tests.web.conftest import Client
from tests.web.people import about, concept, condition, reading

CANARY = "Kanarienvogel"
NUMBER = "7731.5"
LABEL = {"security": [{"system": "http://terminology.hl7.org/CodeSystem/v3-ActCode", "code": "ETH"}]}


def hidden() -> list[dict[str, Any]]:
    """Facts of every kind that Part 2 covers, each with something that stands nowhere else."""
    result = reading("cx", f"{CANARY} level", "3426-4", "2026-10-01", NUMBER, "ng/mL")
    return [
        condition("cc", CANARY, "F11.20", "2024"),
        result | {"meta": LABEL},
        about("MedicationRequest", "cm", status="active", intent="order", medicationCodeableConcept=concept(CANARY), authoredOn="2026-01-02", meta=LABEL),
        about("AllergyIntolerance", "ca", code=concept(CANARY), meta=LABEL, clinicalStatus={"coding": [{"system": "http://terminology.hl7.org/CodeSystem/allergyintolerance-clinical", "code": "active"}]}),
        about("Procedure", "cp", status="completed", code=concept(CANARY), performedDateTime="2026-01-02", meta=LABEL),
        about("Immunization", "ci", status="completed", vaccineCode=concept(CANARY, "08", "http://hl7.org/fhir/sid/cvx"), occurrenceDateTime="2026-01-02", meta=LABEL),
        about("DocumentReference", "cd", status="current", type=concept(CANARY), content=[{"attachment": {"title": CANARY, "contentType": "text/plain", "data": "S2FuYXJpZW52b2dlbA=="}}], meta=LABEL),
    ]  # fmt: skip


@pytest.fixture
async def birch(whole: Starlette, database: Database, clock: Clock) -> AsyncIterator[Client]:
    """A clinician of Birch as a program, with the hidden facts stored and the lists worked out."""
    alder = Records(database, Actor(1, "loader", "L", "system", "alder", "test", network=True), clock)
    referral = about("ServiceRequest", "ref", status="active", intent="order", code=concept("Cardiology"),
                     performer=[{"reference": "Organization/birch"}])  # fmt: skip
    stored = [{"resourceType": "Organization", "id": "birch", "name": "Birch"}, referral, *hidden()]
    await alder.commit([Put(validate(body), body["id"]) for body in stored])
    await worker.drain(database, clock)
    client = await program_of(whole, database, clock, "birch-app", role="clinician", org="birch")
    yield client
    await client.aclose()


def addresses() -> list[str]:
    """Every FHIR address that is read, about Inés, with what could let a hidden fact through."""
    out = []
    for opening in doors.of_fhir():
        method, path = opening.split(" ")
        if method not in ("GET",) and not method.startswith("$"):
            continue
        for rtype, id in (
            ("Patient", "ines"),
            ("Observation", "cx"),
            ("Condition", "cc"),
            ("MedicationRequest", "cm"),
        ):
            at = (
                path.replace("/T/id/T", "/Patient/ines/Observation")
                .replace("/T", f"/{rtype}")
                .replace("/id", f"/{id if rtype in path or '/T' in path else 'ines'}")
            )
            at = at.replace("/v", "/1")
            out.append(f"{at}{method if method.startswith('$') else ''}")
    more = [
        "/fhir/Patient?_id=ines&_revinclude=*", "/fhir/Patient?_id=ines&_revinclude=Observation:subject&_revinclude=Condition:subject",
        "/fhir/Patient?_id=ines&_revinclude:iterate=MedicationRequest:subject", f"/fhir/Condition?code:text={CANARY}",
        "/fhir/Observation?code=3426-4", "/fhir/Observation?value-quantity=gt7000", "/fhir/Patient?_has:Observation:subject:code=3426-4",
        "/fhir/Patient?_has:Condition:subject:code=F11.20", "/fhir/Patient/ines/*", "/fhir/Patient/ines/$everything?_type=Condition,Observation",
        "/fhir/Observation/$lastn?patient=ines&max=9", "/fhir/DocumentReference/$docref?patient=ines", f"/fhir?_type=Condition,Observation&_content={CANARY.lower()}",
        "/fhir/Condition?patient=ines&_sort=code&_total=accurate", "/fhir/Observation?patient=ines&_elements=code,valueQuantity&_count=100",
        "/fhir/$graphql?query={ConditionList(patient:%22ines%22){code{text}}}", "/fhir/Patient/ines/$graphql?query={id%20MedicationRequestList(_reference:subject){medicationCodeableConcept{text}}}",
        "/fhir/Patient/ines/$immds-forecast",
    ]  # fmt: skip
    return list(dict.fromkeys([*out, *more]))


def without_links(answer: httpx.Response) -> str:
    """An answer without the links that repeat what was asked."""
    if "json" not in answer.headers.get("content-type", ""):
        return answer.text
    said = answer.json()
    return json.dumps({name: value for name, value in said.items() if name != "link"}, ensure_ascii=False)


async def test_a_restricted_fact_is_at_no_door(birch: Client, signed_in: SignedIn, whole: Starlette) -> None:
    kim = await signed_in("kim", role="clinician", org="birch")
    open_, wrong = 0, []
    for client, path in [(birch, a) for a in addresses()] + [(kim, filled(p)) for p in pages(whole)]:
        answer = await client.get(path)
        shown = without_links(answer)
        open_ += answer.status_code == 200 and ("Hallowbrook" in shown or "HALLOWBROOK" in shown)
        if (
            answer.status_code >= 500
            or CANARY.lower() in shown.lower()
            or NUMBER in shown
            or "F11.20" in shown
        ):
            wrong.append((path, answer.status_code))
    assert wrong == []
    assert open_ > 30, open_  # most of the record is open: what finds nothing here is not blind


async def test_alder_itself_meets_them(
    birch: Client, signed_in: SignedIn, whole: Starlette, database: Database, clock: Clock
) -> None:
    """What the test above looks for can be seen by who may."""
    own = await program_of(whole, database, clock, "alder-app", role="clinician", org="alder")
    sage = await signed_in("sage")
    met = {
        path
        for path in addresses()
        if CANARY in (await own.get(path)).text.replace(f"code:text={CANARY}", "")
    }
    met |= {
        path for path in pages(whole) if "{patient}" in path and CANARY in (await sage.get(filled(path))).text
    }
    await own.aclose()
    assert len(met) > 25, sorted(met)


async def test_every_fhir_answer_about_a_patient_is_in_the_trail(birch: Client, database: Database) -> None:
    """Census: whichever address showed something of Inés, an event names her."""
    wrong, looked = [], 0
    for path in addresses():
        before = await _events(database)
        answer = await birch.get(path)
        of_her = answer.status_code == 200 and any(text in answer.text for text in ("Patient/ines", '"ines"'))
        looked += of_her
        if of_her and await _events(database) == before:
            wrong.append(path)
    assert wrong == []
    assert looked > 15, looked


async def _events(database: Database) -> int:
    async with database.single() as conn:
        rows = await conn.fetch("SELECT count(*) FROM audit WHERE 'ines' = ANY(patients)", ())
    return int(rows[0][0])
