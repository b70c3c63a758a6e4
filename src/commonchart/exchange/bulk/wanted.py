"""What an export or import is asked for, as it is kept with its run."""

from __future__ import annotations

from datetime import datetime
from urllib.parse import parse_qsl

from msgspec import Struct

from commonchart.fhir import json
from commonchart.fhir.definitions import r4
from commonchart.fhir.outcome import Malformed

_TAG = {"system": "http://terminology.hl7.org/CodeSystem/v3-ObservationValue", "code": "SUBSETTED"}
_ALWAYS = frozenset({"resourceType", "id", "meta"})


class Export(Struct, frozen=True):
    """An export: `types` empty for all, `filters` by type as queries, `elements` by type ("" for every type).

    `compartment`: only what belongs to patients and what that refers to; `patients` None means everybody.
    """

    level: str = "system"
    types: tuple[str, ...] = ()
    since: datetime | None = None
    elements: dict[str, tuple[str, ...]] = {}
    filters: tuple[tuple[str, str], ...] = ()
    compartment: bool = False
    patients: tuple[str, ...] | None = None
    provenance: bool = False
    group: str = ""


class Source(Struct, frozen=True):
    """One file to be fetched by an import."""

    rtype: str
    url: str


class Import(Struct, frozen=True):
    """An import: where its files are, and the name under which they are loaded."""

    sources: tuple[Source, ...]
    source: str = "import"
    keep_ids: bool = False


def query_pairs(text: str) -> tuple[tuple[str, str], ...]:
    """The parameters of a search as it is written after the question mark. Raises Malformed."""
    try:
        return tuple(parse_qsl(text, keep_blank_values=True, errors="strict", max_num_fields=50))
    except ValueError:
        raise Malformed("The search is not UTF-8, or has more than 50 parameters") from None


def elements_of(rtype: str, wanted: dict[str, tuple[str, ...]]) -> frozenset[str] | None:
    """The elements of a type that are wanted, with those it cannot be without; None for all."""
    chosen = {*wanted.get("", ()), *wanted.get(rtype, ())}
    if not chosen:
        return None
    known = r4().elements(rtype).values()
    keep = {name for e in known for name in e.spelled() if e.min or e.name.removesuffix("[x]") in chosen}
    return frozenset(keep | chosen | _ALWAYS)


def subset(body: bytes, keep: frozenset[str]) -> bytes:
    """A body with only these elements, tagged SUBSETTED so that nobody stores it back as the whole."""
    resource = json.decode(body)
    out = {name: value for name, value in resource.items() if name.removeprefix("_") in keep}
    meta = dict(out.get("meta") or {})
    return json.encode({**out, "meta": {**meta, "tag": [*meta.get("tag", []), _TAG]}})
