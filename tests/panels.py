"""People for registries, made by number: diabetics of all ages with good, bad, old, unreadable and no results."""

from __future__ import annotations

from decimal import Decimal
from typing import Any

from commonchart.access import users
from commonchart.access.records import Put, Records
from commonchart.fhir.validate import validate
from commonchart.jobs import panel, worker
from commonchart.record.database import Database

Resource = dict[str, Any]
TERM = "http://terminology.hl7.org/CodeSystem/"


def person(
    id: str, born: str = "1970-05-10", gender: str = "female", doctor: str = "wrenfield", **more: Any
) -> Resource:
    return {
        "resourceType": "Patient", "id": id, "gender": gender, "birthDate": born,
        "name": [{"use": "official", "family": f"Person-{id}", "given": ["Ada"]}],
        "generalPractitioner": [{"reference": f"Practitioner/{doctor}", "display": doctor.title()}],
    } | more  # fmt: skip


def problem(
    patient: str, code: str = "44054006", system: str = "http://snomed.info/sct", **more: Any
) -> Resource:
    return {
        "resourceType": "Condition", "id": f"{patient}-{code}", "subject": {"reference": f"Patient/{patient}"}, "onsetDateTime": "2014",
        "clinicalStatus": {"coding": [{"system": TERM + "condition-clinical", "code": "active"}]},
        "code": {"coding": [{"system": system, "code": code}], "text": "A problem"},
    } | more  # fmt: skip


def a1c(patient: str, value: str, when: str, unit: str = "%", n: int = 1, status: str = "final") -> Resource:
    quantity: Resource = {"value": Decimal(value)}
    if unit:
        quantity |= {"unit": unit, "system": "http://unitsofmeasure.org", "code": unit}
    return {
        "resourceType": "Observation", "id": f"{patient}-a1c-{n}", "status": status, "subject": {"reference": f"Patient/{patient}"},
        "code": {"coding": [{"system": "http://loinc.org", "code": "4548-4"}], "text": "HbA1c"}, "effectiveDateTime": when,
        "valueQuantity": quantity,
    }  # fmt: skip


def pressure(patient: str, high: int, low: int, when: str) -> Resource:
    def part(code: str, value: int) -> Resource:
        unit = {"unit": "mmHg", "system": "http://unitsofmeasure.org", "code": "mm[Hg]"}
        return {
            "code": {"coding": [{"system": "http://loinc.org", "code": code}]},
            "valueQuantity": {"value": value} | unit,
        }

    return {
        "resourceType": "Observation", "id": f"{patient}-bp", "status": "final", "subject": {"reference": f"Patient/{patient}"},
        "code": {"coding": [{"system": "http://loinc.org", "code": "85354-9"}]}, "effectiveDateTime": when,
        "component": [part("8480-6", high), part("8462-4", low)],
    }  # fmt: skip


def panel_people() -> list[Resource]:
    """Six people with diabetes and one without: good, out of range, alarming, overdue, unreadable, nothing at all."""
    return [
        person("good"), problem("good"), a1c("good", "6.4", "2026-10-01"), a1c("good", "6.6", "2026-04-01", n=2),
        person("high", "1950-02-03", doctor="other"), problem("high"), a1c("high", "8.1", "2026-10-20"), pressure("high", 150, 92, "2026-10-20"),
        person("alarm"), problem("alarm"), a1c("alarm", "11.2", "2026-11-01"),
        person("late", gender="male"), problem("late"), a1c("late", "6.5", "2025-01-01"),
        person("odd"), problem("odd"), a1c("odd", "6.8", "2026-08-01"), a1c("odd", "57", "2026-11-01", unit="", n=2),
        person("none"), problem("none"),
        person("healthy"),
    ]  # fmt: skip


def loader(database: Database, clock: Any, org: str = "alder") -> Records:
    actor = users.system(1, "loader")
    return Records(database, type(actor)(1, "loader", "Loader", "system", org, "test"), clock)


async def put(database: Database, clock: Any, *resources: Resource, org: str = "alder") -> None:
    """Store them, and let the worker follow and count."""
    await loader(database, clock, org).commit([Put(validate(one), one["id"]) for one in resources])
    await worker.drain(database, clock)
    await panel.count(database, clock())
