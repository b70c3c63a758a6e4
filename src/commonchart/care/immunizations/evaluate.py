"""The engine: one person, all antigens, one day (chapter 4). Pure: the same arguments give the same answer."""

from __future__ import annotations

from bisect import bisect_left, bisect_right
from collections.abc import Iterable, Sequence
from datetime import date, timedelta

from commonchart.care.immunizations.answer import (
    Assessment,
    Considered,
    Dose,
    Evaluated,
    Evaluation,
    Finding,
    GroupAnswer,
    Observation,
    Person,
)
from commonchart.care.immunizations.choose import Choice, choose
from commonchart.care.immunizations.compile import Antigen, Schedule, Series
from commonchart.care.immunizations.dose import evaluate as evaluate_doses
from commonchart.care.immunizations.forecast import PAST_SEASON, against, forecast
from commonchart.care.immunizations.groups import forecasts, shown_first, started
from commonchart.care.immunizations.history import History
from commonchart.care.immunizations.offsets import add
from commonchart.care.immunizations.run import Against, Run

_DAY = timedelta(days=1)


def evaluate(
    person: Person,
    doses: Sequence[Dose],
    observations: Sequence[Observation],
    schedule: Schedule,
    as_of: date,
) -> Assessment:
    """Every dose evaluated and the next one of every vaccine group forecast, as of a day.

    Never raises on any history: what cannot be used is in `findings`. Without a usable birth date there is no answer, and a
    finding says so.
    """
    born = person.born
    if born is None or born > as_of:
        why = "the birth date is not known" if born is None else f"the birth date {born} is after {as_of}"
        return Assessment(
            as_of,
            schedule.name,
            (),
            (),
            (),
            (Finding("cannot tell", f"{why}: nothing could be evaluated"),),
            None,
        )
    history = History(schedule, person, born, doses, observations, as_of)
    sex = person.sex if person.sex in ("female", "male") else "unknown"
    if sex == "unknown":
        history.findings.append(
            Finding("sex unknown", "sex is not known: series for one sex only were not considered")
        )
    given = history.by_antigen() if history.when else {}
    outcomes: dict[str, tuple[list[Run], Choice]] = {}
    nothing = Against(history, [])
    for name, antigen in schedule.antigens.items():
        numbers = given.get(name)
        idle = antigen.idle[sex] if numbers is None and antigen.observed.isdisjoint(history.active) else None
        if idle is not None:
            if idle:
                outcomes[name] = _idle(history, antigen, idle, nothing)
        elif runs := _runs(history, antigen, sex, numbers or []):
            outcomes[name] = (runs, choose(runs))
    answers = tuple(_group_answers(schedule, outcomes, history))
    history.findings += _seasons_over(answers, schedule)
    if history.active:
        history.findings += _undated(outcomes, history)
    return Assessment(
        as_of,
        schedule.name,
        answers,
        _evaluated(history, outcomes, given),
        tuple(_considered(outcomes)),
        tuple(history.findings),
        None if person.dead or person.died is not None else _next_change(answers, doses, history, as_of),
    )


def _idle(
    history: History, antigen: Antigen, series: tuple[Series, ...], nothing: Against
) -> tuple[list[Run], Choice]:
    """The default series of an antigen that nothing is recorded about: they are the best ones without any scoring."""
    facts = against(history, antigen, []) if antigen.immune_born or history.active else nothing
    choice = Choice()
    for one in series:
        run = Run(one, facts)
        forecast(run)
        choice.best.append(run)
        choice.why[one.name] = "the default series: nothing is recorded for this antigen"
    return choice.best, choice


def _runs(history: History, antigen: Antigen, sex: str, doses: list[int]) -> list[Run]:
    """Every relevant series tried, those last that ask whether others are complete."""
    series: Iterable[Series] = antigen.standard[sex]
    if history.active and not antigen.risk_obs.isdisjoint(history.active):
        risk = [one for one in antigen.risk[sex] if _indicated(one, history)]
        series = sorted((*series, *risk), key=lambda one: one.waits)
    facts = against(history, antigen, doses)
    for one in series:
        run = Run(one, facts)
        if doses:
            evaluate_doses(run)
        forecast(run)
        if run.complete:
            facts.completed.add(one.group)
        facts.runs.append(run)
    return facts.runs


def _indicated(series: Series, history: History) -> bool:
    return any(
        code in history.active and history.aged((begin, end), history.today)
        for code, begin, end in series.needs
    )


def _group_answers(
    schedule: Schedule, outcomes: dict[str, tuple[list[Run], Choice]], history: History
) -> Iterable[GroupAnswer]:
    for group in schedule.groups:
        best = [
            run
            for antigen in group.antigens
            if antigen.name in outcomes
            for run in outcomes[antigen.name][1].best
        ]
        if best:
            found = forecasts(group, best, history)
            yield GroupAnswer(group.name, shown_first(group, found), found)


def _seasons_over(answers: tuple[GroupAnswer, ...], schedule: Schedule) -> Iterable[Finding]:
    """A season that the pack no longer knows is no advice: a newer pack must say what is due."""
    for answer in answers:
        if answer.shown is not None and answer.shown.why == PAST_SEASON:
            why = f"{answer.group}: the season in the pack {schedule.name} is over; what is due now needs a newer pack"
            yield Finding("season over", why)


def _undated(outcomes: dict[str, tuple[list[Run], Choice]], history: History) -> Iterable[Finding]:
    """Days that an interval of the dose now due counts from and nobody recorded: the interval was not checked."""
    due = [run.target for _, choice in outcomes.values() for run in choice.best if run.target is not None]
    wanted = {gap.obs for target in due for gap in target.gaps if gap.obs}
    for code in sorted(code for code in wanted if not history.active.get(code)):
        title = history.schedule.observations[code].title
        yield Finding(
            "undated observation",
            f"{title}: its day is not recorded, and the interval from it was not checked",
        )


def _evaluated(
    history: History, outcomes: dict[str, tuple[list[Run], Choice]], given: dict[str, list[int]]
) -> tuple[Evaluated, ...]:
    """Each dose with what it counted for in the series that were chosen; those for a later age judge nothing yet."""
    found: list[list[Evaluation]] = [[] for _ in history.doses]
    for antigen, numbers in given.items():
        best = outcomes[antigen][1].best if antigen in outcomes else []
        for run in [one for one in best if started(one, history)] or best:
            for number in numbers:
                status, target, reasons = run.results[number]
                series = run.series
                group = history.schedule.antigens[antigen].group
                found[number].append(
                    Evaluation(antigen, group, series.name, series.kind, status, target, reasons)
                )
        if not best:
            group = history.schedule.antigens[antigen].group
            for number in numbers:
                found[number].append(Evaluation(antigen, group, "", "", "not evaluated", 0))
    return tuple(Evaluated(dose, tuple(rows)) for dose, rows in zip(history.doses, found, strict=True))


def _considered(outcomes: dict[str, tuple[list[Run], Choice]]) -> Iterable[Considered]:
    for antigen, (runs, choice) in outcomes.items():
        best = {run.series.name for run in choice.best}
        for run in runs:
            series = run.series
            name = series.name
            yield Considered(
                antigen, name, series.kind, series.group, run.status, len(run.valid), choice.scores.get(name),
                name in best, choice.why.get(name, "not scored"),
            )  # fmt: skip


def _next_change(
    answers: tuple[GroupAnswer, ...], doses: Sequence[Dose], history: History, as_of: date
) -> date | None:
    """The first later day on which the answer may be another although no fact changed: never later than it is, maybe earlier."""
    days = [date.fromordinal(edge) for edge in _next_edges(history, history.today)]
    days += [
        date.fromordinal(day)
        for when in history.when
        for gap in history.schedule.gap_edges
        if (day := add(when, gap)) > history.today
    ]
    days += [one.on for one in doses if one.on is not None and one.on > as_of]
    for answer in answers:
        for found in answer.forecasts:
            if found.earliest is not None and found.earliest > as_of:
                days.append(found.earliest)
            if found.recommended is not None and found.recommended > as_of:
                days.append(found.recommended)
            if found.past_due is not None and as_of <= found.past_due < date.max:
                days.append(found.past_due + _DAY)
            if found.latest is not None and as_of <= found.latest < date.max:
                days.append(found.latest + _DAY)
    return min(days, default=None)


def _next_edges(history: History, today: int) -> Iterable[int]:
    schedule = history.schedule
    at = bisect_right(schedule.day_edges, today)
    yield from schedule.day_edges[at : at + 1]
    lived = today - history.ages.born
    first = bisect_left(schedule.age_edge_days, lived - 40)
    found = 0
    for edge in schedule.age_edges[first:]:
        day = history.ages[edge]
        if day > today:
            yield day
            found += 1
            if found == 4:
                return
