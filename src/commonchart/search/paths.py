"""Where in a stored body the values of a token or reference parameter lie, as SQL/JSON paths: only for sorting."""

from __future__ import annotations

import re
from functools import cache
from typing import Any

from commonchart.fhir.definitions import r4
from commonchart.fhir.path.parser import Node
from commonchart.search.parameters import alternatives

# what of a value is compared, by its type; a primitive is compared itself
_LEAVES: dict[str, tuple[str, ...]] = {
    "CodeableConcept": (".coding.code", ".text"),
    "Coding": (".code",),
    "Identifier": (".value",),
    "ContactPoint": (".value",),
    "Reference": (".reference",),
    "Quantity": (".code",),
    "Money": (".currency",),
}
MAX_TYPES = 12
_USUAL = frozenset(
    {"code", "CodeableConcept", "Coding", "Identifier", "Reference", "boolean", "string", "uri"}
)
_URL = re.compile(r"[A-Za-z0-9:/._#-]{1,300}")
_NAME = re.compile(r"[A-Za-z][A-Za-z0-9]*")

Found = list[tuple[str, str]]


@cache
def json_paths(rtype: str, expression: str) -> tuple[str, ...]:
    """The paths in order of preference, () where the expression says more than a path can."""
    out: list[str] = []
    for node in alternatives(rtype, expression):
        found = _walk(node, rtype)
        if found is None:
            return ()
        for path, type_name in _few(found):
            out += [f"{path}{leaf}" for leaf in _leaves(type_name)]
    return tuple(out)


def _few(found: Found) -> Found:
    """Of the many types that the value of an extension may have, those that codes and references have."""
    return found if len(found) <= MAX_TYPES else [one for one in found if one[1] in _USUAL]


def _leaves(type_name: str) -> tuple[str, ...]:
    if r4().is_primitive(type_name) or not r4().is_structure(type_name):
        return ("",)
    return _LEAVES.get(type_name, ())


def _walk(node: Node, rtype: str) -> Found | None:
    """(path, type) of what a tree leads to; None when it is not a path."""
    if node.kind == "child":
        return _child(node, rtype)
    if node.kind == "type" and node.value == "as":
        found = _walk(node.parts[0], rtype)
        return None if found is None else [one for one in found if one[1] == node.parts[1]]
    if node.kind == "call" and node.value in ("as", "ofType") and isinstance(node.parts[1], str):
        found = _walk(node.parts[0], rtype)
        return None if found is None else [one for one in found if one[1] == node.parts[1]]
    if node.kind == "call" and node.value == "where":
        return _where(node, rtype)
    if node.kind == "call" and node.value == "extension":
        return _extension(node, rtype)
    return None


def _extension(node: Node, rtype: str) -> Found | None:
    inner = _walk(node.parts[0], rtype) if node.parts[0] is not None else [("$", rtype)]
    url = node.parts[1].value if node.parts[1].kind == "literal" else None
    if inner is None or not isinstance(url, str) or not _URL.fullmatch(url):
        return None
    return [(f'{path}.extension ? (@.url == "{url}")', "Extension") for path, _ in inner]


def _child(node: Node, rtype: str) -> Found | None:
    name = str(node.value)
    if not _NAME.fullmatch(name):
        return None
    if not node.parts:
        return [("$", rtype)] if name[0].isupper() else _below("$", rtype, name)
    inner = _walk(node.parts[0], rtype)
    if inner is None:
        return None
    return [one for path, type_name in inner for one in _below(path, type_name, name)]


def _below(path: str, type_name: str, name: str) -> Found:
    if not r4().is_structure(type_name):
        return []
    elements = r4().elements(type_name)
    element = elements.get(name) or elements.get(f"{name}[x]")
    return [(f"{path}.{spelled}", kind) for spelled, kind in element.spelled().items()] if element else []


def _where(node: Node, rtype: str) -> Found | None:
    """`where(resolve() is Patient)` and `where(system='phone')` as filters."""
    inner = _walk(node.parts[0], rtype)
    condition: Any = node.parts[1]
    if inner is None:
        return None
    if condition.kind == "type" and condition.value == "is" and _NAME.fullmatch(str(condition.parts[1])):
        return [(f'{path} ? (@.reference like_regex "{condition.parts[1]}/")', kind) for path, kind in inner]
    if condition.kind == "binary" and condition.value == "=":
        left, right = condition.parts
        if left.kind == "child" and right.kind == "literal" and _NAME.fullmatch(str(right.value)):
            return [(f'{path} ? (@.{left.value} == "{right.value}")', kind) for path, kind in inner]
    return None


@cache
def heads(rtype: str, expression: str) -> frozenset[str] | None:
    """The JSON names in a resource that an expression begins at, None where it may begin anywhere."""
    out: set[str] = set()
    for node in alternatives(rtype, expression):
        found = _head(node, rtype)
        if found is None:
            return None
        out |= found
    return frozenset(out)


def _head(node: Node, rtype: str) -> set[str] | None:
    while node.kind in ("child", "type", "at", "call") and node.parts and isinstance(node.parts[0], Node):
        inner = node.parts[0]
        if inner.kind == "child" and not inner.parts and str(inner.value)[:1].isupper():
            return _spelled(rtype, str(node.value)) if node.kind == "child" else None
        node = inner
    return None


def _spelled(rtype: str, name: str) -> set[str] | None:
    elements = r4().elements(rtype)
    element = elements.get(name) or elements.get(f"{name}[x]")
    return {one for stem in element.spelled() for one in (stem, f"_{stem}")} if element else None
