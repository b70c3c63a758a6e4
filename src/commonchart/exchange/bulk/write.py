"""The files of an export: rows of the record copied out as they are stored, type by type, in level memory.

PostgreSQL writes the lines itself: COPY in CSV form with quote and delimiter that JSON text cannot hold gives the stored
bytes and a newline, and nothing is decoded here. A type is one statement and one file; a file that is finished is never
written again, one that was interrupted is begun anew.
"""

from __future__ import annotations

import asyncio
import re
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Iterable, Sequence
from pathlib import Path
from typing import IO, TYPE_CHECKING

from msgspec import Struct

from commonchart.access import exports
from commonchart.access.exports import Part
from commonchart.exchange.bulk.wanted import Export, elements_of, query_pairs, subset
from commonchart.fhir import json
from commonchart.search.compile import Statement
from commonchart.search.query import parse

if TYPE_CHECKING:
    from datetime import datetime

    from commonchart.record.database import Connection
    from commonchart.search.visible import Visible

CHECK_BYTES = 16_000_000
CHECK_SECONDS = 2.0
DELETED_EACH = 500
MAX_ROUNDS = 4
KEYS = 1000

SHARED = (
    "Organization", "Practitioner", "PractitionerRole", "Location", "HealthcareService", "Endpoint", "Medication",
    "MedicationKnowledge", "Device", "DeviceDefinition", "Substance", "Questionnaire", "PlanDefinition", "Measure",
)  # fmt: skip
_REFERRED = re.compile(rb'"reference":"(' + "|".join(SHARED).encode() + rb')/([A-Za-z0-9\-.]{1,64})[/"]')

Key = tuple[str, str]
Still = Callable[[str, int], Awaitable[None]]


class Made(Struct, frozen=True):
    """A file that was written: kind output or deleted, how many resources or bundles, how many bytes."""

    kind: str
    rtype: str
    name: str
    resources: int
    bytes: int


class Job(Struct, frozen=True):
    """What the files are made of: what was asked, for whose eyes, as of when, and which types are done already."""

    wanted: Export
    visible: Visible
    types: tuple[str, ...]
    at: datetime
    folder: Path
    done: frozenset[str] = frozenset()


def job(
    wanted: Export, visible: Visible, readable: Sequence[str], at: datetime, folder: Path, done: Iterable[str]
) -> Job:
    """The job, with the types in order that are wanted and may be read."""
    chosen = {*wanted.types, *(("Provenance",) if wanted.provenance and wanted.types else ())}
    types = tuple(t for t in readable if not chosen or t in chosen)
    return Job(wanted, visible, types, at, folder, frozenset(done))


async def files(conn: Connection, job: Job, still: Still) -> AsyncIterator[list[Made]]:
    """The files that are not there yet, as soon as they are finished; those given together belong together.

    `still(progress, resources)` is called every few seconds and may raise to end it.
    """
    count = 0
    for rtype in job.types:
        if rtype in job.done:
            continue
        made = await _type(conn, job, rtype, still, count)
        if made.resources:
            count += made.resources
            yield [made]
    if job.wanted.compartment:
        yield await _referred(conn, job, still, count)
    if job.wanted.since and "deleted" not in job.done:
        made = await _deleted(conn, job)
        if made.resources:
            yield [made]


async def _type(conn: Connection, job: Job, rtype: str, still: Still, before: int) -> Made:
    part = _part(job, rtype)
    queries = [parse(rtype, query_pairs(text), strict=True) for t, text in job.wanted.filters if t == rtype]
    if queries:
        statement = await exports.filtered(conn, job.visible, part, queries)
    else:
        statement = exports.bodies(job.visible, part)
    keep = elements_of(rtype, job.wanted.elements)
    path = job.folder / f"{rtype}.ndjson"
    partial = path.with_suffix(".part")
    await still(f"{rtype}: beginning", before)
    with partial.open("wb", buffering=1 << 20) as file:
        count = await _copied(conn, statement, file, keep, still, rtype, before)
        size = file.tell()
    if count:
        partial.replace(path)
    else:
        partial.unlink()
    return Made("output", rtype, path.name, count, size)


def _part(job: Job, rtype: str) -> Part:
    return Part(rtype, job.at, job.wanted.since, job.wanted.compartment, job.wanted.patients)


async def _copied(
    conn: Connection,
    statement: Statement,
    file: IO[bytes],
    keep: frozenset[str] | None,
    still: Still,
    rtype: str,
    before: int,
) -> int:
    """How many lines were copied into the file."""
    copying = f"COPY ({statement.sql}) TO STDOUT (FORMAT csv, DELIMITER E'\\x02', QUOTE E'\\x01')"
    count, unlooked, looked = 0, 0, time.monotonic()
    write = file.write
    async with conn.transaction(), conn.cursor() as cursor, cursor.copy(copying, statement.args) as copy:
        async for row in copy:
            count += 1
            unlooked += write(row if keep is None else subset(bytes(row), keep) + b"\n")
            if count & 1023 == 0:  # rows that are there already never wait: let the other lanes have a turn
                await asyncio.sleep(0)
            if unlooked > CHECK_BYTES or (count & 255 == 0 and time.monotonic() - looked > CHECK_SECONDS):
                await still(f"{rtype}: {count} resources", before + count)
                unlooked, looked = 0, time.monotonic()
    return count


# ---- what a patient's record refers to -------------------------------------------------------------------------


async def _referred(conn: Connection, job: Job, still: Still, before: int) -> list[Made]:
    """Practitioners, organisations, medications and the like that the files refer to, one file for each type."""
    wanted = [t for t in SHARED if (not job.wanted.types or t in job.wanted.types) and t not in job.types]
    if not wanted or any(name in job.done for name in wanted):
        return []
    seen: set[Key] = set()
    counts: dict[str, list[int]] = {}
    frontier = _references(job)
    open_files: dict[str, IO[bytes]] = {}
    try:
        for _ in range(MAX_ROUNDS):
            await still("what the records refer to", before + sum(n for n, _ in counts.values()))
            seen |= frontier
            following: set[Key] = set()
            async for rtype, body in _bodies(conn, job, sorted(frontier)):
                following |= _keys(body)
                if rtype in wanted:
                    _add(job, open_files, counts, rtype, body)
            frontier = following - seen
            if not frontier:
                break
    finally:
        for file in open_files.values():
            file.close()
    for rtype in counts:
        (job.folder / f"{rtype}.part").replace(job.folder / f"{rtype}.ndjson")
    return [Made("output", t, f"{t}.ndjson", count, size) for t, (count, size) in sorted(counts.items())]


def _add(
    job: Job, open_files: dict[str, IO[bytes]], counts: dict[str, list[int]], rtype: str, body: bytes
) -> None:
    keep = elements_of(rtype, job.wanted.elements)
    line = (body if keep is None else subset(body, keep)) + b"\n"
    if rtype not in open_files:
        open_files[rtype] = (job.folder / f"{rtype}.part").open("wb", buffering=1 << 16)
    open_files[rtype].write(line)
    held = counts.setdefault(rtype, [0, 0])
    held[0] += 1
    held[1] += len(line)


async def _bodies(conn: Connection, job: Job, keys: Sequence[Key]) -> AsyncIterator[tuple[str, bytes]]:
    for at in range(0, len(keys), KEYS):
        statement = exports.keyed(job.visible, keys[at : at + KEYS], job.at)
        for rtype, body in await (await conn.execute(statement.sql, statement.args)).fetchall():
            yield rtype, body.encode()


def _references(job: Job) -> set[Key]:
    """What the finished files refer to, read from them: nothing to be kept through a crash."""
    found: set[Key] = set()
    for path in job.folder.glob("*.ndjson"):
        with path.open("rb", buffering=1 << 20) as file:
            while lines := file.readlines(1 << 22):
                found |= _keys(b"".join(lines))
    return found


def _keys(text: bytes) -> set[Key]:
    return {(rtype.decode(), id.decode()) for rtype, id in set(_REFERRED.findall(text))}


# ---- deletions -------------------------------------------------------------------------------------------------


async def _deleted(conn: Connection, job: Job) -> Made:
    """Transaction Bundles of DELETE, one a line."""
    path = job.folder / "deleted.part"
    count = 0
    with path.open("wb") as file:
        for rtype in job.types:
            statement = exports.deletions(job.visible, _part(job, rtype))
            found = await (await conn.execute(statement.sql, statement.args)).fetchall()
            for at in range(0, len(found), DELETED_EACH):
                file.write(_bundle([f"{t}/{i}" for t, i in found[at : at + DELETED_EACH]]))
                count += 1
        size = file.tell()
    path.replace(job.folder / "deleted.ndjson")
    return Made("deleted", "Bundle", "deleted.ndjson", count, size)


def _bundle(urls: list[str]) -> bytes:
    entries = [{"request": {"method": "DELETE", "url": url}} for url in urls]
    return json.encode({"resourceType": "Bundle", "type": "transaction", "entry": entries}) + b"\n"
