"""The change feed: every committed version once, in an order that late commits cannot upset.

A sequence number is drawn before a transaction commits, so `seq > last` loses rows. Rows are read by (xid, seq) and only
from transactions older than every one still running (`pg_snapshot_xmin`), so that nothing can appear behind a cursor.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from msgspec import Struct

from commonchart.record.rows import Change

if TYPE_CHECKING:
    from commonchart.record.database import Connection

CHANNEL = "commonchart_change"


class Batch(Struct, frozen=True):
    """Some changes in feed order, and the place after the last of them."""

    changes: tuple[Change, ...]
    xid: int
    seq: int


async def take(conn: Connection, name: str, limit: int = 1000) -> Batch:
    """The next changes for a cursor, whose row stays locked until the transaction ends: one consumer at a time."""
    await conn.execute("INSERT INTO change_cursor (name) VALUES (%s) ON CONFLICT DO NOTHING", (name,))
    cursor = await conn.execute(
        "SELECT xid::text::bigint, seq FROM change_cursor WHERE name = %s FOR UPDATE", (name,)
    )
    row = await cursor.fetchone()
    xid, seq = row if row else (0, 0)
    cursor = await conn.execute(
        "SELECT seq, tenant, pk, rtype, id, vid, patient, org, recorded, op, xid::text::bigint FROM change "
        "WHERE (xid, seq) > (%s::text::xid8, %s) AND xid < pg_snapshot_xmin(pg_current_snapshot()) "
        "ORDER BY xid, seq LIMIT %s",
        (str(xid), seq, limit),
    )
    rows = await cursor.fetchall()
    if not rows:
        return Batch((), xid, seq)
    return Batch(tuple(Change(*r[:10]) for r in rows), rows[-1][10], rows[-1][0])


async def advance(conn: Connection, name: str, batch: Batch) -> None:
    """Move the cursor behind the batch, in the transaction that did the work."""
    await conn.execute(
        "UPDATE change_cursor SET xid = %s::text::xid8, seq = %s, moved = clock_timestamp() WHERE name = %s",
        (str(batch.xid), batch.seq, name),
    )


async def waiting_about(conn: Connection, name: str, tenant: int, patient: str) -> list[str]:
    """The types of a patient's changes that the cursor has not passed, of the next 10,000: is what was worked out still to come?"""
    cursor = await conn.execute(
        "SELECT DISTINCT rtype FROM (SELECT tenant, patient, rtype FROM change WHERE (xid, seq) > "
        "(SELECT coalesce(max(xid), '0'), coalesce(max(seq), 0) FROM change_cursor WHERE name = %s) "
        "ORDER BY xid, seq LIMIT 10000) x WHERE tenant = %s AND patient = %s",
        (name, tenant, patient),
    )
    return [row[0] for row in await cursor.fetchall()]


async def waiting(conn: Connection, name: str) -> int:
    """How many changes the cursor has not passed, at most 10,000: for health and tests."""
    cursor = await conn.execute(
        "SELECT count(*) FROM (SELECT 1 FROM change WHERE (xid, seq) > "
        "(SELECT coalesce(max(xid), '0'), coalesce(max(seq), 0) FROM change_cursor WHERE name = %s) LIMIT 10000) x",
        (name,),
    )
    row = await cursor.fetchone()
    return int(row[0]) if row else 0
