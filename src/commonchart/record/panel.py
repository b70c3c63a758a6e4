"""What the registry, the condition registries and the dashboard read: members, registry rows, and counts by day.

A member and their registry rows are kept by the worker in the transaction that keeps their due rows, so that counts and rows
agree. `panel_count` is made anew while a day lasts and stays when it is over: it is the history of the dashboard.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import date, datetime, timedelta
from decimal import Decimal
from typing import TYPE_CHECKING

from msgspec import Struct

from commonchart.record.connection import Asked
from commonchart.record.keys import patient_key

if TYPE_CHECKING:
    from commonchart.record.database import Connection

STATUSES = (
    "overdue", "due", "cannot-tell", "due-soon", "deferred", "declined", "up-to-date", "excluded", "not-applicable",
)  # fmt: skip
"""In the order of urgency: the place is `due.rank`, and the column of `panel_member` that counts it."""
COUNTS = tuple(status.replace("-", "_") for status in STATUSES)
ATTENTION = "(d.rank = 0 OR d.within IN ('out', 'alert'))"
"""SQL: out of range or overdue."""
KEPT_DAYS = 35


class Member(Struct, frozen=True):
    """A patient as lists are narrowed and sorted by; `counts` are of their due rows, in the order of STATUSES."""

    name: str
    born: date | None
    sex: str
    clinicians: tuple[str, ...]
    clinician: str
    counts: tuple[int, ...]
    attention: int


class RegistryRow(Struct, frozen=True):
    """One member of one condition registry; `cells` is JSON, `numbers` and `days` go by the registry's columns."""

    patient: str
    registry: str
    urgency: int
    status: str
    within: str
    main: str
    due_on: date | None
    inside: int
    known: int
    numbers: list[Decimal | None]
    days: list[date | None]
    assessed_on: date
    pack: str
    cells: str


ROW_COLUMNS = "patient, registry, urgency, status, within, main, due_on, inside, known, numbers, days, assessed_on, pack, cells"
_MEMBER = ("name", "born", "sex", "org", "clinicians", "clinician", *COUNTS, "attention", "assessed_at")
_KEEP = (
    f"INSERT INTO panel_member (pk, tenant, patient, {', '.join(_MEMBER)}, xid) SELECT %s, %s, %s, %s, %s::date, %s, r.org, %s::text[], %s, "
    f"{', '.join(['%s'] * (len(COUNTS) + 2))}, pg_current_xact_id() FROM resource r WHERE r.pk = %s AND r.tenant = %s AND r.rtype = 'Patient' AND r.id = %s "
    f"ON CONFLICT (pk, tenant, patient) DO UPDATE SET {', '.join(f'{name} = excluded.{name}' for name in (*_MEMBER, 'xid'))}"
)
_DROP = (
    "WITH gone AS (DELETE FROM panel_member WHERE pk = %s AND tenant = %s AND patient = %s RETURNING tenant) "
    "UPDATE panel_state s SET seen = '0' FROM gone WHERE s.tenant = gone.tenant"
)
_DROP_ROWS = (
    "DELETE FROM registry_row WHERE pk = %s AND tenant = %s AND patient = %s AND NOT registry = ANY(%s)"
)
_KEEP_ROW = (
    f"INSERT INTO registry_row (pk, tenant, {ROW_COLUMNS}) VALUES (%s, %s, {', '.join(['%s'] * 9)}, %s::numeric[], %s::date[], %s, %s, %s) "
    "ON CONFLICT (pk, tenant, patient, registry) DO UPDATE SET "
    + ", ".join(f"{name} = excluded.{name}" for name in ROW_COLUMNS.split(", ")[2:])
)


async def keep(
    conn: Connection,
    tenant: int,
    patient: str,
    member: Member | None,
    rows: Sequence[RegistryRow],
    now: datetime,
) -> None:
    """The member and all their registry rows become these, in the transaction of the connection; None: nobody to list."""
    pk = patient_key(patient)
    where = (pk, tenant, patient)
    asked: list[Asked] = [(_DROP_ROWS, (*where, [row.registry for row in rows]))]
    if member is None:
        asked.append((_DROP, where))
    else:
        values = (member.name, member.born, member.sex, list(member.clinicians), member.clinician)
        asked.append((_KEEP, (*where, *values, *member.counts, member.attention, now, *where)))
    asked += [
        (_KEEP_ROW, (pk, tenant, *(getattr(row, name) for name in ROW_COLUMNS.split(", ")))) for row in rows
    ]
    await conn.together(asked)


# ---- counts by day ---------------------------------------------------------------------------------------------


def counting(day: str, where: str) -> str:
    """SQL: rows of `panel_count` (without tenant) over the members `p` that fit; `day` is SQL, whose argument comes last.

    Everything that is read of `due` stands in one index, and clinicians are spread only when little is left.
    """
    statuses = ", ".join(f"'{one}'" for one in STATUSES)
    return (
        "WITH g AS (SELECT d.tenant, p.org, p.clinicians, d.rule, d.rank, d.within, count(*) AS n "
        "FROM due d JOIN panel_member p ON p.pk = d.pk AND p.tenant = d.tenant AND p.patient = d.patient "
        f"WHERE {where} GROUP BY 1, 2, 3, 4, 5, 6) "
        f"SELECT {day}, g.org, c.clinician, g.rule, (SELECT t.title FROM due t WHERE t.tenant = g.tenant AND t.rule = g.rule LIMIT 1), "
        f"(ARRAY[{statuses}])[g.rank + 1], g.within, sum(g.n)::int "
        "FROM g CROSS JOIN LATERAL unnest(array_prepend(''::text, g.clinicians)) AS c(clinician) "
        "GROUP BY g.tenant, g.org, c.clinician, g.rule, g.rank, g.within"
    )


async def tenants(conn: Connection) -> list[int]:
    """Those with anybody on a list."""
    return [row[0] for row in await conn.fetch("SELECT DISTINCT tenant FROM panel_member ORDER BY tenant")]


async def stale(conn: Connection, tenant: int, today: date) -> bool:
    """Whether the counts are of another day, or somebody was assessed whom they may not hold.

    By transactions, not by the clock: who is assessed early and committed late is not missed.
    """
    rows = await conn.fetch(
        "SELECT s.counted_at < %s OR s.seen > pg_snapshot_xmax(k.now) OR EXISTS (SELECT 1 FROM panel_member m "
        "WHERE m.tenant = %s AND m.xid >= s.seen AND m.xid < pg_snapshot_xmax(k.now)) "
        "FROM panel_state s, (SELECT pg_current_snapshot() AS now) k WHERE s.tenant = %s",
        (today, tenant, tenant),
    )
    return bool(rows[0][0]) if rows else True


async def counted_at(conn: Connection, tenant: int) -> datetime | None:
    """When the counts of the newest day were made."""
    rows = await conn.fetch("SELECT counted_at FROM panel_state WHERE tenant = %s", (tenant,))
    return rows[0][0] if rows else None


async def count(conn: Connection, tenant: int, today: date, now: datetime) -> None:
    """Make the counts of a day, in one transaction: it can be begun again at any time, and says the same."""
    await conn.execute("SELECT pg_advisory_xact_lock(%s, %s)", (_LOCK, tenant))
    seen = (await conn.fetch("SELECT pg_snapshot_xmin(pg_current_snapshot())::text"))[0][
        0
    ]  # before the rows are read
    await conn.execute("DELETE FROM panel_count WHERE tenant = %s AND day = %s", (tenant, today))
    await conn.execute(
        "INSERT INTO panel_count (tenant, day, org, clinician, rule, title, status, within, n) SELECT %s, x.* FROM ("
        + counting("%s::date", "d.tenant = %s AND p.tenant = %s")
        + ") x",
        (tenant, tenant, tenant, today),
    )
    await conn.execute(
        "INSERT INTO panel_state (tenant, counted_at, seen) VALUES (%s, %s, %s::xid8) "
        "ON CONFLICT (tenant) DO UPDATE SET counted_at = excluded.counted_at, seen = excluded.seen",
        (tenant, now, seen),
    )
    await _thin(conn, tenant, today)


_LOCK = 20_260_111


async def _thin(conn: Connection, tenant: int, today: date) -> None:
    """Of days that are long over only the last of each month is kept."""
    await conn.execute(
        "DELETE FROM panel_count WHERE tenant = %s AND day = ANY(SELECT k.day FROM "
        "(SELECT day, max(day) OVER (PARTITION BY date_trunc('month', day)) AS last FROM panel_count WHERE tenant = %s AND day < %s GROUP BY day) k "
        "WHERE k.day < k.last)",
        (tenant, tenant, today - timedelta(days=KEPT_DAYS)),
    )
