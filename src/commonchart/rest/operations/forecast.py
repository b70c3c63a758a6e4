"""`$immds-forecast`: which doses count and which come next. http://hl7.org/fhir/us/immds/OperationDefinition-immds-forecast.html

At the system level about the resources in the body, which are not stored; at `Patient/x` about the record.
"""

from __future__ import annotations

from datetime import date, datetime
from typing import Any

from commonchart.access import forecasts, schedules
from commonchart.access.records import Records
from commonchart.care.immunizations import maps
from commonchart.care.immunizations.answer import Assessment
from commonchart.care.immunizations.compile import Schedule
from commonchart.care.immunizations.evaluate import evaluate
from commonchart.care.immunizations.from_fhir import Facts, facts
from commonchart.care.immunizations.to_fhir import evaluations, recommendation
from commonchart.fhir import json
from commonchart.fhir.outcome import Invalid, Issue, Malformed, Refused, operation_outcome
from commonchart.fhir.validate import validate
from commonchart.rest.arguments import Arguments, parameters
from commonchart.rest.exchange import Answer, Asked
from commonchart.rest.operations.operation import Operation

DEFINITION = "http://hl7.org/fhir/us/immds/OperationDefinition/immds-forecast"
GIVEN = ("immunization", "condition", "observation", "allergyIntolerance", "procedure")
_KNOWN = {"assessmentDate", "patient", *GIVEN}


async def _forecast(records: Records, asked: Asked) -> Answer:
    """An ImmunizationRecommendation and an ImmunizationEvaluation for each dose and antigen."""
    given = asked.arguments()
    day = _day(given, records.clock())
    if len(asked.segments) == 3:
        found = await forecasts.forecast(records, asked.id, day)
        said = _said(found.facts, found.answer, found.schedule, f"Patient/{asked.id}", records.clock())
        return Answer(200, json.encode(said))
    await records.require("read", "Immunization")
    patient, resources = _resources(given)
    schedule = await schedules.active(records, day)
    known = facts(patient, resources, schedule, day, maps.built_in())
    answer = evaluate(known.person, known.doses, known.observations, schedule, day)
    reference = f"Patient/{patient.get('id', 'patient')}"
    return Answer(200, json.encode(_said(known, answer, schedule, reference, records.clock())))


def _said(
    known: Facts, answer: Assessment, schedule: Schedule, patient: str, now: datetime
) -> dict[str, Any]:
    if not answer.groups:
        raise Invalid(issues=[Issue("invalid", one.message, "Patient.birthDate") for one in answer.findings])
    told = [("evaluation", "resource", one) for one in evaluations(answer, schedule, patient, now)]
    notes = [Issue("informational", one.message, severity="warning") for one in answer.findings]
    notes += [
        Issue("informational", f"not considered: {one.text}: {one.reason}", one.ref, severity="warning")
        for one in known.not_considered
    ]
    outcome = _outcome(notes)
    return parameters(
        *told,
        ("recommendation", "resource", recommendation(answer, known, schedule, patient, now)),
        ("outcome", "resource", outcome),
    )


def _outcome(issues: list[Issue]) -> dict[str, Any] | None:
    return operation_outcome(Refused(issues=issues)) if issues else None


def _day(given: Arguments, now: datetime) -> date:
    span = given.span("assessmentDate")
    return span[0].date() if span else now.date()


def _resources(given: Arguments) -> tuple[dict[str, Any], list[dict[str, Any]]]:
    """The patient and what is said of them, each checked. Raises Malformed, Invalid."""
    unknown = {name for name, _ in given.values} - _KNOWN
    if unknown:
        raise Malformed(f"$immds-forecast has no parameter {min(unknown)}", at=min(unknown))
    patient = given.resource("patient")
    if patient is None or patient.get("resourceType") != "Patient":
        raise Malformed(
            "$immds-forecast needs a patient: a Patient with its birth date", at="patient", code="required"
        )
    listed = [(name, one) for name in GIVEN for one in given.every(name)]
    for name, one in [("patient", patient), *listed]:
        _checked(name, one)
    return patient, [{"id": f"given-{n}"} | one for n, (_, one) in enumerate(listed)]


def _checked(name: str, resource: Any) -> None:
    wanted = name[:1].upper() + name[1:]
    if not isinstance(resource, dict) or resource.get("resourceType") != wanted:
        raise Malformed(f"{name} is a resource of the type {wanted}", at=name)
    validate(resource)


FORECAST = (
    Operation("immds-forecast", _forecast, system=True, instance=True, types=frozenset({"Patient"}), definition=DEFINITION),
)  # fmt: skip
