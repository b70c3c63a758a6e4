"""The inbox page with `--items` open results of `--patients` people: p50 and p95; and results that the worker judges in a second.

uv run python benchmarks/inbox.py --items 5000
"""

from __future__ import annotations

import argparse
import asyncio
import re
import statistics
import time
from datetime import UTC, datetime
from decimal import Decimal
from typing import Any

import httpx
import places

from commonchart import app, settings
from commonchart.access import users
from commonchart.access.actors import Actor
from commonchart.access.inbox import reading, signing
from commonchart.access.records import Put, Records
from commonchart.fhir.validate import validate
from commonchart.jobs import inbox
from commonchart.record.database import Database

WORD = "a long enough password"
TERM = "http://terminology.hl7.org/CodeSystem/"


def now() -> datetime:
    """The clock."""
    return datetime.now(UTC)


def result(n: int, people: int) -> dict[str, Any]:
    """A potassium: one in fifty critical, one in five abnormal."""
    value = "6.6" if n % 50 == 0 else "5.4" if n % 5 == 0 else "4.2"
    return {
        "resourceType": "Observation", "id": f"k{n}", "status": "final", "effectiveDateTime": now().isoformat(timespec="seconds"),
        "category": [{"coding": [{"system": f"{TERM}observation-category", "code": "laboratory"}]}],
        "code": {"coding": [{"system": "http://loinc.org", "code": "2823-3"}], "text": "Potassium"},
        "subject": {"reference": f"Patient/p{n % people}"},
        "valueQuantity": {"value": Decimal(value), "unit": "mmol/L", "system": "http://unitsofmeasure.org", "code": "mmol/L"},
        "referenceRange": [{"low": {"value": Decimal("3.5")}, "high": {"value": Decimal("5.0")}}],
    }  # fmt: skip


async def filled(database: Database, items: int, people: int) -> None:
    """The people, their results, and the inbox of all of them."""
    loader = Records(database, Actor(1, "lab", "Lab", "system", "lab", "bench"), now)
    persons = [
        {
            "resourceType": "Patient",
            "id": f"p{n}",
            "birthDate": "1960-01-01",
            "name": [{"family": f"Person{n}"}],
        }
        for n in range(people)
    ]
    every = [*persons, *(result(n, people) for n in range(items))]
    for at in range(0, len(every), 500):
        await loader.commit([Put(validate(one), one["id"]) for one in every[at : at + 500]])
    began = time.perf_counter()
    while await inbox.follow(database, now()):
        pass
    print(f"worker: {items / (time.perf_counter() - began):,.0f} results a second")


async def timed(name: str, rounds: int, what: Any) -> None:
    """Print the p50 and p95 of something."""
    for _ in range(3):
        await what()
    took = []
    for _ in range(rounds):
        began = time.perf_counter()
        await what()
        took.append((time.perf_counter() - began) * 1000)
    print(f"{name}: p50 {statistics.median(took):.1f} ms, p95 {statistics.quantiles(took, n=20)[18]:.1f} ms")


async def run(url: str, items: int, people: int) -> None:
    """Everything."""
    database = await Database.open(url, size=4, statement_seconds=0)
    user = await users.create(
        database, tenant=1, login="wren", name="Wren", role="clinician", org="alder", now=now(), password=WORD
    )
    await filled(database, items, people)
    async with database.dedicated(owner=True) as conn:
        await conn.execute("VACUUM ANALYZE")
    records = Records(database, users.actor(user, "bench"), now)
    chosen = settings.Settings(places.BUILD, database_url=url, secret=b"s" * 32)
    transport = httpx.ASGITransport(app.build(chosen, database, now))
    async with httpx.AsyncClient(transport=transport, base_url="http://bench") as client:
        token = re.search(r'name="csrf" value="([^"]+)"', (await client.get("/sign-in")).text)
        fields = {"login": "wren", "password": WORD, "csrf": token[1] if token else "", "next": "/"}
        assert (await client.post("/sign-in", data=fields)).status_code == 303
        for path in (
            "/inbox",
            "/inbox?kind=normal&page=10",
            "/inbox/sign",
            "/patients/p0/inbox/Observation/k0",
            "/patients",
        ):
            page = await client.get(path)
            await timed(
                f"{path} with {items} open, {len(page.content) / 1000:.0f} kB",
                60,
                lambda path=path: client.get(path),
            )
    await timed("the bar of every page", 100, lambda: reading.waiting(records))
    found = await reading.listed(records, batch=True, limit=200)
    began = time.perf_counter()
    asks = [signing.Ask(one.item.patient, one.item.item, one.item.version) for one in found.lines]
    await signing.sign_together(records, asks)
    print(f"signing {len(asks)} together: {(time.perf_counter() - began) * 1000:,.0f} ms")
    await database.close()


def main() -> None:
    """From the command line."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--items", type=int, default=5000)
    parser.add_argument("--patients", type=int, default=500)
    said = parser.parse_args()
    with places.database("ccbench_inbox") as url:
        asyncio.run(run(url, said.items, said.patients))


if __name__ == "__main__":
    main()
