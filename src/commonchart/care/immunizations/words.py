"""What the engine found, as a nurse would say it."""

from __future__ import annotations

from collections.abc import Callable
from datetime import date

from commonchart.care.immunizations.answer import (
    NOT_COMPLETE,
    NOT_EVALUATED,
    VALID,
    Dose,
    Evaluation,
    Forecast,
    Reason,
)
from commonchart.care.immunizations.compile import Schedule
from commonchart.care.immunizations.offsets import LAST, Offset, add

OVERDUE, DUE, POSSIBLE, LATER = "overdue", "due", "may be given", "later"
_STATES = (
    OVERDUE,
    DUE,
    POSSIBLE,
    "contraindicated",
    LATER,
    "aged out",
    "not recommended",
    "immune",
    "complete",
)


def day(ordinal: int | date) -> str:
    """A day as 03-Mar-2024."""
    found = ordinal if isinstance(ordinal, date) else date.fromordinal(min(max(ordinal, 1), LAST))
    return f"{found.day:02d}-{found:%b}-{found.year:04d}"


def days(number: int) -> str:
    """A number of days in words."""
    return f"{number} day{'' if number == 1 else 's'}"


def amount(what: Offset | None) -> str:
    """An age or interval in words: "12 months", "18 years", "8 weeks", "24 months less 4 days"."""
    if what is None:
        return "none"
    months, rest = what
    said = []
    if months:
        whole = months % 12 == 0 and abs(months) > 24
        said.append(
            f"{abs(months) // 12} years" if whole else f"{abs(months)} month{'' if abs(months) == 1 else 's'}"
        )
    if rest or not months:
        weeks = rest and rest % 7 == 0 and abs(rest) <= 26 * 7
        said.append(_plural(abs(rest) // 7, "week") if weeks else days(abs(rest)))
    return (" less " if months and rest < 0 else " and ").join(said)


def _plural(number: int, unit: str) -> str:
    return f"{number} {unit}{'' if number == 1 else 's'}"


def span(number: int) -> str:
    """A stretch of time in words: days up to two months, then whole months, then whole years."""
    if number < 62:
        return days(number)
    return _plural(int(number / 30.4375), "month") if number < 731 else _plural(int(number / 365.25), "year")


def vaccine(cvx: str, schedule: Schedule) -> str:
    """A vaccine by its short name, else by its code."""
    found = schedule.vaccines.get(cvx)
    return found.name if found is not None else f"vaccine {cvx}"


def reason(found: Reason, dose: Dose, schedule: Schedule) -> str:
    """Why a dose does not count (or counts although early), in one sentence without a full stop."""
    said = _SAID.get(found.kind)
    return said(found, dose, schedule) if said is not None else found.kind


def _young(found: Reason, dose: Dose, schedule: Schedule) -> str:
    usual = found.usual or found.least
    return (
        f"given {span(_short(found, usual, dose))} before the minimum age of {amount(usual)}{_grace(found)}"
    )


def _soon(found: Reason, dose: Dose, schedule: Schedule) -> str:
    usual = found.usual or found.least
    return f"{_after(found, dose)} after the dose or event of {day(found.since)}: at least {amount(usual)} are needed{_grace(found)}"


def _early(found: Reason, dose: Dose, schedule: Schedule) -> str:
    short = days(_short(found, found.usual, dose))
    if found.rule == "6.4":
        return f"given {short} before the minimum age of {amount(found.usual)}: within the grace period, it counts"
    return f"given {short} before the minimum interval of {amount(found.usual)}: within the grace period, it counts"


def _conflict(found: Reason, dose: Dose, schedule: Schedule) -> str:
    name = vaccine(found.cvx, schedule)
    needed = days(found.needed - found.since)
    return f"{_after(found, dose)} after {name} on {day(found.since)}: live vaccines need {needed}, or the same day"


def _short(found: Reason, usual: Offset | None, dose: Dose) -> int:
    needed = add(found.since, usual) if usual is not None else found.needed
    return needed - _on(dose)


def _on(dose: Dose) -> int:
    return dose.on.toordinal() if dose.on is not None else 0


def _after(found: Reason, dose: Dose) -> str:
    return span(_on(dose) - found.since)


def _grace(found: Reason) -> str:
    """How early would still have counted."""
    if found.usual is None or found.least is None or found.least == found.usual:
        return ""
    grace = add(found.since, found.usual) - found.needed
    if grace > 30:
        return f" (it counts from {amount(found.least)})"
    return f" (up to {days(grace)} early counts)" if grace > 0 else ""


_SAID: dict[str, Callable[[Reason, Dose, Schedule], str]] = {
    "too young": _young,
    "too soon": _soon,
    "grace": _early,
    "conflict": _conflict,
    "too old": lambda found, dose, schedule: f"given at or after the maximum age of {amount(found.least)}",
    "inadvertent": lambda found, dose, schedule: (
        f"{vaccine(found.cvx, schedule)} was given by mistake for this dose"
    ),
    "vaccine": lambda found, dose, schedule: (
        f"{vaccine(found.cvx, schedule)} is not a vaccine for this dose at this age"
    ),
    "vaccine age": lambda found, dose, schedule: (
        f"{vaccine(found.cvx, schedule)} is not for this age at this dose"
    ),
    "expired": lambda found, dose, schedule: f"the lot expired on {day(found.needed)}",
    "flawed": lambda found, dose, schedule: f"not a full dose: {dose.flaw}",
    "series complete": lambda found, dose, schedule: "the series was complete already",
}


def evaluation(found: Evaluation, dose: Dose, schedule: Schedule) -> str:
    """A dose's standing for one antigen: "Valid: dose 2" or "Not valid: ... ; also ...".

    That a vaccine is not for an age is not said again where the age was wrong anyway.
    """
    if found.status == NOT_EVALUATED:
        return "Not evaluated: no series applies to this person"
    by_age = any(one.rule == "6.4" for one in found.reasons)
    told = [one for one in found.reasons if not (by_age and one.kind == "vaccine age")]
    said = [reason(one, dose, schedule) for one in told]
    if found.status == VALID:
        return "; ".join([f"Valid: dose {found.target} of the series", *said])
    first, *also = said or ["no reason recorded"]
    return f"{found.status.capitalize()}: {first}" + "".join(f"; also {one}" for one in also)


def state(found: Forecast, as_of: date) -> str:
    """How urgent a forecast is on a day: overdue, due, may be given, later, or its status where nothing is due."""
    if found.status != NOT_COMPLETE:
        return found.status
    if found.past_due is not None and found.past_due < as_of:
        return OVERDUE
    if found.recommended is not None and found.recommended <= as_of:
        return DUE
    return POSSIBLE if found.earliest is not None and found.earliest <= as_of else LATER


def urgency(found: Forecast, as_of: date) -> tuple[int, date]:
    """A key that sorts forecasts by urgency."""
    return _STATES.index(state(found, as_of)), found.recommended or found.earliest or date.max


def forecast(found: Forecast, as_of: date, schedule: Schedule) -> str:
    """A forecast in one sentence: "Dose 2 overdue since 12-Jun-2024"."""
    where = state(found, as_of)
    if where in (OVERDUE, DUE, POSSIBLE, LATER):
        said = f"Dose {found.number} {_SINCE[where](found)}"
        return f"{said}; a series for a later age" if found.future else said
    titles = ", ".join(schedule.observations[code].title for code in found.stopped_by)
    return f"{found.status.capitalize()}" + (f": {titles or found.why}" if titles or found.why else "")


_SINCE: dict[str, Callable[[Forecast], str]] = {
    OVERDUE: lambda found: f"overdue since {_next_day(found.past_due)}",
    DUE: lambda found: f"due since {_or_unknown(found.recommended)}",
    POSSIBLE: lambda found: f"may be given; recommended from {_or_unknown(found.recommended)}",
    LATER: lambda found: (
        f"not before {_or_unknown(found.earliest)}; recommended from {_or_unknown(found.recommended)}"
    ),
}


def _or_unknown(found: date | None) -> str:
    return day(found) if found is not None else "a day that cannot be told"


def _next_day(found: date | None) -> str:
    return day(found.toordinal() + 1) if found is not None else "a day that cannot be told"
