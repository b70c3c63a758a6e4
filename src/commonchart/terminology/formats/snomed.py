"""SNOMED CT release files (RF2), snapshot: concepts, descriptions, is-a relationships, simple and language reference sets."""

from __future__ import annotations

import re
from collections.abc import Iterator

from commonchart.fhir.outcome import Malformed
from commonchart.terminology.formats.files import Files
from commonchart.terminology.systems import CodeSystem, Concept, Designation
from commonchart.terminology.value_sets import SNOMED

IS_A = "116680003"
FULL_NAME = "900000000000003001"
PREFERRED = "900000000000548007"
INTERNATIONAL = "900000000000207008"
UNITED_STATES = "731000124108"


def found(files: Files) -> bool:
    """Whether these are RF2 files."""
    return _file(files, "Concept") is not None


def read(files: Files) -> CodeSystem:
    """The release. Raises Malformed naming file and line."""
    concepts, relationships = _file(files, "Concept"), _file(files, "Relationship")
    if concepts is None or relationships is None:
        raise Malformed("An RF2 snapshot has a Concept and a Relationship file")
    active = dict(_concepts(files, concepts))
    parents: dict[str, list[str]] = {}
    for _, row in files.table(relationships, "sourceId", "destinationId", "typeId", "active"):
        if row["typeId"] == IS_A and row["active"] == "1":
            parents.setdefault(row["sourceId"], []).append(row["destinationId"])
    names = _names(files)
    sets = _reference_sets(files)
    return CodeSystem(
        SNOMED,
        _version(concepts),
        "SNOMED CT",
        [_concept(code, active[code], parents, names, sets) for code in sorted(active, key=int)],
    )


def _file(files: Files, kind: str) -> str | None:
    pattern = re.compile(rf"x?sct2_{kind}_Snapshot[-_\w]*\.txt", re.IGNORECASE)
    return next((name for name in files.names if pattern.fullmatch(name.rpartition("/")[2])), None)


def _concepts(files: Files, name: str) -> Iterator[tuple[str, bool]]:
    for number, row in files.table(name, "id", "active"):
        if not row["id"].isdecimal():
            raise Malformed(f"{name}, line {number}: the id is not a number")
        yield row["id"], row["active"] == "1"


def _names(files: Files) -> dict[str, list[tuple[str, str, str]]]:
    """Concept -> (text, language, `full`, `preferred` or ``)."""
    preferred = set()
    for name in files.names:
        if re.search(r"cRefset_Language\w*Snapshot", name):
            for _, row in files.table(name, "referencedComponentId", "acceptabilityId", "active"):
                if row["acceptabilityId"] == PREFERRED and row["active"] == "1":
                    preferred.add(row["referencedComponentId"])
    out: dict[str, list[tuple[str, str, str]]] = {}
    for name in files.names:
        if not re.fullmatch(
            r"x?sct2_Description_Snapshot[-_\w]*\.txt", name.rpartition("/")[2], re.IGNORECASE
        ):
            continue
        for _, row in files.table(name, "id", "conceptId", "typeId", "term", "active", "languageCode"):
            if row["active"] != "1":
                continue
            kind = "full" if row["typeId"] == FULL_NAME else "preferred" if row["id"] in preferred else ""
            out.setdefault(row["conceptId"], []).append((row["term"], row["languageCode"], kind))
    return out


def _reference_sets(files: Files) -> dict[str, list[str]]:
    out: dict[str, list[str]] = {}
    for name in files.names:
        if re.search(r"der2_Refset_\w*Simple\w*Snapshot", name):
            for _, row in files.table(name, "refsetId", "referencedComponentId", "active"):
                if row["active"] == "1":
                    out.setdefault(row["referencedComponentId"], []).append(row["refsetId"])
    return out


def _concept(
    code: str,
    active: bool,
    parents: dict[str, list[str]],
    names: dict[str, list[tuple[str, str, str]]],
    sets: dict[str, list[str]],
) -> Concept:
    texts = names.get(code, [])
    order = {"preferred": 0, "full": 1, "": 2}
    ordered = sorted(texts, key=lambda text: (order[text[2]], not text[1].startswith("en")))
    display = ordered[0][0] if ordered else ""
    others = tuple(Designation(term, language, kind) for term, language, kind in ordered[1:])
    properties = tuple(("refset", one) for one in sets.get(code, ()))
    return Concept(code, display, tuple(parents.get(code, ())), properties, others, not active)


def _version(name: str) -> str:
    date = re.search(r"_(\d{8})\.txt$", name)
    edition = UNITED_STATES if "_US" in name else INTERNATIONAL
    return f"{SNOMED}/{edition}/version/{date[1]}" if date else ""
