"""The check of one order, and the review of a whole record: alerts, and what was and was not covered."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from datetime import date

from msgspec.structs import replace

from commonchart.care.medications.answers import Alert, Checked, NotChecked, Source, alert
from commonchart.care.medications.inputs import Allergies, Facts, Medication, Record, Withheld
from commonchart.care.medications.limits import Limits, limits, may_be_pregnant
from commonchart.care.medications.meetings import Meeting, companions, duplicates, interactions
from commonchart.care.medications.opioid_load import opioid_load
from commonchart.care.medications.pack import Pack, Same
from commonchart.care.medications.reactions import reactions

WITHHELD = NotChecked("", "part of this record is withheld")
RESTRICTED = "Conflicts with a restricted entry: call or break glass"
IDENTITY = Same(
    "code-and-name", "", "code and text name different medicines", "rule of the program", "reviewed"
)


def check(
    order: Medication,
    medications: Sequence[Medication],
    allergies: Allergies,
    facts: Facts,
    pack: Pack,
    as_of: date,
    approved: frozenset[str] = frozenset(),
    withheld: Withheld | None = None,
) -> Checked:
    """One order against everything known of a person. `approved`: ids of rules that a clinician of the site approved."""
    return _checked(Record(tuple(medications), allergies, facts), order, pack, as_of, approved, withheld)


def review(
    record: Record,
    pack: Pack,
    as_of: date,
    approved: frozenset[str] = frozenset(),
    withheld: Withheld | None = None,
) -> Checked:
    """Everything of a person against everything: on import, on a new allergy, on opening the list."""
    return _checked(record, None, pack, as_of, approved, withheld)


def _checked(
    record: Record, order: Medication | None, pack: Pack, as_of: date, approved: frozenset[str],
    withheld: Withheld | None,
) -> Checked:  # fmt: skip
    alerts, missing = _run(record, order, pack, as_of, approved)
    if withheld is not None:
        alerts, missing = _with_withheld(alerts, missing, withheld, order, pack, as_of, approved)
    alerts.sort(key=lambda one: (one.tier != "interrupt", one.kind, one.title))
    return Checked(
        tuple(alerts),
        _covered(record, order, pack, as_of),
        tuple(dict.fromkeys(missing)),
        _notes(record, as_of),
        pack.label,
        pack.hash,
    )


def _run(
    record: Record, order: Medication | None, pack: Pack, as_of: date, approved: frozenset[str]
) -> tuple[list[Alert], list[NotChecked]]:
    others = [
        one for one in record.medications if order is None or one.ref not in (order.ref, order.replaces)
    ]
    meeting = Meeting(pack, others, order, as_of, approved)
    found = [*limits(Limits(meeting, record.facts)), *opioid_load(meeting)]
    alerts = [
        *reactions(meeting, record.allergies.recorded),
        *interactions(meeting),
        *duplicates(meeting),
        *companions(meeting),
        *_identity(meeting),
        *(one for one in found if isinstance(one, Alert)),
    ]
    missing = [*_unknown(meeting, record.allergies), *(one for one in found if isinstance(one, NotChecked))]
    return alerts, missing


def _identity(meeting: Meeting) -> Iterator[Alert]:
    """A code and a text that mean different medicines: both are checked, and the disagreement is said."""
    for one in meeting.all:
        if one.drug.conflict and meeting.concerns(one):
            facts = [Source(one.ref, one.text)]
            title = f"Which medicine? {one.drug.conflict}"
            yield alert(meeting.pack, IDENTITY, "identity", title, facts, meeting.approved)


def _unknown(meeting: Meeting, allergies: Allergies) -> Iterator[NotChecked]:
    """Whatever was not recognised: each medicine, each allergy, and allergies that nobody recorded."""
    for one in meeting.all:
        if one.problem:
            yield NotChecked(one.text, one.problem, one.ref)
        for part in one.drug.unknown:
            yield NotChecked("", f'no code for "{part}"', one.ref)
    pack, order = meeting.pack, meeting.order
    ruled = {i for rule in pack.rules["dose"] for i in pack.members(rule.drug)}
    for ingredient in order.drug.ingredients if order else ():
        if ingredient not in ruled:
            yield NotChecked(
                f"dose of {ingredient}", "the pack has no limit for it", order.ref if order else ""
            )
    for allergy in allergies.recorded:
        if allergy.unknown and not allergy.leave_out:
            yield NotChecked("", f'no code for the allergy "{allergy.text}"', allergy.ref)
    if not any(not one.leave_out for one in allergies.recorded) and not allergies.known_none:
        yield NotChecked("allergies", 'none recorded, and "no known allergies" neither: ask')


# ---- what the reader may not see --------------------------------------------------------------------------------


def _with_withheld(
    alerts: list[Alert], missing: list[NotChecked], withheld: Withheld, order: Medication | None, pack: Pack,
    as_of: date, approved: frozenset[str],
) -> tuple[list[Alert], list[NotChecked]]:  # fmt: skip
    """Conflicts with what is withheld, as one alert without name, rule, class or number; or that some is withheld."""
    if not withheld.hint or withheld.whole is None:
        return alerts, [WITHHELD, *missing]
    whole, _ = _run(withheld.whole, order, pack, as_of, approved)
    seen = {(one.rule, one.title) for one in alerts}
    hidden = [one for one in whole if (one.rule, one.title) not in seen]
    if not hidden:
        return alerts, missing
    tier = "interrupt" if any(one.tier == "interrupt" for one in hidden) else "passive"
    about = (Source(order.ref, order.text),) if order else ()
    said = Alert("restricted", "restricted", tier, RESTRICTED, RESTRICTED, "", "", about, pack.label)  # type: ignore[arg-type]
    return [*alerts, said], missing


# ---- coverage ---------------------------------------------------------------------------------------------------


def _covered(record: Record, order: Medication | None, pack: Pack, as_of: date) -> str:
    """ "Checked 6 of 7 medications and 2 of 2 allergies against pack medications-2026 2026.1"."""
    everything = {one.ref: one for one in (*record.medications, *([order] if order else []))}.values()
    taken = [one for one in everything if one.until is None or one.until >= as_of]
    known = sum(bool(one.drug.ingredients) and not one.drug.unknown for one in taken)
    recorded = [one for one in record.allergies.recorded if not one.leave_out]
    recognised = sum(not one.unknown for one in recorded)
    none = f" ({record.allergies.known_none})" if record.allergies.known_none and not recorded else ""
    return (
        f"Checked {_of(known, len(taken), 'medication')} and {_of(recognised, len(recorded), 'allergy')}{none} "
        f"against pack {pack.label}"
    )


def _of(known: int, total: int, noun: str) -> str:
    plural = noun if total == 1 else "allergies" if noun == "allergy" else f"{noun}s"
    return f"{total} {plural}" if known == total else f"{known} of {total} {plural}"


def _notes(record: Record, as_of: date) -> tuple[str, ...]:
    notes = [f"Left out: {text}: {why}" for text, why in record.left_out]
    notes += [
        f"Left out: allergy to {one.text}: {one.leave_out}"
        for one in record.allergies.recorded
        if one.leave_out
    ]
    outside = sum(one.not_a_drug and not one.leave_out for one in record.allergies.recorded)
    if outside:
        notes.append(
            f"{outside} of the allergies are to food or surroundings, for which the pack has no rule"
        )
    if record.allergies.known_none and any(not one.leave_out for one in record.allergies.recorded):
        notes.append(f'The record disagrees with itself: "{record.allergies.known_none}" and allergies')
    if may_be_pregnant(record.facts, as_of) and record.facts.breastfeeding.value is None:
        notes.append("Breastfeeding is not recorded: its rules were not applied")
    return tuple(notes)


def with_order(record: Record, order: Medication) -> Record:
    """The record as it will be once the order stands."""
    kept = [one for one in record.medications if one.ref not in (order.ref, order.replaces)]
    return replace(record, medications=(*kept, order))
