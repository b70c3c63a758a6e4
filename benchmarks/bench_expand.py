"""Expansion and subsumption on 500,000 synthetic concepts with several parents: milliseconds, wall and CPU.

`DATABASE_URL=... .venv/bin/python benchmarks/bench_expand.py [concepts]` on an empty database. CPU is this process's;
PostgreSQL's share is wall less CPU.
"""

from __future__ import annotations

import asyncio
import os
import random
import sys
import time
from collections.abc import Awaitable, Callable
from datetime import UTC, datetime
from typing import Any

from commonchart.record import terminology
from commonchart.record.code_systems import load_system
from commonchart.record.database import Database
from commonchart.record.upgrade import migrate
from commonchart.terminology import value_sets
from commonchart.terminology.systems import CodeSystem, Concept, Designation

URL = "http://example.org/large"


def synthetic(count: int) -> CodeSystem:
    """Words as skewed as language's, one to three parents, synonyms, properties."""
    rng = random.Random(1)
    letters = "aeiou" * 3 + "bcdfghlmnprstv"
    vocabulary = ["".join(rng.choices(letters, k=rng.randint(3, 10))) for _ in range(60_000)]
    common = vocabulary[:2000]

    def text() -> str:
        return " ".join(
            rng.choice(common if rng.random() < 0.7 else vocabulary) for _ in range(rng.randint(2, 6))
        )

    def parents(n: int) -> tuple[str, ...]:
        first = int(n * rng.random() ** 2)
        return tuple(
            {str(first), *(str(int(n * rng.random() ** 3)) for _ in range(rng.choice((0, 0, 0, 1, 2))))}
            - {str(n)}
        )

    concepts = [
        Concept(
            str(n),
            text(),
            parents(n) if n else (),
            (("axis", str(n % 7)),),
            (Designation(text()),),
            n % 40 == 0,
        )
        for n in range(count)
    ]
    return CodeSystem(URL, "1", "Large", concepts)


def value_set(*filters: tuple[str, str, str]) -> value_sets.ValueSet:
    listed = [{"property": p, "op": op, "value": v} for p, op, v in filters]
    return value_sets.read(
        {"resourceType": "ValueSet", "compose": {"include": [{"system": URL, "filter": listed}]}}
    )


async def timed(name: str, run: Callable[[int], Awaitable[Any]], rounds: int = 60) -> None:
    await run(0)
    walls, began_cpu = [], time.process_time()
    for n in range(rounds):
        began = time.perf_counter()
        await run(n)
        walls.append((time.perf_counter() - began) * 1000)
    cpu = (time.process_time() - began_cpu) * 1000 / rounds
    walls.sort()
    print(
        f"{name:58} median {walls[len(walls) // 2]:6.2f}  p95 {walls[int(len(walls) * 0.95)]:6.2f}  cpu {cpu:6.2f} ms",
        flush=True,
    )


async def main() -> None:
    count = int(sys.argv[1]) if len(sys.argv) > 1 else 500_000
    url = os.environ["DATABASE_URL"]
    migrate(url)
    system = synthetic(count)
    database = await Database.open(url, statement_seconds=0)
    began, cpu = time.perf_counter(), time.process_time()
    async with database.connection() as conn:
        await load_system(conn, system, "bench", datetime.now(UTC))
    print(
        f"loaded {count:,} concepts in {time.perf_counter() - began:.0f} s (cpu {time.process_time() - cpu:.0f} s)",
        flush=True,
    )
    async with database.connection() as conn:
        row = await (
            await conn.execute(
                "SELECT pg_total_relation_size('concept'), pg_total_relation_size('concept_set'), (SELECT sum(length(below)) FROM concept)"
            )
        ).fetchone()
    assert row
    table, sets, closure = (int(n) // 2**20 for n in row)
    print(f"size: concepts {table} MB, sets {sets} MB, closure {closure} MB", flush=True)
    texts = [one.display for one in system.concepts[1000:1100]]
    middle = [str(n) for n in range(1, 200)]
    rng = random.Random(2)

    async def expand(found: value_sets.ValueSet, **how: Any) -> None:
        async with database.connection() as conn:
            reader = await terminology.reader(conn, 1)
            await reader.page(await reader.answered(found), **how)

    async def subsumes(n: int) -> None:
        async with database.connection() as conn:
            reader = await terminology.reader(conn, 1)
            chosen = await reader.system(URL)
            await reader.subsumes(chosen, str(rng.randrange(1000)), str(rng.randrange(count)))

    whole = value_set()
    await timed("first page of everything", lambda n: expand(whole, count=20))
    await timed("page at 80 % of everything", lambda n: expand(whole, count=20, offset=int(count * 0.8)))
    await timed("one letter typed", lambda n: expand(whole, text="aeioubcdfg"[n % 10], count=20))
    await timed("three letters typed", lambda n: expand(whole, text=texts[n][:3], count=20))
    await timed("five letters typed", lambda n: expand(whole, text=texts[n][:5], count=20))
    await timed(
        "two beginnings typed",
        lambda n: expand(whole, text=" ".join(w[:4] for w in texts[n].split()[:2]), count=20),
    )
    await timed("is-a, a page", lambda n: expand(value_set(("concept", "is-a", middle[n])), count=20))
    await timed(
        "is-a and text",
        lambda n: expand(value_set(("concept", "is-a", middle[n])), text=texts[n][:3], count=20),
    )
    await timed(
        "is-a, property, active only, text",
        lambda n: expand(
            value_set(("concept", "is-a", middle[n]), ("axis", "in", "1,2,3")),
            text=texts[n][:2],
            count=20,
            active=True,
        ),
    )
    await timed("subsumes", subsumes, 200)
    await database.close()


if __name__ == "__main__":
    asyncio.run(main())
