"""The functions on numbers, and what is known to so many digits. http://hl7.org/fhirpath/N1/#math."""

from __future__ import annotations

from collections.abc import Callable
from decimal import ROUND_CEILING, ROUND_DOWN, ROUND_FLOOR, ROUND_HALF_UP, Decimal, DecimalException
from typing import Any

import msgspec

from commonchart.fhir.outcome import Invalid
from commonchart.fhir.path import moments
from commonchart.fhir.path.environment import Environment
from commonchart.fhir.path.moments import Moment
from commonchart.fhir.path.nodes import Collection, system
from commonchart.fhir.path.operators import bounded
from commonchart.fhir.path.quantities import Quantity
from commonchart.fhir.path.texts import whole
from commonchart.fhir.path.values import is_number, one

Eager = Callable[..., Collection]
MAX_DIGITS = 31
MAX_POWER = 1_000


def _on_number(compute: Callable[..., Any], quantities: bool = False) -> Eager:
    def apply(nodes: Collection, environment: Environment, *arguments: Collection) -> Collection:
        value, others = one(nodes), [one(argument) for argument in arguments]
        if value is None or None in others:
            return []
        if quantities and isinstance(value, Quantity):
            return system(msgspec.structs.replace(value, value=compute(value.value, *others)))
        if not is_number(value) or any(not is_number(other) for other in others):
            raise Invalid("FHIRPath: a number was expected")
        try:
            return system(bounded(compute(value, *others)))
        except (DecimalException, ZeroDivisionError, OverflowError):
            return []

    return apply


def _rounded(value: Any, digits: int = 0) -> Decimal:
    if not isinstance(digits, int) or not 0 <= digits <= MAX_DIGITS:
        raise Invalid(f"FHIRPath: round() takes 0 to {MAX_DIGITS} digits")
    return Decimal(value).quantize(Decimal(1).scaleb(-digits), ROUND_HALF_UP)


def _root(value: Any) -> Decimal | None:
    return Decimal(value).sqrt() if value >= 0 else None


def _logarithm(value: Any) -> Decimal | None:
    return Decimal(value).ln() if value > 0 else None


def _log(value: Any, base: Any) -> Decimal | None:
    if value <= 0 or base <= 0 or base == 1:
        return None
    found = Decimal(value).log10() / Decimal(base).log10()
    near = found.quantize(Decimal("1e-20"))
    return near.to_integral_value() + Decimal("0.0") if near == near.to_integral_value() else found


def _power(value: Any, exponent: Any) -> Any:
    if abs(exponent) > MAX_POWER or (value < 0 and exponent != int(exponent)):
        return None
    if isinstance(value, int) and isinstance(exponent, int) and exponent >= 0:
        return value**exponent if value.bit_length() * exponent < 128 else None
    return Decimal(value) ** Decimal(exponent)


# ---- precision and boundaries ----------------------------------------------------------------------------------


def _precision(nodes: Collection, environment: Environment) -> Collection:
    value = one(nodes)
    if isinstance(value, Moment):
        return system(moments.precision(value))
    return system(_places(value)) if is_number(value) else []


def _places(value: Any) -> int:
    exponent = Decimal(value).as_tuple().exponent
    return max(0, -exponent) if isinstance(exponent, int) else 0


def _boundary(high: bool) -> Eager:
    def apply(nodes: Collection, environment: Environment, *arguments: Collection) -> Collection:
        value = one(nodes)
        digits = whole(arguments[0]) if arguments else None
        if value is None or (arguments and digits is None):
            return []
        if isinstance(value, Moment):
            return system(moments.boundary(value, digits, high))
        if isinstance(value, Quantity):
            edge = _decimal_edge(value.value, digits, high)
            return [] if edge is None else system(msgspec.structs.replace(value, value=edge))
        if not is_number(value):
            raise Invalid("FHIRPath: only a number, a quantity or a moment has boundaries")
        return system(_decimal_edge(Decimal(value), digits, high))

    return apply


def _decimal_edge(value: Decimal, digits: int | None, high: bool) -> Decimal | None:
    """Half a unit of the last place away. To fewer digits than that has: cut when towards zero, rounded when away."""
    wanted = 8 if digits is None else digits
    if not 0 <= wanted <= MAX_DIGITS:
        return None
    half = Decimal(5).scaleb(-_places(value) - 1)
    edge = value + half if high else value - half
    away = high == (edge > 0)
    try:
        found = edge.quantize(Decimal(1).scaleb(-wanted), ROUND_HALF_UP if away else ROUND_DOWN)
    except DecimalException:
        return None
    return abs(found) if found == 0 else found


def _whole_of(rounding: str) -> Callable[[Any], int]:
    return lambda value: int(Decimal(value).to_integral_value(rounding))


NUMBERS: dict[str, tuple[Eager, int, int]] = {
    "abs": (_on_number(abs, quantities=True), 0, 0),
    "ceiling": (_on_number(_whole_of(ROUND_CEILING)), 0, 0),
    "floor": (_on_number(_whole_of(ROUND_FLOOR)), 0, 0),
    "truncate": (_on_number(_whole_of(ROUND_DOWN)), 0, 0),
    "round": (_on_number(_rounded), 0, 1),
    "sqrt": (_on_number(_root), 0, 0),
    "exp": (_on_number(lambda value: Decimal(value).exp() if abs(value) < MAX_POWER else None), 0, 0),
    "ln": (_on_number(_logarithm), 0, 0),
    "log": (_on_number(_log), 1, 1),
    "power": (_on_number(_power), 1, 1),
    "precision": (_precision, 0, 0),
    "lowBoundary": (_boundary(False), 0, 1),
    "highBoundary": (_boundary(True), 0, 1),
}
