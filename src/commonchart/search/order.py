"""The order of a search and the rows after, or before, a place in it. Missing values come last."""

from __future__ import annotations

from typing import Any

from msgspec import Struct

from commonchart.search.parameters import UNIONS
from commonchart.search.query import Query, is_main_date
from commonchart.search.terms import SAME, Sql
from commonchart.search.wanted import Sort

_TABLES = {
    "string": ("string_row", "min(x.folded)", "max(x.folded)", "text"),
    "uri": ("uri_row", "min(x.value)", "max(x.value)", "text"),
    "date": ("date_row", "min(x.lo)", "max(x.lo)", "timestamptz"),
    "number": ("quantity_row", "min(coalesce(x.lo, x.hi))", "max(coalesce(x.hi, x.lo))", "numeric"),
    "quantity": ("quantity_row", "min(coalesce(x.lo, x.hi))", "max(coalesce(x.hi, x.lo))", "numeric"),
}


class Key(Struct, frozen=True):
    """One expression to sort by, its SQL type, and its direction."""

    text: str
    type: str
    down: bool


def keys(query: Query) -> list[Key]:
    """What a query is sorted by: what it says (else newest first), then type (where there are several) and id."""
    found = leading(query)
    tail = [Key("r.rtype", "text", False)] if query.types else []
    return [*found, *tail, Key("r.id", "text", False)]


def leading(query: Query) -> list[Key]:
    """What a query says it is sorted by, else newest first."""
    return [_key(query, sort) for sort in query.sort] or [Key("r.recorded", "timestamptz", True)]


def order_by(found: list[Key], back: bool) -> str:
    """The ORDER BY list; the other way round when `back`."""
    return ", ".join(
        f"{key.text} {'DESC' if key.down is not back else 'ASC'} NULLS {'FIRST' if back else 'LAST'}"
        for key in found
    )


def _key(query: Query, sort: Sort) -> Key:
    made = {rtype: _expression(rtype, sort) for rtype in query.every_type}
    kind = next(iter(made.values()))[1]
    texts = {text for text, _ in made.values()}
    if len(texts) == 1:
        return Key(texts.pop(), kind, sort.descending)
    cases = " ".join(f"WHEN '{rtype}' THEN {text}" for rtype, (text, _) in made.items())
    return Key(f"(CASE r.rtype {cases} END)", kind, sort.descending)


def _expression(rtype: str, sort: Sort) -> tuple[str, str]:
    """SQL text and its type; codes and paths are those of definitions, checked, never a client's text."""
    if sort.code == "_id":
        return "r.id", "text"
    if sort.code == "_lastUpdated":
        return "r.recorded", "timestamptz"
    if is_main_date(rtype, sort.code):
        return "r.date_lo", "timestamptz"
    if sort.paths:
        found = (f"jsonb_path_query_first(r.body::jsonb, '{path}') #>> '{{}}'" for path in sort.paths[rtype])
        return f'(coalesce({", ".join(found)}) COLLATE "C")', "text"
    table, low, high, kind = _TABLES[sort.kind]
    codes = ", ".join(f"'{code}'" for code in UNIONS.get(sort.code, (sort.code,)))
    chosen = high if sort.descending else low
    return f"(SELECT {chosen} FROM {table} x WHERE {SAME} AND x.param IN ({codes}))", kind


def beyond(found: list[Key], place: list[str | None], back: bool) -> Sql:
    """Rows after the one with these sort values (as text), before it when `back`."""
    alternatives: list[str] = []
    args: list[Any] = []
    ties: list[str] = []
    tied: list[Any] = []
    for key, value in zip(found, place, strict=True):
        step = _step(key, value, back)
        if step is not None:
            alternatives.append(" AND ".join([*ties, step]))
            args += tied if value is None else [*tied, value]
        if value is None:
            ties.append(f"{key.text} IS NULL")
        else:
            ties.append(f"{key.text} = %s::{key.type}")
            tied.append(value)
    return Sql("((" + ") OR (".join(alternatives) + "))", args)


def _step(key: Key, value: str | None, back: bool) -> str | None:
    """Strictly beyond by this key alone."""
    if value is None:
        return f"{key.text} IS NOT NULL" if back else None
    compared = f"{key.text} {'<' if key.down is not back else '>'} %s::{key.type}"
    return compared if back or key.text == "r.id" else f"({compared} OR {key.text} IS NULL)"
