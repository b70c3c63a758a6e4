"""Diagnoses of practices for the schedule's observations: a map of ours, from memory, and marked so wherever it decides."""

from __future__ import annotations

import tomllib
from functools import cache
from pathlib import Path
from typing import Literal

import msgspec
from msgspec import Struct

from commonchart.care.immunizations.from_fhir import Maps
from commonchart.fhir.outcome import Invalid

FILE = Path(__file__).parents[1] / "packs" / "maps" / "immunization-risks.toml"
SNOMED = "http://snomed.info/sct"


class Risk(Struct, frozen=True, forbid_unknown_fields=True, rename={"but_not": "not"}):
    """The codes that mean one observation of the schedule. `icd10` and `but_not` are prefixes without the dot."""

    observation: str
    icd10: tuple[str, ...] = ()
    sct: tuple[str, ...] = ()
    but_not: tuple[str, ...] = ()


class Risks(Struct, frozen=True, forbid_unknown_fields=True):
    """The whole map, with who stands behind it."""

    authority: str
    version: str
    review: Literal["reviewed", "needed"]
    risk: tuple[Risk, ...]


def read(path: Path = FILE) -> Risks:
    """The map in a file. Raises Invalid naming the field."""
    try:
        found = msgspec.convert(tomllib.loads(path.read_text("utf-8")), Risks)
    except (tomllib.TOMLDecodeError, msgspec.ValidationError) as error:
        raise Invalid(f"{path.name}: {error}", at=path.name) from None
    codes = [one.observation for one in found.risk]
    if len(set(codes)) != len(codes):
        raise Invalid(f"{path.name}: an observation stands twice", at="risk")
    return found


@cache
def built_in() -> Maps:
    """The map that comes in the box, for reading a chart."""
    risks = read().risk
    observations: dict[tuple[str, str], tuple[str, ...]] = {}
    for one in risks:
        for code in one.sct:
            observations[SNOMED, code] = (*observations.get((SNOMED, code), ()), one.observation)
    prefixes = tuple((prefix, one.but_not, one.observation) for one in risks for prefix in one.icd10)
    return Maps(observations=observations, icd10=prefixes)
