"""What is being indexed again, how far it is, and the search parameters of a tenant's own, as kept."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime, timedelta
from typing import TYPE_CHECKING, Any

from msgspec import Struct

from commonchart.care.labels import UNREAD
from commonchart.record.rows import Index
from commonchart.record.schema import SEARCH_ROWS

if TYPE_CHECKING:
    from commonchart.record.database import Connection

EVERYTHING = "index"
READ_LABELS = ~UNREAD  # labels are raised only: by what a resource is made of, too
DONE, WAITING = "done", "waiting"
# every process has heard of a new parameter by then, so whatever is written later is indexed when written
GRACE = timedelta(seconds=10)


class Run(Struct, frozen=True):
    """One thing that is, or was, indexed again: `name` is `index` for everything, else a search parameter's id."""

    tenant: int
    name: str
    version: int
    types: list[str]
    state: str
    done: int
    total: int
    place: str
    asked: datetime
    finished: datetime | None

    def progress(self) -> str:
        """How far it is: `N of M`."""
        return f"{self.done} of {self.total}"


class Held(Struct, frozen=True):
    """One search parameter as kept."""

    id: str
    code: str
    base: list[str]
    kind: str
    expression: str
    target: list[str]
    url: str


class Row(Struct, frozen=True):
    """One current resource to be indexed again."""

    pk: int
    tenant: int
    rtype: str
    id: str
    body: str


_RUN = "tenant, name, version, types, state, done, total, place, asked, finished"


async def runs(conn: Connection, tenant: int) -> list[Run]:
    """Everything asked for by a tenant, and what concerns all of them."""
    found = await conn.execute(
        f"SELECT {_RUN} FROM reindex WHERE tenant IN (0, %s) ORDER BY asked, name", [tenant]
    )
    return [Run(*row) for row in await found.fetchall()]


async def next_run(conn: Connection, now: datetime) -> Run | None:
    """The oldest that waits and whose time has come."""
    found = await conn.execute(
        f"SELECT {_RUN} FROM reindex WHERE state = 'waiting' AND asked <= %s ORDER BY asked, name LIMIT 1",
        [now - GRACE],
    )
    row = await found.fetchone()
    return Run(*row) if row else None


async def ask(
    conn: Connection, tenant: int, name: str, types: Sequence[str], version: int, now: datetime
) -> None:
    """Have these types indexed again, from the beginning."""
    count = "SELECT count(*) FROM resource WHERE NOT deleted"
    found = await conn.execute(
        f"{count} AND tenant = %s AND rtype = ANY(%s)" if tenant else count,
        [tenant, list(types)] if tenant else [],
    )
    row = await found.fetchone()
    await conn.execute(
        "INSERT INTO reindex (tenant, name, version, types, state, total, asked) VALUES (%s, %s, %s, %s, 'waiting', %s, %s) "
        "ON CONFLICT (tenant, name) DO UPDATE SET version = excluded.version, types = excluded.types, state = 'waiting', "
        "done = 0, place = '', total = excluded.total, asked = excluded.asked, finished = NULL",
        [tenant, name, version, list(types), row[0] if row else 0, now],
    )


async def count(conn: Connection, run: Run) -> None:
    """Say how many there are, for a run that was asked for without counting."""
    where = "" if run.tenant == 0 else " AND tenant = %s AND rtype = ANY(%s)"
    await conn.execute(
        f"UPDATE reindex SET total = (SELECT count(*) FROM resource WHERE NOT deleted{where}) WHERE tenant = %s AND name = %s",
        [*([run.tenant, run.types] if run.tenant else []), run.tenant, run.name],
    )


async def batch(conn: Connection, run: Run, limit: int) -> list[Row]:
    """The next resources of a run, locked against writers until the transaction ends."""
    own = "" if run.tenant == 0 else " AND r.tenant = %s AND r.rtype = ANY(%s)"
    after = ""
    args: list[Any] = [run.tenant, run.types] if run.tenant else []
    if run.place:
        pk, tenant, rtype, id = run.place.split(" ")
        after = " AND (r.pk, r.tenant, r.rtype, r.id) > (%s, %s, %s, %s)"
        args += [int(pk), int(tenant), rtype, id]
    found = await conn.execute(
        "SELECT r.pk, r.tenant, r.rtype, r.id FROM resource r "
        f"WHERE NOT r.deleted{own}{after} ORDER BY r.pk, r.tenant, r.rtype, r.id LIMIT %s",
        [*args, limit],
    )
    keys = await found.fetchall()
    if not keys:
        return []
    columns = ([k[0] for k in keys], [k[1] for k in keys], [k[2] for k in keys], [k[3] for k in keys])
    unnested = "unnest(%s::bigint[], %s::int[], %s::text[], %s::text[]) AS k(pk, tenant, rtype, id)"
    await conn.execute(
        f"SELECT 1 FROM resource_loc l JOIN {unnested} ON l.tenant = k.tenant AND l.rtype = k.rtype AND l.id = k.id "
        "ORDER BY l.rtype, l.id FOR UPDATE OF l",
        columns,
    )
    found = await conn.execute(
        f"SELECT k.pk, k.tenant, k.rtype, k.id, CASE WHEN r.deleted THEN NULL ELSE r.body END FROM {unnested} LEFT JOIN resource r "
        "ON r.pk = k.pk AND r.tenant = k.tenant AND r.rtype = k.rtype AND r.id = k.id ORDER BY k.pk, k.tenant, k.rtype, k.id",
        columns,
    )
    return [Row(row[0], row[1], row[2], row[3], row[4] or "") for row in await found.fetchall()]


async def replace(conn: Connection, made: Sequence[tuple[Row, Index]]) -> None:
    """Keep these search values instead of those before."""
    async with conn.pipeline(), conn.cursor() as cursor:
        keys = [(row.pk, row.tenant, row.rtype, row.id) for row, _ in made]
        for table, columns in SEARCH_ROWS.items():
            await cursor.executemany(
                f"DELETE FROM {table} WHERE pk = %s AND tenant = %s AND rtype = %s AND id = %s", keys
            )
            names = ("pk", "tenant", "rtype", "id", "n", *columns)
            rows = [
                (row.pk, row.tenant, row.rtype, row.id, n, *values)
                for row, index in made
                for n, values in enumerate(index.rows.get(table, ()))
            ]
            if rows:
                await cursor.executemany(
                    f"INSERT INTO {table} ({', '.join(names)}) VALUES ({', '.join(['%s'] * len(names))})",
                    rows,
                )
        await cursor.executemany(
            "UPDATE resource SET tokens = %s, status = %s, code = %s, category = %s, date_lo = %s, date_hi = %s, "
            "labels = labels & %s | %s WHERE pk = %s AND tenant = %s AND rtype = %s AND id = %s",
            [
                (
                    list(i.tokens),
                    i.status,
                    i.code,
                    i.category,
                    i.date_lo,
                    i.date_hi,
                    READ_LABELS,
                    i.labels,
                    row.pk,
                    row.tenant,
                    row.rtype,
                    row.id,
                )
                for row, i in made
            ],
        )


async def superseded(conn: Connection, rows: Sequence[Row]) -> list[tuple[Row, int]]:
    """The versions before these resources whose labels nobody has looked at yet, with their number."""
    found = await conn.execute(
        "SELECT h.pk, h.tenant, h.rtype, h.id, coalesce(h.body, ''), h.vid "
        "FROM unnest(%s::int[], %s::text[], %s::text[]) AS k(tenant, rtype, id) "
        "JOIN resource_loc l ON l.tenant = k.tenant AND l.rtype = k.rtype AND l.id = k.id "
        "JOIN history h ON h.pk = ANY(l.pk || l.former) AND h.tenant = l.tenant AND h.rtype = l.rtype AND h.id = l.id "
        "WHERE h.labels >= %s",
        ([row.tenant for row in rows], [row.rtype for row in rows], [row.id for row in rows], UNREAD),
    )
    return [(Row(*one[:5]), one[5]) for one in await found.fetchall()]


async def label(conn: Connection, made: Sequence[tuple[Row, int, int]]) -> None:
    """Keep the labels of superseded versions: (version, its number, mask)."""
    async with conn.pipeline(), conn.cursor() as cursor:
        await cursor.executemany(
            "UPDATE history SET labels = labels & %s | %s WHERE pk = %s AND tenant = %s AND rtype = %s AND id = %s AND vid = %s",
            [(READ_LABELS, mask, row.pk, row.tenant, row.rtype, row.id, vid) for row, vid, mask in made],
        )


async def advance(conn: Connection, run: Run, last: Row | None, done: int, now: datetime) -> None:
    """Note how far a run is; without a last row it is at its end. A run asked for anew meanwhile is left alone."""
    place = f"{last.pk} {last.tenant} {last.rtype} {last.id}" if last else ""
    await conn.execute(
        "UPDATE reindex SET done = done + %s, place = %s, state = %s, finished = %s "
        "WHERE tenant = %s AND name = %s AND asked = %s",
        [done, place, WAITING if last else DONE, None if last else now, run.tenant, run.name, run.asked],
    )


async def held(conn: Connection, tenant: int) -> list[Held]:
    """The search parameters of a tenant's own."""
    found = await conn.execute(
        "SELECT id, code, base, kind, expression, target, url FROM search_parameter WHERE tenant = %s ORDER BY id",
        [tenant],
    )
    return [Held(*row) for row in await found.fetchall()]


async def hold(conn: Connection, tenant: int, one: Held) -> None:
    """Register a search parameter, or what became of it."""
    await conn.execute(
        "INSERT INTO search_parameter (tenant, id, code, base, kind, expression, target, url) "
        "VALUES (%s, %s, %s, %s, %s, %s, %s, %s) ON CONFLICT (tenant, id) DO UPDATE SET code = excluded.code, "
        "base = excluded.base, kind = excluded.kind, expression = excluded.expression, target = excluded.target, url = excluded.url",
        [tenant, one.id, one.code, one.base, one.kind, one.expression, one.target, one.url],
    )


async def drop(conn: Connection, tenant: int, id: str) -> None:
    """Register it no longer."""
    await conn.execute("DELETE FROM search_parameter WHERE tenant = %s AND id = %s", [tenant, id])
    await conn.execute("DELETE FROM reindex WHERE tenant = %s AND name = %s", [tenant, id])
