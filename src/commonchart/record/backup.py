"""Backup and restore of a whole installation: one file, one moment, read back before it counts.

`make` takes one REPEATABLE READ snapshot, so that the server goes on serving; `verify` reads a file to its end;
`restore` fills an empty database and compares every table with the sums that were written at the time.
"""

from __future__ import annotations

import os
import zlib
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import datetime
from pathlib import Path
from typing import BinaryIO, TypeVar

import msgspec
import psycopg
from msgspec import Struct
from psycopg.conninfo import make_conninfo

from commonchart.fhir.outcome import Busy, Conflict, Invalid, Malformed
from commonchart.record import upgrade
from commonchart.record.archive import tables
from commonchart.record.archive.container import BLOCK, Kind, Writer, blocks
from commonchart.record.archive.tables import Connection, Counting, Sum, Table

FILES = ("secret", "commonchart.toml", "card-keys.json", "token-keys.json")
LEVEL = 3
SESSION = "-c TimeZone=UTC -c DateStyle=ISO -c statement_timeout=0 -c synchronize_seqscans=off -c max_parallel_workers_per_gather=0"

T = TypeVar("T")
Progress = Callable[[int, int], None]


class About(Struct, frozen=True):
    """The first block: what the backup is of."""

    schema: str
    program: str
    made: datetime
    rows: int


class Summary(Struct, frozen=True):
    """What is in a backup that was read to its end, and the number of its bytes."""

    about: About
    sums: tuple[Sum, ...]
    bytes: int

    @property
    def rows(self) -> int:
        """All rows of all tables."""
        return sum(found.rows for found in self.sums)


class File(Struct, frozen=True):
    """A small file of the data folder."""

    name: str
    content: bytes


def silent(done: int, total: int) -> None:
    """Progress that nobody watches."""


def make(
    url: str,
    data_dir: Path,
    target: Path,
    *,
    now: datetime,
    program: str,
    passphrase: bytes | None = None,
    progress: Progress = silent,
) -> Summary:
    """Write a backup to `target` and read it back; `target` appears only when it is whole, and is never overwritten.

    `progress(rows, all rows)` is called for the writing and again for the reading. Raises Conflict when there is a file
    already, Busy when the database is away, Invalid when it holds no record.
    """
    if target.exists():
        raise Conflict(f"{target} is there already: name another file, or remove it first")
    part = target.with_name(f".{target.name}.part")
    try:
        descriptor = os.open(part, os.O_RDWR | os.O_CREAT | os.O_TRUNC, 0o600)
        with os.fdopen(descriptor, "w+b", buffering=BLOCK) as file:
            sums = _write(url, data_dir, file, now, program, passphrase, progress)
            file.flush()
            os.fsync(file.fileno())
        summary = verify(part, passphrase=passphrase, progress=progress)
        if summary.sums != sums:
            raise Malformed("The backup was not read back as it was written: the disk may be failing")
        part.rename(target)
        synced(target.parent)
    finally:
        part.unlink(missing_ok=True)
    return summary


def verify(source: Path, *, passphrase: bytes | None = None, progress: Progress = silent) -> Summary:
    """Read a backup to its end and check all of it. Raises like `container.blocks`."""
    sums: list[Sum] = []
    with source.open("rb", buffering=BLOCK) as file:
        reading = _Reading(file, passphrase)
        for table, packed in reading.tables():
            counting = Counting(table.name)
            for piece in tables.unpacked(packed):
                counting.add(piece)
            sums.append(counting.sum())
            progress(sum(found.rows for found in sums), reading.about.rows)
        if reading.sums != sums:
            raise Malformed("This backup is damaged: the rows in it are not those that were counted.")
    return Summary(reading.about, tuple(sums), source.stat().st_size)


def restore(
    source: Path, url: str, data_dir: Path, *, passphrase: bytes | None = None, progress: Progress = silent
) -> Summary:
    """Fill the empty database at `url` and the small files in `data_dir`, compare, and bring the schema to today's.

    The backup is verified first; all rows come in one transaction. Raises Conflict when the database is not empty or
    the backup is of a newer program, and like `verify`.
    """
    summary = verify(source, passphrase=passphrase, progress=progress)
    if summary.about.schema > upgrade.head():
        raise Conflict("This backup was made by a newer Commonchart: restore it with that one")
    _demand_empty(url)
    upgrade.migrate(url, to=summary.about.schema)
    with source.open("rb", buffering=BLOCK) as file, _connected(url) as conn:
        reading = _Reading(file, passphrase)
        with conn.transaction():
            filled = _fill(conn, reading, progress)
            tables.numbers_continue(conn)
            _compare(conn, summary, filled)
        for small in reading.files:
            _put_file(data_dir, small)
    with _connected(url) as conn:
        conn.autocommit = True
        conn.execute("ANALYZE")
    upgrade.migrate(url)
    return summary


def _write(
    url: str,
    data_dir: Path,
    file: BinaryIO,
    now: datetime,
    program: str,
    passphrase: bytes | None,
    progress: Progress,
) -> tuple[Sum, ...]:
    writer = Writer(file, passphrase)
    with _connected(url) as conn:
        conn.isolation_level = psycopg.IsolationLevel.REPEATABLE_READ
        conn.read_only = True
        with conn.transaction():
            schema = _schema(conn)
            found = [(table, tables.count(conn, table)) for table in tables.tables(conn)]
            total = sum(rows for _, rows in found)
            writer.write(Kind.ABOUT, msgspec.json.encode(About(schema, program, now, total)))
            for small in _files(data_dir):
                writer.write(Kind.FILE, msgspec.json.encode(small))
            sums: list[Sum] = []
            for table, rows in found:
                sums.append(_write_table(conn, writer, table))
                if sums[-1].rows != rows:
                    raise Malformed(f"The table {table.name} was not copied whole")
                progress(sum(done.rows for done in sums), total)
    writer.end()
    return tuple(sums)


def _write_table(conn: Connection, writer: Writer, table: Table) -> Sum:
    writer.write(Kind.TABLE, msgspec.json.encode(table))
    counting, pack, waiting = Counting(table.name), zlib.compressobj(LEVEL), bytearray()
    for piece in tables.rows_out(conn, table):
        counting.add(piece)
        waiting += pack.compress(piece)
        while len(waiting) >= BLOCK:
            writer.write(Kind.ROWS, bytes(waiting[:BLOCK]))
            del waiting[:BLOCK]
    waiting += pack.flush()
    for start in range(0, len(waiting), BLOCK):
        writer.write(Kind.ROWS, bytes(waiting[start : start + BLOCK]))
    writer.write(Kind.TABLE_END, msgspec.json.encode(counting.sum()))
    return counting.sum()


class _Reading:
    """One pass over the blocks of a backup; `files` and `sums` fill while the tables are read."""

    def __init__(self, file: BinaryIO, passphrase: bytes | None) -> None:
        self._blocks = blocks(file, passphrase)
        self.files: list[File] = []
        self.sums: list[Sum] = []
        kind, payload = next(self._blocks, (Kind.END, b""))
        if kind != Kind.ABOUT:
            raise Malformed("This backup is damaged: it does not say what it is of.")
        self.about = _decoded(payload, About)

    def tables(self) -> Iterator[tuple[Table, Iterator[bytes]]]:
        """Each table with its packed rows, which must be read before the next."""
        for kind, payload in self._blocks:
            if kind == Kind.FILE:
                self.files.append(_decoded(payload, File))
            elif kind == Kind.TABLE:
                yield _decoded(payload, Table), self._rows()
            else:
                raise Malformed("This backup is damaged: its parts are in a wrong order.")

    def _rows(self) -> Iterator[bytes]:
        for kind, payload in self._blocks:
            if kind != Kind.ROWS:
                self.sums.append(_decoded(payload, Sum))
                return
            yield payload


def _decoded(payload: bytes, kind: type[T]) -> T:
    try:
        return msgspec.json.decode(payload, type=kind)
    except msgspec.MsgspecError:
        raise Malformed("This backup is damaged: a part of it cannot be read.") from None


def _fill(conn: Connection, reading: _Reading, progress: Progress) -> dict[str, Table]:
    """Every table of the backup put in; gives them by name."""
    if _has_triggers(conn):
        conn.execute("SET LOCAL session_replication_role = replica")
    there = {table.name: set(table.columns) for table in tables.tables(conn)}
    filled: dict[str, Table] = {}
    for table, packed in reading.tables():
        if not set(table.columns) <= there.get(table.name, set()):
            raise Invalid(
                f"This backup has a table or a column that this program does not know: {table.name}"
            )
        tables.rows_in(conn, table, tables.unpacked(packed))
        filled[table.name] = table
        progress(sum(found.rows for found in reading.sums), reading.about.rows)
    return filled


def _compare(conn: Connection, summary: Summary, filled: dict[str, Table]) -> None:
    for wanted in summary.sums:
        if tables.summed(conn, filled[wanted.name]) != wanted:
            raise Malformed(f"The table {wanted.name} did not come back as it was; nothing was restored")


def _demand_empty(url: str) -> None:
    if upgrade.current(url) is None:
        return
    with _connected(url) as conn:
        if any(tables.count(conn, table) for table in tables.tables(conn)):
            raise Conflict("There is a record in the database already: restore only into an empty one")


def _has_triggers(conn: Connection) -> bool:
    return (
        conn.execute("SELECT 1 FROM pg_trigger WHERE tgname NOT LIKE 'pg_%' OR tgisinternal").fetchone()
        is not None
    )


def _schema(conn: Connection) -> str:
    row = conn.execute("SELECT to_regclass('alembic_version')").fetchone()
    if row is None or row[0] is None:
        raise Invalid("There is no record in this database yet, so there is nothing to back up")
    version = conn.execute("SELECT version_num FROM alembic_version").fetchone()
    assert version is not None
    return str(version[0])


def _files(data_dir: Path) -> Iterator[File]:
    for path in (data_dir / name for name in FILES):
        if path.is_file():
            yield File(path.name, path.read_bytes())


def _put_file(data_dir: Path, small: File) -> None:
    if small.name in FILES:
        descriptor = os.open(data_dir / small.name, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
        with os.fdopen(descriptor, "wb") as file:
            file.write(small.content)


def synced(folder: Path) -> None:
    """Let the names in a folder outlive a power cut."""
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


@contextmanager
def _connected(url: str) -> Iterator[Connection]:
    try:
        with psycopg.connect(
            make_conninfo(url, options=SESSION, application_name="commonchart backup")
        ) as conn:
            yield conn
    except psycopg.OperationalError as error:
        raise Busy("The database cannot be reached, or went away.") from error
