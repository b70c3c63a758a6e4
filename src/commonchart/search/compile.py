"""A query as one SQL statement. Values are always arguments; the visibility predicate is on every alias."""

from __future__ import annotations

from datetime import timedelta
from decimal import Decimal
from functools import cache
from typing import Any

from msgspec import Struct

from commonchart.fhir import dates
from commonchart.fhir.definitions import r4
from commonchart.fhir.outcome import Malformed
from commonchart.record.keys import patient_key, token
from commonchart.search.fold import fold
from commonchart.search.parameters import UNIONS, parameters, patient_parameter
from commonchart.search.query import Query, Sort, Term, Value, is_main_date
from commonchart.search.visible import Visible

COLUMNS = "rtype, id, vid, recorded, org, actor, source, deleted, body, patient, status, code, category, date_lo, date_hi"
UCUM = "http://unitsofmeasure.org"


class Statement(Struct, frozen=True):
    """SQL with its arguments in order."""

    sql: str
    args: tuple[Any, ...]


class Sql(Struct):
    """SQL text under construction, with the arguments it has so far."""

    text: str
    args: list[Any]


def compile(
    query: Query, visible: Visible, *, after: list[Any] | None = None, limit: int | None = None
) -> Statement:
    """The rows of a page: `limit` (default: one more than asked) after the sort values `after`. `visible` is required."""
    where = conditions(query, visible)
    keys = [_sort_expression(query.rtype, sort) for sort in query.sort] or ["r.recorded"]
    down = [sort.descending for sort in query.sort] or [True]
    if after is not None:
        follow = _following([*keys, "r.id"], [*down, False], after)
        where = Sql(f"{where.text} AND {follow.text}", where.args + follow.args)
    order = ", ".join(
        f"{key} {'DESC' if desc else 'ASC'} NULLS LAST" for key, desc in zip(keys, down, strict=True)
    )
    columns = ", ".join(f"r.{name}" for name in COLUMNS.split(", "))
    sort_columns = ", ".join(f"{key} AS s{n}" for n, key in enumerate(keys))
    sql = (
        f"SELECT {columns}, {sort_columns} FROM resource r WHERE {where.text} ORDER BY {order}, r.id LIMIT %s"
    )
    return Statement(sql, (*where.args, query.count + 1 if limit is None else limit))


def counting(query: Query, visible: Visible) -> Statement:
    """How many match."""
    where = conditions(query, visible)
    return Statement(f"SELECT count(*) FROM resource r WHERE {where.text}", tuple(where.args))


def identifying(query: Query, visible: Visible, limit: int) -> Statement:
    """Type and id of the first matches, for chains and conditional references."""
    where = conditions(query, visible)
    return Statement(
        f"SELECT r.rtype, r.id FROM resource r WHERE {where.text} LIMIT %s", (*where.args, limit)
    )


def conditions(query: Query, visible: Visible) -> Sql:
    """The WHERE clause of a query on the alias r."""
    predicate, args = visible.predicate("r")
    parts = [predicate, "r.rtype = %s", "NOT r.deleted"]
    args = [*args, query.rtype]
    scoped = any(_patients(query.rtype, term) for term in query.terms)
    for term in query.terms:
        made = _term(query.rtype, term, scoped)
        parts.append(made.text)
        args += made.args
    return Sql(" AND ".join(parts), args)


# ---- terms -----------------------------------------------------------------------------------------------------


def _term(rtype: str, term: Term, scoped: bool) -> Sql:
    if term.modifier == "missing":
        return _missing(rtype, term)
    patients = _patients(rtype, term)
    if patients:
        keys = [patient_key(patient) for patient in patients]
        if len(keys) == 1:
            return Sql("r.pk = %s AND r.patient = %s", [keys[0], patients[0]])
        return Sql("r.pk = ANY(%s) AND r.patient = ANY(%s)", [keys, patients])
    if term.code in ("_id", "_lastUpdated"):
        return _row_column(term)
    if term.code in UNIONS and term.kind in ("token", "composite", "quantity"):
        return _union(rtype, term, scoped)
    if term.kind in ("token", "reference"):
        return _tokens(term, scoped)
    return _any(rtype, term, scoped)


def _any(rtype: str, term: Term, scoped: bool) -> Sql:
    """The alternatives of a term, joined by OR."""
    made = [_VALUES[term.kind](rtype, term, value, scoped) for value in term.values]
    return Sql("(" + " OR ".join(one.text for one in made) + ")", [arg for one in made for arg in one.args])


def _union(rtype: str, term: Term, scoped: bool) -> Sql:
    known = parameters(rtype)
    codes = [code for code in UNIONS[term.code] if code in known]
    if term.kind == "token":
        hashes = [
            h for code in codes for value in term.values for h in _hashes(code, "token", value.text, "")
        ]
        return _overlap(hashes, scoped, term.modifier == "not")
    made = [_any(rtype, Term(code, term.kind, term.values, term.modifier), scoped) for code in codes]
    return Sql("(" + " OR ".join(one.text for one in made) + ")", [arg for one in made for arg in one.args])


def _missing(rtype: str, term: Term) -> Sql:
    codes = [code for code in UNIONS.get(term.code, (term.code,)) if code in parameters(rtype)]
    if term.code in ("_id", "_lastUpdated"):
        return Sql("false" if term.values[0].text == "true" else "true", [])
    whole = parameters(rtype)[term.code].whole
    if whole:
        raise Malformed(f"{term.code}:missing is not offered", at=term.code, code="not-supported")
    absent = term.values[0].text == "true"
    return Sql(f"{'NOT ' if absent else ''}(r.tokens && %s)", [[token(code, "") for code in codes]])


def _patients(rtype: str, term: Term) -> list[str]:
    """The patient ids of a term that asks for just the row's own patient; empty when tokens must decide."""
    if (
        term.kind != "reference"
        or term.modifier not in ("", "Patient")
        or not _patient_column(rtype, term.code)
    ):
        return []
    found = []
    for value in term.values:
        text = value.text
        if "://" in text or ("/" in text and not text.startswith("Patient/")):
            return []
        if "/" not in text and term.code != "patient" and term.modifier != "Patient":
            return []
        found.append(text.removeprefix("Patient/"))
    return found


@cache
def _patient_column(rtype: str, code: str) -> bool:
    """Whether the row's `patient` column says all about this parameter: its element occurs at most once."""
    first = patient_parameter(rtype)
    if code not in ("patient", first) or first not in ("patient", "subject", "beneficiary"):
        return False
    element = r4().elements(rtype).get(first)
    return element is not None and element.max == 1


def _row_column(term: Term) -> Sql:
    if term.code == "_id":
        return Sql("r.id = ANY(%s)", [[value.text for value in term.values]])
    made = [_instant(value) for value in term.values]
    return Sql("(" + " OR ".join(one.text for one in made) + ")", [arg for one in made for arg in one.args])


def _instant(value: Value) -> Sql:
    lo, hi = value.lo, value.hi
    texts = {
        "eq": ("r.recorded >= %s AND r.recorded < %s", [lo, hi]),
        "ap": ("r.recorded >= %s AND r.recorded < %s", [lo, hi]),
        "ne": ("NOT (r.recorded >= %s AND r.recorded < %s)", [lo, hi]),
        "gt": ("r.recorded >= %s", [hi]),
        "sa": ("r.recorded >= %s", [hi]),
        "lt": ("r.recorded < %s", [lo]),
        "eb": ("r.recorded < %s", [lo]),
        "ge": ("r.recorded >= %s", [lo]),
        "le": ("r.recorded < %s", [hi]),
    }
    text, args = texts[value.prefix]
    return Sql(f"({text})", args)


def _hashes(code: str, kind: str, text: str, modifier: str) -> list[int]:
    if kind == "token":
        return [token(code, spelled) for spelled in spelled_tokens(text)]
    if modifier == "identifier":
        return [token(f"{code}:identifier", spelled) for spelled in spelled_tokens(text)]
    bare = text.partition("/_history/")[0]
    if modifier and "/" not in bare:
        bare = f"{modifier}/{bare}"
    return [token(code, bare)]


def spelled_tokens(text: str) -> list[str]:
    """The stored spellings that a token value of a query matches (see `index.tokens_of`)."""
    system, bar, code = _halves(text)
    if not bar:
        return [code]
    if not code:
        return [f"{system}|"]
    return [f"{system}|{code}", f"*|{code}"]


def _halves(text: str) -> tuple[str, str, str]:
    escaped = False
    for at, char in enumerate(text):
        if char == "|" and not escaped:
            return _plain(text[:at]), "|", _plain(text[at + 1 :])
        escaped = char == "\\" and not escaped
    return "", "", _plain(text)


def _plain(text: str) -> str:
    for mark in ",|$\\":
        text = text.replace(f"\\{mark}", mark)
    return text


def _tokens(term: Term, scoped: bool) -> Sql:
    hashes = [h for value in term.values for h in _hashes(term.code, term.kind, value.text, term.modifier)]
    return _overlap(hashes, scoped, term.modifier == "not")


def _overlap(hashes: list[int], scoped: bool, negated: bool) -> Sql:
    """Token match. In one patient's rows the GIN index is hidden from the planner, which misjudges array columns."""
    column = "(r.tokens || '{}'::bigint[])" if scoped else "r.tokens"
    return Sql(f"{'NOT ' if negated else ''}({column} && %s::bigint[])", [hashes])


def _string(rtype: str, term: Term, value: Value, scoped: bool) -> Sql:
    if term.modifier == "exact":
        return _exists("string_row", "x.param = %s AND x.exact = %s", [term.code, value.text])
    like = fold(value.text).replace("\\", "\\\\").replace("%", "\\%").replace("_", "\\_")
    pattern = f"%{like}%" if term.modifier == "contains" else f"{like}%"
    return _exists("string_row", "x.param = %s AND x.folded LIKE %s", [term.code, pattern])


def _uri(rtype: str, term: Term, value: Value, scoped: bool) -> Sql:
    if term.modifier == "below":
        like = value.text.replace("\\", "\\\\").replace("%", "\\%").replace("_", "\\_").rstrip("/")
        return _exists(
            "uri_row",
            "x.param = %s AND (x.value = %s OR x.value LIKE %s)",
            [term.code, value.text, f"{like}/%"],
        )
    return _exists("uri_row", "x.param = %s AND x.value = %s", [term.code, value.text])


def _exists(table: str, condition: str, args: list[Any]) -> Sql:
    same = "x.pk = r.pk AND x.tenant = r.tenant AND x.rtype = r.rtype AND x.id = r.id"
    return Sql(f"EXISTS (SELECT 1 FROM {table} x WHERE {same} AND {condition})", args)


def _date(rtype: str, term: Term, value: Value, scoped: bool) -> Sql:
    if is_main_date(rtype, term.code):
        return _span("r.date_lo", "r.date_hi", value)
    inner = _span("x.lo", "x.hi", value)
    return _exists("date_row", f"x.param = %s AND {inner.text}", [term.code, *inner.args])


def _span(lo: str, hi: str, value: Value) -> Sql:
    """A stored interval against the value's, by prefix (http://hl7.org/fhir/R4/search.html#prefix)."""
    start, end = value.lo, value.hi
    if value.prefix == "ap":
        start, end = _widened(value)
    texts: dict[str, tuple[str, list[Any]]] = {
        "eq": (f"{lo} >= %s AND {hi} <= %s", [start, end]),
        "ne": (f"NOT ({lo} >= %s AND {hi} <= %s)", [start, end]),
        "gt": (f"{hi} > %s", [end]),
        "lt": (f"{lo} < %s", [start]),
        "ge": (f"({lo} >= %s OR {hi} > %s)", [start, end]),
        "le": (f"({lo} < %s OR {hi} <= %s)", [start, end]),
        "sa": (f"{lo} >= %s", [end]),
        "eb": (f"{hi} <= %s", [start]),
        "ap": (f"{lo} < %s AND {hi} > %s", [end, start]),
    }
    text, args = texts[value.prefix]
    return Sql(f"({text})", args)


def _widened(value: Value) -> tuple[Any, Any]:
    assert value.lo is not None
    assert value.hi is not None
    margin = max((value.hi - value.lo) / 10, timedelta(days=1))
    lo = value.lo - margin if value.lo - dates.MIN > margin else dates.MIN
    return lo, value.hi + margin if dates.MAX - value.hi > margin else dates.MAX


def _amount(rtype: str, term: Term, value: Value, scoped: bool) -> Sql:
    inner = _measure(value)
    return _exists("quantity_row", f"x.param = %s AND {inner.text}", [term.code, *inner.args])


def _measure(value: Value) -> Sql:
    """A stored number, or range with an open end, against the value; without a prefix by its implied precision."""
    number, half = value.number, value.half
    assert number is not None
    assert half is not None
    around = abs(number) / 10 if value.prefix == "ap" else half
    texts: dict[str, tuple[str, list[Decimal]]] = {
        "eq": ("x.lo >= %s AND x.hi < %s", [number - around, number + around]),
        "ap": ("x.lo >= %s AND x.hi <= %s", [number - around, number + around]),
        "ne": ("NOT coalesce(x.lo >= %s AND x.hi < %s, false)", [number - around, number + around]),
        "gt": ("(x.hi > %s OR x.hi IS NULL)", [number]),
        "lt": ("(x.lo < %s OR x.lo IS NULL)", [number]),
        "ge": ("(x.hi >= %s OR x.hi IS NULL)", [number]),
        "le": ("(x.lo <= %s OR x.lo IS NULL)", [number]),
        "sa": ("x.lo > %s", [number]),
        "eb": ("x.hi < %s", [number]),
    }
    text, args = texts[value.prefix]
    units = _unit_hashes(value.unit)
    if not units:
        return Sql(f"({text})", list(args))
    return Sql(f"({text} AND x.unit = ANY(%s))", [*args, units])


def _unit_hashes(unit: str | None) -> list[int]:
    if unit is None:
        return []
    spelled = [unit, f"{UCUM}{unit}"] if unit.startswith("|") else [unit]
    return [token("unit", text) for text in spelled]


def _composite(rtype: str, term: Term, value: Value, scoped: bool) -> Sql:
    parameter = parameters(rtype)[term.code]
    if parameter.whole:
        made = [
            _term(rtype, Term(part.code, part.kind, (piece,)), scoped)
            for part, piece in zip(parameter.parts, value.parts, strict=True)
        ]
        return Sql("(" + " AND ".join(m.text for m in made) + ")", [arg for m in made for arg in m.args])
    head, tail = value.parts[0].text, value.parts[1]
    kind = parameter.parts[1].kind
    heads = spelled_tokens(head) if parameter.parts[0].kind == "token" else [head]
    if kind in ("token", "reference"):
        tails = spelled_tokens(tail.text) if kind == "token" else [tail.text]
        return _overlap([token(term.code, f"{h}${t}") for h in heads for t in tails], scoped, False)
    hashes = [token(term.code, h) for h in heads]
    inner = _composite_value(kind, tail)
    condition = f"x.param = %s AND x.token = ANY(%s) AND {inner.text}"
    return _exists("composite_row", condition, [term.code, hashes, *inner.args])


def _composite_value(kind: str, value: Value) -> Sql:
    if kind == "date":
        return _span("x.date_lo", "x.date_hi", value)
    if kind == "string":
        like = fold(value.text).replace("\\", "\\\\").replace("%", "\\%").replace("_", "\\_")
        return Sql("x.folded LIKE %s", [f"{like}%"])
    return _measure(value)


_VALUES = {
    "string": _string,
    "uri": _uri,
    "date": _date,
    "number": _amount,
    "quantity": _amount,
    "composite": _composite,
}


# ---- order and pages -------------------------------------------------------------------------------------------

_SORT_TABLE = {
    "string": ("string_row", "min(x.folded)", "max(x.folded)"),
    "uri": ("uri_row", "min(x.value)", "max(x.value)"),
    "date": ("date_row", "min(x.lo)", "max(x.lo)"),
    "number": ("quantity_row", "min(coalesce(x.lo, x.hi))", "max(coalesce(x.hi, x.lo))"),
    "quantity": ("quantity_row", "min(coalesce(x.lo, x.hi))", "max(coalesce(x.hi, x.lo))"),
}


def _sort_expression(rtype: str, sort: Sort) -> str:
    if sort.code == "_id":
        return "r.id"
    if sort.code == "_lastUpdated":
        return "r.recorded"
    if is_main_date(rtype, sort.code):
        return "r.date_lo"
    table, low, high = _SORT_TABLE[sort.kind]
    same = "x.pk = r.pk AND x.tenant = r.tenant AND x.rtype = r.rtype AND x.id = r.id"
    codes = ", ".join(
        f"'{code}'" for code in UNIONS.get(sort.code, (sort.code,))
    )  # from the definitions, never input
    return f"(SELECT {high if sort.descending else low} FROM {table} x WHERE {same} AND x.param IN ({codes}))"


def _following(keys: list[str], down: list[bool], after: list[Any]) -> Sql:
    """Rows after the one with these sort values, missing values last."""
    alternatives: list[str] = []
    args: list[Any] = []
    ties: list[str] = []
    tied: list[Any] = []
    for key, desc, value in zip(keys, down, after, strict=True):
        if value is not None:
            beyond = f"({key} {'<' if desc else '>'} %s OR {key} IS NULL)"
            alternatives.append(" AND ".join([*ties, beyond]))
            args += [*tied, value]
            ties.append(f"{key} = %s")
            tied.append(value)
        else:
            ties.append(f"{key} IS NULL")
    return Sql("((" + ") OR (".join(alternatives) + "))", args)
