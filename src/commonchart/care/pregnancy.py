"""A pregnancy is an episode: a beginning, an estimated due date, an end. A loss or a birth stops it at once.

One without an end that began more than 45 weeks ago is "unknown": cannot tell (clinical corrections).
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from datetime import date
from typing import Literal

from msgspec import Struct

from commonchart.care.calendar import add_months, days_after
from commonchart.care.evidence import Fact
from commonchart.care.person import Person

TERM_DAYS = 280
LONGEST_DAYS = 45 * 7
POSTPARTUM_MONTHS = 12
State = Literal["none", "pregnant", "postpartum", "unknown"]


class Pregnancy(Struct, frozen=True):
    """The state on a day. `start` is the first day of the last period, or, not `dated`, when it was first recorded."""

    state: State
    start: date | None = None
    due: date | None = None
    ended: date | None = None
    dated: bool = False
    fact: Fact | None = None
    changes: tuple[date, ...] = ()

    def week_day(self, week: int) -> date | None:
        """The day on which so many weeks are completed."""
        return days_after(self.start, 7 * week) if self.start else None


NONE = Pregnancy("none")


def pregnancy(by_set: Mapping[str, Sequence[Fact]], person: Person, as_of: date) -> Pregnancy:
    """The pregnancy that the facts of the sets pregnancy, due-date, gestational-age, birth and pregnancy-loss come to."""
    known = _Known(by_set, as_of)
    ended = known.end
    sign = known.sign
    if sign is None or (ended and sign.day and ended >= sign.day):
        return _after(known, ended, as_of)
    if sign.day is None:
        return Pregnancy("unknown", fact=sign)
    if sign.ended is not None and sign.ended <= as_of:
        return _after(known, sign.ended, as_of)
    start, due, dated = known.dates(sign, ended)
    overdue = days_after(start, LONGEST_DAYS)
    changes = tuple(day for day in (overdue, sign.ended) if day)
    if as_of >= overdue:
        return Pregnancy("unknown", start, due, None, dated, sign, changes)
    return Pregnancy("pregnant", start, due, None, dated, sign, changes)


def _after(known: _Known, ended: date | None, as_of: date) -> Pregnancy:
    birth = known.birth
    if birth is None or birth.day is None or (ended and ended > birth.day and known.sign_after(birth.day)):
        return Pregnancy("none", ended=ended)
    until = add_months(birth.day, POSTPARTUM_MONTHS)
    if as_of >= until:
        return Pregnancy("none", ended=birth.day)
    return Pregnancy("postpartum", ended=birth.day, fact=birth, changes=(until,))


class _Known:
    """The facts about pregnancies that may be used on a day."""

    def __init__(self, by_set: Mapping[str, Sequence[Fact]], as_of: date) -> None:
        self.by_set, self.as_of = by_set, as_of
        self.birth = self._first("birth")
        loss = self._first("pregnancy-loss")
        denied = next((f for f in self._of("pregnancy-status") if f.answers and not _yes(f)), None)
        self.end = max((f.day for f in (self.birth, loss, denied) if f and f.day), default=None)
        self.sign = self._sign()

    def _of(self, name: str) -> Iterable[Fact]:
        return (
            f
            for f in self.by_set.get(name, ())
            if not f.unusable
            and (f.day is None or f.day <= self.as_of)
            and f.kind != "order"
            and not (f.kind == "observation" and f.truth is False and name == "pregnancy-loss")
        )

    def _first(self, name: str) -> Fact | None:
        return next(iter(self._of(name)), None)

    def _sign(self) -> Fact | None:
        found = [f for f in self._of("pregnancy") if f.kind != "condition" or f.active or f.ended is not None]
        found += [f for f in self._of("pregnancy-status") if _yes(f)]
        found += [f for f in self._of("due-date") if f.moment]
        found += [f for f in self._of("gestational-age") if f.value is not None]
        return max(found, key=lambda f: f.day or date.min, default=None)

    def sign_after(self, day: date) -> bool:
        """Whether a pregnancy was recorded after a day."""
        return bool(self.sign and self.sign.day and self.sign.day > day)

    def dates(self, sign: Fact, ended: date | None) -> tuple[date, date | None, bool]:
        """Beginning, due date and whether the beginning is known: by due date, else gestational age, else the first record."""
        floor = ended or date.min
        for fact in self._of("due-date"):
            if (
                fact.moment
                and fact.day
                and fact.day > floor
                and abs((fact.moment - (sign.day or fact.day)).days) < LONGEST_DAYS
            ):
                return days_after(fact.moment, -TERM_DAYS), fact.moment, True
        for fact in self._of("gestational-age"):
            if fact.value is not None and fact.day and fact.day > floor and 0 < fact.value < 46:
                start = days_after(fact.day, -int(fact.value * 7))
                return start, days_after(start, TERM_DAYS), True
        assert sign.day
        recent = [
            f.day
            for f in self._of("pregnancy")
            if f.day and f.day > floor and (sign.day - f.day).days < LONGEST_DAYS
        ]
        return min([*recent, sign.day]), None, False


_PREGNANT = frozenset({("sct", "77386006"), ("loinc", "LA15173-0")})


def _yes(fact: Fact) -> bool:
    return bool(fact.answers & _PREGNANT) or fact.truth is True
