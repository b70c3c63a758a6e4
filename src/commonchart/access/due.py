"""The due list as an actor may read it: one patient's, or the registry. Stored rows only; no rule runs here."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import date, timedelta
from typing import TYPE_CHECKING, Any

import msgspec
from msgspec import Struct

from commonchart.access import approvals, audit, policy
from commonchart.care.calendar import birthday
from commonchart.fhir.outcome import NotFound, TooCostly
from commonchart.record import changes, due, store
from commonchart.record.due import DueRow
from commonchart.record.keys import token
from commonchart.record.rows import Stored
from commonchart.record.schema import VERSION_COLUMNS
from commonchart.search.fold import fold

if TYPE_CHECKING:
    from commonchart.access.records import Records

OPEN = ("overdue", "due", "cannot-tell", "due-soon")
ORDER = (
    "overdue", "due", "cannot-tell", "due-soon", "deferred", "declined", "up-to-date", "excluded", "not-applicable",
)  # fmt: skip


class Filters(Struct, frozen=True):
    """What the registry is narrowed to. `clinician` is a Practitioner id, `text` a part of a name."""

    rule: str = ""
    statuses: tuple[str, ...] = OPEN
    min_age: int | None = None
    max_age: int | None = None
    sex: str = ""
    clinician: str = ""
    text: str = ""


class RegistryRow(Struct, frozen=True):
    """One patient and rule, with the Patient as stored."""

    due: DueRow
    patient: Stored


class Registry(Struct, frozen=True):
    """A page of the registry. `statuses` counts the rule's rows by status, whatever statuses are shown; `total` what is."""

    rows: tuple[RegistryRow, ...]
    total: int
    statuses: dict[str, int]
    rules: tuple[tuple[str, str, int], ...]


async def due_of(records: Records, patient: str) -> list[DueRow]:
    """The stored due rows of one patient. Raises Forbidden, NotFound."""
    await records.require("read", "Condition")
    visible = records.visible
    if not visible.everything and patient not in visible.patients:
        raise NotFound("There is no Patient with this id")
    async with records.database.connection() as conn:
        tenant = records.actor.tenant
        rows = await approvals.told(conn, tenant, await due.of_patient(conn, tenant, patient))
        await audit.note(conn, records.actor, records.clock(), "read-due", patients=[patient])
    return rows


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
    """Who is due for what, most urgent first, with counts. Raises Forbidden: it is not for patients."""
    await _allowed(records)
    where, args = _where(records, filters, as_of)
    async with records.database.connection() as conn:
        statuses = await _counts(conn, "d.status", where, args)
        rules = await _rules(conn, records, filters, as_of)
        rows = await _told(conn, records, await _rows(conn, where, args, filters, limit, offset))
        seen = sorted({row.due.patient for row in rows})
        await audit.note(
            conn,
            records.actor,
            records.clock(),
            "registry",
            patients=seen,
            query=msgspec.json.encode(filters).decode(),
        )
    total = sum(n for status, n in statuses.items() if not filters.statuses or status in filters.statuses)
    return Registry(tuple(rows), total, statuses, rules)


async def _told(conn: Any, records: Records, rows: list[RegistryRow]) -> list[RegistryRow]:
    found = await approvals.told(conn, records.actor.tenant, [row.due for row in rows])
    return [RegistryRow(told, row.patient) for told, row in zip(found, rows, strict=True)]


async def selected(
    records: Records, filters: Filters, *, as_of: date, limit: int
) -> dict[str, tuple[str, ...]]:
    """Patient -> rules of everything in the registry that fits, for acting on all of it. Raises as `registry`, TooCostly."""
    await _allowed(records)
    where, args = _where(records, filters, as_of)
    async with records.database.connection() as conn:
        cursor = await conn.execute(
            f"SELECT d.patient, array_agg(d.rule ORDER BY d.rule) {_FROM} WHERE {where} AND d.status = ANY(%s) "
            "GROUP BY d.patient ORDER BY d.patient LIMIT %s",
            [*args, list(filters.statuses or ORDER), limit + 1],
        )
        found = {row[0]: tuple(row[1]) for row in await cursor.fetchall()}
        text = msgspec.json.encode(filters).decode()
        await audit.note(
            conn, records.actor, records.clock(), "select-patients", patients=sorted(found), query=text
        )
    if len(found) > limit:
        raise TooCostly(f"More than {limit:,} people fit: narrow the registry first")
    return found


async def _allowed(records: Records) -> None:
    await records.require("search", "Condition")
    await records.require("search", "Patient")
    if not policy.visible(records.actor).everything:
        raise NotFound("There is no registry here")


_FROM = "FROM due d JOIN resource r ON r.pk = d.pk AND r.tenant = d.tenant AND r.rtype = 'Patient' AND r.id = d.patient"


def _where(
    records: Records, filters: Filters, as_of: date, *, any_rule: bool = False
) -> tuple[str, list[Any]]:
    predicate, args = records.visible.predicate("r")
    parts, values = [predicate, "NOT r.deleted", "d.tenant = %s"], [*args, records.actor.tenant]

    def add(text: str, *more: Any) -> None:
        parts.append(text)
        values.extend(more)

    if filters.rule and not any_rule:
        add("d.rule = %s", filters.rule)
    if filters.min_age is not None:
        add("r.date_lo <= %s", _born_by(as_of, filters.min_age))
    if filters.max_age is not None:
        add("r.date_lo > %s", _born_by(as_of, filters.max_age + 1))
    if filters.sex:
        add("(r.tokens || '{}'::bigint[]) && %s::bigint[]", [token("gender", filters.sex)])
    if filters.clinician:
        add(
            "(r.tokens || '{}'::bigint[]) && %s::bigint[]",
            [token("general-practitioner", f"Practitioner/{filters.clinician}")],
        )
    for word in fold(filters.text).split()[:6]:
        like = word.replace("\\", "\\\\").replace("%", "\\%").replace("_", "\\_")
        add(
            "EXISTS (SELECT 1 FROM string_row x WHERE x.pk = r.pk AND x.tenant = r.tenant AND x.rtype = 'Patient' "
            "AND x.id = r.id AND x.param = 'name' AND x.folded LIKE %s)",
            f"{like}%",
        )
    return " AND ".join(parts), values


def _born_by(as_of: date, age: int) -> date:
    """The latest birth date of somebody who has turned `age` by the day."""
    born = birthday(as_of, -age)
    return born if birthday(born, age) <= as_of else born - timedelta(days=1)


async def _counts(conn: Any, column: str, where: str, args: Sequence[Any]) -> dict[str, int]:
    cursor = await conn.execute(f"SELECT {column}, count(*) {_FROM} WHERE {where} GROUP BY 1", args)
    return {key: int(n) for key, n in await cursor.fetchall()}


async def _rules(
    conn: Any, records: Records, filters: Filters, as_of: date
) -> tuple[tuple[str, str, int], ...]:
    """(rule, title, how many overdue or due) of every rule, for choosing one."""
    where, args = _where(records, filters, as_of, any_rule=True)
    cursor = await conn.execute(
        f"SELECT d.rule, max(d.title), count(*) FILTER (WHERE d.status IN ('overdue', 'due')) {_FROM} WHERE {where} "
        "GROUP BY d.rule ORDER BY max(d.title)",
        args,
    )
    return tuple((row[0], row[1], int(row[2])) for row in await cursor.fetchall())


async def _rows(
    conn: Any, where: str, args: Sequence[Any], filters: Filters, limit: int, offset: int
) -> list[RegistryRow]:
    names = ", ".join(f"d.{name}" for name in due.COLUMNS.split(", "))
    columns = ", ".join(f"r.{name}" for name in VERSION_COLUMNS.split(", "))
    statuses = list(filters.statuses or ORDER)
    cursor = await conn.execute(
        f"SELECT {names}, {columns} {_FROM} WHERE {where} AND d.status = ANY(%s) "
        "ORDER BY array_position(%s::text[], d.status), d.due_on NULLS LAST, d.patient, d.rule LIMIT %s OFFSET %s",
        [*args, statuses, list(ORDER), limit, offset],
    )
    width = len(due.COLUMNS.split(", "))
    return [
        RegistryRow(DueRow(*row[:width]), store.row_stored(row[width:])) for row in await cursor.fetchall()
    ]
