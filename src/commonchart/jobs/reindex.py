"""Index existing resources again, in batches beside everything else: for a new search parameter, or a new program."""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime
from typing import TYPE_CHECKING

from msgspec.structs import replace

from commonchart.access import consents, relationships
from commonchart.access.parameters import indexed, read
from commonchart.care import labels_by_hand
from commonchart.fhir import json
from commonchart.record import reindex, store
from commonchart.record.reindex import Row, Run
from commonchart.record.rows import Index, Write
from commonchart.search.index import extract
from commonchart.search.parameters import Offered

if TYPE_CHECKING:
    from commonchart.record.database import Connection, Database

BATCH = 100


async def drain(database: Database, clock: Callable[[], datetime], site: object = None) -> int:
    """One batch of what waits longest; how many resources it had. 0: nothing waits."""
    now = clock()
    async with database.connection() as conn:
        run = await reindex.next_run(conn, now)
        if run is None:
            return 0
        if not run.place:
            await reindex.count(conn, run)
        rows = await reindex.batch(conn, run, BATCH)
        await reindex.replace(conn, await _made(conn, rows))
        await _before(conn, rows)
        await _followed(conn, rows, now)
        await reindex.advance(conn, run, rows[-1] if rows else None, len(rows), now)
        return len(rows) or 1


async def _made(conn: Connection, rows: list[Row]) -> list[tuple[Row, Index]]:
    known: dict[int, Offered] = {}
    out = []
    for row in rows:
        if not row.body:
            continue  # moved or deleted since it was listed: its writer has indexed it
        if row.tenant not in known:
            known[row.tenant] = await read(conn, row.tenant)
        body = json.decode(row.body.encode())
        index = replace(extract(row.rtype, body), labels=labels_by_hand.kept(body))
        write = Write(row.rtype, row.id, body, index)
        out.append((row, indexed(write, known[row.tenant]).index))
    return out


async def _before(conn: Connection, rows: list[Row]) -> None:
    """Label the versions before, where an earlier program left them without."""
    found = await reindex.superseded(conn, rows)
    made = [
        (row, vid, extract(row.rtype, json.decode(row.body.encode())).labels if row.body else 0)
        for row, vid in found
    ]
    if made:
        await reindex.label(conn, made)


async def _followed(conn: Connection, rows: list[Row], now: datetime) -> None:
    """What access keeps of resources: who treats whom, and what the consents say."""
    keys: dict[int, list[tuple[str, str]]] = {}
    for row in rows:
        if row.rtype in relationships.TYPES or row.rtype == "Consent":
            keys.setdefault(row.tenant, []).append((row.rtype, row.id))
    for tenant, wanted in keys.items():
        stored = list((await store.read_many(conn, tenant, wanted)).values())
        asked = relationships.of_versions(tenant, [one for one in stored if one.rtype != "Consent"], now)
        for one in stored:
            if one.rtype == "Consent":
                asked += consents.of_version(tenant, one, now)
        await conn.together(asked)


async def status(database: Database, tenant: int) -> list[Run]:
    """What was asked for, and how far each is."""
    async with database.single() as conn:
        return await reindex.runs(conn, tenant)


async def again(database: Database, now: datetime, version: int) -> None:
    """Have everything indexed again."""
    async with database.connection() as conn:
        await reindex.ask(conn, 0, reindex.EVERYTHING, (), version, now)
