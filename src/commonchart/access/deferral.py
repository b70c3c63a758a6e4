"""Putting off many rows of the registry at once: a plan of each patient (docs/decisions/0017), each patient whole or not at all.

What may not be put off by a list is refused and said: a result that nobody has read or that alarms, a vaccine (it has a
page of its own), what is not open any more. A form that is sent twice writes nothing a second time.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import date
from hashlib import blake2b
from typing import TYPE_CHECKING, Any

from msgspec import Struct

from commonchart.access.due import OPEN, Filters, exported
from commonchart.access.records import Put
from commonchart.care.calendar import add_months
from commonchart.care.evidence import RULE_SYSTEM
from commonchart.fhir.outcome import Invalid, Issue, Refused
from commonchart.fhir.validate import validate
from commonchart.record.due import DueRow

if TYPE_CHECKING:
    from commonchart.access.due import RegistryRow
    from commonchart.access.records import Records

MOST = 500
LONGEST_MONTHS = 24


class Deferring(Struct, frozen=True):
    """What is asked: the reason in words, and the first day on which it is due again. `id` is made with the form."""

    id: str
    reason: str
    until: date


class Done(Struct, frozen=True):
    """One row of the report: `refused` says why not, "" where it was put off; `again`: it had been, by the same form."""

    patient: str
    rule: str
    title: str
    refused: str = ""
    again: bool = False


async def candidates(records: Records, filters: Filters, *, as_of: date) -> list[tuple[RegistryRow, str]]:
    """The rows that fit, and why each may not be put off ("": it may). Raises Forbidden, NotFound, TooCostly."""
    await records.require("create", "ServiceRequest")
    rows = await exported(records, filters, as_of=as_of, limit=MOST, action="select-patients")
    return [(row, refusal(row.due)) for row in rows]


def refusal(row: DueRow) -> str:
    """Why a row may not be put off by a list."""
    if row.status not in OPEN:
        return "it is not open"
    if row.kind == "immunization":
        return "a vaccine is put off or refused on the page of immunizations"
    if row.within == "alert":
        return "its last value alarms: decide in the chart"
    if row.status == "cannot-tell" and '"read-result"' in row.why:
        return "a result waits to be read: decide in the chart"
    return ""


def checked(wanted: Deferring, today: date) -> None:
    """Raises Invalid naming the field."""
    issues = []
    if not wanted.reason.strip() or len(wanted.reason) > 200 or not wanted.reason.isprintable():
        issues.append(Issue("required", "Give the reason, in at most 200 characters", "reason"))
    if not today < wanted.until <= add_months(today, LONGEST_MONTHS):
        issues.append(
            Issue("invalid", f"Give a day after today, at most {LONGEST_MONTHS} months from now", "until")
        )
    if issues:
        raise Invalid(issues=tuple(issues))


async def defer(records: Records, filters: Filters, wanted: Deferring, *, as_of: date) -> list[Done]:
    """Put off what may be; one transaction a patient. Raises Invalid, and as `candidates`; then nothing is written."""
    checked(wanted, as_of)
    found = await candidates(records, filters, as_of=as_of)
    by_patient: dict[str, list[tuple[RegistryRow, str]]] = {}
    for row, why in found:
        by_patient.setdefault(row.due.patient, []).append((row, why))
    out: list[Done] = []
    for patient, rows in by_patient.items():
        out += [Done(patient, row.due.rule, row.due.title, why) for row, why in rows if why]
        out += await _one(records, patient, [row.due for row, why in rows if not why], wanted, as_of)
    return out


async def _one(
    records: Records, patient: str, rows: Sequence[DueRow], wanted: Deferring, as_of: date
) -> list[Done]:
    puts = [_put(records, patient, row, wanted, as_of) for row in rows]
    try:
        written = await records.commit(puts) if puts else []
    except Refused as refused:
        why = "; ".join(issue.message for issue in refused.issues) or "it was refused"
        return [Done(patient, row.rule, row.title, why) for row in rows]
    return [
        Done(patient, row.rule, row.title, again=one.state == "unchanged")
        for row, one in zip(rows, written, strict=True)
    ]


def _put(records: Records, patient: str, row: DueRow, wanted: Deferring, as_of: date) -> Put:
    key = f"{wanted.id}\x1f{patient}\x1f{row.rule}".encode()
    day = min(as_of, records.clock().date())  # rules count in days of UTC: it holds at once
    plan = plan_of(patient, row.rule, row.title, wanted, _requester(records), day)
    return Put(validate(plan), f"defer-{blake2b(key, digest_size=16).hexdigest()}", skip_unchanged=True)


def _requester(records: Records) -> Mapping[str, Any]:
    actor = records.actor
    named: dict[str, Any] = {"display": actor.name}
    return named | ({"reference": f"Practitioner/{actor.practitioner}"} if actor.practitioner else {})


def plan_of(
    patient: str, rule: str, title: str, wanted: Deferring, requester: Mapping[str, Any], today: date
) -> dict[str, Any]:
    """The ServiceRequest that says: not until that day, and why."""
    return {
        "resourceType": "ServiceRequest", "status": "active", "intent": "plan", "doNotPerform": True,
        "code": {"coding": [{"system": RULE_SYSTEM, "code": rule, "display": title}], "text": title},
        "subject": {"reference": f"Patient/{patient}"}, "authoredOn": today.isoformat(), "requester": dict(requester),
        "occurrencePeriod": {"start": today.isoformat(), "end": wanted.until.isoformat()},
        "reasonCode": [{"text": wanted.reason.strip()}],
    }  # fmt: skip
