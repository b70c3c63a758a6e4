"""Labels that somebody put on one entry, and labels that somebody lifted from one.

A label put by hand is an ordinary code in `meta.security`. A label of a rule is lifted for the very codes that were judged:
they stand in an extension of `meta`, so that a later code of the same label labels the entry again. Only what the record has
stored is believed (`kept`); whoever sends a resource lifts nothing (`labels.labels_of` does not look at the extension).
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from commonchart.care.labels import ACT_CODE, code_mask, codings, labels, security_mask

LIFTED = "http://commonchart.org/StructureDefinition/label-lifted"
CONFIDENTIALITY = "http://terminology.hl7.org/CodeSystem/v3-Confidentiality"
# label -> (system, code) that is written into meta.security
WRITTEN = {
    "part2": (ACT_CODE, "42CFRPart2"),
    "psychotherapy": (ACT_CODE, "PSYTHPN"),
    "hiv": (ACT_CODE, "HIV"),
    "reproductive": (ACT_CODE, "SEX"),
    "adolescent": (ACT_CODE, "ADOL"),
    "vip": (ACT_CODE, "CEL"),
    "violence": (ACT_CODE, "SDV"),
    "restricted": (CONFIDENTIALITY, "R"),
    "very-restricted": (CONFIDENTIALITY, "V"),
    "mental-health": (ACT_CODE, "MH"),
}

Body = dict[str, Any]
Code = tuple[str, str]
Lifts = Mapping[str, frozenset[Code]]


def lifts(resource: Mapping[str, Any]) -> dict[str, frozenset[Code]]:
    """Label -> the codes for which it has been lifted, of a resource as stored."""
    out: dict[str, frozenset[Code]] = {}
    for one in _extensions(resource):
        if one.get("url") != LIFTED:
            continue
        parts = one.get("extension") or []
        name = next((str(part.get("valueCode")) for part in parts if part.get("url") == "label"), "")
        found = [part["valueCoding"] for part in parts if part.get("url") == "code" and "valueCoding" in part]
        out[name] = frozenset((str(code.get("system", "")), str(code.get("code", ""))) for code in found)
    return out


def lifting(resource: Body, wanted: Lifts) -> Body:
    """The resource with these lifts and no others: what stood there before, or was sent, is gone."""
    meta = dict(resource.get("meta") or {})
    held = [one for one in _extensions(resource) if one.get("url") != LIFTED]
    held += [_written(name, codes) for name, codes in sorted(wanted.items()) if codes]
    meta.pop("extension", None)
    if held:
        meta["extension"] = held
    rest = {name: value for name, value in resource.items() if name != "meta"}
    return {**rest, "meta": meta} if meta else rest


def _extensions(resource: Mapping[str, Any]) -> list[Body]:
    found = (resource.get("meta") or {}).get("extension") or []
    return [one for one in found if isinstance(one, dict)]


def _written(name: str, codes: Iterable[Code]) -> Body:
    parts: list[Body] = [{"url": "label", "valueCode": name}]
    parts += [{"url": "code", "valueCoding": {"system": s, "code": c}} for s, c in sorted(codes)]
    return {"url": LIFTED, "extension": parts}


def kept(resource: Mapping[str, Any], lifted: Lifts | None = None) -> int:
    """The mask of a resource as stored, less what was lifted (of `lifted`, if given, instead of what it says itself)."""
    lifted = lifts(resource) if lifted is None else lifted
    found = security_mask((resource.get("meta") or {}).get("security") or ())
    for system, code in codings(lifting(dict(resource), {})):
        mask = code_mask(system, code)
        for name, codes in lifted.items() if mask else ():
            if (system, code) in codes and name in labels():
                mask &= ~labels()[name].mask
        found |= mask
    return found


def carrying(resource: Mapping[str, Any], name: str) -> frozenset[Code]:
    """The codes by which a rule labels it so: not what a sender says, in `meta` or inline."""
    mask = labels()[name].mask
    return frozenset(
        (system, code) for system, code in _told(resource) if system != ACT_CODE and code_mask(system, code) & mask
    )  # fmt: skip


def said(resource: Mapping[str, Any], name: str) -> frozenset[Code]:
    """The security labels by which it says so itself, in `meta` or inline."""
    mask = labels()[name].mask
    meta = [one for one in (resource.get("meta") or {}).get("security") or () if security_mask([one]) & mask]
    inline = [key for key in _told(resource) if key[0] == ACT_CODE and code_mask(*key) & mask]
    return frozenset([*((str(one.get("system", "")), str(one.get("code", ""))) for one in meta), *inline])


def _told(resource: Mapping[str, Any]) -> list[Code]:
    """The codings of everything but `meta`, whose labels are looked at by themselves."""
    return [key for name, value in resource.items() if name != "meta" for key in codings(value)]


def put(resource: Body, name: str) -> Body:
    """The resource with the label; what was lifted of it before is lifted no more."""
    system, code = WRITTEN[name]
    meta = dict(resource.get("meta") or {})
    meta["security"] = [*meta.get("security", []), {"system": system, "code": code}]
    return lifting({**resource, "meta": meta}, {k: v for k, v in lifts(resource).items() if k != name})


def without(resource: Body, name: str) -> Body:
    """The resource without the code that `put` writes."""
    meta = dict(resource.get("meta") or {})
    left = [one for one in meta.get("security", []) if (one.get("system"), one.get("code")) != WRITTEN[name]]
    meta.pop("security", None)
    if left:
        meta["security"] = left
    return {**resource, "meta": meta}


def taken_off(resource: Body, name: str) -> Body:
    """The same, with the label lifted for the codes that carry it."""
    return lifting(without(resource, name), {**lifts(resource), name: carrying(resource, name)})
