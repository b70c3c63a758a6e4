"""Nodes as System values, and when two of them are equal, equivalent, or in order.

http://hl7.org/fhirpath/N1/#equality, #equivalence, #comparison.
"""

from __future__ import annotations

from decimal import Decimal
from typing import Any

from commonchart.fhir.outcome import Invalid
from commonchart.fhir.path.environment import Environment
from commonchart.fhir.path.moments import Moment, compared, moment
from commonchart.fhir.path.nodes import Collection, Typed, offspring
from commonchart.fhir.path.quantities import Quantity, aligned, of_element

_KIND = {"date": "date", "dateTime": "dateTime", "instant": "dateTime", "time": "time"}
QUANTITIES = frozenset(
    {"Quantity", "Age", "Count", "Distance", "Duration", "SimpleQuantity", "MoneyQuantity"}
)


def plain(node: Typed) -> Any:
    """The System value of a node: bool, str, int, Decimal, Moment or Quantity; an element stays a dict. None has none."""
    value, type_name, _ = node
    if type_name in _KIND and isinstance(value, str):
        return moment(value, _KIND[type_name]) or value
    if type_name in QUANTITIES and type(value) is dict:
        return of_element(value)
    if type(value) is float:
        return Decimal(repr(value))
    return value


def one(nodes: Collection) -> Any:
    """The single System value, None when empty. Raises Invalid when there are several."""
    if not nodes:
        return None
    if len(nodes) > 1:
        raise Invalid("FHIRPath: one value was expected and there are several")
    return plain(nodes[0])


def is_number(value: Any) -> bool:
    """Whether it is an integer or a decimal."""
    return isinstance(value, int | Decimal) and not isinstance(value, bool)


# ---- equality --------------------------------------------------------------------------------------------------


def equal(left: Collection, right: Collection) -> bool | None:
    """`=`: None where either is empty or precision leaves it open; order counts."""
    if not left or not right:
        return None
    if len(left) != len(right):
        return False
    verdict: bool | None = True
    for a, b in zip(left, right, strict=True):
        same = same_node(a, b)
        if same is False:
            return False
        verdict = None if same is None else verdict
    return verdict


def same_node(a: Typed, b: Typed) -> bool | None:
    """Whether two nodes are equal; None when that cannot be told."""
    x, y = a[0], b[0]
    if type(x) is str and type(y) is str and a[1] not in _KIND and b[1] not in _KIND:
        return x == y
    if x is None or y is None:
        return x is y and a[2] == b[2]
    return same_value(_element_or_plain(a, b), _element_or_plain(b, a))


def _element_or_plain(a: Typed, b: Typed) -> Any:
    """Two FHIR elements are compared whole, a quantity and a literal by what they measure."""
    if type(a[0]) is dict and type(b[0]) is dict and a[1] not in QUANTITIES:
        return a[0]
    return plain(a)


def same_value(x: Any, y: Any) -> bool | None:
    """Whether two System values are equal."""
    if isinstance(x, Moment) or isinstance(y, Moment):
        return _same_moment(x, y)
    if isinstance(x, Quantity) or isinstance(y, Quantity):
        pair = _quantities(x, y)
        return _same_quantity(*pair) if pair else False
    if isinstance(x, bool) or isinstance(y, bool):
        return x is y
    if is_number(x) and is_number(y):
        return bool(x == y)
    return bool(type(x) is type(y) and x == y)


def _same_moment(x: Any, y: Any) -> bool | None:
    if not (isinstance(x, Moment) and isinstance(y, Moment)):
        text = x if isinstance(x, str) else y
        return text == str(y if text is x else x) if isinstance(text, str) else False
    if (x.kind == "time") != (y.kind == "time"):
        return False
    order = compared(x, y)
    return None if order is None else order == 0


def _quantities(x: Any, y: Any) -> tuple[Quantity, Quantity] | None:
    a = Quantity(Decimal(x)) if is_number(x) else x
    b = Quantity(Decimal(y)) if is_number(y) else y
    return (a, b) if isinstance(a, Quantity) and isinstance(b, Quantity) else None


def _same_quantity(a: Quantity, b: Quantity) -> bool | None:
    pair = aligned(a, b)
    if pair is None:
        return None
    return pair[0] == pair[1] or _close(*pair)


def _close(x: Decimal, y: Decimal) -> bool:
    """Equal to 12 digits: conversion factors are not all exact."""
    return abs(x - y) <= max(abs(x), abs(y)) * Decimal("1e-12")


# ---- equivalence -----------------------------------------------------------------------------------------------


def equivalent(left: Collection, right: Collection) -> bool:
    """`~`: the same regardless of order, case, spacing, trailing zeros and needless precision."""
    if len(left) != len(right):
        return False
    if len(left) == 1:
        return alike(left[0], right[0])
    rest = list(right)
    for a in left:
        at = next((i for i, b in enumerate(rest) if alike(a, b)), None)
        if at is None:
            return False
        rest.pop(at)
    return True


def alike(a: Typed, b: Typed) -> bool:
    """Whether two nodes are equivalent."""
    x, y = _element_or_plain(a, b), _element_or_plain(b, a)
    if type(x) is str and type(y) is str:
        return x.casefold().split() == y.casefold().split()
    if isinstance(x, bool) or isinstance(y, bool):
        return x is y
    if is_number(x) and is_number(y):
        return _rounded_alike(Decimal(x), Decimal(y), x, y)
    if isinstance(x, Moment) and isinstance(y, Moment):
        return compared(x, y) == 0
    if isinstance(x, Quantity) or isinstance(y, Quantity):
        return _alike_quantities(x, y)
    if type(x) is dict and type(y) is dict:
        return _alike_elements(a, b)
    return bool(type(x) is type(y) and x == y)


def _places(value: Any) -> int:
    exponent = Decimal(value).normalize().as_tuple().exponent
    return max(0, -exponent) if isinstance(exponent, int) else 0


def _rounded_alike(x: Decimal, y: Decimal, first: Any, second: Any) -> bool:
    places = Decimal(1).scaleb(-min(_places(first), _places(second), 20))
    try:
        return x.quantize(places) == y.quantize(places)
    except ArithmeticError:
        return x == y


def _alike_quantities(x: Any, y: Any) -> bool:
    quantities = _quantities(x, y)
    pair = aligned(*quantities, loosely=True) if quantities else None
    if quantities is None or pair is None:
        return False
    return _close(*pair) or _rounded_alike(*pair, quantities[0].value, quantities[1].value)


def _alike_elements(a: Typed, b: Typed) -> bool:
    if a[0] == b[0]:
        return True
    ours = [one for one in offspring([a]) if not (one[1] == "id" or one[0] is None)]
    theirs = [one for one in offspring([b]) if not (one[1] == "id" or one[0] is None)]
    return equivalent(ours, theirs)


# ---- order -----------------------------------------------------------------------------------------------------


def order(x: Any, y: Any) -> int | None:
    """-1, 0, 1; None where it is open. Raises Invalid for values that have no order between them."""
    if (is_number(x) and is_number(y)) or (type(x) is str and type(y) is str):
        return int(x > y) - int(x < y)
    if isinstance(x, Moment) and isinstance(y, str):
        y = moment(y, x.kind)
    elif isinstance(y, Moment) and isinstance(x, str):
        x = moment(x, y.kind)
    if isinstance(x, Moment) and isinstance(y, Moment) and (x.kind == "time") == (y.kind == "time"):
        return compared(x, y)
    if isinstance(x, Quantity) or isinstance(y, Quantity):
        quantities = _quantities(x, y)
        if quantities:
            pair = aligned(*quantities)
            return (
                None if pair is None else (0 if _close(*pair) else (pair[0] > pair[1]) - (pair[0] < pair[1]))
            )
    if x is None or y is None:
        return None
    raise Invalid("FHIRPath: these values have no order between them")


# ---- sets ------------------------------------------------------------------------------------------------------


def key(node: Typed) -> Any:
    """Something hashable that equal nodes share, None where only a comparison tells."""
    value, type_name, _ = node
    if type(value) is str and type_name not in _KIND:
        return value
    if type(value) is bool:
        return (value,)
    if type(value) is int or type(value) is Decimal:
        return ("n", value)
    if type(value) is dict and type_name not in QUANTITIES:
        return ("d", len(value), *(v for v in value.values() if type(v) is str))
    return None


def distinct(nodes: Collection, environment: Environment | None = None) -> Collection:
    """Each node once, the first of equals."""
    if len(nodes) < 2:
        return nodes
    out: Collection = []
    seen: dict[Any, Collection] = {}
    for node in nodes:
        held = seen.setdefault(key(node), [])
        if held and environment is not None:
            environment.spend(len(held))
        if not any(node is other or same_node(node, other) for other in held):
            held.append(node)
            out.append(node)
    return out


def held_in(node: Typed, nodes: Collection) -> bool:
    """Whether the collection has a node equal to this one."""
    return any(same_node(node, other) for other in nodes)
