"""Trees into closures: an expression is parsed and compiled once, and evaluated many times.

`compiled` and `compile` are for paths over one resource (search); `evaluate` is the whole language in an environment;
`invariant` is a rule of the validator.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import lru_cache
from typing import Any

from commonchart.fhir.path import conditions, tree
from commonchart.fhir.path.environment import Environment
from commonchart.fhir.path.functions import FUNCTIONS
from commonchart.fhir.path.nodes import Collection, root, truth
from commonchart.fhir.path.parser import Node, parse
from commonchart.fhir.path.static import check

Step = Callable[[Collection], Collection]
CACHED = 4096
_NOWHERE = Environment(max_steps=1 << 62)


@lru_cache(CACHED)
def compiled(expression: str) -> Step:
    """The expression as a function from focus to typed collection. Raises Malformed."""
    return step_for(parse(expression))


def compile(expression: str) -> Callable[[dict[str, Any]], list[Any]]:
    """The expression as a function from a resource to plain values."""
    step = compiled(expression)
    return lambda resource: [value for value, _, _ in step(root(resource))]


def step_for(node: Node) -> Step:
    """A tree as a function from focus to collection, the focus being the resource where it is asked for."""
    step = tree.step(node)
    if _plain(node):
        return lambda focus: step(focus, _NOWHERE)

    def bounded(focus: Collection) -> Collection:
        environment = Environment(focus[0][0] if focus else None)
        environment.context = focus
        return step(focus, environment)

    return bounded


def _plain(node: Node) -> bool:
    """Whether it needs no environment and costs no more than the resource is long."""
    if node.kind in ("variable", "total", "index"):
        return False
    if node.kind == "call" and node.value not in FUNCTIONS:
        return False
    nested = node.kind == "call" and node.value in ("where", "select", "all", "exists")
    return all(
        _plain(part) and not (nested and at and _nests(part))
        for at, part in enumerate(node.parts)
        if isinstance(part, Node)
    )


def _nests(node: Node) -> bool:
    """Whether a step goes through a collection of its own, for every value of the outer one."""
    if node.kind == "call" and node.value in ("where", "select", "all") and len(node.parts) > 1:
        return True
    return any(_nests(part) for part in node.parts if isinstance(part, Node))


def holds(expression: str, resource: dict[str, Any]) -> bool:
    """Whether an expression is true of a resource (empty is not true)."""
    return truth(compiled(expression)(root(resource))) is True


@lru_cache(CACHED)
def invariant(expression: str) -> Callable[[Collection, Environment], bool | None]:
    """A rule as a function from (focus, environment) to whether it holds; None is empty, which breaks no rule.

    Raises Malformed at once for an expression that cannot be evaluated.
    """
    return conditions.condition(parse(expression))


@lru_cache(CACHED)
def _step(expression: str) -> tree.Step:
    return tree.step(parse(expression))


@lru_cache(CACHED)
def _examined(expression: str, type_name: str, ordered: bool) -> None:
    check(parse(expression), type_name, ordered=ordered)


def evaluate(
    expression: str,
    focus: Collection,
    environment: Environment,
    *,
    checked: bool = False,
    ordered: bool = False,
) -> Collection:
    """The collection that an expression gives for a focus.

    `checked` first refuses names that the type of the focus does not have; `ordered` also what asks for an order where
    there is none. Raises Malformed (the expression), Invalid (evaluation), TooCostly.
    """
    step = _step(expression)
    if checked or ordered:
        _examined(expression, focus[0][1] if focus else "", ordered)
    environment.context = focus
    try:
        return step(focus, environment.inner())
    except RecursionError:
        from commonchart.fhir.outcome import TooCostly

        raise TooCostly("FHIRPath: the expression is nested too deeply") from None
