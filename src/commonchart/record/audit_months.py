"""The months of the audit trail: each a partition of its own, made ahead of time; an old one can be taken out whole."""

from __future__ import annotations

from datetime import date
from typing import TYPE_CHECKING

from commonchart.record.bounds import PROGRAM_ROLE, ROLE

if TYPE_CHECKING:
    from commonchart.record.database import Connection

LOCK = 7_266_366_247_003
AHEAD = 2
COLUMNS = "seq, xid, at, tenant, actor, role, org, client, purpose, action, outcome, rtype, id, vid, patients, query, detail"


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

    `conn` is one of the owner's, of its own: the program may add to the trail, and no more. Events of such a month that came
    earlier move from the table for the rest into it.
    """
    await conn.execute("SELECT pg_advisory_lock(%s), set_config('lock_timeout', '3s', false)", (LOCK,))
    there, made, month = set(await present(conn)), 0, today.replace(day=1)
    for _ in range(AHEAD + 1):
        if month not in there:
            await make(conn, month)
            made += 1
        month = following(month)
    return made


async def make(conn: Connection, month: date) -> None:
    """One month's table, with what the table for the rest holds of it. All in one go: who writes meanwhile waits for it."""
    name = table(month)
    await conn.execute(
        f"CREATE TABLE {name} (LIKE audit INCLUDING DEFAULTS); "
        f"REVOKE ALL ON {name} FROM {ROLE}; GRANT SELECT, INSERT ON {name} TO {ROLE}; "
        f"ALTER TABLE {name} ENABLE ROW LEVEL SECURITY; ALTER TABLE {name} FORCE ROW LEVEL SECURITY; "
        f"CREATE POLICY owner ON {name} TO CURRENT_USER USING (true); "
        f"CREATE POLICY program ON {name} TO {PROGRAM_ROLE} USING (true); "
        "LOCK TABLE audit_rest IN ACCESS EXCLUSIVE MODE; "
        f"WITH moved AS (DELETE FROM audit_rest WHERE at >= '{month}+00' AND at < '{following(month)}+00' RETURNING {COLUMNS}) "
        f"INSERT INTO {name} ({COLUMNS}) SELECT {COLUMNS} FROM moved; "
        f"ALTER TABLE audit ATTACH PARTITION {name} FOR VALUES FROM ('{month}+00') TO ('{following(month)}+00')".encode()
    )
