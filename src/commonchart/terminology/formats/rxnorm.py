"""RxNorm: names from RXNCONSO.RRF, is-a and ingredients from RXNREL.RRF."""

from __future__ import annotations

import re

from commonchart.fhir.outcome import Malformed
from commonchart.terminology.formats.files import Files
from commonchart.terminology.systems import CodeSystem, Concept, Designation
from commonchart.terminology.value_sets import RXNORM

SYNONYMS = frozenset({"SY", "TMSY", "PSN"})
RELATIONS = frozenset({"has_ingredient", "has_dose_form", "has_tradename", "tradename_of", "consists_of"})


def found(files: Files) -> bool:
    """Whether these are RxNorm's files."""
    return files.find("rxnconso.rrf") is not None


def read(files: Files) -> CodeSystem:
    """The release. Raises Malformed naming file and line."""
    name = files.find("rxnconso.rrf")
    if name is None:
        raise Malformed("An RxNorm release has an RXNCONSO.RRF")
    atoms: dict[str, list[tuple[str, str, str]]] = {}
    for number, row in files.piped(name, 17):
        if not row[0].isdecimal():
            raise Malformed(f"{name}, line {number}: the RXCUI is not a number")
        if row[11] == "RXNORM":
            atoms.setdefault(row[0], []).append((row[12], row[14], row[16]))
    parents, related = _relations(files)
    concepts = [
        _concept(code, listed, parents.get(code, ()), related.get(code, ())) for code, listed in atoms.items()
    ]
    date = re.search(r"(\d{8})", files.path.name)
    return CodeSystem(RXNORM, date[1] if date else "", "RxNorm", concepts, types={"has_ingredient": "code"})


def _relations(files: Files) -> tuple[dict[str, list[str]], dict[str, list[tuple[str, str]]]]:
    name = files.find("rxnrel.rrf")
    parents: dict[str, list[str]] = {}
    related: dict[str, list[tuple[str, str]]] = {}
    for _, row in files.piped(name, 8) if name else ():
        first, second, relation = row[0], row[4], row[7]  # the second one is what the relation is said of
        if not first or not second:
            continue
        if relation == "isa":
            parents.setdefault(second, []).append(first)
        elif relation in RELATIONS:
            related.setdefault(second, []).append((relation, first))
    return parents, related


def _concept(code: str, atoms: list[tuple[str, str, str]], parents: object, related: object) -> Concept:
    assert isinstance(parents, list | tuple)
    assert isinstance(related, list | tuple)
    ordered = sorted(atoms, key=lambda atom: (atom[0] in SYNONYMS, atom[2] not in ("N", "")))
    kinds = tuple(
        ("TTY", kind) for kind in dict.fromkeys(atom[0] for atom in ordered if atom[0] not in SYNONYMS)
    )
    others = tuple(Designation(text) for text in dict.fromkeys(atom[1] for atom in ordered[1:]))
    off = all(atom[2] in ("O", "E", "Y") for atom in atoms)
    return Concept(code, ordered[0][1], tuple(parents), (*kinds, *dict.fromkeys(related)), others, off)
