"""Each kind of node as a closure over its compiled parts."""

from __future__ import annotations

from collections.abc import Callable
from decimal import Decimal
from typing import Any

from commonchart.fhir.outcome import Invalid, Malformed
from commonchart.fhir.path import conditions
from commonchart.fhir.path.environment import Environment
from commonchart.fhir.path.functions import EAGER, LAZY, checked, sorting
from commonchart.fhir.path.moments import moment
from commonchart.fhir.path.nodes import (
    FALSE,
    TRUE,
    Collection,
    children,
    is_a,
    is_exactly,
    root,
    system,
    wanted_type,
)
from commonchart.fhir.path.operators import OPERATORS
from commonchart.fhir.path.parser import Node
from commonchart.fhir.path.quantities import WORDS, Quantity
from commonchart.fhir.path.texts import whole
from commonchart.fhir.path.values import is_number, one

Step = Callable[[Collection, Environment], Collection]
_KNOWN = {
    "ucum": "http://unitsofmeasure.org",
    "sct": "http://snomed.info/sct",
    "loinc": "http://loinc.org",
}
_PREFIXES = {
    "vs-": "http://hl7.org/fhir/ValueSet/",
    "cs-": "http://hl7.org/fhir/",
    "ext-": "http://hl7.org/fhir/StructureDefinition/",
}
_SCOPES = frozenset({"index", "total"})


def step(node: Node) -> Step:
    """A tree as a function from (focus, environment) to a collection. Raises Malformed for what is not the language."""
    return _KINDS[node.kind](node)


def constant(value: Collection) -> Step:
    """Always the same."""
    return lambda focus, environment: value


def _literal(node: Node) -> Step:
    return constant(system(node.value))


def _moment(node: Node) -> Step:
    text = node.value[1:]
    found = moment(text[1:], "time") if text.startswith("T") else moment(text)
    if found is None:
        raise Malformed("FHIRPath: there is no such date or time")
    return constant(system(found))


def _quantity(node: Node) -> Step:
    value, unit, word = node.value
    return constant(system(Quantity(Decimal(value), unit, word and unit in WORDS)))


def _child(node: Node) -> Step:
    name: str = node.value
    if node.parts:
        inner = step(node.parts[0])
        return lambda focus, environment: children(inner(focus, environment), name)
    if not name[0].isupper():
        return lambda focus, environment: children(focus, name)

    def rooted(focus: Collection, environment: Environment) -> Collection:
        return [node for node in focus if is_a(node[1], name)]

    return rooted


def _variable(node: Node) -> Step:
    name: str = node.value
    if name in _KNOWN:
        return _literal(Node("literal", _KNOWN[name]))
    for prefix, url in _PREFIXES.items():
        if name.startswith(prefix):
            return _literal(Node("literal", url + name.removeprefix(prefix)))
    if name in ("resource", "rootResource", "context"):
        return _SURROUNDINGS[name]

    def apply(focus: Collection, environment: Environment) -> Collection:
        found = environment.variables.get(name)
        if found is None:
            raise Invalid("FHIRPath: there is no variable of that name", code="not-found")
        return found

    return apply


def _outer(resource: Any) -> Collection:
    return root(resource) if isinstance(resource, dict) else []


_SURROUNDINGS: dict[str, Step] = {
    "resource": lambda focus, environment: _outer(environment.resource),
    "rootResource": lambda focus, environment: _outer(environment.root_resource),
    "context": lambda focus, environment: focus if environment.context is None else environment.context,
}


def scoped(node: Any) -> bool:
    """Whether a tree asks for $index or $total, or defines variables, and so needs a scope of its own."""
    if not isinstance(node, Node):
        return False
    if node.kind in _SCOPES or (node.kind == "call" and node.value == "defineVariable"):
        return True
    return any(scoped(part) for part in node.parts)


def _call(node: Node) -> Step:
    left, *arguments = node.parts
    name: str = node.value
    source = step(left) if left is not None else _this
    if name in ("is", "as", "ofType"):
        return _typed(name, source, arguments)
    if name in LAZY or name == "sort":
        lazy = _lazy(name, arguments)
        return lambda focus, environment: lazy(source(focus, environment), focus, environment)
    found = EAGER.get(name)
    if found is None:
        raise Malformed("FHIRPath: there is no function of that name", code="not-found")
    function, least, most = found
    checked(name, len(arguments), least, most)
    return _eager(function, source, [_argument(argument) for argument in arguments])


def _argument(node: Node) -> Step:
    """An argument; in a scope of its own where it defines variables."""
    inner = step(node)
    if not _defines(node):
        return inner
    return lambda focus, environment: inner(focus, environment.inner())


def _defines(node: Any) -> bool:
    if not isinstance(node, Node):
        return False
    return (node.kind == "call" and node.value == "defineVariable") or any(map(_defines, node.parts))


def _eager(function: Callable[..., Collection], source: Step, arguments: list[Step]) -> Step:
    if not arguments:
        return lambda focus, environment: function(source(focus, environment), environment)
    if len(arguments) == 1:
        only = arguments[0]
        return lambda focus, environment: function(
            source(focus, environment), environment, only(focus, environment)
        )
    return lambda focus, environment: function(
        source(focus, environment), environment, *(argument(focus, environment) for argument in arguments)
    )


def _lazy(name: str, arguments: list[Any]) -> Callable[[Collection, Collection, Environment], Collection]:
    if name == "sort":
        return sorting([_sort_key(argument) for argument in arguments] or [(_this, False)])
    make, least, most = LAZY[name]
    checked(name, len(arguments), least, most)
    inner = any(scoped(argument) for argument in arguments)
    if name in ("where", "exists", "all") and arguments and not inner:
        return conditions.filtering(name, arguments[0])
    return make(inner, *(_argument(argument) for argument in arguments))


def _sort_key(node: Node) -> tuple[Step, bool]:
    """A leading minus means falling order, on texts as on numbers."""
    if node.kind == "unary" and node.value == "-":
        return step(node.parts[0]), True
    return step(node), False


def _typed(name: str, source: Step, arguments: list[Any]) -> Step:
    checked(name, len(arguments), 1, 1)
    wanted: str = arguments[0]
    wanted_type(wanted)
    if name == "ofType":
        return lambda focus, environment: [
            node for node in source(focus, environment) if is_exactly(node[1], wanted)
        ]
    return _is(source, wanted) if name == "is" else _as(source, wanted)


def _as(source: Step, wanted: str) -> Step:
    def apply(focus: Collection, environment: Environment) -> Collection:
        nodes = source(focus, environment)
        if len(nodes) > 1 and environment.strict:
            raise Invalid("FHIRPath: `as` is asked of one value")
        return [node for node in nodes if is_exactly(node[1], wanted)]

    return apply


def _is(source: Step, wanted: str) -> Step:
    def apply(focus: Collection, environment: Environment) -> Collection:
        nodes = source(focus, environment)
        if not nodes:
            return []
        if len(nodes) > 1 and environment.strict:
            raise Invalid("FHIRPath: `is` is asked of one value")
        return TRUE if is_a(nodes[0][1], wanted) else FALSE

    return apply


def _type(node: Node) -> Step:
    return _typed(node.value, step(node.parts[0]), [node.parts[1]])


def _at(node: Node) -> Step:
    source, index = step(node.parts[0]), step(node.parts[1])

    def apply(focus: Collection, environment: Environment) -> Collection:
        at = whole(index(focus, environment))
        return [] if at is None or at < 0 else source(focus, environment)[at : at + 1]

    return apply


def _unary(node: Node) -> Step:
    inner = step(node.parts[0])
    sign = -1 if node.value == "-" else 1

    def apply(focus: Collection, environment: Environment) -> Collection:
        value = one(inner(focus, environment))
        if value is None:
            return []
        if isinstance(value, Quantity):
            return system(Quantity(sign * value.value, value.unit, value.calendar))
        if not is_number(value):
            raise Invalid(f"FHIRPath: {node.value} is not defined for this value")
        return system(sign * value if value else abs(value))

    return apply


def _binary(node: Node) -> Step:
    if node.value in conditions.LOGIC:
        return conditions.as_step(conditions.condition(node))
    left, right = (step(part) for part in node.parts)
    apply = OPERATORS.get(node.value)
    if apply is None:
        raise Malformed("FHIRPath: there is no operator of that name")
    if scoped(node):
        return lambda focus, environment: apply(
            left(focus, environment.inner()), right(focus, environment.inner()), environment
        )
    return lambda focus, environment: apply(left(focus, environment), right(focus, environment), environment)


def _this(focus: Collection, environment: Environment) -> Collection:
    return focus


def _index(focus: Collection, environment: Environment) -> Collection:
    return system(environment.index)


def _total(focus: Collection, environment: Environment) -> Collection:
    return environment.total


_KINDS: dict[str, Callable[[Node], Step]] = {
    "literal": _literal,
    "empty": lambda node: constant([]),
    "moment": _moment,
    "quantity": _quantity,
    "variable": _variable,
    "this": lambda node: _this,
    "index": lambda node: _index,
    "total": lambda node: _total,
    "child": _child,
    "call": _call,
    "at": _at,
    "type": _type,
    "unary": _unary,
    "binary": _binary,
}
