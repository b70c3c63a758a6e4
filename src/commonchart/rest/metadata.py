"""The CapabilityStatement, generated from what is registered. http://hl7.org/fhir/R4/capabilitystatement.html."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import datetime
from functools import cache
from typing import Any

from commonchart.fhir.dates import instant
from commonchart.fhir.definitions import r4
from commonchart.fhir.profiles.known import boxed
from commonchart.rest.operations.subscriptions import topic_extensions
from commonchart.rest.operations.table import OPERATIONS
from commonchart.search.parameters import Parameter, parameters, published
from commonchart.search.query import COMPARTMENTS

INTERACTIONS = (
    "read",
    "vread",
    "update",
    "patch",
    "delete",
    "history-instance",
    "history-type",
    "create",
    "search-type",
)
SYSTEM = ("transaction", "batch", "history-system", "search-system")
_FHIR = "http://hl7.org/fhir"
SECURITY = "http://terminology.hl7.org/CodeSystem/restful-security-service"
OAUTH_URIS = "http://fhir-registry.smarthealthit.org/StructureDefinition/oauth-uris"
US_CORE = "http://hl7.org/fhir/us/core/CapabilityStatement/us-core-server"


def capability_statement(base: str, now: datetime, version: str, *, network: bool = False) -> dict[str, Any]:
    """What this server offers, as a valid CapabilityStatement; in a `network` nobody but a program brings ids along."""
    return {
        "resourceType": "CapabilityStatement",
        "status": "active",
        "date": instant(now),
        "kind": "instance",
        "software": {"name": "Commonchart", "version": version},
        "implementation": {"description": "Commonchart FHIR API", "url": base},
        "instantiates": [US_CORE],
        "fhirVersion": r4().version,
        "format": ["application/fhir+json", "json"],
        "patchFormat": [
            "application/json-patch+json",
            "application/fhir+json",
            "application/merge-patch+json",
        ],
        "rest": [
            {
                "mode": "server",
                "security": _security(base),
                "resource": [_resource(rtype, network) for rtype in sorted(r4().resource_types)],
                "interaction": [{"code": code} for code in SYSTEM],
                "searchParam": [
                    {"name": p.code, "type": published(p)} for p in _shared(parameters("Basic").values())
                ],
                "operation": _operations(""),
                "compartment": [
                    f"{_FHIR}/CompartmentDefinition/{name.lower()}" for name in sorted(COMPARTMENTS)
                ],
            }
        ],
    }


def _security(base: str) -> dict[str, Any]:
    """Where apps sign in: SMART App Launch 2.2, and the extension of its version 1 that older clients read."""
    door = f"{base.removesuffix('/fhir')}/oauth"
    places = {"authorize": "authorize", "token": "token", "introspect": "introspect", "revoke": "revoke"}
    return {
        "cors": True,
        "service": [{"coding": [{"system": SECURITY, "code": "SMART-on-FHIR"}]}],
        "description": "Bearer tokens in the Authorization header; apps get them by SMART App Launch 2.2",
        "extension": [
            {
                "url": OAUTH_URIS,
                "extension": [{"url": name, "valueUri": f"{door}/{path}"} for name, path in places.items()],
            }
        ],
    }


def _trail() -> dict[str, Any]:
    """The audit trail: read and searched, never written."""
    kinds = {"patient": "reference", "date": "date", "agent": "reference", "outcome": "token", "_id": "token"}
    return {
        "type": "AuditEvent",
        "profile": f"{_FHIR}/StructureDefinition/AuditEvent",
        "interaction": [{"code": "read"}, {"code": "search-type"}],
        "versioning": "no-version",
        "searchParam": [{"name": name, "type": kind} for name, kind in kinds.items()],
    }


def _resource(rtype: str, network: bool) -> dict[str, Any]:
    if rtype == "AuditEvent":
        return _trail()
    known = parameters(rtype)
    references = sorted(p.code for p in known.values() if p.kind == "reference")
    out: dict[str, Any] = {
        "type": rtype,
        "profile": f"http://hl7.org/fhir/StructureDefinition/{rtype}",
        "interaction": [{"code": code} for code in INTERACTIONS],
        "versioning": "versioned-update",
        "readHistory": True,
        "updateCreate": not network,
        "conditionalCreate": True,
        "conditionalRead": "full-support",
        "conditionalUpdate": True,
        "conditionalDelete": "single",
        "referencePolicy": ["literal"],
        "searchParam": [
            {"name": p.code, "type": published(p)} for p in sorted(known.values(), key=lambda p: p.code)
        ],
    }
    if profiles := _profiles().get(rtype):
        out["supportedProfile"] = profiles
    if operations := _operations(rtype):
        out["operation"] = operations
    if rtype == "Subscription":
        out["extension"] = topic_extensions()
    if references:
        out["searchInclude"] = ["*", *(f"{rtype}:{code}" for code in references)]
    if referring := _referring().get(rtype):
        out["searchRevInclude"] = referring
    return out


def _operations(rtype: str) -> list[dict[str, str]]:
    """Those offered on the type or its resources; without a type, those of the whole server."""
    offered = [
        one
        for one in OPERATIONS
        if (one.on_type or one.instance if rtype else one.system)
        and (not rtype or one.types is None or rtype in one.types)
    ]
    return [{"name": one.name, "definition": one.canonical(rtype)} for one in offered]


@cache
def _profiles() -> dict[str, list[str]]:
    """The profiles in the box by the type they are of."""
    out: dict[str, list[str]] = {}
    for url, table in sorted(boxed().tables.items()):
        if table["type"] in r4().resource_types:
            out.setdefault(str(table["type"]), []).append(url)
    return out


@cache
def _referring() -> dict[str, list[str]]:
    """What may come along with a type: the reference parameters of others that lead to it."""
    out: dict[str, list[str]] = {}
    for source in sorted(r4().resource_types):
        for parameter in sorted(parameters(source).values(), key=lambda p: p.code):
            for target in parameter.target if parameter.kind == "reference" else ():
                out.setdefault(target, []).append(f"{source}:{parameter.code}")
    return out


def _shared(known: Iterable[Parameter]) -> list[Parameter]:
    """The parameters that every type has."""
    return sorted((p for p in known if p.code.startswith("_")), key=lambda p: p.code)
