"""`$everything` of a patient or an encounter."""

from __future__ import annotations

from collections.abc import Awaitable, Callable

from commonchart.access import everything
from commonchart.access.records import Records
from commonchart.fhir import json
from commonchart.fhir.definitions import r4
from commonchart.fhir.outcome import Malformed, MethodNotAllowed
from commonchart.rest import cursors
from commonchart.rest.exchange import Answer, Asked
from commonchart.rest.operations.operation import Operation
from commonchart.rest.search import joined

MAX_COUNT = 1000

Find = Callable[[Records, str, everything.Asked], Awaitable[everything.Pages]]


async def _patient(records: Records, asked: Asked) -> Answer:
    """The record of one patient; without an id, of the patient who asks."""
    if len(asked.segments) == 2:
        own = records.actor.patient
        if own is None:
            raise MethodNotAllowed("GET on Patient/[id]/$everything")
        return await _answered(records, asked, everything.of_patient, own)
    return await _answered(records, asked, everything.of_patient, asked.id)


async def _encounter(records: Records, asked: Asked) -> Answer:
    """What happened in one encounter."""
    return await _answered(records, asked, everything.of_encounter, asked.id)


async def _answered(records: Records, asked: Asked, find: Find, id: str) -> Answer:
    wanted = _wanted(records, asked)
    page = await find(records, id, wanted)
    entries = [_entry(asked.base, one) for one in page.shown]
    links = [{"relation": "self", "url": cursors.url(asked, records)}]
    if page.next is not None:
        links.append({"relation": "next", "url": cursors.url(asked, records, page.next)})
    whole = page.next is None and wanted.after is None
    total = b',"total":%d' % len(entries) if whole else b""
    return Answer(200, joined(b"searchset", entries, b',"link":' + json.encode(links), total))


def _entry(base: str, one: everything.Shown) -> bytes:
    return f'{{"fullUrl":"{base}/{one.rtype}/{one.id}","resource":{one.body},"search":{{"mode":"match"}}}}'.encode()


def _wanted(records: Records, asked: Asked) -> everything.Asked:
    """The parameters, checked. Raises Malformed."""
    given = asked.arguments()
    types = frozenset(name for text in given.every("_type") for name in str(text).split(",") if name)
    if types - r4().resource_types:
        raise Malformed("_type names types of FHIR R4, with commas between them", at="_type")
    count = given.number("_count")
    if count is not None and count < 1:
        raise Malformed("_count is a whole number from 1", at="_count")
    since, start, end = given.span("_since"), given.span("start"), given.span("end")
    return everything.Asked(
        types,
        since[0] if since else None,
        start[0] if start else None,
        end[1] if end else None,
        min(count or MAX_COUNT, MAX_COUNT),
        cursors.place(asked, records, tuple[str, str]),
    )


EVERYTHING = (
    Operation("everything", _patient, on_type=True, instance=True, types=frozenset({"Patient"})),
    Operation("everything", _encounter, instance=True, types=frozenset({"Encounter"})),
)
