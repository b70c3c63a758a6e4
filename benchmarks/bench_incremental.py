"""From the commit of one new result to its due row, with the worker as it runs in `serve`: the promise is 2 seconds.

uv run python benchmarks/bench_incremental.py [ROUNDS] [PATIENTS]
"""

from __future__ import annotations

import asyncio
import random
import sys
import time
from datetime import UTC, datetime
from decimal import Decimal
from pathlib import Path
from typing import Any

from commonchart.access import users
from commonchart.access.records import Create, Put, Records
from commonchart.demo import practice
from commonchart.fhir.validate import validate
from commonchart.jobs import worker
from commonchart.record.database import Database
from commonchart.record.due import of_patient

from places import database  # isort: skip

DAY = datetime(2026, 11, 18, 10, tzinfo=UTC)


class Clock:
    """The day of the demo, at the speed of the real clock."""

    def __init__(self) -> None:
        self.began = time.monotonic()

    def __call__(self) -> datetime:
        return datetime.fromtimestamp(DAY.timestamp() + time.monotonic() - self.began, UTC)


def main() -> None:
    """Print the seconds from commit to the new due row: median, 95th percentile, worst."""
    given = [int(text) for text in sys.argv[1:3]]
    rounds, patients = (*given, *(40, 60)[len(given) :])
    with database("incremental") as url:
        spent = sorted(asyncio.run(_measured(url, rounds, patients)))
    print(
        f"{rounds} results over {patients} patients: median {spent[len(spent) // 2]:.2f} s, "
        f"p95 {spent[int(len(spent) * 0.95)]:.2f} s, worst {spent[-1]:.2f} s from commit to due row"
    )


async def _measured(url: str, rounds: int, patients: int) -> list[float]:
    held, clock = await Database.open(url), Clock()
    records = Records(held, users.system(1, "bench"), clock)
    people = [await _stored(records, n) for n in range(patients)]
    await worker.drain(held, clock)
    task = asyncio.create_task(worker.run(held, clock=clock, site=worker.Site(Path("/nowhere"))))
    await asyncio.sleep(3)
    out = [await _one(records, random.choice(people), n) for n in range(rounds)]
    task.cancel()
    await asyncio.gather(task, return_exceptions=True)
    await held.close()
    return out


async def _stored(records: Records, n: int) -> str:
    latest = {
        (e.resource["resourceType"], e.resource["id"]): e.resource
        for e in practice.member(n, DAY.date()).entries
    }
    bodies = list(latest.values())
    patient = next(one for one in bodies if one["resourceType"] == "Patient")
    await records.commit([Put(validate(one), one["id"]) for one in [*bodies, _diabetes(patient["id"])]])
    return str(patient["id"])


def _diabetes(patient: str) -> dict[str, Any]:
    coding = {"system": "http://hl7.org/fhir/sid/icd-10-cm", "code": "E11.9"}
    active = {"system": "http://terminology.hl7.org/CodeSystem/condition-clinical", "code": "active"}
    return {
        "resourceType": "Condition", "id": f"bench-{patient}"[:64], "subject": {"reference": f"Patient/{patient}"},
        "clinicalStatus": {"coding": [active]}, "code": {"coding": [coding], "text": "Diabetes"}, "onsetDateTime": "2020-01-01",
    }  # fmt: skip


async def _one(records: Records, patient: str, n: int) -> float:
    """Seconds until the row of HbA1c rests on the new result."""
    value = Decimal(60 + n % 60) / 10
    coding = {"system": "http://loinc.org", "code": "4548-4"}
    quantity = {"value": value, "unit": "%", "system": "http://unitsofmeasure.org", "code": "%"}
    made = {
        "resourceType": "Observation", "status": "final", "code": {"coding": [coding], "text": "HbA1c"},
        "subject": {"reference": f"Patient/{patient}"}, "effectiveDateTime": records.clock().isoformat(), "valueQuantity": quantity,
    }  # fmt: skip
    await asyncio.sleep(random.uniform(0.1, 1.5))
    (written,) = await records.commit([Create(validate(made))])
    began = time.monotonic()
    while True:
        async with records.database.connection() as conn:
            rows = await of_patient(conn, 1, patient)
        if any(written.stored.id in row.why for row in rows if row.rule in ("a1c", "a1c-frail")):
            print(f"{time.monotonic() - began:.2f} s", flush=True)
            return time.monotonic() - began
        if time.monotonic() - began > 30:
            raise RuntimeError("the due row did not follow within 30 s")
        await asyncio.sleep(0.05)


if __name__ == "__main__":
    main()
