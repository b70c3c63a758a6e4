"""Value sets of packages by their code lists alone: system -> codes, `None` where the package does not list them.

A part that cannot be listed (filters, whole systems from elsewhere) makes answers "cannot tell", never "no".
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from commonchart.fhir.definitions import r4

MAX_DEPTH = 8
LICENSED = frozenset({"http://snomed.info/sct", "http://www.ama-assn.org/go/cpt", "http://www.nubc.org/"})

Listed = dict[str, list[str] | None]


def listed(sets: Iterable[Mapping[str, Any]], systems: Iterable[Mapping[str, Any]]) -> dict[str, Listed]:
    """Url -> system -> codes, of every value set; codes of licensed systems are left to the site's terminology."""
    by_url = {s["url"]: s for s in sets if isinstance(s.get("url"), str)}
    complete = {
        s["url"]: sorted(_concepts(s.get("concept", ())))
        for s in systems
        if isinstance(s.get("url"), str) and s.get("content") == "complete"
    }
    return {url: _listed(one, by_url, complete, 0) for url, one in sorted(by_url.items())}


def _concepts(concepts: Iterable[Mapping[str, Any]]) -> Iterable[str]:
    for concept in concepts:
        yield concept["code"]
        yield from _concepts(concept.get("concept", ()))


def _listed(
    one: Mapping[str, Any],
    sets: Mapping[str, Mapping[str, Any]],
    systems: Mapping[str, list[str]],
    depth: int,
) -> Listed:
    compose = one.get("compose") or {}
    out: Listed = {}
    if not compose.get("include"):
        return {"*": None}
    for part in compose["include"]:
        for system, codes in _part(part, sets, systems, depth).items():
            before = out.get(system, [])
            out[system] = None if codes is None or before is None else sorted({*before, *codes})
    for part in compose.get("exclude", ()):
        for system, codes in _part(part, sets, systems, depth).items():
            kept = out.get(system)
            if codes is None:
                out[system] = None
            elif kept is not None:
                out[system] = [code for code in kept if code not in codes]
    return out


def _part(
    part: Mapping[str, Any],
    sets: Mapping[str, Mapping[str, Any]],
    systems: Mapping[str, list[str]],
    depth: int,
) -> Listed:
    system = part.get("system")
    if isinstance(system, str):
        if part.get("valueSet") or part.get("filter") or system in LICENSED:
            return {system: None}
        if part.get("concept"):
            return {system: sorted({concept["code"] for concept in part["concept"]})}
        return {system: systems.get(system)}
    out: Listed = {}
    for canonical in part.get("valueSet", ()):
        url = canonical.split("|")[0]
        core = r4().value_sets.get(url)
        if core is not None:
            out.update({name: sorted(codes) for name, codes in core.items()})
        elif url in sets and depth < MAX_DEPTH:
            out.update(_listed(sets[url], sets, systems, depth + 1))
        else:
            out["*"] = None
    return out


def member(found: Mapping[str, Any], system: str | None, code: str) -> bool | None:
    """Whether the code is in a listed set; None when the list does not say."""
    if system is None:
        if any(codes is not None and code in codes for codes in found.values()):
            return True
        return None if any(codes is None for codes in found.values()) else False
    if system in found:
        codes = found[system]
        return None if codes is None else code in codes
    return None if "*" in found else False
