"""Expressions that are asked for their truth only: no collection is built where none is needed.

Invariants, and the criteria of where(), exists() and all(), are of a few forms: presence, emptiness, a count, equality
with a literal, and logic over these. http://hl7.org/fhirpath/N1/#boolean-logic.
"""

from __future__ import annotations

import operator
from collections.abc import Callable
from typing import Any

from commonchart.fhir.path.environment import Environment
from commonchart.fhir.path.nodes import FALSE, TRUE, Collection, children, single_truth
from commonchart.fhir.path.operators import both, either, implied, unlike
from commonchart.fhir.path.parser import Node

Condition = Callable[[Collection, Environment], bool | None]
Step = Callable[[Collection, Environment], Collection]
LOGIC = frozenset({"and", "or", "xor", "implies"})
_ORDER = {"<": operator.lt, ">": operator.gt, "<=": operator.le, ">=": operator.ge, "=": operator.eq}


def condition(node: Node) -> Condition:
    """A tree as a function from (focus, environment) to true, false or None (empty)."""
    special = _special(node)
    if special is not None:
        return special
    step = _step(node)

    def apply(focus: Collection, environment: Environment) -> bool | None:
        return single_truth(step(focus, environment), environment.strict)

    return apply


def as_step(test: Condition) -> Step:
    """A condition as a collection."""

    def apply(focus: Collection, environment: Environment) -> Collection:
        found = test(focus, environment)
        return TRUE if found is True else FALSE if found is False else []

    return apply


def _step(node: Node) -> Step:
    from commonchart.fhir.path import tree

    return tree.step(node)


def _special(node: Node) -> Condition | None:
    if node.kind == "binary":
        if node.value in LOGIC:
            return _logic(node)
        return _counted(node) or _literally(node)
    if node.kind == "call" and node.parts[0] is not None:
        return _called(node)
    return None


# ---- logic -----------------------------------------------------------------------------------------------------


def _logic(node: Node) -> Condition:
    from commonchart.fhir.path.tree import scoped

    left, right = condition(node.parts[0]), condition(node.parts[1])
    if scoped(node):
        left, right = _inside(left), _inside(right)
    return _LOGIC[node.value](left, right)


def _inside(test: Condition) -> Condition:
    return lambda focus, environment: test(focus, environment.inner())


def _and(left: Condition, right: Condition) -> Condition:
    def apply(focus: Collection, environment: Environment) -> bool | None:
        a = left(focus, environment)
        return False if a is False else both(a, right(focus, environment))

    return apply


def _or(left: Condition, right: Condition) -> Condition:
    def apply(focus: Collection, environment: Environment) -> bool | None:
        a = left(focus, environment)
        return True if a else either(a, right(focus, environment))

    return apply


def _implies(left: Condition, right: Condition) -> Condition:
    def apply(focus: Collection, environment: Environment) -> bool | None:
        a = left(focus, environment)
        return True if a is False else implied(a, right(focus, environment))

    return apply


def _xor(left: Condition, right: Condition) -> Condition:
    return lambda focus, environment: unlike(left(focus, environment), right(focus, environment))


_LOGIC: dict[str, Callable[[Condition, Condition], Condition]] = {
    "and": _and,
    "or": _or,
    "xor": _xor,
    "implies": _implies,
}


# ---- presence --------------------------------------------------------------------------------------------------


def _called(node: Node) -> Condition | None:
    name, source, *arguments = node.value, *node.parts
    if name == "not" and not arguments:
        inner = condition(source)

        def opposite(focus: Collection, environment: Environment) -> bool | None:
            found = inner(focus, environment)
            return None if found is None else not found

        return opposite
    if name in ("exists", "empty") and not arguments:
        return _present(source, name == "exists")
    return None


def _present(source: Node, wanted: bool) -> Condition:
    if source.kind == "child" and source.value[0].islower():
        inner = _step(source.parts[0]) if source.parts else None
        return _has(inner, source.value, wanted)
    step = _step(source)
    if wanted:
        return lambda focus, environment: bool(step(focus, environment))
    return lambda focus, environment: not step(focus, environment)


def _has(inner: Step | None, name: str, wanted: bool) -> Condition:
    """Whether a child of that name is there."""
    absent = not wanted

    def apply(focus: Collection, environment: Environment) -> bool:
        nodes = focus if inner is None else inner(focus, environment)
        return wanted if children(nodes, name) else absent

    return apply


# ---- comparison with a literal ---------------------------------------------------------------------------------


def _counted(node: Node) -> Condition | None:
    """`x.count() > 1`."""
    left, right = node.parts
    compare = _ORDER.get(node.value)
    if compare is None or left.kind != "call" or left.value != "count" or left.parts[0] is None:
        return None
    if right.kind != "literal" or type(right.value) is not int or len(left.parts) > 1:
        return None
    step, number = _step(left.parts[0]), right.value
    return lambda focus, environment: compare(len(step(focus, environment)), number)


def _literally(node: Node) -> Condition | None:
    """`path = 'text'`, either way round equality or its opposite."""
    left, right = node.parts
    if node.value not in ("=", "!=") or right.kind != "literal" or type(right.value) is not str:
        return None
    if left.kind != "child":
        return None
    step, text, same = _step(left), right.value, node.value == "="
    slow = _step(Node("binary", "=", node.parts))

    def apply(focus: Collection, environment: Environment) -> bool | None:
        nodes = step(focus, environment)
        if not nodes:
            return None
        if len(nodes) == 1 and type(nodes[0][0]) is str:
            return (nodes[0][0] == text) is same
        found: Any = slow(focus, environment)
        return None if not found else found[0][0] is same

    return apply


# ---- filters ---------------------------------------------------------------------------------------------------


def filtering(name: str, criteria: Node) -> Callable[[Collection, Collection, Environment], Collection]:
    """where(), exists() and all() with their criteria as a condition."""
    test = condition(criteria)

    def where(nodes: Collection, focus: Collection, environment: Environment) -> Collection:
        environment.spend(len(nodes))
        return [node for node in nodes if test([node], environment) is True]

    def exists(nodes: Collection, focus: Collection, environment: Environment) -> Collection:
        environment.spend(len(nodes))
        return TRUE if any(test([node], environment) is True for node in nodes) else FALSE

    def every(nodes: Collection, focus: Collection, environment: Environment) -> Collection:
        environment.spend(len(nodes))
        return TRUE if all(test([node], environment) is True for node in nodes) else FALSE

    return {"where": where, "exists": exists, "all": every}[name]
