"""A measurement as its analyte's unit understands it, or why it cannot be used.

Only units listed for the analyte are converted, each by the analyte's own factor: a generic unit conversion is wrong for
A1c (mmol/mol), for molar concentrations and for eGFR (clinical corrections, units).
"""

from __future__ import annotations

from decimal import Decimal

from msgspec import Struct

from commonchart.care.evidence import Fact
from commonchart.care.rules import Analyte, Pack


class Measured(Struct, frozen=True):
    """A value in the analyte's unit. `at_least`/`at_most` say that the true value lies beyond it (">14", "<5")."""

    fact: Fact
    value: Decimal | None
    problem: str = ""
    at_least: bool = False
    at_most: bool = False


def measured(analyte: Analyte, fact: Fact) -> Measured:
    """The fact as this analyte; `problem` says why its value cannot be used."""
    if fact.value is None:
        return Measured(fact, None, "no number" if not fact.words else "a result in words")
    value = _converted(analyte, fact)
    if value is None:
        return Measured(fact, None, f"unit {fact.unit}" if fact.unit else "no unit")
    if not analyte.low <= value <= analyte.high:
        return Measured(fact, None, f"outside {analyte.low} to {analyte.high} {analyte.unit}: implausible")
    return Measured(fact, value, "", fact.comparator.startswith(">"), fact.comparator.startswith("<"))


def _converted(analyte: Analyte, fact: Fact) -> Decimal | None:
    assert fact.value is not None
    if fact.unit == analyte.unit or fact.unit in analyte.spellings:
        return fact.value
    factor = analyte.factors.get(fact.unit)
    if factor is None:
        return None
    return fact.value * factor + analyte.offsets.get(fact.unit, Decimal(0))


def series(pack: Pack, name: str, facts: list[Fact]) -> list[Measured]:
    """Every measurement of an analyte, newest first, usable or not."""
    analyte = pack.analytes[name]
    return [measured(analyte, fact) for fact in facts if pack.holds(analyte.codes, fact.codes)]
