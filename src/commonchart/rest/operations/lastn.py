"""`$lastn`: the newest observations of each code. http://hl7.org/fhir/R4/observation-operation-lastn.html."""

from __future__ import annotations

from commonchart.access.records import Records
from commonchart.fhir.outcome import Malformed
from commonchart.record.rows import Found
from commonchart.rest.exchange import Answer, Asked
from commonchart.rest.operations.operation import Operation
from commonchart.rest.search import bundle
from commonchart.search.page import Page
from commonchart.search.query import parse

MAX_EACH = 100
_OURS = ("max", "_sort", "_count", "_cursor")


async def _lastn(records: Records, asked: Asked) -> Answer:
    """The newest `max` (default 1) of each code among what the search parameters match."""
    given = asked.arguments()
    each = given.number("max")
    if each is not None and not 1 <= each <= MAX_EACH:
        raise Malformed(f"max is a whole number from 1 to {MAX_EACH}", at="max")
    params = tuple((name, str(value)) for name, value in given.values if name not in _OURS)
    names = {name.partition(":")[0] for name, _ in params}
    if not names & {"patient", "subject"}:
        raise Malformed("$lastn needs a patient or subject", at="patient", code="required")
    if not names & {"category", "code"}:
        raise Malformed("$lastn needs a category or code", at="category", code="required")
    query = parse("Observation", params, strict=True)
    newest = await records.lastn(query, each or 1)
    found = tuple(Found(one.rtype, one.id, one.body or b"{}", one.patient) for one in newest)
    return Answer(200, bundle(asked, query, Page(found, total=len(found))))


LASTN = (Operation("lastn", _lastn, on_type=True, types=frozenset({"Observation"})),)
