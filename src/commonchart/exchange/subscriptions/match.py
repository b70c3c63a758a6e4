"""Does a change fire a topic, and is it one that a subscription is narrowed to? Decided on the very versions, in memory."""

from __future__ import annotations

from typing import Any

from msgspec import Struct

from commonchart.exchange.subscriptions.plan import Criterion, Plan
from commonchart.exchange.subscriptions.topics import Topic, Trigger
from commonchart.fhir.path.engine import compile as compiled
from commonchart.fhir.path.engine import holds
from commonchart.record.keys import token
from commonchart.record.rows import Index
from commonchart.search.index import extract


class Facts(Struct, frozen=True):
    """A change with what it was before and is now (None: not there, or deleted), and what search knows of it."""

    rtype: str
    id: str
    op: str
    now: dict[str, Any] | None
    before: dict[str, Any] | None
    index: Index


def facts(rtype: str, id: str, op: str, now: dict[str, Any] | None, before: dict[str, Any] | None) -> Facts:
    """The facts of a change; a deletion is told by what was deleted."""
    told = now if now is not None else before
    return Facts(rtype, id, op, now, before, extract(rtype, told) if told is not None else Index())


def fires(topic: Topic, change: Facts) -> bool:
    """Whether the change fires the topic."""
    return any(_fires(trigger, change) for trigger in topic.triggers)


def _fires(trigger: Trigger, change: Facts) -> bool:
    if trigger.rtype != change.rtype or change.op not in trigger.ops:
        return False
    if not trigger.holds:
        return True
    if change.now is None or not holds(trigger.holds, change.now):
        return False
    if change.before is None or not holds(trigger.holds, change.before):
        return True
    if not trigger.differs:
        return False
    values = compiled(trigger.differs)
    return values(change.now) != values(change.before)


def wanted(plan: Plan, change: Facts) -> bool:
    """Whether every condition of the plan on this type is met."""
    return all(_met(one, change) for one in plan.criteria if one.rtype == change.rtype)


def _met(one: Criterion, change: Facts) -> bool:
    if one.code == "_id" or (one.code == "patient" and change.rtype == "Patient"):
        return change.id in {value.removeprefix("Patient/") for value in one.values}
    patients = {value[8:] for value in one.values if value.startswith("Patient/")}
    if one.code in ("patient", "subject") and change.index.patient in patients:
        return True
    held = set(change.index.tokens)
    return any(token(one.code, text) in held for value in one.values for text in _spellings(value))


def _spellings(value: str) -> tuple[str, ...]:
    """A value as search keeps it: with its system, or as a plain code whose system is implied."""
    _, bar, code = value.rpartition("|")
    return (value, f"*|{code}") if bar and code else (value,)
