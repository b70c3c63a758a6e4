"""What codes mean here: which code systems and value sets are loaded, and what one code is."""

from __future__ import annotations

from typing import Any

from starlette.responses import Response

from commonchart.fhir.outcome import Forbidden
from commonchart.record import terminology
from commonchart.record.code_systems import listed
from commonchart.terminology.value_sets import CVX, ICD10CM, LOINC, RXNORM, SNOMED, canonical
from commonchart.web.call import Call

KNOWN = {LOINC: "LOINC", SNOMED: "SNOMED CT", RXNORM: "RxNorm", ICD10CM: "ICD-10-CM", CVX: "CVX"}
MAX_TEXT = 200


async def page(call: Call) -> Response:
    """What is loaded, what is not, and the answer to one code."""
    if call.records.actor.role != "administrator" and not call.may("create", "Patient"):
        raise Forbidden("Your role does not allow you to see the terminology")
    typed = {name: call.request.query_params.get(name, "") for name in ("system", "code")}
    asked = {name: text.replace("\x00", "").strip()[:MAX_TEXT] for name, text in typed.items()}
    async with call.records.database.connection() as conn:
        found = await listed(conn)
        answer = await _answer(conn, call.records.actor.tenant, **asked) if asked["code"] else None
    systems = [one for one in found if one.kind == "CodeSystem"]
    loaded = {one.url for one in systems}
    return call.page(
        "terminology.html",
        title="Terminology",
        rows=[(one, KNOWN.get(one.url, one.name), call.zone.stamp(one.loaded)) for one in systems],
        missing=[(name, url) for url, name in KNOWN.items() if url not in loaded],
        sets=sum(one.kind == "ValueSet" for one in found),
        maps=sum(one.kind == "ConceptMap" for one in found),
        names=sorted({one.url for one in systems} | set(KNOWN)),
        asked=asked,
        answer=answer,
    )


async def _answer(conn: Any, tenant: int, system: str, code: str) -> dict[str, Any]:
    look_up = await terminology.reader(conn, tenant)
    chosen = await look_up.system(*canonical(system))
    if not chosen.source:
        return {"state": "not loaded"}
    found = await look_up.concept(chosen, code)
    if found is None:
        return {"state": "unknown", "version": chosen.version}
    return {
        "state": "found",
        "version": chosen.version,
        "concept": found.concept,
        "children": found.children[:50],
        "more": max(0, len(found.children) - 50),
    }
