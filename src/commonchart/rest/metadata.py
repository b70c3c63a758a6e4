"""The CapabilityStatement, generated from what is registered. http://hl7.org/fhir/R4/capabilitystatement.html."""

from __future__ import annotations

from datetime import datetime
from typing import Any

from commonchart.fhir.dates import instant
from commonchart.fhir.definitions import r4
from commonchart.rest.operations.subscriptions import topic_extensions
from commonchart.search.parameters import parameters, published

INTERACTIONS = (
    "read",
    "vread",
    "update",
    "delete",
    "history-instance",
    "history-type",
    "create",
    "search-type",
)
SYSTEM = ("transaction", "batch", "history-system")


def capability_statement(base: str, now: datetime, version: str) -> dict[str, Any]:
    """What this server offers, as a valid CapabilityStatement."""
    return {
        "resourceType": "CapabilityStatement",
        "status": "active",
        "date": instant(now),
        "kind": "instance",
        "software": {"name": "Commonchart", "version": version},
        "implementation": {"description": "Commonchart FHIR API", "url": base},
        "fhirVersion": r4().version,
        "format": ["application/fhir+json", "json"],
        "rest": [
            {
                "mode": "server",
                "security": {"cors": True, "description": "Bearer tokens in the Authorization header"},
                "resource": [_resource(rtype) for rtype in sorted(r4().resource_types)],
                "interaction": [{"code": code} for code in SYSTEM],
            }
        ],
    }


def _resource(rtype: str) -> dict[str, Any]:
    known = parameters(rtype)
    references = sorted(p.code for p in known.values() if p.kind == "reference")
    out: dict[str, Any] = {
        "type": rtype,
        "profile": f"http://hl7.org/fhir/StructureDefinition/{rtype}",
        "interaction": [{"code": code} for code in INTERACTIONS],
        "versioning": "versioned-update",
        "readHistory": True,
        "updateCreate": True,
        "conditionalCreate": True,
        "conditionalRead": "full-support",
        "conditionalUpdate": True,
        "conditionalDelete": "single",
        "referencePolicy": ["literal"],
        "searchParam": [
            {"name": p.code, "type": published(p)} for p in sorted(known.values(), key=lambda p: p.code)
        ],
    }
    if rtype == "Subscription":
        out["extension"] = topic_extensions()
    if references:
        out["searchInclude"] = [f"{rtype}:{code}" for code in references]
    return out
