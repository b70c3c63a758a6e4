"""A measurement as its analyte's unit understands it, or why it cannot be used.

Only units listed for the analyte are converted: by UCUM where the analyte lists them as safe, else by the analyte's own
factor. A generic unit conversion is wrong for A1c (mmol/mol), for molar concentrations, valences, international units and
eGFR (clinical corrections, units). Comparators and words are results; what cannot be read is never in range.
"""

from __future__ import annotations

from collections.abc import Iterable
from decimal import Decimal

from msgspec import Struct
from msgspec.structs import replace

from commonchart.care.evidence import Fact
from commonchart.care.schema import Analyte, Pack
from commonchart.fhir import units


class Measured(Struct, frozen=True, gc=False):
    """A value in the analyte's unit. `at_least`/`at_most` say that the true value lies beyond it (">14", "<5").

    `raw` is the number although it may not be used: implausible, or in a unit that nobody knows (`unit_known` false).
    `also` names the same result from another source.
    """

    fact: Fact
    value: Decimal | None
    problem: str = ""
    at_least: bool = False
    at_most: bool = False
    raw: Decimal | None = None
    unit_known: bool = True
    also: tuple[str, ...] = ()


def measured(analyte: Analyte, fact: Fact) -> Measured:
    """The fact as this analyte; `problem` says why its value cannot be used."""
    if fact.value is None:
        return _in_words(analyte, fact)
    value = converted(analyte, fact.value, fact.unit)
    if value is None:
        problem = f"unit {fact.unit}" if fact.unit else "no unit"
        return Measured(fact, None, problem, raw=fact.value, unit_known=False)
    above, below = fact.comparator.startswith(">"), fact.comparator.startswith("<")
    if not fact.believed and not analyte.low <= value <= analyte.high:
        problem = f"outside {analyte.low} to {analyte.high} {analyte.unit}: implausible"
        return Measured(fact, None, problem, above, below, value)
    return Measured(fact, value, "", above, below, value)


def _in_words(analyte: Analyte, fact: Fact) -> Measured:
    """Words that the analyte defines stand for a limit; all others are no number."""
    said = fact.words.strip().lower()
    for words, limit in analyte.words.items():
        if said == words.lower():
            above = words.startswith(">")
            return Measured(fact, limit, "", above, not above, limit)
    if not fact.answered:
        return Measured(fact, None, "no number")
    return Measured(fact, None, "a result in words" if said else "a result that is not a number")


def converted(analyte: Analyte, value: Decimal, unit: str) -> Decimal | None:
    """A number in the analyte's unit; None where this unit is not one of its own."""
    if unit == analyte.unit or unit in analyte.spellings:
        return value
    factor = analyte.factors.get(unit)
    if factor is not None:
        return value * factor + analyte.offsets.get(unit, Decimal(0))
    if unit in analyte.ucum:
        return units.convert(value, unit, analyte.unit)
    return None


def series(pack: Pack, name: str, facts: Iterable[Fact]) -> list[Measured]:
    """Every measurement of an analyte, in the order given, usable or not; the same one from two sources once."""
    analyte = pack.analytes[name]
    return once(measured(analyte, fact) for fact in facts if pack.holds(analyte.codes, fact.codes))


def once(found: Iterable[Measured]) -> list[Measured]:
    """Results that two sources report (same time, value and unit) as one, naming both; two unusable ones stay two."""
    out: dict[tuple[object, ...], Measured] = {}
    for n, one in enumerate(found):
        fact = one.fact
        sound = one.value is not None and not fact.unusable and fact.shown
        key = (fact.shown, one.value, fact.comparator, fact.believed) if sound else (n,)
        first = out.get(key)
        out[key] = one if first is None else replace(first, also=(*first.also, fact.ref))
    return list(out.values())


_TOGETHER_DAYS = 4


def quotients(pack: Pack, name: str, over: Iterable[Fact], under: Iterable[Fact]) -> list[Measured]:
    """An analyte out of two that were measured within four days, in the order of the first; its values are not reported ones."""
    analyte = pack.analytes[name]
    tops = series(pack, analyte.ratio[0], over)
    bottoms = [m for m in series(pack, analyte.ratio[1], under) if not m.fact.unusable and m.fact.day]
    return [_quotient(analyte, top, near) for top in tops if (near := _nearest(top, bottoms)) is not None]


def _nearest(top: Measured, bottoms: list[Measured]) -> Measured | None:
    if top.fact.day is None:
        return None
    apart = [(abs((m.fact.day - top.fact.day).days), n) for n, m in enumerate(bottoms) if m.fact.day]
    days, n = min(apart, default=(_TOGETHER_DAYS + 1, -1))
    return bottoms[n] if days <= _TOGETHER_DAYS else None


def _quotient(analyte: Analyte, top: Measured, bottom: Measured) -> Measured:
    if top.value is None or not bottom.value:
        return Measured(top.fact, None, top.problem or bottom.problem or "a divisor of nothing")
    if bottom.at_least or bottom.at_most:
        return Measured(top.fact, None, "a divisor that is only known as a limit")
    value = top.value / bottom.value
    inside = analyte.low <= value <= analyte.high
    return Measured(
        top.fact, value if inside else None, "" if inside else "implausible", top.at_least, top.at_most, value
    )
