"""CPU of the immunization engine: per patient over the published cases (all antigens), and for a history of 40 doses.

    uv run --frozen python benchmarks/bench_immunizations.py [CASES.jsonl]

One process, one core. CPU, not wall time, and the best of several rounds: others use the machine too.
"""

from __future__ import annotations

import gc
import sys
import time
from collections.abc import Callable
from datetime import date, timedelta
from pathlib import Path

from commonchart.care.immunizations import cases
from commonchart.care.immunizations.answer import Dose, Person
from commonchart.care.immunizations.evaluate import evaluate
from commonchart.care.immunizations.pack import load

CASES = Path(__file__).resolve().parents[2] / "shared" / "data" / "cdsi" / "testcases.jsonl"
ROUNDS = 7
BORN = date(2012, 3, 5)
PLAN = (
    ("08", (0, 30, 190)), ("20", (61, 122, 184, 460, 1500)), ("10", (61, 122, 184, 1500)), ("49", (61, 122, 380)),
    ("133", (61, 122, 184, 380)), ("116", (61, 122, 184)), ("03", (370, 1500)), ("21", (370, 1500)), ("83", (370, 570)),
    ("150", tuple(210 + 365 * n for n in range(9))), ("115", (4100,)), ("165", (4100, 4300)), ("114", (4100,)), ("208", (4400,)),
)  # fmt: skip


def forty() -> list[Dose]:
    """A well vaccinated fourteen-year-old."""
    days = [(cvx, day) for cvx, given in PLAN for day in given]
    return [Dose(str(n), cvx, BORN + timedelta(days=day)) for n, (cvx, day) in enumerate(days)]


def best(run: Callable[[], object], count: int) -> float:
    """Milliseconds of CPU a patient, the best of the rounds."""
    found = []
    for _ in range(ROUNDS):
        start = time.process_time()
        run()
        found.append((time.process_time() - start) * 1000 / count)
    return min(found)


def main() -> None:
    schedule = load()
    doses = forty()
    gc.freeze()
    path = Path(sys.argv[1]) if len(sys.argv) > 1 else CASES
    if path.is_file():
        known = list(cases.read(path.open("rb")))
        ms = best(lambda: [cases.assessed(case, schedule) for case in known], len(known))
        print(f"{len(known)} published cases, all antigens: {ms:.2f} ms CPU a patient")
    person = Person(BORN, "female")
    ms = best(lambda: [evaluate(person, doses, [], schedule, date(2026, 11, 25)) for _ in range(50)], 50)
    print(f"one history of {len(doses)} doses: {ms:.2f} ms CPU")


if __name__ == "__main__":
    main()
