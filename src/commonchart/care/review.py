"""Which rules may reach out: those read in their source, or approved by a named clinician of the site; and to whom.

A rule from memory shows in the due rail, labelled *not reviewed*, to every reader; it never interrupts, sends or enters
outreach until somebody approves this version of it (clinical corrections, safety of the machinery).
"""

from __future__ import annotations

from collections.abc import Iterable
from datetime import datetime
from typing import Literal

from msgspec import Struct

from commonchart.care.assess import Due
from commonchart.care.person import Person
from commonchart.care.schema import Rule

Standing = Literal["reviewed", "approved", "needed"]
Class = Literal["never", "generic", "detail"]
DUE = ("overdue", "due", "due-soon")


class Approval(Struct, frozen=True):
    """A clinician of the site stands behind one version of a rule. `withdrawn` takes it back."""

    rule: str
    version: str
    by: str
    at: datetime
    comment: str = ""
    withdrawn: datetime | None = None


class Reach(Struct, frozen=True):
    """How somebody may be contacted about a due item; for "never", why not."""

    kind: Class
    why_not: str = ""


def standing(rule: Rule, approvals: Iterable[Approval]) -> Standing:
    """Whether a rule is reviewed, approved in this version, or waits."""
    if rule.review == "reviewed":
        return "reviewed"
    approved = any(_stands(one, rule) for one in approvals)
    return "approved" if approved else "needed"


def _stands(one: Approval, rule: Rule) -> bool:
    return (
        (one.rule, one.version) == (rule.id, rule.version) and one.withdrawn is None and bool(one.by.strip())
    )


def may_interrupt(rule: Rule, approvals: Iterable[Approval]) -> bool:
    """Whether a rule may stop somebody at work, or send anything by itself."""
    return standing(rule, approvals) != "needed"


def outreach(
    rule: Rule, due: Due, person: Person, approvals: Iterable[Approval], *, merged_away: bool = False
) -> Reach:
    """How this person may be contacted about this item. Hospice and an ended pregnancy leave nothing due."""
    for wrong, why in (
        (person.died, "the person has died"),
        (merged_away, "the record was merged into another"),
        (due.status not in DUE, f"nothing is due: {due.status.replace('-', ' ')}"),
        (rule.outreach == "never", "this is never part of a message"),
        (
            standing(rule, approvals) == "needed",
            "not reviewed: no clinician of this site has approved this version",
        ),
    ):
        if wrong:
            return Reach("never", why)
    return Reach(rule.outreach)
