"""The terminology of FHIR R4 itself, in the box: code systems, value sets, concept maps, opened one by one when asked for.

The table is made by `packaging/codes.py`; an index of a code system is kept for the most recent ones only.
"""

from __future__ import annotations

import struct
import zlib
from functools import cache, lru_cache
from pathlib import Path
from typing import Any

import msgspec
from msgspec import Struct

from commonchart.fhir.definitions import TABLE
from commonchart.terminology import resources, value_sets
from commonchart.terminology.maps import ConceptMap
from commonchart.terminology.plan import Chosen
from commonchart.terminology.systems import CodeSystem, Index, index
from commonchart.terminology.value_sets import Include, ValueSet

PATH = TABLE.with_name("codes.bin")


class Entry(Struct, array_like=True, frozen=True):
    """Where a resource lies in the table, its version, and the value set that a code system names for all its codes."""

    start: int
    length: int
    version: str
    whole: str


class Table(Struct, frozen=True):
    """The index of the table: urls by kind, and where the entries begin."""

    path: Path
    base: int
    system: dict[str, Entry]
    set: dict[str, Entry]
    map: dict[str, Entry]
    whole: dict[str, str]

    def resource(self, entry: Entry) -> dict[str, Any]:
        """One resource."""
        with self.path.open("rb") as file:
            file.seek(self.base + entry.start)
            found: dict[str, Any] = msgspec.msgpack.decode(zlib.decompress(file.read(entry.length)))
        return found


@cache
def table() -> Table:
    """The table of this program. Raises FileNotFoundError, saying what to run, when it was never made."""
    try:
        with PATH.open("rb") as file:
            (length,) = struct.unpack("<Q", file.read(8))
            kinds = msgspec.msgpack.decode(
                zlib.decompress(file.read(length)), type=dict[str, dict[str, Entry]]
            )
    except FileNotFoundError:
        raise FileNotFoundError(f"{PATH} is not there: run `make definitions`") from None
    whole = {entry.whole: url for url, entry in kinds["system"].items() if entry.whole}
    return Table(PATH, 8 + length, kinds["system"], kinds["set"], kinds["map"], whole)


def _fits(entry: Entry | None, version: str) -> bool:
    return entry is not None and version in ("", entry.version)


@lru_cache(maxsize=512)
def value_set(url: str, version: str = "") -> ValueSet | None:
    """A value set of R4; None for one that is not in the box in this version."""
    entry = table().set.get(url)
    if entry is not None and _fits(entry, version):
        return value_sets.read(table().resource(entry))
    system = table().whole.get(url)
    return None if system is None or entry is not None else ValueSet(url, include=(Include(system),))


def code_system(url: str, version: str = "") -> CodeSystem | None:
    """A code system of R4 that has its codes; None for one that is not in the box in this version."""
    found = system_index(url)
    return found.system if found is not None and version in ("", found.system.version) else None


@lru_cache(maxsize=64)
def system_index(url: str) -> Index | None:
    """The index of a code system of R4; None when its codes are not in the box."""
    entry = table().system.get(url)
    if entry is None:
        return None
    found = resources.code_system(table().resource(entry))
    return index(found) if found.concepts and found.content in ("complete", "fragment") else None


@lru_cache(maxsize=2048)
def chosen(url: str, version: str = "") -> Chosen | None:
    """How a plan names a code system of the box; None when it has none of this version."""
    entry = table().system.get(url)
    found = system_index(url) if entry is not None and _fits(entry, version) else None
    if found is None or entry is None:
        return None
    return Chosen(url, entry.version, "box", url, found.size, found.system.content)


@lru_cache(maxsize=32)
def concept_map(url: str) -> ConceptMap | None:
    """A concept map of R4."""
    entry = table().map.get(url)
    return None if entry is None else resources.concept_map(table().resource(entry))


@cache
def maps_from() -> dict[str, list[str]]:
    """Urls of the concept maps by the value set they lead from."""
    found: dict[str, list[str]] = {}
    for url in table().map:
        known = concept_map(url)
        if known is not None:
            found.setdefault(known.source, []).append(url)
    return found
