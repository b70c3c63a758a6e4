"""An import: the files a manifest names are fetched through the egress guard and loaded with a receipt."""

from __future__ import annotations

import asyncio
import re
import shutil
from collections.abc import Callable
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING

from commonchart.access import exports
from commonchart.access.records import Records
from commonchart.access.standing import standing
from commonchart.exchange.bulk import links, runs
from commonchart.exchange.bulk.place import Place
from commonchart.exchange.bulk.runs import Run
from commonchart.exchange.bulk.wanted import Import
from commonchart.exchange.egress import Guard, Unanswered
from commonchart.exchange.load.run import Options, load
from commonchart.exchange.rules import guard_of
from commonchart.fhir.outcome import Invalid, NotFound

if TYPE_CHECKING:
    from commonchart.record.database import Database

MAX_FILE = 5_000_000_000
SECONDS = 3600.0
OWN = re.compile(r"([0-9a-f-]{36})/(\d{1,4})\.[A-Za-z]+\.ndjson\?expires=(\d+)&signature=([0-9a-f]{64})")


async def carry_out(
    database: Database, clock: Callable[[], datetime], place: Place, run: Run, guard: Guard | None
) -> None:
    """Fetch, load, and leave the number of the receipt as the progress. Raises Refused."""
    wanted = run.asked(Import)
    async with database.single() as conn:
        actor = await standing(conn, run.who())
        guard = guard or await guard_of(conn, run.tenant)
    exports.require_exporter(actor)
    records = Records(database, actor, clock)
    folder = place.made("import", run.id)
    try:
        for n, source in enumerate(wanted.sources, 1):
            path = folder / f"{n:04}.{source.rtype}.ndjson"
            async with database.single() as conn:
                await runs.say(conn, run.id, f"fetching file {n} of {len(wanted.sources)}", 0)
            own = await _own(records, place, source.url)
            if own is None:
                await _fetched(guard, source.url, path, n)
            else:
                await asyncio.to_thread(shutil.copyfile, own, path)
        options = Options(source=wanted.source, jobs=1, keep_ids=wanted.keep_ids)
        done = await load(records, [folder], options, lambda *_: None)
    finally:
        shutil.rmtree(folder, ignore_errors=True)
    total = done.total
    async with database.connection() as conn:
        words = f"receipt {done.id}: {total.stored} stored, {total.unchanged} unchanged, {total.rejected} rejected"
        await runs.finish(
            conn, run.id, "finished", clock(), resources=total.stored + total.unchanged, error=words
        )


async def _own(records: Records, place: Place, url: str) -> Path | None:
    """The file behind a signed address of our own, for whoever exported it. Raises NotFound."""
    found = (
        OWN.fullmatch(url.removeprefix(f"{place.base_url.rstrip('/')}/fhir/_bulk/"))
        if place.base_url
        else None
    )
    if found is None:
        return None
    run, n, expires, signature = found[1], int(found[2]), found[3], found[4]
    links.check(run, n, expires, signature, records.clock(), place.secret)
    await runs.of(records, run)
    async with records.database.single() as conn:
        known = {one.n: one.name for one in await runs.files(conn, run)}
    if n not in known:
        raise NotFound("There is no such file of this export")
    return place.folder("export", run) / known[n]


async def _fetched(guard: Guard, url: str, path: Path, n: int) -> None:
    headers = {"accept": "application/fhir+ndjson"}
    try:
        reply = await guard.fetch(url, path, headers=headers, seconds=SECONDS, max_bytes=MAX_FILE)
    except Unanswered as error:
        raise Invalid(f"File {n} cannot be fetched: {error}", at=f"input[{n - 1}].url") from None
    if reply.status != 200:
        raise Invalid(
            f"File {n} cannot be fetched: its server answers {reply.status}", at=f"input[{n - 1}].url"
        )
