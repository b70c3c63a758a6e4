"""`$export` and `$import`: the kick-off. https://hl7.org/fhir/uv/bulkdata/export.html."""

from __future__ import annotations

import re
from datetime import datetime
from typing import Any
from urllib.parse import urlencode

from commonchart.access.exports import exporting
from commonchart.access.records import Records
from commonchart.exchange.bulk import runs
from commonchart.exchange.bulk.members import known_patients, members
from commonchart.exchange.bulk.wanted import Export, Import, Source, query_pairs
from commonchart.exchange.rules import guard_of
from commonchart.fhir import json
from commonchart.fhir.definitions import r4
from commonchart.fhir.outcome import Malformed, Unsupported
from commonchart.rest.arguments import Arguments
from commonchart.rest.exchange import Answer, Asked
from commonchart.rest.operations.operation import Operation
from commonchart.search.query import parse

NDJSON = frozenset({"application/fhir+ndjson", "application/ndjson", "ndjson"})
KNOWN = frozenset(
    {"_outputFormat", "_since", "_type", "_elements", "patient", "_typeFilter", "includeAssociatedData"}
)
ASSOCIATED = frozenset({"LatestProvenanceResources", "RelevantProvenanceResources"})
MAX_SOURCES = 1000
# how a search is answered: nothing that chooses resources
RESULT = frozenset(
    {
        "_sort",
        "_count",
        "_include",
        "_revinclude",
        "_total",
        "_summary",
        "_elements",
        "_cursor",
        "_contained",
        "_score",
    }
)
DEFINITIONS = "http://hl7.org/fhir/uv/bulkdata/OperationDefinition"

_FILTER = re.compile(r",(?=[A-Z][A-Za-z]+\?)")


async def _system(records: Records, asked: Asked) -> Answer:
    """Everything that the one who asks may see."""
    wanted = await _wanted(records, asked, "system", None)
    return await _begun(records, asked, wanted)


async def _patients(records: Records, asked: Asked) -> Answer:
    """The records of all patients, or of those named."""
    return await _begun(records, asked, await _wanted(records, asked, "patient", None))


async def _group(records: Records, asked: Asked) -> Answer:
    """The records of the members that a group has now."""
    await exporting(records)
    of = await members(records, asked.id)
    return await _begun(records, asked, await _wanted(records, asked, "group", of))


async def _begun(records: Records, asked: Asked, wanted: Export | Import) -> Answer:
    url = f"{asked.base}/{'/'.join(asked.segments)}"
    request = f"{url}?{urlencode(asked.params, safe=',/:|')}" if asked.params else url
    run = await runs.begin(records, wanted, request)
    words = "Ask for the state at Content-Location"
    if asked.preference("respond-async") == "" and "respond-async" not in asked.headers.get("prefer", ""):
        words = f"This is only answered later, as by Prefer: respond-async. {words}"
    issue = {"severity": "information", "code": "informational", "diagnostics": words}
    body = json.encode({"resourceType": "OperationOutcome", "issue": [issue]})
    return Answer(202, body, {"Content-Location": f"{asked.base}/_bulk/{run}"})


async def _wanted(records: Records, asked: Asked, level: str, group: tuple[str, ...] | None) -> Export:
    await exporting(records)
    given = asked.arguments()
    _formats(given)
    unknown = {name for name, _ in given.values} - KNOWN
    if unknown and asked.strict:
        raise Malformed(
            f"$export has no parameter {min(unknown)} here", at=min(unknown), code="not-supported"
        )
    since = given.span("_since")
    return Export(
        level=level,
        types=_types(given, asked),
        since=_since(since[0], records) if since else None,
        elements=_elements(given),
        filters=_filters(given),
        compartment=level != "system",
        patients=await _whose(records, asked, given, group),
        provenance=_associated(given, asked),
        group=asked.id if level == "group" else "",
    )


def _formats(given: Arguments) -> None:
    said = given.text("_outputFormat")
    if said is not None and said.replace(" ", "+") not in NDJSON:
        raise Malformed("_outputFormat is application/fhir+ndjson", at="_outputFormat", code="not-supported")


def _since(moment: datetime, records: Records) -> datetime:
    if moment > records.clock():
        raise Malformed("_since is in the future", at="_since")
    return moment


def _listed(given: Arguments, name: str) -> list[str]:
    return [part.strip() for text in given.every(name) for part in str(text).split(",") if part.strip()]


def _types(given: Arguments, asked: Asked) -> tuple[str, ...]:
    named = _listed(given, "_type")
    unknown = [name for name in named if name not in r4().resource_types]
    if unknown and asked.preference("handling") != "lenient":
        raise Malformed("_type names types of FHIR R4, with commas between them", at="_type")
    known = tuple(dict.fromkeys(name for name in named if name not in unknown))
    if named and not known:
        raise Malformed("_type names no type of FHIR R4", at="_type")
    return known


def _elements(given: Arguments) -> dict[str, tuple[str, ...]]:
    out: dict[str, list[str]] = {}
    for text in _listed(given, "_elements"):
        head, dot, name = text.partition(".")
        rtype, name = (head, name) if dot else ("", head)
        if (dot and head not in r4().resource_types) or not re.fullmatch(r"[A-Za-z]{1,64}", name):
            raise Malformed("_elements names elements such as id or Patient.name", at="_elements")
        out.setdefault(rtype, []).append(name)
    return {rtype: tuple(names) for rtype, names in out.items()}


def _filters(given: Arguments) -> tuple[tuple[str, str], ...]:
    out: list[tuple[str, str]] = []
    for text in given.every("_typeFilter"):
        for one in _FILTER.split(str(text)):
            rtype, _, query = one.partition("?")
            pairs = query_pairs(query)
            barred = [name for name, _ in pairs if name.partition(":")[0] in RESULT]
            if not pairs or barred:
                raise Malformed(
                    "A _typeFilter is Type?parameter=value, without result parameters", at="_typeFilter"
                )
            parse(rtype, pairs, strict=True)
            out.append((rtype, query))
    return tuple(out)


def _associated(given: Arguments, asked: Asked) -> bool:
    named = set(_listed(given, "includeAssociatedData"))
    if named - ASSOCIATED and asked.preference("handling") != "lenient":
        raise Malformed(
            "includeAssociatedData offers " + ", ".join(sorted(ASSOCIATED)), at="includeAssociatedData"
        )
    return bool(named & ASSOCIATED)


async def _whose(
    records: Records, asked: Asked, given: Arguments, group: tuple[str, ...] | None
) -> tuple[str, ...] | None:
    named = given.every("patient")
    if not named:
        return group
    if asked.method != "POST":
        raise Malformed("patient is given by POST only", at="patient")
    ids = tuple(dict.fromkeys(_patient_id(one) for one in named))
    if group is not None and not set(ids) <= set(group):
        raise Malformed("patient names somebody who is not in this group", at="patient", code="not-found")
    await known_patients(records, ids)
    return ids


def _patient_id(value: Any) -> str:
    text = value.get("reference", "") if isinstance(value, dict) else value
    found = re.fullmatch(r"(?:Patient/)?([A-Za-z0-9\-.]{1,64})", str(text))
    if found is None:
        raise Malformed("patient is a reference such as Patient/123", at="patient")
    return found[1]


# ---- import ----------------------------------------------------------------------------------------------------


async def _import(records: Records, asked: Asked) -> Answer:
    """Load the files that Parameters name: inputFormat, input (type, url), storageDetail."""
    await exporting(records)
    given = asked.arguments()
    format = given.text("inputFormat")
    if format is not None and format not in NDJSON:
        raise Malformed("inputFormat is application/fhir+ndjson", at="inputFormat", code="not-supported")
    detail = _parts(given.one("storageDetail") or [])
    if detail.get("type", "https") != "https":
        raise Unsupported("storageDetail.type https is what is offered")
    inputs = given.every("input")
    if not inputs or len(inputs) > MAX_SOURCES:
        raise Malformed(f"Name 1 to {MAX_SOURCES} files as input", at="input", code="required")
    sources = tuple([await _source(records, asked, one, n) for n, one in enumerate(inputs)])
    name = given.text("inputSource") or "import"
    source = re.sub(r"[^A-Za-z0-9._-]", "-", name.partition("://")[2] or name)[:63] or "import"
    return await _begun(records, asked, Import(sources, source))


def _parts(value: Any) -> dict[str, str]:
    """The parts of a parameter as name -> value."""
    out: dict[str, str] = {}
    for part in value if isinstance(value, list) else ():
        if isinstance(part, dict) and isinstance(part.get("name"), str):
            said = [v for k, v in part.items() if k.startswith("value")]
            out[part["name"]] = said[0] if len(said) == 1 and isinstance(said[0], str) else ""
    return out


async def _source(records: Records, asked: Asked, value: Any, n: int) -> Source:
    at = f"input[{n}]"
    parts = _parts(value)
    rtype, url = parts.get("type", ""), parts.get("url", "")
    if rtype not in r4().resource_types:
        raise Malformed("An input has a type of FHIR R4", at=f"{at}.type")
    if not url.startswith(f"{asked.base}/_bulk/"):
        async with records.database.single() as conn:
            guard = await guard_of(conn, records.actor.tenant)
        guard.readable(url)
    return Source(rtype, url)


EXPORT = (
    Operation("export", _system, system=True, definition=f"{DEFINITIONS}/export"),
    Operation(
        "export",
        _patients,
        on_type=True,
        types=frozenset({"Patient"}),
        definition=f"{DEFINITIONS}/patient-export",
    ),
    Operation(
        "export", _group, instance=True, types=frozenset({"Group"}), definition=f"{DEFINITIONS}/group-export"
    ),
    Operation(
        "import",
        _import,
        system=True,
        changes=True,
        definition="http://commonchart.org/OperationDefinition/import",
    ),
)
