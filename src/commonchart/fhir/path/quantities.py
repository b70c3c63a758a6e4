"""Quantities: a decimal with a UCUM or a calendar unit, converted where that is possible."""

from __future__ import annotations

from decimal import Decimal, DecimalException
from typing import Any

from msgspec import Struct

from commonchart.fhir import units

UCUM = "http://unitsofmeasure.org"
CALENDAR = {
    "week": "wk",
    "day": "d",
    "hour": "h",
    "minute": "min",
    "second": "s",
    "millisecond": "ms",
}
LOOSE = {"year": "a", "month": "mo"}
WORDS = frozenset((*CALENDAR, *LOOSE, *(f"{word}s" for word in (*CALENDAR, *LOOSE))))


class Quantity(Struct, frozen=True):
    """A value and its unit: a UCUM code, or a word of the calendar (`years`) where `calendar` is set."""

    value: Decimal
    unit: str = "1"
    calendar: bool = False

    def __str__(self) -> str:
        """As its literal."""
        return f"{self.value:f} {self.unit}" if self.calendar else f"{self.value:f} '{self.unit}'"

    def code(self, loosely: bool = False) -> str | None:
        """The UCUM code it can be computed with; years and months have one only when a month may be any month."""
        if not self.calendar:
            return self.unit
        word = self.unit.removesuffix("s")
        return CALENDAR.get(word) or (LOOSE.get(word) if loosely else None)


def of_element(value: dict[str, Any]) -> Quantity | None:
    """A FHIR Quantity as a System.Quantity; None without a value, or with a comparator."""
    number = value.get("value")
    if isinstance(number, bool) or not isinstance(number, int | Decimal) or "comparator" in value:
        return None
    code = value.get("code") if value.get("system") == UCUM else None
    unit = code or value.get("code") or value.get("unit") or "1"
    return Quantity(Decimal(number), str(unit))


def aligned(a: Quantity, b: Quantity, loosely: bool = False) -> tuple[Decimal, Decimal] | None:
    """Both values in the unit of the first; None when they cannot be compared."""
    if a.unit.removesuffix("s") == b.unit.removesuffix("s") and a.calendar and b.calendar:
        return a.value, b.value
    if a.calendar and b.calendar and {a.unit.removesuffix("s"), b.unit.removesuffix("s")} == set(LOOSE):
        return _months(a), _months(b)
    left, right = a.code(loosely), b.code(loosely)
    if left is None or right is None:
        return None
    other = units.convert(b.value, right, left)
    return None if other is None else (a.value, other)


def _months(one: Quantity) -> Decimal:
    return one.value * 12 if one.unit.startswith("year") else one.value


def combined(a: Quantity, b: Quantity, sign: str) -> Quantity | None:
    """The product (`*`) or quotient (`/`); None by zero, or where the unit would mean nothing."""
    left, right = a.code(True), b.code(True)
    if left is None or right is None:
        return None
    try:
        value = a.value * b.value if sign == "*" else a.value / b.value
    except DecimalException:
        return None
    if sign == "/" and left == right:
        return Quantity(value, "1")
    if right == "1":
        return Quantity(value, left)
    if left == "1" and sign == "*":
        return Quantity(value, right)
    unit = f"{_part(left)}{'.' if sign == '*' else '/'}{_part(right)}"
    return Quantity(value, unit) if len(unit) <= units.MAX_LENGTH else None


def _part(code: str) -> str:
    return f"({code})" if "/" in code or "." in code else code
