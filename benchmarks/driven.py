"""The FHIR API under the neutral driver, ../shared/tools/fhir_load.py: CPU per request of server and PostgreSQL.

    uv run --with orjson python benchmarks/driven.py [--secs 4] [--conc 8] [--tests seed,create,read,search,everything,export]
        [--worker] [--profile FILE]

Starts `commonchart serve` on a database of its own on COMMONCHART_TEST_DATABASE_URL (a quiet, local PostgreSQL: the CPU
of all of its processes counts), makes a token and hands over. `--worker` counts the worker's CPU too. `--profile` runs one web
process under cProfile instead.
"""

from __future__ import annotations

import argparse
import asyncio
import os
import signal
import socket
import subprocess
import sys
import tempfile
import time
import urllib.request
from datetime import UTC, datetime, timedelta
from pathlib import Path

import places
import psycopg

PROGRAM = (sys.executable, "-c", "from commonchart.cli import main; main()")
DRIVER = places.SHARED / "tools" / "fhir_load.py"


def free_port() -> int:
    with socket.socket() as found:
        found.bind(("127.0.0.1", 0))
        port: int = found.getsockname()[1]
        return port


def token_for(url: str) -> str:
    """A token of an administrator, in a database that is brought up to date first."""
    from commonchart.access import credentials, users
    from commonchart.record.database import Database
    from commonchart.record.upgrade import migrate

    migrate(url)

    async def made() -> str:
        database = await Database.open(url)
        now = datetime.now(UTC)
        user = await users.create(
            database, tenant=1, login="bench", name="bench", role="administrator", org="o", now=now
        )
        token = await credentials.issue(
            database, user.id, now, kind="token", client="bench", lives=timedelta(hours=2)
        )
        await database.close()
        return token

    return asyncio.run(made())


def postmaster(url: str) -> int:
    with psycopg.connect(url) as conn:
        row = conn.execute("SELECT pg_backend_pid()").fetchone()
    assert row
    del row
    with psycopg.connect(url) as conn:
        backend = conn.info.backend_pid
        return int(Path(f"/proc/{backend}/stat").read_text().rpartition(")")[2].split()[1])


def web_child(parent: int, marker: str) -> int:
    """The process that listens: the first child (web), as `serve` forks web processes before the worker."""
    children = Path(f"/proc/{parent}/task/{parent}/children").read_text().split()
    del marker
    return int(children[0])


def wait(base: str) -> None:
    for _ in range(200):
        try:
            urllib.request.urlopen(f"{base}/metadata", timeout=5).read()
            return
        except OSError:
            time.sleep(0.1)
    sys.exit("the server did not start")


def main() -> None:
    ask = argparse.ArgumentParser()
    ask.add_argument("--secs", default="4")
    ask.add_argument("--conc", default="8")
    ask.add_argument("--tests", default="seed,create,update,read,search,bundle,everything,export")
    ask.add_argument("--only")
    ask.add_argument("--npat", default="200")
    ask.add_argument("--nobs", default="100")
    ask.add_argument("--worker", action="store_true")
    ask.add_argument("--profile")
    given = ask.parse_args()
    with tempfile.TemporaryDirectory() as folder, places.database() as url:
        token, port = token_for(url), free_port()
        env = {**os.environ, "DATABASE_URL": url}
        base = f"http://127.0.0.1:{port}/fhir"
        command = [*PROGRAM, "serve", "--port", str(port), "--data", folder]
        if given.profile:
            command = [sys.executable, __file__, "--served", url, str(port), folder, given.profile]
        server = subprocess.Popen(command, env=env, stdout=subprocess.DEVNULL)
        try:
            wait(base)
            counted = [server.pid] if given.worker or given.profile else [web_child(server.pid, base)]
            arguments = [
                "--base",
                base,
                "--token",
                token,
                "--pid",
                *map(str, counted),
                "--db-pid",
                str(postmaster(url)),
            ]
            arguments += [
                "--tests",
                given.tests,
                "--conc",
                given.conc,
                "--secs",
                given.secs,
                "--npat",
                given.npat,
            ]
            arguments += [
                "--nobs",
                given.nobs,
                "--warm",
                "1",
                "--state",
                f"{folder}/state.json",
                "--seed-type",
                "transaction",
            ]
            arguments += ["--only", given.only] if given.only else []
            if "bundle" in given.tests:
                arguments += ["--synthea", str(unpacked(Path(folder)))]
            subprocess.run([sys.executable, str(DRIVER), *arguments], check=False)
        finally:
            server.send_signal(signal.SIGTERM)
            server.wait()


def unpacked(folder: Path) -> Path:
    """Some Synthea bundles as the driver wants them, not compressed."""
    import gzip

    out = folder / "synthea"
    out.mkdir()
    for path in sorted((places.SHARED / "data" / "synthea").glob("*.json.gz"))[:60]:
        (out / path.stem).write_bytes(gzip.decompress(path.read_bytes()))
    return out


def served(url: str, port: str, folder: str, profile: str) -> None:
    """One web process under cProfile, for --profile."""
    import cProfile

    import uvicorn
    import uvloop

    from commonchart import app
    from commonchart.record.database import Database
    from commonchart.settings import Settings

    application = app.build(
        Settings(Path(folder), database_url=url, secret=b"s" * 32),
        Database.opened_later(url),
        lambda: datetime.now(UTC),
    )
    config = uvicorn.Config(application, port=int(port), loop="uvloop", access_log=False, log_level="error")
    profiler = cProfile.Profile()
    try:
        profiler.runcall(uvloop.run, uvicorn.Server(config).serve())
    finally:
        profiler.dump_stats(profile)


if __name__ == "__main__":
    if "--served" in sys.argv:
        served(*sys.argv[2:6])
    else:
        main()
