"""Workers that are killed: an export goes on where it was, a notification that was under way is sent again."""

from __future__ import annotations

import asyncio
import json
import os
import signal
import subprocess
import sys
import time
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest

from commonchart.access import credentials, users
from commonchart.access.records import Put, Records
from commonchart.exchange.bulk import runs
from commonchart.exchange.bulk.wanted import Export
from commonchart.exchange.subscriptions import deliver, state
from commonchart.exchange.subscriptions.plan import EXT
from commonchart.exchange.subscriptions.topics import BASE
from commonchart.fhir.validate import validate
from commonchart.jobs import bulk, subscriptions
from commonchart.jobs.worker import Site
from commonchart.record.database import Database
from tests.conftest import Clock

pytestmark = pytest.mark.fault

WORKER = """
import asyncio, sys, time
from datetime import datetime, UTC
from pathlib import Path
from commonchart.exchange.bulk import write
from commonchart.jobs import bulk, subscriptions
from commonchart.jobs.worker import Site
from commonchart.record.database import Database

real = write._copied

async def stuck(conn, statement, file, *rest):
    count = await real(conn, statement, file, *rest)
    if rest[2] == "Observation":
        file.flush()
        print("middle", flush=True)
        time.sleep(120)
    return count

write._copied = stuck
NOW = datetime.fromisoformat(sys.argv[3])

async def main():
    database = await Database.open(sys.argv[1])
    site = Site(Path(sys.argv[2]), b"s" * 32, "http://test")
    if sys.argv[4] == "bulk":
        await bulk.drain(database, lambda: NOW, site)
    else:
        while True:
            await subscriptions.drain(database, lambda: NOW, site)
            await asyncio.sleep(0.05)

asyncio.run(main())
"""


def started(url: str, folder: Path, clock: Clock, lane: str) -> subprocess.Popen[str]:
    words = [sys.executable, "-c", WORKER, url, str(folder), clock().isoformat(), lane]
    return subprocess.Popen(words, stdout=subprocess.PIPE, text=True)


async def user_of(database: Database, clock: Clock) -> Any:
    made = await users.create(
        database, tenant=1, login="root", name="Root", role="administrator", org="o", now=clock()
    )
    await credentials.issue(database, made.id, clock(), kind="token", client="t", lives=timedelta(days=1))
    return made


async def put(records: Records, *resources: dict[str, Any]) -> None:
    await records.commit([Put(validate(one), one["id"]) for one in resources])


def observation(n: int) -> dict[str, Any]:
    return {"resourceType": "Observation", "id": f"o{n}", "status": "final", "code": {"text": "x"},
            "category": [{"coding": [{"code": "laboratory"}]}], "subject": {"reference": "Patient/ada"}}  # fmt: skip


async def test_an_export_goes_on_after_its_worker_was_killed(
    database: Database, clock: Clock, tmp_path: Path
) -> None:
    user = await user_of(database, clock)
    records = Records(database, users.actor(user, "t"), clock)
    await put(records, {"resourceType": "Patient", "id": "ada"}, *(observation(n) for n in range(300)))
    run = await runs.begin(records, Export(), "test")
    worker = started(database.url, tmp_path, clock, "bulk")
    assert worker.stdout is not None
    assert worker.stdout.readline() == "middle\n"
    os.kill(worker.pid, signal.SIGKILL)
    worker.wait()
    folder = tmp_path / "exports" / run
    assert (folder / "Observation.part").exists()
    patients = (folder / "Patient.ndjson").stat().st_mtime_ns
    site = Site(tmp_path, b"s" * 32, "http://test")
    deadline = time.monotonic() + 20
    while (await runs.of(records, run)).state != "finished":
        assert time.monotonic() < deadline
        await bulk.drain(database, clock, site)
    assert (folder / "Patient.ndjson").stat().st_mtime_ns == patients
    lines = [line for path in folder.glob("*.ndjson") for line in path.read_bytes().splitlines()]
    found = [(one["resourceType"], one["id"]) for one in map(json.loads, lines)]
    assert len(found) == len(set(found)) == 301
    assert list(folder.glob("*.part")) == []


async def test_a_notification_under_way_when_its_sender_is_killed_is_sent_again(
    database: Database, clock: Clock, tmp_path: Path
) -> None:
    heard: list[list[int]] = []
    answering = asyncio.Event()
    came = asyncio.Event()

    async def speak(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        head = (await reader.readuntil(b"\r\n\r\n")).decode().lower()
        length = next(int(x.split(":")[1]) for x in head.splitlines() if x.startswith("content-length"))
        body = json.loads(await reader.readexactly(length))
        listed = [p for p in body["entry"][0]["resource"]["parameter"] if p["name"] == "notification-event"]
        if listed and not answering.is_set():
            came.set()
            await answering.wait()
            writer.close()
            return
        heard.append(
            [int(q["valueString"]) for p in listed for q in p["part"] if q["name"] == "event-number"]
        )
        writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\nConnection: close\r\n\r\n")
        writer.close()

    server = await asyncio.start_server(speak, "127.0.0.1", 0)
    origin = f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}"
    async with database.single() as conn:
        await conn.execute("INSERT INTO site_setting VALUES (1, 'egress_origins', %s)", (origin,))
    records = Records(database, users.actor(await user_of(database, clock), "t"), clock)
    await put(records, {"resourceType": "Patient", "id": "ada"}, {
        "resourceType": "Subscription", "id": "s1", "status": "requested", "reason": "x", "criteria": f"{BASE}lab-result",
        "channel": {"type": "rest-hook", "endpoint": f"{origin}/", "payload": "application/fhir+json",
                    "_payload": {"extension": [{"url": f"{EXT}payload-content", "valueCode": "id-only"}]}}})  # fmt: skip
    await put(records, observation(1))
    async with server:
        worker = started(database.url, tmp_path, clock, "subscriptions")
        async with asyncio.timeout(60):
            await came.wait()
        os.kill(worker.pid, signal.SIGKILL)
        worker.wait()
        answering.set()
        await put(records, observation(2))
        clock.advance(minutes=5)
        site = Site(tmp_path, b"s" * 32, "http://test")
        async with asyncio.timeout(30):
            while [n for several in heard for n in several] != [1, 2]:
                await subscriptions.drain(database, clock, site)
                await deliver.settled()
                await asyncio.sleep(0.05)
    async with database.single() as conn:
        row = await state.one(conn, 1, "s1")
    assert row is not None
    assert (row.events, row.delivered, row.state) == (2, 2, "active")
