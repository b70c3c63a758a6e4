"""FHIRPath functions, each made from its compiled arguments. http://hl7.org/fhirpath/N1/#functions."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from commonchart.fhir.path.nodes import Collection, Typed, children, is_a, resolved, system, truth
from commonchart.fhir.path.operators import union

Step = Callable[[Collection], Collection]


def _where(condition: Step) -> Step:
    return lambda nodes: [one for one in nodes if truth(condition([one])) is True]


def _select(projection: Step) -> Step:
    return lambda nodes: [found for one in nodes for found in projection([one])]


def _exists(condition: Step | None = None) -> Step:
    if condition is None:
        return lambda nodes: system(bool(nodes))
    narrowed = _where(condition)
    return lambda nodes: system(bool(narrowed(nodes)))


def _all(condition: Step) -> Step:
    return lambda nodes: system(all(truth(condition([one])) is True for one in nodes))


def _not() -> Step:
    return lambda nodes: [] if (value := truth(nodes)) is None else system(not value)


def _extension(url: Step) -> Step:
    def step(nodes: Collection) -> Collection:
        wanted = url(nodes)
        found = children(nodes, "extension")
        return [one for one in found if wanted and one[0].get("url") == wanted[0][0]]

    return step


def _has_extension(url: Step) -> Step:
    inner = _extension(url)
    return lambda nodes: system(bool(inner(nodes)))


def _of_type(wanted: str) -> Step:
    return lambda nodes: [one for one in nodes if is_a(one[1], wanted)]


def _is(wanted: str) -> Step:
    return lambda nodes: system(is_a(nodes[0][1], wanted)) if nodes else []


def _resolve() -> Step:
    def stub(node: Typed) -> Typed | None:
        value: Any = node[0]
        return resolved(value.get("reference") if isinstance(value, dict) else value)

    return lambda nodes: [found for one in nodes if (found := stub(one)) is not None]


def _tail() -> Step:
    return lambda nodes: nodes[1:]


def _has_value() -> Step:
    return lambda nodes: system(
        len(nodes) == 1 and nodes[0][0] is not None and not isinstance(nodes[0][0], dict)
    )


def _distinct() -> Step:
    return lambda nodes: union(nodes, [])


FUNCTIONS: dict[str, Callable[..., Step]] = {
    "where": _where,
    "select": _select,
    "exists": _exists,
    "all": _all,
    "not": _not,
    "empty": lambda: lambda nodes: system(not nodes),
    "count": lambda: lambda nodes: system(len(nodes)),
    "first": lambda: lambda nodes: nodes[:1],
    "last": lambda: lambda nodes: nodes[-1:],
    "tail": _tail,
    "single": lambda: lambda nodes: nodes if len(nodes) == 1 else [],
    "distinct": _distinct,
    "union": lambda other: lambda nodes: union(nodes, other(nodes)),
    "hasValue": _has_value,
    "extension": _extension,
    "hasExtension": _has_extension,
    "ofType": _of_type,
    "as": _of_type,
    "is": _is,
    "resolve": _resolve,
}
