#!/usr/bin/env python3
"""Compile the FHIR R4 code systems, value sets and concept maps into one table: src/commonchart/fhir/tables/codes.bin.

Input: the package that `packaging/definitions.py` fetches and checks. Each resource is kept bare (codes, displays,
hierarchy, compose; no narrative, definitions or contacts) and packed by itself, so that a process opens only what it
needs: 8 bytes length of the packed index, the index (kind -> url -> [start, length, version, value set]), the entries.
"""

from __future__ import annotations

import argparse
import hashlib
import struct
import sys
import tempfile
import zlib
from pathlib import Path
from typing import Any

import msgspec

sys.path.insert(0, str(Path(__file__).parent))
import definitions

OUT = definitions.OUT.with_name("codes.bin")
FORMAT = hashlib.sha256(Path(__file__).read_bytes()).hexdigest()[:16] + definitions.FORMAT
KINDS = {"CodeSystem": "system", "ValueSet": "set", "ConceptMap": "map"}
KEPT = {
    "CodeSystem": (
        "url",
        "version",
        "name",
        "title",
        "status",
        "caseSensitive",
        "valueSet",
        "content",
        "supplements",
    ),
    "ValueSet": ("url", "version", "name", "title", "status"),
    "ConceptMap": ("url", "version", "name", "title", "status"),
}
EMPTY = (None, "", [], {})


def bare(resource: dict[str, Any]) -> dict[str, Any]:
    """A resource without what no look-up reads."""
    kept = {
        name: resource[name] for name in ("resourceType", *KEPT[resource["resourceType"]]) if name in resource
    }
    if resource["resourceType"] == "CodeSystem":
        kept["property"] = [{"code": p["code"], "type": p["type"]} for p in resource.get("property", [])]
        kept["concept"] = [concept(one) for one in resource.get("concept", [])]
    elif resource["resourceType"] == "ValueSet":
        kept["compose"] = compose(resource.get("compose", {}))
    else:
        kept |= {key: value for key, value in resource.items() if key.startswith(("source", "target"))}
        kept["group"] = [group(one) for one in resource.get("group", [])]
    return {key: value for key, value in kept.items() if value not in EMPTY}


def concept(one: dict[str, Any]) -> dict[str, Any]:
    """A concept: code, display, properties and what is below it."""
    out = {name: one[name] for name in ("code", "display") if name in one}
    listed = [p for p in one.get("property", []) if p.get("code") and any(k.startswith("value") for k in p)]
    if listed:
        out["property"] = listed
    if one.get("concept"):
        out["concept"] = [concept(child) for child in one["concept"]]
    return out


def compose(one: dict[str, Any]) -> dict[str, Any]:
    """The includes and excludes, without texts on how they came about."""
    out: dict[str, Any] = {name: one[name] for name in ("inactive",) if name in one}
    for where in ("include", "exclude"):
        parts = []
        for part in one.get(where, []):
            kept = {name: part[name] for name in ("system", "version", "valueSet") if name in part}
            if part.get("concept"):
                kept["concept"] = [{n: c[n] for n in ("code", "display") if n in c} for c in part["concept"]]
            if part.get("filter"):
                kept["filter"] = [{n: f[n] for n in ("property", "op", "value")} for f in part["filter"]]
            parts.append(kept)
        if parts:
            out[where] = parts
    return out


def group(one: dict[str, Any]) -> dict[str, Any]:
    """A group of a concept map with codes and equivalences only."""
    out = {
        name: value
        for name, value in one.items()
        if name.startswith(("source", "target")) or name == "unmapped"
    }
    out["element"] = [
        {
            "code": element["code"],
            "target": [
                {n: t[n] for n in ("code", "display", "equivalence", "dependsOn", "product") if n in t}
                for t in element.get("target", [])
            ],
        }
        for element in one.get("element", [])
        if "code" in element
    ]
    return out


def compile_table(package: definitions.Package) -> tuple[bytes, dict[str, int]]:
    """The whole table, and how many of each kind are in it."""
    index: dict[str, dict[str, list[Any]]] = {kind: {} for kind in KINDS.values()}
    entries: list[bytes] = []
    at = 0
    for rtype, kind in KINDS.items():
        for resource in sorted(package[rtype], key=lambda r: r.get("url", "")):
            if not resource.get("url") or resource["url"] in index[kind]:
                continue
            packed = zlib.compress(msgspec.msgpack.encode(bare(resource)), 9)
            whole = resource.get("valueSet", "") if rtype == "CodeSystem" else ""
            index[kind][resource["url"]] = [at, len(packed), resource.get("version", ""), whole]
            entries.append(packed)
            at += len(packed)
    head = zlib.compress(msgspec.msgpack.encode(index), 9)
    return b"".join([struct.pack("<Q", len(head)), head, *entries]), {k: len(v) for k, v in index.items()}


def main() -> None:
    """Make the table unless it is there."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--out", type=Path, default=OUT)
    out = parser.parse_args().out
    stamp = out.with_suffix(".stamp")
    if out.exists() and stamp.exists() and stamp.read_text() == FORMAT:
        return
    print("Compiling the FHIR R4 code systems ...", flush=True)
    with tempfile.TemporaryDirectory() as folder:
        table, counts = compile_table(definitions.read(definitions.fetch(Path(folder))))
    out.parent.mkdir(parents=True, exist_ok=True)
    partial = out.with_suffix(".part")
    partial.write_bytes(table)
    partial.replace(out)
    stamp.write_text(FORMAT)
    print(f"{out.name}: {len(table) // 1024} kB, {counts}")


if __name__ == "__main__":
    main()
