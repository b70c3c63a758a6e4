"""What could be given today, together, and when to come back: the plan behind "give it now"."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from datetime import date

from msgspec import Struct
from msgspec.structs import replace

from commonchart.care.immunizations.answer import (
    CONTRAINDICATED,
    NOT_COMPLETE,
    Assessment,
    Dose,
    Forecast,
    Observation,
    Person,
)
from commonchart.care.immunizations.compile import Schedule
from commonchart.care.immunizations.evaluate import evaluate
from commonchart.care.immunizations.offsets import add
from commonchart.care.immunizations.words import DUE, LATER, OVERDUE, state, urgency, vaccine


class Give(Struct, frozen=True):
    """One vaccine to give: its code and name ("" where any of the group will do), the groups it serves, and what else would do."""

    cvx: str
    name: str
    groups: tuple[str, ...]
    numbers: tuple[int, ...]
    alternatives: tuple[str, ...]
    live: bool
    early: bool = False


class Later(Struct, frozen=True):
    """A dose that cannot or need not be given today: from when, and why not today."""

    group: str
    number: int
    day: date | None
    why: str


class Plan(Struct, frozen=True):
    """What to give today, what later, when to come back and what for, and what must be known first.

    `optional` may be given today: it is early, or a decision to share with the patient.
    """

    as_of: date
    pack: str
    today: tuple[Give, ...]
    optional: tuple[Give, ...]
    later: tuple[Later, ...]
    next_visit: date | None
    then: tuple[str, ...]
    notes: tuple[str, ...]


_BARRED = "no vaccine fits this age, or each is contraindicated: ask"


def plan(
    person: Person,
    doses: Sequence[Dose],
    observations: Sequence[Observation],
    schedule: Schedule,
    as_of: date,
) -> Plan:
    """The catch-up plan on a day. The next visit assumes that everything of today is given today."""
    now = evaluate(person, doses, observations, schedule, as_of)
    if person.dead or person.died is not None:
        return Plan(as_of, schedule.name, (), (), (), None, (), ("the person has died",))
    needed = list(_open(now, as_of))
    open_ = [found for found in needed if found.usable or state(found, as_of) == LATER]
    barred = [Later(found.group, found.number or 1, None, _BARRED) for found in needed if found not in open_]
    due = [found for found in open_ if state(found, as_of) in (OVERDUE, DUE) and not found.guidance]
    possible = [found for found in open_ if found not in due and state(found, as_of) != LATER]
    today, waiting = _together(_gives(due, schedule), schedule, as_of)
    given = {group for give in today for group in give.groups}
    later = (
        [_later(found, as_of) for found in open_ if found not in due and found not in possible]
        + waiting
        + barred
    )
    ahead = [*doses, *(Dose(f"planned-{n}", give.cvx, as_of) for n, give in enumerate(today) if give.cvx)]
    after = evaluate(person, ahead, observations, schedule, as_of)
    visit, then = _next(after, as_of)
    optional = tuple(_gives([found for found in possible if found.group not in given], schedule, early=True))
    return Plan(as_of, schedule.name, tuple(today), optional, tuple(later), visit, then, _notes(now, today))


def _open(answer: Assessment, as_of: date) -> Iterable[Forecast]:
    """The most urgent forecast of each group that still needs a dose, whether by risk or for everybody; none of a group that
    is contraindicated."""
    for group in answer.groups:
        if any(found.status == CONTRAINDICATED for found in group.forecasts):
            continue
        needed = [found for found in group.forecasts if found.status == NOT_COMPLETE and not found.future]
        if needed:
            yield _joined(min(needed, key=lambda found: urgency(found, as_of)), needed, as_of)


def _joined(lead: Forecast, needed: Sequence[Forecast], as_of: date) -> Forecast:
    """The forecast with what the others of its group that are due today ask for: one dose should serve them all."""
    due = [
        one for one in needed if one is not lead and not one.guidance and state(one, as_of) in (OVERDUE, DUE)
    ]
    if not due or lead.guidance:
        return lead
    every = (lead, *due)
    return replace(
        lead,
        antigens=tuple(dict.fromkeys(name for one in every for name in one.antigens)),
        products=tuple(dict.fromkeys(cvx for one in every for cvx in one.products)),
        usable=tuple(dict.fromkeys(cvx for one in every for cvx in one.usable)),
    )


def _gives(due: list[Forecast], schedule: Schedule, *, early: bool = False) -> list[Give]:
    """As few vaccines as serve all groups: combined ones first, never one that carries a group that is not due."""
    left = {found.group: found for found in due}
    out = []
    while left:
        cvx, groups = _widest(left, schedule)
        members = [left.pop(group) for group in groups]
        others = [
            code for code in members[0].usable if code != cvx and _groups_of(code, schedule) == set(groups)
        ]
        name = vaccine(cvx, schedule) if cvx else f"{groups[0]} vaccine"
        numbers = tuple(found.number or 1 for found in members)
        out.append(Give(cvx, name, groups, numbers, tuple(others), _live(cvx, schedule), early))
    return out


def _widest(left: dict[str, Forecast], schedule: Schedule) -> tuple[str, tuple[str, ...]]:
    """The vaccine that serves most groups, and of those the one against most of what is due in them."""
    best: tuple[int, int, str, tuple[str, ...]] = (0, 0, "", ())
    for found in left.values():
        for cvx in _candidates(found, schedule):
            groups = tuple(group for group, one in left.items() if cvx in one.usable)
            covered = sum(len(_against(cvx, schedule) & set(left[group].antigens)) for group in groups)
            if _groups_of(cvx, schedule) <= set(groups) and (len(groups), covered) > best[:2]:
                best = (len(groups), covered, cvx, groups)
    if best[0]:
        return best[2], best[3]
    group = next(iter(left))
    return "", (group,)


def _candidates(found: Forecast, schedule: Schedule) -> tuple[str, ...]:
    """The recommended vaccines; where none is against everything that is due in the group, every usable one too."""
    if any(set(found.antigens) <= _against(cvx, schedule) for cvx in found.products):
        return found.products
    return tuple(dict.fromkeys((*found.products, *found.usable)))


def _against(cvx: str, schedule: Schedule) -> set[str]:
    found = schedule.vaccines.get(cvx)
    return {antigen for antigen, _, _ in found.antigens} if found is not None else set()


def _groups_of(cvx: str, schedule: Schedule) -> set[str]:
    return {schedule.antigens[antigen].group for antigen in _against(cvx, schedule)}


def _live(cvx: str, schedule: Schedule) -> bool:
    return cvx in schedule.conflicts


def _together(gives: list[Give], schedule: Schedule, as_of: date) -> tuple[list[Give], list[Later]]:
    """Those that may go on one day; a pair whose conflict starts on the day itself is parted, the later one waits."""
    today: list[Give] = []
    waiting: list[Later] = []
    at = as_of.toordinal()
    for give in gives:
        window = next((found for one in today if (found := _clash(one, give, schedule, at))), None)
        if window is None:
            today.append(give)
        else:
            day = date.fromordinal(window)
            waiting += [Later(group, number, day, "not on the same day as another live vaccine")
                        for group, number in zip(give.groups, give.numbers, strict=True)]  # fmt: skip
    return today, waiting


def _clash(one: Give, other: Give, schedule: Schedule, at: int) -> int | None:
    window = schedule.conflicts.get(other.cvx, {}).get(one.cvx)
    if window is None or add(at, window[0]) > at:
        return None
    return add(at, window[2])


def _later(found: Forecast, as_of: date) -> Later:
    day = found.recommended or found.earliest
    early = found.earliest is not None and found.earliest > as_of
    return Later(
        found.group, found.number or 1, day, "too early today" if early else "its day cannot be told"
    )


def _next(after: Assessment, as_of: date) -> tuple[date | None, tuple[str, ...]]:
    """The first later day on which something is recommended, and everything recommended by then."""
    coming = [
        (found.recommended, found.group)
        for found in _open(after, as_of)
        if found.recommended is not None and found.recommended > as_of
    ]
    if not coming:
        return None, ()
    first = min(day for day, _ in coming)
    return first, tuple(group for day, group in coming if day == first)


def _notes(now: Assessment, today: Sequence[Give]) -> tuple[str, ...]:
    notes = [finding.message for finding in now.findings if finding.kind in ("cannot tell", "sex unknown")]
    if sum(give.live for give in today) > 1:
        notes.append("the live vaccines go on the same day, or wait at least 28 days for each other")
    return tuple(notes)
