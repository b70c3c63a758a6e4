"""One patient as the measures look at it: facts found by value set, indexed once, up to the end of the period."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable
from datetime import date, datetime
from typing import Any

from commonchart.measures.evidence import Fact, Patient, facts, patient, settings
from commonchart.measures.period import Period
from commonchart.measures.value_sets import Coded, ValueSets

NO_FACTS: list[Fact] = []


def code(system: str, value: str) -> str:
    """The name of one code used directly, where no value set holds it."""
    return f"{system}|{value}"


class Vocabulary:
    """The names that definitions use (titles of value sets, codes used directly), looked up by code.

    Raises NotFound where a title is in none of the value sets.
    """

    def __init__(self, sets: ValueSets, names: Iterable[str]) -> None:
        by_code: dict[Coded, set[str]] = defaultdict(set)
        for name in names:
            for coded in _members(sets, name):
                by_code[coded].add(name)
        self._names = {coded: frozenset(found) for coded, found in by_code.items()}

    def knows(self, codes: frozenset[Coded]) -> bool:
        """Whether one of the codes belongs to any name."""
        return not self._names.keys().isdisjoint(codes)

    def names(self, codes: Iterable[Coded]) -> set[str]:
        """Every name that one of the codes belongs to."""
        out: set[str] = set()
        for coded in codes:
            out |= self._names.get(coded, frozenset())
        return out

    def holds(self, names: Iterable[str], codes: Iterable[Coded]) -> bool:
        """Whether one of the codes belongs to one of the names."""
        return not self.names(codes).isdisjoint(names)


def _members(sets: ValueSets, name: str) -> Iterable[Coded]:
    system, bar, value = name.rpartition("|")
    return ((system, value),) if bar else sets.of(name)


class Chart:
    """A patient's facts for one period. `until` is the moment after which nothing counts: the end of the period."""

    def __init__(
        self,
        resources: list[dict[str, Any]],
        period: Period,
        words: Vocabulary,
        until: datetime | None = None,
    ) -> None:
        self.period = period
        self.until = until or period.until
        self.words = words
        self.patient: Patient = patient(resources)
        self.settings = settings(resources)
        self._found: dict[tuple[str, str], list[Fact]] = defaultdict(list)
        for fact in facts(resources, words.knows):
            if fact.dated is None or fact.dated < self.until:
                for name in words.names(fact.codes):
                    self._found[fact.kind, name].append(fact)

    def find(self, kind: str, names: Iterable[str]) -> list[Fact]:
        """The facts of a resource type with a code of these names, in the order of the record."""
        lists = [self._found.get((kind, name), NO_FACTS) for name in names]
        if len(lists) == 1:
            return lists[0]
        return list({id(fact): fact for found in lists for fact in found}.values())

    def age(self, day: date) -> int | None:
        """Full years on a day, None where the birth date is not fully known."""
        born = self.patient.born
        if born is None:
            return None
        return int(day.year - born.year - ((day.month, day.day) < (born.month, born.day)))
