"""What one rule is asked of one person, and what it answers."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from datetime import date
from functools import lru_cache
from typing import Any

from msgspec import Struct

from commonchart.care.calendar import days_after
from commonchart.care.chart import Chart, Window
from commonchart.care.evidence import Fact
from commonchart.care.person import Person
from commonchart.care.schema import Pack, Rule


class Unused(Struct, frozen=True, gc=False):
    """A fact that was looked at and not used, and why."""

    fact: Fact
    reason: str


class Told(Struct, frozen=True, gc=False):
    """A question that was asked and not answered: who did not know or would not say, and when to ask again."""

    question: str
    fact: Fact
    again: date


class Verdict(Struct, frozen=True, gc=False):
    """An answer before it is explained. `within` is "in", "out" or "alert" for a measurement, "" where that says nothing.

    `asks` are the questions (risks, by name) that would settle a cannot-tell; `told` those of them that were asked and not answered.
    `follow_up`: a result waits for what it calls for.
    """

    status: str
    because: str
    due_on: date | None = None
    overdue_on: date | None = None
    until: date | None = None
    next_change_on: date | None = None
    used: tuple[Fact, ...] = ()
    unused: tuple[Unused, ...] = ()
    question: str = ""
    satisfied_by: str = ""
    within: str = ""
    asks: tuple[str, ...] = ()
    follow_up: bool = False
    note: str = ""
    told: tuple[Told, ...] = ()


@dataclass(slots=True)
class Question:
    """One rule, one person, one day. `turns` gathers the days on which what was looked at changes by itself."""

    chart: Chart
    rule: Rule
    turns: list[date] = field(default_factory=list)

    @property
    def person(self) -> Person:
        """Whom it is about."""
        return self.chart.person

    @property
    def pack(self) -> Pack:
        """The pack of the rule."""
        return self.chart.pack

    @property
    def as_of(self) -> date:
        """The day."""
        return self.chart.as_of

    @property
    def window(self) -> Window:
        """From when, and before when, age lets the rule apply."""
        return self.chart.window(self.rule)

    def held(self, name: str, *kinds: str) -> list[Fact]:
        """The usable facts of a code set, newest first."""
        return self.chart.held(name, *kinds)

    def active(self, names: Iterable[str], kind: str = "condition") -> Iterator[Fact]:
        """Facts of any of these sets that are going on; their end is a day of change."""
        for name in names:
            for fact in self.held(name, kind):
                if fact.active_on(self.as_of):
                    self.turn(fact.ended)
                    yield fact

    def turn(self, *days: date | None) -> None:
        """Note days on which the answer may become another one."""
        self.turns.extend(day for day in days if day is not None)

    def later(self, *days: date | None) -> date | None:
        """The first of these days, and of those noted, that lies after the day asked about."""
        as_of, first = self.chart.as_of, None
        for day in (*days, *self.turns, self.window[1], self.chart.future):
            if day is not None and as_of < day < date.max and (first is None or day < first):
                first = day
        return first

    def waiting(self, due_on: date | None, because: str, *, grace: int | None = None, **more: Any) -> Verdict:
        """Due or overdue since `due_on`, by the rule's days of grace."""
        days = self.rule.grace_days if grace is None else grace
        overdue_on = days_after(due_on, days) if due_on else None
        status = "overdue" if overdue_on and self.as_of >= overdue_on else "due"
        return Verdict(status, because, due_on, overdue_on, next_change_on=self.later(overdue_on), **more)

    def done(self, until: date, because: str, *changes: date | None, **more: Any) -> Verdict:
        """Up to date until a day (`date.max`: for good), or due soon in the last days before it."""
        if until == date.max:
            return Verdict("up-to-date", because, next_change_on=self.later(*changes), **more)
        soon_on = days_after(until, -self.rule.soon_days)
        status = "due-soon" if self.as_of >= soon_on else "up-to-date"
        overdue_on = days_after(until, self.rule.grace_days)
        return Verdict(
            status, because, until, overdue_on, until, self.later(soon_on, until, *changes), **more
        )


def not_used(fact: Fact, reason: str) -> Unused:
    """A fact that was looked at and left out."""
    return Unused(fact, reason)


@lru_cache(4096)
def _named(names: tuple[str, ...]) -> str:
    return " or ".join(name.replace("-", " ") for name in names)


def named(names: Iterable[str]) -> str:
    """Code sets in words: "diabetes or kidney disease"."""
    return _named(tuple(names))
