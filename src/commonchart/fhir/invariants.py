"""The invariants of FHIR R4, compiled once per type. http://hl7.org/fhir/R4/conformance-rules.html#constraints.

Most rules ask only which elements are there: those become plain Python (`presence`), the rest goes through FHIRPath.
A rule whose answer is empty is not broken. `NATIVE` rules are checked by `fhir.validate` itself, on structure.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from decimal import Decimal
from functools import cache
from typing import Any

from msgspec import Struct

from commonchart.fhir import dates
from commonchart.fhir.definitions import r4
from commonchart.fhir.outcome import Invalid, Refused
from commonchart.fhir.path.engine import invariant
from commonchart.fhir.path.environment import Environment
from commonchart.fhir.path.parser import Node, parse

Holds = Callable[..., bool | None]
Present = Callable[[dict[str, Any]], bool]

NATIVE = frozenset(
    {
        "ele-1",
        "ext-1",
        "ref-1",
        "txt-1",
        "txt-2",
        "dom-2",
        "dom-3",
        "dom-4",
        "dom-5",
        "dom-6",
        "per-1",
        "rng-2",
    }
    | {"obs-7"}
)

MAX_STEPS = 200_000


class Rule(Struct, frozen=True):
    """One invariant: `holds(value, type, environment, sibling)`; `needs` are JSON names without which it cannot be broken."""

    key: str
    severity: str
    holds: Holds
    needs: frozenset[str] = frozenset()


@cache
def rules(type_name: str) -> tuple[Rule, ...]:
    """The rules of a type or inline structure, and those of the element that the structure is."""
    out = [made for row in r4().rules(type_name) if (made := rule(type_name, *row)) is not None]
    parent, _, name = type_name.rpartition(".")
    if parent and name in r4().elements(parent):
        own = r4().elements(parent)[name].rules
        out += [made for row in own if (made := rule(type_name, *row)) is not None]
    return tuple(out)


@cache
def unchecked() -> frozenset[str]:
    """Keys of rules that the FHIRPath engine cannot evaluate."""
    out = set()
    for type_name in r4().structure_names():
        for key, _, expression in _rows(type_name):
            if key not in NATIVE and _compiled(type_name, expression) is None:
                out.add(key)
    return frozenset(out)


def _rows(type_name: str) -> list[tuple[str, str, str]]:
    own = [row for element in r4().elements(type_name).values() for row in element.rules]
    return [(key, severity, text) for key, severity, text in (*r4().rules(type_name), *own)]


def rule(type_name: str, key: str, severity: str, expression: str) -> Rule | None:
    """One rule compiled; None for one that `fhir.validate` checks on structure, or that cannot be evaluated."""
    if key in NATIVE:
        return None
    holds = _compiled(type_name, expression)
    return Rule(key, severity, holds, _needs(type_name, expression)) if holds is not None else None


def _compiled(type_name: str, expression: str) -> Holds | None:
    plain = presence(type_name, expression)
    if plain is not None:
        return lambda value, type_, environment, sibling=None: plain(value)
    try:
        holds = invariant(expression)
    except Refused:
        return None

    def through_path(value: Any, type_: str, environment: Environment, sibling: Any = None) -> bool | None:
        try:
            return holds([(value, type_, sibling)], environment)
        except Refused:
            return None

    return through_path


# ---- rules of presence -----------------------------------------------------------------------------------------


@cache
def presence(type_name: str, expression: str) -> Present | None:
    """The expression as a question about which JSON properties are there; None when it asks for more than that."""
    try:
        return _present(type_name, parse(expression))
    except (Refused, AttributeError, TypeError, IndexError):
        return None


def _present(type_name: str, node: Node) -> Present | None:
    if node.kind == "binary":
        left, right = (_present(type_name, part) for part in node.parts)
        if left is None or right is None:
            return None
        return _join(node.value, left, right)
    if node.kind != "call" or len(node.parts) != 1 or node.parts[0] is None:
        return None
    if node.value == "not":
        inner = _present(type_name, node.parts[0])
        return None if inner is None else lambda value: not inner(value)
    names = _names(type_name, node.parts[0])
    if names is None or node.value not in ("exists", "empty"):
        return None
    if node.value == "exists":
        return lambda value: not names.isdisjoint(value)
    return lambda value: names.isdisjoint(value)


def _join(operator: str, left: Present, right: Present) -> Present | None:
    joined: dict[str, Present] = {
        "or": lambda value: left(value) or right(value),
        "and": lambda value: left(value) and right(value),
        "xor": lambda value: left(value) != right(value),
        "!=": lambda value: left(value) != right(value),
        "=": lambda value: left(value) == right(value),
        "implies": lambda value: not left(value) or right(value),
    }
    return joined.get(operator)


def _names(type_name: str, node: Node) -> frozenset[str] | None:
    if node.kind != "child" or node.parts:
        return None
    return spellings(type_name, node.value)


@cache
def spellings(type_name: str, name: str) -> frozenset[str] | None:
    """Every JSON property that holds this element or a primitive's extensions; None when there is no such element."""
    elements = r4().elements(type_name)
    element = elements.get(name) or elements.get(f"{name}[x]")
    if element is None:
        return None
    spelled = element.spelled()
    return frozenset((*spelled, *(f"_{one}" for one in spelled)))


_GUARD = re.compile(r"([a-z]\w*)[\w.]*\.(?:empty\(\) or|exists\(\) implies) ")


def _needs(type_name: str, expression: str) -> frozenset[str]:
    """Names of the element without which the rule is true: `x.empty() or ...`, `x.exists() implies ...`."""
    found = _GUARD.match(expression)
    if found is None:
        return frozenset()
    rest = expression[found.end() :]
    if " xor " in rest or (" implies " in rest and found[0].endswith("or ")):
        return frozenset()
    return spellings(type_name, found[1]) or frozenset()


# ---- rules by hand ---------------------------------------------------------------------------------------------


def period_in_order(value: Mapping[str, Any]) -> bool:
    """per-1: the start does not lie after the end, as far as their precision says."""
    start, end = value.get("start"), value.get("end")
    if not isinstance(start, str) or not isinstance(end, str):
        return True
    if start <= end and start[-1] == end[-1]:
        return True
    try:
        return dates.bounds(start)[0] < dates.bounds(end)[1]
    except (Invalid, ValueError):
        return True


def range_in_order(value: Mapping[str, Any]) -> bool:
    """rng-2: low is not above high; different units are not compared."""
    low, high = value.get("low"), value.get("high")
    if not isinstance(low, dict) or not isinstance(high, dict):
        return True
    if low.get("code") != high.get("code") or low.get("unit") != high.get("unit"):
        return True
    least, most = low.get("value"), high.get("value")
    numbers = (int, float, Decimal)
    return not (isinstance(least, numbers) and isinstance(most, numbers)) or least <= most


def component_repeats_code(value: Mapping[str, Any]) -> bool:
    """obs-7 is broken: there is a value, and a component has the code of the whole."""
    if not isinstance(value.get("component"), list) or not any(
        name.removeprefix("_").startswith("value") for name in value
    ):
        return False
    own = _codings(value.get("code"))
    return any(own & _codings(one.get("code")) for one in value["component"] if isinstance(one, dict))


def _codings(concept: Any) -> set[str]:
    found = concept.get("coding") if isinstance(concept, dict) else None
    return (
        {repr(sorted(c.items())) for c in found if isinstance(c, dict)} if isinstance(found, list) else set()
    )


def pointed_at(value: Any) -> set[str]:
    """Every text in it that begins with `#`: references, canonicals, uris and urls."""
    out: set[str] = set()
    rest = [value]
    while rest:
        one = rest.pop()
        if type(one) is dict:
            rest.extend(one.values())
        elif type(one) is list:
            rest.extend(one)
        elif type(one) is str and one.startswith("#"):
            out.add(one)
    return out
