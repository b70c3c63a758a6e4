"""Condition registries as an actor may read them: stored rows only; no rule runs and no chart is opened here."""

from __future__ import annotations

from datetime import date
from typing import TYPE_CHECKING, Any, Literal

import msgspec
from msgspec import Struct

from commonchart.access import audit, panels
from commonchart.care.registries import Cell, Registry, built_in
from commonchart.fhir.outcome import NotFound, TooCostly
from commonchart.record import store
from commonchart.record.panel import ROW_COLUMNS, RegistryRow
from commonchart.record.rows import Stored
from commonchart.record.schema import VERSION_COLUMNS

if TYPE_CHECKING:
    from commonchart.access.records import Records
    from commonchart.record.database import Connection

Chip = Literal["attention", "alert", "overdue", "due", "cannot-tell", "due-soon", "in", "all"]
CHIPS: dict[str, str] = {
    "attention": "g.urgency <= 1 OR g.status = 'overdue'", "alert": "g.urgency = 0", "overdue": "g.status = 'overdue'",
    "due": "g.status = 'due'", "cannot-tell": "g.status = 'cannot-tell'", "due-soon": "g.status = 'due-soon'",
    "in": "g.within = 'in'", "all": "true",
}  # fmt: skip
"""What may be shown of a registry, as SQL over its row `g`."""
MOST_ROWS = 10_000


class Asked(Struct, frozen=True):
    """A registry and what it is narrowed to. `sort`: "" (urgency), name, born, due, control, or a column's id; "-" turns it round."""

    registry: str
    chip: Chip = "attention"
    clinician: str = ""
    min_age: int | None = None
    max_age: int | None = None
    sort: str = ""


class Member(Struct, frozen=True):
    """One person of a registry: the Patient, the row, and its cells by column."""

    patient: Stored
    row: RegistryRow
    cells: dict[str, Cell]


class Listed(Struct, frozen=True):
    """A page. `chips` counts by chip; `control` is (in range, known, of how many people) for the column that is reported."""

    registry: Registry
    members: tuple[Member, ...]
    total: int
    chips: dict[str, int]
    control: tuple[int, int, int]
    assessed_on: date | None
    pack: str
    whole: bool = True


async def members(records: Records) -> dict[str, int]:
    """How many members each registry has among those the actor may see. Raises Forbidden, NotFound."""
    await panels.allowed(records)
    scope, args = panels.scope(records.visible)
    alone = panels.whole(records.visible)
    sql = (
        "SELECT g.registry, count(*) FROM registry_row g WHERE g.tenant = %s GROUP BY 1"
        if alone
        else f"SELECT g.registry, count(*) {_FROM} WHERE {scope} GROUP BY 1"
    )
    async with records.whole.single() as conn:
        rows = await conn.fetch(sql, [records.actor.tenant] if alone else args)
    found = {str(name): int(n) for name, n in rows}
    return {name: found.get(name, 0) for name in built_in().by_name}


async def listed(records: Records, asked: Asked, *, as_of: date, limit: int, offset: int) -> Listed:
    """A page of a registry, out of range or overdue first. Raises Forbidden, NotFound, TooCostly."""
    await panels.allowed(records)
    registry = built_in().by_name.get(asked.registry)
    if registry is None:
        raise NotFound("There is no such registry")
    if offset + limit > MOST_ROWS:
        raise TooCostly(f"Only the first {MOST_ROWS:,} rows can be turned to: narrow the list, or export it")
    async with records.whole.connection() as conn:
        chips, control = await _counts(conn, records, asked, as_of)
        found = await _rows(conn, records, asked, registry, as_of, limit, offset)
        await _noted(conn, records, "condition-registry", asked, found)
    return Listed(
        registry, tuple(found), chips[asked.chip], chips, control,
        max((one.row.assessed_on for one in found), default=None), found[0].row.pack if found else "",
        panels.whole(records.visible),
    )  # fmt: skip


async def exported(records: Records, asked: Asked, *, as_of: date, limit: int) -> list[Member]:
    """Every row that fits; the audit row names everybody. Raises as `listed`, TooCostly."""
    await panels.allowed(records)
    registry = built_in().by_name.get(asked.registry)
    if registry is None:
        raise NotFound("There is no such registry")
    async with records.whole.connection() as conn:
        found = await _rows(conn, records, asked, registry, as_of, limit + 1, 0)
        await _noted(conn, records, "export-registry", asked, found)
    if len(found) > limit:
        raise TooCostly(f"More than {limit:,} people fit: narrow the registry first")
    return found


async def _noted(conn: Connection, records: Records, action: str, asked: Asked, found: list[Member]) -> None:
    who, text = sorted(one.patient.id for one in found), msgspec.json.encode(asked).decode()
    await audit.note(conn, records.actor, records.clock(), action, patients=who, query=text)


# ---- the statements --------------------------------------------------------------------------------------------

_FROM = (
    "FROM registry_row g JOIN panel_member p ON p.pk = g.pk AND p.tenant = g.tenant AND p.patient = g.patient"
)


def _where(records: Records, asked: Asked, as_of: date) -> panels.Where:
    narrowed = panels.people(as_of, min_age=asked.min_age, max_age=asked.max_age, clinician=asked.clinician)
    own: panels.Where = ("g.tenant = %s AND g.registry = %s", [records.actor.tenant, asked.registry])
    return panels.joined([own, panels.scope(records.visible), *narrowed])


async def _counts(
    conn: Connection, records: Records, asked: Asked, as_of: date
) -> tuple[dict[str, int], tuple[int, int, int]]:
    where, args = _where(records, asked, as_of)
    mains = ("g.main = 'in'", "g.main IN ('in', 'out', 'alert')", "g.main <> ''")
    wanted = ", ".join(f"count(*) FILTER (WHERE {one})" for one in (*CHIPS.values(), *mains))
    row = (await conn.fetch(f"SELECT {wanted} {_FROM} WHERE {where}", args))[0]
    chips = dict(zip(CHIPS, map(int, row), strict=False))
    inside, known, people = (int(n) for n in row[len(CHIPS) :])
    return chips, (inside, known, people)


def _order(asked: Asked, registry: Registry) -> str:
    name, descending = asked.sort.removeprefix("-"), asked.sort.startswith("-")
    columns = {
        "name": "p.name, p.patient", "born": "p.born, p.patient", "due": "g.due_on, p.patient", "clinician": "p.clinician, p.patient",
        "control": "CASE WHEN g.known > 0 THEN g.inside::float / g.known END, p.patient",
    }  # fmt: skip
    for n, column in enumerate(registry.columns, 1):
        value = f"g.numbers[{n}]" if column.analytes else f"g.days[{n}]"
        columns[column.id] = f"{value}, p.patient"
    return panels.ordered(columns.get(name, "g.urgency, g.due_on, g.patient"), descending).replace(
        "DESC NULLS FIRST", "DESC NULLS LAST" if name in columns else "DESC NULLS FIRST"
    )


async def _rows(
    conn: Connection, records: Records, asked: Asked, registry: Registry, as_of: date, limit: int, offset: int
) -> list[Member]:
    where, args = _where(records, asked, as_of)
    may, may_args = records.visible.predicate("r")
    names = ", ".join(f"g.{name}" for name in ROW_COLUMNS.split(", "))
    columns = ", ".join(f"r.{name}" for name in VERSION_COLUMNS.split(", "))
    rows: list[tuple[Any, ...]] = await conn.fetch(
        f"WITH found AS MATERIALIZED (SELECT k.*, row_number() OVER () AS place FROM (SELECT g.pk, g.patient {_FROM} "
        f"WHERE {where} AND ({CHIPS[asked.chip]}) ORDER BY {_order(asked, registry)} LIMIT %s OFFSET %s) k) "
        f"SELECT {names}, {columns} FROM found k JOIN registry_row g ON g.pk = k.pk AND g.tenant = %s AND g.patient = k.patient AND g.registry = %s "
        "JOIN resource r ON r.pk = k.pk AND r.tenant = g.tenant AND r.rtype = 'Patient' AND r.id = k.patient "
        f"WHERE NOT r.deleted AND {may} ORDER BY k.place",
        [*args, limit, offset, records.actor.tenant, asked.registry, *may_args],
    )
    width = len(ROW_COLUMNS.split(", "))
    return [_member(RegistryRow(*row[:width]), store.row_stored(row[width:])) for row in rows]


def _member(row: RegistryRow, patient: Stored) -> Member:
    return Member(patient, row, msgspec.json.decode(row.cells, type=dict[str, Cell]))
