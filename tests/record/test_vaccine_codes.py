"""Vaccine codes of other systems become CVX by the maps a site loaded, and a dose so coded counts."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

import msgspec

from commonchart.access import forecasts
from commonchart.access.records import Put, Records
from commonchart.fhir.validate import validate
from commonchart.record.database import Database
from commonchart.record.vaccine_codes import to_cvx
from tests.actors import clinician
from tests.conftest import Clock

NDC = "http://hl7.org/fhir/sid/ndc"


def mapped(code: str, to: str, equivalence: str = "equivalent", **more: Any) -> dict[str, Any]:
    return {"code": code, "target": [{"code": to, "equivalence": equivalence} | more]}


async def load(database: Database, *elements: dict[str, Any], generation: str = "g1") -> None:
    group = {"source": NDC, "target": "http://hl7.org/fhir/sid/cvx", "element": list(elements)}
    body = {
        "resourceType": "ConceptMap",
        "url": f"http://x.example/{generation}",
        "status": "active",
        "group": [group],
    }
    async with database.connection() as conn:
        await conn.execute(
            "INSERT INTO concept_map (url, version, name, body, source, loaded, chosen) VALUES (%s, '1', 'm', %s, 'x', %s, true)",
            (body["url"], msgspec.json.encode(body).decode(), datetime.now(UTC)),
        )
        await conn.execute(
            "INSERT INTO terminology_state (generation) VALUES (%s) ON CONFLICT (one) DO UPDATE SET generation = excluded.generation",
            (generation,),
        )


async def test_sure_lines_are_used_and_others_are_not(database: Database) -> None:
    await load(
        database, mapped("1", "3"), mapped("2", "21", "wider"), mapped("4", "10", "inexact"),
        mapped("5", "10", dependsOn=[{"property": "http://p", "value": "x"}]),
    )  # fmt: skip
    async with database.connection() as conn:
        assert await to_cvx(conn) == {(NDC, "1"): "03", (NDC, "2"): "21"}
    await load(database, mapped("7", "94"), generation="g2")
    async with database.connection() as conn:
        assert (await to_cvx(conn))[NDC, "7"] == "94"


async def test_a_dose_by_its_product_code_counts(database: Database, clock: Clock) -> None:
    await load(database, mapped("00006-4681-00", "03"), generation="g3")
    records = Records(database, clinician(), clock)
    otto = {"resourceType": "Patient", "id": "otto", "birthDate": "2022-07-02", "gender": "male"}
    dose = {
        "resourceType": "Immunization", "id": "m", "status": "completed", "occurrenceDateTime": "2023-12-12",
        "vaccineCode": {"coding": [{"system": NDC, "code": "00006-4681-00"}]}, "patient": {"reference": "Patient/otto"},
    }  # fmt: skip
    await records.commit([Put(validate(otto), "otto"), Put(validate(dose), "m")])
    found = await forecasts.forecast(records, "otto", clock.now.date())
    assert [(one.cvx, one.id) for one in found.facts.doses] == [("03", "Immunization/m")]
