"""Inputs written the short way."""

from __future__ import annotations

from datetime import date
from decimal import Decimal

from commonchart.care.calculators.sheet import Given

ON = date(2026, 11, 25)
FEMALE, MALE = Given("female"), Given("male")
YES, NO = Given(True), Given(False)


def n(value: object, unit: str = "", ref: str = "Observation/1") -> Given:
    return Given(Decimal(str(value)), unit, date(2026, 11, 1), ref)


def born(age: int) -> date:
    """Somebody of this age on the day."""
    return date(ON.year - age, 6, 1)
