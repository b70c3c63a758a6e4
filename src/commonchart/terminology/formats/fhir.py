"""CodeSystem, ValueSet and ConceptMap resources: JSON files, Bundles of them, NDJSON, FHIR packages (.tgz)."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from commonchart.fhir import json
from commonchart.fhir.outcome import Refused
from commonchart.terminology.formats.files import MAX_RESOURCE, Files

TYPES = frozenset({"CodeSystem", "ValueSet", "ConceptMap"})


def found(files: Files) -> bool:
    """Whether there is JSON."""
    return any(name.endswith((".json", ".ndjson")) for name in files.names)


def read(files: Files) -> Iterator[tuple[str, dict[str, Any] | str]]:
    """(place, resource), or (place, why not) for a file that cannot be read."""
    for name in files.names:
        if name.endswith(".ndjson"):
            for number, line in files.lines(name):
                if line.strip():
                    yield from _resources(f"{name}, line {number}", line.encode())
        elif name.endswith(".json") and not name.endswith((".index.json", "package.json")):
            yield from _resources(name, files.read(name))


def _resources(place: str, data: bytes) -> Iterator[tuple[str, dict[str, Any] | str]]:
    try:
        resource = json.decode(data, max_bytes=MAX_RESOURCE)
    except Refused as refused:
        yield place, str(refused)
        return
    if resource.get("resourceType") == "Bundle":
        for n, entry in enumerate(resource.get("entry", [])):
            inner = entry.get("resource") if isinstance(entry, dict) else None
            if isinstance(inner, dict) and inner.get("resourceType") in TYPES:
                yield f"{place}, entry {n}", inner
    elif resource.get("resourceType") in TYPES:
        yield place, resource
