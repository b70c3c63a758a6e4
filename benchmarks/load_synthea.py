"""`commonchart load` of the Synthea files: resources per second, peak memory, database size; then the due lists.

uv run python benchmarks/load_synthea.py [FOLDER]
"""

from __future__ import annotations

import argparse
import os
import resource
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import NamedTuple

import places
import psycopg

PROGRAM = (sys.executable, "-c", "from commonchart.cli import main; main()")


class Run(NamedTuple):
    """Seconds, CPU seconds of the processes started, the most memory they held together, what was printed."""

    seconds: float
    cpu: float
    peak_mb: float
    text: str


def run(*words: str, url: str, data: str) -> Run:
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    began, peak = time.perf_counter(), 0
    with tempfile.TemporaryFile("w+") as out:
        process = subprocess.Popen(
            [*PROGRAM, *words, "--data", data],
            env={**os.environ, "DATABASE_URL": url}, stdout=out, stderr=subprocess.DEVNULL,
        )  # fmt: skip
        while process.poll() is None:
            peak = max(peak, places.resident(process.pid))
            time.sleep(0.1)
        out.seek(0)
        text = out.read()
    if process.returncode:
        sys.exit(f"{' '.join(words)} ended with {process.returncode}")
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    cpu = after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime
    return Run(time.perf_counter() - began, cpu, peak / 1e6, text)


def counted(url: str, statement: str) -> int:
    with psycopg.connect(url) as conn:
        row = conn.execute(statement).fetchone()  # type: ignore[call-overload]
    assert row
    return int(row[0])


def measure(folder: Path, url: str, data: str) -> None:
    done = run("load", str(folder), url=url, data=data)
    total = next((line for line in done.text.splitlines() if line.startswith("Total")), "")
    print(f"read, stored, unchanged, rejected: {' '.join(total.split()[1:])}")
    stored = counted(url, "SELECT count(*) FROM resource")
    read = counted(url, "SELECT count(*) FROM load_entry")
    print(
        f"load: {done.seconds:.1f} s, {read:,} entries, {read / done.seconds:,.0f}/s, {done.cpu:.1f} s CPU without PostgreSQL"
    )
    print(f"peak memory of its processes together: {done.peak_mb:.0f} MB")
    size = places.size(url)
    print(f"database: {size / 1e6:.0f} MB for {stored:,} resources, {size / stored:,.0f} bytes each")
    again = run("load", str(folder), url=url, data=data)
    print(f"again: {again.seconds:.1f} s, {counted(url, 'SELECT count(*) FROM history')} versions superseded")
    postgres = places.postmaster(url)
    before = places.cpu_seconds(postgres)
    assessed = run("assess", "--all", url=url, data=data)
    people = max(1, counted(url, "SELECT count(DISTINCT patient) FROM due"))
    beside = places.cpu_seconds(postgres) - before
    print(
        f"due lists: {assessed.seconds:.1f} s for {people} patients, {assessed.cpu * 1000 / people:.1f} ms CPU each, "
        f"and {beside * 1000 / people:.1f} ms of PostgreSQL"
    )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("folder", nargs="?", type=Path, default=places.SHARED / "data" / "synthea")
    asked = parser.parse_args()
    if not asked.folder.exists():
        sys.exit(f"{asked.folder} is not here")
    with places.database("ccbench_synthea") as url, tempfile.TemporaryDirectory() as data:
        measure(asked.folder, url, data)


if __name__ == "__main__":
    main()
