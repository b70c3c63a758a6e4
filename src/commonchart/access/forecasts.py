"""What the immunization engine is asked with about a person, as far as the actor may see it; one statement, audited."""

from __future__ import annotations

from datetime import date
from typing import TYPE_CHECKING, Any

from msgspec import Struct
from msgspec.structs import replace

from commonchart.access import policy, schedules
from commonchart.care.immunizations import maps
from commonchart.care.immunizations.answer import Assessment
from commonchart.care.immunizations.compile import Schedule
from commonchart.care.immunizations.evaluate import evaluate
from commonchart.care.immunizations.from_fhir import Facts, facts, observed
from commonchart.fhir import json
from commonchart.fhir.outcome import NotFound
from commonchart.record.due import among
from commonchart.record.keys import patient_key, token
from commonchart.record.people import linked
from commonchart.record.rows import Stored
from commonchart.record.schema import VERSION_COLUMNS
from commonchart.record.vaccine_codes import to_cvx
from commonchart.search.compile import Statement

if TYPE_CHECKING:
    from commonchart.access.records import Records

TYPES = ("Immunization", "AllergyIntolerance", "Condition", "Procedure", "Observation")


class Forecasted(Struct, frozen=True):
    """A person's vaccines on a day: the Patient, what was read, what the engine was asked and what it answered.

    `withheld` are the types that the actor may not read: nothing of them was considered, and every face says so.
    """

    patient: Stored
    read: dict[str, Stored]
    facts: Facts
    answer: Assessment
    schedule: Schedule
    withheld: tuple[str, ...]


async def forecast(
    records: Records, patient: str, as_of: date, schedule: Schedule | None = None
) -> Forecasted:
    """Evaluate and forecast by a schedule (that of the day). Raises Forbidden, NotFound, Gone."""
    own = await records.read("Patient", patient)
    await records.require("read", "Immunization")
    schedule = schedule or await schedules.active(records, as_of)
    types = [rtype for rtype in TYPES if policy.allowed(records.actor, "read", rtype)]
    same = await linked(records.database, records.actor.tenant, patient)
    statement = _statement(records, same, types, schedule)
    found = await records.shown(statement, "read", "forecast", "Immunization")
    async with records.database.single() as conn:
        codes = replace(maps.built_in(), vaccines=await to_cvx(conn))
    asked = facts(_body(own), [_body(one) for one in found], schedule, as_of, codes)
    answer = evaluate(asked.person, asked.doses, asked.observations, schedule, as_of)
    return Forecasted(
        own, {f"{one.rtype}/{one.id}": one for one in found}, asked, answer, schedule,
        tuple(rtype for rtype in TYPES if rtype not in types or not policy.whole(records.actor, rtype)),
    )  # fmt: skip


def _statement(records: Records, patients: list[str], types: list[str], schedule: Schedule) -> Statement:
    """Everything of these types, but only the Observations that the schedule has a word for."""
    predicate, args = records.visible.predicate("r")
    columns = ", ".join(f"r.{name}" for name in VERSION_COLUMNS.split(", "))
    sql = (
        f"SELECT {columns} FROM resource r WHERE {predicate} AND r.pk = ANY(%s) AND r.tenant = %s AND r.patient = ANY(%s) "
        "AND NOT r.deleted AND r.rtype = ANY(%s) "
        f"AND (r.rtype <> 'Observation' OR {among(wanted_tokens(schedule))})"
    )
    keys = [patient_key(one) for one in patients]
    return Statement(sql, (*args, keys, records.actor.tenant, patients, types))


def wanted_tokens(schedule: Schedule) -> tuple[int, ...]:
    """The code tokens of Observations that the schedule looks at: as what was looked for, and as what was found."""
    if schedule.source.sha256 not in _TOKENS:
        _TOKENS[schedule.source.sha256] = tuple(
            token(param, f"{system}|{code}")
            for system, code in sorted(set(observed(schedule)))
            for param in ("code", "value-concept")
        )
    return _TOKENS[schedule.source.sha256]


_TOKENS: dict[str, tuple[int, ...]] = {}


def _body(stored: Stored) -> dict[str, Any]:
    found = json.decode(stored.body or b"{}")
    if not isinstance(found, dict):
        raise NotFound(f"There is no {stored.rtype} with this id")
    return found
