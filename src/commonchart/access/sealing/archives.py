"""Old months of the trail as files: written, read back against their seals, and only then taken out of the table.

A file is gzip of JSON lines: what of the event is sealed (`chain.COLUMNS`), so that it can be verified years later by
itself. The database keeps the seals, and of each file the SHA-256 and how many events it holds.
"""

from __future__ import annotations

import gzip
import os
from collections.abc import AsyncIterator, Iterator, Sequence
from datetime import date, datetime
from hashlib import file_digest
from pathlib import Path
from typing import TYPE_CHECKING, Any

import msgspec

from commonchart.access import audit
from commonchart.access.actors import Actor
from commonchart.access.sealing import chain
from commonchart.access.sealing.verifying import Archived
from commonchart.fhir.outcome import Conflict, Invalid, Malformed, NotFound
from commonchart.record import audit_months, seals

if TYPE_CHECKING:
    from commonchart.record.database import Connection, Database

PIECE = 20_000
Row = tuple[Any, ...]
_Line = tuple[
    int, datetime, int, str, str, str, str, str, str, int, str | None, str | None, int | None,
    list[str | None], str | None, str | None,
]  # fmt: skip


def name(month: date) -> str:
    """The file name of a month."""
    return f"audit-{month:%Y-%m}.jsonl.gz"


async def archive(database: Database, actor: Actor, month: date, folder: Path, now: datetime) -> int:
    """Write a month to a file of `folder`, check it, and take the month out of the table; how many events that were.

    Raises Invalid for a month that is not over or not sealed to its end, Conflict when there is a file already,
    NotFound for a month without events.
    """
    if audit_months.following(month) > now.date():
        raise Invalid(f"{month:%Y-%m} is not over yet", at="month")
    target = folder / name(month)
    if target.exists():
        raise Conflict(f"{target} is there already", at="month")
    async with database.connection() as conn:
        await conn.execute("SET LOCAL statement_timeout = 0")
        if month not in await audit_months.present(conn):
            await audit_months.make(conn, month)
        await _demand_sealed(conn, month)
        count = await _write(conn, month, target)
        digests = read(target)
        if len(digests) != count:
            raise Malformed(
                f"{target} was not read back as it was written: the disk may be failing", at="month"
            )
        await _take_out(conn, actor, month, target, count, now)
    return count


async def _demand_sealed(conn: Connection, month: date) -> None:
    place = await seals.place(conn)
    cursor = await conn.execute(
        f"SELECT count(*), count(*) FILTER (WHERE (xid, seq) > (%s::text::xid8, %s)) FROM {audit_months.table(month)}",
        (str(place.xid), place.seq),
    )
    row = await cursor.fetchone()
    if not row or not row[0]:
        raise NotFound(f"There are no events of {month:%Y-%m}", at="month")
    if row[1]:
        raise Invalid(
            f"{row[1]} events of {month:%Y-%m} are not sealed yet: start the server, and try again",
            at="month",
        )


async def _write(conn: Connection, month: date, target: Path) -> int:
    part, count = target.with_name(f".{target.name}.part"), 0
    target.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    try:
        with part.open("wb") as file:
            with gzip.GzipFile(fileobj=file, mode="wb", mtime=0) as packed:
                async for rows in _rows(conn, month):
                    packed.writelines(msgspec.json.encode(row) + b"\n" for row in rows)
                    count += len(rows)
            file.flush()
            os.fsync(file.fileno())
        part.rename(target)
    finally:
        part.unlink(missing_ok=True)
    return count


async def _rows(conn: Connection, month: date) -> AsyncIterator[Sequence[Row]]:
    last = -1
    while True:
        cursor = await conn.execute(
            f"SELECT {', '.join(chain.COLUMNS)} FROM {audit_months.table(month)} WHERE seq > %s ORDER BY seq LIMIT %s",
            (last, PIECE),
        )
        rows = await cursor.fetchall()
        if not rows:
            return
        yield rows
        last = rows[-1][0]


async def _take_out(
    conn: Connection, actor: Actor, month: date, target: Path, count: int, now: datetime
) -> None:
    table = audit_months.table(month)
    await conn.execute(f"ALTER TABLE audit DETACH PARTITION {table}")
    await conn.execute(f"DROP TABLE {table}")
    await conn.execute(
        "INSERT INTO audit_archive (month, made, rows, digest, name) VALUES (%s, %s, %s, %s, %s)",
        (month, now, count, _sum(target), target.name),
    )
    await audit.note(conn, actor, now, "audit-archive", detail=f"{target.name}: {count} events")


def read(path: Path) -> dict[int, bytes]:
    """The digests of a file's events by number. Raises Malformed for a file that is none."""
    return {row[0]: chain.digest(row) for row in _lines(path)}


def _lines(path: Path) -> Iterator[Row]:
    try:
        with gzip.open(path, "rb") as file:
            for line in file:
                yield msgspec.json.decode(line, type=_Line)
    except (msgspec.MsgspecError, OSError, EOFError) as error:
        raise Malformed(f"{path} is not an archive of the audit trail: {error}") from None


async def given(database: Database, folder: Path | None) -> Archived:
    """What `verify` needs to know of archives: those of `folder` are read, of the others only that they exist.

    Raises Malformed for a file that is not as it was when it was written.
    """
    async with database.single() as conn:
        rows = await seals.archived(conn)
    digests: dict[int, bytes] = {}
    apart: list[tuple[date, int]] = []
    for month, _, count, digest, file in rows:
        path = folder / file if folder else None
        if path is None or not path.exists():
            apart.append((month, count))
            continue
        if _sum(path) != bytes(digest):
            raise Malformed(f"{path} was changed since it was written")
        digests |= read(path)
    return Archived(digests, tuple(month for month, _ in apart), sum(count for _, count in apart))


def _sum(path: Path) -> bytes:
    with path.open("rb") as file:
        return file_digest(file, "sha256").digest()
