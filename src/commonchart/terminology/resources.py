"""CodeSystem and ConceptMap resources as values. http://hl7.org/fhir/R4/codesystem.html, conceptmap.html."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from commonchart.fhir.outcome import Invalid, TooCostly
from commonchart.terminology.maps import ConceptMap, Entry
from commonchart.terminology.systems import CodeSystem, Concept, Designation

MAX_CONCEPTS = 2_000_000
MAX_DEPTH = 60
OFF = frozenset({"retired", "inactive", "entered-in-error"})
PARENT = frozenset({"parent", "subsumedBy"})

Object = Mapping[str, Any]


def code_system(resource: Object) -> CodeSystem:
    """A CodeSystem resource. Raises Invalid for a shape it cannot have, TooCostly when it is nested too deeply."""
    if resource.get("resourceType") != "CodeSystem" or not isinstance(resource.get("url"), str):
        raise Invalid("This is not a CodeSystem with a url", at="url")
    rows: dict[str, tuple[Object, list[str]]] = {}
    listed: list[tuple[str, Object]] = []
    for concept, above in _nested(resource, (), 0):
        code = text(concept, "code")
        if code in rows:
            rows[code][1].extend(above)
            continue
        rows[code] = (concept, list(above))
        listed.append((code, concept))
    for code, concept in listed:
        for child in _values(concept, frozenset({"child"})):
            if child in rows:
                rows[child][1].append(code)
    return CodeSystem(
        url=resource["url"],
        version=text(resource, "version"),
        name=text(resource, "title") or text(resource, "name"),
        content=text(resource, "content") or "complete",
        types={p["code"]: p.get("type", "string") for p in objects(resource, "property") if "code" in p},
        copyright=text(resource, "copyright"),
        concepts=[_concept(code, concept, rows[code][1]) for code, concept in listed],
    )


def _nested(holder: Object, above: tuple[str, ...], depth: int) -> Iterator[tuple[Object, tuple[str, ...]]]:
    if depth > MAX_DEPTH:
        raise TooCostly(f"Concepts are nested more than {MAX_DEPTH} deep")
    for concept in objects(holder, "concept"):
        code = text(concept, "code")
        if not code:
            raise Invalid("A concept has no code", at="CodeSystem.concept.code")
        yield concept, above
        yield from _nested(concept, (code,), depth + 1)


def _concept(code: str, concept: Object, above: list[str]) -> Concept:
    properties = tuple(_properties(concept))
    off = any(
        (name == "inactive" and value == "true") or (name == "status" and value in OFF)
        for name, value in properties
    )
    return Concept(
        code,
        text(concept, "display"),
        tuple(dict.fromkeys((*above, *_values(concept, PARENT)))),
        tuple((name, value) for name, value in properties if name not in PARENT and name != "child"),
        tuple(designation(one) for one in objects(concept, "designation") if "value" in one),
        off,
    )


def designation(one: Object) -> Designation:
    """A designation element."""
    use = one.get("use")
    return Designation(
        text(one, "value"), text(one, "language"), text(use, "code") if isinstance(use, dict) else ""
    )


def _properties(concept: Object) -> Iterator[tuple[str, str]]:
    for one in objects(concept, "property"):
        for key, value in one.items():
            if key.startswith("value") and "code" in one:
                yield text(one, "code"), _value(value)


def _values(concept: Object, names: frozenset[str]) -> list[str]:
    return [value for name, value in _properties(concept) if name in names]


def _value(value: Any) -> str:
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, dict):
        return text(value, "code")
    return str(value)


def text(holder: Object, name: str) -> str:
    """A text of an object, "" without it. Raises Invalid for what is no text."""
    value = holder.get(name, "")
    if not isinstance(value, str):
        raise Invalid(f"{name} is a text", at=name)
    return value


def objects(holder: Object, name: str) -> Sequence[Object]:
    """A list of objects, empty without it. Raises Invalid."""
    found = holder.get(name, [])
    if not isinstance(found, list) or not all(isinstance(one, dict) for one in found):
        raise Invalid(f"{name} is a list of objects", at=name)
    return found


# ---- concept maps ----------------------------------------------------------------------------------------------


def concept_map(resource: Object) -> ConceptMap:
    """A ConceptMap resource. Raises Invalid."""
    if resource.get("resourceType") != "ConceptMap":
        raise Invalid("This is not a ConceptMap", at="conceptMap")
    entries: list[Entry] = []
    other: dict[tuple[str, str], tuple[str, str, str]] = {}
    for group in objects(resource, "group"):
        source, target = text(group, "source"), text(group, "target")
        for element in objects(group, "element"):
            entries += _entries(source, target, element)
        unmapped = group.get("unmapped")
        if isinstance(unmapped, dict):
            other[source, target] = (text(unmapped, "mode"), text(unmapped, "code"), text(unmapped, "url"))
    return ConceptMap(
        text(resource, "url"),
        text(resource, "version"),
        text(resource, "title") or text(resource, "name"),
        _end(resource, "source"),
        _end(resource, "target"),
        tuple(entries),
        other,
    )


def _end(resource: Object, which: str) -> str:
    return text(resource, f"{which}Uri") or text(resource, f"{which}Canonical")


def _entries(source: str, target: str, element: Object) -> Iterator[Entry]:
    code = text(element, "code")
    for one in objects(element, "target"):
        conditional = bool(objects(one, "dependsOn"))
        kind = text(one, "equivalence") or "relatedto"
        yield Entry(source, code, target, text(one, "code"), kind, text(one, "display"), conditional)
