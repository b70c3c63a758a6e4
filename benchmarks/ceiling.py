"""CPU per request of the FHIR API beside a ceiling that does the least possible, on the same PostgreSQL, in one run.

    uv run --with orjson --with psycopg-pool python benchmarks/ceiling.py [--secs 6] [--conc 8]

The ceiling is a Starlette route under the same uvicorn that returns the same bytes from one statement: a SELECT by
primary key and an INSERT into a table like `audit`. Both are driven by ../shared/tools/fhir_load.py. Needs a PostgreSQL
of its own or a quiet one: COMMONCHART_TEST_DATABASE_URL, else the embedded one.
"""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import importlib.util
import os
import random
import signal
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator
from types import ModuleType, SimpleNamespace
from typing import Any

import places
import psycopg

PROGRAM = (sys.executable, "-c", "from commonchart.cli import main; main()")
TABLES = """
DROP TABLE IF EXISTS ceiling, ceiling_audit;
CREATE TABLE ceiling (path text PRIMARY KEY, body text NOT NULL);
CREATE TABLE ceiling_audit (LIKE audit INCLUDING ALL);
"""
STATEMENT = """
WITH found AS MATERIALIZED (SELECT body FROM ceiling WHERE path = %s),
noted AS (INSERT INTO ceiling_audit (at, tenant, actor, role, org, client, purpose, action, outcome, rtype, patients)
SELECT now(), 1, 'bench', 'administrator', '', 'bench', 'TREAT', 'read', 0, 'Observation', '{}' FROM found)
SELECT body FROM found
"""


def driver() -> ModuleType:
    """The neutral driver, from the shared folder."""
    path = places.SHARED / "tools" / "fhir_load.py"
    if not path.exists():
        sys.exit(f"{path} is not here: this benchmark needs the shared folder beside the repository")
    spec = importlib.util.spec_from_file_location("fhir_load", path)
    assert spec
    assert spec.loader
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    module.observation = _valid(module.observation)
    return module


def _valid(made: Callable[..., dict[str, Any]]) -> Callable[..., dict[str, Any]]:
    """Its Observations carry their own code in a component beside the value, which obs-7 forbids: another code there."""

    def observation(*given: Any) -> dict[str, Any]:
        resource = made(*given)
        for component in resource["component"]:
            component["code"] = {
                "coding": [{"system": "http://loinc.org", "code": "48767-8"}],
                "text": "Comment",
            }
        return resource

    return observation


# ---- the two servers -------------------------------------------------------------------------------------------


@contextlib.contextmanager
def running(*command: str, env: dict[str, str]) -> Iterator[tuple[int, str]]:
    """A server as a process: its id and the address that it prints after `ready`."""
    process = subprocess.Popen(command, env={**os.environ, **env}, stdout=subprocess.PIPE, text=True)
    try:
        assert process.stdout
        for line in process.stdout:
            if line.startswith("ready "):
                yield process.pid, line.split()[1]
                return
        sys.exit("the server did not start")
    finally:
        process.terminate()
        process.wait()


def ceiling(url: str) -> None:
    """Serve the ceiling: the body of `serve` below is all that happens in a request."""
    import socket

    import uvicorn
    from psycopg_pool import AsyncConnectionPool
    from starlette.applications import Starlette
    from starlette.requests import Request
    from starlette.responses import Response
    from starlette.routing import Route

    pool = AsyncConnectionPool(url, min_size=8, max_size=8, open=False, kwargs={"autocommit": True})

    async def serve(request: Request) -> Response:
        path = request.url.path + (f"?{request.url.query}" if request.url.query else "")
        async with pool.connection() as conn:
            row = await (await conn.execute(STATEMENT, (path,))).fetchone()
        if row is None:
            return Response(status_code=404)
        return Response(row[0].encode(), media_type="application/fhir+json")

    @contextlib.asynccontextmanager
    async def lifespan(app: Starlette) -> Any:
        await pool.open(wait=True)
        yield
        await pool.close()

    listener = socket.socket()
    listener.bind(("127.0.0.1", 0))
    print(f"ready http://127.0.0.1:{listener.getsockname()[1]}/fhir", flush=True)
    application = Starlette(routes=[Route("/{rest:path}", serve)], lifespan=lifespan)
    config = uvicorn.Config(application, loop="uvloop", http="httptools", access_log=False, log_level="error")
    uvicorn.Server(config).run(sockets=[listener])


# ---- what is asked ---------------------------------------------------------------------------------------------


def paths(state: dict[str, Any], codes: list[Any]) -> dict[str, list[str]]:
    """The requests by kind: the same for both servers."""
    chance = random.Random(7)
    reads = [f"Observation/{id}" for id in chance.sample(state["obs"], min(500, len(state["obs"])))]
    searches = [
        f"Observation?patient=Patient/{chance.choice(state['patients'])}"
        f"&code=http://loinc.org%7C{chance.choice(codes)[0]}&_sort=-date&_count=20"
        for _ in range(150)
    ]
    pages = [f"Observation?patient=Patient/{id}&_sort=-date&_count=20" for id in state["patients"][:60]]
    return {"read": reads, "search by code": sorted(set(searches)), "search of 20": pages}


async def copy(client: Any, wanted: dict[str, list[str]], url: str) -> None:
    """Put what the real server answers into the ceiling's table."""
    rows = []
    for path in (path for group in wanted.values() for path in group):
        status, _, body = await client.one("GET", path)
        assert status == 200, (path, status, body[:200])
        rows.append((f"/fhir/{path}", body.decode()))
    with psycopg.connect(url) as conn, conn.cursor() as cursor:
        cursor.executemany("INSERT INTO ceiling VALUES (%s, %s) ON CONFLICT DO NOTHING", rows)


def backends(url: str) -> list[int]:
    """The PostgreSQL processes that serve this database."""
    with psycopg.connect(url) as conn:
        rows = conn.execute(
            "SELECT pid FROM pg_stat_activity WHERE datname = current_database() AND pid <> pg_backend_pid()"
        ).fetchall()
    return [row[0] for row in rows]


async def compare(asked: argparse.Namespace, url: str) -> None:
    load = driver()
    with tempfile.TemporaryDirectory() as folder:
        data = ("--data", folder)
        env = {"DATABASE_URL": url, "COMMONCHART_LOG_LEVEL": "warning"}
        with running(*PROGRAM, "serve", "--port", "0", *data, env=env) as (pid, address):
            made = subprocess.run(
                [*PROGRAM, "token", "create", "--role", "administrator", *data],
                env={**os.environ, **env}, capture_output=True, text=True, check=True,
            )  # fmt: skip
            real = load.Client(f"{address}/fhir", made.stdout.strip())
            state = await load.seed(real, SimpleNamespace(npat=60, nobs=100, seed_conc=2, seed_type="batch"))
            wanted = paths(state, load.CODES)
            with psycopg.connect(url, autocommit=True) as conn:
                conn.execute(TABLES)
            await copy(real, wanted, url)
            with psycopg.connect(url, autocommit=True) as conn:
                conn.execute("VACUUM ANALYZE")
            await asyncio.sleep(3)  # the worker's due lists are done by then
            with running(sys.executable, __file__, "--ceiling", url, env={}) as (floor_pid, floor_address):
                least = load.Client(floor_address)
                servers = (("real", real, pid), ("ceiling", least, floor_pid))
                await report(load, asked, servers, wanted, state, url)


async def report(
    load: ModuleType, asked: argparse.Namespace, servers: Any, wanted: Any, state: dict[str, Any], url: str
) -> None:
    cost: dict[tuple[str, str], float] = {}
    for kind, group in wanted.items():
        for name, client, pid in servers:
            cost[kind, name] = await drive(
                load, asked, client, pid, f"{kind}, {name}", picking(client, group), url
            )
    _, real, pid = servers[0]
    post = creating(load, real, state["patients"])
    cost["create and due", "real"] = await drive(load, asked, real, pid, "create and due lists", post, url)
    worker = places.children(pid)[-1]  # started after the web processes
    os.kill(worker, signal.SIGSTOP)
    try:
        cost["create", "real"] = await drive(load, asked, real, pid, "create, worker at rest", post, url)
    finally:
        os.kill(worker, signal.SIGCONT)
    print(f"\nCPU per request, server and PostgreSQL together, {asked.conc} connections")
    print(f"{'':16}{'real ms':>9}{'ceiling ms':>12}{'ratio':>8}{'aim':>10}")
    for kind, aim in (
        ("read", "<= 1.5"),
        ("search by code", "<= 2.5"),
        ("search of 20", "<= 2.5"),
        ("create", "<= 3 ms"),
        ("create and due", ""),
    ):
        floor = cost.get((kind, "ceiling"))
        shown = f"{floor:12.2f}{cost[kind, 'real'] / floor:8.2f}" if floor else f"{'':20}"
        print(f"{kind:16}{cost[kind, 'real']:9.2f}{shown}{aim:>10}")


def picking(client: Any, group: list[str]) -> Callable[[], bytes]:
    chance = random.Random(3)
    return lambda: client.req("GET", chance.choice(group))  # type: ignore[no-any-return]


def creating(load: ModuleType, client: Any, patients: list[str]) -> Callable[[], bytes]:
    chance = random.Random(5)
    return lambda: client.req(  # type: ignore[no-any-return]
        "POST", "Observation", load.orjson.dumps(load.observation(chance.choice(patients)))
    )


async def drive(
    load: ModuleType,
    asked: argparse.Namespace,
    client: Any,
    pid: int,
    name: str,
    make: Callable[[], bytes],
    url: str,
) -> float:
    """Milliseconds of CPU per request, after a warm-up."""
    args = SimpleNamespace(pid=[pid], quiet=0)
    load.DBPIDS[:] = []
    await load.load(client, f"{name} (warm)", make, asked.conc, 1.5, args)
    load.DBPIDS[:] = backends(url)
    found = await load.load(client, name, make, asked.conc, asked.secs, args)
    assert not found["errors"], found["err"]
    return float(found["srv_cpu_ms"] + found["db_cpu_ms"])


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--secs", type=float, default=6)
    parser.add_argument("--conc", type=int, default=8)
    parser.add_argument("--ceiling", help=argparse.SUPPRESS)
    asked = parser.parse_args()
    if asked.ceiling:
        ceiling(asked.ceiling)
        return
    with places.database("ccbench_ceiling") as url:
        asyncio.run(compare(asked, url))


if __name__ == "__main__":
    main()
