"""The concepts of loaded code systems: the sets, numbers and rows that a plan asks for, a few statements for all of them."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import msgspec
from msgspec import Struct
from psycopg import AsyncConnection

from commonchart.terminology import bits
from commonchart.terminology.plan import Chosen
from commonchart.terminology.regex import compiled
from commonchart.terminology.systems import PROPERTY, WORD, Concept, Designation, Part

Conn = AsyncConnection[Any]
Asked = tuple[Chosen, Part]
LAST = chr(0x10FFFF)


class Extra(Struct, frozen=True):
    """What only a look-up of one code reads: kept as JSON beside the concept."""

    properties: tuple[tuple[str, str], ...] = ()
    designations: tuple[Designation, ...] = ()


class Row(Struct, frozen=True):
    """A concept with the codes around it."""

    concept: Concept
    children: tuple[str, ...] = ()


async def numbers(conn: Conn, asked: Iterable[tuple[int, str]]) -> dict[tuple[int, str], int]:
    """(system id, code) -> number, for those that there are."""
    pairs = list(dict.fromkeys(asked))
    if not pairs:
        return {}
    rows = await (
        await conn.execute(
            "SELECT c.system, c.code, c.n FROM unnest(%s::int[], %s::text[]) q(system, code) "
            'JOIN concept c ON c.system = q.system AND c.code = q.code COLLATE "C"',
            [[system for system, _ in pairs], [code for _, code in pairs]],
        )
    ).fetchall()
    return {(system, code): n for system, code, n in rows}


async def sets(conn: Conn, asked: Sequence[Asked]) -> dict[Asked, int | None]:
    """The answers of loaded systems to elementary questions other than `all` and `codes`; None for an unknown code."""
    found: dict[Asked, int | None] = {}
    for fetch, kinds in (
        (_kept, ("set",)),
        (_beginning, ("begins",)),
        (_related, ("below", "children", "parents")),
        (_above, ("above",)),
        (_matching, ("matching",)),
    ):
        wanted = [one for one in asked if one[1].kind in kinds]
        if wanted:
            found |= await fetch(conn, wanted)
    return found


async def _rows(conn: Conn, sql: str, args: list[Any]) -> list[tuple[Any, ...]]:
    cursor = conn.cursor(binary=True)
    return await (await cursor.execute(sql, args)).fetchall()


async def _kept(conn: Conn, asked: Sequence[Asked]) -> Mapping[Asked, int | None]:
    rows = await _rows(
        conn,
        "SELECT s.system, s.kind, s.key, s.held FROM unnest(%s::int[], %s::text[], %s::text[]) q(system, kind, key) "
        'JOIN concept_set s ON s.system = q.system AND s.kind = q.kind COLLATE "C" AND s.key = q.key COLLATE "C"',
        [[c.id for c, _ in asked], [p.values[0] for _, p in asked], [p.values[1] for _, p in asked]],
    )
    held = {(system, kind, key): data for system, kind, key, data in rows}
    return {(c, p): bits.union([held[key]] if (key := (c.id, *p.values)) in held else []) for c, p in asked}


async def _beginning(conn: Conn, asked: Sequence[Asked]) -> Mapping[Asked, int | None]:
    found: dict[Asked, int | None] = {}
    for chosen, part in asked:
        start = part.values[0]
        rows = await _rows(
            conn,
            "SELECT held FROM concept_set WHERE system = %s AND kind = %s AND key >= %s AND key < %s",
            [chosen.id, WORD, start, start + LAST],
        )
        found[chosen, part] = bits.union([held for (held,) in rows])
    return found


async def _related(conn: Conn, asked: Sequence[Asked]) -> Mapping[Asked, int | None]:
    rows = await _rows(
        conn,
        "SELECT c.system, c.code, c.n, c.below, c.parents, c.children FROM unnest(%s::int[], %s::text[]) q(system, code) "
        'JOIN concept c ON c.system = q.system AND c.code = q.code COLLATE "C"',
        [[c.id for c, _ in asked], [p.values[0] for _, p in asked]],
    )
    held = {(row[0], row[1]): row[2:] for row in rows}
    found: dict[Asked, int | None] = {}
    for chosen, part in asked:
        row = held.get((int(chosen.id), part.values[0]))
        found[chosen, part] = None if row is None else _relation(part.kind, *row)
    return found


def _relation(kind: str, n: int, below: bytes, parents: list[int], children: list[int]) -> int:
    if kind == "below":
        return bits.unpack(below) if below else 1 << n
    return bits.of(parents if kind == "parents" else children)


async def _above(conn: Conn, asked: Sequence[Asked]) -> Mapping[Asked, int | None]:
    found: dict[Asked, int | None] = {}
    for chosen, part in asked:
        rows = await _rows(
            conn,
            "WITH RECURSIVE up AS (SELECT n, parents FROM concept WHERE system = %s AND code = %s UNION "
            "SELECT c.n, c.parents FROM up JOIN concept c ON c.system = %s AND c.n = ANY(up.parents)) SELECT n FROM up",
            [chosen.id, part.values[0], chosen.id],
        )
        found[chosen, part] = bits.of(n for (n,) in rows) if rows else None
    return found


async def _matching(conn: Conn, asked: Sequence[Asked]) -> Mapping[Asked, int | None]:
    found: dict[Asked, int | None] = {}
    for chosen, part in asked:
        field, pattern = part.values
        compiled(pattern)
        whole = f"^(?:{pattern.removeprefix('^').removesuffix('$')})$"
        if field in ("code", "display"):
            rows = await _rows(
                conn,
                f'SELECT n FROM concept WHERE system = %s AND {field} COLLATE "C" ~ %s',
                [chosen.id, whole],
            )
            found[chosen, part] = bits.of(n for (n,) in rows)
            continue
        rows = await _rows(
            conn,
            "SELECT held FROM concept_set WHERE system = %s AND kind = %s AND key >= %s AND key < %s "
            "AND substr(key, %s) ~ %s",
            [chosen.id, PROPERTY, f"{field}=", f"{field}={LAST}", len(field) + 2, whole],
        )
        found[chosen, part] = bits.union([held for (held,) in rows])
    return found


async def shown(conn: Conn, asked: Sequence[tuple[int, int]]) -> dict[tuple[int, int], Concept]:
    """(system id, number) -> concept without parents and properties."""
    if not asked:
        return {}
    rows = await _rows(
        conn,
        "SELECT c.system, c.n, c.code, c.display, c.inactive, c.extra FROM unnest(%s::int[], %s::int[]) q(system, n) "
        "JOIN concept c ON c.system = q.system AND c.n = q.n",
        [[system for system, _ in asked], [n for _, n in asked]],
    )
    return {
        (system, n): Concept(code, display, (), *_extra(extra), inactive)
        for system, n, code, display, inactive, extra in rows
    }


async def one(conn: Conn, system: int, code: str) -> Row | None:
    """One concept, with its properties, parents and children."""
    rows = await _rows(
        conn,
        "SELECT c.display, c.inactive, c.extra, "
        "ARRAY(SELECT p.code FROM concept p WHERE p.system = c.system AND p.n = ANY(c.parents) ORDER BY p.n), "
        "ARRAY(SELECT d.code FROM concept d WHERE d.system = c.system AND d.n = ANY(c.children) ORDER BY d.n LIMIT 1000) "
        "FROM concept c WHERE c.system = %s AND c.code = %s",
        [system, code],
    )
    if not rows:
        return None
    display, inactive, extra, parents, children = rows[0]
    return Row(Concept(code, display, tuple(parents), *_extra(extra), inactive), tuple(children))


def _extra(text: str | None) -> tuple[tuple[tuple[str, str], ...], tuple[Designation, ...]]:
    if text is None:
        return (), ()
    found = msgspec.json.decode(text, type=Extra)
    return found.properties, found.designations
