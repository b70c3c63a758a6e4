"""Published test cases (CDC's workbook as JSON lines) run on the engine, and what differs from what they expect."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import date

import msgspec
from msgspec import Struct

from commonchart.care.immunizations.answer import (
    NOT_EVALUATED,
    Assessment,
    Dose,
    Evaluated,
    Forecast,
    Observation,
    Person,
)
from commonchart.care.immunizations.compile import RISK, Schedule
from commonchart.care.immunizations.evaluate import evaluate
from commonchart.care.immunizations.groups import standing
from commonchart.fhir.outcome import Malformed

GROUPS = {
    "dtap": "DTaP/Tdap/Td", "pol": "Polio", "ipol": "Polio", "hib": "Hib", "pcv": "Pneumococcal", "var": "Varicella",
    "rota": "Rotavirus", "mcv": "Meningococcal", "menb": "Meningococcal B", "zoster": "Zoster", "flu": "Influenza",
}  # fmt: skip


class CaseDose(Struct, frozen=True):
    """A dose of a case, with the status it should get and the kind of series it is meant for."""

    n: int
    date: date
    cvx: str
    eval_status: str | None = None
    mvx: str | None = None
    series_type: str | None = None


class CaseObservation(Struct, frozen=True):
    """An observation of a case."""

    code: str
    date: date | None = None


class Expected(Struct, frozen=True):
    """What a case expects of its vaccine group."""

    series_status: str
    forecast_number: str | None = None
    earliest: date | None = None
    recommended: date | None = None
    past_due: date | None = None


class Case(Struct, frozen=True):
    """One published case."""

    suite: str
    id: str
    dob: date
    gender: str
    assessment_date: date
    vaccine_group: str
    observations: tuple[CaseObservation, ...]
    doses: tuple[CaseDose, ...]
    expected: Expected


def read(lines: Iterable[bytes]) -> Iterable[Case]:
    """The cases of a file, a line each. Raises Malformed naming the line."""
    for number, line in enumerate(lines, 1):
        if line.strip():
            try:
                yield msgspec.json.decode(line, type=Case)
            except msgspec.DecodeError as error:
                raise Malformed(f"line {number}: {error}") from None


def assessed(case: Case, schedule: Schedule) -> Assessment:
    """The engine's whole answer for a case."""
    sex = {"F": "female", "M": "male"}.get(case.gender, "unknown")
    doses = [Dose(str(one.n), one.cvx, one.date, one.mvx or "") for one in case.doses]
    seen = [Observation(one.code, one.date) for one in case.observations]
    return evaluate(Person(case.dob, sex, "U.S."), doses, seen, schedule, case.assessment_date)


def differences(case: Case, schedule: Schedule) -> list[str]:
    """Everything in which the answer differs from what a case expects; none if it passes."""
    answer = assessed(case, schedule)
    name = group_name(case.vaccine_group, schedule)
    group = answer.group(name)
    if group is None or group.shown is None:
        return [f"{name}: expected {case.expected.series_status}, got no forecast"]
    shown = group.shown
    expected = case.expected
    number = shown.counted if shown.kind == RISK else shown.number
    compared = (
        ("status", expected.series_status.lower(), shown.status),
        ("forecast number", expected.forecast_number, None if number is None else str(number)),
        ("earliest", expected.earliest, shown.earliest),
        ("recommended", expected.recommended, shown.recommended),
        ("past due", expected.past_due, shown.past_due),
    )
    out = [
        f"{what}: expected {want or 'none'}, got {got or 'none'}"
        for what, want, got in compared
        if want != got
    ]
    return out + _dose_differences(case, answer, name, shown)


def group_name(label: str, schedule: Schedule) -> str:
    """The schedule's name of a case's vaccine group."""
    known = {group.name.lower(): group.name for group in schedule.groups}
    return GROUPS.get(label.lower()) or known.get(label.lower(), label)


def _dose_differences(case: Case, answer: Assessment, group: str, shown: Forecast) -> list[str]:
    got = {one.dose.id: one for one in answer.doses}
    out = []
    for dose in case.doses:
        status = _dose_status(got.get(str(dose.n)), group, (dose.series_type or "").lower(), shown, answer)
        if dose.eval_status and status != dose.eval_status.lower():
            out.append(
                f"dose {dose.n} ({dose.cvx} on {dose.date}): expected {dose.eval_status.lower()}, got {status}"
            )
    return out


def _dose_status(found: Evaluated | None, group: str, kind: str, shown: Forecast, answer: Assessment) -> str:
    """The dose's status in the group of the case, or in its own where it is a vaccine of another (a live one before)."""
    if found is None or not found.evaluations:
        return NOT_EVALUATED
    own = standing(found, group, shown, kind)
    if own is None:
        other = answer.group(found.evaluations[0].group)
        own = standing(found, found.evaluations[0].group, other.shown if other is not None else None, kind)
    return own.status if own is not None else NOT_EVALUATED
