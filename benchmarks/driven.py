"""The FHIR API under the neutral driver, ../shared/tools/fhir_load.py: CPU per request of server and PostgreSQL.

    uv run --with orjson python benchmarks/driven.py [--tests seed,create,read,search,bundle,everything,export]
        [--only read_observation,s_include] [--secs 4] [--conc 8] [--worker] [--profile FILE]

Starts `commonchart serve` on a database of its own (see places.py), makes a token, hands over, and prints a table beside
the aims and Medplum. What the worker does meanwhile counts only with `--worker`, which `export` needs. `--profile` runs the
web process alone, under cProfile.
"""

from __future__ import annotations

import argparse
import asyncio
import gzip
import json
import os
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import places
from ceiling import PROGRAM, driver

TESTS = "seed,create,update,read,search,bundle,everything"
BUNDLES = 60
CORES = 2

# CPU ms per request (Medplum 5.1: ../shared/specs/storage-measurements.md): line of the driver -> (aim, Medplum)
LINES: dict[str, tuple[float | None, float | None]] = {
    "read_observation": (0.4, 1.5),
    "read_patient": (0.4, 1.5),
    "create_observation": (2.0, 15.0),
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
    """Run the driver; its lines."""
    out = Path(folder) / "out.json"
    with serving(url, folder, asked.profile) as (base, token, (whole, web)):
        arguments = [
            "--base", base, "--token", token, "--pid", str(whole if asked.worker else web),
            "--db-pid", str(places.postmaster(url)), "--tests", asked.tests, "--conc", asked.conc, "--secs", asked.secs,
            "--npat", asked.npat, "--nobs", asked.nobs, "--warm", asked.warm, "--out", str(out),
            "--state", f"{folder}/state.json", "--seed-type", "transaction",
        ]  # fmt: skip
        arguments += ["--only", asked.only] if asked.only else []
        if "bundle" in asked.tests:
            arguments += ["--synthea", str(unpacked(Path(folder)))]
        sys.argv[1:] = arguments
        asyncio.run(driver().main())
    lines: list[dict[str, Any]] = json.loads(out.read_text())
    return lines


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
    import signal

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
