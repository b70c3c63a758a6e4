"""What one rule is asked of one person, and what it answers."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from datetime import date
from functools import cached_property

from msgspec import Struct

from commonchart.care.calendar import birthday, days_after
from commonchart.care.evidence import Evidence, Fact, Person
from commonchart.care.rules import Pack, Rule


class Unused(Struct, frozen=True):
    """A fact that was looked at and not used, and why."""

    fact: Fact
    reason: str


class Verdict(Struct, frozen=True):
    """An answer before it is explained."""

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


@dataclass(frozen=True)
class Question:
    """One rule, one person, one day."""

    evidence: Evidence
    person: Person
    pack: Pack
    rule: Rule
    as_of: date

    def known(self, *kinds: str) -> Iterator[Fact]:
        """Usable facts that were true by the day asked about, newest first."""
        return (
            f for f in self.evidence.of(*kinds) if not f.unusable and (f.day is None or f.day <= self.as_of)
        )

    def in_any(self, names: Iterable[str], fact: Fact) -> bool:
        """Whether a fact is in any of these code sets."""
        return any(self.pack.holds(name, fact.codes) for name in names)

    @cached_property
    def window(self) -> tuple[date | None, date | None]:
        """From when, and before when, age lets the rule apply."""
        ages, born = self.rule.applies, self.person.born
        if born is None:
            return None, None
        start = birthday(born, ages.min_age) if ages.min_age is not None else None
        end = birthday(born, ages.max_age + 1) if ages.max_age is not None else None
        return start, end

    def later(self, *days: date | None) -> date | None:
        """The first of these days, and of the end of the age window, that lies after the day asked about."""
        coming = [day for day in (*days, self.window[1]) if day is not None and self.as_of < day < date.max]
        return min(coming, default=None)

    def waiting(self, due_on: date | None, because: str, **more: object) -> Verdict:
        """Due or overdue since `due_on`, by the rule's days of grace."""
        overdue_on = days_after(due_on, self.rule.grace_days) if due_on else None
        status = "overdue" if overdue_on and self.as_of >= overdue_on else "due"
        coming = self.later(overdue_on, *self.future)
        return Verdict(status, because, due_on, overdue_on, next_change_on=coming, **more)  # type: ignore[arg-type]

    def done(self, until: date, because: str, *changes: date | None, **more: object) -> Verdict:
        """Up to date until a day (`date.max`: for good), or due soon in the last days before it."""
        if until == date.max:
            coming = self.later(*changes, *self.future)
            return Verdict("up-to-date", because, next_change_on=coming, **more)  # type: ignore[arg-type]
        soon_on = days_after(until, -self.rule.soon_days)
        status = "due-soon" if self.as_of >= soon_on else "up-to-date"
        overdue_on = days_after(until, self.rule.grace_days)
        coming = self.later(soon_on, until, *changes, *self.future)
        return Verdict(status, because, until, overdue_on, until, coming, **more)  # type: ignore[arg-type]

    @cached_property
    def future(self) -> tuple[date, ...]:
        """Days on which facts that are dated in the future come to count."""
        days = {f.day for f in self.evidence.facts if f.day is not None and f.day > self.as_of}
        return (min(days),) if days else ()


def not_used(fact: Fact, reason: str) -> Unused:
    """A fact that was looked at and left out."""
    return Unused(fact, reason)
