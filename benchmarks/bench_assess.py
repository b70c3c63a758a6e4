"""CPU per patient of the whole rule pack: evidence and assessment, in memory, on the demo practice.

uv run python benchmarks/bench_assess.py
"""

from __future__ import annotations

import gc
import time
from datetime import date
from typing import Any

from commonchart.care.assess import assess
from commonchart.care.facts import evidence
from commonchart.care.person import person
from commonchart.care.rules import built_in
from commonchart.demo import practice

DAY = date(2026, 11, 18)
ROUNDS = 5


def main() -> None:
    """Print milliseconds of CPU per patient: the best of some rounds for each, so that a busy machine counts less."""
    people = [_resources(n) for n in range(practice.PATIENTS)]
    gc.collect()
    gc.freeze()
    spent = sorted(min(_timed(resources) for _ in range(ROUNDS)) for resources in people)
    mean = sum(spent) / len(spent)
    loaded = sum(map(len, people)) / len(people)
    print(
        f"{len(spent)} patients of {loaded:.0f} resources, {len(built_in().rules)} rules: mean {mean:.2f} ms, "
        f"median {spent[len(spent) // 2]:.2f} ms, worst {spent[-1]:.1f} ms CPU"
    )


def _resources(n: int) -> list[dict[str, Any]]:
    latest = {
        (e.resource["resourceType"], e.resource["id"]): e.resource for e in practice.member(n, DAY).entries
    }
    return list(latest.values())


def _timed(resources: list[dict[str, Any]]) -> float:
    patient = next(one for one in resources if one["resourceType"] == "Patient")
    began = time.process_time()
    assess(evidence(resources), person(patient, DAY), built_in(), DAY)
    return (time.process_time() - began) * 1e3


if __name__ == "__main__":
    main()
