"""The profiles and value sets that are known: those in the box (US Core 6.1.0), and what a site has added.

The box is `tables/us-core-6.1.jsonl`, made by `packaging/uscore.py`: one line per profile, value set or extension.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from functools import cache
from pathlib import Path
from typing import Any

from commonchart.fhir.definitions import r4
from commonchart.fhir.outcome import Invalid
from commonchart.fhir.profiles import value_sets
from commonchart.fhir.profiles.compiled import FHIR, Table, table
from commonchart.fhir.profiles.tree import Profile

BOX = Path(__file__).parents[1] / "tables" / "us-core-6.1.jsonl"


class Known:
    """Constraint tables by url, compiled to trees when first asked for; and listed value sets.

    A url means the version that was added last; a version that it hides is kept under `url|version`.
    """

    def __init__(self, tables: Mapping[str, Table], sets: Mapping[str, value_sets.Listed]) -> None:
        self.tables = tables
        self.sets = sets
        self._trees: dict[str, Profile] = {}

    def profile(self, canonical: str) -> Profile | None:
        """The profile of this url, of this version where one is named; None when it is not known."""
        url, _, version = canonical.partition("|")
        key = canonical if canonical in self.tables else url
        found = self.tables.get(key)
        if found is None or (version and found.get("version", version) != version):
            return None
        if key not in self._trees:
            self._trees[key] = Profile(found)
        return self._trees[key]

    def urls(self) -> list[str]:
        """The urls of the profiles on resource types, in order."""
        types = r4().resource_types
        return sorted(url for url, one in self.tables.items() if "|" not in url and one["type"] in types)

    def type_of(self, canonical: str) -> str | None:
        """The type that a profile, or R4 itself, defines under this url or name."""
        name = canonical.removeprefix(FHIR)
        if r4().is_structure(name):
            return name
        found = self.tables.get(canonical.split("|")[0])
        return None if found is None else str(found["type"])

    def member(self, value_set: str, system: str | None, code: str) -> bool | None:
        """Whether a code is in a value set; None when that cannot be told from the lists."""
        core = r4().value_sets.get(value_set)
        if core is not None:
            if system is None:
                return any(code in codes for codes in core.values())
            return code in core.get(system, ())
        found = self.sets.get(value_set)
        return None if found is None else value_sets.member(found, system, code)

    def with_(self, other: Known) -> Known:
        """Both; what the other says wins."""
        hidden = {
            f"{url}|{old['version']}": old
            for url, old in self.tables.items()
            if "|" not in url and url in other.tables and "version" in old
            if old["version"] != other.tables[url].get("version")
        }
        return Known({**self.tables, **hidden, **other.tables}, {**self.sets, **other.sets})


def constraining(definition: Mapping[str, Any]) -> bool:
    """Whether a StructureDefinition is a profile or an extension, and not a type or a logical model."""
    return definition.get("derivation") == "constraint" and definition.get("kind") != "logical"


def of_definitions(resources: Iterable[Mapping[str, Any]], below: Known | None = None) -> Known:
    """What a package's resources define: StructureDefinitions, ValueSets and CodeSystems.

    A profile that cannot be compiled, such as a differential on a base that is neither here nor `below` (by default
    the box), stays unknown.
    """
    bases = (below or boxed()).tables
    found: dict[str, list[Mapping[str, Any]]] = {}
    for resource in resources:
        found.setdefault(str(resource.get("resourceType")), []).append(resource)
    waiting = {d["url"]: d for d in found.get("StructureDefinition", ()) if isinstance(d.get("url"), str)}
    tables: dict[str, Table] = {}

    def of(url: str, depth: int = 0) -> Table | None:
        if url not in tables and url in waiting and depth < 20:
            try:
                tables[url] = table(waiting[url], lambda base: of(base, depth + 1) or bases.get(base))
            except Invalid:
                return None
        return tables.get(url)

    for url, definition in sorted(waiting.items()):
        if constraining(definition):
            of(url)
    return Known(tables, value_sets.listed(found.get("ValueSet", ()), found.get("CodeSystem", ())))


@cache
def boxed() -> Known:
    """What every install knows."""
    tables: dict[str, Table] = {}
    sets: dict[str, value_sets.Listed] = {}
    with BOX.open(encoding="utf-8") as lines:
        for line in lines:
            row = json.loads(line)
            if "elements" in row:
                tables[row["url"]] = row
            elif "codes" in row:
                sets[row["value_set"]] = row["codes"]
    return Known(tables, sets)
