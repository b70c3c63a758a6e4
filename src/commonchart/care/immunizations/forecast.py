"""What a series needs next (chapter 7): its status, and the days of the dose that is due."""

from __future__ import annotations

from commonchart.care.immunizations.answer import (
    AGED_OUT,
    COMPLETE,
    CONTRAINDICATED,
    IMMUNE,
    NOT_COMPLETE,
    NOT_RECOMMENDED,
)
from commonchart.care.immunizations.compile import AgeSpan, Antigen, Target
from commonchart.care.immunizations.dose import reference
from commonchart.care.immunizations.history import History
from commonchart.care.immunizations.offsets import add
from commonchart.care.immunizations.run import Against, Run, skips


def against(history: History, antigen: Antigen, doses: list[int]) -> Against:
    """What holds for every series of an antigen: immunity (7.2) and contraindications (7.3) as of today."""
    out = Against(history, doses)
    active = history.active
    if active or antigen.immune_born:
        out.immune_by = _immune(history, antigen)
    if active and not antigen.stop_obs.isdisjoint(active):
        _stop(history, antigen, out)
    return out


def _immune(history: History, antigen: Antigen) -> tuple[str, ...] | None:
    """The observations that prove immunity, () for immunity by birth, None for none."""
    proven = antigen.immune_if.intersection(history.active)
    if proven:
        return tuple(sorted(proven))
    for before, country, unless in antigen.immune_born:
        here = not country or _same_country(country, history.country)
        if here and history.ages.born < before and unless.isdisjoint(history.active):
            return ()
    return None


_UNITED_STATES = {"us", "usa", "unitedstates", "unitedstatesofamerica"}


def _same_country(wanted: str, country: str) -> bool:
    """Whether two countries are the same however written; one that is not known proves nothing."""
    a, b = ("".join(ch for ch in name.lower() if ch.isalpha()) for name in (wanted, country))
    return bool(b) and (a == b or (a in _UNITED_STATES and b in _UNITED_STATES))


def _stop(history: History, antigen: Antigen, out: Against) -> None:
    today = history.today
    stopping = []
    for code in history.active:
        if any(history.aged(span, today) for span in antigen.stop_if.get(code, ())):
            stopping.append(code)
        for cvx, begin, end in antigen.stop_vaccine_if.get(code, ()):
            if history.aged((begin, end), today):
                out.stopped_vaccines.setdefault(cvx, code)
    out.stopped_by = tuple(sorted(stopping))


PAST_SEASON = "past the season"
Gaps = tuple[int, int, int]
_NO_GAPS: Gaps = (0, 0, 0)


def forecast(run: Run) -> None:
    """Give the run its status and days."""
    targets = run.series.targets
    today, limit = run.against.history.today, len(run.against.history.when)
    while True:
        while run.at < len(targets):
            rules = targets[run.at].skip_forecasting
            if not rules or not skips(run, rules, today, today, limit, run.last, False):
                break
            run.at += 1
        if run.at == len(targets):
            _finished(run)
            return
        target = targets[run.at]
        row = _in_force(target, today)
        oldest = run.against.history.ages[row.max] if row is not None and row.max is not None else None
        if _stopped(run, target, today, oldest):
            return
        gaps = _gaps(run, target, limit) if target.gaps else _NO_GAPS
        earliest = _earliest(run, target, row, gaps)
        if earliest is not None and oldest is not None and earliest >= oldest:
            run.status, run.why, run.target = AGED_OUT, "too late to finish", target
            return
        if (
            earliest is None
            or not target.skip_forecasting
            or not _not_needed_then(run, target, earliest, limit)
        ):
            break
        run.at += 1
    run.latest = oldest - 1 if oldest is not None else None
    _due(run, target, row, earliest, gaps)


def _not_needed_then(run: Run, target: Target, earliest: int, limit: int) -> bool:
    """Whether the dose would no longer be needed on the earliest day it could be given (7.6)."""
    today = run.against.history.today
    return skips(run, target.skip_forecasting, earliest, today, limit, run.last, False)


def _finished(run: Run) -> None:
    if run.satisfied:
        run.status, run.why = COMPLETE, "all doses given"
    else:
        run.status, run.why = NOT_RECOMMENDED, "not needed after past vaccination"


def _stopped(run: Run, target: Target, today: int, oldest: int | None) -> bool:
    """Immunity, contraindication, a past season or age: what ends a forecast before any day is computed."""
    facts = run.against
    if facts.immune_by is not None:
        run.status, run.why, run.stopped_by = IMMUNE, "evidence of immunity", facts.immune_by
    elif facts.stopped_by:
        run.status, run.why, run.stopped_by = CONTRAINDICATED, "contraindicated", facts.stopped_by
    elif facts.stopped_vaccines and (stopping := _all_vaccines_stopped(run)):
        run.status, run.why, run.stopped_by = CONTRAINDICATED, "every vaccine contraindicated", stopping
    elif target.season_last and today > target.season_last:
        run.status, run.why = NOT_RECOMMENDED, PAST_SEASON
    elif oldest is not None and today >= oldest:
        run.status, run.why = AGED_OUT, "past the maximum age"
    else:
        return False
    run.target = target
    return True


def _all_vaccines_stopped(run: Run) -> tuple[str, ...]:
    """The observations that forbid every preferable vaccine of the remaining doses; () if one may be given."""
    stopped = run.against.stopped_vaccines
    remaining = {product.cvx for target in run.series.targets[run.at :] for product in target.products}
    if not remaining or not remaining <= stopped.keys():
        return ()
    return tuple(sorted({stopped[cvx] for cvx in remaining}))


def _in_force(target: Target, today: int) -> AgeSpan | None:
    if target.age is not None:
        return target.age
    for row in target.ages:
        if row.since <= today <= row.until:
            return row
    return None


def _oldest(run: Run, target: Target, today: int) -> int | None:
    row = _in_force(target, today)
    return run.against.history.ages[row.max] if row is not None and row.max is not None else None


def _earliest(run: Run, target: Target, row: AgeSpan | None, gaps: Gaps) -> int | None:
    """The latest of everything that must be waited for (FORECASTDTCAN-1), None if nothing is known."""
    history = run.against.history
    found = max(target.season_first, gaps[0])
    if row is not None and row.min is not None and (least := history.ages[row.min]) > found:
        found = least
    if run.last >= 0 and history.when[run.last] > found:
        found = history.when[run.last]
    if target.clashes and history.when:
        found = max(found, _clash(target, history))
    return found or None


def _clash(target: Target, history: History) -> int:
    """When no live vaccine given conflicts any longer with one that may be given (CALCDTCONFLICT-3); 0 for none."""
    return max(
        (
            add(history.when[n], end)
            for n, cvx in enumerate(history.cvx)
            for _, end in target.clashes.get(cvx, ())
        ),
        default=0,
    )


def _gaps(run: Run, target: Target, limit: int) -> Gaps:
    """The latest days that the minimum, recommended and latest intervals lead to from their references; 0 for none."""
    today = run.against.history.today
    least = wanted = late = 0
    for gap in target.gaps:
        since = reference(run, gap, limit) if gap.since <= today <= gap.until else 0
        if not since:
            continue
        if gap.min is not None:
            least = max(least, add(since, gap.min))
        if gap.rec is not None:
            wanted = max(wanted, add(since, gap.rec))
        if gap.late is not None:
            late = max(late, add(since, gap.late))
    return least, wanted, late


def _due(run: Run, target: Target, row: AgeSpan | None, earliest: int | None, gaps: Gaps) -> None:
    """The days of FORECASTDT-1 to -6 and the dose number."""
    ages = run.against.history.ages
    run.status, run.target = NOT_COMPLETE, target
    run.earliest = earliest
    run.number = 1 + _numbered(run, target)
    wanted = ages[row.rec] if row is not None and row.rec is not None else gaps[1]
    late = ages[row.late] if row is not None and row.late is not None else gaps[2]
    floor = earliest or 0
    run.recommended = max(floor, wanted) or None
    run.past_due = max(floor, late - 1) if late else None


def _numbered(run: Run, target: Target) -> int:
    """How many doses count towards the number: for a seasonal dose only those of the season (FORECASTDN-1)."""
    if not target.season_first:
        return run.satisfied
    days = run.against.history.when
    return sum(days[number] >= target.season_first for number in run.valid)


def finish(run: Run) -> int | None:
    """The earliest day on which the series could be finished (8.6), None if it cannot be told."""
    if run.earliest is None:
        return None
    rest = [
        gap.min for target in run.series.targets[run.at + 1 :] for gap in target.gaps if gap.min is not None
    ]
    return max((add(run.earliest, amount) for amount in rest), default=run.earliest)


def completable(run: Run) -> bool:
    """Whether the series can be finished before the maximum age of its last dose."""
    done = finish(run)
    if done is None:
        return False
    oldest = _oldest(run, run.series.targets[-1], run.against.history.today)
    return oldest is None or done < oldest
