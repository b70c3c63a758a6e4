"""The measurement period: from the first moment of its first day to the last of its last, in UTC."""

from __future__ import annotations

from datetime import date, datetime, timedelta

from msgspec import Struct

from commonchart.fhir import dates
from commonchart.fhir.outcome import Invalid

YEARS = range(1900, 2201)


class Period(Struct, frozen=True):
    """`start` is the first moment of the period, `until` the first moment after it (UTC)."""

    start: datetime
    until: datetime

    @property
    def first(self) -> date:
        """The first day."""
        return self.start.date()

    @property
    def last(self) -> date:
        """The last day."""
        return (self.until - timedelta(microseconds=1)).date()


def period(start: str, end: str) -> Period:
    """The period between two FHIR dates, both included. Raises Invalid where they are no dates, or out of order."""
    lo, hi = dates.bounds(start)[0], dates.bounds(end)[1]
    if lo >= hi:
        raise Invalid("The measurement period ends before it starts", at="period")
    if lo.year not in YEARS or hi.year not in YEARS:
        raise Invalid(f"A measurement period lies in the years {YEARS[0]} to {YEARS[-1]}", at="period")
    return Period(lo, hi)
