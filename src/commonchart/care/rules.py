"""Reading a rule pack: a folder of TOML files, one rule a file, with its code sets, analytes and risks beside them.

Checked when read: unknown fields, code sets, systems and risks, impossible ages and intervals, and circles are refused by
file and field; nothing is read by halves.
"""

from __future__ import annotations

import hashlib
import tomllib
from collections.abc import Mapping
from dataclasses import replace
from decimal import Decimal
from functools import cache
from pathlib import Path
from typing import Any

import msgspec

from commonchart.care.checks import check
from commonchart.care.schema import Analyte, CodeSet, Pack, Risk, Rule
from commonchart.fhir.outcome import Invalid

PACKS = Path(__file__).parent / "packs"
BUILT_IN = "us-2026"


@cache
def built_in() -> Pack:
    """The pack in the box."""
    return read(PACKS / BUILT_IN)


def read(folder: Path) -> Pack:
    """A pack from its folder. Raises Invalid naming file, field and rule."""
    files = [folder / "pack.toml", *(folder / f"{name}.toml" for name in ("codes", "analytes", "risks"))]
    rule_files = sorted((folder / "rules").glob("*.toml"))
    digest = hashlib.sha256()
    for path in (*files, *rule_files):
        digest.update(path.name.encode() + b"\0" + _bytes(path))
    head = _toml(files[0])
    try:
        pack = Pack(
            head["id"], head["version"], head["authority"], digest.hexdigest(),
            tuple(_convert(_toml(path), Rule, path.name, "rule") for path in rule_files),
            _entries(files[1], CodeSet), _entries(files[2], Analyte), _entries(files[3], Risk),
            tuple(head["excluded_everywhere"]), tuple(head.get("replaces", ())),
        )  # fmt: skip
    except KeyError as missing:
        raise Invalid(f"pack.toml has no {missing.args[0]}", at="pack.toml") from None
    check(pack, {rule.id: path.name for rule, path in zip(pack.rules, rule_files, strict=True)})
    return pack


def with_codes(pack: Pack, more: Mapping[str, Mapping[str, tuple[str, ...]]]) -> Pack:
    """The pack with more codes in some of its sets (by system), as another pack: `hash` and `version` say so."""
    sets = dict(pack.sets)
    for name, codes in more.items():
        held = sets[name]
        sets[name] = msgspec.structs.replace(
            held,
            **{system: tuple(dict.fromkeys((*getattr(held, system), *new))) for system, new in codes.items()},
        )
    extended = msgspec.json.encode({name: sets[name] for name in sorted(more)})
    digest = hashlib.sha256(pack.hash.encode() + extended).hexdigest()
    return remade(pack, sets=sets, hash=digest, version=f"{pack.version}+codes")


def remade(pack: Pack, **changes: Any) -> Pack:
    """The pack with these fields changed, remembering nothing of the one before."""
    return replace(pack, **changes, explained={}, idle={}, _plans={}, _found={})


def _bytes(path: Path) -> bytes:
    try:
        return path.read_bytes()
    except OSError as error:
        raise Invalid(f"{path.name} cannot be read: {error.strerror}", at=path.name) from None


def _toml(path: Path) -> dict[str, Any]:
    try:
        return tomllib.loads(_bytes(path).decode(), parse_float=Decimal)
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise Invalid(f"{path.name} cannot be read: {error}", at=path.name) from None


def _entries(path: Path, kind: Any) -> dict[str, Any]:
    return {name: _convert(entry, kind, path.name, name) for name, entry in _toml(path).items()}


def _convert(entry: Any, kind: Any, file: str, name: str) -> Any:
    try:
        return msgspec.convert(entry, kind, strict=False)
    except msgspec.ValidationError as error:
        raise Invalid(f"{file}: {name}: {error}", at=f"{file}:{name}") from None
