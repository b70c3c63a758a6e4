"""The words that measure definitions are written in. Each says whether it is met by a chart; those over facts also give them.

A definition is data: trees of these structs, which can be walked (`names`), shown, and changed by a test.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from datetime import datetime, timedelta
from typing import Any, Literal, Protocol

from msgspec import Struct

from commonchart.measures.chart import Chart
from commonchart.measures.evidence import Fact

VERIFIED = frozenset({"", "confirmed", "unconfirmed", "provisional", "differential"})
FINAL = frozenset({"final", "amended", "corrected"})
COMPLETED = frozenset({"completed"})
ORDERED = frozenset({"active", "completed"})
SEEN = frozenset({"finished", "arrived", "triaged", "in-progress", "onleave"})
FINISHED = frozenset({"finished"})
ACTIVE = frozenset({"active"})
LIVE = frozenset({"active", "recurrence", "relapse"})


class Criterion(Protocol):
    """Something that a chart meets or not."""

    def met(self, chart: Chart) -> bool:
        """Whether it does."""
        ...


class Finding(Protocol):
    """A criterion that is met by facts."""

    def met(self, chart: Chart) -> bool:
        """Whether there is any."""
        ...

    def found(self, chart: Chart) -> list[Fact]:
        """The facts that meet it."""
        ...


class When(Struct, frozen=True):
    """Which part of a fact must lie in which window.

    The window opens `months` before the period (None: no limit) and closes at its end, or `closes` months after its start
    (0: before it); `days` moves both edges. Parts: `whole` (start and end), `any` (an overlap), `supply` (an overlap of the
    days that an order covers), or one moment.
    """

    part: Literal["start", "end", "latest", "whole", "any", "supply"]
    months: int | None = 0
    closes: int | None = None
    days: int = 0

    def window(self, chart: Chart) -> tuple[datetime, datetime]:
        """First moment of the window, and the first moment after it."""
        start, move = chart.period.start, timedelta(days=self.days)
        opens = (
            datetime.min.replace(tzinfo=start.tzinfo)
            if self.months is None
            else months_on(start, -self.months) + move
        )
        return opens, chart.until + move if self.closes is None else months_on(start, self.closes) + move

    def fits(self, fact: Fact, chart: Chart) -> bool:
        """Whether the fact's part lies in the window. What has no date where one is needed does not."""
        opens, closes = self.window(chart)
        if self.part == "any":
            return _overlaps(fact, opens, closes)
        if self.part == "supply":
            return fact.supply is not None and fact.supply[0] < closes and fact.supply[1] >= opens
        if self.part == "start" and fact.start is None:
            return fact.kind == "Condition" and self.months is None
        return all(moment is not None and opens <= moment < closes for moment in self._moments(fact))

    def _moments(self, fact: Fact) -> tuple[datetime | None, ...]:
        if self.part == "whole":
            return fact.start, fact.end
        return ({"start": fact.start, "end": fact.end, "latest": fact.latest}[self.part],)


def _overlaps(fact: Fact, opens: datetime, closes: datetime) -> bool:
    """Whether a fact's time overlaps the window; a condition without an onset is taken as older than any window.

    One that is over, and nobody knows since when, is not known to overlap (QICoreCommon `prevalenceInterval`).
    """
    if fact.start is None and fact.kind != "Condition":
        return False
    if fact.end is None and fact.kind == "Condition" and fact.clinical not in LIVE | {""}:
        return False
    return (fact.start is None or fact.start < closes) and (fact.end is None or fact.end >= opens)


def months_on(moment: datetime, months: int) -> datetime:
    """The same day and time so many months on, on the last day of a shorter month."""
    year, month = divmod(moment.year * 12 + moment.month - 1 + months, 12)
    for day in (moment.day, 30, 29, 28):
        try:
            return moment.replace(year=year, month=month + 1, day=day)
        except ValueError:
            continue
    raise AssertionError("every month has 28 days")


IN_PERIOD = When("whole")
ENDS_IN_PERIOD = When("end")
OVERLAPS_PERIOD = When("any")
STARTED = When("start", months=None)
ENDED = When("end", months=None)
STARTS_IN_PERIOD = When("start")


class Seek(Struct, frozen=True):
    """Facts of one type with a code of the names `of`, at the right time, and whatever else is asked of them.

    `status`, `category`, `intent` and `clinical` may be any of those named (none named: any). `value`, `reason`, `site` and
    `outcome` are names like `of`; `aged` is the age in years at the fact; `coded`: an order by reference does not count.
    """

    kind: str
    of: tuple[str, ...]
    when: When | None
    status: frozenset[str]
    category: frozenset[str] = frozenset()
    intent: frozenset[str] = frozenset()
    negated: bool | None = False
    valued: bool = False
    numeric: bool = False
    coded: bool = False
    clinical: frozenset[str] = frozenset()
    value: tuple[str, ...] = ()
    reason: tuple[str, ...] = ()
    site: tuple[str, ...] = ()
    outcome: tuple[str, ...] = ()
    aged: tuple[int, int] | None = None
    not_setting: frozenset[str] = frozenset()

    def met(self, chart: Chart) -> bool:
        """Whether there is such a fact."""
        return any(self._fits(fact, chart) for fact in chart.find(self.kind, self.of))

    def found(self, chart: Chart) -> list[Fact]:
        """All such facts."""
        return [fact for fact in chart.find(self.kind, self.of) if self._fits(fact, chart)]

    def _fits(self, fact: Fact, chart: Chart) -> bool:
        return self._stands(fact) and self._says(fact, chart) and self._timely(fact, chart)

    def _stands(self, fact: Fact) -> bool:
        return (
            (not self.status or fact.status in self.status)
            and (not self.intent or fact.intent in self.intent)
            and (not self.category or not self.category.isdisjoint(fact.categories))
            and (not self.clinical or fact.clinical in self.clinical)
            and self.negated in (None, fact.negated)
            and not (self.coded and fact.referred)
            and fact.setting not in self.not_setting
        )

    def _says(self, fact: Fact, chart: Chart) -> bool:
        asked = (
            (self.value, fact.meaning),
            (self.reason, fact.reasons),
            (self.site, fact.sites),
            (self.outcome, fact.outcome),
        )
        if (self.valued and not fact.valued) or (self.numeric and fact.value is None):
            return False
        return all(not names or chart.words.holds(names, codes) for names, codes in asked)

    def _timely(self, fact: Fact, chart: Chart) -> bool:
        if self.aged is not None and not _aged(fact, chart, self.aged):
            return False
        return self.when is None or self.when.fits(fact, chart)


def _aged(fact: Fact, chart: Chart, span: tuple[int, int]) -> bool:
    years = chart.age(fact.latest.date()) if fact.latest else None
    return years is not None and span[0] <= years <= span[1]


class Beside(Struct, frozen=True):
    """Facts that stand in a relation to one of some other facts, such as a visit on the same day."""

    find: Finding
    other: Finding
    how: Callable[[Fact, Fact], bool]

    def met(self, chart: Chart) -> bool:
        """Whether there is such a fact."""
        return bool(self.found(chart))

    def found(self, chart: Chart) -> list[Fact]:
        """All such facts."""
        others = self.other.found(chart)
        return [fact for fact in self.find.found(chart) if any(self.how(fact, other) for other in others)]


class LastSays(Struct, frozen=True):
    """The last of some observations, where its coded value is one of the names `value`."""

    among: Finding
    value: tuple[str, ...]

    @property
    def named(self) -> tuple[str, ...]:
        """The names it uses itself."""
        return self.value

    def met(self, chart: Chart) -> bool:
        """Whether the last one says so."""
        return bool(self.found(chart))

    def found(self, chart: Chart) -> list[Fact]:
        """The last one, if it says so."""
        dated = [fact for fact in self.among.found(chart) if fact.latest]
        last = max(dated, key=lambda fact: (fact.latest, fact.start), default=None)
        return [last] if last and chart.words.holds(self.value, last.meaning) else []


class Either(Struct, frozen=True):
    """The facts of several findings together."""

    parts: tuple[Finding, ...]

    def met(self, chart: Chart) -> bool:
        """Whether there is any."""
        return any(part.met(chart) for part in self.parts)

    def found(self, chart: Chart) -> list[Fact]:
        """All of them."""
        return [fact for part in self.parts for fact in part.found(chart)]


class AnyOf(Struct, frozen=True):
    """Met where one of its parts is."""

    parts: tuple[Criterion, ...]

    def met(self, chart: Chart) -> bool:
        """Whether one part is met."""
        return any(part.met(chart) for part in self.parts)


class AllOf(Struct, frozen=True):
    """Met where all of its parts are."""

    parts: tuple[Criterion, ...]

    def met(self, chart: Chart) -> bool:
        """Whether all parts are met."""
        return all(part.met(chart) for part in self.parts)


class Not(Struct, frozen=True):
    """Met where its part is not."""

    part: Criterion

    def met(self, chart: Chart) -> bool:
        """Whether the part is not met."""
        return not self.part.met(chart)


class Age(Struct, frozen=True):
    """Full years on the first or the last day of the period, both limits included."""

    low: int
    high: int = 200
    at: Literal["start", "end"] = "end"

    def met(self, chart: Chart) -> bool:
        """Whether the age is known and within the limits."""
        years = chart.age(chart.period.last if self.at == "end" else chart.period.first)
        return years is not None and self.low <= years <= self.high


class Female(Struct, frozen=True):
    """Sex as the yearly set says it: administrative gender (2024), or the us-core-sex extension (2025)."""

    by: Literal["gender", "sex"]

    def met(self, chart: Chart) -> bool:
        """Whether it says female."""
        return chart.patient.gender == "female" if self.by == "gender" else chart.patient.sex == "248152002"


class Died(Struct, frozen=True):
    """Died up to the end of the period, by a dated death."""

    def met(self, chart: Chart) -> bool:
        """Whether there is one."""
        return chart.patient.died is not None and chart.patient.died < chart.until


NEVER = AnyOf(())


def names(tree: Any) -> Iterator[str]:
    """Every name (value set title or direct code) that a definition uses."""
    if isinstance(tree, Seek):
        yield from (*tree.of, *tree.value, *tree.reason, *tree.site, *tree.outcome)
    elif isinstance(tree, tuple):
        for one in tree:
            yield from names(one)
    elif isinstance(tree, Struct):
        yield from getattr(tree, "named", ())
        for field in tree.__struct_fields__:
            yield from names(getattr(tree, field))
