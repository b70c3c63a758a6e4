"""Profiles at the door: told, refused or not looked at as the site decides; $validate with packages and terminology."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

import pytest

from commonchart.access import profiles
from commonchart.record import packages, site
from commonchart.record.database import Database
from tests.fhir.package import NEEDLE, SET, profile, tgz
from tests.rest.conftest import Client

NOW = datetime(2026, 3, 4, tzinfo=UTC)
US = "http://hl7.org/fhir/us/core/StructureDefinition/us-core-patient"
TOLD = {"prefer": "return=OperationOutcome"}


def stating(url: str = US, **more: Any) -> dict[str, Any]:
    return {"resourceType": "Patient", "meta": {"profile": [url]}, "gender": "female", **more}


async def decide(database: Database, how: str) -> None:
    async with database.connection() as conn:
        await site.put(conn, 1, profiles.PROFILES, how)


async def add(database: Database, *resources: dict[str, Any]) -> None:
    async with database.connection() as conn:
        await packages.add(conn, 1, tgz(*resources), "test.tgz", NOW)


def extension(url: str) -> dict[str, Any]:
    element = [{"id": "Extension", "path": "Extension", "isModifier": True}]
    base = "http://hl7.org/fhir/StructureDefinition/Extension"
    return profile(url, type="Extension", baseDefinition=base, differential={"element": element})


def said(answer: Any) -> list[tuple[str, str]]:
    return [(i["severity"], (i.get("expression") or [""])[0]) for i in answer.json()["issue"]]


async def test_a_site_that_has_said_nothing_stores_and_tells(client: Client) -> None:
    answer = await client.post("/fhir/Patient", json=stating(), headers=TOLD)
    assert answer.status_code == 201
    assert ("warning", "Patient.name") in said(answer)
    assert ("warning", "Patient.identifier") in said(answer)


async def test_a_rejecting_site_stores_nothing_that_does_not_fit(client: Client, database: Database) -> None:
    await decide(database, "reject")
    refused = await client.post("/fhir/Patient", json=stating())
    assert refused.status_code == 422
    assert ("error", "Patient.name") in said(refused)
    assert (await client.put("/fhir/Patient/ada", json=stating(id="ada"))).status_code == 422
    entry = {"resource": stating(), "request": {"method": "POST", "url": "Patient"}}
    bundle = {"resourceType": "Bundle", "type": "transaction", "entry": [entry]}
    assert (await client.post("/fhir", json=bundle)).status_code == 422
    assert (await client.get("/fhir/Patient?_summary=count")).json()["total"] == 0
    unstated = {"resourceType": "Patient", "gender": "female"}
    assert (await client.post("/fhir/Patient", json=unstated)).status_code == 201


async def test_a_rejecting_site_refuses_no_profile_that_it_does_not_know(
    client: Client, database: Database
) -> None:
    await decide(database, "reject")
    answer = await client.post("/fhir/Patient", json=stating("http://example.org/unknown"), headers=TOLD)
    assert answer.status_code == 201
    assert "NOT CHECKED: http://example.org/unknown" in answer.text


async def test_where_profiles_are_off_nothing_is_told_and_the_base_still_rejects(
    client: Client, database: Database
) -> None:
    await decide(database, "off")
    assert len(said(await client.post("/fhir/Patient", json=stating(), headers=TOLD))) == 1
    assert (await client.post("/fhir/Patient", json=stating(gender="x"))).status_code == 422


async def test_a_loaded_package_is_used_by_writes_and_validate(client: Client, database: Database) -> None:
    asked = f"/fhir/Patient/$validate?profile={NEEDLE}"
    ada = {"resourceType": "Patient", "gender": "female"}
    before = await client.post(asked, json=ada)
    assert "NOT CHECKED" in before.text
    assert "error" not in [severity for severity, _ in said(before)]
    await add(database, profile())
    assert ("error", "Patient.name") in said(await client.post(asked, json=ada))
    await decide(database, "reject")
    assert (await client.post("/fhir/Patient", json=stating(NEEDLE))).status_code == 422
    fits = stating(NEEDLE, name=[{"family": "Nobody"}])
    assert (await client.post("/fhir/Patient", json=fits)).status_code == 201


@pytest.mark.parametrize(("code", "severity"), [("a", None), ("z", "error")])
async def test_codes_of_a_binding_are_looked_up_in_the_terminology(
    client: Client, database: Database, code: str, severity: str | None
) -> None:
    """The package names a value set by a rule; the site's own terminology can answer it."""
    system = {
        "resourceType": "CodeSystem", "url": "urn:letters", "status": "active", "content": "complete",
        "concept": [{"code": "a"}, {"code": "b"}],
    }  # fmt: skip
    letters = {
        "resourceType": "ValueSet", "url": SET, "status": "active",
        "compose": {"include": [{"system": "urn:letters"}]},
    }  # fmt: skip
    for one in (system, letters):
        assert (await client.post(f"/fhir/{one['resourceType']}", json=one)).status_code == 201
    element = [
        {"id": "Patient", "path": "Patient"},
        {
            "id": "Patient.communication.language",
            "path": "Patient.communication.language",
            "binding": {"strength": "required", "valueSet": SET},
        },
    ]
    await add(database, profile(differential={"element": element}))
    ada = {
        "resourceType": "Patient",
        "communication": [{"language": {"coding": [{"system": "urn:letters", "code": code}]}}],
    }
    answer = await client.post(f"/fhir/Patient/$validate?profile={NEEDLE}", json=ada)
    found = [severity for severity, at in said(answer) if at.startswith("Patient.communication")]
    assert found == ([severity] if severity else [])


async def test_a_rule_that_cannot_be_read_is_no_pass(client: Client, database: Database) -> None:
    rule = {"key": "x-1", "severity": "error", "human": "-", "expression": "name.madeUp()"}
    element = [{"id": "Patient", "path": "Patient", "constraint": [rule]}]
    await add(database, profile(differential={"element": element}))
    answer = await client.post(f"/fhir/Patient/$validate?profile={NEEDLE}", json={"resourceType": "Patient"})
    assert "NOT CHECKED: what the rule x-1 needs" in answer.text


async def test_a_modifier_extension_that_nobody_knows_is_refused_whatever_the_mode(
    client: Client, database: Database
) -> None:
    await decide(database, "off")
    url = "http://example.org/fhir/StructureDefinition/not-this-patient"
    odd = {"resourceType": "Patient", "modifierExtension": [{"url": url, "valueBoolean": True}]}
    refused = await client.post("/fhir/Patient", json=odd)
    assert refused.status_code == 422
    assert "modifier extension" in refused.text
    told = await client.post("/fhir/Patient/$validate", json=odd)
    assert ("error", "Patient.modifierExtension[0].url") in said(told)
    await add(database, extension(url))
    assert (await client.post("/fhir/Patient", json=odd)).status_code == 201


@pytest.mark.parametrize(("code", "expected"), [("M", []), ("made-up", ["warning"])])
async def test_an_extensible_binding_of_r4_is_told_as_a_warning(
    client: Client, code: str, expected: list[str]
) -> None:
    """Patient.maritalStatus is bound to a value set that the box can list."""
    system = "http://terminology.hl7.org/CodeSystem/v3-MaritalStatus"
    married = {"resourceType": "Patient", "maritalStatus": {"coding": [{"system": system, "code": code}]}}
    answer = await client.post("/fhir/Patient/$validate", json=married)
    assert [severity for severity, at in said(answer) if at == "Patient.maritalStatus"] == expected
