"""The months of the audit trail: each a partition of its own, made ahead of time; an old one can be taken out whole."""

from __future__ import annotations

from datetime import date
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from commonchart.record.database import Connection

AHEAD = 2


def following(month: date) -> date:
    """The first of the next month."""
    return date(month.year + month.month // 12, month.month % 12 + 1, 1)


def table(month: date) -> str:
    """The name of a month's table."""
    return f"audit_{month:%Y_%m}"


async def present(conn: Connection) -> list[date]:
    """The months that have a table, oldest first."""
    cursor = await conn.execute(
        "SELECT c.relname FROM pg_inherits i JOIN pg_class c ON c.oid = i.inhrelid "
        "WHERE i.inhparent = 'audit'::regclass AND c.relname ~ '^audit_[0-9]{4}_[0-9]{2}$' ORDER BY 1"
    )
    return [date(int(name[6:10]), int(name[11:13]), 1) for (name,) in await cursor.fetchall()]


async def ahead(conn: Connection, today: date) -> int:
    """Make the tables of this month and the AHEAD next ones that are not there; how many were made.

    Events of such a month that came earlier move from the table for the rest into it.
    """
    there, made, month = set(await present(conn)), 0, today.replace(day=1)
    for _ in range(AHEAD + 1):
        if month not in there:
            made += await make(conn, month)
        month = following(month)
    return made


async def make(conn: Connection, month: date) -> bool:
    """One month's table, with what the table for the rest holds of it; whether it was made, or there already.

    A function of the owner's does it: the role of the program may add to the trail, and no more (migration 0025).
    """
    rows = await conn.fetch("SELECT audit_make_month(%s)", (month,))
    return bool(rows[0][0])
