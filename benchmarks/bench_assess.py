"""CPU per patient of the whole rule pack: evidence and assessment, in memory, on the demo practice.

uv run python benchmarks/bench_assess.py
"""

from __future__ import annotations

import time
from datetime import date

from commonchart.care.assess import assess
from commonchart.care.facts import evidence
from commonchart.care.person import person
from commonchart.care.rules import built_in
from commonchart.demo import practice

DAY = date(2026, 11, 18)


def main() -> None:
    """Print milliseconds of CPU per patient, mean and worst."""
    pack, spent = built_in(), []
    for n in range(practice.PATIENTS):
        latest = {
            (e.resource["resourceType"], e.resource["id"]): e.resource
            for e in practice.member(n, DAY).entries
        }
        resources = list(latest.values())
        patient = next(one for one in resources if one["resourceType"] == "Patient")
        began = time.process_time()
        assess(evidence(resources), person(patient, DAY), pack, DAY)
        spent.append((time.process_time() - began) * 1e3)
    spent.sort()
    mean = sum(spent) / len(spent)
    print(
        f"{len(spent)} patients, {len(pack.rules)} rules: mean {mean:.2f} ms, median {spent[len(spent) // 2]:.2f} ms, worst {spent[-1]:.1f} ms CPU"
    )


if __name__ == "__main__":
    main()
