"""Vaccine groups (chapter 9): the best series of one kind blended, and which forecast of a group is shown first."""

from __future__ import annotations

from collections.abc import Container, Iterable
from datetime import date

from commonchart.care.immunizations.answer import (
    AGED_OUT,
    COMPLETE,
    CONTRAINDICATED,
    IMMUNE,
    NOT_COMPLETE,
    NOT_RECOMMENDED,
    NOT_VALID,
    VALID,
    Evaluated,
    Evaluation,
    Forecast,
)
from commonchart.care.immunizations.compile import RISK, STANDARD, Group
from commonchart.care.immunizations.history import History
from commonchart.care.immunizations.run import Run

_WORST_FIRST = (CONTRAINDICATED, AGED_OUT, NOT_RECOMMENDED, NOT_COMPLETE)
_SHOWN_FIRST = (CONTRAINDICATED, NOT_COMPLETE, COMPLETE, IMMUNE, NOT_RECOMMENDED, AGED_OUT)
_FAR = date.max
_SHARED = ("shared clinical decision-making",)
_STANDING = {NOT_VALID: 0, VALID: 1}
Days = tuple[int | None, int | None, int | None, int | None, int | None]
_NONE: list[Run] = []
_NO_PRODUCTS: tuple[tuple[str, ...], tuple[str, ...]] = ((), ())
_NO_DAYS: Days = (None, None, None, None, None)


def forecasts(group: Group, best: Iterable[Run], history: History) -> tuple[Forecast, ...]:
    """The forecasts of a group: one for each best series, or, with several antigens, one for each kind of series."""
    runs = list(best)
    counted = 1 + len({number for run in runs for number in run.valid})
    if len(group.antigens) == 1:
        return tuple(_of(group, [run], history, counted) for run in runs)
    kinds: dict[str, list[Run]] = {}
    for run in runs:
        kinds.setdefault(RISK if run.series.kind == RISK else STANDARD, []).append(run)
    return tuple(_of(group, members, history, counted) for members in kinds.values())


def _of(group: Group, runs: list[Run], history: History, counted: int) -> Forecast:
    status = _status(runs)
    lead = runs[0] if len(runs) == 1 else next(run for run in runs if run.status == status)
    due = _NONE if status != NOT_COMPLETE else runs if len(runs) == 1 else _still_due(runs)
    earliest, wanted, past_due, latest, number = _days(group, due, history) if due else _NO_DAYS
    products = _products(due, history, earliest, wanted) if due else _NO_PRODUCTS
    begun = started(lead, history) or (len(runs) > 1 and any(started(run, history) for run in runs))
    series = lead.series
    shared = series.shared is not None and history.aged(series.shared, history.today)
    return Forecast(
        group.name, series.kind, status, lead.why, tuple([run.series.name for run in runs]),
        tuple([run.series.antigen for run in due]), number, counted if due else None, _date(earliest), _date(wanted),
        _date(past_due), _date(latest), *products, _SHARED if shared else (),
        _because(runs, history) if series.kind == RISK else (), _stopped_by(runs), not begun, begun,
    )  # fmt: skip


def _still_due(runs: list[Run]) -> list[Run]:
    return [run for run in runs if run.status == NOT_COMPLETE]


def _status(runs: list[Run]) -> str:
    """Table 9-4."""
    if len(runs) == 1:
        return runs[0].status
    found = {run.status for run in runs}
    for status in _WORST_FIRST:
        if status in found:
            return status
    return IMMUNE if found == {IMMUNE} else COMPLETE


def _days(group: Group, due: list[Run], history: History) -> Days:
    """FORECASTVG-1 to -6 and FORECASTDN-2."""
    if len(due) == 1:
        run = due[0]
        return run.earliest, run.recommended, run.past_due, run.latest, run.number
    earliest = _earliest(due, history)
    floor = earliest or 0
    wanted = min([run.recommended for run in due if run.recommended is not None], default=None)
    late = min([run.past_due for run in due if run.past_due is not None], default=None)
    latest = min([run.latest for run in due if run.latest is not None], default=None)
    numbers = [run.number for run in due if run.number is not None]
    return (
        earliest,
        None if wanted is None else max(floor, wanted),
        None if late is None else max(floor, late),
        latest,
        min(numbers) if group.full else max(numbers),
    )


def _date(day: int | None) -> date | None:
    return date.fromordinal(day) if day else None


def _earliest(due: list[Run], history: History) -> int | None:
    """MULTIANTVG-1: the latest of the earliest days; with an overriding interval the first, but not before the last dose."""
    days = [run.earliest for run in due if run.earliest is not None]
    if not days:
        return None
    if any(run.target is not None and run.target.overriding for run in due):
        given = [history.when[run.last] for run in due if run.last >= 0]
        return max([min(days), *given])
    return max(days)


def _products(
    due: list[Run], history: History, earliest: int | None, wanted: int | None
) -> tuple[tuple[str, ...], tuple[str, ...]]:
    """FORECASTRECVAC-1: what fits by age on the earliest or the recommended day and is not contraindicated.

    First those that a forecast names, then every preferable one that fits when it can be given: not before today.
    """
    one = earliest or wanted or history.today
    other = wanted or one
    now = history.today
    named: list[str] = []
    usable: list[str] = []
    for run in due:
        for span, forecast, every in run.target.windows if run.target is not None else ():
            if history.aged(span, one) or (other != one and history.aged(span, other)):
                named += forecast
            if history.aged(span, max(one, now)) or (other != one and history.aged(span, max(other, now))):
                usable += every
    stopped = due[0].against.stopped_vaccines if len(due) == 1 else _stopped(due)
    return _distinct(named, stopped), _distinct(usable, stopped)


def _stopped(due: list[Run]) -> set[str]:
    return {cvx for run in due for cvx in run.against.stopped_vaccines}


def _distinct(codes: list[str], stopped: Container[str]) -> tuple[str, ...]:
    return tuple(
        dict.fromkeys(code for code in codes if code not in stopped) if stopped else dict.fromkeys(codes)
    )


def _stopped_by(runs: list[Run]) -> tuple[str, ...]:
    if len(runs) == 1:
        return runs[0].stopped_by
    return tuple(sorted({code for run in runs for code in run.stopped_by}))


def _because(runs: list[Run], history: History) -> tuple[str, ...]:
    """The observations that make the risk series apply."""
    found = {
        code
        for run in runs
        for code, begin, end in run.series.needs
        if code in history.active and history.aged((begin, end), history.today)
    }
    return tuple(sorted(found)) if found else ()


def started(run: Run, history: History) -> bool:
    """Whether a series is meant for this age already, or under way."""
    start = run.series.start_min
    return bool(run.valid) or start is None or history.ages[start] <= history.today


def standing(evaluated: Evaluated, group: str, found: Forecast | None, kind: str = "") -> Evaluation | None:
    """How one dose stands in a vaccine group: not valid if any antigen says so, else valid if any, else as it is.

    Of the series of `kind` ("risk", "standard") if any is named and judged it, else of the forecast shown, else of any. None
    if the dose is not of the group.
    """
    rows = [row for row in evaluated.evaluations if row.group == group]
    chosen = [row for row in rows if (row.kind == RISK) == (kind == RISK)] if kind else []
    chosen = chosen or [row for row in rows if found is not None and row.series in found.series] or rows
    ranked = sorted(chosen, key=lambda row: _STANDING.get(row.status, 2))
    return ranked[0] if ranked else None


def shown_first(group: Group, found: tuple[Forecast, ...]) -> Forecast | None:
    """Which forecast of a group stands for it. Both the page and the check of published cases use this.

    A risk forecast stands before a standard one; in a group of several antigens only if it still needs a dose, or the standard
    one owes none of the same antigens. Among several of a kind: those started before future ones, then by status, then the
    earliest.
    """
    if len(found) == 1:
        return found[0]
    risk = _first([one for one in found if one.kind == RISK])
    standard = _first([one for one in found if one.kind != RISK])
    if risk is None or standard is None:
        return risk or standard
    if len(group.antigens) == 1 or risk.status == NOT_COMPLETE:
        return risk
    same = {antigen.name for antigen in group.antigens} & set(standard.antigens)
    return standard if standard.status == NOT_COMPLETE and same & _antigens(risk, group) else risk


def _antigens(forecast: Forecast, group: Group) -> set[str]:
    """The antigens that the series of a forecast are against."""
    names = set(forecast.series)
    return {
        antigen.name
        for antigen in group.antigens
        for series in (*antigen.risk["unknown"], *antigen.risk["female"], *antigen.risk["male"])
        if series.name in names
    }


def _first(found: list[Forecast]) -> Forecast | None:
    return min(found, key=_order, default=None)


def _order(forecast: Forecast) -> tuple[bool, int, date]:
    return not forecast.started, _SHOWN_FIRST.index(forecast.status), forecast.earliest or _FAR
