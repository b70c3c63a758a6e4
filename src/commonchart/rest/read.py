"""read and vread. http://hl7.org/fhir/R4/http.html#read."""

from __future__ import annotations

from commonchart.access.records import Records
from commonchart.fhir.outcome import NotFound
from commonchart.record.rows import Stored
from commonchart.rest.exchange import Answer, Asked, unmodified, version_headers
from commonchart.rest.subset import subset, wanted


async def read(records: Records, asked: Asked) -> Answer:
    """The current version, or 304 when the client has it."""
    return _shown(asked, await records.read(asked.rtype, asked.id))


async def vread(records: Records, asked: Asked) -> Answer:
    """One version by its number."""
    text = asked.segments[3]
    if not text.isdigit() or len(text) > 9:
        raise NotFound(f"There is no such version of this {asked.rtype}")
    return _shown(asked, await records.vread(asked.rtype, asked.id, int(text)))


def _shown(asked: Asked, stored: Stored) -> Answer:
    headers = version_headers(stored)
    if unmodified(asked, stored):
        return Answer(304, None, headers)
    how = wanted(asked.params)
    return Answer(200, stored.body if how is None else subset(stored.body or b"{}", how), headers)
