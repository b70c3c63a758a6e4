"""The registry, condition registries and the dashboard at the size of a large network, and `assess --all` killed and resumed.

uv run python benchmarks/bench_panels.py [--patients 100000] [--bodies 1000] [--base 60] [--rounds 40] [--data FOLDER]

Everything lives in a scratch database of an embedded PostgreSQL, which is removed at the end. `--base` patients of the
synthetic practice are stored as they always are; their whole records are cloned to `--bodies` patients for `assess --all`;
for the pages the due rows, registry rows and Patients of those are cloned to `--patients` (their other resources are not:
no page reads them).
"""

from __future__ import annotations

import argparse
import asyncio
import os
import resource
import shutil
import signal
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path
from types import SimpleNamespace

import httpx
import msgspec
import psycopg
from psycopg.conninfo import conninfo_to_dict, make_conninfo
from starlette.applications import Starlette

from commonchart.access import users
from commonchart.cli.assess import PARTS, STATE
from commonchart.demo import seed
from commonchart.jobs import panel, worker
from commonchart.record import panel as kept
from commonchart.record.database import Database
from commonchart.record.embedded import Embedded, reached
from commonchart.record.keys import patient_key
from commonchart.record.upgrade import migrate
from commonchart.web import refusals
from commonchart.web.routes import routes

PASSWORD = "a long enough password"
PAGES = {
    "registry": "/registry?status=", "registry, out of range or overdue": "/registry?status=attention",
    "registry, one rule": "/registry?rule=a1c&status=all", "registry, one rule, clinician": "/registry?rule=blood-pressure&clinician={doctor}",
    "registry, age and sex": "/registry?from=50&to=75&sex=female", "registry, by name": "/registry?sort=name&status=all",
    "registry, rule by last done": "/registry?rule=blood-pressure&sort=last&status=all", "registry, a name": "/registry?name=had&status=all",
    "registry, out of range": "/registry?range=out&status=all", "registry, page 40": "/registry?status=&page=40",
    "diabetes": "/registries/diabetes", "hypertension": "/registries/hypertension?show=all",
    "hypertension by BP": "/registries/hypertension?show=all&sort=-bp", "diabetes, clinician": "/registries/diabetes?clinician={doctor}",
    "dashboard": "/dashboard", "dashboard, clinician": "/dashboard?clinician={doctor}", "dashboard, one rule": "/dashboard?rule=a1c",
}  # fmt: skip


def main() -> None:
    """Run it all and print what was measured."""
    parser = argparse.ArgumentParser()
    for name, value in (("patients", 100_000), ("bodies", 1000), ("base", 60), ("rounds", 40)):
        parser.add_argument(f"--{name}", type=int, default=value)
    parser.add_argument(
        "--data",
        type=Path,
        help="a folder of `commonchart demo`: its practice is copied instead of a new one",
    )
    asked = parser.parse_args()
    with copied(asked.data) if asked.data else fresh(asked.base) as url:
        if asked.bodies:
            cloned_bodies(url, asked.bodies)
            interrupted(url, asked.bodies)
        cloned_rows(url, asked.patients)
        asyncio.run(pages(url, asked.rounds))


@contextmanager
def fresh(base: int) -> Iterator[str]:
    """A server of its own with the first patients of the practice."""
    folder = Path(tempfile.mkdtemp(prefix="commonchart-bench-"))
    folder.chmod(0o711)
    embedded = Embedded(folder / "data", durable=False)
    try:
        url = embedded.start()
        migrate(url)
        asyncio.run(seeded(url, base))
        yield url
    finally:
        embedded.stop()
        shutil.rmtree(folder, ignore_errors=True)


@contextmanager
def copied(folder: Path) -> Iterator[str]:
    """A copy of the database of a demo, on its server; dropped at the end."""
    with reached(folder) as url:
        admin = make_conninfo(url, dbname="postgres")
        with psycopg.connect(admin, autocommit=True) as conn:
            conn.execute("DROP DATABASE IF EXISTS bench_panels WITH (FORCE)")
            conn.execute(f"CREATE DATABASE bench_panels TEMPLATE {conninfo_to_dict(url)['dbname']}")
            conn.execute("ALTER DATABASE bench_panels SET synchronous_commit = off")
        mine = make_conninfo(url, dbname="bench_panels")
        try:
            migrate(mine)
            yield mine
        finally:
            with psycopg.connect(admin, autocommit=True) as conn:
                conn.execute("DROP DATABASE bench_panels WITH (FORCE)")


def say(words: str) -> None:
    """One line, at once, with the load of the machine: what is slow may be the neighbours."""
    print(f"[load {os.getloadavg()[0]:.1f}] {words}", flush=True)


async def seeded(url: str, base: int) -> None:
    """The first patients of the practice, assessed."""
    began = time.perf_counter()
    database = await Database.open(url, size=seed.CONNECTIONS, statement_seconds=0)
    now = datetime.now(UTC)
    await seed.prepare(database, now, base)
    async for _ in seed.seed(database, now.date(), base):
        pass
    await worker.drain(database, lambda: now)
    await database.close()
    say(f"{base} patients stored and assessed in {time.perf_counter() - began:.0f} s")


def _copies(conn: psycopg.Connection, wanted: int) -> None:
    """A table of who becomes whom: every patient as often as it takes."""
    people = [row[0] for row in conn.execute("SELECT patient FROM panel_member ORDER BY patient")]
    conn.execute("CREATE TEMP TABLE copied (old text, new text, pk bigint, k text)")
    with conn.cursor().copy("COPY copied FROM STDIN") as out:
        for n in range(wanted - len(people)):
            k, old = f"-c{n // len(people)}x{wanted % 97}", people[n % len(people)]
            out.write_row((old, f"{old}{k}", patient_key(f"{old}{k}"), k))
    conn.execute("CREATE INDEX ON copied (old)")
    conn.execute("ANALYZE copied")


def cloned_bodies(url: str, wanted: int) -> None:
    """Whole records under new ids and keys; references inside a record follow."""
    began = time.perf_counter()
    with psycopg.connect(url, autocommit=True) as conn:
        _copies(conn, wanted)
        names = [
            r[0]
            for r in conn.execute(
                "SELECT attname FROM pg_attribute WHERE attrelid = 'resource'::regclass AND attnum > 0 ORDER BY attnum"
            )
        ]
        new = {
            "pk": "c.pk", "id": "CASE WHEN r.rtype = 'Patient' THEN c.new ELSE r.id || c.k END", "patient": "c.new",
            "body": "replace(replace(r.body, '\"id\":\"' || r.id || '\"', '\"id\":\"' || CASE WHEN r.rtype = 'Patient' THEN c.new ELSE r.id || c.k END || '\"'), 'Patient/' || c.old || '\"', 'Patient/' || c.new || '\"')",
        }  # fmt: skip
        conn.execute(
            f"INSERT INTO resource ({', '.join(names)}) SELECT {', '.join(new.get(name, f'r.{name}') for name in names)} "
            "FROM copied c JOIN resource r ON r.patient = c.old AND r.tenant = 1"
        )
        conn.execute(
            "INSERT INTO resource_loc (tenant, rtype, id, pk) SELECT 1, 'Patient', new, pk FROM copied ON CONFLICT DO NOTHING"
        )
        conn.execute("ANALYZE resource; ANALYZE resource_loc")
        n, size = conn.execute("SELECT count(*), pg_size_pretty(pg_total_relation_size('resource')) FROM resource").fetchone() or (0, "")  # fmt: skip
    say(
        f"whole records of {wanted:,} patients: {n:,} resources, {size}, in {time.perf_counter() - began:.0f} s"
    )


def interrupted(url: str, people: int) -> None:
    """`commonchart assess --all`, killed half-way and run again."""
    began = time.perf_counter()
    first = _assess(url)
    while _parts(url) < PARTS // 2 and first.poll() is None:
        time.sleep(0.2)
    os.killpg(first.pid, signal.SIGKILL)
    first.wait()
    done, killed_at = _parts(url), time.perf_counter() - began
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    second = _assess(url)
    out, _ = second.communicate()
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    spent = after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime
    with psycopg.connect(url) as conn:
        there = (conn.execute("SELECT count(*) FROM panel_member").fetchone() or (0,))[0]
    said = out.decode().strip().splitlines()
    say(f"killed after {killed_at:.0f} s with {done} of {PARTS} parts done; run again: {' '.join(said)}")
    left = people * (PARTS - done) / PARTS
    say(
        f"{there:,} of {people:,} patients have rows; CPU of the program per patient, reading, rules, vaccines and writing: "
        f"{1e3 * spent / max(1, left):.1f} ms ({time.perf_counter() - began:.0f} s in all)"
    )


def _assess(url: str) -> subprocess.Popen[bytes]:
    command = [str(Path(sys.executable).parent / "commonchart"), "assess", "--all"]
    env = os.environ | {"DATABASE_URL": url}
    return subprocess.Popen(
        command, env=env, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, start_new_session=True
    )


def _parts(url: str) -> int:
    with psycopg.connect(url) as conn:
        row = conn.execute(
            "SELECT value FROM site_setting WHERE tenant = 1 AND key = %s", (STATE,)
        ).fetchone()
    return len(msgspec.json.decode(row[0])["done"]) if row and row[0] else 0


def cloned_rows(url: str, wanted: int) -> None:
    """Due rows, registry rows, members and Patients for everybody else. The long explanation of a row is cut to its sentence."""
    began = time.perf_counter()
    with psycopg.connect(url, autocommit=True) as conn:
        _copies(conn, wanted)
        indexes = [
            (r[0], r[1])
            for r in conn.execute("SELECT indexname, indexdef FROM pg_indexes WHERE tablename IN ('due', 'panel_member') AND indexname NOT LIKE '%_pkey'")
        ]  # fmt: skip
        for name, _ in indexes:
            conn.execute(f"DROP INDEX {name}")
        why = "json_build_object('because', d.why::json->>'because', 'review', d.why::json->>'review')::text"
        _rows(conn, "due", {"why": why}, skip=("rank",))
        _rows(conn, "panel_member", {"name": "d.name || ' ' || c.k"}, skip=())
        _rows(conn, "registry_row", {}, skip=())
        new = {
            "pk": "c.pk",
            "id": "c.new",
            "patient": "c.new",
            "body": 'replace(d.body, \'"id":"\' || d.id, \'"id":"\' || c.new)',
        }
        _rows(conn, "resource", new, skip=(), extra="AND d.rtype = 'Patient' AND d.id = c.old")
        _rows(
            conn,
            "string_row",
            {"pk": "c.pk", "id": "c.new"},
            skip=(),
            extra="AND d.rtype = 'Patient'",
            by="id",
        )
        conn.execute(
            "INSERT INTO resource_loc (tenant, rtype, id, pk) SELECT 1, 'Patient', new, pk FROM copied ON CONFLICT DO NOTHING"
        )
        for _, definition in indexes:
            conn.execute(definition)
        for table in ("due", "panel_member", "registry_row", "resource", "string_row"):
            conn.execute(f"VACUUM ANALYZE {table}")
        n, size = conn.execute(
            "SELECT count(*), pg_size_pretty(pg_total_relation_size('due')) FROM due"
        ).fetchone() or (0, "")
    say(f"{wanted:,} patients: {n:,} due rows, {size}, in {time.perf_counter() - began:.0f} s")


def _rows(
    conn: psycopg.Connection, table: str, new: dict[str, str], skip: tuple[str, ...], extra: str = "", by: str = "patient"
) -> None:  # fmt: skip
    new = {"pk": "c.pk", "patient": "c.new"} | new
    found = conn.execute(
        "SELECT attname FROM pg_attribute WHERE attrelid = %s::regclass AND attnum > 0 AND NOT attisdropped ORDER BY attnum",
        (table,),
    )
    names = [row[0] for row in found if row[0] not in skip]
    conn.execute(
        f"INSERT INTO {table} ({', '.join(names)}) SELECT {', '.join(new.get(name, f'd.{name}') for name in names)} "
        f"FROM copied c JOIN {table} d ON d.{by} = c.old AND d.tenant = 1 {extra} ON CONFLICT DO NOTHING"
    )


async def pages(url: str, rounds: int) -> None:
    """Every page so many times, one at a time: wall clock of the whole page, and CPU of this process."""
    database = await Database.open(url)
    now = datetime.now(UTC)
    began = time.perf_counter()
    async with database.dedicated(owner=True) as conn:
        await conn.set_autocommit(False)
        await kept.count(conn, 1, now.date(), now)
        await conn.commit()
    say(f"counts of the day in {time.perf_counter() - began:.1f} s")
    await panel.count(database, now)
    await users.create(
        database,
        tenant=1,
        login="bench",
        name="Bench",
        role="clinician",
        org=seed.PRACTICE,
        now=now,
        password=PASSWORD,
    )
    async with database.single() as conn:
        doctor = (
            await conn.fetch("SELECT clinicians[1] FROM panel_member WHERE clinicians <> '{}' LIMIT 1")
        )[0][0]
    app = Starlette(routes=routes(), exception_handlers=refusals.handlers())
    app.state.database, app.state.clock = database, lambda: now
    app.state.settings = SimpleNamespace(mode="network", base_url="", secret=b"s" * 32)
    async with httpx.AsyncClient(
        transport=httpx.ASGITransport(app), base_url="http://bench", timeout=60
    ) as client:
        form = (await client.get("/sign-in")).text
        token = form.split('name="csrf" value="')[1].split('"')[0]
        await client.post(
            "/sign-in", data={"csrf": token, "login": "bench", "password": PASSWORD, "next": "/"}
        )
        for name, path in PAGES.items():
            await _timed(client, name, path.format(doctor=doctor), rounds)
    await database.close()


async def _timed(client: httpx.AsyncClient, name: str, path: str, rounds: int) -> None:
    took, cpu, size = [], [], 0
    for n in range(rounds + 2):
        began, spent = time.perf_counter(), time.process_time()
        answer = await client.get(path)
        assert answer.status_code == 200, (path, answer.status_code)
        if n >= 2:
            took.append(1e3 * (time.perf_counter() - began))
            cpu.append(1e3 * (time.process_time() - spent))
        size = len(answer.content)
    took.sort()
    p95 = took[min(len(took) - 1, int(0.95 * len(took)))]
    say(
        f"{name:32} p50 {statistics.median(took):6.1f}  p95 {p95:6.1f} ms  (program {statistics.median(cpu):5.1f} ms CPU, {size / 1000:.0f} kB)"
    )


if __name__ == "__main__":
    main()
