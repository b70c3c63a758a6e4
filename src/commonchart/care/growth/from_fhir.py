"""A child's measurements out of resources, each on its chart: usable or not, none left out but what was taken back."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from datetime import date
from decimal import Decimal
from typing import Any

from msgspec import Struct
from msgspec.structs import replace

from commonchart.care.calculators.body import bmi
from commonchart.care.calculators.sheet import Given
from commonchart.care.evidence import Evidence, Fact
from commonchart.care.facts import evidence
from commonchart.care.growth.percentiles import Child, Plotted, plotted
from commonchart.care.growth.tables import Measure
from commonchart.care.person import person

CODES: dict[str, frozenset[str]] = {
    "weight": frozenset({"29463-7", "3141-9", "8335-2"}),
    "length": frozenset({"8302-2", "8306-3", "3137-7"}),
    "head": frozenset({"9843-4", "8287-5"}),
    "bmi": frozenset({"39156-5"}),
}
GESTATION = frozenset({"76516-4", "11884-4"})
_GESTATION_DAYS = {"wk": 7, "weeks": 7, "d": 1, "days": 1}


class Growth(Struct, frozen=True):
    """A child and every measure's points, oldest first. `chosen` is the sex of the chart where the record says none."""

    child: Child
    measures: dict[Measure, tuple[Plotted, ...]]
    chosen: str = ""


def growth(
    patient: dict[str, Any],
    resources: Iterable[dict[str, Any]],
    as_of: date,
    doubted: Mapping[str, str] = {},
    sex: str = "",
) -> Growth:
    """All measurements up to a day. BMI is computed where weight and length of one day are known and none is recorded.

    `doubted` ("Observation/1" -> why): points without a percentile, and no part of a BMI or of weight for length. `sex` is
    used only where the record gives none.
    """
    who = person(patient, as_of)
    chosen = sex if not who.sex and sex in ("female", "male") else ""
    known = evidence(one for one in resources if one["resourceType"] == "Observation")
    child = Child(who.born, who.sex or chosen, _gestation(known), who.sex_problem)
    every = {name: _given(known, codes, as_of) for name, codes in CODES.items()}
    given = {name: [one for one in found if one.ref not in doubted] for name, found in every.items()}
    out = {name: [one for one in found if one.ref in doubted] for name, found in every.items()}
    lengths = {one.day: one for one in given["length"]}
    measures: dict[Measure, tuple[Plotted, ...]] = {
        "weight": _plotted(child, "weight", given["weight"]),
        "length": _plotted(child, "length", given["length"]),
        "head": _plotted(child, "head", given["head"]),
        "bmi": _plotted(child, "bmi", _bmis(given["bmi"], given["weight"], lengths)),
        "weight-for-length": tuple(
            plotted(child, "weight-for-length", one, lengths[one.day])
            for one in given["weight"]
            if one.day in lengths
        ),
    }
    direct: tuple[Measure, ...] = ("weight", "length", "head", "bmi")
    for measure in direct:
        held = tuple(
            replace(one, z=None, percentile=None, at=None, problem=doubted[one.given.ref])
            for one in _plotted(child, measure, out[measure])
        )
        measures[measure] += held
    return Growth(child, measures, chosen)


def _plotted(child: Child, measure: Measure, given: list[Given]) -> tuple[Plotted, ...]:
    return tuple(plotted(child, measure, one) for one in given)


def _given(known: Evidence, codes: frozenset[str], as_of: date) -> list[Given]:
    """Numbers that stand, oldest first; one day's equal numbers from two sources count once."""
    found: dict[tuple[date | None, Decimal | None, str], Given] = {}
    for fact in known.of("observation"):
        if (
            not fact.unusable
            and fact.value is not None
            and _is(fact, codes)
            and (fact.day is None or fact.day <= as_of)
        ):
            given = Given(fact.value, fact.unit, fact.day, fact.ref, fact.comparator)
            found.setdefault((fact.day, fact.value, fact.unit), given)
    return sorted(found.values(), key=lambda one: one.day or date.min)


def _is(fact: Fact, codes: frozenset[str]) -> bool:
    return any(system == "loinc" and code in codes for system, code in fact.codes)


def _bmis(recorded: list[Given], weights: list[Given], lengths: dict[date | None, Given]) -> list[Given]:
    days = {one.day for one in recorded}
    computed = [
        Given(found.value, "kg/m2", one.day, one.ref)
        for one in weights
        if one.day in lengths
        and one.day not in days
        and (found := bmi(one, lengths[one.day])).value is not None
    ]
    return sorted([*recorded, *computed], key=lambda one: one.day or date.min)


def _gestation(known: Evidence) -> int | None:
    """Gestational age at birth in days, from 20 to 45 weeks; anything else is not known."""
    for fact in known.of("observation"):
        factor = _GESTATION_DAYS.get(fact.unit)
        if (
            not fact.unusable
            and fact.value is not None
            and factor
            and not fact.comparator
            and _is(fact, GESTATION)
        ):
            days = int(fact.value * factor)
            return days if 140 <= days <= 315 else None
    return None
