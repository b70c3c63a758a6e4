"""FHIR R4 4.0.1 as data: structures, search parameters, compartments, required value sets.

Read once per process from the table that `packaging/definitions.py` compiles (docs/decisions/0008).
"""

from __future__ import annotations

import re
import zlib
from collections.abc import Mapping
from functools import cache, cached_property
from pathlib import Path
from typing import Any

import msgspec
from msgspec import Struct

TABLE = Path(__file__).parent / "tables" / "r4.bin"

Codes = Mapping[str, frozenset[str]]


class Element(Struct, frozen=True):
    """One child element. `types` are type names, or the path of an inline structure; `max` None means any number."""

    name: str
    min: int
    max: int | None
    types: tuple[str, ...]
    targets: tuple[str, ...] = ()
    strength: str = ""
    value_set: str = ""
    modifier: bool = False
    summary: bool = False
    rules: tuple[tuple[str, str, str], ...] = ()

    @property
    def choice(self) -> bool:
        """Whether this is a choice of types, `value[x]`."""
        return self.name.endswith("[x]")

    def spelled(self) -> dict[str, str]:
        """JSON name -> type name: one entry, or one per type of a choice."""
        if not self.choice:
            return {self.name: self.types[0]}
        stem = self.name[:-3]
        return {stem + type_[0].upper() + type_[1:]: type_ for type_ in self.types}


class SearchParameter(Struct, frozen=True):
    """One search parameter; `component` pairs are (url of the parameter, expression) for composites."""

    url: str
    code: str
    base: tuple[str, ...]
    type: str
    expression: str = ""
    target: tuple[str, ...] = ()
    component: tuple[tuple[str, str], ...] = ()


class Definitions:
    """The compiled table, with the questions that validation, search and the API ask of it."""

    def __init__(self, table: dict[str, Any]) -> None:
        self._table = table
        self.version: str = table["version"]
        self.resource_types: frozenset[str] = frozenset(table["resources"])
        self.bases: dict[str, str] = table["bases"]

    def is_primitive(self, type_name: str) -> bool:
        """Whether values of this type are JSON scalars."""
        return type_name in self._table["primitives"]

    def is_structure(self, type_name: str) -> bool:
        """Whether this names a type or inline structure with child elements."""
        return type_name in self._table["types"]

    @cached_property
    def patterns(self) -> dict[str, re.Pattern[str]]:
        """The regular expression of each primitive type that has one."""
        return {name: re.compile(text) for name, text in self._table["primitives"].items() if text}

    @cache  # noqa: B019 - one instance per process
    def elements(self, type_name: str) -> Mapping[str, Element]:
        """Child elements of a type or inline structure by name (choices by their `[x]` name). KeyError if unknown."""
        found = self._table["types"][type_name]["elements"]
        return {name: _element(name, entry) for name, entry in found.items()}

    def structure_names(self) -> tuple[str, ...]:
        """Every type and inline structure that has child elements."""
        return tuple(self._table["types"])

    def rules(self, type_name: str) -> list[list[str]]:
        """The invariants of a type as [key, severity, FHIRPath expression]."""
        return list(self._table["types"][type_name]["rules"])

    @cached_property
    def parameters(self) -> list[SearchParameter]:
        """Every search parameter of R4, each once."""
        return [msgspec.convert(entry, SearchParameter, strict=False) for entry in self._table["search"]]

    @cache  # noqa: B019
    def search_parameters(self, rtype: str) -> Mapping[str, SearchParameter]:
        """The parameters of a resource type by code, those common to every resource included."""
        wanted = {rtype, "Resource"}
        if self.bases.get(rtype) == "DomainResource":
            wanted.add("DomainResource")
        return {p.code: p for p in self.parameters if wanted & set(p.base)}

    @cached_property
    def parameters_by_url(self) -> dict[str, SearchParameter]:
        """Search parameters by canonical url, for the components of composites."""
        return {parameter.url: parameter for parameter in self.parameters}

    def compartment(self, name: str) -> Mapping[str, list[str]]:
        """Resource type -> parameter codes that put a resource into this compartment (first one first)."""
        found: dict[str, list[str]] = self._table["compartments"][name]
        return found

    @cache  # noqa: B019
    def patient_reference(self, rtype: str) -> str | None:
        """Path from a resource to the reference that puts it in a patient's compartment, such as `subject`.

        Of the compartment's parameters the first one; `participant.actor` of an Appointment is a path of two names. None
        for a type outside the compartment, and for Patient, which is its own.
        """
        codes = self.compartment("Patient").get(rtype)
        if not codes or rtype == "Patient":
            return None
        for part in self.search_parameters(rtype)[codes[0]].expression.split("|"):
            path = part.strip().partition(".where(")[0]
            if path.startswith(f"{rtype}."):
                return path.removeprefix(f"{rtype}.")
        return None

    @cached_property
    def value_sets(self) -> dict[str, Codes]:
        """Expanded required value sets: url -> system -> codes."""
        return {
            url: {system: frozenset(codes) for system, codes in systems.items()}
            for url, systems in self._table["value_sets"].items()
        }

    @cached_property
    def stated(self) -> frozenset[str]:
        """Required value sets that do not expand; `fhir.validate` states their rule."""
        return frozenset(self._table["stated"])


def _element(name: str, entry: dict[str, Any]) -> Element:
    strength, value_set = entry.get("binding", ("", ""))
    return Element(
        name=name,
        min=entry["min"],
        max=None if entry["max"] == "*" else int(entry["max"]),
        types=tuple(entry["types"]),
        targets=tuple(entry.get("targets", ())),
        strength=strength,
        value_set=value_set,
        modifier=entry.get("modifier", False),
        summary=entry.get("summary", False),
        rules=tuple((key, severity, text) for key, severity, text in entry.get("rules", ())),
    )


@cache
def r4() -> Definitions:
    """The definitions of FHIR R4 4.0.1. Raises FileNotFoundError, saying what to run, when they were never compiled."""
    try:
        packed = TABLE.read_bytes()
    except FileNotFoundError:
        raise FileNotFoundError(f"{TABLE} is not there: run `make definitions`") from None
    return Definitions(msgspec.msgpack.decode(zlib.decompress(packed)))


def __getattr__(name: str) -> Definitions:
    if name == "R4":
        return r4()
    raise AttributeError(name)
