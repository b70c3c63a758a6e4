"""Criteria on numbers: the glycemic status of the last day, and the lowest blood pressure of the last day."""

from __future__ import annotations

from datetime import date
from decimal import Decimal

from msgspec import Struct

from commonchart.measures.chart import Chart
from commonchart.measures.criteria import Seek
from commonchart.measures.evidence import Fact
from commonchart.measures.value_sets import Coded

PERCENT = {"%", "percent"}
MOLAR = {"mmol/mol"}
MERCURY = {"mm[Hg]", "mmHg"}


def last_day(found: list[Fact]) -> list[Fact]:
    """The facts of the last day (by their end, in UTC) among these."""
    days: dict[date, list[Fact]] = {}
    for fact in found:
        if fact.latest:
            days.setdefault(fact.latest.date(), []).append(fact)
    return days[max(days)] if days else []


class PoorOrUnknown(Struct, frozen=True):
    """CMS122's numerator: no result in the period, one without a value, or the lowest of the last day above `above` percent.

    A result in words is neither (the measure compares quantities): it does not count, and is no proof of control.
    """

    results: Seek
    above: Decimal

    def met(self, chart: Chart) -> bool:
        """Whether control is poor, or not known."""
        day = last_day(self.results.found(chart))
        if not day:
            return True
        if any(fact.value is None for fact in day):
            return any(not fact.valued for fact in day)
        lowest = [percent for fact in day if (percent := _percent(fact)) is not None]
        return bool(lowest) and min(lowest) > self.above


def _percent(fact: Fact) -> Decimal | None:
    """A glycated haemoglobin in percent; from mmol/mol by its own factor, never by a unit conversion."""
    assert fact.value is not None
    if fact.unit in PERCENT:
        return fact.value
    return Decimal("0.0915") * fact.value + Decimal("2.15") if fact.unit in MOLAR else None


class PressureBelow(Struct, frozen=True):
    """CMS165's numerator: the lowest systolic and the lowest diastolic value of the last day with readings, both below.

    A value in another unit than mm[Hg] is none. Readings taken at a visit of one of `not_at` (emergency, inpatient) do not count.
    """

    readings: Seek
    systolic: tuple[Coded, Decimal]
    diastolic: tuple[Coded, Decimal]
    not_at: frozenset[str]

    def met(self, chart: Chart) -> bool:
        """Whether both are below; without a reading they are not."""
        taken = [f for f in self.readings.found(chart) if chart.settings.get(f.within, "") not in self.not_at]
        day = last_day(taken)
        return _below(day, *self.systolic) and _below(day, *self.diastolic)


def _below(day: list[Fact], coded: Coded, limit: Decimal) -> bool:
    values = [
        part.value for fact in day for part in fact.parts if coded in part.codes and part.value is not None
    ]
    return bool(values) and min(values) < limit
