"""Which sensitive labels a resource carries, told from its codes and from what its sender says in `meta.security`.

A label is one bit of a mask, which stands in a column beside the resource and is decided on in every statement. The
value sets are a pack of bare codes (`packs/labels-2026`) with a review state. A resource that is only told in words has
the labels its sender gave it: words are not read (hazard H61).
"""

from __future__ import annotations

import re
import tomllib
from collections.abc import Iterable, Iterator, Mapping
from functools import cache
from pathlib import Path
from typing import Any

import msgspec
from msgspec import Struct

PACK = Path(__file__).parent / "packs" / "labels-2026"
SYSTEMS = {
    "icd10": "http://hl7.org/fhir/sid/icd-10-cm",
    "sct": "http://snomed.info/sct",
    "loinc": "http://loinc.org",
    "rxnorm": "http://www.nlm.nih.gov/research/umls/rxnorm",
    "hcpcs": "http://www.cms.gov/Medicare/Coding/HCPCSReleaseCodeSets",
}
_ICD = frozenset({SYSTEMS["icd10"], "http://hl7.org/fhir/sid/icd-10", "urn:oid:2.16.840.1.113883.6.90"})
_HCPCS = frozenset({SYSTEMS["hcpcs"], "urn:oid:2.16.840.1.113883.6.285"})
ACT_CODE = "http://terminology.hl7.org/CodeSystem/v3-ActCode"
UNREAD = 1 << 62
"""On rows that an earlier program wrote, until they have been looked at: not shown to other organisations."""
# no rule, list or count rests on these: what is worked out is for people who may not read them
UNDECISIVE = ("psychotherapy",)
# where a resource names others of which it is made, or that it is about
MEMBERS = frozenset(
    {"result", "hasMember", "derivedFrom", "entry", "item", "target", "condition", "reasonReference", "addresses",
     "related", "report", "medicationReference", "securityContext"}
)  # fmt: skip
_REFERENCE = re.compile(r"(?:^|/)([A-Z][A-Za-z]{1,63})/([A-Za-z0-9\-.]{1,64})(?:/_history/[^/]{1,64})?$")


class Label(Struct, frozen=True):
    """One label: its bit, how a sender writes it, and the codes that carry it."""

    bit: int
    title: str
    review: str
    security: tuple[str, ...] = ()
    icd10: tuple[str, ...] = ()
    sct: tuple[str, ...] = ()
    loinc: tuple[str, ...] = ()
    rxnorm: tuple[str, ...] = ()
    hcpcs: tuple[str, ...] = ()

    @property
    def mask(self) -> int:
        """The label as a mask."""
        return 1 << self.bit


class _Known(Struct, frozen=True):
    """The pack turned round: by code."""

    security: dict[str, int]
    codes: dict[str, dict[str, int]]
    prefixes: dict[str, int]


@cache
def labels() -> Mapping[str, Label]:
    """Every label by name."""
    return {
        name: msgspec.convert(held, Label)
        for name, held in tomllib.loads((PACK / "labels.toml").read_text("utf-8")).items()
    }


@cache
def mask(*names: str) -> int:
    """These labels as one mask. Raises KeyError for a label that there is not."""
    return _union(labels()[name].mask for name in names)


def names(held: int) -> list[str]:
    """The names of the labels in a mask."""
    return [name for name, label in labels().items() if held & label.mask]


@cache
def _known() -> _Known:
    security: dict[str, int] = {}
    codes: dict[str, dict[str, int]] = {url: {} for url in SYSTEMS.values()}
    prefixes: dict[str, int] = {}
    for label in labels().values():
        for code in label.security:
            security[code] = security.get(code, 0) | label.mask
        for prefix in label.icd10:
            plain = prefix.replace(".", "")
            prefixes[plain] = prefixes.get(plain, 0) | label.mask
        for kind in ("sct", "loinc", "rxnorm", "hcpcs"):
            held = codes[SYSTEMS[kind]]
            for code in getattr(label, kind):
                held[code] = held.get(code, 0) | label.mask
    return _Known(security, codes, prefixes)


def labels_of(resource: Mapping[str, Any]) -> int:
    """The mask of a resource: of its codes anywhere, contained ones too, and of what its sender says."""
    found = security_mask((resource.get("meta") or {}).get("security") or ())
    for system, code in codings(resource):
        found |= code_mask(system, code)
    return found


def security_mask(security: Iterable[Mapping[str, Any]]) -> int:
    """The mask of security labels (Coding), whichever system they name."""
    known = _known().security
    return _union(known.get(str(one.get("code", "")), 0) for one in security)


def code_mask(system: str, code: str) -> int:
    """The mask of one code."""
    known = _known()
    if system in _ICD:
        plain = code.replace(".", "").upper()
        return _union(known.prefixes.get(plain[:n], 0) for n in range(3, len(plain) + 1))
    if system == ACT_CODE:
        return known.security.get(code, 0)
    return known.codes.get(SYSTEMS["hcpcs"] if system in _HCPCS else system, {}).get(code, 0)


def _union(masks: Iterable[int]) -> int:
    found = 0
    for one in masks:
        found |= one
    return found


def codings(value: Any) -> Iterator[tuple[str, str]]:
    """(system, code) of every coding in a value."""
    if type(value) is dict:
        code, system = value.get("code"), value.get("system")
        if type(code) is str and type(system) is str:
            yield system, code
        for held in value.values():
            if type(held) is dict or type(held) is list:
                yield from codings(held)
    elif type(value) is list:
        for one in value:
            yield from codings(one)


def members(resource: Mapping[str, Any], named: frozenset[str] = MEMBERS) -> list[tuple[str, str]]:
    """(type, id) of what a resource is made of or is about, whose labels it takes on; under the elements `named`."""
    texts = (text for name, value in resource.items() for text in _references(value, name in named, named))
    found = {(named[1], named[2]) for named in map(_REFERENCE.search, texts) if named}
    return sorted(key for key in found if key[0] not in ("Patient", "Practitioner", "Organization"))


def attached(value: Any) -> set[str]:
    """The ids of the Binary resources whose content a resource shows as its own (Attachment.url): they carry its labels."""
    found: set[str] = set()
    if type(value) is dict:
        url = value.get("url")
        named = _REFERENCE.search(url) if type(url) is str and "Binary/" in url else None
        if named and named[1] == "Binary":
            found.add(named[2])
    for held in value.values() if type(value) is dict else value if type(value) is list else ():
        if type(held) is dict or type(held) is list:
            found |= attached(held)
    return found


def _references(value: Any, wanted: bool, named: frozenset[str]) -> Iterator[str]:
    if type(value) is dict:
        text = value.get("reference")
        if wanted and type(text) is str:
            yield text
        for name, held in value.items():
            yield from _references(held, wanted or name in named, named)
    elif type(value) is list:
        for one in value:
            yield from _references(one, wanted, named)
