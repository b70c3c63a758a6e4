"""`ImmunizationRecommendation?patient=`: what others recommended and was stored, and what is worked out here and now."""

from __future__ import annotations

from uuid import NAMESPACE_URL, uuid5

from commonchart.access import forecasts
from commonchart.access.records import Records
from commonchart.care.immunizations.to_fhir import recommendation
from commonchart.fhir import json
from commonchart.fhir.outcome import Gone, NotFound
from commonchart.rest.exchange import Asked
from commonchart.search.query import Query

_BESIDE = frozenset({"patient", "_count", "_format", "_pretty", "_total"})


async def worked_out(records: Records, asked: Asked, query: Query) -> bytes | None:
    """The entry of today's forecast, for a search by one patient only and its first page; None for any other search."""
    names = [name for name, _ in query.given]
    if asked.rtype != "ImmunizationRecommendation" or query.cursor or names.count("patient") != 1:
        return None
    patient = dict(query.given)["patient"].removeprefix("Patient/")
    if not set(names) <= _BESIDE or "," in patient or "/" in patient:
        return None
    now = records.clock()
    try:
        found = await forecasts.forecast(records, patient, now.date())
    except (NotFound, Gone):
        return None
    if not found.answer.groups:
        return None
    made = recommendation(found.answer, found.facts, found.schedule, f"Patient/{patient}", now)
    full = uuid5(NAMESPACE_URL, f"{asked.base}/Patient/{patient}/$immds-forecast")
    return json.encode({"fullUrl": f"urn:uuid:{full}", "resource": made, "search": {"mode": "match"}})
