"""Parts of a resource: `_summary` and `_elements`. http://hl7.org/fhir/R4/search.html#summary."""

from __future__ import annotations

from typing import Any

from msgspec import Struct

from commonchart.fhir import json
from commonchart.fhir.definitions import r4
from commonchart.fhir.outcome import Malformed

_TAG = {"system": "http://terminology.hl7.org/CodeSystem/v3-ObservationValue", "code": "SUBSETTED"}
_ALWAYS = frozenset({"resourceType", "id", "meta"})


class How(Struct, frozen=True):
    """Which part: a `_summary` mode, or names of elements."""

    summary: str = ""
    elements: tuple[str, ...] = ()


def wanted(params: tuple[tuple[str, str], ...]) -> How | None:
    """The part that is asked for, None for the whole. Raises Malformed."""
    if not params:
        return None
    said = dict(params)
    summary = said.get("_summary", "")
    if summary not in ("", "true", "false", "text", "data", "count"):
        raise Malformed("_summary is one of true, text, data, count, false", at="_summary")
    elements = tuple(filter(None, said.get("_elements", "").split(",")))
    return (
        How("" if summary in ("false", "count") else summary, elements)
        if summary not in ("", "false") or elements
        else None
    )


def subset(body: bytes, how: How) -> bytes:
    """The part of a stored body, tagged SUBSETTED so that nobody stores it back as the whole."""
    resource = json.decode(body)
    keep = _ALWAYS | _names(resource["resourceType"], how)
    out = {name: value for name, value in resource.items() if name.removeprefix("_") in keep}
    meta: dict[str, Any] = dict(out.get("meta") or {})
    meta["tag"] = [*meta.get("tag", []), _TAG]
    return json.encode({**out, "meta": meta})


def _names(rtype: str, how: How) -> frozenset[str]:
    elements = r4().elements(rtype).values()
    required = {name for e in elements if e.min for name in e.spelled()}
    if how.elements:
        wished = {name.removeprefix(f"{rtype}.") for name in how.elements}
        chosen = {name for e in elements for name in e.spelled() if e.name.removesuffix("[x]") in wished}
        return frozenset(chosen | wished | required)
    if how.summary == "text":
        return frozenset({"text"} | required)
    if how.summary == "data":
        return frozenset(name for e in elements for name in e.spelled() if e.name != "text")
    return frozenset(name for e in elements if e.summary for name in e.spelled()) | required
