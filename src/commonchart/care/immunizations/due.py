"""The due list of vaccines: one row per vaccine group, explained like every other due item.

A forecast is dates; these become due, overdue and up to date by the day asked about, and the row says when that will change.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping
from datetime import date, timedelta
from typing import Any

from commonchart.care.assess import Due
from commonchart.care.immunizations import risks, words
from commonchart.care.immunizations.answer import (
    AGED_OUT,
    COMPLETE,
    CONTRAINDICATED,
    IMMUNE,
    NOT_RECOMMENDED,
    VALID,
    Assessment,
    Evaluated,
    Forecast,
)
from commonchart.care.immunizations.compile import RISK, Schedule
from commonchart.care.immunizations.forecast import PAST_SEASON
from commonchart.care.immunizations.from_fhir import Facts, Refusal
from commonchart.care.immunizations.groups import standing

KIND = "immunization"
SOON = timedelta(days=30)
_PUSHED = ("overdue", "due", "due-soon", "cannot-tell")
_CLOSED = {COMPLETE: "up-to-date", IMMUNE: "up-to-date", CONTRAINDICATED: "excluded"}


def rule(group: str) -> str:
    """The id of a vaccine group in the due table: "imm-dtap-tdap-td"."""
    return "imm-" + re.sub(r"[^a-z0-9]+", "-", group.lower()).strip("-")


def rows(answer: Assessment, facts: Facts, schedule: Schedule) -> list[Due]:
    """A row for each vaccine group; one that cannot tell, where nothing could be evaluated. Empty for the dead."""
    if facts.person.dead or facts.person.died is not None:
        return []
    if not answer.groups:
        return [_cannot_tell(answer, schedule)]
    shown = [group.shown for group in answer.groups if group.shown is not None]
    return [_row(found, answer, facts, schedule) for found in shown]


def _row(found: Forecast, answer: Assessment, facts: Facts, schedule: Schedule) -> Due:
    status = _status(found, answer.as_of)
    country = risks.birth_country_decides(schedule, found.group, facts.person)
    if country and status in ("overdue", "due", "due-soon"):
        status = "cannot-tell"
    refusal = _standing_refusal(found, facts, schedule, answer.as_of) if status in _PUSHED else None
    if refusal is not None:
        status = "excluded"
    due_on = found.recommended or found.earliest
    overdue_on = found.past_due + timedelta(days=1) if found.past_due and found.past_due < date.max else None
    dose = f", dose {found.number}" if found.number and status in ("overdue", "due", "due-soon") else ""
    return Due(
        rule(found.group), KIND, f"{found.group}{dose}", status, due_on, overdue_on,
        due_on if status in ("up-to-date", "due-soon") else None,
        _next_change(answer, refusal), _why(found, answer, facts, schedule, refusal), schedule.name, schedule.source.version,
    )  # fmt: skip


def _standing_refusal(found: Forecast, facts: Facts, schedule: Schedule, as_of: date) -> Refusal | None:
    """The refusal of a vaccine of the group that stands on the day: one that says until when."""
    standing_ = [
        one
        for one in facts.refusals
        if one.until is not None and as_of <= one.until and (one.on is None or one.on <= as_of)
        and _of_group(one.cvx, found.group, schedule)
    ]  # fmt: skip
    return max(standing_, key=lambda one: one.until or date.min, default=None)


def _next_change(answer: Assessment, refusal: Refusal | None) -> date | None:
    """A refusal that ends changes the row too."""
    ends = refusal.until + timedelta(days=1) if refusal is not None and refusal.until is not None else None
    return min((day for day in (answer.next_change_on, ends) if day is not None), default=None)


def _status(found: Forecast, as_of: date) -> str:
    """The due table's status of a forecast; a decision to be shared with the patient is a question, not a duty."""
    if found.why == PAST_SEASON:
        return "cannot-tell"
    if found.future or found.status in (AGED_OUT, NOT_RECOMMENDED):
        return "not-applicable"
    if found.status in _CLOSED:
        return _CLOSED[found.status]
    if decision(found):
        return "cannot-tell"
    where = words.state(found, as_of)
    if where in (words.OVERDUE, words.DUE):
        return "overdue" if where == words.OVERDUE else "due"
    day = found.recommended or found.earliest
    if day is None:
        return "cannot-tell"
    return "due-soon" if day - as_of <= SOON else "up-to-date"


def decision(found: Forecast) -> bool:
    """Whether the schedule leaves it to patient and clinician at this age."""
    return bool(found.guidance) and found.status not in _CLOSED


def _why(
    found: Forecast, answer: Assessment, facts: Facts, schedule: Schedule, refusal: Refusal | None
) -> dict[str, Any]:
    given = [one for one in answer.doses if any(e.group == found.group for e in one.evaluations)]
    refs = _refs(facts)
    return {
        "because": _refusal_said(refusal) + _because(found, answer, schedule),
        "states": _states(found),
        "plain": f"Protects against {' and '.join(_against(found, schedule))}.",
        "authority": schedule.said,
        "source": schedule.source.source,
        "review": "needed" if facts.mapped & {*found.because, *found.stopped_by} else "reviewed",
        "outreach": "generic" if found.kind == RISK else "detail",
        "used": [*_counting(given, found, schedule), *_indications(found, refs, schedule)],
        "unused": [*_not_counting(given, found, schedule), *_refused(facts, found, schedule)],
        "satisfied_by": _satisfied_by(found, schedule),
        "exclusions": _exclusions(found, refs, schedule),
        "question": _question(found, facts, schedule),
        "pack_hash": schedule.source.sha256[:16],
        "group": found.group,
        "earliest": found.earliest.isoformat() if found.earliest else "",
        "latest": found.latest.isoformat() if found.latest and found.latest < date.max else "",
        "products": list(found.products),
        "series": list(found.series),
    }


def _refusal_said(refusal: Refusal | None) -> str:
    if refusal is None or refusal.until is None:
        return ""
    return f"Not wanted until {words.day(refusal.until)} ({refusal.reason or 'no reason recorded'}). Else: "


def _because(found: Forecast, answer: Assessment, schedule: Schedule) -> str:
    said = [words.forecast(found, answer.as_of, schedule)]
    if found.kind == RISK and found.because:
        said.append(f"because of {_titles(found.because, schedule)}")
    if decision(found):
        said.append("the schedule leaves it to a decision shared with the patient")
    group = answer.group(found.group)
    other = [one for one in group.forecasts if one is not found] if group else []
    said += [f"by the {one.kind} series: {words.forecast(one, answer.as_of, schedule)}" for one in other]
    return "; ".join(said) + "."


def _states(found: Forecast) -> str:
    """The rule itself: which series, and which dose of it is next."""
    series = " and ".join(found.series)
    return f"{series}{f', dose {found.number}' if found.number else ''}"


def _against(found: Forecast, schedule: Schedule) -> list[str]:
    group = next(one for one in schedule.groups if one.name == found.group)
    return [antigen.name for antigen in group.antigens]


def _counting(given: Iterable[Evaluated], found: Forecast, schedule: Schedule) -> Iterator[dict[str, str]]:
    for one in given:
        where = standing(one, found.group, found)
        if where is not None and where.status == VALID:
            yield _dose(one, schedule)


def _not_counting(
    given: Iterable[Evaluated], found: Forecast, schedule: Schedule
) -> Iterator[dict[str, str]]:
    for one in given:
        where = standing(one, found.group, found)
        if where is not None and where.status != VALID:
            yield _dose(one, schedule) | {"reason": words.evaluation(where, one.dose, schedule)}


def _dose(one: Evaluated, schedule: Schedule) -> dict[str, str]:
    when = one.dose.on.isoformat() if one.dose.on else ""
    return {"words": words.vaccine(one.dose.cvx, schedule), "when": when, "link": one.dose.id}


def _refs(facts: Facts) -> dict[str, tuple[str, str]]:
    """Where each observation comes from: its resource and day."""
    return {one.code: (one.ref, one.on.isoformat() if one.on else "") for one in facts.observations}


def _indications(
    found: Forecast, refs: Mapping[str, tuple[str, str]], schedule: Schedule
) -> Iterator[dict[str, str]]:
    for code in found.because:
        link, when = refs.get(code, ("", ""))
        yield {"words": schedule.observations[code].title, "when": when, "link": link}


def _refused(facts: Facts, found: Forecast, schedule: Schedule) -> Iterator[dict[str, str]]:
    """Doses that were refused or not given: told, and never silencing what is due."""
    names = set(_against(found, schedule))
    for one in facts.refusals:
        vaccine = schedule.vaccines.get(one.cvx)
        if vaccine is not None and names & {antigen for antigen, _, _ in vaccine.antigens}:
            yield {
                "words": words.vaccine(one.cvx, schedule), "when": one.on.isoformat() if one.on else "",
                "link": one.ref, "reason": f"not given: {one.reason or 'no reason recorded'}",
            }  # fmt: skip


def _satisfied_by(found: Forecast, schedule: Schedule) -> str:
    if not found.number:
        return ""
    names = dict.fromkeys(words.vaccine(cvx, schedule) for cvx in found.products or found.usable)
    return f"Dose {found.number} of {' or '.join(names) or found.group}"


def _exclusions(found: Forecast, refs: Mapping[str, tuple[str, str]], schedule: Schedule) -> str:
    if found.stopped_by:
        return f"{_titles(found.stopped_by, schedule)} ({', '.join(refs.get(code, ('',))[0] for code in found.stopped_by)})"
    return "contraindications and evidence of immunity: none found"


def _titles(codes: Iterable[str], schedule: Schedule) -> str:
    return ", ".join(schedule.observations[code].title for code in codes)


def _question(found: Forecast, facts: Facts, schedule: Schedule) -> str:
    if found.why == PAST_SEASON:
        return "Ask an administrator for a newer schedule pack: the season in this one is over"
    if decision(found):
        return f"Decide together with the patient whether {found.group} is wanted"
    country = risks.birth_country_decides(schedule, found.group, facts.person)
    if country and found.status not in _CLOSED:
        return f"Ask the country of birth: at this age people born in {country} count as immune"
    undated = [one for one in facts.doses if one.on is None and _of_group(one.cvx, found.group, schedule)]
    return f"Ask on which day {words.vaccine(undated[0].cvx, schedule)} was given" if undated else ""


def _of_group(cvx: str, group: str, schedule: Schedule) -> bool:
    vaccine = schedule.vaccines.get(cvx)
    return vaccine is not None and any(schedule.antigens[a].group == group for a, _, _ in vaccine.antigens)


def _cannot_tell(answer: Assessment, schedule: Schedule) -> Due:
    """Nothing could be evaluated: one row that says why and what to ask."""
    said = "; ".join(one.message for one in answer.findings) or "nothing could be evaluated"
    why = {
        "because": f"{said[:1].upper()}{said[1:]}.",
        "states": "Vaccines are forecast from the birth date and the doses given",
        "plain": "Which vaccines are due depends on the birth date.",
        "authority": schedule.said,
        "source": schedule.source.source,
        "review": "reviewed",
        "outreach": "never",
        "used": [],
        "unused": [],
        "satisfied_by": "",
        "exclusions": "",
        "question": "Ask the date of birth",
        "pack_hash": schedule.source.sha256[:16],
    }
    return Due(
        "imm-all", KIND, "Immunizations", "cannot-tell", None, None, None, answer.next_change_on, why,
        schedule.name, schedule.source.version,
    )  # fmt: skip
