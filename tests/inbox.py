"""Results for tests of the inbox: orders, observations and reports as a laboratory sends them, and short ways to act."""

from __future__ import annotations

from datetime import datetime
from decimal import Decimal
from pathlib import Path
from typing import Any

from commonchart.access import users
from commonchart.access.actors import Actor
from commonchart.access.records import Delete, Put, Records
from commonchart.access.users import User
from commonchart.fhir.validate import validate
from commonchart.jobs import inbox, worker
from commonchart.record import site
from commonchart.record.database import Database
from commonchart.record.inbox import alerts, items
from commonchart.record.inbox.alerts import Alert
from commonchart.record.inbox.items import Item
from tests.conftest import Clock

Resource = dict[str, Any]
SITE = worker.Site(Path(), base_url="https://chart.example")
TERM = "http://terminology.hl7.org/CodeSystem/"
POTASSIUM, SODIUM, TSH = "2823-3", "2951-2", "3016-3"
_KNOWN = {
    POTASSIUM: ("Potassium", "mmol/L", "3.5", "5.0"), SODIUM: ("Sodium", "mmol/L", "135", "145"),
    TSH: ("TSH", "m[IU]/L", "0.4", "4.0"),
}  # fmt: skip


def lab(
    id: str,
    code: str = POTASSIUM,
    value: str = "4.2",
    patient: str = "ada",
    taken: str = "2026-11-18T08:20:00Z",
    **more: Any,
) -> Resource:
    """A final laboratory result with its range and no flag."""
    name, unit, low, high = _KNOWN[code]
    made: Resource = {
        "resourceType": "Observation", "id": id, "status": "final",
        "category": [{"coding": [{"system": f"{TERM}observation-category", "code": "laboratory"}]}],
        "code": {"coding": [{"system": "http://loinc.org", "code": code}], "text": name},
        "subject": {"reference": f"Patient/{patient}"}, "effectiveDateTime": taken,
        "valueQuantity": {"value": value, "unit": unit, "system": "http://unitsofmeasure.org", "code": unit},
        "referenceRange": [{"low": {"value": low, "unit": unit}, "high": {"value": high, "unit": unit}}],
    }  # fmt: skip
    for quantity in (made["valueQuantity"], *made["referenceRange"][0].values()):
        quantity["value"] = Decimal(quantity["value"])
    return {key: held for key, held in (made | more).items() if held is not None}


def flagged(code: str) -> list[Resource]:
    """An interpretation."""
    return [{"coding": [{"system": f"{TERM}v3-ObservationInterpretation", "code": code}]}]


def report(id: str, *results: str, patient: str = "ada", status: str = "final", **more: Any) -> Resource:
    """A report that names these Observations."""
    return {
        "resourceType": "DiagnosticReport", "id": id, "status": status, "code": {"text": "Basic metabolic panel"},
        "subject": {"reference": f"Patient/{patient}"}, "effectiveDateTime": "2026-11-18T08:20:00Z", "issued": "2026-11-18T09:50:00Z",
        "result": [{"reference": f"Observation/{one}"} for one in results],
    } | more  # fmt: skip


def patient(id: str = "ada", born: str = "1954-06-09", **more: Any) -> Resource:
    """Somebody of 72."""
    return {
        "resourceType": "Patient", "id": id, "birthDate": born, "gender": "male", "name": [{"family": "Emberlow", "given": [id.title()]}],
    } | more  # fmt: skip


def order(id: str, practitioner: str, patient: str = "ada") -> Resource:
    """An order of a clinician."""
    return {
        "resourceType": "ServiceRequest", "id": id, "status": "active", "intent": "order", "subject": {"reference": f"Patient/{patient}"},
        "code": {"text": "Potassium"}, "requester": {"reference": f"Practitioner/{practitioner}"},
    }  # fmt: skip


class Ward:
    """A site with three clinicians (wren, otto, kim) and an administrator, all of one organisation."""

    def __init__(self, database: Database, clock: Clock) -> None:
        self.database, self.clock = database, clock
        self.users: dict[str, User] = {}
        self.loader = Records(database, Actor(1, "lab", "Lab", "system", "lab", "test", network=False), clock)

    async def open(self) -> Ward:
        """Make the users, and let the inbox begin."""
        for login, role in (
            ("wren", "clinician"),
            ("otto", "clinician"),
            ("kim", "clinician"),
            ("ruth", "administrator"),
            ("mina", "front-desk"),
        ):
            self.users[login] = await users.create(
                self.database, tenant=1, login=login, name=f"{login.title()} Person", role=role, org="alder", now=self.clock(),
                practitioner=f"pr-{login}" if role == "clinician" else None,
            )  # fmt: skip
        people = [
            {"resourceType": "Practitioner", "id": f"pr-{one}", "name": [{"family": one.title()}],
             "telecom": [{"system": "email", "value": f"{one}@alder.example"}]}
            for one in ("wren", "otto", "kim")
        ]  # fmt: skip
        await self.put(patient(), order("o1", "pr-wren"), *people)
        return self

    def as_(self, login: str) -> Records:
        """The records of one of them."""
        return Records(self.database, users.actor(self.users[login], "test"), self.clock)

    async def put(self, *resources: Resource) -> None:
        """Store, and let the worker look."""
        await self.loader.commit([Put(validate(one), one["id"]) for one in resources])
        await self.work()

    async def delete(self, rtype: str, id: str) -> None:
        """Delete, and let the worker look."""
        await self.loader.commit([Delete(rtype, id)])
        await self.work()

    async def work(self) -> None:
        """Everything the worker has to do."""
        while await inbox.drain(self.database, self.clock, SITE):
            pass

    async def item(self, item: str, patient: str = "ada") -> Item | None:
        """The row of an item."""
        async with self.database.single() as conn:
            return await items.read(conn, 1, patient, item)

    async def open_item(self, item: str, patient: str = "ada") -> Item:
        """The row of an item that is there."""
        found = await self.item(item, patient)
        assert found is not None
        return found

    async def alerts(self) -> list[Alert]:
        """Every alert, the oldest first."""
        async with self.database.single() as conn:
            return await alerts.raised(
                conn,
                1,
                datetime.fromisoformat("2000-01-01T00:00Z"),
                datetime.fromisoformat("2100-01-01T00:00Z"),
            )

    async def say(self, **settings: str) -> None:
        """Decisions of the site."""
        async with self.database.single() as conn:
            for key, value in settings.items():
                await site.put(conn, 1, key, value)
