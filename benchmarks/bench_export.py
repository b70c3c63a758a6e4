"""`$export` by CPU time: resources a second on one core (this process and PostgreSQL's together), and peak memory.

    python benchmarks/bench_export.py [--resources 200000] [--patients 2000] [--level system|patient|group]

Makes a database on COMMONCHART_TEST_DATABASE_URL, fills it by COPY with Observations of about 900 bytes, and runs the
lane of exports over it in this process.
"""

from __future__ import annotations

import argparse
import asyncio
import os
import resource
import tempfile
import time
from datetime import UTC, datetime
from pathlib import Path

import psycopg
from psycopg.conninfo import make_conninfo

TICK = os.sysconf("SC_CLK_TCK")
NOW = datetime(2026, 11, 18, 10, 0, tzinfo=UTC)


def body(n: int, patient: str) -> str:
    """One Observation as it would be stored."""
    return (
        f'{{"resourceType":"Observation","id":"o{n}","meta":{{"versionId":"1","lastUpdated":"2026-11-18T09:00:00.000Z"}},'
        '"status":"final","category":[{"coding":[{"system":"http://terminology.hl7.org/CodeSystem/observation-category",'
        '"code":"vital-signs","display":"Vital Signs"}]}],"code":{"coding":[{"system":"http://loinc.org","code":"8867-4",'
        '"display":"Heart rate"},{"system":"http://loinc.org","code":"8480-6"}],"text":"Heart rate"},'
        f'"subject":{{"reference":"Patient/{patient}"}},"encounter":{{"reference":"Encounter/e{n % 977}"}},'
        '"effectiveDateTime":"2024-05-12T08:30:00+02:00","issued":"2024-05-12T08:31:12.123+02:00",'
        f'"performer":[{{"reference":"Practitioner/d{n % 50}"}},{{"reference":"Organization/alder"}}],'
        '"valueQuantity":{"value":72.50,"unit":"beats/minute","system":"http://unitsofmeasure.org","code":"/min"},'
        '"note":[{"text":"Measured sitting, left arm, \\"at rest\\""}]}'
    )


def fill(url: str, resources: int, patients: int) -> None:
    """The rows, straight into the table: what is measured is the way out."""
    from commonchart.record.keys import patient_key, resource_key

    columns = "pk, tenant, rtype, id, vid, recorded, org, actor, source, patient, body"
    with psycopg.connect(url, autocommit=True) as conn:
        with conn.cursor().copy(f"COPY resource ({columns}) FROM STDIN") as copy:
            head = (1, NOW, "alder", "bench", "")
            for p in range(patients):
                text = f'{{"resourceType":"Patient","id":"p{p}"}}'
                copy.write_row((patient_key(f"p{p}"), 1, "Patient", f"p{p}", *head, f"p{p}", text))
            for d in range(50):
                text = f'{{"resourceType":"Practitioner","id":"d{d}"}}'
                copy.write_row(
                    (resource_key("Practitioner", f"d{d}"), 1, "Practitioner", f"d{d}", *head, None, text)
                )
            for n in range(resources):
                patient = f"p{n % patients}"
                copy.write_row(
                    (patient_key(patient), 1, "Observation", f"o{n}", *head, patient, body(n, patient))
                )
        conn.execute(
            "INSERT INTO resource_loc (tenant, rtype, id, pk) SELECT tenant, rtype, id, pk FROM resource"
        )
        conn.execute("VACUUM ANALYZE")


def postgres_seconds(url: str) -> float:
    """CPU of the server processes of this database, and of its background workers."""
    total = 0.0
    with psycopg.connect(url) as conn:
        pids = conn.execute(
            "SELECT pid FROM pg_stat_activity WHERE datname = current_database() OR datname IS NULL"
        )
        for (pid,) in pids.fetchall():
            stat = Path(f"/proc/{pid}/stat")
            if stat.exists():
                parts = stat.read_text().rpartition(")")[2].split()
                total += (int(parts[11]) + int(parts[12])) / TICK
    return total


async def export(url: str, level: str, patients: int) -> None:
    """Kick off and carry out, measured."""
    from commonchart.access import users
    from commonchart.access.records import Records
    from commonchart.exchange.bulk import runs
    from commonchart.exchange.bulk.place import Place
    from commonchart.exchange.bulk.wanted import Export
    from commonchart.exchange.bulk.work import carry_out
    from commonchart.record.database import Database

    database = await Database.open(url)
    whose = tuple(f"p{n}" for n in range(patients)) if level == "group" else None
    wanted = Export(level=level, compartment=level != "system", patients=whose)
    records = Records(database, users.system(1, "bench"), lambda: NOW)
    with tempfile.TemporaryDirectory() as folder:
        run = await runs.begin(records, wanted, "bench")
        before, server, began = time.process_time(), dedicated_seconds(url), time.monotonic()
        await carry_out(database, lambda: NOW, Place(Path(folder)))
        took, ours = time.monotonic() - began, time.process_time() - before
        theirs = dedicated_seconds(url) - server
        done = await runs.of(records, run)
        size = sum(path.stat().st_size for path in Path(folder).rglob("*.ndjson"))
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss // 1024
    cpu = ours + theirs
    print(
        f"{level}: {done.resources:,} resources, {size / 1e6:,.0f} MB in {took:.2f} s; CPU {ours:.2f} s here + {theirs:.2f} s "
        f"PostgreSQL = {done.resources / cpu:,.0f} resources/s of one core; peak {peak} MB; {done.state}"
    )
    await database.close()


def dedicated_seconds(url: str) -> float:
    """CPU of this database's processes, with those that have ended: kept by PostgreSQL only while they live."""
    return postgres_seconds(url) + _ended[0]


_ended = [0.0]


def _watch_ends() -> None:
    """Count what a dedicated connection cost just before it is closed: its process is gone afterwards."""
    from contextlib import asynccontextmanager

    from commonchart.record.database import Database

    real = Database.dedicated

    @asynccontextmanager
    async def dedicated(self: Database):  # type: ignore[no-untyped-def]
        async with real(self) as conn:
            try:
                yield conn
            finally:
                parts = Path(f"/proc/{conn.info.backend_pid}/stat").read_text().rpartition(")")[2].split()
                _ended[0] += (int(parts[11]) + int(parts[12])) / TICK

    Database.dedicated = dedicated  # type: ignore[method-assign]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--resources", type=int, default=200_000)
    parser.add_argument("--patients", type=int, default=2_000)
    parser.add_argument("--level", nargs="*", default=["system", "patient", "group"])
    args = parser.parse_args()
    from commonchart.record.upgrade import migrate

    server = os.environ["COMMONCHART_TEST_DATABASE_URL"]
    name = f"bench_export_{os.getpid()}"
    _watch_ends()
    with psycopg.connect(server, autocommit=True) as conn:
        conn.execute(f"CREATE DATABASE {name} TEMPLATE template0")
    url = make_conninfo(server, dbname=name)
    try:
        migrate(url)
        fill(url, args.resources, args.patients)
        for level in args.level:
            asyncio.run(export(url, level, args.patients))
    finally:
        with psycopg.connect(server, autocommit=True) as conn:
            conn.execute(f"DROP DATABASE {name} WITH (FORCE)")


if __name__ == "__main__":
    main()
