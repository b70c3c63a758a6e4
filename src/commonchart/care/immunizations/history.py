"""A person's history put in order for the rules: days as ordinals, ages cached, what cannot be used set aside and said."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import date

from commonchart.care.immunizations.answer import Dose, Finding, Observation, Person
from commonchart.care.immunizations.compile import Schedule, Span
from commonchart.care.immunizations.offsets import Ages


class History:
    """What the rules look at, for one person on one day. Doses are numbered in the order of their days."""

    __slots__ = ("active", "ages", "country", "cvx", "doses", "findings", "schedule", "today", "when")

    def __init__(
        self,
        schedule: Schedule,
        person: Person,
        born: date,
        doses: Iterable[Dose],
        observations: Iterable[Observation],
        as_of: date,
    ) -> None:
        self.schedule = schedule
        self.ages = Ages(born.toordinal())
        self.today = as_of.toordinal()
        self.country = person.country
        self.findings: list[Finding] = []
        usable = [dose for dose in doses if self._usable(dose, person, born, as_of)]
        usable.sort(key=_day)
        self.doses = usable
        self.when = [_day(dose) for dose in usable]
        self.cvx = [dose.cvx for dose in usable]
        self.active = self._active(observations, as_of)

    def _usable(self, dose: Dose, person: Person, born: date, as_of: date) -> bool:
        problem = _problem(dose, person, born, as_of, self.schedule)
        if problem:
            self.findings.append(Finding(problem[0], problem[1], dose.id))
        return not problem

    def _active(self, observations: Iterable[Observation], as_of: date) -> dict[str, int | None]:
        active: dict[str, int | None] = {}
        for seen in observations:
            if seen.on is not None and seen.on > as_of:
                self.findings.append(
                    Finding("future observation", f"observation {seen.code} is dated after {as_of}")
                )
            elif seen.code not in self.schedule.observations:
                self.findings.append(
                    Finding("unknown observation", f"observation {seen.code} is not in the schedule")
                )
            elif seen.on is not None:
                active[seen.code] = max(active.get(seen.code) or 0, seen.on.toordinal())
            else:
                active.setdefault(seen.code, None)
        return active

    def of(self, antigen: str) -> list[int]:
        """The numbers of the doses that count for an antigen, by the age at which they were given."""
        return self.by_antigen().get(antigen, [])

    def by_antigen(self) -> dict[str, list[int]]:
        """The numbers of the doses for each antigen."""
        out: dict[str, list[int]] = {}
        vaccines = self.schedule.vaccines
        for number, cvx in enumerate(self.cvx):
            for antigen, begin, end in vaccines[cvx].antigens:
                if (begin is None and end is None) or self.aged((begin, end), self.when[number]):
                    out.setdefault(antigen, []).append(number)
        return out

    def aged(self, span: Span, day: int) -> bool:
        """Whether a day lies from one age (included) to another (not included)."""
        begin, end = span
        return (begin is None or self.ages[begin] <= day) and (end is None or day < self.ages[end])


def _day(dose: Dose) -> int:
    assert dose.on is not None
    return dose.on.toordinal()


def _problem(
    dose: Dose, person: Person, born: date, as_of: date, schedule: Schedule
) -> tuple[str, str] | None:
    """Why a dose cannot be used: its kind and words."""
    if dose.on is None:
        return "undated dose", "its day is not known: it could not be evaluated"
    if dose.on < born:
        return "before birth", f"dated {dose.on}, before the birth on {born}: not used"
    if dose.on > as_of:
        return "future dose", f"dated {dose.on}, after {as_of}: not used"
    if person.died is not None and dose.on > person.died:
        return "after death", f"dated {dose.on}, after the death on {person.died}: not used"
    if dose.cvx not in schedule.vaccines:
        return (
            "unknown vaccine",
            f"vaccine code (CVX) {dose.cvx or 'missing'} is not in the schedule: not used",
        )
    return None
