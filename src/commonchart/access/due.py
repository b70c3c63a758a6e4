"""The due list as an actor may read it: one patient's, or the registry. Stored rows only; no rule runs here."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from datetime import date
from typing import TYPE_CHECKING, Any

import msgspec
from msgspec import Struct

from commonchart.access import approvals, audit, panels
from commonchart.fhir.outcome import NotFound, TooCostly
from commonchart.record import changes, due, store
from commonchart.record.due import DueRow
from commonchart.record.panel import ATTENTION, COUNTS, STATUSES
from commonchart.record.rows import Stored
from commonchart.record.schema import VERSION_COLUMNS

if TYPE_CHECKING:
    from commonchart.access.records import Records
    from commonchart.record.database import Connection
    from commonchart.search.visible import Visible

OPEN = ("overdue", "due", "cannot-tell", "due-soon")
ORDER = STATUSES
RANGES = ("in", "out", "none")
SORTS = {
    "": "d.rank, d.due_on, d.patient, d.rule",
    "name": "p.name, p.patient, d.rank, d.rule",
    "born": "p.born, p.patient, d.rank, d.rule",
    "due": "d.due_on, d.patient, d.rule",
    "last": "d.last_on, d.patient, d.rule",
    "clinician": "p.clinician, p.patient, d.rank, d.rule",
}
MOST_ROWS = 10_000
"""How far one may turn pages: what is further behind is found by narrowing."""


class Filters(Struct, frozen=True):
    """What the registry is narrowed to. `clinician` is a Practitioner id, `org` an Organization's, `text` a part of a name.

    `within`: in, out or none (no value that counts) of what is measured; `attention`: only what is out of range or overdue.
    `sort` is a key of SORTS, with "-" before it the other way round. `picked` are (patient, rule) chosen by hand.
    """

    rule: str = ""
    statuses: tuple[str, ...] = OPEN
    min_age: int | None = None
    max_age: int | None = None
    sex: str = ""
    clinician: str = ""
    text: str = ""
    within: str = ""
    attention: bool = False
    org: str = ""
    sort: str = ""
    picked: tuple[tuple[str, str], ...] = ()


class RegistryRow(Struct, frozen=True):
    """One patient and rule, with the Patient as stored."""

    due: DueRow
    patient: Stored


class Registry(Struct, frozen=True):
    """A page of the registry. `statuses` counts by status whatever statuses are shown, `attention` what is out of range or overdue
    among them, `ranges` by range (empty where no rule is chosen); `total` is what is shown. `rules`: (rule, title, how many
    are due or overdue, None where that is not counted). `whole`: nobody is left out because something of theirs is withheld.
    """

    rows: tuple[RegistryRow, ...]
    total: int
    statuses: dict[str, int]
    attention: int
    ranges: dict[str, int]
    rules: tuple[tuple[str, str, int | None], ...]
    whole: bool = True


async def due_of(records: Records, patient: str) -> list[DueRow]:
    """The stored due rows of one patient. Raises Forbidden, NotFound."""
    await records.require("read", "Condition")
    visible = records.visible
    if not visible.everything and patient not in visible.patients:
        raise NotFound("There is no Patient with this id")
    async with records.database.connection() as conn:
        tenant = records.actor.tenant
        if visible.beyond is not None and not await _seen(conn, visible, patient):
            raise NotFound("There is no Patient with this id")
        rows = await approvals.told(
            conn, tenant, await due.of_patient(conn, tenant, patient, visible.due("d"))
        )
        await audit.note(conn, records.actor, records.clock(), "read-due", patients=[patient])
    return rows


async def _seen(conn: Connection, visible: Visible, patient: str) -> bool:
    predicate, args = visible.predicate("r")
    return bool(
        await conn.fetch(f"{store.READ} AND {predicate}", (visible.tenant, "Patient", patient, *args))
    )


class Standing(Struct, frozen=True):
    """The stored due rows of one patient; `waiting`: something of theirs was written that is not worked into them yet."""

    rows: tuple[DueRow, ...]
    waiting: bool


async def standing(records: Records, patient: str) -> Standing:
    """The due rows, and whether they are behind the record. Raises Forbidden, NotFound."""
    async with records.database.connection() as conn:
        behind = await changes.waiting_about(conn, due.CURSOR, records.actor.tenant, patient)
    rows = await due_of(records, patient)
    return Standing(tuple(rows), not due.READ.isdisjoint(behind))


async def registry(
    records: Records, filters: Filters, *, as_of: date, limit: int = 50, offset: int = 0
) -> Registry:
    """Who is due for what, with counts. Raises Forbidden: it is not for patients; TooCostly beyond MOST_ROWS."""
    await panels.allowed(records)
    if offset + limit > MOST_ROWS:
        raise TooCostly(f"Only the first {MOST_ROWS:,} rows can be turned to: narrow the list, or export it")
    async with records.whole.connection() as conn:
        statuses, attention, ranges = await _counted(conn, records, filters, as_of)
        total = attention if filters.attention else sum(statuses[one] for one in filters.statuses or ORDER)
        rules = await _rules(conn, records, filters, as_of)
        rows = await _told(conn, records, await _rows(conn, records, filters, as_of, limit, offset, total))
        await _noted(conn, records, "registry", filters, sorted({row.due.patient for row in rows}))
    return Registry(tuple(rows), total, statuses, attention, ranges, rules, panels.whole(records.visible))


async def exported(
    records: Records, filters: Filters, *, as_of: date, limit: int, action: str = "export-registry"
) -> list[RegistryRow]:
    """Every row that fits, for taking it out of the house: the audit row names everybody. Raises as `registry`, TooCostly."""
    await panels.allowed(records)
    async with records.whole.connection() as conn:
        rows = await _told(conn, records, await _rows(conn, records, filters, as_of, limit + 1, 0))
        await _noted(conn, records, action, filters, sorted({row.due.patient for row in rows}))
    if len(rows) > limit:
        raise TooCostly(f"More than {limit:,} rows fit: narrow the registry first")
    return rows


async def _told(conn: Any, records: Records, rows: list[RegistryRow]) -> list[RegistryRow]:
    found = await approvals.told(conn, records.actor.tenant, [row.due for row in rows])
    return [RegistryRow(told, row.patient) for told, row in zip(found, rows, strict=True)]


async def selected(
    records: Records, filters: Filters, *, as_of: date, limit: int
) -> dict[str, tuple[str, ...]]:
    """Patient -> rules of everything in the registry that fits, for acting on all of it. Raises as `registry`, TooCostly."""
    await panels.allowed(records)
    where, args = _shown(records, filters, as_of)
    async with records.whole.connection() as conn:
        cursor = await conn.execute(
            f"SELECT d.patient, array_agg(d.rule ORDER BY d.rule) {_FROM} WHERE {where} "
            "GROUP BY d.patient ORDER BY d.patient LIMIT %s",
            [*args, limit + 1],
        )
        found = {row[0]: tuple(row[1]) for row in await cursor.fetchall()}
        await _noted(conn, records, "select-patients", filters, sorted(found))
    if len(found) > limit:
        raise TooCostly(f"More than {limit:,} people fit: narrow the registry first")
    return found


async def how_many(conn: Any, records: Records, filters: Filters, as_of: date) -> int:
    """How many rows fit."""
    statuses, attention, _ = await _counted(conn, records, filters, as_of)
    return attention if filters.attention else sum(statuses[one] for one in filters.statuses or ORDER)


async def _noted(conn: Any, records: Records, action: str, filters: Filters, patients: list[str]) -> None:
    text = msgspec.json.encode(filters).decode()
    await audit.note(conn, records.actor, records.clock(), action, patients=patients, query=text)


# ---- the statements --------------------------------------------------------------------------------------------

_JOIN = "JOIN panel_member p ON p.pk = d.pk AND p.tenant = d.tenant AND p.patient = d.patient"
_FROM = f"FROM due d {_JOIN}"


def _members(records: Records, filters: Filters, as_of: date, *, each: bool = False) -> list[panels.Where]:
    """Who may be listed, and is asked for; `each`: asked of one member at a time."""
    asked = panels.people(
        as_of, min_age=filters.min_age, max_age=filters.max_age, sex=filters.sex, clinician=filters.clinician,
        org=filters.org, text=filters.text,
    )  # fmt: skip
    return [panels.each(records.visible) if each else panels.scope(records.visible), *asked]


def _items(records: Records, filters: Filters, *, rule: bool = True) -> list[panels.Where]:
    """Which of their rows, whatever the status."""
    out: list[panels.Where] = [("d.tenant = %s", [records.actor.tenant])]
    if not panels.whole(records.visible):
        out.append(records.visible.due("d"))
    if filters.rule and rule:
        out.append(("d.rule = %s", [filters.rule]))
    if filters.within:
        values = ["out", "alert"] if filters.within == "out" else [filters.within]
        out.append(("d.within = ANY(%s)", [values]))
    if filters.picked:
        pairs = [list(column) for column in zip(*filters.picked, strict=True)]
        out.append(("(d.patient, d.rule) IN (SELECT * FROM unnest(%s::text[], %s::text[]))", pairs))
    return out


def _shown(records: Records, filters: Filters, as_of: date) -> panels.Where:
    """The rows that are shown, over `d` and `p`."""
    return panels.joined(_members(records, filters, as_of) + _chosen(records, filters))


def _chosen(records: Records, filters: Filters) -> list[panels.Where]:
    """Which rows, by everything that stands in `due` itself."""
    parts = _items(records, filters)
    if filters.attention:
        parts.append((ATTENTION, []))
    elif set(filters.statuses or ORDER) != set(ORDER):
        ranks = sorted(ORDER.index(one) for one in filters.statuses)
        if ranks == list(range(ranks[0], ranks[-1] + 1)):  # a range, so that an index gives them in order
            parts.append((f"d.rank BETWEEN {ranks[0]} AND {ranks[-1]}", []))
        else:
            parts.append(("d.rank = ANY(%s)", [ranks]))
    return parts


MANY = 2000
_BY_MEMBER = ("name", "born", "clinician")


def _found(records: Records, filters: Filters, as_of: date, total: int) -> tuple[str, panels.Where]:
    """FROM and WHERE of a page. Where many fit, an index gives them in order and each is asked whose it is; else they are joined."""
    members, chosen = _members(records, filters, as_of), _chosen(records, filters)
    if filters.sort.removeprefix("-") not in _BY_MEMBER:
        if len(members) == 1 and panels.whole(records.visible):  # every row of `due` has its member
            return "FROM due d", panels.joined(chosen)
        if total > MANY:
            who, args = panels.joined(_members(records, filters, as_of, each=True))
            asked = f"(SELECT true FROM panel_member p WHERE p.pk = d.pk AND p.tenant = d.tenant AND p.patient = d.patient AND {who})"
            return "FROM due d", panels.joined([*chosen, (asked, args)])
    return _FROM, panels.joined(members + chosen)


def _sorted_by(filters: Filters) -> str:
    """The columns of the order. What is open comes by urgency, anything else by status: both have an index."""
    name = filters.sort.removeprefix("-")
    if name in SORTS and name:
        return SORTS[name]
    work = filters.attention or (filters.statuses and set(filters.statuses) <= set(OPEN))
    return "d.urgency, d.due_on, d.patient, d.rule" if work else SORTS[""]


Counts = tuple[dict[str, int], int, dict[str, int]]


async def _counted(conn: Any, records: Records, filters: Filters, as_of: date) -> Counts:
    """How many by status, how many of them out of range or overdue, and how many by range."""
    if not (filters.rule or filters.within or filters.picked):
        return await _by_member(conn, records, filters, as_of)
    members, items = _members(records, filters, as_of), _items(records, filters)
    alone = len(members) == 1 and panels.whole(records.visible)  # every row of `due` has its member
    where, args = panels.joined(items if alone else members + items)
    cursor = await conn.execute(
        f"SELECT d.rank, d.within, count(*) FROM due d {'' if alone else _JOIN} WHERE {where} GROUP BY 1, 2",
        args,
    )
    statuses, ranges, attention = Counter[str](), Counter[str](), 0
    chosen = ORDER if filters.attention else filters.statuses or ORDER
    for rank, within, n in await cursor.fetchall():
        urgent = rank == 0 or within in ("out", "alert")
        statuses[ORDER[rank]] += n
        attention += n * urgent
        if ORDER[rank] in chosen and (urgent or not filters.attention):
            ranges["out" if within == "alert" else within] += n
    return {one: statuses[one] for one in ORDER}, attention, {one: ranges[one] for one in RANGES}


async def _by_member(conn: Any, records: Records, filters: Filters, as_of: date) -> Counts:
    """The same over all rules: every member carries their own counts."""
    where, args = panels.joined(_members(records, filters, as_of))
    sums = ", ".join(f"coalesce(sum(p.{name}), 0)" for name in (*COUNTS, "attention"))
    row = await (await conn.execute(f"SELECT {sums} FROM panel_member p WHERE {where}", args)).fetchone()
    return dict(zip(ORDER, map(int, row[:-1]), strict=True)), int(row[-1]), {}


async def _rules(
    conn: Any, records: Records, filters: Filters, as_of: date
) -> tuple[tuple[str, str, int | None], ...]:
    """Every rule for choosing one: by the counts of the day, else of the rows themselves."""
    tenant = records.actor.tenant
    if panels.whole(records.visible):
        cursor = await conn.execute(
            "SELECT rule, max(title), sum(n) FILTER (WHERE status IN ('overdue', 'due')) FROM panel_count WHERE tenant = %s "
            "AND day = (SELECT max(day) FROM panel_count WHERE tenant = %s) AND clinician = %s AND (%s = '' OR org = %s) GROUP BY rule ORDER BY 2",
            (tenant, tenant, filters.clinician, filters.org, filters.org),
        )
        found = await cursor.fetchall()
        if found:
            narrowed = (
                filters.min_age is not None or filters.max_age is not None or filters.sex or filters.text
            )
            return tuple((rule, title, None if narrowed else int(n or 0)) for rule, title, n in found)
    where, args = panels.joined(_members(records, filters, as_of) + _items(records, filters, rule=False))
    cursor = await conn.execute(
        f"SELECT d.rule, max(d.title), count(*) FILTER (WHERE d.rank < 2) {_FROM} WHERE {where} GROUP BY d.rule ORDER BY 2",
        args,
    )
    return tuple((row[0], row[1], int(row[2])) for row in await cursor.fetchall())


async def _rows(
    conn: Any, records: Records, filters: Filters, as_of: date, limit: int, offset: int, total: int = 0
) -> list[RegistryRow]:
    """The keys first, by an index; then what is wide."""
    source, (where, args) = _found(records, filters, as_of, total)
    order = panels.ordered(_sorted_by(filters), filters.sort.startswith("-"))
    may, may_args = records.visible.predicate("r")
    names = ", ".join(f"d.{name}" for name in due.COLUMNS.split(", "))
    columns = ", ".join(f"r.{name}" for name in VERSION_COLUMNS.split(", "))
    cursor = await conn.execute(
        f"WITH found AS MATERIALIZED (SELECT d.pk, d.tenant, d.patient, d.rule, row_number() OVER () AS place FROM "
        f"(SELECT d.pk, d.tenant, d.patient, d.rule {source} WHERE {where} ORDER BY {order} LIMIT %s OFFSET %s) d) "
        f"SELECT {names}, {columns} FROM found k JOIN due d ON d.pk = k.pk AND d.tenant = k.tenant AND d.patient = k.patient "
        "AND d.rule = k.rule JOIN resource r ON r.pk = k.pk AND r.tenant = k.tenant AND r.rtype = 'Patient' AND r.id = k.patient "
        f"WHERE NOT r.deleted AND {may} ORDER BY k.place",
        [*args, limit, offset, *may_args],
    )
    width = len(due.COLUMNS.split(", "))
    found: Sequence[Any] = await cursor.fetchall()
    return [RegistryRow(DueRow(*row[:width]), store.row_stored(row[width:])) for row in found]
