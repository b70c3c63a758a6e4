"""toX() and convertsToX(). http://hl7.org/fhirpath/N1/#conversion."""

from __future__ import annotations

import re
from collections.abc import Callable
from decimal import Decimal
from typing import Any

from commonchart.fhir import units
from commonchart.fhir.path.environment import Environment
from commonchart.fhir.path.moments import Moment, moment
from commonchart.fhir.path.nodes import Collection, system
from commonchart.fhir.path.operators import MAX_INTEGER
from commonchart.fhir.path.quantities import WORDS, Quantity, aligned
from commonchart.fhir.path.texts import text
from commonchart.fhir.path.values import is_number, one

Eager = Callable[..., Collection]
_INTEGER = re.compile(r"[+-]?\d{1,18}")
_DECIMAL = re.compile(r"[+-]?\d{1,40}(?:\.\d{1,40})?")
_QUANTITY = re.compile(r"([+-]?\d{1,40}(?:\.\d{1,40})?)\s*(?:'([^']*)'|([A-Za-z]+))?")
_TRUE = {"true", "t", "yes", "y", "1", "1.0"}
_FALSE = {"false", "f", "no", "n", "0", "0.0"}


def _integer(value: Any) -> int | None:
    if isinstance(value, int):
        return int(value)
    if isinstance(value, str) and _INTEGER.fullmatch(value):
        return bounded_integer(int(value))
    return None


def bounded_integer(value: int) -> int | None:
    """The value where it is one of 32 bits, from -2147483648 to 2147483647."""
    return value if -MAX_INTEGER <= value < MAX_INTEGER else None


def _decimal(value: Any) -> Decimal | None:
    if isinstance(value, int | Decimal):
        return Decimal(value)
    return Decimal(value) if isinstance(value, str) and _DECIMAL.fullmatch(value) else None


def _boolean(value: Any) -> bool | None:
    if isinstance(value, bool):
        return value
    if is_number(value):
        return bool(value) if value in (0, 1) else None
    if isinstance(value, str):
        return True if value.lower() in _TRUE else False if value.lower() in _FALSE else None
    return None


def shown(value: Any) -> str | None:
    """A System value as text, as toString() gives it; None for an element."""
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, Decimal):
        return format(value, "f")
    return str(value) if isinstance(value, int | str | Moment | Quantity) else None


def _date(value: Any) -> Moment | None:
    found = _moment(value)
    return Moment("date", found.fields[:3]) if found and found.kind != "time" else None


def _datetime(value: Any) -> Moment | None:
    found = _moment(value)
    if found is None or found.kind == "time":
        return None
    return Moment("dateTime", found.fields, found.zone)


def _time(value: Any) -> Moment | None:
    if isinstance(value, Moment):
        return value if value.kind == "time" else None
    return moment(value, "time") if isinstance(value, str) and not value.startswith("T") else None


def _moment(value: Any) -> Moment | None:
    return value if isinstance(value, Moment) else moment(value) if isinstance(value, str) else None


def _quantity(value: Any) -> Quantity | None:
    if isinstance(value, Quantity):
        return value
    if isinstance(value, bool):
        return Quantity(Decimal("1.0") if value else Decimal("0.0"))
    if is_number(value):
        return Quantity(Decimal(value))
    found = _QUANTITY.fullmatch(value) if isinstance(value, str) else None
    if found is None or (found[3] is not None and found[3] not in WORDS):
        return None
    if found[3]:
        return Quantity(Decimal(found[1]), found[3], True)
    return Quantity(Decimal(found[1]), found[2] or "1")


def _to(convert: Callable[[Any], Any]) -> Eager:
    def apply(nodes: Collection, environment: Environment) -> Collection:
        value = one(nodes)
        return [] if value is None else system(convert(value))

    return apply


def _converts(convert: Callable[[Any], Any]) -> Eager:
    def apply(nodes: Collection, environment: Environment) -> Collection:
        value = one(nodes)
        return [] if value is None else system(convert(value) is not None)

    return apply


def _quantity_in(nodes: Collection, unit: Collection) -> Quantity | None:
    value = one(nodes)
    found = None if value is None else _quantity(value)
    wanted = text(unit)
    if found is None or wanted is None:
        return None
    pair = aligned(Quantity(Decimal(1), wanted, wanted in WORDS), found)
    return None if pair is None else Quantity(pair[1], wanted, wanted in WORDS)


def _to_quantity(nodes: Collection, environment: Environment, *unit: Collection) -> Collection:
    return system(_quantity_in(nodes, unit[0])) if unit else _to(_quantity)(nodes, environment)


def _converts_to_quantity(nodes: Collection, environment: Environment, *unit: Collection) -> Collection:
    if not nodes:
        return []
    return (
        system(_quantity_in(nodes, unit[0]) is not None) if unit else _converts(_quantity)(nodes, environment)
    )


def _comparable(nodes: Collection, environment: Environment, other: Collection) -> Collection:
    a, b = one(nodes), one(other)
    if not isinstance(a, Quantity) or not isinstance(b, Quantity):
        return []
    left, right = a.code(True), b.code(True)
    return system(left is not None and right is not None and units.comparable(left, right))


_ALL: dict[str, Callable[[Any], Any]] = {
    "Boolean": _boolean,
    "Integer": _integer,
    "Decimal": _decimal,
    "String": shown,
    "Date": _date,
    "DateTime": _datetime,
    "Time": _time,
}
CONVERSIONS: dict[str, tuple[Eager, int, int]] = {
    **{f"to{name}": (_to(convert), 0, 0) for name, convert in _ALL.items()},
    **{f"convertsTo{name}": (_converts(convert), 0, 0) for name, convert in _ALL.items()},
    "toQuantity": (_to_quantity, 0, 1),
    "convertsToQuantity": (_converts_to_quantity, 0, 1),
    "comparable": (_comparable, 1, 1),
}
