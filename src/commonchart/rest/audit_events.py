"""The audit trail as FHIR: `AuditEvent` is read and searched, never written. http://hl7.org/fhir/R4/auditevent.html.

The trail is no stored resource, so what can be searched by is named here: patient (or entity, which is one), date, agent,
outcome, kind, and `_id`, newest first. The id of an event is its number in the trail.
"""

from __future__ import annotations

import base64
from datetime import UTC, datetime, timedelta
from typing import Any, get_args
from urllib.parse import urlencode

from commonchart.access import trail
from commonchart.access.records import Records
from commonchart.access.trail import Ask, Kind, Numbered
from commonchart.fhir import dates, json
from commonchart.fhir.outcome import Malformed, NotFound, Refused, Unsupported
from commonchart.rest.exchange import ID, Answer, Asked

PAGE, MOST = 50, 1000
OUTCOMES = frozenset({"0", "4", "8", "12"})
BEGINNING = datetime(1, 1, 1, tzinfo=UTC)
ACTIONS = {"create": "C", "update": "U", "delete": "D", "read": "R", "vread": "R", "history": "R"}
KNOWN = frozenset(
    {
        "patient",
        "entity",
        "date",
        "agent",
        "outcome",
        "_id",
        "_count",
        "_offset",
        "_upto",
        "_format",
        "_pretty",
        "kind",
    }
)
_DICOM = "http://dicom.nema.org/resources/ontology/DCM"
_REST = "http://terminology.hl7.org/CodeSystem/audit-event-type"
_ENTITY = "http://terminology.hl7.org/CodeSystem/audit-entity-type"
_REASON = "http://terminology.hl7.org/CodeSystem/v3-ActReason"


async def read(records: Records, asked: Asked) -> Answer:
    """One event. Raises Forbidden, NotFound."""
    number = asked.id
    found = await trail.event(records, int(number)) if number.isdecimal() and len(number) < 19 else None
    if found is None:
        raise NotFound("There is no AuditEvent with this id")
    return Answer(200, json.encode(resource(found)))


async def search(records: Records, asked: Asked) -> Answer:
    """A page of events, newest first. Raises Forbidden, Malformed, Unsupported naming the parameter."""
    given: dict[str, list[str]] = {}
    for name, value in asked.params:
        given.setdefault(name, []).append(value)
    unknown = sorted(set(given) - KNOWN)
    if unknown:
        raise Unsupported("The audit trail cannot be searched by this", at=unknown[0])
    twice = sorted(name for name, values in given.items() if len(values) > 1 and name != "date")
    if twice:
        raise Malformed("The audit trail is searched by one of these at a time", at=twice[0])
    if "_id" in given:
        found = await _by_id(records, given["_id"][0])
    else:
        found = await trail.events(
            records,
            _ask(given, asked.base),
            limit=_number(given, "_count", PAGE),
            offset=_number(given, "_offset", 0),
        )
    return Answer(200, json.encode(_bundle(asked, given, found)))


async def _by_id(records: Records, number: str) -> list[Numbered]:
    found = await trail.event(records, int(number)) if number.isdecimal() and len(number) < 19 else None
    return [found] if found else []


def _ask(given: dict[str, list[str]], base: str) -> Ask:
    since, until = _span(given.get("date", []))
    kind = given.get("kind", ["all"])[0]
    if kind not in get_args(Kind):
        raise Malformed(f"kind is one of {', '.join(get_args(Kind))}", at="kind")
    patients = {_patient(given[name][0], base, name) for name in ("patient", "entity") if name in given}
    if len(patients) > 1:
        raise Malformed("patient and entity name two patients", at="entity")
    agent = given.get("agent", [""])[0].rpartition("/")[2]
    return Ask(
        since, until, kind, "".join(patients), agent, upto=_number(given, "_upto", 0), outcomes=_outcomes(given)  # type: ignore[arg-type]
    )  # fmt: skip


def _patient(text: str, base: str, name: str) -> str:
    """The id of the patient who is asked about. Raises Malformed for anything else: the trail is kept by patient."""
    id = text.removeprefix(f"{base}/").removeprefix("Patient/")
    if not ID.fullmatch(id):
        raise Malformed(f"{name} is one patient: Patient/id", at=name)
    return id


def _outcomes(given: dict[str, list[str]]) -> tuple[int, ...]:
    codes = given["outcome"][0].split(",") if "outcome" in given else []
    if not set(codes) <= OUTCOMES:
        raise Malformed("outcome is among 0, 4, 8 and 12", at="outcome")
    return tuple(int(code) for code in codes)


def _span(texts: list[str]) -> tuple[datetime, datetime]:
    since, until = BEGINNING, datetime.max.replace(tzinfo=UTC) - timedelta(days=2)
    for text in texts:
        prefix, day = (text[:2], text[2:]) if text[:1].isalpha() else ("eq", text)
        try:
            lo, hi = dates.bounds(day)
        except (ValueError, Refused):
            raise Malformed("date is a FHIR date with eq, ge, gt, le or lt before it", at="date") from None
        if prefix in ("eq", "ge", "gt"):
            since = max(since, hi if prefix == "gt" else lo)
        if prefix in ("eq", "le", "lt"):
            until = min(until, lo if prefix == "lt" else hi)
        if prefix not in ("eq", "ge", "gt", "le", "lt"):
            raise Malformed("date is a FHIR date with eq, ge, gt, le or lt before it", at="date")
    return since, until


def _number(given: dict[str, list[str]], name: str, default: int) -> int:
    text = given.get(name, [str(default)])[0]
    if not (text.isdecimal() and len(text) < 9):
        raise Malformed(f"{name} is a whole number", at=name)
    return min(int(text), MOST) if name == "_count" else int(text)


def _bundle(asked: Asked, given: dict[str, list[str]], found: list[Numbered]) -> dict[str, Any]:
    links = [{"relation": "self", "url": f"{asked.base}/AuditEvent?{urlencode(asked.params)}"}]
    count = _number(given, "_count", PAGE)
    if count and len(found) == count and "_id" not in given:
        rest = [(name, value) for name, value in asked.params if name not in ("_offset", "_upto")]
        upto = _number(given, "_upto", 0) or max(one.seq for one in found)
        beyond = _number(given, "_offset", 0) + count
        links.append(
            {
                "relation": "next",
                "url": f"{asked.base}/AuditEvent?{urlencode([*rest, ('_offset', str(beyond)), ('_upto', str(upto))])}",
            }
        )
    made: dict[str, Any] = {"resourceType": "Bundle", "type": "searchset", "link": links}
    entries = [
        {
            "fullUrl": f"{asked.base}/AuditEvent/{one.seq}",
            "resource": resource(one),
            "search": {"mode": "match"},
        }
        for one in found
    ]
    return made | ({"entry": entries} if entries else {})


def resource(one: Numbered) -> dict[str, Any]:
    """An event as an AuditEvent: the types are DICOM's and FHIR's, the words of ours stand in `outcomeDesc`."""
    event = one.event
    made: dict[str, Any] = {
        "resourceType": "AuditEvent",
        "id": str(one.seq),
        "type": _type(event.action),
        "subtype": [{"system": "urn:commonchart:act", "code": event.action}],
        "action": ACTIONS.get(event.action, "E"),
        "recorded": dates.instant(event.at),
        "outcome": str(event.outcome),
        "purposeOfEvent": [{"coding": [{"system": _REASON, "code": event.purpose}]}]
        if event.purpose
        else None,
        "agent": [_agent(one)],
        "source": {"site": event.org or None, "observer": {"display": "Commonchart"}},
        "entity": _entities(one) or None,
    }
    if event.detail:
        made["outcomeDesc"] = event.detail
    return _filled(made)


def _type(action: str) -> dict[str, str]:
    if action.startswith("sign"):
        return {"system": _DICOM, "code": "110114", "display": "User Authentication"}
    if action.startswith(("export", "print")):
        return {"system": _DICOM, "code": "110106", "display": "Export"}
    return {"system": _REST, "code": "rest", "display": "RESTful Operation"}


def _agent(one: Numbered) -> dict[str, Any]:
    event = one.event
    return {
        "role": [{"text": event.role}],
        "altId": event.actor or None,
        "name": one.who or None,
        "requestor": True,
        "who": {"identifier": {"system": "urn:commonchart:user", "value": event.actor}}
        if event.actor
        else None,
        "network": {"address": event.client, "type": "5"} if event.client else None,
    }


def _entities(one: Numbered) -> list[dict[str, Any]]:
    event = one.event
    out: list[dict[str, Any]] = [
        {"what": {"reference": f"Patient/{id}"}, "type": {"system": _ENTITY, "code": "1"}}
        for id in event.patients
        if id
    ]
    if event.rtype and event.id and (event.rtype, event.id) != ("Patient", (event.patients or [""])[0]):
        version = f"/_history/{event.vid}" if event.vid else ""
        out.append({"what": {"reference": f"{event.rtype}/{event.id}{version}"}})
    if event.query is not None:
        packed = base64.b64encode(event.query.encode()).decode()
        out.append({"type": {"system": _ENTITY, "code": "2"}, "query": packed})
    return [_filled(entry) for entry in out]


def _filled(made: dict[str, Any]) -> dict[str, Any]:
    out = {}
    for name, value in made.items():
        if isinstance(value, dict):
            value = _filled(value)
        if isinstance(value, list):
            value = [_filled(entry) if isinstance(entry, dict) else entry for entry in value]
        if value not in (None, "", [], {}):
            out[name] = value
    return out
