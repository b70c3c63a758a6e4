"""What a path walks over: values with their FHIR type, so that `is`, `as` and choices work.

A node is (value, type name, sibling); `sibling` is the object that holds a primitive's id and extensions. Computed values
have a System type, spelled `System.Boolean` and so on; a FHIR type has its bare name.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from decimal import Decimal
from functools import cache, lru_cache
from itertools import zip_longest
from typing import Any

from commonchart.fhir.definitions import r4
from commonchart.fhir.outcome import Invalid, Malformed
from commonchart.fhir.path.moments import Moment

Typed = tuple[Any, str, Any]
Collection = list[Typed]

INFO = "System.TypeInfo"
_REFERENCE = re.compile(r"(?:^|/)([A-Z][A-Za-z]+)/([A-Za-z0-9\-.]{1,64})(?:/_history/[^/]+)?$")
_KINDS: dict[type, str] = {
    bool: "System.Boolean",
    str: "System.String",
    int: "System.Integer",
    Decimal: "System.Decimal",
}
_MOMENTS = {"date": "System.Date", "dateTime": "System.DateTime", "time": "System.Time"}
SYSTEM = frozenset((*_KINDS.values(), *_MOMENTS.values(), "System.Quantity", "System.Any", INFO))
TRUE: Collection = [(True, "System.Boolean", None)]
FALSE: Collection = [(False, "System.Boolean", None)]
_PRIMITIVE_BASES = {
    "code": "string",
    "id": "string",
    "markdown": "string",
    "canonical": "uri",
    "oid": "uri",
    "url": "uri",
    "uuid": "uri",
    "positiveInt": "integer",
    "unsignedInt": "integer",
}


def root(resource: dict[str, Any]) -> Collection:
    """A resource as the focus of an expression."""
    return [(resource, resource.get("resourceType", "Resource"), None)]


def system(value: Any) -> Collection:
    """A computed value as a collection; None is empty."""
    if value is True:
        return TRUE
    if value is False:
        return FALSE
    if value is None:
        return []
    return [(value, system_type(value), None)]


def system_type(value: Any) -> str:
    """The System type of a computed value."""
    if isinstance(value, Moment):
        return _MOMENTS[value.kind]
    return _KINDS.get(type(value), "System.Quantity")


@lru_cache(65536)
def _spellings(type_name: str, name: str) -> tuple[tuple[str, str, str], ...]:
    """JSON names, those of their siblings and types that `name` may stand for on this type: one, or one per choice."""
    if not r4().is_structure(type_name):
        return ()
    elements = r4().elements(type_name)
    element = elements.get(name) or elements.get(f"{name}[x]")
    if element is None:
        return ()
    return tuple((spelled, f"_{spelled}", kind) for spelled, kind in element.spelled().items())


def children(nodes: Collection, name: str) -> Collection:
    """The children of that name of every node, lists flattened, choices by their stem."""
    out: Collection = []
    for value, type_name, sibling in nodes:
        if type(value) is dict:
            for spelled, beside, child_type in _spellings(type_name, name):
                if spelled in value:
                    _append(out, value[spelled], child_type, value.get(beside))
                elif beside in value:
                    _append(out, None, child_type, value[beside])
            if type_name == INFO:
                out += system(value.get(name))
        elif type(sibling) is dict and name in ("extension", "id"):
            _append(out, sibling.get(name), "Extension" if name == "extension" else "string", None)
        elif type_name == "System.Quantity":
            out += system(getattr(value, name, None) if name in ("value", "unit") else None)
    return out


def _append(out: Collection, value: Any, type_name: str, sibling: Any) -> None:
    if type(value) is list:
        if sibling is None and type_name != "Resource":
            out += [(one, type_name, None) for one in value]
            return
    elif type(sibling) is not list:
        if value is not None or sibling is not None:
            out.append((value, _actual(value, type_name), sibling))
        return
    values = value if type(value) is list else []
    siblings = sibling if type(sibling) is list else []
    for one, beside in zip_longest(values, siblings):
        if one is not None or beside is not None:
            out.append((one, _actual(one, type_name), beside))


def _actual(value: Any, type_name: str) -> str:
    if type_name == "Resource" and type(value) is dict:
        return str(value.get("resourceType", "Resource"))
    return type_name


@cache
def _named(type_name: str) -> Mapping[str, str]:
    """JSON name -> type of every child of a type."""
    if not r4().is_structure(type_name):
        return {}
    return {n: t for e in r4().elements(type_name).values() for n, t in e.spelled().items()}


def offspring(nodes: Collection) -> Collection:
    """Every child of every node, whatever its name."""
    out: Collection = []
    for value, type_name, sibling in nodes:
        if type(value) is dict:
            named = _named(type_name)
            for key, held in value.items():
                if key in named:
                    _append(out, held, named[key], value.get(f"_{key}"))
                elif key[:1] == "_" and key[1:] in named and key[1:] not in value:
                    _append(out, None, named[key[1:]], held)
        elif type(sibling) is dict:
            _append(out, sibling.get("id"), "string", None)
            _append(out, sibling.get("extension"), "Extension", None)
    return out


@lru_cache(16384)
def wanted_type(name: str) -> tuple[str, ...]:
    """The types that a type specifier may mean. Raises Malformed where there is no such type."""
    space, _, bare = name.rpartition(".")
    known = r4()
    fhir = known.is_primitive(bare) or known.is_structure(bare) or bare in known.bases
    out: list[str] = []
    if fhir and space in ("", "FHIR"):
        out.append(bare)
    if f"System.{bare}" in SYSTEM and space in ("", "System"):
        out.append(f"System.{bare}")
    if not out and known.is_structure(name):
        out.append(name)
    if not out and fhir and space == "System":
        out.append(name)  # a name that FHIR has and System has not: a type of which nothing is
    if not out:
        raise Malformed("FHIRPath: there is no type of that name", code="not-found")
    return tuple(out)


@lru_cache(65536)
def is_a(type_name: str, wanted: str) -> bool:
    """Whether a type is, or is derived from, the wanted one (`FHIR.` and `System.` prefixes allowed)."""
    try:
        names = wanted_type(wanted)
    except Malformed:
        return False
    if type_name in names:
        return True
    if type_name.startswith("System."):
        return "System.Any" in names
    if "." in type_name:
        type_name = "BackboneElement"
    while type_name:
        if type_name in names:
            return True
        type_name = _PRIMITIVE_BASES.get(type_name) or r4().bases.get(type_name, "")
        if not type_name and r4().is_primitive(names[0]):
            return False
    return False


@lru_cache(65536)
def is_exactly(type_name: str, wanted: str) -> bool:
    """Whether `as` and `ofType` keep it: primitives only as their own type, the rest with what is derived from it."""
    if type_name.startswith("System.") or r4().is_primitive(type_name):
        try:
            return type_name in wanted_type(wanted)
        except Malformed:
            return False
    return is_a(type_name, wanted)


def resolved(text: Any) -> Typed | None:
    """A reference as a stub of its target: enough for `resolve() is Patient`. None where the text names no type."""
    found = _REFERENCE.search(text) if isinstance(text, str) else None
    if found is None or found[1] not in r4().resource_types:
        return None
    return {"resourceType": found[1], "id": found[2]}, found[1], None


def truth(nodes: Collection) -> bool | None:
    """A collection as a boolean: None when empty, true for a single value that is not false.

    Of several values the first counts; `single_truth` is the strict one.
    """
    if not nodes:
        return None
    value = nodes[0][0]
    if value is True or value is False:
        return bool(value)
    return None if value is None else True


def single_truth(nodes: Collection, strict: bool) -> bool | None:
    """As `truth`; several values are refused where the evaluation is strict."""
    if strict and len(nodes) > 1:
        raise Invalid("FHIRPath: one value was expected and there are several")
    return truth(nodes)
