"""What is said beside rows that another record of the person repeats or contradicts."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from msgspec.structs import replace

from commonchart.identity.union import Held, Mark, marks
from commonchart.web.present.tables import Fact, Row, Table


def marked(tables: Iterable[Table], facts: Sequence[Fact]) -> list[Table]:
    """The tables with marks in their rows, and how many of the rows are counted once; as they were for a single record."""
    if len({fact.patient for fact in facts if fact.patient}) < 2:
        return list(tables)
    found = marks([Held(fact.key, fact.patient or "", fact.org, fact.body) for fact in facts])
    return [_table(table, found) for table in tables]


def _table(table: Table, found: dict[str, Mark]) -> Table:
    again = sum(not found[row.fact.key].counts for row in table.rows if row.fact.key in found)
    quiet = ", ".join(
        part for part in (table.quiet, f"{again} recorded twice, counted once" if again else "") if part
    )
    return replace(table, rows=tuple(_row(row, found.get(row.fact.key)) for row in table.rows), quiet=quiet)


def _row(row: Row, mark: Mark | None) -> Row:
    if mark is None:
        return row
    if mark.against:
        return replace(row, warn="; ".join(part for part in (row.warn, mark.words) if part))
    return replace(row, sub=" · ".join(part for part in (row.sub, mark.words) if part))


def said(tables: Iterable[tuple[str, tuple[str, ...]]]) -> tuple[str, ...]:
    """What the records of a person disagree on, for the banner."""
    return tuple(f"{title} differs between records: {' / '.join(values)}" for title, values in tables)
