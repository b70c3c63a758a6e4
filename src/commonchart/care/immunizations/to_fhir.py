"""The answer as FHIR R4: ImmunizationRecommendation and ImmunizationEvaluation, in the shapes of the ImmDS guide.

http://hl7.org/fhir/us/immds/ . Dose numbers are sent as texts (`doseNumberString`), as its clients read them.
"""

from __future__ import annotations

from collections.abc import Iterator
from datetime import date, datetime
from typing import Any

from commonchart.care.immunizations import words
from commonchart.care.immunizations.answer import (
    COMPLETE,
    CONTRAINDICATED,
    EXTRANEOUS,
    IMMUNE,
    NOT_EVALUATED,
    VALID,
    Assessment,
    Dose,
    Evaluation,
    Forecast,
    GroupAnswer,
)
from commonchart.care.immunizations.compile import Schedule
from commonchart.care.immunizations.from_fhir import Facts

Resource = dict[str, Any]

CVX = "http://hl7.org/fhir/sid/cvx"
LOINC = "http://loinc.org"
STATUS = "http://terminology.hl7.org/CodeSystem/immunization-recommendation-status"
DOSE_STATUS = "http://terminology.hl7.org/CodeSystem/immunization-evaluation-dose-status"
_CRITERIA = (
    ("earliest", "30981-5", "Earliest date to give"),
    ("recommended", "30980-7", "Date vaccine due"),
    ("past_due", "59778-1", "Date when overdue for immunization"),
    ("latest", "59777-3", "Latest date to give immunization"),
)
# what R4 has a code for; the rest is said in words
_CODED = {words.OVERDUE: "overdue", words.DUE: "due", COMPLETE: "complete", IMMUNE: "immune", CONTRAINDICATED: "contraindicated"}  # fmt: skip


def recommendation(
    answer: Assessment, facts: Facts, schedule: Schedule, patient: str, now: datetime, id: str = ""
) -> Resource:
    """The ImmunizationRecommendation of an answer that has groups; `patient` is the reference of the person.

    Every forecast of a group is told, the one to show first at its head.
    """
    made: Resource = {
        "resourceType": "ImmunizationRecommendation",
        "patient": {"reference": patient},
        "date": now.isoformat(timespec="seconds"),
        "authority": {"display": schedule.said},
        "recommendation": [
            one for group in answer.groups for one in _of_group(group, answer, facts, schedule)
        ],
    }
    return {"resourceType": made.pop("resourceType"), "id": id} | made if id else made


def _of_group(group: GroupAnswer, answer: Assessment, facts: Facts, schedule: Schedule) -> Iterator[Resource]:
    for found in sorted(group.forecasts, key=lambda one: one is not group.shown):
        yield _recommended(found, answer, facts, schedule)


def _recommended(found: Forecast, answer: Assessment, facts: Facts, schedule: Schedule) -> Resource:
    supporting = [one.dose.id for one in answer.doses if any(e.group == found.group for e in one.evaluations)]
    vaccines = [_vaccine(cvx, schedule) for cvx in found.products]
    indications = [{"reference": ref} for ref in _sources(found, facts)]
    return _without_empty(
        {
            "vaccineCode": vaccines,
            "targetDisease": {"text": found.group},
            "forecastStatus": _forecast_status(found, answer.as_of),
            "forecastReason": [{"text": text} for text in _reasons(found, schedule)],
            "dateCriterion": list(_dates(found)),
            "description": words.forecast(found, answer.as_of, schedule),
            "series": " and ".join(found.series),
            "doseNumberString": str(found.number) if found.number else None,
            "supportingImmunization": [
                {"reference": ref} for ref in supporting if ref.startswith("Immunization/")
            ],
            "supportingPatientInformation": indications,
        }
    )


def _reasons(found: Forecast, schedule: Schedule) -> list[str]:
    codes = (*found.because, *found.stopped_by)
    return [
        *([found.why] if found.why else []),
        *(schedule.observations[code].title for code in codes),
        *found.guidance,
    ]


def _sources(found: Forecast, facts: Facts) -> list[str]:
    wanted = {*found.because, *found.stopped_by}
    return list(dict.fromkeys(one.ref for one in facts.observations if one.code in wanted and one.ref))


def _forecast_status(found: Forecast, as_of: date) -> Resource:
    where = words.state(found, as_of)
    code = _CODED.get(where)
    coding = {"coding": [{"system": STATUS, "code": code}]} if code else {}
    return coding | {"text": where}


def _dates(found: Forecast) -> Iterator[Resource]:
    for name, code, display in _CRITERIA:
        day: date | None = getattr(found, name)
        if day is not None and day < date.max:
            coding = {"system": LOINC, "code": code, "display": display}
            yield {"code": {"coding": [coding]}, "value": day.isoformat()}


def _vaccine(cvx: str, schedule: Schedule) -> Resource:
    name = words.vaccine(cvx, schedule)
    return {"coding": [{"system": CVX, "code": cvx, "display": name}], "text": name}


def evaluations(answer: Assessment, schedule: Schedule, patient: str, now: datetime) -> Iterator[Resource]:
    """An ImmunizationEvaluation for every dose and antigen that a chosen series judged."""
    for one in answer.doses:
        for found in one.evaluations:
            if found.status != NOT_EVALUATED:
                yield _evaluation(one.dose, found, schedule, patient, now)


def _evaluation(dose: Dose, found: Evaluation, schedule: Schedule, patient: str, now: datetime) -> Resource:
    valid = found.status == VALID
    status = {
        "coding": [{"system": DOSE_STATUS, "code": "valid" if valid else "notvalid"}],
        "text": found.status,
    }
    reasons = [{"text": words.reason(one, dose, schedule)} for one in found.reasons]
    if found.status == EXTRANEOUS and not reasons:
        reasons = [{"text": "the series was complete already"}]
    return _without_empty(
        {
            "resourceType": "ImmunizationEvaluation",
            "status": "completed",
            "patient": {"reference": patient},
            "date": now.isoformat(timespec="seconds"),
            "authority": {"display": schedule.said},
            "targetDisease": {"text": found.antigen},
            "immunizationEvent": {"reference": dose.id},
            "doseStatus": status,
            "doseStatusReason": reasons,
            "series": found.series,
            "doseNumberString": str(found.target) if valid and found.target else None,
        }
    )


def _without_empty(resource: Resource) -> Resource:
    return {name: value for name, value in resource.items() if value not in (None, "", [], {})}
