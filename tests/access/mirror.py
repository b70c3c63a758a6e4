"""Non-interference: a second tenant holds only what a reader may see, and every answer there is the reader's answer.

Whatever a question makes use of (a chain, a sort, a total, a cursor), what is hidden must change nothing in it: so the same
question, asked by somebody who sees all of a record in which the hidden does not exist, is answered with the same bytes.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from decimal import Decimal
from typing import Any
from urllib.parse import parse_qsl, urlsplit

from commonchart.access import forecasts, policy
from commonchart.access.actors import Actor
from commonchart.access.records import Put, Records
from commonchart.fhir import json
from commonchart.fhir.definitions import r4
from commonchart.fhir.outcome import Refused
from commonchart.fhir.validate import validate
from commonchart.record.bounds import PROGRAM
from commonchart.record.database import Database
from commonchart.rest.bundle import bundle
from commonchart.rest.exchange import Asked
from commonchart.rest.routes import run
from commonchart.rest.search import everywhere
from tests.conftest import Clock

BASE = "http://test/fhir"
LOINC = "http://loinc.org"
MG = {"unit": "mg", "system": "http://unitsofmeasure.org", "code": "mg"}
LABORATORY = {"system": "http://terminology.hl7.org/CodeSystem/observation-category", "code": "laboratory"}
FURTHER = 8

World = Sequence[tuple[str, dict[str, Any]]]


def directory() -> list[dict[str, Any]]:
    """What is about nobody: one practitioner and two places, one in the other."""
    return [
        {"resourceType": "Practitioner", "id": "dr", "name": [{"family": "Weber"}]},
        {"resourceType": "Location", "id": "loc1", "name": "House"},
        {"resourceType": "Location", "id": "loc2", "name": "Room", "partOf": {"reference": "Location/loc1"}},
    ]


def further(who: Sequence[str], observed: str) -> list[dict[str, Any]]:
    """One of each type that some question is about, of these patients; `observed` is an Observation that is there."""
    of = [{"reference": f"Patient/{one}"} for one in who]
    visit = {"reference": "Encounter/e1"}
    return [
        {"resourceType": "Encounter", "id": "e1", "status": "finished", "class": {"code": "AMB"}, "subject": of[0],
         "period": {"start": "2026-01-02", "end": "2026-01-03"}, "location": [{"location": {"reference": "Location/loc2"}}]},
        {"resourceType": "RelatedPerson", "id": "rp1", "patient": of[1]},
        {"resourceType": "Device", "id": "dv1", "patient": of[2]},
        {"resourceType": "Observation", "id": "x1", "status": "amended", "subject": of[3], "encounter": visit, "device": {"reference": "Device/dv1"},
         "meta": {"profile": ["http://example.org/profile/one"], "source": "http://example.org/from/here", "tag": [{"system": "urn:t", "code": "x"}]},
         "text": {"status": "generated", "div": '<div xmlns="http://www.w3.org/1999/xhtml">canary</div>'},
         "code": {"coding": [{"system": LOINC, "code": "1-5"}], "text": "Blood of some kind"}, "category": [{"coding": [LABORATORY]}],
         "effectiveDateTime": "2026-01-05", "valueQuantity": {"value": 7, **MG},
         "performer": [{"reference": "Practitioner/dr"}, {"reference": "RelatedPerson/rp1"}, {"identifier": {"system": "urn:staff", "value": "7"}}],
         "component": [{"code": {"coding": [{"system": LOINC, "code": "9-1"}]}, "valueQuantity": {"value": 3, **MG}}]},
        {"resourceType": "RiskAssessment", "id": "ra1", "status": "final", "subject": of[4], "prediction": [{"probabilityDecimal": Decimal("0.5")}]},
        {"resourceType": "DocumentReference", "id": "doc1", "status": "current", "subject": of[5], "date": "2026-01-05T10:00:00Z",
         "type": {"coding": [{"system": LOINC, "code": "34133-9"}]}, "context": {"period": {"start": "2026-01-02", "end": "2026-01-03"}},
         "content": [{"attachment": {"contentType": "text/plain", "url": "http://example.org/d"}}]},
        {"resourceType": "Immunization", "id": "im1", "status": "completed", "patient": of[6], "occurrenceDateTime": "2026-01-05",
         "vaccineCode": {"coding": [{"system": "http://hl7.org/fhir/sid/cvx", "code": "115"}]}},
        {"resourceType": "List", "id": "list1", "status": "current", "mode": "working", "subject": of[7],
         "entry": [{"item": {"reference": f"Observation/{observed}"}}, {"item": {"reference": "Observation/x1"}}]},
        {"resourceType": "MedicationRequest", "id": "mr1", "status": "active", "intent": "order", "subject": of[0], "authoredOn": "2026-01-05",
         "contained": [{"resourceType": "Medication", "id": "m1", "status": "active", "code": {"coding": [{"system": "http://x.example", "code": "penicillin"}]}}],
         "medicationReference": {"reference": "#m1"}},
    ]  # fmt: skip


async def mirrored(
    database: Database, clock: Clock, stored: World, links: Iterable[tuple[str, str]], expected: set[str]
) -> Records:
    """The second tenant with what is expected to be seen, asked by the program itself, which sees all of it."""
    database = database.bound(PROGRAM)
    records = Records(database, Actor(2, "m", "M", "system", "alder", "cli", network=False), clock)
    held = [body for _, body in stored if f"{body['resourceType']}/{body['id']}" in expected]
    await records.commit([Put(validate(body), body["id"]) for body in held])
    async with database.connection() as conn:
        for one in {one for pair in links for one in pair}:
            await conn.execute(
                "INSERT INTO person_link (tenant, patient, person, linked_at, actor, reason) VALUES (2, %s, 'p', now(), 'x', 'y')",
                (one,),
            )
    return records


def may_ask(actor: Actor, address: str) -> bool:
    """Whether every type that an address names may be read and searched: else the whole type is refused, alike for all."""
    named = {t for t in r4().resource_types if re.search(rf"\b{t}(List|Connection)?\b", address)}
    named |= set(forecasts.TYPES) if "immds" in address else set()
    if address.startswith("?") and not any(policy.allowed(actor, "search", t) for t in r4().resource_types):
        return False
    return all(policy.allowed(actor, act, rtype) for rtype in named for act in ("read", "search", "history"))


async def everything_asked(records: Records, address: str) -> Any:
    """The answer to an address, with all of its pages where it says that there are more; a refusal as what it says."""
    try:
        said = await _answer(records, address)
        out = [_plain(said)]
        while isinstance(said, dict) and len(out) < 20 and (after := _next(said)):
            more = await (run if after.segments != ("",) else everywhere)(records, after)
            said = json.decode(more.body or b"{}")
            out.append(_plain(said))
    except Refused as refusal:
        return [type(refusal).__name__, [(one.code, one.message, one.at) for one in refusal.issues]]
    return out


def found(answers: Any) -> bool:
    """Whether an answer shows anything: a question whose answers are always empty would prove nothing."""
    if answers and isinstance(answers[0], str):
        return False
    shown = json.encode(answers).decode()
    return bool(re.search(r'"(resource|total|parameter|edges|div|id|issue)":(?!0|\[\]|null)', shown))


async def _answer(records: Records, address: str) -> Any:
    how, _, rest = address.partition(" ")
    if how in ("BATCH", "TRANSACTION"):
        entries = [{"request": {"method": "GET", "url": url}} for url in rest.split(" ")]
        body = {"resourceType": "Bundle", "type": how.lower(), "entry": entries}
        answer = await bundle(records, Asked("POST", (), (), BASE, body=body), run)
    elif how == "VALIDATE":
        answer = await run(records, _asked("POST", rest, _SENT))
    else:
        asked = _asked("POST", rest) if how == "POST" else _asked("GET", address)
        answer = await (run if asked.segments != ("",) else everywhere)(records, asked)
    return json.decode(answer.body or b"{}")


_SENT = {
    "resourceType": "Observation", "status": "final", "code": {"text": "x"}, "subject": {"reference": "Patient/ada"},
    "hasMember": [{"reference": "Observation/x1"}, {"reference": "Observation/o0"}],
}  # fmt: skip


def _asked(method: str, address: str, body: dict[str, Any] | None = None) -> Asked:
    path, _, text = address.partition("?")
    pairs = tuple(tuple(pair.partition("=")[::2]) for pair in text.split("&") if pair)
    return Asked(method, tuple(path.split("/")), pairs, BASE, body=body)  # type: ignore[arg-type]


def _next(said: Mapping[str, Any]) -> Asked | None:
    url = next((one["url"] for one in said.get("link", ()) if one["relation"] == "next"), None)
    if url is None:
        return None
    parts = urlsplit(url.removeprefix(BASE).removeprefix("/"))
    return Asked("GET", tuple(parts.path.split("/")), tuple(parse_qsl(parts.query)), BASE)


def _plain(said: Any) -> Any:
    """The answer without what names the reader or the moment: links hold signed cursors, made resources their own ids."""
    if isinstance(said, dict):
        kept = {
            name: _plain(one)
            for name, one in said.items()
            if name not in ("link", "lastUpdated", "lastModified", "cursor")
        }
        kept = {n: one for n, one in kept.items() if not str(one).startswith("urn:uuid:")}
        return kept | {"entry": _ordered(kept["entry"])} if isinstance(kept.get("entry"), list) else kept
    return [_plain(one) for one in said] if isinstance(said, list) else said


def _ordered(entries: list[Any]) -> list[Any]:
    """Matches as they come, then what came along with them, which has no order."""
    along = [one for one in entries if one.get("search", {}).get("mode") == "include"]
    return [one for one in entries if one not in along] + sorted(along, key=lambda one: one["fullUrl"])
