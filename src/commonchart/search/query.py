"""What a client asks for: parameters parsed and checked. http://hl7.org/fhir/R4/search.html."""

from __future__ import annotations

import re
from collections.abc import Sequence
from datetime import datetime
from decimal import Decimal, InvalidOperation
from functools import cache
from typing import Any

from msgspec import Struct

from commonchart.fhir import dates
from commonchart.fhir.definitions import r4
from commonchart.fhir.outcome import Invalid, Malformed, TooCostly
from commonchart.search.parameters import UNIONS, UNSUPPORTED, Kind, Parameter, main_date, parameters

DEFAULT_COUNT = 50
MAX_COUNT = 1000
MAX_VALUES = 500
MAX_TERMS = 50
MAX_LENGTH = 2000
PREFIXES = frozenset({"eq", "ne", "gt", "lt", "ge", "le", "sa", "eb", "ap"})
PASSED = frozenset({"_format", "_pretty"})
RESULT = frozenset(
    {"_sort", "_count", "_include", "_revinclude", "_total", "_summary", "_elements", "_cursor", "_contained"}
)
_MODIFIERS: dict[str, frozenset[str]] = {
    "token": frozenset({"not", "missing"}),
    "reference": frozenset({"identifier", "missing"}),
    "string": frozenset({"exact", "contains", "missing"}),
    "uri": frozenset({"below", "missing"}),
}
_LATER = frozenset({"text", "above", "below", "in", "not-in", "of-type", "iterate", "recurse"})


class Value(Struct, frozen=True):
    """One alternative: its text, and what it means for dates (`lo`, `hi`) and amounts (`number`, `half`, `unit`)."""

    text: str
    prefix: str = "eq"
    lo: datetime | None = None
    hi: datetime | None = None
    number: Decimal | None = None
    half: Decimal | None = None
    unit: str | None = None
    parts: tuple[Value, ...] = ()


class Term(Struct, frozen=True):
    """One parameter: any of `values` must match. A chained one carries the query on its target instead."""

    code: str
    kind: Kind
    values: tuple[Value, ...] = ()
    modifier: str = ""
    chain: tuple[Query, ...] = ()


class Sort(Struct, frozen=True):
    """One key to sort by."""

    code: str
    kind: Kind
    descending: bool


class Include(Struct, frozen=True):
    """`source:code[:target]`: follow this parameter forwards (or backwards for _revinclude)."""

    source: str
    code: str
    target: str = ""


class Query(Struct, frozen=True):
    """A whole search on one type. `given` is what was understood, in order, for links; `ignored` what was not."""

    rtype: str
    terms: tuple[Term, ...] = ()
    sort: tuple[Sort, ...] = ()
    count: int = DEFAULT_COUNT
    includes: tuple[Include, ...] = ()
    revincludes: tuple[Include, ...] = ()
    total: str = "none"
    summary: str = ""
    elements: tuple[str, ...] = ()
    cursor: str = ""
    given: tuple[tuple[str, str], ...] = ()
    ignored: tuple[str, ...] = ()


def parse(rtype: str, params: Sequence[tuple[str, str]], *, strict: bool = False) -> Query:
    """The query. Raises Malformed naming the parameter and rule, TooCostly; unknown ones are ignored or refused."""
    if rtype not in r4().resource_types:
        raise Malformed("The resource type is not one of FHIR R4", at="type")
    if len(params) > MAX_TERMS:
        raise TooCostly(f"A search has at most {MAX_TERMS} parameters")
    terms: list[Term] = []
    settings: dict[str, list[str]] = {}
    given, ignored = [], []
    for name, value in params:
        if value == "" or name in PASSED:
            continue
        if name in RESULT or name.startswith(("_include:", "_revinclude:")):
            settings.setdefault(name, []).append(value)
        elif not _known(rtype, name):
            if strict:
                raise Malformed(
                    f"{rtype} has no search parameter {name.partition(':')[0]}", at=name, code="not-supported"
                )
            ignored.append(name)
            continue
        else:
            terms.append(_term(rtype, name, value))
        if name != "_cursor":
            given.append((name, value))
    return _with_settings(Query(rtype, tuple(terms), given=tuple(given), ignored=tuple(ignored)), settings)


@cache
def _searchable(rtype: str) -> dict[str, Parameter]:
    return parameters(rtype)


def _known(rtype: str, name: str) -> bool:
    code = re.split(r"[:.]", name, maxsplit=1)[0]
    if code in UNSUPPORTED or code == "_has":
        raise Malformed(
            f"{UNSUPPORTED.get(code, 'reverse chaining')} is not offered yet", at=name, code="not-supported"
        )
    return code in _searchable(rtype)


def _term(rtype: str, name: str, text: str) -> Term:
    if len(text) > MAX_LENGTH * 10:
        raise TooCostly(f"The value of {name} is too long", at=name)
    path, _, rest = name.partition(".")
    code, _, modifier = path.partition(":")
    parameter = _searchable(rtype)[code]
    if rest:
        return _chained(parameter, modifier, rest, text, name)
    if modifier == "missing":
        if text not in ("true", "false"):
            raise Malformed(f"{name} is true or false", at=name)
        return Term(code, parameter.kind, (Value(text),), "missing")
    modifier = _modifier(parameter, modifier, name)
    values = _split(text, ",")
    if len(values) > MAX_VALUES:
        raise TooCostly(f"{name} has at most {MAX_VALUES} alternatives", at=name)
    return Term(code, parameter.kind, tuple(_value(parameter, value, name) for value in values), modifier)


def _modifier(parameter: Parameter, modifier: str, name: str) -> str:
    if not modifier or modifier in _MODIFIERS.get(parameter.kind, ()):
        return modifier
    if parameter.kind == "reference" and modifier in r4().resource_types:
        if parameter.target and modifier not in parameter.target:
            raise Malformed(f"{parameter.code} does not refer to {modifier}", at=name)
        return modifier
    if modifier in _LATER:
        raise Malformed(
            f"The modifier :{modifier} of {parameter.code} is not offered yet", at=name, code="not-supported"
        )
    raise Malformed(f"The modifier :{modifier} is not one of {parameter.code}", at=name)


def _chained(parameter: Parameter, modifier: str, rest: str, text: str, name: str) -> Term:
    if parameter.kind != "reference":
        raise Malformed(f"{parameter.code} is not a reference: nothing can follow it", at=name)
    if "." in rest:
        raise Malformed("Chains of more than one step are not offered yet", at=name, code="not-supported")
    code = rest.partition(":")[0]
    targets = [modifier] if modifier else [t for t in parameter.target if code in _searchable(t)]
    if parameter.code == "patient" and not modifier:
        targets = ["Patient"]
    if modifier and (modifier not in r4().resource_types or code not in _searchable(modifier)):
        raise Malformed(f"{modifier} has no search parameter {code}", at=name)
    if not targets:
        raise Malformed(f"No target of {parameter.code} has a search parameter {code}", at=name)
    queries = tuple(Query(target, (_term(target, rest, text),)) for target in targets)
    return Term(parameter.code, "reference", chain=queries)


def _split(text: str, mark: str) -> list[str]:
    """Split at unescaped marks; escapes stay for the next level (http://hl7.org/fhir/R4/search.html#escaping)."""
    out, now, escaped = [], "", False
    for char in text:
        if char == mark and not escaped:
            out.append(now)
            now = ""
        else:
            now += char
        escaped = char == "\\" and not escaped
    return [part for part in (*out, now) if part != ""] or [""]


def _plain(text: str) -> str:
    return re.sub(r"\\([,|$\\])", r"\1", text)


def _value(parameter: Parameter, text: str, name: str) -> Value:
    if len(text) > MAX_LENGTH:
        raise TooCostly(f"A value of {name} is longer than {MAX_LENGTH} characters", at=name)
    if "\x00" in text:
        raise Malformed(f"A value of {name} holds a NUL character", at=name)
    if parameter.kind == "composite":
        return _composite(parameter, text, name)
    return value_of(parameter.kind, text, name)


def value_of(kind: Kind, text: str, name: str) -> Value:
    """One alternative of a kind, checked. Raises Malformed."""
    if kind == "date":
        return _date(text, name)
    if kind in ("number", "quantity"):
        return _amount(kind, text, name)
    if kind == "token":
        return Value(text)  # its own escapes are resolved where system and code are told apart
    return Value(_plain(text))


def _composite(parameter: Parameter, text: str, name: str) -> Value:
    texts = _split(text, "$")
    if len(texts) != len(parameter.parts):
        raise Malformed(f"{name} needs {len(parameter.parts)} values joined by $", at=name)
    parts = (value_of(part.kind, piece, name) for part, piece in zip(parameter.parts, texts, strict=True))
    return Value(text, parts=tuple(parts))


def _prefixed(text: str) -> tuple[str, str]:
    return (text[:2], text[2:]) if text[:2] in PREFIXES else ("eq", text)


def _date(text: str, name: str) -> Value:
    prefix, bare = _prefixed(text)
    try:
        lo, hi = dates.bounds(bare.replace(" ", "+"))
    except Invalid:
        raise Malformed(
            f"{name} is a date such as 2021-05-12, with eq ne gt lt ge le sa eb or ap before it", at=name
        ) from None
    return Value(bare, prefix, lo, hi)


_NUMBER = re.compile(r"[+-]?\d{1,40}(\.\d{1,40})?([eE][+-]?\d{1,3})?")


def _amount(kind: str, text: str, name: str) -> Value:
    prefix, bare = _prefixed(text)
    pieces = [_plain(piece) for piece in re.split(r"(?<!\\)\|", bare)]
    if not _NUMBER.fullmatch(pieces[0]) or len(pieces) not in ((1, 3) if kind == "quantity" else (1,)):
        shape = "a number, or number|system|code" if kind == "quantity" else "a number"
        raise Malformed(f"{name} is {shape}, with a prefix such as gt before it", at=name)
    try:
        number = Decimal(pieces[0])
    except InvalidOperation:
        raise Malformed(f"{name} is a number", at=name) from None
    exponent = number.as_tuple().exponent
    half = Decimal(5).scaleb(int(exponent) - 1)
    unit = f"{pieces[1]}|{pieces[2]}" if len(pieces) == 3 and pieces[2] else None
    return Value(pieces[0], prefix, number=number, half=half, unit=unit)


# ---- how the result is wanted ----------------------------------------------------------------------------------


def _with_settings(query: Query, settings: dict[str, list[str]]) -> Query:
    changes: dict[str, Any] = {
        "sort": _sort(query.rtype, settings.get("_sort", [])),
        "count": _count(_single(settings, "_count", str(DEFAULT_COUNT))),
        "includes": _includes(settings, "_include", query.rtype),
        "revincludes": _includes(settings, "_revinclude", query.rtype),
        "total": _one_of(settings, "_total", ("none", "estimate", "accurate")),
        "summary": _one_of(settings, "_summary", ("", "true", "text", "data", "count", "false")),
        "elements": tuple(_single(settings, "_elements", "").split(",")) if "_elements" in settings else (),
        "cursor": _single(settings, "_cursor", ""),
    }
    if _one_of(settings, "_contained", ("false", "true", "both")) != "false":
        raise Malformed("Searching contained resources is not offered", at="_contained", code="not-supported")
    return Query(query.rtype, query.terms, given=query.given, ignored=query.ignored, **changes)


def _single(settings: dict[str, list[str]], name: str, default: str) -> str:
    values = settings.get(name, [default])
    if len(values) > 1:
        raise Malformed(f"{name} may be given once", at=name)
    return values[0]


def _one_of(settings: dict[str, list[str]], name: str, known: tuple[str, ...]) -> str:
    value = _single(settings, name, known[0])
    if value not in known:
        raise Malformed(f"{name} is one of {', '.join(filter(None, known))}", at=name)
    return value


def _count(text: str) -> int:
    if not re.fullmatch(r"\d{1,9}", text):
        raise Malformed("_count is a whole number", at="_count")
    return min(int(text), MAX_COUNT)


def _sort(rtype: str, values: list[str]) -> tuple[Sort, ...]:
    keys = [key for value in values for key in value.split(",") if key]
    if len(keys) > 4:
        raise TooCostly("A search is sorted by at most 4 keys", at="_sort")
    return tuple(_sort_key(rtype, key) for key in keys)


def _sort_key(rtype: str, key: str) -> Sort:
    code = key.removeprefix("-")
    parameter = _searchable(rtype).get(code)
    if parameter is None:
        raise Malformed(f"{rtype} has no search parameter {code} to sort by", at="_sort")
    sortable = parameter.kind in ("date", "string", "number", "quantity", "uri") or code == "_id"
    if not sortable or (code in UNIONS and parameter.kind != "quantity"):
        raise Malformed(f"Sorting by {code} is not offered yet", at="_sort", code="not-supported")
    return Sort(code, parameter.kind, key.startswith("-"))


def _includes(settings: dict[str, list[str]], name: str, rtype: str) -> tuple[Include, ...]:
    for spelled in settings:
        if spelled.startswith(f"{name}:"):
            raise Malformed(f"{spelled} is not offered yet", at=name, code="not-supported")
    values = settings.get(name, [])
    if len(values) > 20:
        raise TooCostly(f"At most 20 {name} are followed", at=name)
    return tuple(_include(value, name, rtype) for value in values)


def _include(value: str, name: str, rtype: str) -> Include:
    source, _, rest = value.partition(":")
    code, _, target = rest.partition(":")
    if value == "*" or code == "*":
        raise Malformed(f"{name}=* is not offered: name the parameter", at=name, code="not-supported")
    if (
        source not in r4().resource_types
        or code not in _searchable(source)
        or _searchable(source)[code].kind != "reference"
    ):
        raise Malformed(f"{name} is Type:parameter, where the parameter is a reference of Type", at=name)
    if target and target not in r4().resource_types:
        raise Malformed(f"{name}: the target is a resource type", at=name)
    if name == "_include" and source != rtype:
        raise Malformed(f"_include begins with {rtype}, the type that is searched", at=name)
    return Include(source, code, target)


def is_main_date(rtype: str, code: str) -> bool:
    """Whether this date is the one kept in the row."""
    return bool(code) and main_date(rtype) == code
