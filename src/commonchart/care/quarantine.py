"""Which results may not be believed: a pure verdict on each value, and what a critical value sets off none the less.

A quarantined value satisfies nothing and closes nothing. It never loses its critical alert (clinical corrections, safety
of the machinery). A clinician who looked at it releases it by its reference.
"""

from __future__ import annotations

import itertools
from collections.abc import Collection, Iterable, Iterator, Sequence
from datetime import date
from decimal import Decimal
from typing import Literal

from msgspec import Struct

from commonchart.care.accuracy import Measured
from commonchart.care.calendar import age_on
from commonchart.care.evidence import Fact
from commonchart.care.person import Person
from commonchart.care.schema import Analyte, Change

ADULT = 18


Kind = Literal["time", "implausible", "jump", "specimen", "identity", "unit"]
RELEASABLE: frozenset[str] = frozenset({"implausible", "jump", "specimen", "identity"})
"""What a clinician may believe as it is; a wrong time or an unknown unit has to be corrected."""


class Verdict(Struct, frozen=True):
    """Why a result is quarantined. `analyte` is its name in the pack ("": the whole result), `also` the same from other sources."""

    fact: Fact
    reason: str
    kind: Kind = "implausible"
    analyte: str = ""
    also: tuple[str, ...] = ()


class Jump(Struct, frozen=True):
    """A change from one result to the next that is greater than the analyte allows."""

    earlier: Fact
    later: Fact
    reason: str
    wrong_patient: bool


class Critical(Struct, frozen=True):
    """A value that somebody has to be told at once. Not `certain`: the unit is not known, the number would be critical."""

    fact: Fact
    label: str
    value: Decimal
    unit: str
    limit: str
    source: str
    certain: bool = True


class NotChecked(Struct, frozen=True):
    """A value that no critical limit was applied to, and why."""

    fact: Fact
    label: str
    reason: str


class Stated(Struct, frozen=True):
    """Whom a result says that it is about."""

    family: str = ""
    born: date | None = None
    sex: str = ""


def timing(fact: Fact, person: Person, as_of: date) -> str:
    """Why a result cannot have happened when it says; "" if it can."""
    if fact.day is None:
        return ""
    if fact.day > as_of:
        return "dated in the future"
    if person.born and fact.day < person.born:
        return "dated before birth"
    if person.died_on and fact.day > person.died_on:
        return "dated after death"
    return ""


def identity(stated: Stated, family: str, person: Person) -> str:
    """Why a result seems to be somebody else's; "" where everything that both state agrees."""
    wrong = []
    if stated.family and family and stated.family.casefold() != family.casefold():
        wrong.append("family name")
    if stated.born and person.born and stated.born != person.born:
        wrong.append("date of birth")
    if stated.sex and person.sex and stated.sex != person.sex:
        wrong.append("sex")
    return f"{' and '.join(wrong)} on the result is not the patient's" if wrong else ""


def quarantined(
    analyte: Analyte, found: Sequence[Measured], person: Person, as_of: date, released: Collection[str] = ()
) -> list[Verdict]:
    """The results of one analyte that may not be believed: impossible, of a nonsense unit, or perhaps another person's."""
    out = []
    for one in found:
        when = timing(one.fact, person, as_of)
        reason = when or (one.problem if "implausible" in one.problem else "")
        if reason and one.fact.ref not in released:
            out.append(Verdict(one.fact, reason, "time" if when else "implausible", also=one.also))
    also = {one.fact.ref: one.also for one in found}
    for jump in jumps(analyte, found):
        if jump.wrong_patient and jump.later.ref not in released:
            out.append(Verdict(jump.later, jump.reason, "jump", also=also[jump.later.ref]))
    return out


def jumps(analyte: Analyte, found: Iterable[Measured]) -> Iterator[Jump]:
    """Changes between neighbouring usable results that are too great for their distance in time."""
    usable = [m for m in found if m.value is not None and m.fact.day and not m.fact.unusable]
    usable.sort(key=lambda m: (m.fact.day or date.min, m.fact.shown))
    for earlier, later in itertools.pairwise(usable):
        for change in analyte.deltas:
            if reason := jumped(change, earlier, later):
                yield Jump(earlier.fact, later.fact, f"{analyte.label} {reason}", change.wrong_patient)


def jumped(change: Change, earlier: Measured, later: Measured) -> str:
    """How two results differ more than the change allows; "" if they do not."""
    assert earlier.value is not None
    assert later.value is not None
    assert earlier.fact.day
    assert later.fact.day
    days = (later.fact.day - earlier.fact.day).days
    moved = later.value - earlier.value
    if days > change.days or (change.way == "rise" and moved <= 0) or (change.way == "fall" and moved >= 0):
        return ""
    size = abs(moved)
    limit = change.by if change.by is not None else abs(earlier.value) * (change.percent or Decimal(0)) / 100
    if size < limit or not size:
        return ""
    doubt = ": another person's specimen until proved otherwise" if change.wrong_patient else ""
    return f"went from {earlier.value:f} to {later.value:f} within {days} days{doubt}"


_GONE = ("entered in error", "cancelled")


def critical(analyte: Analyte, one: Measured, person: Person) -> Critical | NotChecked | None:
    """The alert of a value, quarantined or not; None if it is not critical or the analyte has no critical limits."""
    if (analyte.critical_below is None and analyte.critical_above is None) or one.fact.unusable in _GONE:
        return None
    value = one.value if one.value is not None else one.raw
    if value is None:
        return NotChecked(one.fact, analyte.label, one.problem) if one.fact.answered else None
    if person.born is None:
        return NotChecked(one.fact, analyte.label, "the age is not known")
    if age_on(person.born, one.fact.day or date.max) < ADULT:
        return NotChecked(one.fact, analyte.label, "this site has set no critical limits for children")
    limit = _beyond(analyte, value)
    if not limit:
        return None if one.unit_known else NotChecked(one.fact, analyte.label, one.problem)
    return Critical(
        one.fact, analyte.label, value, analyte.unit, limit, analyte.critical_source, one.unit_known
    )


def _beyond(analyte: Analyte, value: Decimal) -> str:
    if analyte.critical_below is not None and value < analyte.critical_below:
        return f"below {analyte.critical_below}"
    if analyte.critical_above is not None and value > analyte.critical_above:
        return f"above {analyte.critical_above}"
    return ""
