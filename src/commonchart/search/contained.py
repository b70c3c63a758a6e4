"""Search in contained resources: `_contained` and `_containedType`. http://hl7.org/fhir/R4/search.html#contained.

A contained resource is seen by whoever sees its container, is as new as that, and is indexed in a row of the container
(`contained_row`) with the same values that a resource of its type leaves. The alias r is that row here, so the terms of a
search read as they do elsewhere; only where they look for values is exchanged.
"""

from __future__ import annotations

import re
from typing import Any

from msgspec import Struct

from commonchart.record.schema import SEARCH_ROWS
from commonchart.search.compile import ALIAS, COLUMNS, Place, Statement, conditions
from commonchart.search.order import Key, beyond, leading, order_by
from commonchart.search.query import Query
from commonchart.search.terms import HELD, HELD_ONE, SAME, Sql, value_sql
from commonchart.search.visible import Visible

_ROWS = re.compile(rf"FROM (\w+) x WHERE {re.escape(SAME)}")
_TYPES = {"unit": "bigint", "token": "bigint", "date_lo": "timestamptz", "date_hi": "timestamptz"}
_ENDS = {"date_row": "timestamptz", "quantity_row": "numeric", "composite_row": "numeric"}
_HOME = "e.pk = r.pk AND e.tenant = r.tenant"


class _Branch(Struct):
    """One place where matches are: FROM, the condition, the columns of the resource that is kept, and the keys."""

    source: Sql
    where: Sql
    prefix: str
    keys: list[Key]


def compile(query: Query, visible: Visible, *, at: Place | None = None) -> Statement:
    """The rows of a page, as `compile.compile` gives them; a match's row is its container's.

    The last sort value is the match's place: `Type/id` of a resource, `Type/id#n` of the nth that one contains.
    """
    branches = _branches(query, visible)
    made = [_page(branch, query.count + 1, at) for branch in branches]
    names = [Key(f"u.k{n}", key.type, key.down) for n, key in enumerate(branches[0].keys)]
    shown = ", ".join(f"u.{name}" for name in COLUMNS.split(", "))
    sorted_by = ", ".join(f"{key.text}::text AS s{n}" for n, key in enumerate(names))
    sql = (
        f"SELECT {shown}, {sorted_by} FROM ({' UNION ALL '.join(f'({one.text})' for one in made)}) u "
        f"ORDER BY {order_by(names, at is not None and at.back)} LIMIT %s"
    )
    return Statement(sql, (*(arg for one in made for arg in one.args), query.count + 1))


def counting(query: Query, visible: Visible) -> Statement:
    """How many match: containers, or contained resources, as they are returned."""
    made = [
        Sql(f"SELECT 1 FROM {one.source.text} WHERE {one.where.text}", one.source.args + one.where.args)
        for one in _branches(query, visible)
    ]
    text = " UNION ALL ".join(f"({one.text})" for one in made)
    return Statement(f"SELECT count(*) FROM ({text}) u", tuple(arg for one in made for arg in one.args))


def place_of(spot: str) -> int | None:
    """The place in its container's list of a match, from its last sort value; None of a resource that is its own."""
    _, mark, n = spot.partition("#")
    return int(n) if mark else None


def _page(branch: _Branch, limit: int, at: Place | None) -> Sql:
    where, keys = branch.where, branch.keys
    back = at is not None and at.back
    if at is not None and at.values:
        follow = beyond(keys, at.values, back)
        where = Sql(f"{where.text} AND {follow.text}", where.args + follow.args)
    shown = ", ".join(f"r.{branch.prefix}{name} AS {name}" for name in COLUMNS.split(", "))
    keyed = ", ".join(f"{key.text} AS k{n}" for n, key in enumerate(keys))
    return Sql(
        f"SELECT {shown}, {keyed} FROM {branch.source.text} WHERE {where.text} ORDER BY {order_by(keys, back)} LIMIT %s",
        [*branch.source.args, *where.args, limit],
    )


def _branches(query: Query, visible: Visible) -> list[_Branch]:
    top = conditions(query, visible)
    inside = _branch(query, visible)
    if query.contained == "true":
        return [inside]
    spot = Key("(r.rtype || '/' || r.id)", "text", False)
    if not query.apart:
        _unless(inside.where, Sql("resource e", []), "e.rtype = r.home_rtype AND e.id = r.home_id", top)
    return [_Branch(Sql("resource r", []), top, "", [*leading(query), spot]), inside]


def _branch(query: Query, visible: Visible) -> _Branch:
    """Contained resources that match; if their containers are wanted, the first of each."""
    view = _view(query, visible)
    made = [_term(query, n) for n in range(len(query.terms))]
    matching = Sql(
        " AND ".join(one.text for one in made) or "true", [arg for one in made for arg in one.args]
    )
    where = Sql(matching.text, list(matching.args))
    if not query.apart:
        first = "e.home_rtype = r.home_rtype AND e.home_id = r.home_id AND e.n < r.n"
        _unless(where, Sql(f"{view.text} e", view.args), first, matching)
    keys = [Key(_inside(key.text), key.type, key.down) for key in leading(query)]
    return _Branch(Sql(f"{view.text} r", view.args), where, "home_", [*keys, Key("r.spot", "text", False)])


def _unless(where: Sql, source: Sql, same: str, matching: Sql) -> None:
    """Leave out what has another match in its container, which stands for both."""
    other = ALIAS.sub("e.", matching.text)
    where.text += f" AND NOT EXISTS (SELECT 1 FROM {source.text} WHERE {_HOME} AND {same} AND {other})"
    where.args = [*where.args, *source.args, *matching.args]


def _view(query: Query, visible: Visible) -> Sql:
    """Every contained resource of the types in what may be seen, with the columns that terms and keys read."""
    predicate, args = visible.predicate("h")
    home = ", ".join(f"h.{name} AS home_{name}" for name in COLUMNS.split(", "))
    text = (
        f"(SELECT {home}, h.pk, h.tenant, h.recorded, c.ctype AS rtype, c.local AS id, c.n, c.tokens, c.date_lo, c.date_hi, "
        "c.kept::jsonb AS kept, (h.body::jsonb #> ARRAY['contained', c.n::text])::text AS body, "
        "h.rtype || '/' || h.id || '#' || c.n AS spot "
        "FROM contained_row c JOIN resource h ON h.pk = c.pk AND h.tenant = c.tenant AND h.rtype = c.rtype AND h.id = c.id "
        f"WHERE NOT h.deleted AND c.tenant = %s AND c.ctype = ANY(%s) AND {predicate})"
    )
    return Sql(text, [visible.tenant, list(query.every_type), *args])


def _term(query: Query, n: int) -> Sql:
    """One term, on each of the types."""
    made = [(rtype, value_sql(rtype, query.terms[n], False)) for rtype in query.every_type]
    text = " OR ".join(f"(r.rtype = %s AND {one.text})" for _, one in made)
    args: list[Any] = [arg for rtype, one in made for arg in (rtype, *one.args)]
    return Sql(f"({_inside(text)})", args)


def _inside(text: str) -> str:
    """Conditions on a row of its own as conditions on a contained one: values come from `kept`, ids from the container."""
    text = _ROWS.sub(
        lambda m: f"FROM jsonb_to_recordset(r.kept -> '{m[1]}') AS x({_columns(m[1])}) WHERE true",
        text,
    )
    return text.replace(HELD, "r.id = ANY(%s)").replace(HELD_ONE, "r.id = %s")


def _columns(table: str) -> str:
    types = {**_TYPES, "lo": _ENDS.get(table, "text"), "hi": _ENDS.get(table, "text")}
    return ", ".join(f"{name} {types.get(name, 'text')}" for name in SEARCH_ROWS[table])
