"""Two schedules for one person: where they would advise differently."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import date

from msgspec import Struct

from commonchart.care.immunizations.answer import Assessment, Dose, Forecast, Observation, Person
from commonchart.care.immunizations.compile import Schedule
from commonchart.care.immunizations.evaluate import evaluate

_FIELDS = ("status", "number", "earliest", "recommended", "past_due", "latest", "products")


class GroupComparison(Struct, frozen=True):
    """A vaccine group whose shown forecasts differ: both forecasts, and the fields that differ."""

    group: str
    a: Forecast | None
    b: Forecast | None
    fields: tuple[str, ...]


class DoseComparison(Struct, frozen=True):
    """A dose that counts in one pack and not in the other, for an antigen."""

    dose: Dose
    antigen: str
    a: str
    b: str


class Comparison(Struct, frozen=True):
    """Everything in which two packs differ for one person on one day."""

    a: str
    b: str
    groups: tuple[GroupComparison, ...]
    doses: tuple[DoseComparison, ...]


def compare(
    person: Person,
    doses: Sequence[Dose],
    observations: Sequence[Observation],
    a: Schedule,
    b: Schedule,
    as_of: date,
) -> Comparison:
    """What pack a and pack b would say differently of the same facts."""
    one, other = (evaluate(person, doses, observations, schedule, as_of) for schedule in (a, b))
    return Comparison(one.pack, other.pack, _groups(one, other), _doses(one, other))


def _groups(one: Assessment, other: Assessment) -> tuple[GroupComparison, ...]:
    before = {answer.group: answer.shown for answer in one.groups}
    after = {answer.group: answer.shown for answer in other.groups}
    rows = [
        GroupComparison(
            group, before.get(group), after.get(group), _differing(before.get(group), after.get(group))
        )
        for group in sorted(before.keys() | after.keys())
    ]
    return tuple(row for row in rows if row.fields)


def _differing(a: Forecast | None, b: Forecast | None) -> tuple[str, ...]:
    if a is None or b is None:
        return () if a is b else ("status",)
    return tuple(field for field in _FIELDS if getattr(a, field) != getattr(b, field))


def _statuses(answer: Assessment) -> dict[tuple[str, str], tuple[Dose, str]]:
    return {
        (one.dose.id, row.antigen): (one.dose, row.status) for one in answer.doses for row in one.evaluations
    }


def _doses(one: Assessment, other: Assessment) -> tuple[DoseComparison, ...]:
    before, after = _statuses(one), _statuses(other)
    rows = []
    for key, (dose, status) in before.items():
        if key in after and after[key][1] != status:
            rows.append(DoseComparison(dose, key[1], status, after[key][1]))
    return tuple(rows)
