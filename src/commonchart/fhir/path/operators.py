"""FHIRPath operators over typed collections. http://hl7.org/fhirpath/N1/#operations."""

from __future__ import annotations

import operator
from collections.abc import Callable
from decimal import Decimal, DecimalException
from typing import Any

from commonchart.fhir.outcome import Invalid, TooCostly
from commonchart.fhir.path.environment import Environment
from commonchart.fhir.path.moments import Moment, added
from commonchart.fhir.path.nodes import FALSE, TRUE, Collection, single_truth, system
from commonchart.fhir.path.quantities import Quantity, aligned, combined
from commonchart.fhir.path.values import distinct, equal, equivalent, held_in, is_number, one, order

Operator = Callable[[Collection, Collection, Environment], Collection]
MAX_TEXT = 1_000_000
MAX_INTEGER = 2**31
"""An Integer has 32 bits; what overflows is empty (http://hl7.org/fhirpath/N1/#math)."""


def union(left: Collection, right: Collection, environment: Environment | None = None) -> Collection:
    """Both collections without repeats."""
    if environment is not None:
        environment.spend(len(left) + len(right))
    return distinct([*left, *right], environment)


def _equals(left: Collection, right: Collection, environment: Environment) -> Collection:
    environment.spend(len(left))
    return system(equal(left, right))


def _differs(left: Collection, right: Collection, environment: Environment) -> Collection:
    environment.spend(len(left))
    same = equal(left, right)
    return [] if same is None else FALSE if same else TRUE


def _compared(holds: Callable[[int, int], bool]) -> Operator:
    def apply(left: Collection, right: Collection, environment: Environment) -> Collection:
        if not left or not right:
            return []
        found = order(one(left), one(right))
        return [] if found is None else system(holds(found, 0))

    return apply


def _within(left: Collection, right: Collection, environment: Environment) -> Collection:
    if not left:
        return []
    if len(left) > 1:
        raise Invalid("FHIRPath: `in` and `contains` ask about one value")
    environment.spend(len(right))
    return system(held_in(left[0], right))


# ---- logic -----------------------------------------------------------------------------------------------------


def both(a: bool | None, b: bool | None) -> bool | None:
    """Three-valued and."""
    if a is False or b is False:
        return False
    return None if a is None or b is None else True


def either(a: bool | None, b: bool | None) -> bool | None:
    """Three-valued or."""
    if a or b:
        return True
    return None if a is None or b is None else False


def implied(a: bool | None, b: bool | None) -> bool | None:
    """Three-valued implication."""
    if a is False or b:
        return True
    return None if a is None or b is None else False


def unlike(a: bool | None, b: bool | None) -> bool | None:
    """Three-valued exclusive or."""
    return None if a is None or b is None else a != b


def _logic(decide: Callable[[bool | None, bool | None], bool | None]) -> Operator:
    return lambda left, right, env: system(
        decide(single_truth(left, env.strict), single_truth(right, env.strict))
    )


# ---- arithmetic ------------------------------------------------------------------------------------------------


def bounded(value: Any) -> Any:
    """The number, None beyond what is represented. Raises TooCostly for a text longer than one may make."""
    if isinstance(value, str) and len(value) > MAX_TEXT:
        raise TooCostly("FHIRPath: the text made is too long")
    if type(value) is int and abs(value) >= MAX_INTEGER:
        return None
    if isinstance(value, Decimal) and (not value.is_finite() or abs(value.adjusted()) > 100):
        return None if not value.is_finite() or value.adjusted() > 0 else Decimal(0)
    return value


def _arithmetic(sign: str, compute: Callable[[Any, Any], Any]) -> Operator:
    def apply(left: Collection, right: Collection, environment: Environment) -> Collection:
        a, b = one(left), one(right)
        if a is None or b is None:
            return []
        if is_number(a) and is_number(b):
            try:
                return system(bounded(compute(a, b)))
            except (DecimalException, ZeroDivisionError):
                return []
        return system(_other(sign, a, b))

    return apply


def _other(sign: str, a: Any, b: Any) -> Any:
    if sign == "+" and type(a) is str and type(b) is str:
        return bounded(a + b)
    if isinstance(a, Moment) and isinstance(b, Quantity) and sign in "+-":
        return added(a, b.value if sign == "+" else -b.value, b.unit, b.calendar)
    if isinstance(a, Quantity) or isinstance(b, Quantity):
        return _measured(sign, a, b)
    raise Invalid(f"FHIRPath: {sign} is not defined for these values")


def _measured(sign: str, a: Any, b: Any) -> Quantity | None:
    x = Quantity(Decimal(a)) if is_number(a) else a
    y = Quantity(Decimal(b)) if is_number(b) else b
    if not isinstance(x, Quantity) or not isinstance(y, Quantity):
        raise Invalid(f"FHIRPath: {sign} is not defined for these values")
    if sign in "*/":
        return combined(x, y, sign)
    pair = aligned(x, y)
    if pair is None or sign not in "+-":
        return None
    return Quantity(pair[0] + pair[1] if sign == "+" else pair[0] - pair[1], x.unit, x.calendar)


def _whole(a: Any, b: Any) -> int | None:
    return int(a / b if isinstance(a, Decimal) or isinstance(b, Decimal) else _cut(a, b))


def _cut(a: int, b: int) -> int:
    found = abs(a) // abs(b)
    return found if (a < 0) == (b < 0) else -found


def _rest(a: Any, b: Any) -> Any:
    if isinstance(a, Decimal) or isinstance(b, Decimal):
        return Decimal(a) % Decimal(b)
    return a - b * _cut(a, b)


def _joined(left: Collection, right: Collection, environment: Environment) -> Collection:
    texts = [one(left), one(right)]
    if any(text is not None and not isinstance(text, str) for text in texts):
        raise Invalid("FHIRPath: & joins texts")
    return system(bounded("".join(text or "" for text in texts)))


OPERATORS: dict[str, Operator] = {
    "|": union,
    "=": _equals,
    "!=": _differs,
    "~": lambda left, right, env: system(equivalent(left, right)),
    "!~": lambda left, right, env: system(not equivalent(left, right)),
    "<": _compared(operator.lt),
    ">": _compared(operator.gt),
    "<=": _compared(operator.le),
    ">=": _compared(operator.ge),
    "and": _logic(both),
    "or": _logic(either),
    "xor": _logic(unlike),
    "implies": _logic(implied),
    "in": _within,
    "contains": lambda left, right, env: _within(right, left, env),
    "&": _joined,
    "+": _arithmetic("+", operator.add),
    "-": _arithmetic("-", operator.sub),
    "*": _arithmetic("*", operator.mul),
    "/": _arithmetic("/", lambda a, b: Decimal(a) / Decimal(b)),
    "div": _arithmetic("div", _whole),
    "mod": _arithmetic("mod", _rest),
}
