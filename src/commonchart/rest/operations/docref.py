"""`$docref` of US Core: which documents are there. http://hl7.org/fhir/us/core/OperationDefinition/docref."""

from __future__ import annotations

from commonchart.access.records import Records
from commonchart.fhir.outcome import Malformed, NotFound
from commonchart.rest.arguments import Arguments
from commonchart.rest.exchange import Answer, Asked, Params
from commonchart.rest.operations.operation import Operation
from commonchart.rest.search import bundle
from commonchart.search.query import parse

DEFINITION = "http://hl7.org/fhir/us/core/OperationDefinition/docref"
_KNOWN = frozenset({"patient", "start", "end", "type", "on-demand", "profile"})


async def _docref(records: Records, asked: Asked) -> Answer:
    """DocumentReferences of a patient whose care lies in the dates, of the types; none are made on demand."""
    given = asked.arguments()
    unknown = sorted({name for name, _ in given.values} - _KNOWN)
    if unknown:
        raise Malformed("$docref takes patient, start, end, type, on-demand and profile", at=unknown[0])
    patient = (given.text("patient") or "").removeprefix("Patient/")
    if not patient:
        raise Malformed("$docref needs a patient", at="patient", code="required")
    if given.flag("on-demand"):
        raise Malformed("No documents are made on demand here", at="on-demand", code="not-supported")
    params = (("patient", patient), ("status", "current"), *_dates(given), *_types(given))
    query = parse("DocumentReference", params, strict=True)
    page = await records.search(query)
    if not page.matches and (await records.named([("Patient", patient)])) == {}:
        raise NotFound("There is no Patient with this id")
    return Answer(200, bundle(asked, query, page))


def _dates(given: Arguments) -> Params:
    """The period of care where one is recorded; else documents newest first, as without dates."""
    start, end = given.text("start"), given.text("end")
    given.span("start"), given.span("end")
    out: list[tuple[str, str]] = []
    if start:
        out.append(("period", f"ge{start}"))
    if end:
        out.append(("period", f"le{end}"))
    return tuple(out) or (("_sort", "-date"),)


def _types(given: Arguments) -> Params:
    texts = []
    for value in given.every("type"):
        codings = value.get("coding") or [] if isinstance(value, dict) else []
        if isinstance(value, str):
            texts.append(value)
        elif isinstance(value, dict) and "code" in value:
            codings = [value]
        texts += [
            f"{c.get('system', '')}|{c['code']}" for c in codings if isinstance(c, dict) and c.get("code")
        ]
    return (("type", ",".join(texts)),) if texts else ()


DOCREF = (
    Operation("docref", _docref, on_type=True, types=frozenset({"DocumentReference"}), definition=DEFINITION),
)
