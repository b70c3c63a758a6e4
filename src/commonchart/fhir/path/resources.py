"""The functions that FHIR adds. http://hl7.org/fhir/R4/fhirpath.html#functions."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any

from commonchart.fhir.definitions import r4
from commonchart.fhir.outcome import Invalid
from commonchart.fhir.path.environment import Environment
from commonchart.fhir.path.nodes import (
    INFO,
    Collection,
    Typed,
    children,
    is_a,
    offspring,
    resolved,
    root,
    system,
)
from commonchart.fhir.path.texts import text
from commonchart.fhir.path.values import distinct, key, plain, same_node

Eager = Callable[..., Collection]
ROUND = 10
"""What one round of repeat() costs, beside the values it finds."""
CORE = "http://hl7.org/fhir/StructureDefinition/"


def _extension(nodes: Collection, environment: Environment, url: Collection) -> Collection:
    wanted = text(url)
    return [
        node
        for node in children(nodes, "extension")
        if wanted is not None and type(node[0]) is dict and node[0].get("url") == wanted
    ]


def _has_value(nodes: Collection, environment: Environment) -> Collection:
    return system(len(nodes) == 1 and nodes[0][0] is not None and type(nodes[0][0]) is not dict)


def _get_value(nodes: Collection, environment: Environment) -> Collection:
    if len(nodes) != 1 or type(nodes[0][0]) is dict:
        return []
    return system(plain(nodes[0]))


def _resolve(nodes: Collection, environment: Environment) -> Collection:
    environment.spend(len(nodes))
    found = (_target(node[0], environment) for node in nodes)
    return [target for target in found if target is not None]


def _target(value: Any, environment: Environment) -> Typed | None:
    reference = value.get("reference") if isinstance(value, dict) else value
    if not isinstance(reference, str):
        return None
    here = _inside(reference, environment)
    if here is None and environment.resolver is not None:
        here = environment.resolver(reference)
    if here is not None:
        return root(here)[0]
    return None if reference.startswith("#") else resolved(reference)


def _inside(reference: str, environment: Environment) -> dict[str, Any] | None:
    """What the resource, or the bundle it is in, holds under this reference."""
    for outer in (environment.resource, environment.root_resource):
        if not isinstance(outer, dict):
            continue
        if reference.startswith("#"):
            for held in _dicts(outer.get("contained")):
                if held.get("id") == reference[1:]:
                    return held
            if reference == "#":
                return outer
        for entry in _dicts(outer.get("entry")):
            if entry.get("fullUrl") == reference and isinstance(entry.get("resource"), dict):
                found: dict[str, Any] = entry["resource"]
                return found
    return None


def _dicts(value: Any) -> Iterable[dict[str, Any]]:
    return (one for one in value if isinstance(one, dict)) if isinstance(value, list) else ()


def _descendants(nodes: Collection, environment: Environment) -> Collection:
    out: Collection = []
    level = offspring(nodes)
    while level:
        environment.spend(len(level))
        out += level
        level = offspring(level)
    return out


def _children(nodes: Collection, environment: Environment) -> Collection:
    found = offspring(nodes)
    environment.spend(len(found))
    return found


def _type(nodes: Collection, environment: Environment) -> Collection:
    return [({"namespace": space, "name": name}, INFO, None) for space, name in map(_names, nodes)]


def _names(node: Typed) -> tuple[str, str]:
    space, _, name = node[1].rpartition(".")
    return ("System", name) if space == "System" else ("FHIR", node[1])


def _conforms(nodes: Collection, environment: Environment, profile: Collection) -> Collection:
    wanted = text(profile)
    if not nodes or wanted is None:
        return []
    bare = wanted.removeprefix(CORE)
    if bare != wanted and (bare in r4().bases or r4().is_primitive(bare)):
        return system(is_a(nodes[0][1], bare))
    known = environment.profiles(nodes[0][0], wanted) if environment.profiles else None
    if known is None:
        raise Invalid("FHIRPath: the profile is not known here", code="not-found")
    return system(known)


def _codings(node: Typed) -> list[tuple[str | None, str]]:
    value = node[0]
    if isinstance(value, str):
        return [(None, value)]
    if not isinstance(value, dict):
        return []
    held = value.get("coding") if "coding" in value else [value]
    return [(one.get("system"), one["code"]) for one in _dicts(held) if isinstance(one.get("code"), str)]


def _member_of(nodes: Collection, environment: Environment, value_set: Collection) -> Collection:
    wanted = text(value_set)
    if len(nodes) != 1 or wanted is None or environment.terminology is None:
        return []
    answers = [environment.terminology.member_of(wanted, *coding) for coding in _codings(nodes[0])]
    if True in answers:
        return system(True)
    return [] if None in answers else system(False)


def _subsumption(turned: bool) -> Eager:
    def apply(nodes: Collection, environment: Environment, other: Collection) -> Collection:
        ask = getattr(environment.terminology, "subsumes", None)
        if len(nodes) != 1 or len(other) != 1 or ask is None:
            return []
        above, below = (other, nodes) if turned else (nodes, other)
        verdicts = [
            ask(system_, a, b)
            for system_, a in _codings(above[0])
            for other_system, b in _codings(below[0])
            if system_ == other_system and system_
        ]
        if any(verdict in ("subsumes", "equivalent") for verdict in verdicts):
            return system(True)
        return [] if None in verdicts else system(False)

    return apply


def _modifiers(nodes: Collection, environment: Environment, *known: Collection) -> Collection:
    allowed = {text(one) for one in known}
    if any(node[0].get("url") not in allowed for node in children(nodes, "modifierExtension") if node[0]):
        raise Invalid("FHIRPath: there is a modifier extension that is not known")
    return nodes


def _html(nodes: Collection, environment: Environment) -> Collection:
    """Whether it is one div; the rules of narrative are the validator's."""
    value = text(nodes)
    return [] if value is None else system(value.lstrip().startswith("<div") and value.rstrip().endswith(">"))


def repeated(
    nodes: Collection, more: Callable[[Collection], Collection], environment: Environment
) -> Collection:
    """What `more` finds, and what it finds in that, each once."""
    out: Collection = []
    seen: dict[Any, Collection] = {}
    level = nodes
    while level:
        environment.spend(ROUND + len(level))
        fresh: Collection = []
        for node in distinct(more(level)):
            held = seen.setdefault(key(node), [])
            environment.spend(len(held))
            if not any(node is other or same_node(node, other) for other in held):
                held.append(node)
                fresh.append(node)
        out += fresh
        level = fresh
    return out


RESOURCES: dict[str, tuple[Eager, int, int]] = {
    "extension": (_extension, 1, 1),
    "hasExtension": (lambda nodes, env, url: system(bool(_extension(nodes, env, url))), 1, 1),
    "hasValue": (_has_value, 0, 0),
    "getValue": (_get_value, 0, 0),
    "resolve": (_resolve, 0, 0),
    "children": (_children, 0, 0),
    "descendants": (_descendants, 0, 0),
    "type": (_type, 0, 0),
    "conformsTo": (_conforms, 1, 1),
    "memberOf": (_member_of, 1, 1),
    "subsumes": (_subsumption(False), 1, 1),
    "subsumedBy": (_subsumption(True), 1, 1),
    "checkModifiers": (_modifiers, 0, 20),
    "htmlChecks": (_html, 0, 0),
}
