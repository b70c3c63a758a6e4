"""All opioids of a person together, in morphine milligram equivalents a day."""

from __future__ import annotations

from collections.abc import Iterator

from commonchart.care.calculators.opioids import CDC_2022, Opioid, mme
from commonchart.care.calculators.sheet import Given
from commonchart.care.medications.answers import Alert, NotChecked, alert
from commonchart.care.medications.dose import amount
from commonchart.care.medications.inputs import Medication
from commonchart.care.medications.meetings import Meeting, source
from commonchart.care.medications.pack import Same

CARE_FROM = 50
LOAD = Same(
    "opioid-load",
    "opioids",
    f"from {CARE_FROM} MME a day weigh benefit and risk, and offer naloxone",
    CDC_2022,
    "reviewed",
)


def opioid_load(meeting: Meeting) -> Iterator[Alert | NotChecked]:
    """An alert from 50 MME a day; where one of several opioids cannot be counted, the sum is NOT CHECKED."""
    taken = [
        (name, one) for name, one in meeting.having("opioids") if meeting.counts(one) and one.counts_twice
    ]
    if not taken or not meeting.concerns(*(one for _, one in taken)):
        return
    found = mme([_opioid(name, one) for name, one in taken])
    if found.value is None:
        why = found.problem.removeprefix("cannot compute: ")
        yield NotChecked("morphine equivalents of all opioids", why, taken[0][1].ref)
    elif found.value >= CARE_FROM:
        title = f"Opioids together {float(found.value):g} MME a day"
        yield alert(meeting.pack, LOAD, "dose", title, (source(one) for _, one in taken), meeting.approved)


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
