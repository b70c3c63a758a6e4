"""The work list of quarantine: every result that waits for somebody, also those that rules only cannot read.

A value in an unknown unit is no number for a rule (it answers "cannot tell"); here it is listed with the others, so that
somebody asks for the unit. What a result would be in each unit is shown, never assumed.
"""

from __future__ import annotations

from collections.abc import Iterator
from decimal import Decimal

from msgspec import Struct

from commonchart.care.accuracy import converted, measured
from commonchart.care.chart import Chart
from commonchart.care.evidence import Fact
from commonchart.care.quarantine import Verdict, timing
from commonchart.care.schema import Analyte

_GONE = frozenset({"entered in error", "cancelled", "rejected by a clinician"})


class Tried(Struct, frozen=True):
    """What a number would be if it had been in this unit, in the analyte's own; whether a living person can have it."""

    unit: str
    value: Decimal
    plausible: bool


def doubts(chart: Chart) -> list[Verdict]:
    """Every open verdict, one for each result and analyte, the gravest first."""
    found: dict[tuple[str, str], Verdict] = {}
    for one in (*chart.verdicts, *_units(chart), *_times(chart)):
        if one.fact.unusable not in _GONE:
            found.setdefault((one.fact.ref, one.analyte), one)
    named = {ref for ref, analyte in found if analyte}
    return [
        one for (ref, analyte), one in found.items() if analyte or ref not in named or one.kind == "identity"
    ]


def _units(chart: Chart) -> Iterator[Verdict]:
    for codes, names in chart.pack.analytes_of.items():
        for fact in chart.by_set.get(codes, ()):
            if fact.value is None:
                continue
            read = [measured(chart.pack.analytes[name], fact) for name in names]
            if all(not one.unit_known for one in read):
                wanted = " or ".join(
                    dict.fromkeys(chart.pack.analytes[name].unit or "no unit" for name in names)
                )
                said = f"the unit {fact.unit}" if fact.unit else "no unit"
                yield Verdict(fact, f"has {said}: {wanted} was expected", "unit", names[0])


def _times(chart: Chart) -> Iterator[Verdict]:
    """Results of no analyte (words, codes) that cannot have happened when they say."""
    for fact in chart.evidence.of("observation"):
        if not fact.part_of and (reason := timing(fact, chart.person, chart.as_of)):
            yield Verdict(fact, reason, "time")


def tried(analyte: Analyte, value: Decimal) -> list[Tried]:
    """A number taken in turn for each unit that the analyte is known in; the analyte's own first."""
    units = dict.fromkeys((analyte.unit, *analyte.factors, *analyte.ucum))
    made = ((unit, converted(analyte, value, unit)) for unit in units)
    return [
        Tried(unit, found, analyte.low <= found <= analyte.high) for unit, found in made if found is not None
    ]


def analyte_of(chart: Chart, fact: Fact) -> str:
    """The name of the first analyte that a fact measures, "" if none."""
    names = (n for held in chart.pack.sets_of(fact.codes) for n in chart.pack.analytes_of.get(held, ()))
    return min(names, default="")
