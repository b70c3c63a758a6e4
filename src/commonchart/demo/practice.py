"""The whole synthetic practice, patient by patient: those with stories first. Any number of patients can be had."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from datetime import date, timedelta
from functools import partial
from random import Random

from msgspec import Struct
from msgspec.structs import replace

from commonchart.demo.dialysis import PLAN, dialysed
from commonchart.demo.folder import Folder, dice
from commonchart.demo.lives import live
from commonchart.demo.people import FAMILY, GIVEN, Plan, households
from commonchart.demo.stories import STORIES, stories

UNTIL = date(2026, 11, 18)
PATIENTS = 300
STORY_FOLDERS = len(STORIES) + 2


class Page(Struct, frozen=True):
    """A patient to be made when it is their turn: making one is cheap, holding all of them is not."""

    key: str
    make: Callable[[], Folder]


def pages(until: date = UNTIL, patients: int = PATIENTS) -> Iterator[Page]:
    """One page for each of that many patients, the same ones in the same order every time.

    Above 300 the practice is cloned: the same courses under other names and numbers, moved by some days.
    """
    made = [*_stories(until), *_ordinary(until, PATIENTS - STORY_FOLDERS - 1)]
    made.insert(min(60, len(made)), Page(PLAN.key, partial(dialysed, until)))
    yield from made[:patients]
    plans = [plan for plan, _ in STORIES] + households(PATIENTS - STORY_FOLDERS - 1)
    for n in range(max(0, patients - PATIENTS)):
        plan = cloned(plans[n % len(plans)], n)
        yield Page(plan.key, partial(_lived, plan, until - timedelta(days=n % 9)))


def folders(until: date = UNTIL, patients: int = PATIENTS) -> Iterator[Folder]:
    """Every patient's folder."""
    return (page.make() for page in pages(until, patients))


def _stories(until: date) -> list[Page]:
    return [Page(folder.key, partial(_held, folder)) for folder in stories(until)]


def _ordinary(until: date, count: int) -> list[Page]:
    return [Page(plan.key, partial(_lived, plan, until)) for plan in households(count)]


def _lived(plan: Plan, until: date) -> Folder:
    return live(plan, until).folder


def _held(folder: Folder) -> Folder:
    return folder


def cloned(plan: Plan, n: int) -> Plan:
    """Another person with the same illnesses: new name, number and household, a little older or younger."""
    chance: Random = dice("clone", str(n))
    return replace(
        plan,
        key=f"clone-{n}-{plan.key}",
        given=chance.choice(GIVEN[plan.sex]),
        family=chance.choice(FAMILY),
        age=round(max(0.1, plan.age + chance.uniform(-0.05, 0.05)), 2),
        house=1000 + n // 3,
    )
