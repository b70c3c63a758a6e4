"""How the result of a search is wanted: order, size, what comes along. http://hl7.org/fhir/R4/search.html#return."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Literal, cast

from msgspec import Struct

from commonchart.fhir.definitions import r4
from commonchart.fhir.outcome import Malformed, TooCostly
from commonchart.search.parameters import Kind, Offered, Parameter
from commonchart.search.paths import json_paths

DEFAULT_COUNT = 50
MAX_COUNT = 1000
MAX_KEYS = 4
MAX_INCLUDES = 20
ANY = "*"
RESULT = frozenset(
    {
        "_sort",
        "_count",
        "_include",
        "_revinclude",
        "_total",
        "_summary",
        "_elements",
        "_cursor",
        "_contained",
        "_containedType",
        "_score",
    }
)


Contained = Literal["false", "true", "both"]


class Sort(Struct, frozen=True):
    """One key to sort by; `paths` lead to it in a body where no row keeps it, by type."""

    code: str
    kind: Kind
    descending: bool
    paths: Mapping[str, tuple[str, ...]] = {}


class Include(Struct, frozen=True):
    """`source:code[:target]`: follow this parameter forwards (or backwards for _revinclude); again and again if `iterate`."""

    source: str
    parameter: Parameter
    target: str = ""
    iterate: bool = False

    @property
    def code(self) -> str:
        """The parameter's code."""
        return self.parameter.code


class Wish(Struct, frozen=True):
    """The settings of a search, checked.

    `contained`: whether contained resources are searched, instead of others or as well; `apart`: they are returned by
    themselves, not in their containers.
    """

    sort: tuple[Sort, ...]
    count: int
    includes: tuple[Include, ...]
    revincludes: tuple[Include, ...]
    total: str
    summary: str
    elements: tuple[str, ...]
    cursor: str
    contained: Contained = "false"
    apart: bool = False


def wish(
    types: tuple[str, ...],
    known: Mapping[str, Parameter],
    settings: Mapping[str, list[str]],
    offered: Offered,
) -> Wish:
    """The settings. Raises Malformed, TooCostly."""
    if not settings:
        return _PLAIN
    if "_score" in settings:
        raise Malformed("Matches are not scored", at="_score", code="not-supported")
    return Wish(
        _sort(types, known, settings.get("_sort", [])),
        _count(_single(settings, "_count", str(DEFAULT_COUNT))),
        _includes(settings, "_include", types, offered),
        _includes(settings, "_revinclude", types, offered),
        _one_of(settings, "_total", ("none", "estimate", "accurate")),
        _one_of(settings, "_summary", ("", "true", "text", "data", "count", "false")),
        tuple(_single(settings, "_elements", "").split(",")) if "_elements" in settings else (),
        _single(settings, "_cursor", ""),
        _contained(settings),
        _one_of(settings, "_containedType", ("container", "contained")) == "contained",
    )


_PLAIN = Wish((), DEFAULT_COUNT, (), (), "none", "", (), "")


def _contained(settings: Mapping[str, list[str]]) -> Contained:
    value = _one_of(settings, "_contained", ("false", "true", "both"))
    if value != "false" and any(name.startswith(("_include", "_revinclude")) for name in settings):
        raise Malformed(
            "_contained goes without _include and _revinclude", at="_contained", code="not-supported"
        )
    return cast(Contained, value)


def _single(settings: Mapping[str, list[str]], name: str, default: str) -> str:
    values = settings.get(name, [default])
    if len(values) > 1:
        raise Malformed(f"{name} may be given once", at=name)
    return values[0]


def _one_of(settings: Mapping[str, list[str]], name: str, known: tuple[str, ...]) -> str:
    value = _single(settings, name, known[0])
    if value not in known:
        raise Malformed(f"{name} is one of {', '.join(filter(None, known))}", at=name)
    return value


def _count(text: str) -> int:
    if not re.fullmatch(r"\d{1,9}", text):
        raise Malformed("_count is a whole number", at="_count")
    return min(int(text), MAX_COUNT)


def _sort(types: tuple[str, ...], known: Mapping[str, Parameter], values: list[str]) -> tuple[Sort, ...]:
    keys = [key for value in values for key in value.split(",") if key]
    if len(keys) > MAX_KEYS:
        raise TooCostly(f"A search is sorted by at most {MAX_KEYS} keys", at="_sort")
    return tuple(_sort_key(types, known, key) for key in keys)


def _sort_key(types: tuple[str, ...], known: Mapping[str, Parameter], key: str) -> Sort:
    code = key.removeprefix("-")
    parameter = known.get(code)
    if parameter is None or parameter.kind in ("text", "list"):
        raise Malformed(f"{types[0]} has no search parameter {code} to sort by", at="_sort")
    paths: dict[str, tuple[str, ...]] = {}
    if parameter.kind in ("token", "reference") and code != "_id":
        paths = {rtype: json_paths(rtype, parameter.expression) for rtype in types}
        if not all(paths.values()):
            raise Malformed(f"{code} has no value to sort by", at="_sort", code="not-supported")
    elif parameter.kind == "composite":
        raise Malformed(f"{code} joins several values: sort by one of them", at="_sort", code="not-supported")
    return Sort(code, parameter.kind, key.startswith("-"), paths)


# ---- what comes along ------------------------------------------------------------------------------------------


def _includes(
    settings: Mapping[str, list[str]], name: str, types: tuple[str, ...], offered: Offered
) -> tuple[Include, ...]:
    out: list[Include] = []
    for spelled, values in settings.items():
        bare, _, modifier = spelled.partition(":")
        if bare != name:
            continue
        if modifier not in ("", "iterate", "recurse"):
            raise Malformed(f"{spelled}: the only modifier of {name} is :iterate", at=name)
        for value in values:
            out += _include(value, name, types, offered, bool(modifier))
        if len(values) > MAX_INCLUDES:
            raise TooCostly(f"At most {MAX_INCLUDES} {name} are followed", at=name)
    return tuple(out)


def _include(value: str, name: str, types: tuple[str, ...], offered: Offered, iterate: bool) -> list[Include]:
    source, _, rest = value.partition(":")
    code, _, target = rest.partition(":")
    if name == "_revinclude" and (ANY in (source, code)):
        raise Malformed(
            "_revinclude=* is not offered: name the type and parameter", at=name, code="not-supported"
        )
    if source == ANY and not rest:
        return [one for rtype in types for one in _every(rtype, offered, "", iterate)]
    if source not in r4().resource_types:
        raise Malformed(f"{name} is Type:parameter", at=name)
    if target and target not in r4().resource_types:
        raise Malformed(f"{name}: the target is a resource type", at=name)
    if name == "_include" and source not in types and not iterate:
        raise Malformed(f"_include begins with {types[0]}, the type that is searched", at=name)
    if code == ANY:
        return _every(source, offered, target, iterate)
    parameter = offered.of(source).get(code)
    if parameter is None or parameter.kind != "reference":
        raise Malformed(f"{name} is Type:parameter, where the parameter is a reference of Type", at=name)
    return [Include(source, parameter, target, iterate)]


def _every(rtype: str, offered: Offered, target: str, iterate: bool) -> list[Include]:
    return [
        Include(rtype, one, target, iterate) for one in offered.of(rtype).values() if one.kind == "reference"
    ]
