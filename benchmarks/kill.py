"""Writers at work while the server and PostgreSQL are killed (`kill -9`) at random moments: is what was acknowledged there?

    python benchmarks/kill.py [--rounds 8] [--writers 8] [--data DIR]

Each write is a transaction of a Patient and an Observation. At the end every acknowledged one must be present whole, and
every other one whole or not at all. Prints one JSON object, with the longest time around each kill
in which nothing was acknowledged.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import os
import random
import signal
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from dataclasses import dataclass, field
from itertools import pairwise
from pathlib import Path
from typing import Any

import httpx
import psycopg

from commonchart.record.embedded import reached

COMMONCHART = (sys.executable, "-c", "from commonchart.cli import main; main()")
VICTIMS = ("postgres", "server", "web")


@dataclass
class Tally:
    """What the writers were told."""

    acknowledged: set[str] = field(default_factory=set)
    unknown: set[str] = field(default_factory=set)
    wrong: str = ""
    when: list[float] = field(default_factory=list)


class Server:
    """`commonchart serve` as a process."""

    def __init__(self, data: Path, command: Sequence[str] = COMMONCHART) -> None:
        self.data = data
        self._command = command
        with socket.socket() as probe:
            probe.bind(("127.0.0.1", 0))
            self.port = probe.getsockname()[1]
        data.parent.mkdir(parents=True, exist_ok=True)
        self.log = data.parent / "serve.log"
        self._process: subprocess.Popen[bytes] | None = None

    def start(self, seconds: float = 60) -> None:
        """Start it and wait until it says that it is ready."""
        words = [*self._command, "serve", "--port", str(self.port), "--data", str(self.data)]
        with self.log.open("ab") as log:
            self._process = subprocess.Popen(words, stdout=subprocess.PIPE, stderr=log)
        assert self._process.stdout is not None
        os.set_blocking(self._process.stdout.fileno(), False)
        deadline, said = time.monotonic() + seconds, b""
        while b"ready " not in said:
            said += self._process.stdout.read() or b""
            if self._process.poll() is not None or time.monotonic() > deadline:
                raise RuntimeError(f"the server did not start; see {self.log}")
            time.sleep(0.02)

    def kill(self, victim: str) -> None:
        """End one of its processes without asking."""
        assert self._process is not None
        os.kill(self._victim(victim), signal.SIGKILL)
        if victim == "server":
            self._process.wait()

    def stop(self) -> None:
        """End it in good order."""
        if self._process is not None and self._process.poll() is None:
            self._process.terminate()
            self._process.wait(60)

    def signal(self, number: signal.Signals) -> None:
        """Send it a signal."""
        assert self._process is not None
        self._process.send_signal(number)

    def wait(self, seconds: float) -> None:
        """Wait for its end."""
        assert self._process is not None
        self._process.wait(seconds)

    def _victim(self, victim: str) -> int:
        assert self._process is not None
        if victim == "server":
            return self._process.pid
        if victim == "postgres":
            return int((self.data / "postgres" / "postmaster.pid").read_text().split("\n", 1)[0])
        children = Path(f"/proc/{self._process.pid}/task/{self._process.pid}/children").read_text().split()
        return int(random.choice([pid for pid in children if "postgres" not in _command_of(pid)]))


async def main(
    rounds: int, writers: int, data: Path, seed: int, command: Sequence[str] = COMMONCHART
) -> dict[str, Any]:
    """All rounds; what came of it."""
    random.seed(seed)
    server, tally = Server(data, command), Tally()
    bearer = token(data, command)
    server.start()
    recoveries: dict[str, list[float]] = {victim: [] for victim in VICTIMS}
    stop = asyncio.Event()
    at_work = [asyncio.create_task(write(n, server.port, bearer, tally, stop)) for n in range(writers)]
    try:
        for n in range(rounds):
            victim = VICTIMS[n % len(VICTIMS)]
            await asyncio.sleep(random.uniform(0.5, 2.0))
            recoveries[victim].append(await _killed(server, victim, tally))
        await asyncio.sleep(0.5)
    finally:
        stop.set()
        await asyncio.gather(*at_work)
        server.stop()
    return _judged(data, tally) | {"recovery_seconds": recoveries}


async def write(n: int, port: int, bearer: str, tally: Tally, stop: asyncio.Event) -> None:
    """One writer: a transaction after another until told to stop."""
    headers = {"Authorization": f"Bearer {bearer}", "Content-Type": "application/fhir+json"}
    async with httpx.AsyncClient(base_url=f"http://127.0.0.1:{port}", headers=headers, timeout=20) as client:
        count = 0
        while not stop.is_set():
            count += 1
            name = f"w{n}-{count}"
            try:
                answer = await client.post("/fhir", json=pair(name))
            except httpx.HTTPError:
                tally.unknown.add(name)
                await asyncio.sleep(0.02)
                continue
            if answer.status_code == 200:
                tally.acknowledged.add(name)
                tally.when.append(time.monotonic())
            elif answer.status_code == 503:
                tally.unknown.add(name)
                await asyncio.sleep(0.02)
            else:
                tally.wrong = f"{answer.status_code}: {answer.text[:500]}"
                return


def pair(name: str) -> dict[str, Any]:
    """A transaction of two resources that belong together."""
    patient = {"resourceType": "Patient", "id": name, "name": [{"family": "Writer", "given": [name]}]}
    observation = {
        "resourceType": "Observation",
        "id": name,
        "status": "final",
        "code": {"coding": [{"system": "http://loinc.org", "code": "8867-4"}]},
        "subject": {"reference": f"Patient/{name}"},
        "effectiveDateTime": "2026-11-18T10:00:00Z",
        "valueQuantity": {"value": 72, "unit": "/min", "system": "http://unitsofmeasure.org", "code": "/min"},
    }
    entries = [
        {"resource": resource, "request": {"method": "PUT", "url": f"{resource['resourceType']}/{name}"}}
        for resource in (patient, observation)
    ]
    return {"resourceType": "Bundle", "type": "transaction", "entry": entries}


async def _killed(server: Server, victim: str, tally: Tally) -> float:
    """The longest time without an acknowledged write around the kill: some are acknowledged by what still lives."""
    server.kill(victim)
    killed = time.monotonic()
    if victim == "server":
        await asyncio.to_thread(server.start)
    while not tally.when or tally.when[-1] < killed + 1.5:
        if tally.wrong:
            raise RuntimeError(tally.wrong)
        if time.monotonic() - killed > 60:
            raise RuntimeError(f"no write was acknowledged within a minute of killing {victim}")
        await asyncio.sleep(0.05)
    moments = [killed, *(when for when in tally.when if when > killed)]
    return round(max(later - earlier for earlier, later in pairwise(moments)), 2)


def _judged(data: Path, tally: Tally) -> dict[str, Any]:
    with reached(data) as url, psycopg.connect(url) as conn:
        kept = {
            rtype: {row[0] for row in conn.execute("SELECT id FROM resource WHERE rtype = %s", [rtype])}
            for rtype in ("Patient", "Observation")
        }
        changes = {row[0] for row in conn.execute("SELECT id FROM change WHERE rtype = 'Patient'")}
    both = kept["Patient"] & kept["Observation"]
    written = {name for name in kept["Patient"] | kept["Observation"] if name.startswith("w")}
    return {
        "acknowledged": len(tally.acknowledged),
        "lost": len(tally.acknowledged - both),
        "half": len(written - both),
        "not_in_feed": len(tally.acknowledged - changes),
        "unknown": len(tally.unknown),
        "unknown_but_written": len(tally.unknown & both),
    }


def token(data: Path, command: Sequence[str] = COMMONCHART) -> str:
    """A new administrator's token."""
    words = [*command, "token", "create", "--role", "administrator", "--data", str(data)]
    return subprocess.run(words, capture_output=True, text=True, check=True).stdout.split()[-1]


def _command_of(pid: str) -> str:
    return Path(f"/proc/{pid}/cmdline").read_bytes().replace(b"\0", b" ").decode("utf-8", "replace")


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--rounds", type=int, default=8)
    parser.add_argument("--writers", type=int, default=8)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--data", type=Path)
    chosen = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="commonchart-kill-") as temporary:
        folder = chosen.data or Path(temporary) / "data"
        print(json.dumps(asyncio.run(main(chosen.rounds, chosen.writers, folder, chosen.seed)), indent=1))
