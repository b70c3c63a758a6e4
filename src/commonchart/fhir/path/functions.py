"""FHIRPath's functions on collections, and the table of all. http://hl7.org/fhirpath/N1/#functions.

Eager ones take the collection, the environment and their evaluated arguments; lazy ones are made from their compiled
arguments and take the collection, the focus and the environment.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import cmp_to_key
from typing import Any

from commonchart.fhir.outcome import Invalid, Malformed
from commonchart.fhir.path.conversion import CONVERSIONS
from commonchart.fhir.path.environment import Environment
from commonchart.fhir.path.moments import of_clock
from commonchart.fhir.path.nodes import FALSE, TRUE, Collection, Typed, single_truth, system, truth
from commonchart.fhir.path.numbers import NUMBERS
from commonchart.fhir.path.operators import union
from commonchart.fhir.path.resources import RESOURCES, ROUND, repeated
from commonchart.fhir.path.texts import TEXTS, text, whole
from commonchart.fhir.path.values import distinct, held_in, one, order

Step = Callable[[Collection, Environment], Collection]
Eager = Callable[..., Collection]
Lazy = Callable[[Collection, Collection, Environment], Collection]

# what a client's own search parameter may call: each costs no more than the resource is long
FUNCTIONS = frozenset(
    [
        "where",
        "select",
        "exists",
        "all",
        "not",
        "empty",
        "count",
        "first",
        "last",
        "tail",
        "single",
        "distinct",
        "union",
        "hasValue",
        "extension",
        "hasExtension",
        "ofType",
        "as",
        "is",
        "resolve",
    ]
)


def _first(nodes: Collection, environment: Environment) -> Collection:
    return nodes[:1]


def _single(nodes: Collection, environment: Environment) -> Collection:
    if len(nodes) > 1:
        if environment.strict:
            raise Invalid("FHIRPath: single() found several values")
        return []
    return nodes


def _skip(nodes: Collection, environment: Environment, number: Collection) -> Collection:
    count = whole(number)
    return [] if count is None else nodes[max(count, 0) :]


def _take(nodes: Collection, environment: Environment, number: Collection) -> Collection:
    count = whole(number)
    return [] if count is None else nodes[: max(count, 0)]


def _every(wanted: bool, any_of: bool) -> Eager:
    """allTrue and its siblings."""

    def apply(nodes: Collection, environment: Environment) -> Collection:
        values = [value for value, _, _ in nodes]
        if any(type(value) is not bool for value in values):
            raise Invalid("FHIRPath: truth values were expected")
        found = (value is wanted for value in values)
        return system(any(found) if any_of else all(found))

    return apply


def _not(nodes: Collection, environment: Environment) -> Collection:
    value = single_truth(nodes, environment.strict)
    return [] if value is None else FALSE if value else TRUE


def _subset(nodes: Collection, environment: Environment, other: Collection) -> Collection:
    environment.spend(len(nodes) * len(other))
    return system(all(held_in(node, other) for node in nodes))


def _superset(nodes: Collection, environment: Environment, other: Collection) -> Collection:
    return _subset(other, environment, nodes)


def _intersect(nodes: Collection, environment: Environment, other: Collection) -> Collection:
    environment.spend(len(nodes) * len(other))
    return distinct([node for node in nodes if held_in(node, other)], environment)


def _exclude(nodes: Collection, environment: Environment, other: Collection) -> Collection:
    environment.spend(len(nodes) * len(other))
    return [node for node in nodes if not held_in(node, other)]


def _combine(nodes: Collection, environment: Environment, other: Collection) -> Collection:
    environment.spend(len(nodes) + len(other))
    return [*nodes, *other]


def _is_distinct(nodes: Collection, environment: Environment) -> Collection:
    return system(len(distinct(nodes, environment)) == len(nodes))


def _clock(kind: str) -> Eager:
    def apply(nodes: Collection, environment: Environment) -> Collection:
        return system(of_clock(environment.now, kind)) if environment.now else []

    return apply


def _coalesce(nodes: Collection, environment: Environment, *options: Collection) -> Collection:
    return next((option for option in options if option), [])


EAGER: dict[str, tuple[Eager, int, int]] = {
    "empty": (lambda nodes, env: FALSE if nodes else TRUE, 0, 0),
    "count": (lambda nodes, env: system(len(nodes)), 0, 0),
    "not": (_not, 0, 0),
    "first": (_first, 0, 0),
    "last": (lambda nodes, env: nodes[-1:], 0, 0),
    "tail": (lambda nodes, env: nodes[1:], 0, 0),
    "single": (_single, 0, 0),
    "skip": (_skip, 1, 1),
    "take": (_take, 1, 1),
    "distinct": (lambda nodes, env: distinct(nodes, env), 0, 0),
    "isDistinct": (_is_distinct, 0, 0),
    "union": (lambda nodes, env, other: union(nodes, other, env), 1, 1),
    "combine": (_combine, 1, 1),
    "intersect": (_intersect, 1, 1),
    "exclude": (_exclude, 1, 1),
    "subsetOf": (_subset, 1, 1),
    "supersetOf": (_superset, 1, 1),
    "allTrue": (_every(True, False), 0, 0),
    "anyTrue": (_every(True, True), 0, 0),
    "allFalse": (_every(False, False), 0, 0),
    "anyFalse": (_every(False, True), 0, 0),
    "now": (_clock("dateTime"), 0, 0),
    "today": (_clock("date"), 0, 0),
    "timeOfDay": (_clock("time"), 0, 0),
    "coalesce": (_coalesce, 1, 10),
    **TEXTS,
    **NUMBERS,
    **CONVERSIONS,
    **RESOURCES,
}


# ---- lazy ------------------------------------------------------------------------------------------------------


def _numbered(step: Step) -> Callable[[Typed, int, Environment], Collection]:
    """A step on one node with its $index, in a scope of its own."""

    def apply(node: Typed, at: int, environment: Environment) -> Collection:
        scope = environment.inner()
        scope.index = at
        return step([node], scope)

    return apply


def _where(scoped: bool, condition: Step) -> Lazy:
    numbered = _numbered(condition)

    def apply(nodes: Collection, focus: Collection, environment: Environment) -> Collection:
        environment.spend(len(nodes))
        strict = environment.strict
        if scoped:
            return [
                node
                for at, node in enumerate(nodes)
                if single_truth(numbered(node, at, environment), strict) is True
            ]
        return [node for node in nodes if single_truth(condition([node], environment), strict) is True]

    return apply


def _select(scoped: bool, projection: Step) -> Lazy:
    numbered = _numbered(projection)

    def apply(nodes: Collection, focus: Collection, environment: Environment) -> Collection:
        environment.spend(len(nodes))
        if scoped:
            out = [found for at, node in enumerate(nodes) for found in numbered(node, at, environment)]
        else:
            out = [found for node in nodes for found in projection([node], environment)]
        environment.spend(len(out))
        return out

    return apply


def _exists(scoped: bool, condition: Step | None = None) -> Lazy:
    if condition is None:
        return lambda nodes, focus, environment: TRUE if nodes else FALSE
    narrowed = _where(scoped, condition)
    return lambda nodes, focus, environment: TRUE if narrowed(nodes, focus, environment) else FALSE


def _all(scoped: bool, condition: Step) -> Lazy:
    narrowed = _where(scoped, condition)
    return lambda nodes, focus, environment: (
        TRUE if len(narrowed(nodes, focus, environment)) == len(nodes) else FALSE
    )


def _repeat(scoped: bool, projection: Step) -> Lazy:
    def apply(nodes: Collection, focus: Collection, environment: Environment) -> Collection:
        scope = environment.inner() if scoped else environment

        def more(level: Collection) -> Collection:
            return [found for node in level for found in projection([node], scope)]

        return repeated(nodes, more, environment)

    return apply


def _repeat_all(scoped: bool, projection: Step) -> Lazy:
    """As repeat(), keeping what is equal; a projection that never ends is stopped by the bound on steps."""

    def apply(nodes: Collection, focus: Collection, environment: Environment) -> Collection:
        out: Collection = []
        level = nodes
        while level:
            level = [found for node in level for found in projection([node], environment)]
            environment.spend(ROUND + len(level))
            out += level
        return out

    return apply


def _aggregate(scoped: bool, step: Step, start: Step | None = None) -> Lazy:
    def apply(nodes: Collection, focus: Collection, environment: Environment) -> Collection:
        environment.spend(len(nodes))
        total = start(focus, environment) if start else []
        for at, node in enumerate(nodes):
            scope = environment.inner()
            scope.index, scope.total = at, total
            total = step([node], scope)
            environment.spend(len(total))
        return total

    return apply


def _iif(scoped: bool, condition: Step, then: Step, otherwise: Step | None = None) -> Lazy:
    def apply(nodes: Collection, focus: Collection, environment: Environment) -> Collection:
        if len(nodes) > 1 and environment.strict:
            raise Invalid("FHIRPath: iif() is asked of one value")
        found = condition(nodes, environment)
        if environment.strict and (len(found) > 1 or (found and type(found[0][0]) is not bool)):
            raise Invalid("FHIRPath: the condition of iif() is no truth value")
        if truth(found) is True:
            return then(nodes, environment)
        return otherwise(nodes, environment) if otherwise else []

    return apply


def _trace(scoped: bool, name: Step, projection: Step | None = None) -> Lazy:
    def apply(nodes: Collection, focus: Collection, environment: Environment) -> Collection:
        if environment.trace is not None:
            shown = nodes if projection is None else projection(nodes, environment)
            environment.trace(text(name(focus, environment)) or "", [value for value, _, _ in shown])
        return nodes

    return apply


def _define(scoped: bool, name: Step, value: Step | None = None) -> Lazy:
    def apply(nodes: Collection, focus: Collection, environment: Environment) -> Collection:
        called = text(name(focus, environment))
        if called is None or called in environment.variables or called in RESERVED:
            raise Invalid("FHIRPath: that variable cannot be defined here")
        environment.variables[called] = value(nodes, environment) if value else nodes
        return nodes

    return apply


RESERVED = frozenset({"context", "resource", "rootResource", "ucum", "sct", "loinc"})


def sorting(keys: list[tuple[Step, bool]]) -> Lazy:
    """sort(): by each key in turn, `True` for descending; what has no key comes first either way."""

    def compare(a: list[Any], b: list[Any]) -> int:
        for x, y, (_, falling) in zip(a, b, keys, strict=True):
            if (x is None) != (y is None):
                return -1 if x is None else 1
            found = (order(x, y) or 0) if x is not None else 0
            if found:
                return -found if falling else found
        return 0

    def apply(nodes: Collection, focus: Collection, environment: Environment) -> Collection:
        environment.spend(len(nodes) * (1 + len(nodes).bit_length()))
        held: list[tuple[list[Any], Typed]] = [
            ([one(step([node], environment)) for step, _ in keys], node) for node in nodes
        ]
        held.sort(key=cmp_to_key(lambda a, b: compare(a[0], b[0])))  # type: ignore[misc, index, unused-ignore]
        return [node for _, node in held]

    return apply


LAZY: dict[str, tuple[Callable[..., Lazy], int, int]] = {
    "where": (_where, 1, 1),
    "select": (_select, 1, 1),
    "exists": (_exists, 0, 1),
    "all": (_all, 1, 1),
    "repeat": (_repeat, 1, 1),
    "repeatAll": (_repeat_all, 1, 1),
    "aggregate": (_aggregate, 1, 2),
    "iif": (_iif, 2, 3),
    "trace": (_trace, 1, 2),
    "defineVariable": (_define, 1, 2),
}
NAMES = frozenset((*EAGER, *LAZY, "as", "is", "ofType", "sort"))


def checked(name: str, given: int, least: int, most: int) -> None:
    """Raise Malformed unless the function takes so many arguments."""
    if not least <= given <= most:
        raise Malformed(
            f"FHIRPath: {name}() takes {least if least == most else f'{least} to {most}'} arguments"
        )
