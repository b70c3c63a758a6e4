"""`GET [base]/_reindex`: what is being indexed for search, and how far it is."""

from __future__ import annotations

from commonchart.access.records import Records
from commonchart.fhir import json
from commonchart.fhir.dates import instant
from commonchart.fhir.outcome import MethodNotAllowed
from commonchart.record.reindex import Run
from commonchart.rest.exchange import Answer, Asked


async def status(records: Records, asked: Asked) -> Answer:
    """A Parameters resource with one `run` for each search parameter, and for everything. Raises Forbidden."""
    if asked.method not in ("GET", "HEAD"):
        raise MethodNotAllowed("GET, HEAD, OPTIONS")
    runs = await records.indexing()
    body = {"resourceType": "Parameters", "parameter": [_run(run) for run in runs]}
    return Answer(200, json.encode(body if runs else {"resourceType": "Parameters"}))


def _run(run: Run) -> dict[str, object]:
    what = "everything" if run.tenant == 0 else f"SearchParameter/{run.name}"
    parts: list[dict[str, object]] = [
        {"name": "what", "valueString": what},
        {"name": "state", "valueCode": run.state},
        {"name": "done", "valueDecimal": run.done},
        {"name": "total", "valueDecimal": run.total},
        {"name": "asked", "valueInstant": instant(run.asked)},
    ]
    if run.finished:
        parts.append({"name": "finished", "valueInstant": instant(run.finished)})
    return {"name": "run", "part": parts}
