"""Before a vaccine is given: what speaks against it, found out by asking the engine as if it had been given."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import date
from typing import Literal

from msgspec import Struct
from msgspec.structs import replace

from commonchart.care.immunizations import words
from commonchart.care.immunizations.answer import NOT_EVALUATED, VALID, Dose
from commonchart.care.immunizations.compile import Schedule
from commonchart.care.immunizations.evaluate import evaluate
from commonchart.care.immunizations.forecast import against
from commonchart.care.immunizations.from_fhir import Facts
from commonchart.care.immunizations.groups import standing
from commonchart.care.immunizations.history import History

PLANNED = "planned"


class Stop(Struct, frozen=True):
    """One thing that speaks against giving it: what kind, and in words."""

    kind: Literal["contraindicated", "would not count", "not checked"]
    words: str


def stops(dose: Dose, facts: Facts, schedule: Schedule) -> list[Stop]:
    """Everything that speaks against giving this dose on its day, the worst first. Empty where nothing does.

    What cannot be checked is an answer of its own.
    """
    on, born = dose.on, facts.person.born
    if dose.cvx not in schedule.vaccines:
        return [Stop("not checked", f"NOT CHECKED: the schedule has no vaccine with the code {dose.cvx}")]
    if on is None or born is None:
        return [Stop("not checked", "NOT CHECKED: ages and intervals need the birth date and the day given")]
    return [*_contraindications(dose, facts, schedule, on, born), *_counting(dose, facts, schedule, on)]


def _contraindications(dose: Dose, facts: Facts, schedule: Schedule, on: date, born: date) -> Iterator[Stop]:
    history = History(schedule, facts.person, born, facts.doses, facts.observations, on)
    said: set[str] = set()
    for name, _, _ in schedule.vaccines[dose.cvx].antigens:
        found = against(history, schedule.antigens[name], [])
        product = found.stopped_vaccines.get(dose.cvx)
        for code in (*found.stopped_by, *((product,) if product else ())):
            if code not in said:
                said.add(code)
                yield Stop("contraindicated", f"Contraindicated: {schedule.observations[code].title}")


def _counting(dose: Dose, facts: Facts, schedule: Schedule, on: date) -> Iterator[Stop]:
    planned = replace(dose, id=PLANNED)
    answer = evaluate(facts.person, [*facts.doses, planned], facts.observations, schedule, on)
    judged = next((one for one in answer.doses if one.dose.id == PLANNED), None)
    if judged is None:
        told = [one.message for one in answer.findings if one.dose == PLANNED]
        yield Stop("not checked", f"NOT CHECKED: {'; '.join(told) or 'the dose could not be evaluated'}")
        return
    for group in dict.fromkeys(one.group for one in judged.evaluations):
        shown = answer.group(group)
        where = standing(judged, group, shown.shown if shown else None)
        if where is not None and where.status not in (VALID, NOT_EVALUATED):
            yield Stop("would not count", f"{group}: {words.evaluation(where, planned, schedule)}")
