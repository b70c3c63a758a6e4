"""One load: files are prepared in processes, stored in transactions here, and every entry is accounted for."""

from __future__ import annotations

import asyncio
import multiprocessing
import os
from collections.abc import AsyncIterator, Callable, Coroutine, Iterable, Iterator
from concurrent.futures import Future, ProcessPoolExecutor
from contextlib import suppress
from pathlib import Path
from typing import Any

from msgspec import Struct

from commonchart.access.records import Put, Records
from commonchart.access.writes import write_ready
from commonchart.exchange.load import files, receipt
from commonchart.exchange.load.prepare import Ready, ReadyUnit, prepared
from commonchart.exchange.load.receipt import Line, Receipt
from commonchart.fhir.outcome import Refused

BATCH = 400
AHEAD = 4

Progress = Callable[[int, int, int], None]


class Options(Struct, frozen=True):
    """How to load: the sender's name, whether a transaction Bundle stands or falls as one, how many processes.

    `keep_ids`: what is loaded was exported by Commonchart, and its ids are ours.
    """

    source: str = "load"
    atomic: bool = False
    jobs: int = 0
    keep_ids: bool = False


class Cut(Exception):
    """The load was interrupted; what was stored stays."""


async def load(records: Records, paths: list[Path], options: Options, progress: Progress) -> Receipt:
    """Load everything; the receipt says what became of each entry. `progress(bytes done, bytes in all, entries)`.

    Raises Invalid (nothing to load), Forbidden. An interruption ends it after the current unit, with a receipt;
    so does a failure, which is then raised.
    """
    chosen = files.found(paths)
    run = await receipt.begin(records, options.source)
    sizes = [path.stat().st_size for path in chosen]
    state, n, done = "finished", 0, 0
    try:
        async for file_n, unit in _prepared(chosen, options):
            n += await _whole(_kept(records, run, n, unit, options))
            done = sum(sizes[:file_n])
            progress(done, sum(sizes), n)
    except (asyncio.CancelledError, KeyboardInterrupt):
        state = "interrupted"
    except Exception:
        with suppress(Refused):
            await receipt.finish(records, run, "failed")
        raise
    return await receipt.finish(records, run, state)


# ---- preparing -------------------------------------------------------------------------------------------------


def _prepare_file(path: str, source: str, keep_ids: bool) -> list[ReadyUnit]:
    return [prepared(unit, source, keep_ids) for unit in files.units(Path(path))]


async def _prepared(chosen: list[Path], options: Options) -> AsyncIterator[tuple[int, ReadyUnit]]:
    """(files begun, unit), files prepared ahead in processes; large NDJSON here, unit by unit, to keep memory level."""
    jobs = options.jobs or max(1, (os.cpu_count() or 2) - 1)
    if jobs == 1 and len(chosen) == 1:
        for raw in files.units(chosen[0]):
            yield 1, await asyncio.to_thread(prepared, raw, options.source, options.keep_ids)
        return
    context = multiprocessing.get_context("spawn")
    with ProcessPoolExecutor(jobs, mp_context=context) as pool:
        waiting: list[tuple[int, Path, Future[list[ReadyUnit]] | None]] = []
        pending = enumerate(chosen, 1)
        for number, path in pending:
            waiting.append((number, path, _submit(pool, path, options)))
            if len(waiting) >= jobs * AHEAD:
                break
        while waiting:
            number, path, future = waiting.pop(0)
            async for unit in _units_of(path, future, options):
                yield number, unit
            following = next(pending, None)
            if following is not None:
                waiting.append((*following, _submit(pool, following[1], options)))


def _submit(pool: ProcessPoolExecutor, path: Path, options: Options) -> Future[list[ReadyUnit]] | None:
    large = path.stat().st_size > 20_000_000
    return None if large else pool.submit(_prepare_file, str(path), options.source, options.keep_ids)


async def _units_of(
    path: Path, future: Future[list[ReadyUnit]] | None, options: Options
) -> AsyncIterator[ReadyUnit]:
    if future is not None:
        for unit in await asyncio.wrap_future(future):
            yield unit
        return
    for raw in files.units(path):
        yield await asyncio.to_thread(prepared, raw, options.source, options.keep_ids)


# ---- storing ---------------------------------------------------------------------------------------------------


async def _whole(work: Coroutine[Any, Any, int]) -> int:
    """Work that an interruption waits for: what is stored must stand in the receipt."""
    task = asyncio.ensure_future(work)
    try:
        return await asyncio.shield(task)
    except asyncio.CancelledError:
        await task
        raise


async def _kept(records: Records, run: str, n: int, unit: ReadyUnit, options: Options) -> int:
    lines = await _store(records, unit, options)
    await receipt.add(records, run, n, lines)
    return len(lines)


async def _store(records: Records, unit: ReadyUnit, options: Options) -> list[Line]:
    if options.atomic and unit.atomic:
        return await _store_whole(records, unit, options)
    lines: list[Line] = []
    for batch in _batches(unit.entries):
        lines += await _store_batch(records, batch, options)
    return lines


def _batches(entries: Iterable[Ready]) -> Iterator[list[Ready]]:
    held: list[Ready] = []
    for entry in entries:
        held.append(entry)
        if len(held) >= BATCH:
            yield held
            held = []
    if held:
        yield held


async def _store_whole(records: Records, unit: ReadyUnit, options: Options) -> list[Line]:
    bad = [entry for entry in unit.entries if entry.valid is None]
    if bad:
        other = f"another entry of this transaction was rejected: {bad[0].place}"
        return [_line(entry, "rejected", entry.reason or other) for entry in unit.entries]
    try:
        return await _written(records, list(unit.entries), options)
    except Refused as refusal:
        return [_line(entry, "rejected", f"the transaction was refused: {refusal}") for entry in unit.entries]


async def _store_batch(records: Records, batch: list[Ready], options: Options) -> list[Line]:
    """A batch in one transaction; if something in it is refused, each entry by itself, so that only that one is lost."""
    good = [entry for entry in batch if entry.valid is not None]
    outcomes: dict[int, Line] = {}
    try:
        for entry, line in zip(good, await _written(records, good, options), strict=True):
            outcomes[id(entry)] = line
    except Refused as refusal:
        if refusal.status == 503:
            raise
        for entry in good:
            outcomes[id(entry)] = await _alone(records, entry, options)
    return [outcomes.get(id(entry)) or _line(entry, "rejected", entry.reason) for entry in batch]


async def _alone(records: Records, entry: Ready, options: Options) -> Line:
    try:
        return (await _written(records, [entry], options))[0]
    except Refused as refusal:
        if refusal.status == 503:
            raise
        return _line(entry, "rejected", str(refusal))


async def _written(records: Records, entries: list[Ready], options: Options) -> list[Line]:
    if not entries:
        return []
    puts = [Put(entry.valid, entry.id, skip_unchanged=True) for entry in entries if entry.valid is not None]
    indexes: list[Any] = [entry.index for entry in entries]
    async with records.transaction(source=options.source) as tx:
        written = await tx.write_prepared(
            [write_ready(put, index) for put, index in zip(puts, indexes, strict=True)],
            [url for put in puts for url in put.valid.modifiers],
        )
    return [
        _line(entry, "unchanged" if done.state == "unchanged" else "stored", "")
        for entry, done in zip(entries, written, strict=True)
    ]


def _line(entry: Ready, outcome: str, reason: str) -> Line:
    return Line(entry.file, entry.place, entry.rtype, entry.sent_id, entry.id, outcome, reason)
