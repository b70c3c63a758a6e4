"""Which series speaks for an antigen (chapter 8): scorable ones of each series group, scored, then the best among groups."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping

from commonchart.care.immunizations.answer import CONTRAINDICATED, NOT_COMPLETE, VALID
from commonchart.care.immunizations.compile import EVALUATION, RISK, STANDARD
from commonchart.care.immunizations.forecast import completable, finish
from commonchart.care.immunizations.run import Run

Scores = Mapping[str, int]


class Choice:
    """The runs of an antigen with what became of each: score (None: not scored), chosen or not, and why."""

    __slots__ = ("best", "scores", "why")

    def __init__(self) -> None:
        self.best: list[Run] = []
        self.scores: dict[str, int] = {}
        self.why: dict[str, str] = {}


def choose(runs: Iterable[Run]) -> Choice:
    """The best series of an antigen, several where its series groups are not equivalent (8.8)."""
    choice = Choice()
    groups: dict[str, list[Run]] = {}
    for run in runs:
        groups.setdefault(run.series.group, []).append(run)
    first = {group: found for group, members in groups.items() if (found := _prioritized(members, choice))}
    for group, run in first.items():
        equivalent = [first[other] for other in run.series.equivalent if other in first and other != group]
        if _best(run, equivalent, choice):
            choice.best.append(run)
    return choice


def _best(run: Run, equivalent: list[Run], choice: Choice) -> bool:
    """Table 8-14."""
    name = run.series.name
    if run.complete:
        return True
    if any(other.complete for other in equivalent):
        choice.why[name] = "an equivalent series group is complete"
        return False
    if run.series.kind == EVALUATION:
        choice.why[name] = "only evaluates, and is not complete"
        return False
    if run.series.kind == STANDARD and any(other.series.kind == RISK for other in equivalent):
        choice.why[name] = "an equivalent risk series applies"
        return False
    return True


def _prioritized(members: list[Run], choice: Choice) -> Run | None:
    """The series that stands for its group, None if there is none."""
    if len(members) == 1 and members[0].series.default:
        choice.why[members[0].series.name] = "the only series of its group"
        return members[0]
    candidates = [run for run in members if run.status != CONTRAINDICATED] or members
    default = next((run for run in candidates if run.series.default), None)
    scorable = _scorable(candidates, members)
    if not scorable:
        return _because(default, "the default series", choice)
    if len(scorable) == 1:
        return _because(scorable[0], "the only one that applies", choice)
    complete = [run for run in scorable if run.complete]
    if len(complete) == 1:
        return _because(complete[0], "the only complete one", choice)
    if complete:
        return _winner(complete, _score_complete, choice)
    started = [run for run in scorable if run.satisfied and run.status == NOT_COMPLETE]
    if len(started) == 1:
        return _because(started[0], "the only one under way", choice)
    if started:
        return _winner(started, _score_started, choice)
    if default in scorable:
        return _because(default, "the default series", choice)
    return _winner(scorable, _score_unstarted, choice)


def _because(run: Run | None, why: str, choice: Choice) -> Run | None:
    if run is not None:
        choice.why[run.series.name] = why
    return run


def _scorable(candidates: list[Run], members: list[Run]) -> list[Run]:
    """SELECTSCORE-2."""
    letter = min((run.series.priority for run in members if run.series.kind == RISK), default="")
    nothing = not any(run.valid for run in members) and not any(run.series.default for run in members)
    return [run for run in candidates if _may_score(run, letter, nothing)]


def _may_score(run: Run, letter: str, nothing: bool) -> bool:
    series = run.series
    if series.kind == RISK:
        return series.priority == letter
    if series.kind == EVALUATION:
        return run.complete
    return (bool(run.valid) and _started_in_time(run)) or nothing


def _started_in_time(run: Run) -> bool:
    latest = run.series.start_max
    history = run.against.history
    return latest is None or history.when[run.valid[0]] < history.ages[latest]


def _winner(runs: list[Run], score: Callable[[Run, list[Run]], int], choice: Choice) -> Run:
    for run in runs:
        choice.scores[run.series.name] = score(run, runs)
        choice.why[run.series.name] = "scored lower"
    best = min(runs, key=lambda run: (-choice.scores[run.series.name], run.series.prefer))
    tied = [run for run in runs if choice.scores[run.series.name] == choice.scores[best.series.name]]
    choice.why[best.series.name] = "scored highest" if len(tied) == 1 else "preferred among equal scores"
    return best


def _rank(mine: int, others: list[int], points: int, tie: int = 0) -> int:
    """Points for being alone the greatest, `tie` for sharing it, minus the points otherwise."""
    if mine < max(others):
        return -points
    return points if others.count(mine) == 1 else tie


def _score_complete(run: Run, runs: list[Run]) -> int:
    return _rank(len(run.valid), [len(one.valid) for one in runs], 1)


def _score_started(run: Run, runs: list[Run]) -> int:
    flawless = run.series.product and all(result[0] == VALID for result in run.results.values())
    score = (2 if flawless else -2) + (3 if completable(run) else -3)
    score += _rank(len(run.valid), [len(one.valid) for one in runs], 2)
    score += _rank(-_left(run), [-_left(one) for one in runs], 2)
    return score + _finishing(run, runs)


def _left(run: Run) -> int:
    return len(run.series.targets) - run.at


def _finishing(run: Run, runs: list[Run]) -> int:
    ends = [-(finish(one) or 0) for one in runs if completable(one)]
    return _rank(-(finish(run) or 0), ends, 1) if completable(run) else -1


def _score_unstarted(run: Run, runs: list[Run]) -> int:
    starts = [-one.earliest for one in runs if one.earliest is not None]
    score = -1 if run.earliest is None else _rank(-run.earliest, starts, 1)
    return score + (1 if completable(run) else -1) + (-1 if run.series.product else 1)
