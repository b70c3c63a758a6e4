"""Concept maps: from a code to its counterparts, and back. http://hl7.org/fhir/R4/conceptmap-operation-translate.html."""

from __future__ import annotations

from collections.abc import Mapping

from msgspec import Struct

REVERSED = {
    "wider": "narrower",
    "narrower": "wider",
    "subsumes": "specializes",
    "specializes": "subsumes",
}
NO_MATCH = frozenset({"unmatched", "disjoint"})


class Entry(Struct, frozen=True):
    """One line of a map. `conditional`: it holds only together with other elements (dependsOn), so it is not offered."""

    source: str
    code: str
    target: str
    to: str
    equivalence: str
    display: str = ""
    conditional: bool = False


class ConceptMap(Struct, frozen=True):
    """A map; `source` and `target` are its value sets; `unmapped` is (mode, code, url) by (source, target) system."""

    url: str
    version: str
    name: str
    source: str
    target: str
    entries: tuple[Entry, ...]
    unmapped: Mapping[tuple[str, str], tuple[str, str, str]] = {}


class Match(Struct, frozen=True):
    """A counterpart of a code."""

    equivalence: str
    system: str
    code: str
    display: str
    map: str


def turned(entry: Entry) -> Entry:
    """The line read from its target."""
    return Entry(
        entry.target,
        entry.to,
        entry.source,
        entry.code,
        REVERSED.get(entry.equivalence, entry.equivalence),
        "",
        entry.conditional,
    )


def translate(
    map_: ConceptMap, system: str, code: str, *, target: str = "", reverse: bool = False
) -> list[Match]:
    """The counterparts of a code in a map, in its order; `target` "" for any system."""
    entries = map(turned, map_.entries) if reverse else iter(map_.entries)
    found = [
        Match(one.equivalence, one.target, one.to, one.display, map_.url)
        for one in entries
        if one.code == code
        and one.source == system
        and one.target == (target or one.target)
        and not one.conditional
    ]
    return found or ([] if reverse else _unmapped(map_, system, code, target))


def _unmapped(map_: ConceptMap, system: str, code: str, target: str) -> list[Match]:
    found = []
    for (source, to), (mode, fixed, _) in map_.unmapped.items():
        if source != system or (target and to != target):
            continue
        if mode == "fixed":
            found.append(Match("inexact", to, fixed, "", map_.url))
        elif mode == "provided":
            found.append(Match("inexact", to, code, "", map_.url))
    return found


def succeeded(matches: list[Match]) -> bool:
    """Whether there is a counterpart at all (`result` of $translate)."""
    return any(match.equivalence not in NO_MATCH for match in matches)
