"""What must hold of a schedule pack before anybody is advised by it."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import date
from itertools import pairwise

from commonchart.care.immunizations.offsets import nominal, offset
from commonchart.care.immunizations.schema import (
    AgeRow,
    AntigenFile,
    DoseRow,
    GapRow,
    Pack,
    ScheduleFile,
    SeriesRow,
    SkipRow,
    WhenRow,
)
from commonchart.fhir.outcome import Invalid

Problem = tuple[str, str]
"""Where (file and field), and the rule that is broken."""


def problems(pack: Pack) -> Iterator[Problem]:
    """Every fault of a pack."""
    yield from _schedule(pack)
    for name, antigen in pack.antigens.items():
        at = f"antigens/{name}"
        if antigen.antigen not in _antigens_of(pack.schedule, antigen.group):
            yield f"{at} group", f"{antigen.group!r} is no group of schedule.json with the antigen {name!r}"
        yield from _antigen(antigen, pack.schedule, at)


def _antigens_of(schedule: ScheduleFile, group: str) -> tuple[str, ...]:
    return schedule.groups[group].antigens if group in schedule.groups else ()


def _schedule(pack: Pack) -> Iterator[Problem]:
    schedule = pack.schedule
    for name, group in schedule.groups.items():
        for antigen in group.antigens:
            if antigen not in pack.antigens:
                yield f"schedule.json groups.{name}", f"unknown antigen {antigen!r}: there is no file for it"
    for code, row in schedule.cvx.items():
        for antigen, begin, end in row.antigens:
            if antigen not in pack.antigens:
                yield f"schedule.json cvx.{code}", f"unknown antigen {antigen!r}: there is no file for it"
            yield from _order((begin, end), f"schedule.json cvx.{code}")
    for n, conflict in enumerate(schedule.conflicts):
        at = f"schedule.json conflicts[{n}]"
        yield from _order(conflict.window, f"{at}.window", required=True)
        for pair in conflict.pairs:
            yield from _known(pair.prev + pair.cur, schedule, at)


def _antigen(file: AntigenFile, schedule: ScheduleFile, at: str) -> Iterator[Problem]:
    seen = [*file.immune_if, *(w[0] for w in file.stop_if), *(row.obs for row in file.stop_vaccine_if)]
    seen += [code for row in file.immune_born for code in row.unless]
    yield from _observations(seen, schedule, at)
    for row in file.immune_born:
        yield from _day(row.before, f"{at} immune_born", required=True)
    for _, begin, end in file.stop_if:
        yield from _order((begin, end), f"{at} stop_if")
    for stop in file.stop_vaccine_if:
        yield from _known(tuple(w[0] for w in stop.cvx), schedule, f"{at} stop_vaccine_if")
        for _, begin, end in stop.cvx:
            yield from _order((begin, end), f"{at} stop_vaccine_if")
    for name, rows in file.vaccines.items():
        yield from _known(tuple(row.cvx for row in rows), schedule, f"{at} vaccines.{name}")
        for row_ in rows:
            yield from _order((row_.from_, row_.to), f"{at} vaccines.{name}")
    groups = {series.group for series in file.series}
    for series in file.series:
        yield from _series(series, file, schedule, groups, f"{at} series {series.name!r}")


def _series(
    series: SeriesRow, file: AntigenFile, schedule: ScheduleFile, groups: set[str], at: str
) -> Iterator[Problem]:
    if not series.doses:
        yield at, "a series has at least one dose"
    if series.kind == "risk" and not series.needs:
        yield f"{at} needs", "a risk series has at least one indication"
    yield from _observations([need[0] for need in series.needs], schedule, f"{at} needs")
    for _, begin, end in series.needs:
        yield from _order((begin, end), f"{at} needs")
    yield from _order(series.start, f"{at} start")
    yield from _order(series.shared, f"{at} shared")
    for group in series.equivalent:
        if group not in groups:
            yield f"{at} equivalent", f"there is no series group {group}"
    for n, dose in enumerate(series.doses, 1):
        yield from _dose(dose, n, file, schedule, groups, f"{at} dose {n}")


def _dose(
    dose: DoseRow, n: int, file: AntigenFile, schedule: ScheduleFile, groups: set[str], at: str
) -> Iterator[Problem]:
    for name in (dose.prefer, dose.allow):
        if name and name not in file.vaccines:
            yield at, f"there is no vaccine list {name!r} in this file"
    yield from _known(dose.never, schedule, f"{at} never")
    for age in dose.age:
        yield from _age(age, f"{at} age")
    for gap in (*dose.gap, *dose.gap_ok):
        yield from _gap(gap, n, schedule, f"{at} gap")
    for skip in dose.skip:
        yield from _skip(skip, schedule, groups, f"{at} skip")
    yield from _days(dose.season, f"{at} season")


def _age(row: AgeRow, at: str) -> Iterator[Problem]:
    yield from _order((row.abs, row.min, row.rec, row.late), at)
    yield from _order((row.min, row.max), at)
    yield from _days((row.from_, row.to), at)


def _gap(row: GapRow, n: int, schedule: ScheduleFile, at: str) -> Iterator[Problem]:
    yield from _order((row.abs, row.min, row.rec), at, "broken interval: ")
    yield from _order((row.min, row.late), at, "broken interval: ")
    yield from _days((row.from_, row.to), at)
    kind, _, what = row.since.partition(":")
    if kind == "dose":
        if not what.isdigit() or not 1 <= int(what) < n:
            yield f"{at}.since", f"{row.since!r} is no dose before this one"
    elif kind == "cvx":
        yield from _known(tuple(what.split(",")), schedule, f"{at}.since")
    elif kind == "obs":
        yield from _observations([what], schedule, f"{at}.since")
    elif row.since != "prev":
        yield f"{at}.since", f"{row.since!r} is none of prev, dose:n, obs:code, cvx:codes"


def _skip(skip: SkipRow, schedule: ScheduleFile, groups: set[str], at: str) -> Iterator[Problem]:
    for row in skip.sets:
        yield from _days((row.from_, row.to), at)
        for when in row.when:
            yield from _when(when, schedule, groups, at)


def _when(when: WhenRow, schedule: ScheduleFile, groups: set[str], at: str) -> Iterator[Problem]:
    yield from _order(when.age, at)
    yield from _days(when.date, at)
    yield from _order((when.gap,), at, required=when.t == "interval")
    yield from _known(when.cvx, schedule, at)
    if when.t == "count" and not (when.n[:1] in tuple(">=<") and when.n[1:].isdigit()):
        yield at, f"{when.n!r} is no comparison such as >1"
    if when.t == "completed" and not set(when.groups) <= groups:
        yield at, f"there is no series group {', '.join(sorted(set(when.groups) - groups))}"


def _order(
    offsets: tuple[str, ...], at: str, prefix: str = "", *, required: bool = False
) -> Iterator[Problem]:
    """Offsets that are none, or not in ascending order (to the month: 30 days and 1 month may stand either way)."""
    days: list[int] = []
    for text in offsets:
        try:
            found = offset(text)
        except Invalid as bad:
            yield at, f"{prefix}{bad}"
            return
        if found is not None:
            days.append(nominal(found))
        elif required:
            yield at, f"{prefix}an interval is missing"
    if any(later < earlier - 3 for earlier, later in pairwise(days)):
        yield at, f"{prefix}{' '.join(filter(None, offsets))} is not in ascending order"


def _days(days: tuple[str, str], at: str) -> Iterator[Problem]:
    found = [problem for day in days for problem in _day(day, at)]
    yield from found
    if not found and all(days) and days[0] > days[1]:
        yield at, f"{days[0]} is after {days[1]}"


def _day(text: str, at: str, *, required: bool = False) -> Iterator[Problem]:
    if not text and not required:
        return
    try:
        date.fromisoformat(text)
    except ValueError:
        yield at, f"{text!r} is no date"


def _known(codes: tuple[str, ...], schedule: ScheduleFile, at: str) -> Iterator[Problem]:
    for code in codes:
        if code not in schedule.cvx:
            yield at, f"unknown vaccine (CVX) {code!r}"


def _observations(codes: list[str], schedule: ScheduleFile, at: str) -> Iterator[Problem]:
    for code in codes:
        if code not in schedule.observations:
            yield at, f"unknown observation {code!r}"
