"""Who hears of a critical value that nobody has acknowledged, after how many minutes."""

from __future__ import annotations

import re
from collections.abc import Collection
from datetime import datetime, timedelta
from typing import Literal

from msgspec import Struct

from commonchart.fhir.outcome import Invalid

Whom = Literal["clinician", "cover", "everyone"]
WORDS: dict[Whom, str] = {
    "clinician": "the clinician it is addressed to",
    "cover": "who covers for them, and who is on call",
    "everyone": "every clinician of the organisation, and the administrators",
}
DEFAULT = "0=clinician 15=cover 30=everyone"
"""A cautious beginning, taken from no guideline: every site reviews it (docs/how-to/work-through-results.md)."""
_STEP = re.compile(r"(\d{1,4})=(clinician|cover|everyone)")


class Step(Struct, frozen=True):
    """From so many minutes on these people hear of it too."""

    minutes: int
    whom: Whom


class Staff(Struct, frozen=True):
    """User ids: who covers for whom it is addressed to at the moment, who is on call, and everybody of the organisation."""

    covers: frozenset[str] = frozenset()
    on_call: frozenset[str] = frozenset()
    everyone: frozenset[str] = frozenset()


class Reach(Struct, frozen=True):
    """Who hears of it: those of the step, others who may open it where these may not, and who is told that no clinician may.

    `unseen`: no clinician of any step may open it.
    """

    step: frozenset[str]
    beside: frozenset[str] = frozenset()
    told: frozenset[str] = frozenset()
    unseen: bool = False


def steps(text: str) -> tuple[Step, ...]:
    """The steps out of `0=clinician 15=cover 30=everyone`. Raises Invalid.

    The first begins at once, they begin one after the other, and the last is everyone: it never ends with one person.
    """
    found = []
    for part in text.split():
        one = _STEP.fullmatch(part)
        if one is None:
            raise Invalid(f"Say steps such as {DEFAULT}", at="critical_levels")
        found.append(Step(int(one[1]), one[2]))  # type: ignore[arg-type]
    minutes = [one.minutes for one in found]
    if not found or minutes[0] != 0 or minutes != sorted(set(minutes)):
        raise Invalid(
            "The first step begins at 0 minutes, and each later than the one before", at="critical_levels"
        )
    if found[-1].whom != "everyone":
        raise Invalid(
            "The last step is everyone, so that it never ends with one person", at="critical_levels"
        )
    return tuple(found)


def due_at(plan: tuple[Step, ...], raised: datetime, level: int) -> datetime | None:
    """When the step after `level` begins, None after the last."""
    return raised + timedelta(minutes=plan[level + 1].minutes) if level + 1 < len(plan) else None


def level_at(plan: tuple[Step, ...], raised: datetime, now: datetime) -> int:
    """The step that has been reached."""
    return max(n for n, one in enumerate(plan) if n == 0 or raised + timedelta(minutes=one.minutes) <= now)


def audience(plan: tuple[Step, ...], level: int, owner: str, staff: Staff) -> Collection[str]:
    """Everybody who is responsible at a step: those of the steps before stay. Where a step has nobody, it is everyone."""
    out: set[str] = set()
    for one in plan[: level + 1]:
        out |= _of(one.whom, owner, staff)
    return out


def reached(
    plan: tuple[Step, ...], level: int, owner: str, staff: Staff, may: Collection[str], sign: Collection[str]
) -> frozenset[str]:
    """Who of the steps hears of it, of those who `may` open it: where none of a step who may `sign` results does, all of every step.

    Without anybody who may do both it holds those who only may open it.
    """
    there = Staff(*(held & frozenset(may) for held in (staff.covers, staff.on_call, staff.everyone)))
    found = frozenset(audience(plan, level, owner, there))
    return found if found & frozenset(sign) else there.covers | there.on_call | there.everyone


def _of(whom: Whom, owner: str, staff: Staff) -> frozenset[str]:
    named = {
        "clinician": frozenset({owner} - {""}) & staff.everyone | (staff.covers if owner else frozenset()),
        "cover": staff.covers | staff.on_call,
        "everyone": staff.everyone,
    }[whom]
    return named or staff.everyone
