"""What policy, labels and the audit trail cost by HTTP: CPU per request of the server and of PostgreSQL, as ratios.

    uv run --frozen python benchmarks/bench_protection.py [--patients 100] [--each 30] [--rounds 8] [--batch 100] [--at-once 1]

One server process, one database, `--at-once` requests under way at a time (the flush of a commit is shared by those that
commit together). What a request goes without is said by a header that only this file's own copy of the
server understands (`served`): the program has no such switch. All ways take turns in small batches, so that whatever else the
machine does falls on all alike, and CPU is counted in nanoseconds (/proc/PID/task/*/schedstat). The worker does not run:
sealing is not part of the request (see `growth.py` and docs/decisions/0022).
"""

from __future__ import annotations

import argparse
import asyncio
import os
import re
import signal
import statistics
import subprocess
import sys
import tempfile
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager, suppress
from contextvars import ContextVar
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import httpx
import places
from ceiling import PROGRAM
from msgspec.structs import replace

from commonchart.access import audit, policy, users
from commonchart.access.actors import Actor
from commonchart.access.records import Put, Records
from commonchart.fhir.validate import validate
from commonchart.record.database import Database
from commonchart.search.visible import Visible

PASSWORD = "bench protection 2026"
KEPT = {"own": "alder", "labelled": "alder", "shared": "birch"}
"""Whose patients: their own organisation's, the same with a label on every third fact, another's who were referred."""
HIV = {"security": [{"system": "http://terminology.hl7.org/CodeSystem/v3-ActCode", "code": "HIV"}]}
# way -> (what the request goes without or is taken for, whose patients)
WAYS: dict[str, tuple[str, str]] = {
    "bare: no policy, no audit": ("bare unaudited", "own"),
    "no policy": ("bare", "own"),
    "practice, no audit": ("practice unaudited", "own"),
    "practice": ("practice", "own"),
    "practice, labels on the data": ("practice", "labelled"),
    "network, no audit": ("network unaudited", "own"),
    "network, own record": ("network", "own"),
    "network, labels on the data": ("network", "labelled"),
    "network, by referral": ("network", "shared"),
}
REQUESTS = ("read", "search", "create", "chart")


# ---- the server of the benchmark -----------------------------------------------------------------------------------

_without: ContextVar[frozenset[str]] = ContextVar("without", default=frozenset())


def _changed() -> None:
    """Make this process obey the header. Nothing of it is in the program."""
    decided, was = (
        policy.visible,
        {n: getattr(audit, n) for n in ("read", "noted", "counted", "note", "of_writes")},
    )

    def visible(actor: Actor, now: datetime | None = None, *, letters: str = "s") -> Visible:
        without = _without.get()
        if "bare" in without:
            return Visible(actor.tenant, everything=True)
        if without:
            actor = replace(actor, network="network" in without)
        return decided(actor, now, letters=letters)

    policy.visible = visible  # type: ignore[assignment]
    for name in ("read", "noted", "counted"):
        setattr(
            audit,
            name,
            lambda statement, *more, _was=was[name], **named: (
                statement if "unaudited" in _without.get() else _was(statement, *more, **named)
            ),
        )

    async def note(*more: Any, **named: Any) -> None:
        if "unaudited" not in _without.get():
            await was["note"](*more, **named)

    audit.note = note
    audit.of_writes = lambda *more: [] if "unaudited" in _without.get() else was["of_writes"](*more)


def served(url: str, folder: str) -> None:
    """One web process that obeys the header."""
    import commonchart.cli.serve as serve
    from commonchart import app
    from commonchart.settings import Settings

    _changed()
    build = app.build

    def built(*given: Any) -> Any:
        inner = build(*given)

        async def outer(scope: Any, receive: Any, send: Any) -> None:
            held = dict(scope.get("headers") or ()).get(b"x-bench", b"").decode()
            _without.set(frozenset(held.split()))
            await inner(scope, receive, send)

        return outer

    app.build = built  # type: ignore[assignment]
    with serve.listening("127.0.0.1", 0) as listener:
        print(f"ready http://127.0.0.1:{listener.getsockname()[1]}", flush=True)
        settings = Settings(
            Path(folder), database_url=url, secret=b"s" * 32, log_level="warning", mode="network"
        )
        signal.signal(signal.SIGTERM, signal.default_int_handler)
        with suppress(KeyboardInterrupt):
            serve.serve_web(settings, listener)


@contextmanager
def serving(url: str, folder: str) -> Iterator[tuple[str, str, int]]:
    """(address, token of a clinician of Alder, process id) of such a server."""
    env = {**os.environ, "DATABASE_URL": url, "COMMONCHART_LOG_LEVEL": "warning"}
    token = subprocess.run(
        [*PROGRAM, "token", "create", "--role", "clinician", "--organization", "alder", "--data", folder],
        env=env, capture_output=True, text=True, check=True,
    )  # fmt: skip
    server = subprocess.Popen(
        [sys.executable, __file__, "--served", url, folder], env=env, stdout=subprocess.PIPE, text=True
    )
    try:
        assert server.stdout
        address = next((line.split()[1] for line in server.stdout if line.startswith("ready ")), "")
        yield address, token.stdout.strip().splitlines()[-1], server.pid
    finally:
        server.terminate()
        server.wait()


# ---- what is measured ----------------------------------------------------------------------------------------------


def facts(patient: str, each: int, labelled: bool) -> list[dict[str, Any]]:
    """The record of one patient."""
    out: list[dict[str, Any]] = [{"resourceType": "Patient", "id": patient, "name": [{"family": patient.title(), "given": ["A"]}], "birthDate": "1980-01-01", "gender": "female"}]  # fmt: skip
    for n in range(each):
        made = observation(patient, n) | {"id": f"{patient}-{n}"}
        out.append(made | {"meta": HIV} if labelled and n % 3 == 0 else made)
    return out


def observation(patient: str, n: int) -> dict[str, Any]:
    return {
        "resourceType": "Observation", "status": "final", "subject": {"reference": f"Patient/{patient}"}, "effectiveDateTime": f"2026-0{n % 9 + 1}-01",
        "category": [{"coding": [{"system": "http://terminology.hl7.org/CodeSystem/observation-category", "code": "laboratory"}]}],
        "code": {"coding": [{"system": "http://loinc.org", "code": "4548-4" if n % 4 == 0 else "2345-7"}]},
        "valueQuantity": {"value": 6, "unit": "%", "system": "http://unitsofmeasure.org", "code": "%"},
    }  # fmt: skip


async def filled(url: str, patients: int, each: int) -> None:
    """The three kinds of patients, and a clinician of Alder who can sign in."""
    now = datetime.now(UTC)
    database = await Database.open(url)
    for kind, org in KEPT.items():
        loader = Records(database, Actor(1, "load", "L", "system", org, "cli"), lambda: datetime.now(UTC))
        for n in range(patients):
            bodies = facts(f"{kind}{n}", each, kind == "labelled")
            if kind == "shared":
                bodies.append({"resourceType": "ServiceRequest", "id": f"r{n}", "status": "active", "intent": "order", "subject": {"reference": f"Patient/shared{n}"},
                               "authoredOn": now.date().isoformat(), "performer": [{"reference": "Organization/alder"}]})  # fmt: skip
            await loader.commit([Put(validate(body), body["id"]) for body in bodies])
    await users.create(
        database,
        tenant=1,
        login="bench",
        name="Bench",
        role="clinician",
        org="alder",
        now=now,
        password=PASSWORD,
    )
    async with database.dedicated(owner=True) as conn:
        await conn.execute("VACUUM ANALYZE")
    await database.close()


def nanoseconds(root: int) -> int:
    """CPU of a process and its living children since they started, by every thread."""
    pids = [root, *places.children(root)]
    total = 0
    for pid in pids:
        for path in Path(f"/proc/{pid}/task").glob("*/schedstat"):
            try:
                total += int(path.read_text().split()[0])
            except OSError:
                continue
    return total


def signed_in(client: httpx.Client) -> None:
    found = re.search(r'name="csrf" value="([^"]+)"', client.get("/sign-in").text)
    assert found
    answer = client.post(
        "/sign-in", data={"csrf": found[1], "login": "bench", "password": PASSWORD, "next": "/"}
    )
    assert answer.status_code == 303, answer.text[:500]


class Asking:
    """Requests of one kind after another, each about another patient; by one thread."""

    def __init__(self, address: str, token: str, patients: int, each: int, number: int) -> None:
        self.api = httpx.Client(base_url=address, headers={"authorization": f"Bearer {token}"}, timeout=60)
        self.pages = httpx.Client(base_url=address, timeout=60)
        signed_in(self.pages)
        self.patients, self.each, self.n = patients, each, number * 1009

    def once(self, what: str, without: str, kind: str) -> None:
        self.n += 1
        patient, headers = f"{kind}{self.n * 7 % self.patients}", {"x-bench": without}
        if what == "read":
            answer = self.api.get(f"/fhir/Observation/{patient}-{self.n % self.each}", headers=headers)
        elif what == "search":
            answer = self.api.get(
                f"/fhir/Observation?patient={patient}&_sort=-date&_count=20", headers=headers
            )
            assert b'"mode":"match"' in answer.content
        elif what == "create":
            answer = self.api.post("/fhir/Observation", json=observation(patient, self.n), headers=headers)
        else:
            answer = self.pages.get(f"/patients/{patient}", headers=headers)
        assert answer.status_code in (200, 201), (what, without, kind, answer.status_code, answer.text[:300])


def asked(everybody: Sequence[Asking], times: int, *which: str) -> int:
    """Everybody asks at once, `times` in all; how many that were."""
    share = -(-times // len(everybody))

    def one(asking: Asking) -> None:
        for _ in range(share):
            asking.once(*which)

    with ThreadPoolExecutor(len(everybody)) as threads:
        list(threads.map(one, everybody))
    return share * len(everybody)


def measured(
    everybody: Sequence[Asking], counted: Sequence[int], rounds: int, batch: int
) -> dict[tuple[str, str], list[float]]:
    """(request, way) -> CPU ms per request, a number for each round."""
    out: dict[tuple[str, str], list[float]] = {}
    for turn in range(rounds + 1):
        for what in REQUESTS:
            times = max(5, batch // 8) if what == "chart" else batch
            ways = list(WAYS.items())
            for name, (without, kind) in ways[turn % len(ways) :] + ways[: turn % len(ways)]:
                before = sum(map(nanoseconds, counted))
                made = asked(everybody, times, what, without, kind)
                spent = (sum(map(nanoseconds, counted)) - before) / made / 1e6
                if turn:  # the first round warms up
                    out.setdefault((what, name), []).append(spent)
    return out


def report(found: dict[tuple[str, str], list[float]]) -> None:
    print(f"load {os.getloadavg()[0]:.1f}; CPU ms per request (median of the rounds), and against `bare`\n")
    print(f"{'':32}" + "".join(f"{what:>16}" for what in REQUESTS))
    for name in WAYS:
        cells = []
        for what in REQUESTS:
            median, bare = (statistics.median(found[what, one]) for one in (name, next(iter(WAYS))))
            cells.append(f"{median:9.2f} {median / bare:6.2f}")
        print(f"{name:32}" + "".join(cells))
    print("\nratios, each of the same round, median")
    for words, one, other in (
        ("audit, practice", "practice", "practice, no audit"), ("audit, network", "network, own record", "network, no audit"),
        ("policy, practice", "practice", "no policy"), ("policy, network", "network, own record", "no policy"), ("by referral against own", "network, by referral", "network, own record"),
        ("labels, practice", "practice, labels on the data", "practice"), ("labels, network", "network, labels on the data", "network, own record"),
        ("all on (network, labels)", "network, labels on the data", "bare: no policy, no audit"),
    ):  # fmt: skip
        ratios = [
            statistics.median([a / b for a, b in zip(found[what, one], found[what, other], strict=True)])
            for what in REQUESTS
        ]
        print(f"{words:32}" + "".join(f"{ratio:16.2f}" for ratio in ratios))


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    for name, default in (("patients", 100), ("each", 30), ("rounds", 8), ("batch", 100), ("at-once", 1)):
        parser.add_argument(f"--{name}", type=int, default=default)
    parser.add_argument("--served", nargs=2, help=argparse.SUPPRESS)
    given = parser.parse_args()
    if given.served:
        served(*given.served)
        return
    with places.database("ccbench_protection") as url, tempfile.TemporaryDirectory() as folder:
        asyncio.run(filled(url, given.patients, given.each))
        with serving(url, folder) as (address, token, pid):
            everybody = [Asking(address, token, given.patients, given.each, n) for n in range(given.at_once)]
            report(measured(everybody, (pid, places.postmaster(url)), given.rounds, given.batch))


if __name__ == "__main__":
    main()
