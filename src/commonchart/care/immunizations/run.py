"""One series tried on one history: which doses satisfied what, and whether a target dose can be skipped (6.2)."""

from __future__ import annotations

from commonchart.care.immunizations.answer import COMPLETE, VALID, Reason
from commonchart.care.immunizations.compile import AGE, COUNT, INTERVAL, Series, Skip, Target, Together, When
from commonchart.care.immunizations.history import History
from commonchart.care.immunizations.offsets import add


class Against:
    """What holds for all series of one antigen: its doses, contraindications, immunity and the series done so far."""

    __slots__ = ("completed", "doses", "history", "immune_by", "runs", "stopped_by", "stopped_vaccines")

    def __init__(self, history: History, doses: list[int]) -> None:
        self.history = history
        self.doses = doses
        self.immune_by: tuple[str, ...] | None = None
        self.stopped_by: tuple[str, ...] = ()
        self.stopped_vaccines: dict[str, str] = {}
        self.completed: set[str] = set()
        self.runs: list[Run] = []


# shared by all series of antigens without a dose, which nothing is ever put into: most of them
_NO_DOSES: list[int] = []
_NO_RESULTS: dict[int, tuple[str, int, tuple[Reason, ...]]] = {}
_NO_HITS: dict[int, int] = {}
_NO_TRAIL: list[tuple[int, int, int]] = []


class Run:
    """A series on a history. `results` holds (status, target number, reasons) by dose; `at` is the index of the target now due.

    `trail` is, after each dose, its number, the index of the target then due and how many were satisfied.
    """

    __slots__ = (
        "against", "at", "earliest", "hits", "inadvertent", "last", "latest", "number", "past_due", "previous",
        "recommended", "results", "satisfied", "series", "status", "stopped_by", "target", "trail", "valid", "why",
    )  # fmt: skip

    def __init__(self, series: Series, against: Against) -> None:
        self.series = series
        self.against = against
        self.at = 0
        self.satisfied = 0
        some = bool(against.doses)
        self.valid: list[int] = [] if some else _NO_DOSES
        self.results: dict[int, tuple[str, int, tuple[Reason, ...]]] = {} if some else _NO_RESULTS
        self.hits: dict[int, int] = {} if some else _NO_HITS
        self.trail: list[tuple[int, int, int]] = [] if some else _NO_TRAIL
        self.inadvertent: set[int] | None = None
        self.previous = -1
        self.last = -1
        self.status = self.why = ""
        self.target: Target | None = None
        self.earliest: int | None = None
        self.recommended: int | None = None
        self.past_due: int | None = None
        self.latest: int | None = None
        self.number: int | None = None
        self.stopped_by: tuple[str, ...] = ()

    @property
    def complete(self) -> bool:
        """Whether every target dose is satisfied or not needed."""
        return self.status == COMPLETE


def skips(
    run: Run, rules: tuple[Skip, ...], day: int, anchor: int, limit: int, last: int, strict: bool
) -> bool:
    """Whether a target dose is not needed on a day.

    `anchor` decides which sets are in force; only doses numbered below `limit` are counted; `last` is the dose just before
    (-1 for none); `strict` wants a series completed before the day, not on it.
    """
    return any(_rule_met(rule, run, day, anchor, limit, last, strict) for rule in rules)


def _rule_met(rule: Skip, run: Run, day: int, anchor: int, limit: int, last: int, strict: bool) -> bool:
    """Any of the sets in force, or all of them, of which there must be one."""
    some = False
    for one in rule.sets:
        if not one.since <= anchor <= one.until:
            continue
        some = True
        if _met(one, run, day, limit, last, strict) == rule.any:
            return rule.any
    return some and not rule.any


def _met(one: Together, run: Run, day: int, limit: int, last: int, strict: bool) -> bool:
    for when in one.whens:
        if _holds(when, run, day, limit, last, strict) == one.any:
            return one.any
    return bool(one.whens) and not one.any


def _holds(when: When, run: Run, day: int, limit: int, last: int, strict: bool) -> bool:
    kind = when.kind
    history = run.against.history
    if kind == AGE:
        return history.aged((when.begin, when.end), day)
    if kind == COUNT:
        return _compared(_count(when, run, history, limit), when.op, when.n)
    if kind == INTERVAL:
        return last >= 0 and when.gap is not None and day >= add(history.when[last], when.gap)
    if not strict:
        return not when.groups.isdisjoint(run.against.completed)
    return any(_completed_before(one, day) for one in run.against.runs if one.series.group in when.groups)


def _completed_before(run: Run, day: int) -> bool:
    """Whether a series was complete before a day, by what was known then: what is evaluated never depends on today."""
    before = [step for step in run.trail if run.against.history.when[step[0]] < day]
    if not before:
        return False
    number, at, satisfied = before[-1]
    targets = run.series.targets
    while at < len(targets) and skips(run, targets[at].skip_forecasting, day, day, number + 1, number, False):
        at += 1
    return bool(satisfied) and at == len(targets)


def _compared(count: int, op: str, n: int) -> bool:
    return count > n if op == ">" else count == n if op == "=" else count < n


def _count(when: When, run: Run, history: History, limit: int) -> int:
    if not limit:
        return 0
    found = 0
    days, codes, results = history.when, history.cvx, run.results
    wanted = when.cvx
    for number in range(limit) if when.whole else run.against.doses:
        if number >= limit:
            break
        if wanted is not None and codes[number] not in wanted:
            continue
        day = days[number]
        if not when.first <= day < when.last or not history.aged((when.begin, when.end), day):
            continue
        if when.valid and (number not in results or results[number][0] != VALID):
            continue
        found += 1
    return found
