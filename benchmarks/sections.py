"""Server time and HTML size of each chart section, for the patient with 1,000 visits, among `--scale` patients.

uv run python benchmarks/sections.py --scale 2000
"""

from __future__ import annotations

import argparse
import asyncio
import re
import time
from datetime import UTC, date, datetime

import httpx
import places

from commonchart import app, settings
from commonchart.demo import practice, seed
from commonchart.jobs import worker
from commonchart.record.database import Database

SECTIONS = ("", "timeline", "visits", "conditions", "medications", "allergies", "immunizations", "results", "procedures",
            "family", "documents", "insurance", "contacts")  # fmt: skip
UNTIL = date(2026, 11, 18)


def now() -> datetime:
    return datetime.now(UTC)


async def filled(database: Database, scale: int) -> None:
    """The practice with this many patients, and the whole due table."""
    began = time.perf_counter()
    if await seed.prepare(database, now(), scale):
        async for done, total in seed.seed(database, UNTIL, scale):
            if done % 100 == 0:
                print(f"  seeded {done} of {total}, {time.perf_counter() - began:.0f} s", flush=True)
    assessed = time.perf_counter()
    await worker.drain(database, now)
    print(
        f"{scale} patients: seeding {assessed - began:.0f} s, due lists {time.perf_counter() - assessed:.0f} s"
    )
    async with database.dedicated(owner=True) as conn:
        await conn.set_autocommit(True)
        await conn.execute("VACUUM ANALYZE")


async def signed_in(client: httpx.AsyncClient) -> None:
    page = await client.get("/sign-in")
    token = re.search(r'name="csrf" value="([^"]+)"', page.text) or re.search(
        r'value="([^"]+)"[^>]*name="csrf"', page.text
    )
    account = next(one for one in seed.accounts() if one.role == "clinician")
    fields = {
        "login": account.login,
        "password": account.password,
        "csrf": token[1] if token else "",
        "next": "/",
    }
    answer = await client.post("/sign-in", data=fields)
    assert answer.status_code == 303, answer.status_code


async def timed(client: httpx.AsyncClient, path: str, rounds: int) -> tuple[list[float], int, int]:
    """Milliseconds of each round, bytes of HTML, status."""
    times = []
    for _ in range(rounds + 3):
        began = time.perf_counter()
        answer = await client.get(path)
        times.append((time.perf_counter() - began) * 1000)
    return sorted(times[3:]), len(answer.content), answer.status_code


async def measure(url: str, scale: int, rounds: int) -> int:
    database = await Database.open(url, size=4, statement_seconds=0)
    await filled(database, scale)
    chosen = settings.Settings(places.BUILD, database_url=url, secret=b"s" * 32)
    transport = httpx.ASGITransport(app.build(chosen, database, now))
    slow = 0
    async with httpx.AsyncClient(transport=transport, base_url="http://bench") as client:
        await signed_in(client)
        for n, who in ((practice.HEAVY, "1,000 visits"), (0, "14 years of diabetes")):
            print(f"\n{who}\n{'section':16}{'p50 ms':>9}{'p95 ms':>9}{'HTML kB':>9}")
            for section in SECTIONS:
                path = f"/patients/{practice.patient_id(n)}/{section}".rstrip("/")
                times, length, status = await timed(client, path, rounds)
                p95 = times[int(len(times) * 0.95)]
                slow += p95 > 100 or length > 60_000 or status != 200
                note = "" if status == 200 else f"  status {status}"
                print(
                    f"{section or 'summary':16}{times[len(times) // 2]:9.1f}{p95:9.1f}{length / 1000:9.1f}{note}",
                    flush=True,
                )
        for path in ("/patients", "/patients?q=hallow", "/registry"):
            times, length, status = await timed(client, path, rounds)
            print(
                f"{path:16.16}{times[len(times) // 2]:9.1f}{times[int(len(times) * 0.95)]:9.1f}{length / 1000:9.1f}  status {status}"
            )
    await database.close()
    return slow


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--scale", type=int, default=2000)
    parser.add_argument("--rounds", type=int, default=40)
    parser.add_argument("--keep", action="store_true", help="leave the database for the next time")
    asked = parser.parse_args()
    with places.database(f"ccbench_demo_{asked.scale}", keep=asked.keep) as url:
        slow = asyncio.run(measure(url, asked.scale, asked.rounds))
        print(f"\ndatabase {places.size(url) / 1e6:.0f} MB; {slow} sections over 100 ms (p95) or 60 kB")


if __name__ == "__main__":
    main()
