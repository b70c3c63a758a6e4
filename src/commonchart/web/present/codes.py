"""Codes in words: what was written, else the display that came along, else the bare code; never a look-up of ours."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from msgspec import Struct

NOT_RECORDED = "not recorded"
SYSTEMS = {
    "http://snomed.info/sct": "SNOMED CT",
    "http://loinc.org": "LOINC",
    "http://hl7.org/fhir/sid/icd-10-cm": "ICD-10-CM",
    "http://hl7.org/fhir/sid/icd-10": "ICD-10",
    "http://www.nlm.nih.gov/research/umls/rxnorm": "RxNorm",
    "http://hl7.org/fhir/sid/cvx": "CVX",
    "http://www.ama-assn.org/go/cpt": "CPT",
    "http://hl7.org/fhir/sid/ndc": "NDC",
    "http://unitsofmeasure.org": "UCUM",
}


class Code(Struct, frozen=True):
    """One coding: `key` is `system|code`, `label` the system's usual name."""

    key: str
    label: str
    code: str


def concept(value: dict[str, Any] | None, missing: str = NOT_RECORDED) -> str:
    """The words of a CodeableConcept: text, else the first display, else the first code."""
    value = value or {}
    if value.get("text"):
        return str(value["text"])
    codings = value.get("coding") or []
    for part in ("display", "code"):
        for coding in codings:
            if coding.get(part):
                return str(coding[part])
    return missing


def concepts(values: Iterable[dict[str, Any]] | None, missing: str = "") -> str:
    """Several CodeableConcepts, comma-separated."""
    return ", ".join(words for value in values or () if (words := concept(value, ""))) or missing


def codings(value: dict[str, Any] | None) -> list[Code]:
    """Every coded coding of a CodeableConcept."""
    return [coding(one) for one in (value or {}).get("coding") or () if one.get("code")]


def coding(value: dict[str, Any]) -> Code:
    """One Coding as its key and label."""
    system, code = str(value.get("system") or ""), str(value.get("code") or "")
    return Code(f"{system}|{code}", SYSTEMS.get(system, "code"), code)


def key(value: dict[str, Any] | None) -> str:
    """What two results of the same test share: the first coding, else the words."""
    found = codings(value)
    return found[0].key if found else f"text|{concept(value)}"


def said(value: dict[str, Any] | None) -> str:
    """The first code of a CodeableConcept that is a status: `active`, `resolved`; empty when absent."""
    for one in (value or {}).get("coding") or ():
        if one.get("code"):
            return str(one["code"])
    return str((value or {}).get("text") or "")


def plain(code: str) -> str:
    """`entered-in-error` as `entered in error`."""
    return code.replace("-", " ").replace("_", " ")
