"""The receipt of a load: kept in the database while it runs, complete at the end, and its columns add up."""

from __future__ import annotations

import re
from collections.abc import Sequence
from datetime import datetime
from typing import TYPE_CHECKING, Any

import msgspec
from msgspec import Struct

from commonchart.access import audit
from commonchart.access.writes import new_id
from commonchart.fhir.outcome import NotFound

if TYPE_CHECKING:
    from commonchart.access.records import Records


class Line(Struct, frozen=True):
    """What became of one entry: stored, unchanged or rejected (and why)."""

    file: str
    place: str
    rtype: str
    sent_id: str
    id: str
    outcome: str
    reason: str


class Count(Struct, frozen=True):
    """A row of a summary: read is always stored + unchanged + rejected."""

    name: str
    read: int
    stored: int
    unchanged: int
    rejected: int


class Reason(Struct, frozen=True):
    """Rejections for one reason: how many, of which types, and one example of where."""

    reason: str
    entries: int
    types: str
    example: str


class Receipt(Struct, frozen=True):
    """The whole receipt."""

    id: str
    source: str
    org: str
    actor: str
    state: str
    started: datetime
    finished: datetime | None
    total: Count
    types: tuple[Count, ...]
    reasons: tuple[Reason, ...]
    files: int


async def begin(records: Records, source: str) -> str:
    """Open a receipt; its id. Raises Forbidden when the actor may not load at all."""
    await records.require("create", "Patient")
    now = records.clock()
    run = new_id(now)
    async with records.database.connection() as conn:
        await conn.execute(
            "INSERT INTO load_run (id, tenant, started, actor, org, source, state) VALUES (%s, %s, %s, %s, %s, %s, 'running')",
            (run, records.actor.tenant, now, records.actor.user, records.actor.org, source),
        )
        await audit.note(conn, records.actor, now, "load", detail=f"begin {run} source={source}")
    return run


async def add(records: Records, run: str, first: int, lines: Sequence[Line]) -> None:
    """Add lines, numbered from `first`."""
    if not lines:
        return
    names = ("file", "place", "rtype", "sent_id", "id", "outcome", "reason")
    columns: list[list[Any]] = [[getattr(line, name) for line in lines] for name in names]
    holders = ", ".join(["%s::text[]"] * len(names))
    async with records.database.single() as conn:
        await conn.execute(
            f"INSERT INTO load_entry (run, n, {', '.join(names)}) "
            f"SELECT %s, %s + k.n - 1, {', '.join(f'k.{name}' for name in names)} "
            f"FROM unnest({holders}) WITH ORDINALITY AS k({', '.join(names)}, n)",
            (run, first, *columns),
        )


async def finish(records: Records, run: str, state: str) -> Receipt:
    """Close the receipt and read it."""
    now = records.clock()
    async with records.database.connection() as conn:
        await conn.execute("UPDATE load_run SET finished = %s, state = %s WHERE id = %s", (now, state, run))
        await audit.note(conn, records.actor, now, "load", detail=f"{state} {run}")
    return await read(records, run)


_SUMS = (
    "count(*), count(*) FILTER (WHERE outcome = 'stored'), count(*) FILTER (WHERE outcome = 'unchanged'), "
    "count(*) FILTER (WHERE outcome = 'rejected')"
)


async def read(records: Records, run: str) -> Receipt:
    """A receipt with its sums. Raises NotFound, Forbidden."""
    await records.require("create", "Patient")
    async with records.database.connection() as conn:
        cursor = await conn.execute(
            "SELECT id, source, org, actor, state, started, finished FROM load_run WHERE id = %s AND tenant = %s",
            (run, records.actor.tenant),
        )
        head = await cursor.fetchone()
        if head is None:
            raise NotFound("There is no such receipt")
        total = await (
            await conn.execute(f"SELECT 'Total', {_SUMS} FROM load_entry WHERE run = %s", (run,))
        ).fetchone()
        by_type = await conn.execute(
            f"SELECT coalesce(nullif(rtype, ''), 'Not readable') AS t, {_SUMS} FROM load_entry WHERE run = %s "
            "GROUP BY t ORDER BY count(*) DESC, t",
            (run,),
        )
        types = tuple(Count(*row) for row in await by_type.fetchall())
        files = await (
            await conn.execute("SELECT count(DISTINCT file) FROM load_entry WHERE run = %s", (run,))
        ).fetchone()
        reasons = await _reasons(conn, run)
    sums = Count(*(total or ("Total", 0, 0, 0, 0)))
    id, source, org, actor, state, started, finished = head
    return Receipt(
        id, source, org, actor, state, started, finished, sums, types, reasons, int((files or (0,))[0])
    )


async def _reasons(conn: Any, run: str) -> tuple[Reason, ...]:
    """Rejections by reason, where places inside arrays do not make reasons different."""
    cursor = await conn.execute(
        "SELECT reason, rtype, file, place FROM load_entry WHERE run = %s AND outcome = 'rejected' ORDER BY n LIMIT 100000",
        (run,),
    )
    held: dict[str, list[tuple[str, str]]] = {}
    for reason, rtype, file, place in await cursor.fetchall():
        held.setdefault(re.sub(r"\[\d+\]", "[n]", reason), []).append(
            (rtype or "not readable", f"{file}, {place}")
        )
    rows = sorted(held.items(), key=lambda item: -len(item[1]))
    return tuple(Reason(reason, len(found), _types(found), found[0][1]) for reason, found in rows)


def _types(found: list[tuple[str, str]]) -> str:
    counts: dict[str, int] = {}
    for rtype, _ in found:
        counts[rtype] = counts.get(rtype, 0) + 1
    return ", ".join(f"{rtype} {n}" for rtype, n in sorted(counts.items(), key=lambda item: -item[1]))


async def lines(
    records: Records, run: str, *, outcome: str = "", limit: int = 100, offset: int = 0
) -> list[Line]:
    """Entries of a receipt, in file order; only those of one outcome if given."""
    await records.require("create", "Patient")
    async with records.database.single() as conn:
        cursor = await conn.execute(
            "SELECT e.file, e.place, coalesce(e.rtype, ''), coalesce(e.sent_id, ''), coalesce(e.id, ''), e.outcome, "
            "coalesce(e.reason, '') FROM load_entry e JOIN load_run r ON r.id = e.run "
            "WHERE e.run = %s AND r.tenant = %s AND (%s = '' OR e.outcome = %s) ORDER BY e.n LIMIT %s OFFSET %s",
            (run, records.actor.tenant, outcome, outcome, limit, offset),
        )
        return [Line(*row) for row in await cursor.fetchall()]


async def recent(records: Records, limit: int = 50) -> list[tuple[str, str, datetime, str]]:
    """(id, source, started, state) of the newest loads."""
    await records.require("create", "Patient")
    async with records.database.single() as conn:
        cursor = await conn.execute(
            "SELECT id, source, started, state FROM load_run WHERE tenant = %s ORDER BY started DESC LIMIT %s",
            (records.actor.tenant, limit),
        )
        return [(row[0], row[1], row[2], row[3]) for row in await cursor.fetchall()]


def as_json(receipt: Receipt, rejected: Sequence[Line]) -> bytes:
    """The receipt with every rejected entry, as JSON."""
    return (
        msgspec.json.format(msgspec.json.encode({"receipt": receipt, "rejected": rejected}), indent=2) + b"\n"
    )


def as_text(receipt: Receipt) -> str:
    """The receipt for a terminal: sums by type that add up, then the reasons."""
    width = max([len(count.name) for count in receipt.types] + [5])
    head = f"{'Type':{width}}  {'read':>9}  {'stored':>9}  {'unchanged':>9}  {'rejected':>9}"
    rows = [
        f"{c.name:{width}}  {c.read:>9,}  {c.stored:>9,}  {c.unchanged:>9,}  {c.rejected:>9,}"
        for c in (*receipt.types, receipt.total)
    ]
    out = [f"Receipt {receipt.id} ({receipt.state})", "", head, *rows]
    for reason in receipt.reasons[:20]:
        out += [
            "",
            f"Rejected {reason.entries:,}: {reason.reason}",
            f"  {reason.types}; for example {reason.example}",
        ]
    return "\n".join(out)
