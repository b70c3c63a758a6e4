"""Notifications as Bundles (R4 backport): the status first, then what it is about as far as it may be seen."""

from __future__ import annotations

from datetime import datetime
from typing import Any
from uuid import NAMESPACE_URL, uuid5

from msgspec import Struct

from commonchart.exchange.subscriptions.state import Event, State
from commonchart.fhir.dates import instant
from commonchart.record.rows import Stored

PROFILE = "http://hl7.org/fhir/uv/subscriptions-backport/StructureDefinition/backport-subscription-"
_METHOD = {"create": ("POST", "201"), "update": ("PUT", "200"), "delete": ("DELETE", "204")}


class Told(Struct, frozen=True):
    """An event with the version it is about, None where the subscriber may not see it (any more)."""

    event: Event
    stored: Stored | None


def status(
    base: str, state: State, kind: str, told: tuple[Told, ...] = (), content: str = "empty"
) -> dict[str, Any]:
    """The status as Parameters: of a notification, or the answer to `$status`."""
    entries: list[dict[str, Any]] = [
        {"name": "subscription", "valueReference": {"reference": f"{base}/Subscription/{state.id}"}},
        {"name": "topic", "valueCanonical": state.how.topic},
        {"name": "status", "valueCode": state.state},
        {"name": "type", "valueCode": kind},
        {"name": "events-since-subscription-start", "valueString": str(state.events)},
    ]
    entries += [_event(base, one, content) for one in told]
    if state.error:
        entries.append({"name": "error", "valueCodeableConcept": {"text": state.error}})
    return {
        "resourceType": "Parameters",
        "id": str(
            uuid5(NAMESPACE_URL, f"{base}/{state.id}/{kind}/{state.events}/{[t.event.n for t in told]}")
        ),
        "meta": {"profile": [f"{PROFILE}status-r4"]},
        "parameter": entries,
    }


def _event(base: str, one: Told, content: str) -> dict[str, Any]:
    part: list[dict[str, Any]] = [
        {"name": "event-number", "valueString": str(one.event.n)},
        {"name": "timestamp", "valueInstant": instant(one.event.at)},
    ]
    if content != "empty" and one.stored is not None:
        focus = {"reference": f"{base}/{one.event.rtype}/{one.event.id}"}
        part.append({"name": "focus", "valueReference": focus})
    return {"name": "notification-event", "part": part}


def bundle(
    base: str, state: State, kind: str, now: datetime, told: tuple[Told, ...] = (), content: str = "empty"
) -> dict[str, Any]:
    """The notification. `kind`: handshake, heartbeat, event-notification, query-status or query-event."""
    first = status(base, state, kind, told, content)
    entries = [
        {
            "fullUrl": f"urn:uuid:{first['id']}",
            "resource": first,
            "request": {"method": "GET", "url": f"{base}/Subscription/{state.id}/$status"},
            "response": {"status": "200"},
        }
    ]
    if content != "empty":
        entries += [
            _entry(base, one, content) for one in told if one.stored is not None or content == "full-resource"
        ]
    return {
        "resourceType": "Bundle",
        "meta": {"profile": [f"{PROFILE}notification-r4"]},
        "type": "history",
        "timestamp": instant(now),
        "entry": entries,
    }


def _entry(base: str, one: Told, content: str) -> dict[str, Any]:
    from commonchart.fhir import json

    if one.stored is None:
        return _withheld(one)
    method, code = _METHOD[one.event.op]
    url = one.event.rtype if method == "POST" else f"{one.event.rtype}/{one.event.id}"
    out: dict[str, Any] = {
        "fullUrl": f"{base}/{one.event.rtype}/{one.event.id}",
        "request": {"method": method, "url": url},
        "response": {"status": code, "lastModified": instant(one.stored.recorded)},
    }
    if content == "full-resource" and one.stored.body is not None:
        out["resource"] = json.decode(one.stored.body)
    return out


def _withheld(one: Told) -> dict[str, Any]:
    words = "This may not be told to you, or not any more"
    issue = {"severity": "information", "code": "suppressed", "diagnostics": words}
    return {
        "resource": {"resourceType": "OperationOutcome", "issue": [issue]},
        "request": {"method": "GET", "url": f"{one.event.rtype}"},
        "response": {"status": "403"},
    }
