"""Vaccine groups (chapter 9): the best series of one kind blended, and which forecast of a group is shown first."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import date

from commonchart.care.immunizations.answer import (
    AGED_OUT,
    COMPLETE,
    CONTRAINDICATED,
    IMMUNE,
    NOT_COMPLETE,
    NOT_RECOMMENDED,
    Forecast,
)
from commonchart.care.immunizations.compile import RISK, STANDARD, Group, Product
from commonchart.care.immunizations.history import History
from commonchart.care.immunizations.run import Run

_WORST_FIRST = (CONTRAINDICATED, AGED_OUT, NOT_RECOMMENDED, NOT_COMPLETE)
_SHOWN_FIRST = (CONTRAINDICATED, NOT_COMPLETE, COMPLETE, IMMUNE, NOT_RECOMMENDED, AGED_OUT)
_FAR = date.max


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
    lead = next(run for run in runs if run.status == status)
    due = [run for run in runs if run.status == NOT_COMPLETE] if status == NOT_COMPLETE else []
    base = Forecast(
        group=group.name,
        kind=lead.series.kind,
        status=status,
        why=lead.why,
        series=tuple(run.series.name for run in runs),
        antigens=tuple(run.series.antigen for run in due),
        guidance=_guidance(runs),
        because=_because(runs, history),
        stopped_by=tuple(sorted({code for run in runs for code in run.stopped_by})),
        future=_future(runs, history),
        started=any(_started(run, history) for run in runs),
    )
    return _with_days(base, group, due, history, counted) if due else base


def _status(runs: list[Run]) -> str:
    """Table 9-4."""
    if len(runs) == 1:
        return runs[0].status
    found = {run.status for run in runs}
    for status in _WORST_FIRST:
        if status in found:
            return status
    return IMMUNE if found == {IMMUNE} else COMPLETE


def _with_days(base: Forecast, group: Group, due: list[Run], history: History, counted: int) -> Forecast:
    """FORECASTVG-1 to -6 and FORECASTDN-2."""
    earliest = _earliest(due, history)
    floor = earliest or 0
    recommended = [run.recommended for run in due if run.recommended is not None]
    past_due = [run.past_due for run in due if run.past_due is not None]
    latest = [run.latest for run in due if run.latest is not None]
    numbers = [run.number for run in due if run.number is not None]
    wanted = max(floor, min(recommended)) if recommended else None
    return Forecast(
        base.group, base.kind, base.status, base.why, base.series, base.antigens,
        min(numbers) if group.full else max(numbers), counted, _date(earliest), _date(wanted),
        _date(max(floor, min(past_due))) if past_due else None, _date(min(latest)) if latest else None,
        *_products(due, history, earliest, wanted), base.guidance, base.because, base.stopped_by, base.future, base.started,
    )  # fmt: skip


def _date(day: int | None) -> date | None:
    return date.fromordinal(day) if day else None


def _earliest(due: list[Run], history: History) -> int | None:
    """MULTIANTVG-1: the latest of the earliest days; with an overriding interval the first, but not before the last dose."""
    days = [run.earliest for run in due if run.earliest is not None]
    if not days:
        return None
    if len(due) > 1 and any(run.target is not None and run.target.overriding for run in due):
        given = [history.when[run.last] for run in due if run.last >= 0]
        return max([min(days), *given])
    return max(days)


def _products(
    due: list[Run], history: History, earliest: int | None, wanted: int | None
) -> tuple[tuple[str, ...], tuple[str, ...]]:
    """FORECASTRECVAC-1: what fits by age on the earliest or the recommended day and is not contraindicated.

    First those that a forecast names, then every preferable one that fits when it can be given: not before today.
    """
    days = [day for day in (earliest, wanted) if day is not None] or [history.today]
    giving = [max(day, history.today) for day in days]
    named: dict[str, None] = {}
    usable: dict[str, None] = {}
    for run in due:
        stopped = run.against.stopped_vaccines
        for product in run.target.products if run.target is not None else ():
            if product.cvx in stopped:
                continue
            if _fits(product, giving, history):
                usable[product.cvx] = None
            if product.forecast and _fits(product, days, history):
                named[product.cvx] = None
    return tuple(named), tuple(usable)


def _fits(product: Product, days: list[int], history: History) -> bool:
    span = (product.begin, product.end)
    return any(history.aged(span, day) for day in days)


def _guidance(runs: list[Run]) -> tuple[str, ...]:
    return ("shared clinical decision-making",) if any(run.series.shared for run in runs) else ()


def _because(runs: list[Run], history: History) -> tuple[str, ...]:
    """The observations that make the risk series apply."""
    found = {
        code
        for run in runs
        for code, begin, end in run.series.needs
        if code in history.active and history.aged((begin, end), history.today)
    }
    return tuple(sorted(found)) if found else ()


def _started(run: Run, history: History) -> bool:
    """Whether a series is meant for this age already, or under way."""
    start = run.series.start_min
    return bool(run.valid) or start is None or history.ages[start] <= history.today


def _future(runs: list[Run], history: History) -> bool:
    return not any(_started(run, history) for run in runs)


def shown_first(group: Group, found: tuple[Forecast, ...]) -> Forecast | None:
    """Which forecast of a group stands for it. Both the page and the check of published cases use this.

    A risk forecast stands before a standard one; in a group of several antigens only if it still needs a dose, or the standard
    one owes none of the same antigens. Among several of a kind: those started before future ones, then by status, then the
    earliest.
    """
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
