"""What the policy and the audit trail cost on reads, and whether a forbidden id can be told from an unknown one by time.

uv run python benchmarks/bench_policy.py --patients 500 --each 20

Ratios are against the program's own acts, whose statement is the one that there was before there was a policy.
"""

from __future__ import annotations

import argparse
import asyncio
import math
import random
import statistics
import tempfile
import time
from collections.abc import Awaitable, Callable
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from commonchart.access.actors import Actor
from commonchart.access.records import Put, Records, read_statement
from commonchart.fhir.outcome import NotFound
from commonchart.fhir.validate import validate
from commonchart.record.database import Database
from commonchart.record.embedded import Embedded
from commonchart.record.upgrade import migrate
from commonchart.search.compile import Statement
from commonchart.search.compile import compile as compiled
from commonchart.search.query import parse

PAIRS = 200
LEVEL = 0.01


def now() -> datetime:
    return datetime.now(UTC)


def observation(patient: int, n: int) -> dict[str, Any]:
    return {
        "resourceType": "Observation", "id": f"o-{patient}-{n}", "status": "final",
        "subject": {"reference": f"Patient/p{patient}"}, "effectiveDateTime": f"2026-0{n % 9 + 1}-01",
        "code": {"coding": [{"system": "http://loinc.org", "code": "4548-4" if n % 4 == 0 else "2345-7"}]},
    }  # fmt: skip


async def filled(database: Database, patients: int, each: int) -> None:
    for org in ("alder", "birch"):
        loader = Records(database, Actor(1, "load", "L", "system", org, "cli"), now)
        for p in range(0 if org == "alder" else 1, patients, 2):
            referral: dict[str, Any] = {
                "resourceType": "ServiceRequest", "id": f"r{p}", "status": "active", "intent": "order",
                "subject": {"reference": f"Patient/p{p}"}, "authoredOn": now().date().isoformat(),
                "performer": [{"reference": "Organization/alder"}],
            }  # fmt: skip
            bodies = [{"resourceType": "Patient", "id": f"p{p}", "name": [{"family": f"F{p}"}]}]
            bodies += [observation(p, n) for n in range(each)]
            bodies += [referral] if p % 4 == 1 else []
            await loader.commit([Put(validate(body), body["id"]) for body in bodies])
    async with database.dedicated(owner=True) as conn:
        await conn.execute("VACUUM ANALYZE")


ACTORS = {
    "program (as before)": Actor(1, "load", "L", "system", "alder", "cli"),
    "practice, clinician": Actor(1, "doc", "D", "clinician", "alder", "bench", network=False),
    "network, own record": Actor(1, "doc", "D", "clinician", "alder", "bench", network=True),
    "network, by relationship": Actor(1, "doc", "D", "clinician", "alder", "bench", network=True),
}


async def timed(times: int, what: Callable[[int], Awaitable[Any]]) -> list[float]:
    out = []
    for n in range(times):
        began = time.perf_counter()
        await what(n)
        out.append((time.perf_counter() - began) * 1000)
    return out


async def costs(database: Database, patients: int, each: int, rounds: int) -> None:
    chosen = {name: (1 if "relationship" in name else 0) for name in ACTORS}
    ways: dict[str, Callable[[Records, int], Awaitable[Any]]] = {
        "read": lambda records, p: records.read("Observation", f"o-{p}-{p % each}"),
        "search of a patient": lambda records, p: records.search(parse("Observation", [("patient", f"p{p}"), ("_count", "20")])),
        "search by code": lambda records, p: records.search(parse("Observation", [("code", "http://loinc.org|4548-4"), ("_count", "50")])),
        "count by code": lambda records, p: records.search(parse("Observation", [("code", "http://loinc.org|4548-4"), ("_summary", "count")])),
    }  # fmt: skip
    for way, run in ways.items():
        found: dict[str, list[float]] = {name: [] for name in ACTORS}
        for turn in range(rounds):  # in turns, so that what else the machine does falls on all alike
            for name, actor in ACTORS.items():
                records = Records(database, actor, now)
                p = lambda n, base=chosen[name]: (4 * (n + 7 * turn) + base) % patients  # noqa: B023, E731
                found[name] += (await timed(25, lambda n: run(records, p(n))))[5:]  # noqa: B023
        first = statistics.median(found["program (as before)"])
        for name, times in found.items():
            median = statistics.median(times)
            print(f"{way:22} {name:26} {median:7.3f} ms  {median / first:5.2f}")


async def walled(url: str, database: Database, patients: int, each: int, rounds: int) -> None:
    """The same statements of a clinician within their bounds, and as the owner whom no policy of the tables binds."""
    records = Records(database, ACTORS["practice, clinician"], now)
    owner = await Database.open(url, owner=True)
    query = parse("Observation", [("code", "http://loinc.org|4548-4"), ("_count", "50")])
    ways: dict[str, Callable[[int], Statement]] = {
        "read": lambda n: read_statement(records.readable, "Observation", f"o-{n % patients}-{n % each}"),
        "search of a patient": lambda n: compiled(parse("Observation", [("patient", f"p{n % patients}"), ("_count", "20")]), records.visible),
        "search by code": lambda n: compiled(query, records.visible),
    }  # fmt: skip
    for way, made in ways.items():
        found: dict[str, list[float]] = {"behind the wall": [], "without it": []}
        for _ in range(rounds):
            for name, used in (("behind the wall", records.database), ("without it", owner)):

                async def one(n: int) -> None:
                    asked = made(n)  # noqa: B023
                    async with used.single() as conn:  # noqa: B023
                        await conn.fetch(asked.sql, asked.args)

                found[name] += (await timed(45, one))[5:]
        behind, without = (statistics.median(times) for times in found.values())
        print(
            f"{way:22} behind the second wall {behind:.3f} ms, without {without:.3f} ms: {behind / without:.2f}"
        )
    await owner.close()


async def audited(database: Database, patients: int, each: int, rounds: int) -> None:
    """A read of the program with its audit row, against the same statement alone."""
    records = Records(database, ACTORS["practice, clinician"], now)

    async def bare(n: int) -> None:
        asked = read_statement(records.readable, "Observation", f"o-{n % patients}-{n % each}")
        async with records.database.single() as conn:
            await conn.fetch(asked.sql, asked.args)

    with_row, without = list[float](), list[float]()
    for _ in range(rounds):
        without += (await timed(105, bare))[5:]
        with_row += (await timed(105, lambda n: records.read("Observation", f"o-{n % patients}-{n % each}")))[
            5:
        ]
    ratio = statistics.median(with_row) / statistics.median(without)
    print(
        f"a read with its audit row {statistics.median(with_row):.3f} ms, without {statistics.median(without):.3f} ms: {ratio:.2f}"
    )


def mann_whitney(a: list[float], b: list[float]) -> float:
    """The two-sided p of the Mann-Whitney U test, normal approximation with ties (n >= 20)."""
    ranked = sorted([(x, 0) for x in a] + [(x, 1) for x in b])
    ranks, ties, n = [0.0] * len(ranked), 0.0, 0
    while n < len(ranked):
        m = n
        while m + 1 < len(ranked) and ranked[m + 1][0] == ranked[n][0]:
            m += 1
        for k in range(n, m + 1):
            ranks[k] = (n + m) / 2 + 1
        ties += (m - n + 1) ** 3 - (m - n + 1)
        n = m + 1
    sum_a = sum(rank for rank, (_, which) in zip(ranks, ranked, strict=True) if which == 0)
    size_a, size_b, total = len(a), len(b), len(ranked)
    u = sum_a - size_a * (size_a + 1) / 2
    spread = math.sqrt(size_a * size_b / 12 * (total + 1 - ties / (total * (total - 1))))
    return math.erfc(abs(u - size_a * size_b / 2) / spread / math.sqrt(2)) if spread else 1.0


async def told_apart(database: Database, patients: int) -> float:
    """p of the times of a forbidden and an unknown id, in interleaved pairs."""
    records = Records(database, Actor(1, "doc", "D", "clinician", "cedar", "bench", network=True), now)

    async def miss(id: str) -> None:
        try:
            await records.read("Observation", id)
        except NotFound:
            return
        raise AssertionError("it is seen")

    forbidden, unknown = list[float](), list[float]()
    for n in range(20):
        await miss(f"o-{n}-0")
    for n in range(PAIRS):
        pair = [(f"o-{n % patients}-1", forbidden), (f"x-{n % patients}-1", unknown)]
        random.shuffle(pair)
        for id, times in pair:
            times += await timed(1, lambda _, id=id: miss(id))  # type: ignore[misc]
    print(f"forbidden {statistics.median(forbidden):.3f} ms, unknown {statistics.median(unknown):.3f} ms")
    return mann_whitney(forbidden, unknown)


async def run(url: str, asked: argparse.Namespace) -> None:
    database = await Database.open(url)
    await filled(database, asked.patients, asked.each)
    await costs(database, asked.patients, asked.each, asked.rounds)
    await walled(url, database, asked.patients, asked.each, asked.rounds)
    await audited(database, asked.patients, asked.each, asked.rounds)
    p = await told_apart(database, asked.patients)
    print(f"{PAIRS} pairs, Mann-Whitney p = {p:.3f}: {'not told apart' if p > LEVEL else 'TOLD APART'}")
    await database.close()


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--patients", type=int, default=500)
    parser.add_argument("--each", type=int, default=20)
    parser.add_argument("--rounds", type=int, default=10)
    asked = parser.parse_args()
    folder = Path(tempfile.mkdtemp(prefix="commonchart-policy-"))
    folder.chmod(0o711)
    embedded = Embedded(folder / "data", durable=False)
    try:
        url = embedded.start()
        migrate(url)
        asyncio.run(run(url, asked))
    finally:
        embedded.stop()


if __name__ == "__main__":
    main()
