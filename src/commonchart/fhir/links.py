"""The links in a resource, found by the definitions: references, uris, narrative links; and rewriting them.

A Bundle or a load names resources by `urn:uuid:` or by fullUrl; once ids are assigned, links follow. Canonicals name
definitions, not entries, and stay (http://hl7.org/fhir/R4/http.html#transaction, resolving references).
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Mapping
from functools import cache
from typing import Any, NamedTuple

from commonchart.fhir.definitions import r4

_LINKS = frozenset({"uri", "url", "oid", "uuid"})
_CONDITIONAL = re.compile(r"([A-Z][A-Za-z]+)\?\S+")
_HREF = re.compile(r"""(\s(?:href|src)\s*=\s*)("([^"]*)"|'([^']*)')""")


def conditional(text: str) -> str | None:
    """The type that a conditional reference such as `Patient?identifier=urn:x|1` searches; None for any other text."""
    found = _CONDITIONAL.fullmatch(text)
    return found[1] if found else None


class Rewritten(NamedTuple):
    """A resource whose links follow a mapping, and the `urn:` references that led nowhere as (location, target)."""

    resource: dict[str, Any]
    dangling: tuple[tuple[str, str], ...]


def references(resource: dict[str, Any]) -> Iterator[tuple[str, str]]:
    """(location, text) of every Reference.reference in the resource, contained ones included."""
    found: list[tuple[str, str]] = []

    def note(text: str, at: str) -> str:
        found.append((at, text))
        return text

    rtype = str(resource.get("resourceType"))
    _walk(resource, rtype, rtype, note, None)
    return iter(found)


def rewrite(resource: dict[str, Any], mapping: Mapping[str, str]) -> Rewritten:
    """The resource with every link that `mapping` knows replaced; what has no such link is shared, not copied.

    Applies to Reference.reference, to uri, url, oid and uuid elements and to links in narratives. A `urn:uuid:` or
    `urn:oid:` Reference that the mapping does not know is dangling.
    """
    dangling: list[tuple[str, str]] = []

    def follow(text: str, at: str) -> str:
        target = mapping.get(text)
        if target is None and text.startswith(("urn:uuid:", "urn:oid:")):
            dangling.append((at, text))
        return text if target is None else target

    rtype = str(resource.get("resourceType"))
    out = _walk(resource, rtype, rtype, follow, mapping)
    return Rewritten(out, tuple(dangling))


Follow = Callable[[str, str], str]


@cache
def _paths(type_name: str) -> Mapping[str, str]:
    """JSON name -> type of the children that may hold a link somewhere below."""
    out: dict[str, str] = {}
    for element in r4().elements(type_name).values():
        for name, child in element.spelled().items():
            primitive = r4().is_primitive(child)
            if not primitive or child in _LINKS or child == "xhtml":
                out[name] = child
            if primitive:
                out[f"_{name}"] = "Element"
    return out


def _walk(node: Any, type_name: str, at: str, follow: Follow, mapping: Mapping[str, str] | None) -> Any:
    if isinstance(node, list):
        new = [_walk(child, type_name, f"{at}[{n}]", follow, mapping) for n, child in enumerate(node)]
        return node if all(a is b for a, b in zip(new, node, strict=True)) else new
    if isinstance(node, str):
        return _text(node, type_name, mapping)
    if not isinstance(node, dict):
        return node
    if type_name == "Resource":
        type_name = str(node.get("resourceType"))
    if not r4().is_structure(type_name):
        return node
    return _object(node, type_name, at, follow, mapping)


def _object(
    node: dict[str, Any], type_name: str, at: str, follow: Follow, mapping: Mapping[str, str] | None
) -> Any:
    paths = _paths(type_name)
    changed: dict[str, Any] = {}
    for name, child in node.items():
        if name == "reference" and type_name == "Reference" and isinstance(child, str):
            new: Any = follow(child, f"{at}.reference")
        elif name in paths:
            new = _walk(child, paths[name], f"{at}.{name}", follow, mapping)
        else:
            continue
        if new is not child:
            changed[name] = new
    return {**node, **changed} if changed else node


def _text(text: str, type_name: str, mapping: Mapping[str, str] | None) -> str:
    if mapping is None:
        return text
    if type_name == "xhtml":
        return (
            _HREF.sub(lambda found: _href(found, mapping), text) if "urn:" in text or "://" in text else text
        )
    return mapping.get(text, text) if type_name in _LINKS else text


def _href(found: re.Match[str], mapping: Mapping[str, str]) -> str:
    target = mapping.get(found[3] or found[4] or "")
    return found[0] if target is None else f'{found[1]}"{target}"'
