"""The patient list: one box that finds by name, birth date, record number or phone; and who was opened lately."""

from __future__ import annotations

from starlette.responses import Response

from commonchart.access.actors import FOR_A_PATIENT
from commonchart.web.call import Call, go
from commonchart.web.clinician.lookups import fact_of
from commonchart.web.present import people

MOST = 50


async def index(call: Call) -> Response:
    """Where signing in leads: the patient list, or for a patient their own door."""
    return go("/me" if call.actor.role in FOR_A_PATIENT else "/patients")


async def patient_list(call: Call) -> Response:
    """Results for `?q=`, else the recent patients. Asked by htmx from another page, only a short list of links."""
    q = call.request.query_params.get("q", "").replace("\0", "").strip()[:120]
    target = call.request.headers.get("hx-target", "")
    small = call.partial and "results" not in target
    limit = 8 if small else MOST
    found = await call.records.find_patients(q, limit + 1) if q else await call.records.recent_patients()
    rows = people.listed([fact_of(stored) for stored in found[:limit]], call.today)
    template = (
        "patients/found.html" if small else "patients/results.html" if call.partial else "patients/list.html"
    )
    return call.page(template, title="Patients", q=q, rows=rows, more=len(found) > limit, limit=limit)
