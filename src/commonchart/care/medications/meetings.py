"""Medicines that meet: interactions, two of the same, and one that needs another beside it."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from datetime import date
from functools import cached_property

from commonchart.care.medications.answers import Alert, Source, alert
from commonchart.care.medications.inputs import Medication
from commonchart.care.medications.pack import Absent, Pack, Pair, Same

LOCAL = frozenset({"topical", "ophthalmic"})
SAME_INGREDIENT = Same(
    "same-ingredient", "", "the same ingredient twice", "rule of the program: same ingredient", "reviewed"
)


@dataclass(frozen=True)
class Meeting:
    """The medicines of a person on a day; `order` is the one being ordered, None for a review of all."""

    pack: Pack
    medications: Sequence[Medication]
    order: Medication | None
    as_of: date
    approved: frozenset[str]

    @cached_property
    def all(self) -> tuple[Medication, ...]:
        """Every medicine, the order among them."""
        return (*self.medications, self.order) if self.order else tuple(self.medications)

    @cached_property
    def by_ingredient(self) -> dict[str, list[Medication]]:
        """The medicines that have each ingredient, ended ones among them."""
        found: dict[str, list[Medication]] = {}
        for medication in self.all:
            for ingredient in medication.drug.ingredients:
                found.setdefault(ingredient, []).append(medication)
        return found

    def having(self, name: str) -> list[tuple[str, Medication]]:
        """(ingredient, medicine) of an ingredient or group."""
        present = self.by_ingredient.keys() & self.pack.members(name)
        return [(ingredient, one) for ingredient in sorted(present) for one in self.by_ingredient[ingredient]]

    def counts(self, one: Medication, washout_days: int = 0) -> bool:
        """Whether a medicine is taken, or ended less than its washout ago."""
        return one.until is None or (self.as_of - one.until).days <= washout_days

    def concerns(self, *those: Medication) -> bool:
        """Whether the order is among them; in a review everything concerns."""
        return self.order is None or any(one is self.order for one in those)


def source(one: Medication) -> Source:
    """A medicine as a record that an alert rests on."""
    return Source(one.ref, one.text)


def interactions(meeting: Meeting) -> Iterator[Alert]:
    """One alert for each rule and pair of ingredients, naming every medicine with them."""
    for rule in meeting.pack.rules["pair"]:
        yield from _pair(meeting, rule)


def _pair(meeting: Meeting, rule: Pair) -> Iterator[Alert]:
    left = meeting.having(rule.a)
    right = meeting.having(rule.b) if left else []
    found: dict[tuple[str, str], dict[str, Medication]] = {}
    for a, first in left:
        for b, second in right:
            if a == b or first is second or not _meet(meeting, rule, first, second):
                continue
            key = (min(a, b), max(a, b)) if rule.a == rule.b else (a, b)
            found.setdefault(key, {}).update({first.ref: first, second.ref: second})
    for (a, b), those in found.items():
        sure = meeting.pack.sure(rule.a, a) and meeting.pack.sure(rule.b, b)
        yield alert(
            meeting.pack, rule, "interaction", f"{_capital(a)} with {b}", map(source, those.values()),
            meeting.approved, sure, not rule.new_start or meeting.order is not None,
        )  # fmt: skip


def _meet(meeting: Meeting, rule: Pair, first: Medication, second: Medication) -> bool:
    if not meeting.concerns(first, second):
        return False
    days = rule.washout_days
    ended = (
        first.until is not None
        and second.until is not None
        and not meeting.counts(first)
        and not meeting.counts(second)
    )
    return not ended and meeting.counts(first, days) and meeting.counts(second, days)


def duplicates(meeting: Meeting) -> Iterator[Alert]:
    """The same ingredient in two medicines, else two of a class of which one is enough."""
    for ingredient, those in sorted(meeting.by_ingredient.items()):
        if twice := _twice(meeting, those):
            title = f"{_capital(ingredient)} twice"
            yield alert(
                meeting.pack, SAME_INGREDIENT, "duplicate", title, map(source, twice), meeting.approved
            )
    for rule in meeting.pack.rules["same"]:
        yield from _class_twice(meeting, rule)


def _class_twice(meeting: Meeting, rule: Same) -> Iterator[Alert]:
    found = [
        (i, one)
        for i, one in meeting.having(rule.group)
        if one.counts_twice and one.route not in LOCAL and meeting.counts(one)
    ]
    ingredients = sorted({i for i, _ in found})
    those = list({one.ref: one for _, one in found}.values())
    if len(ingredients) < 2 or len(those) < 2 or not meeting.concerns(*those):
        return
    sure = all(meeting.pack.sure(rule.group, i) for i in ingredients)
    title = f"Two of one class: {', '.join(ingredients)}"
    yield alert(meeting.pack, rule, "duplicate", title, map(source, those), meeting.approved, sure)


def _twice(meeting: Meeting, those: Iterable[Medication]) -> list[Medication]:
    """Medicines that are records of different courses."""
    found: list[Medication] = []
    for one in those:
        whole = one.counts_twice and one.route not in LOCAL and meeting.counts(one)
        if whole and not any(_related(one, other) for other in found):
            found.append(one)
    return found if len(found) > 1 and meeting.concerns(*found) else []


def _related(one: Medication, other: Medication) -> bool:
    return one.ref == other.ref or bool(one.family & other.family)


def companions(meeting: Meeting) -> Iterator[Alert]:
    """A medicine by a route that needs another beside it, which is not recorded."""
    for rule in meeting.pack.rules["absent"]:
        for ingredient, one in meeting.having(rule.drug):
            if meeting.concerns(one) and _alone(meeting, rule, one):
                title = f"{_capital(ingredient)} {one.route} without a record of another {meeting.pack.groups[rule.needs].label}"
                yield alert(meeting.pack, rule, "companion", title, [source(one)], meeting.approved)


def _alone(meeting: Meeting, rule: Absent, one: Medication) -> bool:
    fits = meeting.counts(one) and (not rule.routes or one.route in rule.routes)
    return fits and not any(
        other is not one and meeting.counts(other, 7) for _, other in meeting.having(rule.needs)
    )


def _capital(name: str) -> str:
    return name[:1].upper() + name[1:]
