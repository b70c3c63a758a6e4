"""FHIRPath operators over typed collections. http://hl7.org/fhirpath/N1/#operations."""

from __future__ import annotations

import operator
from collections.abc import Callable
from decimal import Decimal
from typing import Any

from commonchart.fhir.path.nodes import Collection, system, truth

Operator = Callable[[Collection, Collection], Collection]


def union(left: Collection, right: Collection) -> Collection:
    """Both collections without repeats."""
    out: Collection = []
    for node in (*left, *right):
        if not any(node is seen or (node[0] == seen[0] and node[0] is not None) for seen in out):
            out.append(node)
    return out


def _equal(left: Collection, right: Collection) -> bool | None:
    if not left or not right:
        return None
    return len(left) == len(right) and all(a[0] == b[0] for a, b in zip(left, right, strict=True))


def _compared(compare: Callable[[Any, Any], bool]) -> Operator:
    def apply(left: Collection, right: Collection) -> Collection:
        if not left or not right:
            return []
        a, b = left[0][0], right[0][0]
        numbers = all(isinstance(x, int | Decimal) for x in (a, b))
        return system(compare(a, b)) if numbers or type(a) is type(b) is str else []

    return apply


def _logic(decide: Callable[[bool | None, bool | None], bool | None]) -> Operator:
    return lambda left, right: system(decide(truth(left), truth(right)))


def _and(a: bool | None, b: bool | None) -> bool | None:
    if a is False or b is False:
        return False
    return None if a is None or b is None else True


def _or(a: bool | None, b: bool | None) -> bool | None:
    if a or b:
        return True
    return None if a is None or b is None else False


def _implies(a: bool | None, b: bool | None) -> bool | None:
    if a is False or b:
        return True
    return None if a is None or b is None else False


def _in(left: Collection, right: Collection) -> Collection:
    return system(any(left[0][0] == one[0] for one in right)) if left else []


def _opposite(value: bool | None) -> bool | None:
    return None if value is None else not value


OPERATORS: dict[str, Operator] = {
    "|": union,
    "=": lambda left, right: system(_equal(left, right)),
    "!=": lambda left, right: system(_opposite(_equal(left, right))),
    "<": _compared(operator.lt),
    ">": _compared(operator.gt),
    "<=": _compared(operator.le),
    ">=": _compared(operator.ge),
    "and": _logic(_and),
    "or": _logic(_or),
    "xor": _logic(lambda a, b: None if a is None or b is None else a != b),
    "implies": _logic(_implies),
    "in": _in,
    "contains": lambda left, right: _in(right, left),
    "&": lambda left, right: system("".join(str(side[0][0]) if side else "" for side in (left, right))),
}
