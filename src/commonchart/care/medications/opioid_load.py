"""All opioids of a person together, in morphine milligram equivalents a day."""

from __future__ import annotations

from collections.abc import Iterator

from commonchart.care.calculators.opioids import CDC_2022, Opioid, mme
from commonchart.care.calculators.sheet import Given, Result
from commonchart.care.medications.answers import Alert, NotChecked, alert
from commonchart.care.medications.dose import amount
from commonchart.care.medications.inputs import Medication
from commonchart.care.medications.meetings import Meeting, source
from commonchart.care.medications.pack import Same

CARE_FROM = 50
MME = "Morphine milligram equivalents"
LOAD = Same(
    "opioid-load",
    "opioids",
    f"from {CARE_FROM} MME a day weigh benefit and risk, and offer naloxone",
    CDC_2022,
    "reviewed",
)


def taken(meeting: Meeting) -> list[tuple[str, Medication]]:
    """(ingredient, medicine) of every opioid that is taken now."""
    held = meeting.having("opioids")
    return [(name, one) for name, one in held if meeting.counts(one) and one.counts_twice]


def load(meeting: Meeting) -> Result:
    """The sum over all opioids of the list, or why there is none; no opioid on the list is not a sum of nothing."""
    found = taken(meeting)
    if not found:
        return Result(MME, None, "", (), CDC_2022, "cannot compute: no opioid is on the medication list")
    return mme([_opioid(name, one) for name, one in found])


def opioid_load(meeting: Meeting) -> Iterator[Alert | NotChecked]:
    """An alert from 50 MME a day; where one of several opioids cannot be counted, the sum is NOT CHECKED."""
    opioids = taken(meeting)
    if not opioids or not meeting.concerns(*(one for _, one in opioids)):
        return
    found = load(meeting)
    if found.value is None:
        why = found.problem.removeprefix("cannot compute: ")
        yield NotChecked("morphine equivalents of all opioids", why, opioids[0][1].ref)
    elif found.value >= CARE_FROM:
        title = f"Opioids together {float(found.value):g} MME a day"
        yield alert(meeting.pack, LOAD, "dose", title, (source(one) for _, one in opioids), meeting.approved)


def _opioid(name: str, one: Medication) -> Opioid:
    if one.route == "transdermal":
        value, unit, per = one.drug.strengths.get(name, (None, "", ""))
        rate = value is not None and unit in ("ug", "mcg", "µg") and per in ("h", "hr")
        return Opioid(
            name, Given(value, "ug/h", ref=one.ref) if rate and value is not None else None, "transdermal"
        )
    daily = amount(one.drug, one.dose, name, "mg", None).daily
    given = Given(daily, "mg/d", ref=one.ref) if daily is not None else None
    return Opioid(name, given, one.route or "oral", one.dose.as_needed)
