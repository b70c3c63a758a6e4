"""The runs of exports and imports as they are kept: asked for, at work, finished, given up, cleaned away."""

from __future__ import annotations

import re
from collections.abc import Sequence
from datetime import datetime, timedelta
from typing import TYPE_CHECKING, Any, TypeVar

import msgspec
from msgspec import Struct

from commonchart.access import audit
from commonchart.access.actors import Actor
from commonchart.access.exports import EXPORTERS, require_exporter
from commonchart.access.writes import new_id
from commonchart.exchange.bulk.wanted import Export, Import
from commonchart.fhir.outcome import NotFound, Throttled
from commonchart.record.changes import CHANNEL

if TYPE_CHECKING:
    from commonchart.access.records import Records
    from commonchart.record.database import Connection

KEPT = timedelta(hours=24)
POLL_SECONDS = 0.05
MAX_OPEN = 10
OPEN = ("waiting", "running")
_COLUMNS = "id, tenant, kind, state, user_id, actor, request, wanted, at, finished, expires, progress, resources, attempts, error"

T = TypeVar("T")
_ID = re.compile(r"[0-9a-f-]{36}")


class Run(Struct, frozen=True):
    """One export or import. `actor` and `wanted` are JSON."""

    id: str
    tenant: int
    kind: str
    state: str
    user: str
    actor: str
    request: str
    wanted: str
    at: datetime
    finished: datetime | None
    expires: datetime | None
    progress: str
    resources: int
    attempts: int
    error: str

    def who(self) -> Actor:
        """Who asked, as they were then."""
        return msgspec.json.decode(self.actor, type=Actor)

    def asked(self, kind: type[T]) -> T:
        """What was asked for."""
        return msgspec.json.decode(self.wanted, type=kind)


class File(Struct, frozen=True):
    """One finished file of a run."""

    n: int
    kind: str
    rtype: str
    name: str
    resources: int
    bytes: int


async def begin(records: Records, wanted: Export | Import, request: str) -> str:
    """Note what is asked for and wake the worker; the id of the run. Raises Forbidden."""
    require_exporter(records.actor)
    kind = "export" if isinstance(wanted, Export) else "import"
    now, actor = records.clock(), records.actor
    run = new_id(now)
    async with records.database.connection() as conn:
        await _few(conn, actor)
        await conn.execute(
            "INSERT INTO bulk_run (id, tenant, kind, state, user_id, actor, request, wanted, at) "
            "VALUES (%s, %s, %s, 'waiting', %s, %s, %s, %s, %s)",
            (
                run, actor.tenant, kind, actor.user, msgspec.json.encode(actor).decode(), request,
                msgspec.json.encode(wanted).decode(), now,
            ),
        )  # fmt: skip
        named = list(wanted.patients or ()) if isinstance(wanted, Export) else []
        for at in range(0, max(1, len(named)), 1000):
            await audit.note(
                conn,
                actor,
                now,
                kind,
                query=request[:2000],
                detail=f"begin {run}",
                patients=named[at : at + 1000],
            )
        await conn.execute("SELECT pg_notify(%s, '')", (CHANNEL,))
    return run


async def _few(conn: Connection, actor: Actor) -> None:
    cursor = await conn.execute(
        "SELECT count(*) FROM bulk_run WHERE tenant = %s AND user_id = %s AND state IN ('waiting', 'running')",
        (actor.tenant, actor.user),
    )
    row = await cursor.fetchone()
    if row is not None and row[0] >= MAX_OPEN:
        raise Throttled(f"At most {MAX_OPEN} exports and imports of yours wait at once: give one up, or wait")


async def of(records: Records, run: str) -> Run:
    """A run of this very user for this organisation, while their role exports, through an app only what it began itself.

    Raises NotFound, for other people's too.
    """
    _named(run)
    async with records.database.single() as conn:
        cursor = await conn.execute(
            f"SELECT {_COLUMNS} FROM bulk_run WHERE id = %s AND tenant = %s AND user_id = %s "
            "AND actor::json ->> 'org' = %s AND state NOT IN ('cancelled', 'removed')",
            (run, records.actor.tenant, records.actor.user, records.actor.org),
        )
        row = await cursor.fetchone()
        app = records.actor.app
        if row is None or records.actor.role not in EXPORTERS or (app and Run(*row).who().app != app):
            await audit.note(
                conn,
                records.actor,
                records.clock(),
                "export",
                outcome=audit.MINOR,
                detail=f"no run {run}",
            )
            raise NotFound("There is no such export or import of yours")
    return Run(*row)


def _named(run: str) -> None:
    """Raises NotFound for what cannot be the name of a run."""
    if not _ID.fullmatch(run):
        raise NotFound("There is no such export or import of yours")


async def polled(records: Records, run: str) -> None:
    """Count a look at the state. Raises Throttled for more than about twenty a second."""
    async with records.database.single() as conn:
        cursor = await conn.execute(
            "UPDATE bulk_run n SET polled = clock_timestamp() FROM bulk_run o WHERE n.id = %s AND o.id = n.id "
            "RETURNING extract(epoch FROM clock_timestamp() - o.polled)",
            (run,),
        )
        row = await cursor.fetchone()
    if row is not None and row[0] is not None and float(row[0]) < POLL_SECONDS:
        raise Throttled("Ask for the state of an export about once a second", seconds=2)


async def files(conn: Connection, run: str) -> list[File]:
    """The finished files, in order."""
    cursor = await conn.execute(
        "SELECT n, kind, rtype, name, resources, bytes FROM bulk_file WHERE run = %s ORDER BY n", (run,)
    )
    return [File(*row) for row in await cursor.fetchall()]


async def cancel(records: Records, run: str) -> None:
    """Give it up and have its files removed. Raises NotFound."""
    await of(records, run)
    async with records.database.connection() as conn:
        await _cancelled(conn, records, run)


async def cancel_any(records: Records, run: str) -> None:
    """The same for any run of the tenant, by an administrator. Raises Forbidden."""
    require_exporter(records.actor)
    _named(run)
    async with records.database.connection() as conn:
        await _cancelled(conn, records, run)


async def _cancelled(conn: Connection, records: Records, run: str) -> None:
    await conn.execute(
        "UPDATE bulk_run SET state = 'cancelled', progress = 'cancelled' WHERE id = %s AND tenant = %s "
        "AND state NOT IN ('cancelled', 'removed')",
        (run, records.actor.tenant),
    )
    await audit.note(conn, records.actor, records.clock(), "export", detail=f"cancel {run}")
    await conn.execute("SELECT pg_notify(%s, '')", (CHANNEL,))


async def recent(records: Records, limit: int = 50) -> list[Run]:
    """The newest runs of the tenant, for administrators. Raises Forbidden."""
    require_exporter(records.actor)
    async with records.database.single() as conn:
        cursor = await conn.execute(
            f"SELECT {_COLUMNS} FROM bulk_run WHERE tenant = %s ORDER BY at DESC, id DESC LIMIT %s",
            (records.actor.tenant, limit),
        )
        return [Run(*row) for row in await cursor.fetchall()]


# ---- for the worker --------------------------------------------------------------------------------------------


async def waiting(conn: Connection) -> list[Run]:
    """What is to be done, the oldest first; with what a worker that died has left behind."""
    cursor = await conn.execute(
        f"SELECT {_COLUMNS} FROM bulk_run WHERE state IN ('waiting', 'running') ORDER BY at, id LIMIT 20"
    )
    return [Run(*row) for row in await cursor.fetchall()]


async def started(conn: Connection, run: str) -> int:
    """Say that it is being worked on; for how many-th time."""
    cursor = await conn.execute(
        "UPDATE bulk_run SET state = 'running', attempts = attempts + 1 WHERE id = %s AND state IN ('waiting', 'running') "
        "RETURNING attempts",
        (run,),
    )
    row = await cursor.fetchone()
    return int(row[0]) if row else 0


async def say(conn: Connection, run: str, progress: str, resources: int) -> bool:
    """Note how far it is; whether it is still wanted."""
    cursor = await conn.execute(
        "UPDATE bulk_run SET progress = %s, resources = %s WHERE id = %s AND state = 'running'",
        (progress[:99], resources, run),
    )
    return cursor.rowcount == 1


async def keep(conn: Connection, run: str, file: File) -> None:
    """Note a finished file."""
    await conn.execute(
        "INSERT INTO bulk_file (run, n, kind, rtype, name, resources, bytes) VALUES (%s, %s, %s, %s, %s, %s, %s)",
        (run, file.n, file.kind, file.rtype, file.name, file.resources, file.bytes),
    )


async def finish(
    conn: Connection,
    run: str,
    state: str,
    now: datetime,
    *,
    resources: int = 0,
    error: str = "",
    kept: timedelta = KEPT,
) -> bool:
    """End it, unless it was cancelled; whether it was not."""
    cursor = await conn.execute(
        "UPDATE bulk_run SET state = %s, finished = %s, expires = %s, progress = %s, resources = %s, error = %s "
        "WHERE id = %s AND state IN ('waiting', 'running')",
        (state, now, now + kept, state, resources, error, run),
    )
    return cursor.rowcount == 1


async def over(conn: Connection, now: datetime) -> Sequence[tuple[str, str]]:
    """(id, kind) of runs whose files are to be removed: cancelled, or past their time."""
    cursor = await conn.execute(
        "SELECT id, kind FROM bulk_run WHERE state = 'cancelled' OR (state IN ('finished', 'failed', 'refused') AND expires <= %s) "
        "LIMIT 100",
        (now,),
    )
    rows: list[Any] = await cursor.fetchall()
    return [(row[0], row[1]) for row in rows]


async def forget_files(conn: Connection, run: str) -> None:
    """Its files so far are none of it."""
    await conn.execute("DELETE FROM bulk_file WHERE run = %s", (run,))


async def removed(conn: Connection, run: str) -> None:
    """Its files are gone."""
    await forget_files(conn, run)
    await conn.execute(
        "UPDATE bulk_run SET state = 'removed', progress = CASE WHEN state = 'cancelled' THEN 'cancelled' ELSE 'expired' END "
        "WHERE id = %s",
        (run,),
    )
