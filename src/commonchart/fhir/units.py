"""UCUM units behind three questions: is this a unit, can these be compared, how much is it in another one.

https://ucum.org/ucum. The grammar and the table are ucumvert's; it is imported when first asked, since it is slow to.
"""

from __future__ import annotations

import re
from decimal import Decimal, DecimalException
from functools import cache, lru_cache
from typing import Any

from msgspec import Struct

MAX_LENGTH = 100
_ARBITRARY = re.compile(r"\[[A-Za-z'0-9]*(?:U|'U)\]|\[pH\]|\[[A-Z]FU\]")
_ANNOTATION = re.compile(r"\{[^{}]*\}")
_PRINTABLE = re.compile(r"[!-~]+")


class Unit(Struct, frozen=True):
    """A unit as an affine map to its base units: base = value * factor + offset. `kind` names its dimension."""

    kind: str
    factor: Decimal
    offset: Decimal


@cache
def _registry() -> Any:
    from ucumvert import PintUcumRegistry  # type: ignore[import-untyped, unused-ignore]

    return PintUcumRegistry()


@lru_cache(4096)
def unit(code: str) -> Unit | None:
    """What a UCUM code means; None when it is no unit, or one that is no linear scale."""
    plain = _ANNOTATION.sub("", code)
    if not code or len(code) > MAX_LENGTH or not _PRINTABLE.fullmatch(plain or "1"):
        return None
    if plain in ("", "1"):
        return Unit("dimensionless", Decimal(1), Decimal(0))
    try:
        return _measured(code)
    except Exception:  # the grammar and the registry raise many kinds, none of which is our caller's concern
        return None


def _measured(code: str) -> Unit | None:
    registry = _registry()
    found = registry.from_ucum(code)
    if not hasattr(found, "to_base_units"):
        return None
    if found.magnitude != 1:
        one, zero = found.to_base_units().magnitude, 0.0
    else:
        one = registry.Quantity(1, found.units).to_base_units().magnitude
        zero = registry.Quantity(0, found.units).to_base_units().magnitude
    arbitrary = sorted(_ARBITRARY.findall(code))
    return Unit(f"{found.dimensionality} {' '.join(arbitrary)}".strip(), _exact(one - zero), _exact(zero))


def _exact(number: float) -> Decimal:
    return Decimal(f"{number:.14g}")


@lru_cache(4096)
def valid(code: str) -> bool:
    """Whether this is a well-formed UCUM code of known units (special scales such as [pH] included)."""
    if unit(code) is not None:
        return True
    if not code or len(code) > MAX_LENGTH or not _PRINTABLE.fullmatch(_ANNOTATION.sub("", code) or "1"):
        return False
    try:
        from ucumvert import get_ucum_parser

        _parser(get_ucum_parser).parse(code)
    except Exception:
        return False
    return True


@cache
def _parser(make: Any) -> Any:
    return make()


def comparable(a: str, b: str) -> bool:
    """Whether values in these units measure the same kind of thing."""
    if a == b:
        return valid(a)
    left, right = unit(a), unit(b)
    return left is not None and right is not None and left.kind == right.kind


def convert(value: Decimal, source: str, target: str) -> Decimal | None:
    """A value in another unit; None when the two cannot be compared. Exact for equal units, else to 14 digits."""
    if source == target:
        return value
    left, right = unit(source), unit(target)
    if left is None or right is None or left.kind != right.kind or not right.factor:
        return None
    try:
        found = (value * left.factor + left.offset - right.offset) / right.factor
        return found.normalize() if found == found.to_integral_value() else _rounded(found)
    except DecimalException:
        return None


def _rounded(value: Decimal) -> Decimal:
    return Decimal(f"{value:.13g}")
