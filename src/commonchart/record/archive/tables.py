"""What a backup holds of each table, and how it gets out and in: COPY in text form, which any PostgreSQL reads."""

from __future__ import annotations

import hashlib
import zlib
from collections.abc import Iterable, Iterator
from typing import Any

import psycopg
from msgspec import Struct
from psycopg.sql import SQL, Composed, Identifier

from commonchart.fhir.outcome import Malformed

Connection = psycopg.Connection[tuple[Any, ...]]

# Transaction numbers mean nothing in another cluster, and larger ones than its own would stop the feed there: every
# change that is restored counts as long committed, and every cursor stands before the first one it had not seen. So it is
# with the audit trail: sealed events come first, then those that no seal covers yet.
INSTEAD = {
    ("change", "xid"): "'0'::xid8",
    ("change_cursor", "xid"): "'0'::xid8",
    ("change_cursor", "seq"): (
        "coalesce((SELECT min(c.seq) - 1 FROM change c WHERE (c.xid, c.seq) > (change_cursor.xid, change_cursor.seq)),"
        " (SELECT max(c.seq) FROM change c), 0)"
    ),
    ("audit", "xid"): (
        "CASE WHEN (audit.xid, audit.seq) <= (SELECT s.upto_xid, s.upto_seq FROM audit_seal s ORDER BY s.n DESC LIMIT 1)"
        " THEN '0'::xid8 ELSE '1'::xid8 END"
    ),
    ("audit_seal", "upto_xid"): "'0'::xid8",
    ("audit_seal", "upto_seq"): "9223372036854775807",
}
NOT_KEPT = ("alembic_version",)


class Table(Struct, frozen=True):
    """A table as it is in the database: its name and the columns in their order."""

    name: str
    columns: tuple[str, ...]


class Sum(Struct, frozen=True):
    """How many rows a table had, and a digest of them as COPY wrote them, whatever their order."""

    name: str
    rows: int
    digest: str


def tables(conn: Connection) -> list[Table]:
    """Every table of the schema `public` that is kept, by name; a partitioned one is one table."""
    found = conn.execute(
        "SELECT c.relname, array_agg(a.attname::text ORDER BY a.attnum) FROM pg_class c "
        "JOIN pg_attribute a ON a.attrelid = c.oid AND a.attnum > 0 AND NOT a.attisdropped AND a.attgenerated = '' "
        "WHERE c.relkind IN ('r', 'p') AND NOT c.relispartition AND c.relnamespace = 'public'::regnamespace "
        "AND c.relname <> ALL (%s) "
        "GROUP BY c.relname ORDER BY c.relname",
        [list(NOT_KEPT)],
    )
    return [Table(name, tuple(columns)) for name, columns in found]


def count(conn: Connection, table: Table) -> int:
    """How many rows the table has."""
    row = conn.execute(SQL("SELECT count(*) FROM {}").format(Identifier(table.name))).fetchone()
    assert row is not None
    return int(row[0])


def rows_out(conn: Connection, table: Table) -> Iterator[bytes]:
    """The rows as COPY writes them, in pieces."""
    with conn.cursor().copy(_copy_out(table)) as copy:
        for piece in copy:
            yield bytes(piece)


def rows_in(conn: Connection, table: Table, pieces: Iterable[bytes]) -> None:
    """Fill the table with rows as COPY wrote them."""
    into = SQL("COPY {} ({}) FROM STDIN").format(Identifier(table.name), _names(table))
    with conn.cursor().copy(into) as copy:
        for piece in pieces:
            copy.write(piece)


def summed(conn: Connection, table: Table) -> Sum:
    """The sum of the table as it is now, to be compared with that of the backup."""
    counting = Counting(table.name)
    for piece in rows_out(conn, table):
        counting.add(piece)
    return counting.sum()


def numbers_continue(conn: Connection) -> None:
    """Let every column that numbers its rows go on after its largest number."""
    found = conn.execute(
        "SELECT a.attrelid::regclass::text, a.attname::text FROM pg_attribute a JOIN pg_class c ON c.oid = a.attrelid "
        "WHERE c.relkind IN ('r', 'p') AND NOT c.relispartition AND c.relnamespace = 'public'::regnamespace "
        "AND NOT a.attisdropped "
        "AND pg_get_serial_sequence(a.attrelid::regclass::text, a.attname::text) IS NOT NULL"
    ).fetchall()
    for table, column in found:
        conn.execute(
            SQL(
                "SELECT setval(pg_get_serial_sequence({t}, {c}), coalesce(max({n}), 0) + 1, false) FROM {f}"
            ).format(t=table, c=column, n=Identifier(column), f=Identifier(table))
        )


class Counting:
    """Counts and sums rows as they pass: in text form a row is a line.

    The digest is the sum of the rows' own (blake2b-128): a restored table lies in another order on its pages.
    """

    def __init__(self, name: str) -> None:
        self._name = name
        self._rows = 0
        self._total = 0
        self._begun = b""

    def add(self, piece: bytes) -> None:
        """One more piece, which may end in the middle of a row."""
        rows = (self._begun + piece).split(b"\n")
        self._begun = rows.pop()
        self._rows += len(rows)
        self._total += sum(
            int.from_bytes(hashlib.blake2b(row, digest_size=16).digest(), "big") for row in rows
        )

    def sum(self) -> Sum:
        """What has passed so far."""
        return Sum(self._name, self._rows, f"{self._total % 2**128:032x}")


def unpacked(packed: Iterable[bytes]) -> Iterator[bytes]:
    """The pieces of a table out of the compressed ones. Raises Malformed when they are not whole."""
    unpack = zlib.decompressobj()
    try:
        for piece in packed:
            while piece:
                yield unpack.decompress(piece, 4 << 20)
                piece = unpack.unconsumed_tail
        yield unpack.flush()
    except zlib.error:
        raise Malformed("This backup is damaged: a table in it cannot be unpacked.") from None
    if not unpack.eof:
        raise Malformed("This backup is damaged: a table in it is cut off.")


def _copy_out(table: Table) -> Composed:
    expressions = SQL(", ").join(
        SQL(INSTEAD[table.name, column]) if (table.name, column) in INSTEAD else Identifier(column)
        for column in table.columns
    )
    return SQL("COPY (SELECT {} FROM {}) TO STDOUT").format(expressions, Identifier(table.name))


def _names(table: Table) -> Composed:
    return SQL(", ").join(Identifier(column) for column in table.columns)
