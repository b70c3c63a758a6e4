"""Value sets: what a ValueSet resource or an implicit address says. http://hl7.org/fhir/R4/valueset.html#compositions."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from msgspec import Struct
from msgspec.structs import replace

from commonchart.fhir.outcome import Invalid, TooCostly, Unsupported

SNOMED = "http://snomed.info/sct"
LOINC = "http://loinc.org"
RXNORM = "http://www.nlm.nih.gov/research/umls/rxnorm"
ICD10CM = "http://hl7.org/fhir/sid/icd-10-cm"
CVX = "http://hl7.org/fhir/sid/cvx"
UCUM = "http://unitsofmeasure.org"

MAX_PARTS = 2000
MAX_LISTED = 100_000
MAX_CONTAINS_DEPTH = 60

_SNOMED_VS = re.compile(r"(http://snomed\.info/sct(?:/\d+(?:/version/\d+)?)?)\?fhir_vs(?:=(.*))?")
_WHOLE = {f"{system}/vs": system for system in (LOINC, RXNORM, ICD10CM, CVX, UCUM)}


class Listed(Struct, frozen=True):
    """A code that a value set names, with its own texts for it."""

    code: str
    display: str = ""
    designations: tuple[tuple[str, str], ...] = ()


class Filter(Struct, frozen=True):
    """A condition on the concepts of a system: `op` as in http://hl7.org/fhir/filter-operator."""

    property: str
    op: str
    value: str


class Include(Struct, frozen=True):
    """One include or exclude: a system's codes, listed or filtered, and the value sets they must also be in."""

    system: str = ""
    version: str = ""
    concepts: tuple[Listed, ...] = ()
    filters: tuple[Filter, ...] = ()
    value_sets: tuple[str, ...] = ()


class ValueSet(Struct, frozen=True):
    """What is in a value set. `inactive` False leaves inactive codes out; `listed_only`: it came as an expansion."""

    url: str
    version: str = ""
    name: str = ""
    include: tuple[Include, ...] = ()
    exclude: tuple[Include, ...] = ()
    inactive: bool = True
    listed_only: bool = False


def canonical(text: str) -> tuple[str, str]:
    """`url|version` as (url, version), the version "" when it is not said."""
    url, _, version = text.partition("|")
    return url, version


def read(resource: Mapping[str, Any]) -> ValueSet:
    """A ValueSet resource. Raises Invalid for a shape it cannot have, TooCostly for too many parts."""
    if resource.get("resourceType") != "ValueSet":
        raise Invalid("This is not a ValueSet", at="valueSet")
    bare = ValueSet(
        _text(resource, "url"),
        _text(resource, "version"),
        _text(resource, "title") or _text(resource, "name"),
    )
    compose = resource.get("compose")
    if isinstance(compose, dict):
        include = tuple(_include(part, "include") for part in _parts(compose, "include"))
        exclude = tuple(_include(part, "exclude") for part in _parts(compose, "exclude"))
        return replace(bare, include=include, exclude=exclude, inactive=compose.get("inactive") is not False)
    expansion = resource.get("expansion")
    if isinstance(expansion, dict):
        return replace(bare, include=_expanded(expansion), listed_only=True)
    return bare


def implicit(url: str) -> ValueSet | None:
    """The value set that an address means by itself; None for any other. Raises Unsupported for SNOMED CT's ECL."""
    if url in _WHOLE:
        return ValueSet(url, name="All codes", include=(Include(_WHOLE[url]),))
    if url.startswith(f"{LOINC}/vs/"):
        return _loinc(url, url.removeprefix(f"{LOINC}/vs/"))
    found = _SNOMED_VS.fullmatch(url)
    return None if found is None else _snomed(url, found[1], found[2] or "")


def _loinc(url: str, code: str) -> ValueSet | None:
    if re.fullmatch(r"LL\d{1,8}-\d", code):
        return ValueSet(
            url, name=f"Answer list {code}", include=(Include(LOINC, filters=(Filter("LIST", "=", code),)),)
        )
    if re.fullmatch(r"LP\d{1,8}-\d", code):
        return ValueSet(url, include=(Include(LOINC, filters=(Filter("ancestor", "=", code),)),))
    return None


def _snomed(url: str, edition: str, what: str) -> ValueSet | None:
    version = "" if edition == SNOMED else edition
    kind, _, code = what.partition("/")
    if kind == "ecl":
        raise Unsupported(
            "SNOMED CT expression constraints (ecl) are not offered: use isa/ or a compose with filters"
        )
    filters: tuple[Filter, ...] | None = None
    if what == "":
        filters = ()
    elif kind == "isa" and code.isdecimal():
        filters = (Filter("concept", "is-a", code),)
    elif kind == "refset" and code.isdecimal():
        filters = (Filter("concept", "in", code),)
    return None if filters is None else ValueSet(url, include=(Include(SNOMED, version, filters=filters),))


def imports(value_set: ValueSet) -> list[str]:
    """The canonicals of the value sets that this one uses."""
    parts = (*value_set.include, *value_set.exclude)
    return list(dict.fromkeys(url for part in parts for url in part.value_sets))


def systems(value_set: ValueSet) -> list[tuple[str, str]]:
    """The (system, version) pairs that this one uses itself."""
    parts = (*value_set.include, *value_set.exclude)
    return list(dict.fromkeys((part.system, part.version) for part in parts if part.system))


# ---- reading ---------------------------------------------------------------------------------------------------


def _text(holder: Mapping[str, Any], name: str) -> str:
    value = holder.get(name, "")
    if not isinstance(value, str):
        raise Invalid(f"{name} is a text", at=name)
    return value


def _parts(holder: Mapping[str, Any], name: str) -> Sequence[Mapping[str, Any]]:
    found = holder.get(name, [])
    if not isinstance(found, list) or not all(isinstance(part, dict) for part in found):
        raise Invalid(f"{name} is a list of objects", at=name)
    if len(found) > (MAX_LISTED if name in ("concept", "contains") else MAX_PARTS):
        raise TooCostly(f"This value set has too many entries under {name}")
    return found


def _include(part: Mapping[str, Any], where: str) -> Include:
    sets = part.get("valueSet", [])
    if not isinstance(sets, list) or not all(isinstance(url, str) for url in sets):
        raise Invalid("valueSet is a list of canonical addresses", at=f"compose.{where}.valueSet")
    found = Include(
        _text(part, "system"),
        _text(part, "version"),
        tuple(_listed(concept) for concept in _parts(part, "concept")),
        tuple(_filter(one) for one in _parts(part, "filter")),
        tuple(sets),
    )
    if not found.system and (found.concepts or found.filters or not found.value_sets):
        raise Invalid("An include or exclude needs a system or value sets", at=f"compose.{where}")
    return found


def _filter(one: Mapping[str, Any]) -> Filter:
    return Filter(_text(one, "property"), _text(one, "op"), _text(one, "value"))


def _listed(concept: Mapping[str, Any]) -> Listed:
    others = tuple(
        (_text(one, "language"), _text(one, "value"))
        for one in _parts(concept, "designation")
        if "value" in one
    )
    return Listed(_text(concept, "code"), _text(concept, "display"), others)


def _expanded(expansion: Mapping[str, Any]) -> tuple[Include, ...]:
    by_system: dict[tuple[str, str], dict[str, Listed]] = {}
    for entry in _contained(expansion, 0):
        if entry.get("abstract") is True or "code" not in entry:
            continue
        key = _text(entry, "system"), _text(entry, "version")
        by_system.setdefault(key, {}).setdefault(_text(entry, "code"), _listed(entry))
    return tuple(
        Include(system, version, tuple(codes.values()))
        for (system, version), codes in by_system.items()
        if system
    )


def _contained(holder: Mapping[str, Any], depth: int) -> Iterator[Mapping[str, Any]]:
    if depth > MAX_CONTAINS_DEPTH:
        raise TooCostly("This expansion is nested too deeply")
    for entry in _parts(holder, "contains"):
        yield entry
        yield from _contained(entry, depth + 1)
