"""What can be told of an expression before it is run: names that a type does not have, orders that do not exist."""

from __future__ import annotations

from collections.abc import Iterable

from commonchart.fhir.definitions import r4
from commonchart.fhir.outcome import Malformed
from commonchart.fhir.path.nodes import is_a, is_exactly, wanted_type
from commonchart.fhir.path.parser import Node
from commonchart.fhir.path.texts import TEXTS

Types = frozenset[str] | None
"""The types that a collection may have; None when that is not known."""

_SAME = frozenset(
    [
        "where",
        "first",
        "last",
        "tail",
        "skip",
        "take",
        "single",
        "distinct",
        "trace",
        "exclude",
        "intersect",
        "checkModifiers",
    ]
)
_ORDERED = frozenset({"first", "last", "tail", "skip", "take"})
_UNORDERED = frozenset({"children", "descendants"})
_ON_TEXT = frozenset(TEXTS) - {"join"}


def check(node: Node, type_name: str, *, ordered: bool = False) -> None:
    """Raise Malformed for an expression that can mean nothing on this type (`` for an unknown one)."""
    _infer(node, frozenset({type_name}) if type_name else None)
    if ordered:
        _in_order(node)


def _infer(node: Node, focus: Types) -> Types:
    if node.kind == "child":
        return _child(node, focus)
    if node.kind == "this":
        return focus
    if node.kind == "call":
        return _call(node, focus)
    if node.kind == "at":
        _infer(node.parts[1], focus)
        return _infer(node.parts[0], focus)
    if node.kind == "type":
        source = _infer(node.parts[0], focus)
        return _narrowed(node.value, source, node.parts[1])
    found = [_infer(part, focus) for part in node.parts if isinstance(part, Node)]
    if node.kind == "binary" and node.value == "|":
        return _together(found)
    return None


def _together(found: Iterable[Types]) -> Types:
    out: frozenset[str] = frozenset()
    for types in found:
        if types is None:
            return None
        out |= types
    return out


def _child(node: Node, focus: Types) -> Types:
    name: str = node.value
    source = _infer(node.parts[0], focus) if node.parts else focus
    if source is None:
        return None
    if not node.parts and name[0].isupper():
        if not any(is_a(one, name) or is_a(name, one) for one in source):
            raise Malformed("FHIRPath: the expression begins with another type", code="not-found")
        return frozenset({name}) if all(is_a(name, one) for one in source) else source
    out: set[str] = set()
    for one in source:
        types = _element(one, name)
        if types is None:
            return None
        out |= types
    if not out:
        raise Malformed("FHIRPath: there is no element of that name", code="not-found")
    return frozenset(out)


def _element(type_name: str, name: str) -> frozenset[str] | None:
    """The types of an element: empty when the type has no such one, None when nothing is known."""
    known = r4()
    if known.is_primitive(type_name):
        return frozenset({"Extension"} if name == "extension" else {"string"} if name == "id" else ())
    if not known.is_structure(type_name):
        return None
    elements = known.elements(type_name)
    found = elements.get(name) or elements.get(f"{name}[x]")
    if found is None:
        return frozenset()
    types = frozenset(found.types)
    return None if types & {"Resource", "*"} else types


def _call(node: Node, focus: Types) -> Types:
    left, *arguments = node.parts
    source = focus if left is None else _infer(left, focus)
    name: str = node.value
    if name in ("as", "is", "ofType"):
        return _narrowed(name, source, arguments[0]) if arguments else None
    if name in _ON_TEXT and source and all(_complex(one) for one in source):
        raise Malformed("FHIRPath: a text was expected")
    lazy = name in ("where", "select", "exists", "all", "iif")
    inner = (
        source
        if lazy
        else None
        if name in ("repeat", "repeatAll", "aggregate", "trace", "defineVariable", "sort")
        else focus
    )
    found = [_infer(argument, inner) for argument in arguments if isinstance(argument, Node)]
    if name in _SAME:
        return source
    return found[0] if name == "select" and found else None


def _complex(type_name: str) -> bool:
    return r4().is_structure(type_name) and not r4().is_primitive(type_name)


def _narrowed(name: str, source: Types, wanted: str) -> Types:
    names = wanted_type(wanted)
    if name == "is":
        return None
    if source is None:
        return frozenset(names[:1]) if not names[0].startswith("System.") else None
    kept = frozenset(one for one in source if is_exactly(one, wanted))
    return kept or None


def _in_order(node: Node) -> bool:
    """Whether a collection has an order; raises where one is asked for that does not."""
    parts = [_in_order(part) for part in node.parts if isinstance(part, Node)]
    has = parts[0] if parts else True
    if node.kind == "call":
        if node.parts[0] is None:
            has = True
        if node.value in _ORDERED and not has:
            raise Malformed("FHIRPath: the order of these values is not defined")
        return has and node.value not in _UNORDERED
    if node.kind == "at" and not has:
        raise Malformed("FHIRPath: the order of these values is not defined")
    return has if node.kind in ("child", "at", "type") else True
