"""Medication alerts in words: what stops, what is only said, what was covered and what was not checked."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from msgspec import Struct
from msgspec.structs import replace

from commonchart.access.medications.standing import Standing, Whole
from commonchart.care.medications.answers import Alert, Source
from commonchart.web.present.zone import Zone

KINDS = {
    "allergy": "Allergies", "interaction": "Pairs", "duplicate": "Duplicate therapy", "dose": "Dose and opioid load",
    "renal": "Kidney function", "age": "Age", "pregnancy": "Pregnancy and breastfeeding",
    "companion": "Needs another medicine beside it", "identity": "Which medicine", "restricted": "Restricted entries",
}  # fmt: skip
ALWAYS = ("allergy", "interaction", "duplicate", "dose", "renal", "age", "pregnancy")
NOT_CHECKED = "NOT CHECKED"
BRIEF = 2


class Said(Struct, frozen=True):
    """One alert as it is shown. `links` are (`Type/id`, words) of what it rests on; `unreviewed` is from memory."""

    key: str
    title: str
    why: str
    serious: bool
    source: str
    unreviewed: bool
    links: tuple[tuple[str, str], ...]
    opened: str = ""
    decided: str = ""
    reason: str = ""


class Group(Struct, frozen=True):
    """The alerts of one kind."""

    title: str
    alerts: tuple[Said, ...]


class Coverage(Struct, frozen=True):
    """What a check covered: the sentence, what was NOT CHECKED, and what else has to be said."""

    covered: str
    missing: tuple[str, ...]
    notes: tuple[str, ...]


class Line(Struct, frozen=True):
    """The row under the banner: what may kill, by name; how many others; what was not checked at all."""

    serious: tuple[str, ...]
    more: int
    passive: int
    unchecked: str


def said(alert: Alert, own: str = "") -> Said:
    """An alert. `own` is an order that is not stored, so that nothing links to it."""
    return Said(
        "", alert.title, alert.why, alert.tier == "interrupt", alert.source, alert.review == "not reviewed",
        tuple(_link(one, own) for one in alert.facts),
    )  # fmt: skip


def stored(one: Standing, zone: Zone) -> Said:
    """An alert that stands, with since when, and with what was decided on it."""
    return replace(
        said(one.alert), key=one.key, opened=zone.stamp(one.opened) if one.opened else "",
        decided=f"{one.answered_by}, {zone.stamp(one.answered)}" if one.answered else "",
        reason=one.reason if one.answered else "",
    )  # fmt: skip


def _link(one: Source, own: str) -> tuple[str, str]:
    rtype, _, id = one.ref.partition("/")
    return (one.ref if rtype and id and one.ref != own else "", one.text)


def coverage(lines: Sequence[str]) -> Coverage:
    """The lines of a check, apart."""
    missing = tuple(one for one in lines[1:] if one.startswith(NOT_CHECKED))
    notes = tuple(one for one in lines[1:] if not one.startswith(NOT_CHECKED))
    return Coverage(lines[0] if lines else "", missing, notes)


def groups(found: Iterable[Standing], zone: Zone) -> tuple[Group, ...]:
    """Open alerts by kind, in the order of `KINDS`."""
    held = list(found)
    made = (
        Group(title, tuple(stored(one, zone) for one in held if one.alert.kind == kind))
        for kind, title in KINDS.items()
    )
    return tuple(one for one in made if one.alerts)


def silent(found: Iterable[Standing]) -> tuple[str, ...]:
    """The kinds that were looked at and in which nothing was found."""
    kinds = {one.alert.kind for one in found}
    return tuple(KINDS[kind] for kind in ALWAYS if kind not in kinds)


def line(found: Whole, taking: bool) -> Line | None:
    """The row under the banner; None where nothing is taken and nothing is open."""
    serious = [one.alert.title for one in found.open if one.serious]
    passive = sum(not one.serious for one in found.open)
    missing = sum(one.startswith(NOT_CHECKED) for one in found.lines)
    if found.reviewed_at is None:
        unchecked = f"{NOT_CHECKED} yet" if taking else ""
    else:
        unchecked = f"{missing} {NOT_CHECKED}" if missing and taking else ""
    if not (serious or passive or unchecked):
        return None
    return Line(tuple(serious[:BRIEF]), max(0, len(serious) - BRIEF), passive, unchecked)
