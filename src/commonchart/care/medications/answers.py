"""What a check answers: alerts with their reasons, and what it covered and did not."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any, Literal

from msgspec import Struct

from commonchart.care.medications.pack import Pack, Tier

Kind = Literal[
    "allergy",
    "interaction",
    "duplicate",
    "dose",
    "renal",
    "age",
    "pregnancy",
    "companion",
    "identity",
    "restricted",
]


class Source(Struct, frozen=True):
    """A record that an alert rests on."""

    ref: str
    text: str


class Alert(Struct, frozen=True):
    """One warning. `tier` is what it does; `review` says whether its rule was read in a source or approved by the site."""

    rule: str
    kind: str
    tier: Tier
    title: str
    why: str
    source: str
    review: str
    facts: tuple[Source, ...] = ()
    pack: str = ""

    @property
    def override_required(self) -> bool:
        """Whether going on takes a reason."""
        return self.tier == "interrupt"


class NotChecked(Struct, frozen=True):
    """Something that could not be checked, and why: silence never means safe."""

    what: str
    why: str
    ref: str = ""

    @property
    def text(self) -> str:
        """In one line."""
        return f"NOT CHECKED: {self.what}: {self.why}" if self.what else f"NOT CHECKED: {self.why}"


class Checked(Struct, frozen=True):
    """The whole answer: alerts (interrupting first), what was covered, and what was not."""

    alerts: tuple[Alert, ...]
    covered: str
    not_checked: tuple[NotChecked, ...]
    notes: tuple[str, ...]
    pack: str
    pack_hash: str

    @property
    def interrupting(self) -> tuple[Alert, ...]:
        """The alerts that stop an order until a reason is given."""
        return tuple(alert for alert in self.alerts if alert.tier == "interrupt")

    @property
    def lines(self) -> tuple[str, ...]:
        """The coverage in words, for every page that shows the answer."""
        return (self.covered, *(one.text for one in self.not_checked), *self.notes)


def alert(
    pack: Pack,
    rule: Any,
    kind: Kind,
    title: str,
    facts: Iterable[Source],
    approved: Iterable[str],
    sure: bool = True,
    interrupts: bool = True,
) -> Alert:
    """An alert of a rule of the pack: one that nobody reviewed never interrupts unless the site approved it."""
    reviewed = rule.review == "reviewed" and sure
    agreed = rule.id in approved
    review = "reviewed" if reviewed else "approved by this site" if agreed else "not reviewed"
    tier: Tier = (
        "interrupt" if rule.tier == "interrupt" and interrupts and (reviewed or agreed) else "passive"
    )
    return Alert(rule.id, kind, tier, title, rule.why, rule.source, review, tuple(facts), pack.label)
