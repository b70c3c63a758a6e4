"""Rules as data: a pack is a folder of TOML files, one rule a file, with its code sets and analytes beside them.

Checked when read: unknown fields, unknown code sets, impossible ages and intervals are refused by file and field.
"""

from __future__ import annotations

import hashlib
import tomllib
from collections.abc import Mapping
from decimal import Decimal
from functools import cache
from pathlib import Path
from typing import Any, Literal

import msgspec
from msgspec import Struct

from commonchart.care.evidence import Code
from commonchart.fhir.outcome import Invalid

PACKS = Path(__file__).parent / "packs"
BUILT_IN = "us-adult-2026"


class CodeSet(Struct, frozen=True, forbid_unknown_fields=True):
    """Codes by system. ICD-10-CM entries are prefixes (E11 covers E11.9); all others are whole codes."""

    loinc: tuple[str, ...] = ()
    sct: tuple[str, ...] = ()
    icd10: tuple[str, ...] = ()
    cpt: tuple[str, ...] = ()
    hcpcs: tuple[str, ...] = ()
    cvx: tuple[str, ...] = ()
    rxnorm: tuple[str, ...] = ()

    def holds(self, codes: frozenset[Code]) -> bool:
        """Whether any of these codes is in the set."""
        return any(self._holds(system, code) for system, code in codes)

    def _holds(self, system: str, code: str) -> bool:
        members: tuple[str, ...] = getattr(self, system)
        if system == "icd10":
            bare = code.replace(".", "").upper()
            return any(bare.startswith(member.replace(".", "")) for member in members)
        return code in members


class Analyte(Struct, frozen=True, forbid_unknown_fields=True):
    """One measurement: its codes, its unit, the factors from other units, and what a living person can have."""

    label: str
    codes: str
    unit: str
    low: Decimal
    high: Decimal
    factors: dict[str, Decimal] = {}
    offsets: dict[str, Decimal] = {}
    spellings: tuple[str, ...] = ()


class Applies(Struct, frozen=True, forbid_unknown_fields=True):
    """Who a rule is for: ages in years (both included), sex, any of these active conditions, a BMI from which on."""

    min_age: int | None = None
    max_age: int | None = None
    sex: Literal["female", "male"] | None = None
    conditions: tuple[str, ...] = ()
    bmi_from: Decimal | None = None
    bmi_from_asian: Decimal | None = None


class Satisfied(Struct, frozen=True, forbid_unknown_fields=True):
    """Evidence that satisfies: a code set, and for how many months (0: for good). `min_age`: at the time of the test."""

    codes: str
    label: str
    months: int
    min_age: int | None = None
    kinds: tuple[str, ...] = ("observation", "procedure", "report")
    abnormal: tuple[str, ...] = ()
    follow_up: str = ""
    follow_up_label: str = ""


class Monitor(Struct, frozen=True, forbid_unknown_fields=True):
    """A measurement to be repeated: sooner while it is outside its target. Bounds are included unless `below`."""

    analytes: tuple[str, ...]
    months_in: int
    months_out: int
    below: tuple[Decimal, ...] = ()
    at_least: tuple[Decimal, ...] = ()


class Rule(Struct, frozen=True, forbid_unknown_fields=True):
    """One rule."""

    id: str
    title: str
    plain: str
    kind: Literal["preventive", "monitoring"]
    authority: str
    source: str
    version: str
    review: Literal["reviewed", "needed"]
    states: str
    outreach: Literal["never", "generic", "detail"]
    question: str = ""
    grade: str = ""
    applies: Applies = Applies()
    satisfied_by: tuple[Satisfied, ...] = ()
    monitor: Monitor | None = None
    excluded_by: tuple[str, ...] = ()
    soon_days: int = 60
    grace_days: int = 90
    young_adult_months: int | None = None
    young_adult_until: int | None = None


class Pack(Struct, frozen=True):
    """A set of rules with everything they name."""

    id: str
    version: str
    authority: str
    hash: str
    rules: tuple[Rule, ...]
    sets: Mapping[str, CodeSet]
    analytes: Mapping[str, Analyte]
    everywhere: tuple[str, ...]

    def holds(self, name: str, codes: frozenset[Code]) -> bool:
        """Whether any of these codes is in the named set."""
        return self.sets[name].holds(codes)


@cache
def built_in() -> Pack:
    """The pack in the box."""
    return read(PACKS / BUILT_IN)


def read(folder: Path) -> Pack:
    """A pack from its folder. Raises Invalid naming file, field and rule."""
    head = _toml(folder / "pack.toml")
    sets = {
        name: _convert(entry, CodeSet, "codes.toml", name)
        for name, entry in _toml(folder / "codes.toml").items()
    }
    analytes = {
        name: _convert(entry, Analyte, "analytes.toml", name)
        for name, entry in _toml(folder / "analytes.toml").items()
    }
    files = sorted((folder / "rules").glob("*.toml"))
    rules = tuple(_convert(_toml(path), Rule, path.name, "rule") for path in files)
    digest = hashlib.sha256()
    for path in (folder / "pack.toml", folder / "codes.toml", folder / "analytes.toml", *files):
        digest.update(path.name.encode() + b"\0" + path.read_bytes())
    pack = Pack(
        head["id"],
        head["version"],
        head["authority"],
        digest.hexdigest(),
        rules,
        sets,
        analytes,
        tuple(head["excluded_everywhere"]),
    )
    for rule, path in zip(rules, files, strict=True):
        _check(pack, rule, path.name)
    return pack


def _toml(path: Path) -> dict[str, Any]:
    try:
        return tomllib.loads(path.read_text("utf-8"), parse_float=Decimal)
    except (OSError, tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise Invalid(f"{path.name} cannot be read: {error}", at=path.name) from None


def _convert(entry: Any, kind: Any, file: str, name: str) -> Any:
    try:
        return msgspec.convert(entry, kind, strict=False)
    except msgspec.ValidationError as error:
        raise Invalid(f"{file}: {error}", at=f"{file}:{name}") from None


def _check(pack: Pack, rule: Rule, file: str) -> None:
    """What a type cannot say. Raises Invalid with every problem of the rule."""
    problems = [*_names(pack, rule), *_numbers(rule)]
    if f"{rule.id}.toml" != file:
        problems.append(f"id {rule.id} and file name must agree")
    if (rule.monitor is None) == (not rule.satisfied_by):
        problems.append("has either satisfied_by or monitor")
    if problems:
        raise Invalid(f"{file}: " + "; ".join(problems), at=file)


def _names(pack: Pack, rule: Rule) -> list[str]:
    named = [*rule.excluded_by, *rule.applies.conditions]
    named += [name for s in rule.satisfied_by for name in (s.codes, s.follow_up) if name]
    out = [f"names the unknown code set {name}" for name in named if name not in pack.sets]
    analytes = rule.monitor.analytes if rule.monitor else ()
    return out + [f"names the unknown analyte {name}" for name in analytes if name not in pack.analytes]


def _numbers(rule: Rule) -> list[str]:
    ages, out = rule.applies, []
    if ages.min_age is not None and ages.max_age is not None and ages.min_age > ages.max_age:
        out.append("applies.min_age is above applies.max_age")
    months = [s.months for s in rule.satisfied_by]
    if any(not 0 <= m <= 1200 for m in months):
        out.append("satisfied_by.months is from 0 to 1200")
    if rule.monitor and not 0 < rule.monitor.months_out <= rule.monitor.months_in <= 120:
        out.append("monitor.months_out is from 1 to months_in, and months_in at most 120")
    if rule.soon_days < 0 or rule.grace_days < 0:
        out.append("soon_days and grace_days are not negative")
    return out
