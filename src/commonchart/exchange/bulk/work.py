"""Carrying out the runs: one at a time, begun again where a worker that died has left them, rights decided at each step."""

from __future__ import annotations

import asyncio
import shutil
import time
from collections.abc import Awaitable, Callable
from datetime import datetime, timedelta
from hashlib import sha256
from pathlib import Path
from typing import TYPE_CHECKING

import msgspec
import structlog

from commonchart.access import audit, consents, exports, policy
from commonchart.access.actors import Actor
from commonchart.access.records import Records
from commonchart.access.standing import standing
from commonchart.exchange.bulk import importing, runs, write
from commonchart.exchange.bulk.place import Place
from commonchart.exchange.bulk.runs import Run
from commonchart.exchange.bulk.wanted import Export
from commonchart.exchange.egress import Guard
from commonchart.fhir.outcome import Busy, Refused
from commonchart.record import site
from commonchart.record.keys import hash64

if TYPE_CHECKING:
    from commonchart.record.database import Connection, Database
    from commonchart.search.visible import Visible

log = structlog.get_logger("commonchart.bulk")

ATTEMPTS = 5
SETTLE_SECONDS = 0.1
PATIENCE_SECONDS = 600.0
HOURS = "export_hours"
DECIDED = "decided"

Clock = Callable[[], datetime]


class Stopped(Exception):
    """Not wanted any more."""


async def clean(database: Database, now: datetime, place: Place) -> int:
    """Remove the files of runs that were cancelled or have expired; how many runs."""
    async with database.single() as conn:
        found = await runs.over(conn, now)
        for run, kind in found:
            await asyncio.to_thread(shutil.rmtree, place.folder(kind, run), True)
            await runs.removed(conn, run)
    return len(found)


async def carry_out(database: Database, clock: Clock, place: Place, guard: Guard | None = None) -> int:
    """Carry out the oldest run that nobody else is at; whether there was one. `guard` is for tests."""
    async with database.single() as own:
        found = await runs.waiting(own)
    if not found:
        return 0
    async with database.dedicated() as conn:
        for run in found:
            if await _mine(conn, run.id):
                await _attempted(database, conn, clock, place, run, guard)
                return 1
    return 0


async def _mine(conn: Connection, run: str) -> bool:
    """Take a lock that ends with the connection, and so with this process."""
    row = await (await conn.execute("SELECT pg_try_advisory_lock(%s)", (hash64(f"bulk {run}"),))).fetchone()
    return bool(row and row[0])


async def _attempted(
    database: Database, conn: Connection, clock: Clock, place: Place, run: Run, guard: Guard | None
) -> None:
    attempt = await runs.started(conn, run.id)
    if not attempt:
        return
    try:
        if run.kind == "export":
            await _export(database, conn, clock, place, run)
        else:
            await importing.carry_out(database, clock, place, run, guard)
    except Stopped:
        await clean(database, clock(), place)
    except Busy:
        if attempt >= ATTEMPTS:
            await _failed(database, clock, place, run, "It was interrupted too often")
        raise
    except Refused as refusal:
        await _failed(database, clock, place, run, str(refusal), state="refused")
    except OSError as error:
        await _failed(
            database,
            clock,
            place,
            run,
            f"The files cannot be written: {error.strerror or type(error).__name__}",
        )
    except Exception as error:
        log.error("bulk run failed", kind=type(error).__name__, attempt=attempt)
        if attempt >= ATTEMPTS:
            await _failed(database, clock, place, run, f"Something went wrong here ({type(error).__name__})")
        raise


async def _failed(
    database: Database, clock: Clock, place: Place, run: Run, words: str, state: str = "failed"
) -> None:
    """Give it up and leave no part of it behind."""
    await asyncio.to_thread(shutil.rmtree, place.folder(run.kind, run.id), True)
    async with database.connection() as conn:
        await runs.finish(conn, run.id, state, clock(), error=words)
        await audit.note(conn, run.who(), clock(), run.kind, outcome=audit.SERIOUS, detail=f"failed {run.id}")


# ---- an export -------------------------------------------------------------------------------------------------


async def _export(database: Database, conn: Connection, clock: Clock, place: Place, run: Run) -> None:
    wanted = run.asked(Export)
    actor = await _allowed(database, run)
    seen = policy.visible(actor, clock())
    async with database.single() as own:
        epoch = await consents.epoch(own, run.tenant)

    async def still(progress: str, resources: int) -> None:
        async with database.single() as own:
            if not await runs.say(own, run.id, progress, resources):
                raise Stopped
            consented = seen.beyond is None or await consents.epoch(own, run.tenant) == epoch
        if not consented or policy.visible(await _allowed(database, run)).scope() != seen.scope():
            raise Busy("The rights of whoever asked have changed: the export begins again")

    await _settled(conn, lambda: still("waiting for changes that are under way", 0))
    async with database.single() as own:
        have = await _made_before(own, place, run, _decision(seen, epoch))
    readable = exports.readable_types(actor, wanted.compartment)
    done = [one.rtype if one.kind == "output" else one.kind for one in have]
    job = write.job(wanted, seen, readable, run.at, place.made("export", run.id), done)
    n, resources = len(have), sum(one.resources for one in have if one.kind == "output")
    await conn.hold(policy.bounds(actor))
    async for made in write.files(conn, job, still):
        async with database.connection() as own:
            for one in made:
                n += 1
                await runs.keep(
                    own, run.id, runs.File(n, one.kind, one.rtype, one.name, one.resources, one.bytes)
                )
                resources += one.resources if one.kind == "output" else 0
        await still(f"{resources} resources", resources)
    await _finished(database, clock, run, actor, resources)


def _decision(seen: Visible, epoch: str) -> str:
    """What an export is decided by: another where its maker may see something else, or some consent has changed."""
    held = [seen.scope(), "" if seen.beyond is None else epoch]
    return sha256(msgspec.json.encode(held)).hexdigest()


async def _made_before(conn: Connection, place: Place, run: Run, decision: str) -> list[runs.File]:
    """The files of an attempt before; none where something else decided then: what was given up meanwhile is in none."""
    mark = place.made("export", run.id) / DECIDED
    if mark.is_file() and mark.read_text() == decision:
        return await runs.files(conn, run.id)
    await asyncio.to_thread(shutil.rmtree, mark.parent, True)
    await runs.forget_files(conn, run.id)
    (place.made("export", run.id) / DECIDED).write_text(decision)
    return []


async def _finished(database: Database, clock: Clock, run: Run, actor: Actor, resources: int) -> None:
    async with database.connection() as conn:
        hours = await site.get(conn, run.tenant, HOURS, "24")
        kept = timedelta(hours=int(hours)) if hours.isdigit() and 0 < int(hours) < 1000 else runs.KEPT
        if not await runs.finish(conn, run.id, "finished", clock(), resources=resources, kept=kept):
            raise Stopped
        await audit.note(conn, actor, clock(), "export", detail=f"finished {run.id}, {resources} resources")


async def _allowed(database: Database, run: Run) -> Actor:
    """Who asked, as of now. Raises Forbidden."""
    async with database.single() as conn:
        actor = await standing(conn, run.who())
    exports.require_exporter(actor)
    return actor


async def _settled(conn: Connection, waiting: Callable[[], Awaitable[None]]) -> None:
    """Wait for every change that was under way when the export was asked for: all that is recorded by then is then seen.

    A moment first: the clock is read shortly before the first row is written.
    """
    await asyncio.sleep(SETTLE_SECONDS)
    xid = await exports.underway(conn)
    began = told = time.monotonic()
    while not await exports.past(conn, xid):
        now = time.monotonic()
        if now - began > PATIENCE_SECONDS:
            raise Busy("Changes have been under way for too long")
        if now - told > 1:
            told = now
            await waiting()
        await asyncio.sleep(0.02)


async def to_folder(
    records: Records, wanted: Export, folder: Path, progress: Callable[[str, int], None]
) -> list[write.Made]:
    """An export straight into a folder, for the command line: the files that were written. Raises Forbidden."""
    exports.require_exporter(records.actor)
    at, made = records.clock(), list[write.Made]()

    async def still(words: str, resources: int) -> None:
        progress(words, resources)

    readable = exports.readable_types(records.actor, wanted.compartment)
    job = write.job(wanted, records.visible, readable, at, folder, ())
    async with records.database.dedicated() as conn:
        await audit.note(conn, records.actor, at, "export", detail="begin, to a folder")
        await _settled(conn, lambda: still("waiting for changes that are under way", 0))
        async for several in write.files(conn, job, still):
            made += several
        total = sum(one.resources for one in made)
        await audit.note(
            conn, records.actor, records.clock(), "export", detail=f"finished, {total} resources"
        )
    return made
