"""Which format a path is in, and what it holds."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

from commonchart.fhir.outcome import Malformed, Refused
from commonchart.terminology import resources, value_sets
from commonchart.terminology.formats import cvx, fhir, icd10cm, loinc, rxnorm, snomed
from commonchart.terminology.formats.files import Files
from commonchart.terminology.systems import CodeSystem

Content = CodeSystem | dict[str, Any]
Reading = Callable[[Files], CodeSystem]

SYSTEMS: dict[str, tuple[Callable[[Files], bool], Reading]] = {
    "loinc": (loinc.found, loinc.read),
    "snomed": (snomed.found, snomed.read),
    "rxnorm": (rxnorm.found, rxnorm.read),
    "icd10cm": (icd10cm.found, icd10cm.read),
    "cvx": (cvx.found, cvx.read),
}
FORMATS = (*SYSTEMS, "fhir")


class LeftOut(str):
    """Why an entry of the files is left out, with its place."""

    __slots__ = ()


def contents(path: Path | None, format_: str = "") -> Iterator[Content | LeftOut]:
    """What there is to load: code systems, ValueSet and ConceptMap resources, and what is left out and why.

    `path` None is the ICD-10-CM in the box. Raises NotFound, TooLarge, Malformed naming file and line.
    """
    if path is None:
        if format_ != "icd10cm":
            raise Malformed("Only icd10cm comes in the box: say where the files of the others are")
        path = icd10cm.in_the_box()
    files = Files(path)
    for name, (found, read) in SYSTEMS.items():
        if format_ == name or (not format_ and found(files)):
            yield read(files)
            return
    if format_ != "fhir" and not fhir.found(files):
        raise Malformed(f"{path} is in no format that is known here: {', '.join(FORMATS)}")
    yield from _resources(files)


def _resources(files: Files) -> Iterator[Content | LeftOut]:
    for place, found in fhir.read(files):
        if isinstance(found, str):
            yield LeftOut(f"{place}: {found}")
            continue
        try:
            kept = _checked(found)
        except Refused as refused:
            yield LeftOut(f"{place}: {refused}")
            continue
        yield LeftOut(f"{place}: {kept}") if isinstance(kept, str) else kept


def _checked(resource: dict[str, Any]) -> Content | str:
    if not isinstance(resource.get("url"), str):
        return "it has no url"
    if resource["resourceType"] == "ValueSet":
        value_sets.read(resource)
        return resource
    if resource["resourceType"] == "ConceptMap":
        resources.concept_map(resource)
        return resource
    if resource.get("content") in ("not-present", "supplement"):
        return f"a CodeSystem whose content is {resource['content']}"
    return resources.code_system(resource)
