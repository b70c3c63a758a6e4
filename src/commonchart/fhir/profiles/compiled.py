"""A StructureDefinition as a compact constraint table: only what narrows R4, without any text.

The table of a profile is plain JSON, so that it can be committed, stored and read again: `url`, `version`, `type`,
`base`, and `elements`: element id -> facts. Facts: `min max types fixed pattern bind rules slicing low high length`.
A snapshot is compiled as it is; a differential is laid over the compiled base. http://hl7.org/fhir/R4/profiling.html
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from functools import cache
from typing import Any

from commonchart.fhir.definitions import Element, r4
from commonchart.fhir.outcome import Invalid

FHIR = "http://hl7.org/fhir/StructureDefinition/"
MAX_ELEMENTS = 5000
MAX_BASES = 20

Table = dict[str, Any]
Facts = dict[str, Any]


def table(definition: Mapping[str, Any], base: Callable[[str], Table | None] | None = None) -> Table:
    """The constraint table of a StructureDefinition. Raises Invalid for one that cannot be compiled.

    `base` finds the table of another profile, for a definition that brings only its differential.
    """
    url, type_ = definition.get("url"), definition.get("type")
    if not isinstance(url, str) or not isinstance(type_, str) or not r4().is_structure(type_):
        raise Invalid("A profile needs a url and a type of FHIR R4", at="StructureDefinition.type")
    out: Table = {"url": url, "type": type_, "base": str(definition.get("baseDefinition", ""))}
    if isinstance(definition.get("version"), str):
        out["version"] = definition["version"]
    snapshot = _listed(definition, "snapshot")
    if snapshot:
        return out | {"elements": _kept(_facts(snapshot))}
    below = _inherited(out["base"], type_, base)
    return out | {"elements": _overlaid(below, _facts(_listed(definition, "differential")))}


def _listed(definition: Mapping[str, Any], name: str) -> list[dict[str, Any]]:
    found = definition.get(name)
    elements = found.get("element") if isinstance(found, dict) else None
    if not isinstance(elements, list):
        return []
    if len(elements) > MAX_ELEMENTS:
        raise Invalid(f"A profile may have at most {MAX_ELEMENTS} elements", at="StructureDefinition")
    if not all(isinstance(one, dict) and isinstance(one.get("id"), str) for one in elements):
        raise Invalid("Every element of a profile needs its id", at="StructureDefinition")
    return elements


def _inherited(url: str, type_: str, base: Callable[[str], Table | None] | None) -> Mapping[str, Facts]:
    if url == FHIR + type_:
        return {}
    found = base(url) if base is not None else None
    if found is None:
        raise Invalid("The base of this profile is not loaded", code="not-found", at="StructureDefinition")
    elements: Mapping[str, Facts] = found["elements"]
    return elements


def _overlaid(below: Mapping[str, Facts], above: Mapping[str, Facts]) -> dict[str, Facts]:
    """What the differential says wins; rules add up."""
    out = {id_: dict(facts) for id_, facts in below.items()}
    for id_, facts in above.items():
        old = out.get(id_, {})
        rules = [*old.get("rules", []), *(r for r in facts.get("rules", []) if r not in old.get("rules", []))]
        out[id_] = {**old, **facts, **({"rules": rules} if rules else {})}
    return _kept(out)


def _kept(elements: Mapping[str, Facts]) -> dict[str, Facts]:
    """Without elements that say nothing, and without a slicing that has no slices."""
    out: dict[str, Facts] = {}
    sliced = {id_.rpartition(":")[0] for id_ in elements if ":" in id_.rpartition(".")[2]}
    for id_, facts in elements.items():
        if "slicing" in facts and id_ not in sliced and facts["slicing"].get("rules") != "closed":
            facts = {name: value for name, value in facts.items() if name != "slicing"}
        if facts or ":" in id_.rpartition(".")[2]:
            out[id_] = facts
    return out


def _facts(elements: list[dict[str, Any]]) -> dict[str, Facts]:
    return {one["id"]: _fact(one) for one in elements}


def _fact(element: dict[str, Any]) -> Facts:
    base = _r4_element(element)
    out: Facts = {}
    least, most = element.get("min"), element.get("max")
    if isinstance(least, int) and least > (base.min if base and not element.get("sliceName") else 0):
        out["min"] = least
    if isinstance(most, str) and most != "*" and (base is None or base.max != int(most)):
        out["max"] = int(most)
    types = _types(element)
    if types and not (base is not None and _same(types, base)):
        out["types"] = types
    binding = element.get("binding")
    if isinstance(binding, dict) and isinstance(binding.get("valueSet"), str):
        bind = [binding.get("strength", ""), binding["valueSet"].split("|")[0]]
        if bind[0] in ("required", "extensible") and (
            base is None or bind != [base.strength, base.value_set]
        ):
            out["bind"] = bind
    rules = [
        [str(rule["key"]), str(rule.get("severity", "error")), rule["expression"]]
        for rule in element.get("constraint", [])
        if isinstance(rule, dict) and rule.get("expression") and rule.get("key") not in _known_rules()
    ]
    if rules:
        out["rules"] = rules
    return out | _values(element)


def _values(element: dict[str, Any]) -> Facts:
    out: Facts = {}
    for name, value in element.items():
        for prefix, fact in _VALUED:
            if name.startswith(prefix):
                out[fact] = value
    slicing = element.get("slicing")
    if isinstance(slicing, dict):
        by = [[d.get("type", ""), d.get("path", "")] for d in slicing.get("discriminator", [])]
        out["slicing"] = {"by": by, "rules": slicing.get("rules", "open")}
        if slicing.get("ordered"):
            out["slicing"]["ordered"] = True
    if isinstance(element.get("maxLength"), int):
        out["length"] = element["maxLength"]
    return out


_VALUED = (("fixed", "fixed"), ("pattern", "pattern"), ("minValue", "low"), ("maxValue", "high"))
_INLINE = frozenset({"BackboneElement", "Element"})


def _types(element: dict[str, Any]) -> list[list[Any]]:
    out = []
    for one in element.get("type", []):
        code = str(one.get("code", ""))
        if code in _INLINE or code.startswith("http://hl7.org/fhirpath/"):
            return []
        targets = sorted(target.removeprefix(FHIR) for target in one.get("targetProfile", []))
        out.append([code, list(one.get("profile", [])), targets])
    return out


def _same(types: list[list[Any]], base: Element) -> bool:
    if {one[0] for one in types} != set(base.types) or any(one[1] for one in types):
        return False
    targets = {target for one in types for target in one[2]}
    return targets == set(base.targets) or not targets


@cache
def _known_rules() -> frozenset[str]:
    """The keys of R4's own invariants, which the base check sees to."""
    keys: set[str] = set()
    for name in r4().structure_names():
        keys.update(rule[0] for rule in r4().rules(name))
        keys.update(rule[0] for element in r4().elements(name).values() for rule in element.rules)
    return frozenset(keys)


def _r4_element(element: dict[str, Any]) -> Element | None:
    """The R4 element that this one narrows, None where it cannot be told (the root, children of a choice)."""
    first, *steps = str(element.get("path", "")).split(".")
    type_name, found = first, None
    for step in steps:
        if not r4().is_structure(type_name):
            return None
        found = r4().elements(type_name).get(step)
        if found is None:
            return None
        type_name = found.types[0] if len(found.types) == 1 else ""
    return found
