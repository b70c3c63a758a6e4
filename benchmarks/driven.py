"""The FHIR API under the neutral driver, ../shared/tools/fhir_load.py: CPU per request of server and PostgreSQL.

    uv run --with orjson python benchmarks/driven.py [--tests seed,create,read,search,bundle,everything,export]
        [--only read_observation,s_include] [--secs 4] [--conc 8] [--worker] [--profile FILE]

Starts `commonchart serve` on a database of its own (see places.py), makes a token, hands over, and prints a table beside
the aims and Medplum. After the seed it waits until the worker has caught up; then the worker is held still (SIGSTOP), and
creating is measured once more at the end with everything the worker does for it. `--worker` leaves the worker running and
counts it in every line, which `export` needs. `--profile` runs the web process alone, under cProfile.
"""

from __future__ import annotations

import argparse
import asyncio
import gzip
import json
import os
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from typing import Any

import places
import psycopg
from ceiling import PROGRAM, driver

TESTS = "seed,create,update,read,search,bundle,everything"
BUNDLES = 60
CORES = 2

# CPU ms per request (Medplum 5.1: ../shared/specs/storage-measurements.md): line of the driver -> (aim, Medplum)
LINES: dict[str, tuple[float | None, float | None]] = {
    "read_observation": (0.4, 1.5),
    "read_patient": (0.4, 1.5),
    "create_observation": (2.0, 15.0),
    "create, with the worker": (None, 15.0),
    "create_patient": (None, None),
    "update_observation": (None, None),
    "s_obs_patient_code_sort": (1.0, 3.2),
    "s_obs_patient_page50": (None, None),
    "s_obs_code_recent": (None, None),
    "s_obs_patient_daterange": (None, None),
    "s_pat_name_birthdate": (None, 3.6),
    "s_pat_family": (None, None),
    "s_pat_identifier": (None, None),
    "s_chained": (None, None),
    "s_chained_name": (None, None),
    "s_include": (None, 4.3),
    "s_revinclude": (None, 17.2),
    "s_obs_total": (None, None),
    "everything_count1000": (CORES * 1000 / 200, 1000 / 12.5),
}


@contextmanager
def serving(url: str, folder: str, profile: str | None) -> Iterator[tuple[str, str, list[int]]]:
    """The server as (address of the API, a token, the processes to count: all of it, and its web process alone)."""
    env = {**os.environ, "DATABASE_URL": url, "COMMONCHART_LOG_LEVEL": "warning"}
    data = ("--data", folder)
    made = subprocess.run(
        [*PROGRAM, "token", "create", "--role", "administrator", *data],
        env=env, capture_output=True, text=True, check=True,
    )  # fmt: skip
    command = [*PROGRAM, "serve", "--port", "0", *data]
    if profile:
        command = [sys.executable, __file__, "--served", url, folder, "--profile", profile]
    server = subprocess.Popen(command, env=env, stdout=subprocess.PIPE, text=True)
    try:
        assert server.stdout
        address = next((line.split()[1] for line in server.stdout if line.startswith("ready ")), "")
        if not address:
            sys.exit("the server did not start")
        web = server.pid if profile else places.children(server.pid)[0]
        yield f"{address}/fhir", made.stdout.strip(), [server.pid, web]
    finally:
        server.terminate()
        server.wait()


def drive(asked: argparse.Namespace, url: str, folder: str) -> list[dict[str, Any]]:
    """Run the driver: the seed, then all lines while the worker is held still, then creating with the worker at work."""
    tests = asked.tests.split(",")
    with serving(url, folder, asked.profile) as (base, token, (whole, web)):
        run = partial(_driver, asked, url, folder, base, token)
        lines = run(["seed"], web) if "seed" in tests else []
        rest = [test for test in tests if test != "seed"]
        settled(url)
        worker = (
            None if asked.profile or asked.worker else places.children(whole)[-1]
        )  # started after the web processes
        with held(worker):
            lines += run(rest, whole if asked.worker else web) if rest else []
        if worker is not None and "create" in tests:
            lines.append(with_worker(url, (whole, places.postmaster(url)), partial(run, ["create"], whole)))
    return lines


def _driver(
    asked: argparse.Namespace,
    url: str,
    folder: str,
    base: str,
    token: str,
    tests: list[str],
    pid: int,
    only: str = "",
) -> list[dict[str, Any]]:
    """One run of the driver; its lines."""
    out = Path(folder) / "out.json"
    arguments = [
        "--base", base, "--token", token, "--pid", str(pid),
        "--db-pid", str(places.postmaster(url)), "--tests", ",".join(tests), "--conc", asked.conc, "--secs", asked.secs,
        "--npat", asked.npat, "--nobs", asked.nobs, "--warm", asked.warm, "--out", str(out),
        "--state", f"{folder}/state.json", "--seed-type", "transaction",
    ]  # fmt: skip
    wanted = only or asked.only
    arguments += ["--only", wanted] if wanted else []
    if "bundle" in tests:
        arguments += ["--synthea", str(unpacked(Path(folder)))]
    sys.argv[1:] = arguments
    asyncio.run(driver().main())
    lines: list[dict[str, Any]] = json.loads(out.read_text())
    return lines


@contextmanager
def held(worker: int | None) -> Iterator[None]:
    """While the block runs, the worker does nothing: what it costs PostgreSQL is in no line."""
    if worker is not None:
        os.kill(worker, signal.SIGSTOP)
    try:
        yield
    finally:
        if worker is not None:
            os.kill(worker, signal.SIGCONT)


def with_worker(url: str, counted: Sequence[int], run: Callable[..., Any]) -> dict[str, Any]:
    """CPU per created Observation of (the server with its worker, PostgreSQL), until the worker has caught up."""
    settled(url)
    first, before = _feed(url)[0], [places.cpu_seconds(pid) for pid in counted]
    run(only="create_observation")
    settled(url)
    made = _feed(url)[0] - first
    server, database = (
        (places.cpu_seconds(pid) - cpu) * 1000 / made for pid, cpu in zip(counted, before, strict=True)
    )
    return {"test": "create, with the worker", "srv_cpu_ms": server, "db_cpu_ms": database}


def settled(url: str, seconds: float = 300) -> None:
    """Wait until the worker has followed everything and PostgreSQL neither vacuums nor analyzes."""
    end = time.monotonic() + seconds
    quiet = 0
    while quiet < 3 and time.monotonic() < end:
        time.sleep(1)
        quiet = 0 if any(_feed(url)[1:]) else quiet + 1


def _feed(url: str) -> tuple[int, int, int]:
    """The last change, how many cursors have not passed it, and how many tables are being vacuumed or analyzed."""
    with psycopg.connect(url) as conn:
        row = conn.execute(
            "WITH last AS (SELECT coalesce(max(seq), 0) AS seq FROM change) SELECT last.seq, "
            "(SELECT count(*) FROM change_cursor c WHERE c.seq < last.seq AND EXISTS (SELECT 1 FROM change h "
            "WHERE (h.xid, h.seq) > (c.xid, c.seq))), "
            "(SELECT count(*) FROM pg_stat_activity WHERE backend_type = 'autovacuum worker') FROM last"
        ).fetchone()
    assert row
    return row


def unpacked(folder: Path) -> Path:
    """Some Synthea bundles as the driver wants them, not compressed."""
    out = folder / "synthea"
    out.mkdir()
    for path in sorted((places.SHARED / "data" / "synthea").glob("*.json.gz"))[:BUNDLES]:
        (out / path.stem).write_bytes(gzip.decompress(path.read_bytes()))
    return out


def report(lines: list[dict[str, Any]]) -> None:
    """The lines beside aim and Medplum."""
    print(
        f"\n{'CPU ms per request':26}{'server':>8}{'database':>10}{'sum':>8}{'aim':>8}{'Medplum':>9}{'ratio':>7}"
    )
    for line in lines:
        if "srv_cpu_ms" in line:
            aim, medplum = LINES.get(line["test"], (None, None))
            total = line["srv_cpu_ms"] + line["db_cpu_ms"]
            print(
                f"{line['test']:26}{line['srv_cpu_ms']:8.2f}{line['db_cpu_ms']:10.2f}{total:8.2f}"
                f"{_shown(aim):>8}{_shown(medplum):>9}{_shown(medplum and medplum / total):>7}"
            )
        elif "srv_cpu_ms_res" in line:
            total = line["srv_cpu_ms_res"] + line["db_cpu_ms_res"]
            print(
                f"{line['test']}: {line['resources']} resources, {line['res_per_s']:.0f}/s one after the other; "
                f"{total:.3f} ms of CPU each, which is {CORES * 1000 / total:.0f}/s of {CORES} cores"
            )
    print(f"memory of the server: {max((line.get('rss_mb', 0) for line in lines), default=0)} MB")


def _shown(number: float | None) -> str:
    return "" if number is None else f"{number:.1f}"


def served(url: str, folder: str, profile: str) -> None:
    """One web process under cProfile."""
    import cProfile

    from commonchart.cli.serve import listening, serve_web
    from commonchart.settings import Settings

    profiler = cProfile.Profile()
    with listening("127.0.0.1", 0) as listener:
        print(f"ready http://127.0.0.1:{listener.getsockname()[1]}", flush=True)
        settings = Settings(Path(folder), database_url=url, secret=b"s" * 32, log_level="warning")
        profiler.enable()
        try:
            signal.signal(signal.SIGTERM, signal.default_int_handler)
            serve_web(settings, listener)
        except KeyboardInterrupt:
            pass
        finally:
            profiler.disable()
            profiler.dump_stats(profile)


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--tests", default=TESTS)
    parser.add_argument("--only")
    for name, default in (("secs", "4"), ("conc", "8"), ("npat", "200"), ("nobs", "100"), ("warm", "1.5")):
        parser.add_argument(f"--{name}", default=default)
    parser.add_argument("--worker", action="store_true")
    parser.add_argument("--profile")
    parser.add_argument("--served", nargs=2, help=argparse.SUPPRESS)
    asked = parser.parse_args()
    if asked.served:
        served(*asked.served, asked.profile)
        return
    with places.database("ccbench_driven") as url, tempfile.TemporaryDirectory() as folder:
        report(drive(asked, url, folder))


if __name__ == "__main__":
    main()
