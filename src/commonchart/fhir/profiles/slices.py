"""Which slice a value belongs to, and whether a value is, or fits, another. http://hl7.org/fhir/R4/profiling.html#discriminator"""

from __future__ import annotations

import re
from decimal import Decimal
from typing import TYPE_CHECKING, Any

from commonchart.fhir.definitions import r4
from commonchart.fhir.profiles.tree import Node

if TYPE_CHECKING:
    from commonchart.fhir.profiles.check import Check, Found

ABSENT = "http://hl7.org/fhir/StructureDefinition/data-absent-reason"
_STEP = re.compile(r"extension\('([^']+)'\)|resolve\(\)|ofType\((\w+)\)|([A-Za-z$][\w\[\]]*)")
_TYPED = re.compile(r"(?:^|/)([A-Z][A-Za-z]+)/[A-Za-z0-9\-.]{1,64}(?:/_history/[^/]+)?$")


def same(value: Any, fixed: Any) -> bool:
    """Equal, whatever the order of properties; numbers by value."""
    if isinstance(value, dict) and isinstance(fixed, dict):
        return value.keys() == fixed.keys() and all(same(value[key], fixed[key]) for key in fixed)
    if isinstance(value, list) and isinstance(fixed, list):
        return len(value) == len(fixed) and all(same(a, b) for a, b in zip(value, fixed, strict=True))
    if _number(value) and _number(fixed):
        return Decimal(str(value)) == Decimal(str(fixed))
    return type(value) is type(fixed) and bool(value == fixed)


def _number(value: Any) -> bool:
    return isinstance(value, int | float | Decimal) and not isinstance(value, bool)


def fits_pattern(value: Any, pattern: Any) -> bool:
    """Whether the value has all that the pattern has; of a list, each entry of the pattern fits some entry."""
    if isinstance(pattern, dict):
        return isinstance(value, dict) and all(
            key in value and fits_pattern(value[key], part) for key, part in pattern.items()
        )
    if isinstance(pattern, list):
        return isinstance(value, list) and all(any(fits_pattern(one, p) for one in value) for p in pattern)
    return same(value, pattern)


def codings(value: Any, type_name: str) -> list[tuple[str | None, str]]:
    """(system, code) of a coded value; a bare code has no system."""
    if isinstance(value, str):
        return [(None, value)]
    if not isinstance(value, dict):
        return []
    found = value.get("coding") if type_name == "CodeableConcept" else [value]
    if not isinstance(found, list):
        return []
    return [
        (one.get("system", ""), one["code"])
        for one in found
        if isinstance(one, dict) and isinstance(one.get("code"), str)
    ]


def absent(value: Any, sibling: Any) -> bool:
    """Whether the value says by extension why it is not there."""
    held = value if isinstance(value, dict) else sibling
    found = held.get("extension") if isinstance(held, dict) else None
    return isinstance(found, list) and any(
        isinstance(one, dict) and one.get("url") == ABSENT for one in found
    )


def target_type(reference: Any, container: dict[str, Any]) -> str | None:
    """The type that a reference refers to, by its text, its `type`, or what is contained."""
    text = reference.get("reference")
    if isinstance(text, str) and text.startswith("#"):
        held = container.get("contained")
        for one in held if isinstance(held, list) else ():
            if isinstance(one, dict) and one.get("id") == text[1:]:
                return str(one.get("resourceType"))
        return None
    found = _TYPED.search(text) if isinstance(text, str) else None
    if found is not None and found[1] in r4().resource_types:
        return found[1]
    stated = reference.get("type")
    return stated if isinstance(stated, str) and stated in r4().resource_types else None


# ---- slices ----------------------------------------------------------------------------------------------------


def matches(check: Check, node: Node, by: list[list[str]], found: Found) -> bool:
    """Whether a value belongs to a slice, by every discriminator."""
    return bool(by) and all(_matches(check, node, kind, path, found) for kind, path in by)


def _matches(check: Check, node: Node, kind: str, path: str, found: Found) -> bool:
    if path == "url" and found.type == "Extension" and node.types:
        return isinstance(found.value, dict) and found.value.get("url") in node.types[0][1]
    nodes, values, prefix = _walk(check, node, path, found)
    if not prefix:
        return False
    if nodes is None:
        return kind in ("value", "pattern") and _prefixed(node, path, found)
    if kind == "exists":
        return not values if nodes.max == 0 else bool(values)
    if kind == "type":
        wanted = _leads_to(check, nodes) if path.endswith("resolve()") else {one[0] for one in nodes.types}
        return any(value.type in wanted for value in values)
    if kind == "profile":
        return any(_conforms(check, nodes, value) for value in values)
    if not _says(nodes):
        return _prefixed(node, path, found)
    return any(fits(check, nodes, value) for value in values)


def _walk(check: Check, node: Node, path: str, found: Found) -> tuple[Node | None, list[Found], bool]:
    """The node and the values at the discriminator's path."""
    from commonchart.fhir.profiles.check import children

    values: list[Found] = [found]
    at: Node | None = node
    for step in _STEP.finditer(path):
        url, type_name, name = step[1], step[2], step[3]
        if name == "$this":
            continue
        if url:
            values = [x for v in values for x in children(v, "extension") if x.value.get("url") == url]
            held = at.children.get("extension") if at else None
            at = next((s for s in held.slices.values() if url in _profiles(s)), None) if held else None
        elif name:
            values = [x for v in values for x in children(v, name)]
            at = (at.children.get(name) or at.children.get(f"{name}[x]")) if at else None
        elif type_name:
            values = [v for v in values if v.type == type_name]
        else:
            values = [r for v in values if (r := _resolved(check, v)) is not None]
    return at, values, True


def _leads_to(check: Check, node: Node) -> set[str | None]:
    """The types that a reference may name."""
    return {check.known.type_of(url) for one in node.types for url in one[2]}


def _profiles(node: Node) -> list[str]:
    return [url for one in node.types for url in one[1]]


def _resolved(check: Check, found: Found) -> Found | None:
    from commonchart.fhir.profiles.check import Found as Made

    text = found.value.get("reference") if isinstance(found.value, dict) else None
    if isinstance(text, str) and text.startswith("#"):
        for one in check.resource.get("contained", ()):
            if isinstance(one, dict) and one.get("id") == text[1:]:
                return Made(one, str(one.get("resourceType")), None, found.at)
    type_name = target_type(found.value, check.resource) if isinstance(found.value, dict) else None
    return None if type_name is None else Made({"resourceType": type_name}, type_name, None, found.at)


def _conforms(check: Check, node: Node, found: Found) -> bool:
    urls = [url for one in node.types for url in (one[1] or one[2])]
    if not urls:
        return found.type in {one[0] for one in node.types}
    for url in urls:
        profile = check.known.profile(url)
        if profile is None:
            if check.known.type_of(url) == found.type:
                return True
        elif profile.type == found.type and (len(found.value) == 1 or check.conforms(profile, found)):
            return True
    return False


def _prefixed(node: Node, path: str, found: Found) -> bool:
    """A pattern above the discriminator's path decides: `code` discriminates, the slice itself has the pattern."""
    facts = node.facts
    if "pattern" in facts:
        return fits_pattern(found.value, facts["pattern"])
    return "fixed" in facts and same(found.value, facts["fixed"])


def _says(node: Node) -> bool:
    """Whether a node, or one below it, tells values apart."""
    return (
        not node.facts.keys().isdisjoint(("fixed", "pattern", "bind"))
        or any(map(_says, node.children.values()))
        or any(one.min and _says(one) for one in node.slices.values())
    )


def fits(check: Check, node: Node, found: Found) -> bool:
    """Whether a value has the fixed values, patterns and required codes of a node and of all below it."""
    from commonchart.fhir.profiles.check import children

    facts = node.facts
    if "fixed" in facts and not same(found.value, facts["fixed"]):
        return False
    if "pattern" in facts and not fits_pattern(found.value, facts["pattern"]):
        return False
    if "bind" in facts and not _coded(check, facts["bind"], found):
        return False
    for child in node.children.values():
        if _says(child):
            values = list(children(found, child.name))
            if not any(fits(check, child, value) for value in values):
                return False
    return True


def _coded(check: Check, bind: list[str], found: Found) -> bool:
    if bind[0] != "required":
        return True
    return any(check.member(bind[1], *pair) for pair in codings(found.value, found.type))
