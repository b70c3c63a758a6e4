"""Medicines against recorded allergies: the same ingredient, its class, and groups that cross-react."""

from __future__ import annotations

from collections.abc import Iterator

from commonchart.care.medications.answers import Alert, Source, alert
from commonchart.care.medications.inputs import Allergy, Medication
from commonchart.care.medications.meetings import Meeting, source
from commonchart.care.medications.pack import Cross

SAME = Cross(
    "allergy-ingredient", "", "", "interrupt", "the recorded allergy is to this ingredient",
    "rule of the program: same ingredient", "reviewed",
)  # fmt: skip
CLASS = Cross(
    "allergy-class", "", "", "interrupt", "the recorded allergy is to this class",
    "rule of the program: member of the recorded class", "reviewed",
)  # fmt: skip


def reactions(meeting: Meeting, allergies: tuple[Allergy, ...]) -> Iterator[Alert]:
    """Alerts of every current medicine (or the order) against every allergy that counts; the closest reason only."""
    for allergy in allergies:
        if allergy.leave_out:
            continue
        for medication in meeting.all:
            if meeting.concerns(medication) and meeting.counts(medication):
                for ingredient in medication.drug.ingredients:
                    yield from _against(meeting, allergy, medication, ingredient)


def _against(meeting: Meeting, allergy: Allergy, one: Medication, ingredient: str) -> Iterator[Alert]:
    rule, sure = _reason(meeting, allergy, ingredient)
    if rule is None:
        return
    yield alert(
        meeting.pack, rule, "allergy", f"{ingredient[:1].upper()}{ingredient[1:]}: {_said(allergy)}",
        [source(one), Source(allergy.ref, allergy.text)], meeting.approved, sure,
        interrupts=allergy.kind != "intolerance",
    )  # fmt: skip


def _reason(meeting: Meeting, allergy: Allergy, ingredient: str) -> tuple[Cross | None, bool]:
    pack = meeting.pack
    if ingredient in allergy.ingredients:
        return SAME, True
    for group in allergy.groups:
        if ingredient in pack.members(group):
            return CLASS, pack.sure(group, ingredient)
    found = [
        (rule, sure)
        for rule in pack.rules["cross"]
        if ingredient in pack.members(rule.order)
        and (sure := _crosses(meeting, rule, allergy, ingredient)) is not None
    ]
    # the strongest of several reasons: an interrupting reviewed one first
    found.sort(key=lambda pair: (pair[0].tier != "interrupt", not pair[1], pair[0].review != "reviewed"))
    return found[0] if found else (None, False)


def _crosses(meeting: Meeting, rule: Cross, allergy: Allergy, ingredient: str) -> bool | None:
    """Whether the memberships were read in a source; None when the rule does not bear on this allergy."""
    pack = meeting.pack
    if rule.allergy in allergy.groups:
        return pack.sure(rule.order, ingredient)
    shared = [one for one in allergy.ingredients if one in pack.members(rule.allergy)]
    if not shared:
        return None
    return pack.sure(rule.order, ingredient) and any(pack.sure(rule.allergy, one) for one in shared)


def _said(allergy: Allergy) -> str:
    """ "recorded allergy to penicillin (anaphylaxis, severe; not confirmed)"."""
    what = "intolerance" if allergy.kind == "intolerance" else "allergy"
    parts = [*allergy.reactions, allergy.severity]
    if allergy.certainty and allergy.certainty != "confirmed":
        parts.append(f"certainty: {allergy.certainty}")
    details = ", ".join(part for part in parts if part)
    return f"recorded {what} to {allergy.text}" + (f" ({details})" if details else "")
