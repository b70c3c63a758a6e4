"""What a path walks over: values with their FHIR type, so that `is`, `as` and choices work.

A node is (value, type name, sibling); `sibling` is the object that holds a primitive's id and extensions.
"""

from __future__ import annotations

import re
from decimal import Decimal
from functools import cache
from typing import Any

from commonchart.fhir.definitions import r4

Typed = tuple[Any, str, Any]
Collection = list[Typed]

SYSTEM = {"Boolean": "boolean", "String": "string", "Integer": "integer", "Decimal": "decimal"}
_REFERENCE = re.compile(r"(?:^|/)([A-Z][A-Za-z]+)/([A-Za-z0-9\-.]{1,64})(?:/_history/[^/]+)?$")


def root(resource: dict[str, Any]) -> Collection:
    """A resource as the focus of an expression."""
    return [(resource, resource.get("resourceType", "Resource"), None)]


def system(value: Any) -> Collection:
    """A computed value as a collection; None is empty."""
    if value is None:
        return []
    kinds = {bool: "boolean", str: "string", int: "integer", Decimal: "decimal"}
    return [(value, kinds.get(type(value), "Quantity"), None)]


@cache
def _spellings(type_name: str, name: str) -> tuple[tuple[str, str], ...]:
    """JSON names and types that `name` may stand for on this type: one, or one per type of a choice."""
    if not r4().is_structure(type_name):
        return ()
    elements = r4().elements(type_name)
    element = elements.get(name) or elements.get(f"{name}[x]")
    if element is None:
        return ()
    return tuple(element.spelled().items())


def children(nodes: Collection, name: str) -> Collection:
    """The children of that name of every node, lists flattened, choices by their stem."""
    out: Collection = []
    for value, type_name, sibling in nodes:
        if type(value) is dict:
            for spelled, child_type in _spellings(type_name, name):
                if spelled in value or f"_{spelled}" in value:
                    _append(out, value.get(spelled), child_type, value.get(f"_{spelled}"))
        elif type(sibling) is dict and name in ("extension", "id"):
            _append(out, sibling.get(name), "Extension" if name == "extension" else "string", None)
    return out


def _append(out: Collection, value: Any, type_name: str, sibling: Any) -> None:
    if type(value) is list or type(sibling) is list:
        values = value or [None] * len(sibling)
        siblings = sibling if type(sibling) is list else [None] * len(values)
        for one, beside in zip(values, siblings, strict=False):
            out.append((one, _actual(one, type_name), beside))
    else:
        out.append((value, _actual(value, type_name), sibling))


def _actual(value: Any, type_name: str) -> str:
    return (
        value.get("resourceType", "Resource")
        if type_name == "Resource" and type(value) is dict
        else type_name
    )


@cache
def is_a(type_name: str, wanted: str) -> bool:
    """Whether a type is, or is derived from, the wanted one (`FHIR.` and `System.` prefixes allowed)."""
    wanted = wanted.removeprefix("FHIR.")
    if wanted.startswith("System."):
        wanted = SYSTEM.get(wanted[7:], wanted[7:])
    if "." in type_name and type_name[0].isupper():
        type_name = "BackboneElement"
    while type_name:
        if type_name == wanted:
            return True
        type_name = r4().bases.get(type_name, "")
    return False


def resolved(text: Any) -> Typed | None:
    """A reference as a stub of its target: enough for `resolve() is Patient`. None where the text names no type."""
    found = _REFERENCE.search(text) if isinstance(text, str) else None
    if found is None or found[1] not in r4().resource_types:
        return None
    return {"resourceType": found[1], "id": found[2]}, found[1], None


def truth(nodes: Collection) -> bool | None:
    """A collection as a boolean: None when empty, true for a single value that is not false."""
    if not nodes:
        return None
    return nodes[0][0] if isinstance(nodes[0][0], bool) else True
