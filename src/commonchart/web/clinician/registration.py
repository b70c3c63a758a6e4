"""Registering a patient, and correcting demographics."""

from __future__ import annotations

from starlette.responses import Response

from commonchart.access.records import Create
from commonchart.fhir.outcome import Forbidden, Refused
from commonchart.fhir.validate import validate
from commonchart.web.call import Call, go
from commonchart.web.clinician.writing import context_of, grouped, texts
from commonchart.web.forms.fields import Values, blank, parse
from commonchart.web.forms.people import PATIENT
from commonchart.web.present import people


async def new_patient(call: Call) -> Response:
    """The form for somebody new."""
    _allowed(call)
    return _page(call, blank(PATIENT, context_of(call, "")), [])


async def create_patient(call: Call) -> Response:
    """Store a new Patient, after a look at those who are much alike."""
    _allowed(call)
    sent = await texts(call)
    values = {field.name: sent.get(field.name, "") for field in PATIENT.fields}
    try:
        made = PATIENT.build(parse(PATIENT, sent, context_of(call, "")), context_of(call, ""), None)
        alike = await _alike(call, values) if sent.get("sure") != "yes" else []
        if alike:
            return _page(call, values, [], alike=alike, status=409)
        (written,) = await call.records.commit([Create(validate(made[0]))])
    except Refused as refusal:
        known = {field.name for field in PATIENT.fields}
        issues = [(issue.at if issue.at in known else "", issue.message) for issue in refusal.issues]
        return _page(call, values, issues, status=422)
    return go(f"/patients/{written.stored.id}")


async def _alike(call: Call, values: Values) -> list[people.Banner]:
    """Patients with the same names and birth date: probably the same person."""
    text = f"{values['family']} {values['given'].split()[0] if values['given'] else ''} {values['born']}"
    found = await call.records.find_patients(text, 5)
    from commonchart.web.clinician.lookups import fact_of

    return [people.banner(fact_of(one).body | {"id": one.id}, call.today) for one in found]


def _allowed(call: Call) -> None:
    if not call.may("create", "Patient"):
        raise Forbidden("Your role does not allow you to register patients")


def _page(
    call: Call,
    values: Values,
    issues: list[tuple[str, str]],
    *,
    alike: list[people.Banner] | None = None,
    status: int = 200,
) -> Response:
    errors = {at: message for at, message in reversed(issues) if at}
    return call.page(
        "patients/new.html", status, title="New patient", values=values, issues=issues, errors=errors,
        groups=grouped(PATIENT.fields), alike=alike or [],
    )  # fmt: skip
