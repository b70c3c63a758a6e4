"""The tables `audit_seal` and `audit_archive`, and the events that no seal covers yet: SQL only.

Events are taken by (xid, seq) from transactions older than every one still running, as `record.changes` does, so that
nothing can appear behind a seal.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from typing import TYPE_CHECKING, Any

from msgspec import Struct

if TYPE_CHECKING:
    from commonchart.record.database import Connection

LOCK = 7_266_366_247_002
SEAL = "n, at, total, seqs, digests, before, head, key, signature"


class Place(Struct, frozen=True):
    """How far the order of events is sealed."""

    xid: int
    seq: int


async def alone(conn: Connection) -> bool:
    """Whether this transaction is the one that seals; the lock ends with it."""
    cursor = await conn.execute("SELECT pg_try_advisory_xact_lock(%s)", (LOCK,))
    row = await cursor.fetchone()
    return bool(row and row[0])


async def place(conn: Connection) -> Place:
    """Where the last seal ends."""
    cursor = await conn.execute(
        "SELECT upto_xid::text::bigint, upto_seq FROM audit_seal ORDER BY n DESC LIMIT 1"
    )
    row = await cursor.fetchone()
    return Place(*row) if row else Place(0, 0)


async def last(conn: Connection) -> tuple[Any, ...] | None:
    """The newest seal, as SEAL."""
    cursor = await conn.execute(f"SELECT {SEAL} FROM audit_seal ORDER BY n DESC LIMIT 1")
    return await cursor.fetchone()


async def unsealed(
    conn: Connection, columns: Sequence[str], after: Place, limit: int
) -> list[tuple[Any, ...]]:
    """The next committed events in order: their xid, then `columns`."""
    cursor = await conn.execute(
        f"SELECT xid::text::bigint, {', '.join(columns)} FROM audit WHERE (xid, seq) > (%s::text::xid8, %s) "
        "AND xid < pg_snapshot_xmin(pg_current_snapshot()) ORDER BY xid, seq LIMIT %s",
        (str(after.xid), after.seq, limit),
    )
    return await cursor.fetchall()


async def add(conn: Connection, seal: tuple[Any, ...], upto: Place, lo: datetime, hi: datetime) -> None:
    """One more seal, as SEAL."""
    await conn.execute(
        f"INSERT INTO audit_seal ({SEAL}, upto_xid, upto_seq, at_lo, at_hi) "
        "VALUES (%s, %s, %s, %s, %s, %s, %s, %s, %s, %s::text::xid8, %s, %s, %s)",
        (*seal, str(upto.xid), upto.seq, lo, hi),
    )


async def after(conn: Connection, n: int, limit: int) -> list[tuple[Any, ...]]:
    """The seals after number `n`: as SEAL, then the bounds of their events' moments."""
    cursor = await conn.execute(
        f"SELECT {SEAL}, at_lo, at_hi FROM audit_seal WHERE n > %s ORDER BY n LIMIT %s", (n, limit)
    )
    return await cursor.fetchall()


async def events(
    conn: Connection, columns: Sequence[str], seqs: Sequence[int], lo: datetime, hi: datetime
) -> dict[int, tuple[Any, ...]]:
    """These events by number, as `columns`; looked for outside the bounds too when one is not within them."""
    found = await _events(conn, columns, seqs, "AND at BETWEEN %s AND %s", (lo, hi))
    missing = [seq for seq in seqs if seq not in found]
    return found | (await _events(conn, columns, missing, "", ()) if missing else {})


async def _events(
    conn: Connection, columns: Sequence[str], seqs: Sequence[int], more: str, args: tuple[Any, ...]
) -> dict[int, tuple[Any, ...]]:
    cursor = await conn.execute(
        f"SELECT {', '.join(columns)} FROM audit WHERE seq = ANY(%s) {more}", (list(seqs), *args)
    )
    return {row[0]: tuple(row) for row in await cursor.fetchall()}


async def numbers(
    conn: Connection, after: tuple[int, datetime] | None, limit: int
) -> list[tuple[int, datetime, int]]:
    """The events by number and moment, after one of them: seq, at, xid."""
    beyond = "WHERE (seq, at) > (%s, %s)" if after else ""
    cursor = await conn.execute(
        f"SELECT seq, at, xid::text::bigint FROM audit {beyond} ORDER BY seq, at LIMIT %s",
        (*(after or ()), limit),
    )
    return [(seq, at, xid) for seq, at, xid in await cursor.fetchall()]


async def archived(conn: Connection) -> list[tuple[Any, ...]]:
    """What was archived: month, made, rows, digest, name; oldest first."""
    cursor = await conn.execute("SELECT month, made, rows, digest, name FROM audit_archive ORDER BY month")
    return await cursor.fetchall()
