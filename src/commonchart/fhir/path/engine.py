"""Trees into closures. The functions are those that the R4 search parameters need; others are refused by name."""

from __future__ import annotations

from collections.abc import Callable
from decimal import Decimal
from functools import cache
from typing import Any

from commonchart.fhir.outcome import Malformed, Unsupported
from commonchart.fhir.path.environment import Environment
from commonchart.fhir.path.functions import FUNCTIONS
from commonchart.fhir.path.nodes import Collection, children, is_a, root, system, truth
from commonchart.fhir.path.operators import OPERATORS
from commonchart.fhir.path.parser import Node, parse

Step = Callable[[Collection], Collection]


@cache
def compiled(expression: str) -> Step:
    """The expression as a function from focus to typed collection. Raises Malformed or Unsupported."""
    return _step(parse(expression))


def compile(expression: str) -> Callable[[dict[str, Any]], list[Any]]:
    """The expression as a function from a resource to plain values."""
    step = compiled(expression)
    return lambda resource: [value for value, _, _ in step(root(resource))]


def step_for(node: Node) -> Step:
    """A tree as a function from focus to collection."""
    return _step(node)


def _step(node: Node) -> Step:
    return _KINDS[node.kind](node)


def _literal(node: Node) -> Step:
    value = system(node.value)
    return lambda focus: value


def _moment(node: Node) -> Step:
    text = node.value[1:]
    kind = "time" if text.startswith("T") else "dateTime" if "T" in text else "date"
    value: Collection = [(text.removeprefix("T") if kind == "time" else text, kind, None)]
    return lambda focus: value


def _quantity(node: Node) -> Step:
    value: Collection = [({"value": Decimal(node.value[0]), "unit": node.value[1]}, "Quantity", None)]
    return lambda focus: value


def _child(node: Node) -> Step:
    name: str = node.value
    if node.parts:
        inner = _step(node.parts[0])
        return lambda focus: children(inner(focus), name)
    if not name[0].isupper():
        return lambda focus: children(focus, name)
    return lambda focus: [one for one in focus if is_a(one[1], name)]


def _variable(node: Node) -> Step:
    known = {
        "ucum": "http://unitsofmeasure.org",
        "sct": "http://snomed.info/sct",
        "loinc": "http://loinc.org",
    }
    if node.value in known:
        return _literal(Node("literal", known[node.value]))
    raise Unsupported(f"FHIRPath: the variable %{node.value} is not known here")


def _call(node: Node) -> Step:
    left, *arguments = node.parts
    source = _step(left) if left is not None else lambda focus: focus
    make = FUNCTIONS.get(node.value)
    if make is None:
        raise Unsupported(f"FHIRPath: the function {node.value}() is not offered")
    try:
        function = make(
            *(argument if isinstance(argument, str) else _step(argument) for argument in arguments)
        )
    except TypeError:
        raise Malformed(f"FHIRPath: {node.value}() takes other arguments") from None
    return lambda focus: function(source(focus))


def _at(node: Node) -> Step:
    source, index = _step(node.parts[0]), _step(node.parts[1])

    def step(focus: Collection) -> Collection:
        at = index(focus)
        nodes = source(focus)
        return nodes[at[0][0] : at[0][0] + 1] if at and type(at[0][0]) is int and at[0][0] >= 0 else []

    return step


def _type(node: Node) -> Step:
    source, wanted = _step(node.parts[0]), node.parts[1]
    if node.value == "as":
        return lambda focus: [one for one in source(focus) if is_a(one[1], wanted)]

    def step(focus: Collection) -> Collection:
        nodes = source(focus)
        return system(is_a(nodes[0][1], wanted)) if nodes else []

    return step


def _unary(node: Node) -> Step:
    inner = _step(node.parts[0])
    sign = -1 if node.value == "-" else 1
    return lambda focus: system(sign * found[0][0]) if (found := inner(focus)) else []


def _binary(node: Node) -> Step:
    left, right = (_step(part) for part in node.parts)
    apply = OPERATORS.get(node.value)
    if apply is None:
        raise Unsupported(f"FHIRPath: the operator {node.value} is not offered")
    return lambda focus: apply(left(focus), right(focus))


_KINDS: dict[str, Callable[[Node], Step]] = {
    "literal": _literal,
    "empty": lambda node: lambda focus: [],
    "moment": _moment,
    "quantity": _quantity,
    "variable": _variable,
    "this": lambda node: lambda focus: focus,
    "child": _child,
    "call": _call,
    "at": _at,
    "type": _type,
    "unary": _unary,
    "binary": _binary,
}


def holds(expression: str, resource: dict[str, Any]) -> bool:
    """Whether an expression is true of a resource (empty is not true)."""
    return truth(compiled(expression)(root(resource))) is True


@cache
def invariant(expression: str) -> Callable[[Collection, Environment], bool | None]:
    """A rule as a function from (focus, environment) to whether it holds; None is empty, which breaks no rule.

    Raises Malformed or Unsupported at once for an expression that cannot be evaluated.
    """
    step = compiled(expression)
    return lambda focus, environment: truth(step(focus))


def evaluate(expression: str, focus: Collection, environment: Environment) -> Collection:
    """The collection that an expression gives for a focus."""
    return compiled(expression)(focus)
