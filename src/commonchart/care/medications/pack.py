"""The medication safety pack: ingredients, groups and rules as TOML, each with its source and its state of review.

Checked when read: unknown fields, unknown ingredients and groups, and ids used twice are refused by file and entry.
A membership or rule written from memory is `needed` (of review): it is shown, labelled, and never interrupts.
"""

from __future__ import annotations

import hashlib
import tomllib
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from decimal import Decimal
from functools import cache
from pathlib import Path
from typing import Any, Literal

import msgspec
from msgspec import Struct

from commonchart.fhir.outcome import Invalid

PACKS = Path(__file__).parents[1] / "packs"
BUILT_IN = "medications-2026"
Tier = Literal["interrupt", "passive"]
Review = Literal["reviewed", "needed"]


class Ingredient(Struct, frozen=True, forbid_unknown_fields=True):
    """One ingredient: its RxNorm identifier where it is certain, and other names it goes by."""

    rxcui: str = ""
    names: tuple[str, ...] = ()


class Group(Struct, frozen=True, forbid_unknown_fields=True):
    """Ingredients that a rule treats alike: `members` were read in the source, `from_memory` were not."""

    label: str
    source: str
    members: tuple[str, ...] = ()
    from_memory: tuple[str, ...] = ()


class Allergen(Struct, frozen=True, forbid_unknown_fields=True):
    """A class that people are recorded as allergic to: its names and SNOMED CT identifiers, and the group it means."""

    group: str
    names: tuple[str, ...]
    sct: tuple[str, ...] = ()


class Pair(Struct, frozen=True, forbid_unknown_fields=True):
    """Two ingredients or groups that should not meet. `washout_days`: an ended one still counts that long.

    `new_start`: interrupts only where one of them is being ordered.
    """

    id: str
    a: str
    b: str
    tier: Tier
    why: str
    source: str
    review: Review
    washout_days: int = 0
    new_start: bool = False


class Cross(Struct, frozen=True, forbid_unknown_fields=True):
    """An allergy to a member of `allergy` speaks against members of `order`. `same`: within one group, other members."""

    id: str
    allergy: str
    order: str
    tier: Tier
    why: str
    source: str
    review: Review


class Same(Struct, frozen=True, forbid_unknown_fields=True):
    """A class of which one is enough."""

    id: str
    group: str
    why: str
    source: str
    review: Review
    tier: Tier = "passive"


class Dose(Struct, frozen=True, forbid_unknown_fields=True):
    """Limits of one ingredient, in `unit`: a single dose, a day, per kg, or days between doses; by age in years."""

    id: str
    drug: str
    tier: Tier
    why: str
    source: str
    review: Review
    unit: str = "mg"
    single: Decimal | None = None
    daily: Decimal | None = None
    single_per_kg: Decimal | None = None
    daily_per_kg: Decimal | None = None
    days_between: Decimal | None = None
    from_years: Decimal | None = None
    below_years: Decimal | None = None
    routes: tuple[str, ...] = ()
    with_drug: str = ""


class Renal(Struct, frozen=True, forbid_unknown_fields=True):
    """A limit of kidney function: below (or from) so many mL/min by eGFR or Cockcroft-Gault clearance."""

    id: str
    drug: str
    measure: Literal["egfr", "crcl"]
    tier: Tier
    why: str
    source: str
    review: Review
    below: Decimal | None = None
    above: Decimal | None = None
    new_start: bool = False


class Age(Struct, frozen=True, forbid_unknown_fields=True):
    """An ingredient or group not for people below, or from, an age in years."""

    id: str
    drug: str
    tier: Tier
    why: str
    source: str
    review: Review
    below_years: Decimal | None = None
    from_years: Decimal | None = None


class Pregnancy(Struct, frozen=True, forbid_unknown_fields=True):
    """An ingredient or group not in pregnancy, or not while breastfeeding."""

    id: str
    drug: str
    state: Literal["pregnant", "breastfeeding"]
    tier: Tier
    why: str
    source: str
    review: Review


class Absent(Struct, frozen=True, forbid_unknown_fields=True):
    """A drug by a route that needs another group beside it (a fentanyl patch: only for people used to opioids)."""

    id: str
    drug: str
    needs: str
    tier: Tier
    why: str
    source: str
    review: Review
    routes: tuple[str, ...] = ()


Rule = Pair | Cross | Same | Dose | Renal | Age | Pregnancy | Absent
_KINDS: dict[str, tuple[str, type]] = {
    "interactions.toml": ("pair", Pair),
    "allergies.toml": ("cross", Cross),
    "duplicates.toml": ("same", Same),
    "doses.toml": ("dose", Dose),
    "renal.toml": ("renal", Renal),
    "ages.toml": ("age", Age),
    "pregnancy.toml": ("pregnancy", Pregnancy),
    "companions.toml": ("absent", Absent),
}
Tokens = tuple[str, ...]


@dataclass(frozen=True)
class Pack:
    """A pack that was read and checked, with its look-ups."""

    id: str
    version: str
    hash: str
    ingredients: Mapping[str, Ingredient]
    groups: Mapping[str, Group]
    allergens: Mapping[str, Allergen]
    rules: Mapping[str, tuple[Any, ...]]
    names: Mapping[Tokens, tuple[str, ...]]
    classes: Mapping[Tokens, str]
    codes: Mapping[str, str]
    sct: Mapping[str, str]
    sets: Mapping[str, frozenset[str]]

    @property
    def label(self) -> str:
        """How the pack is named to readers."""
        return f"{self.id} {self.version}"

    def members(self, name: str) -> frozenset[str]:
        """The ingredients of a group, or the ingredient itself."""
        return self.sets.get(name) or frozenset((name,))

    def sure(self, name: str, ingredient: str) -> bool:
        """Whether this membership was read in a source."""
        group = self.groups.get(name)
        return group is None or ingredient in group.members

    def every(self) -> Iterator[Any]:
        """Every rule of every kind."""
        return (rule for rules in self.rules.values() for rule in rules)


@cache
def built_in() -> Pack:
    """The pack in the box."""
    return read(PACKS / BUILT_IN)


def tokens(text: str) -> Tokens:
    """A text as lower-case words and numbers."""
    return tuple("".join(c if c.isalnum() else " " for c in text.lower()).split())


def read(folder: Path) -> Pack:
    """A pack from its folder. Raises Invalid naming file and entry."""
    files = ["pack.toml", "ingredients.toml", "products.toml", "groups.toml", "allergens.toml", *_KINDS]
    digest = hashlib.sha256()
    data: dict[str, dict[str, Any]] = {}
    for name in files:
        body = _bytes(folder / name)
        digest.update(name.encode() + b"\0" + body)
        data[name] = _toml(body, name)
    ingredients = _table(data["ingredients.toml"], Ingredient, "ingredients.toml")
    groups = _table(data["groups.toml"], Group, "groups.toml")
    allergens = _table(data["allergens.toml"], Allergen, "allergens.toml")
    rules = {
        kind: tuple(_convert(entry, struct, name) for entry in data[name].get(kind, ()))
        for name, (kind, struct) in _KINDS.items()
    }
    products: dict[str, Any] = data["products.toml"]
    _check(ingredients, groups, allergens, rules, products)
    head = data["pack.toml"]
    return Pack(
        head["id"], head["version"], digest.hexdigest(), ingredients, groups, allergens, rules,
        _names(ingredients, products), _classes(allergens), _codes(ingredients),
        {code: one.group for one in allergens.values() for code in one.sct},
        {name: frozenset((*group.members, *group.from_memory)) for name, group in groups.items()},
    )  # fmt: skip


def _names(ingredients: Mapping[str, Ingredient], products: Mapping[str, Any]) -> dict[Tokens, Tokens]:
    names: dict[Tokens, Tokens] = {}
    for name, one in ingredients.items():
        for spelling in (name, *one.names):
            names[tokens(spelling)] = (name,)
    return names | {tokens(name): tuple(parts) for name, parts in products.items()}


def _classes(allergens: Mapping[str, Allergen]) -> dict[Tokens, str]:
    return {tokens(name): one.group for one in allergens.values() for name in one.names}


def _codes(ingredients: Mapping[str, Ingredient]) -> dict[str, str]:
    return {one.rxcui: name for name, one in ingredients.items() if one.rxcui}


# ---- reading and checking ---------------------------------------------------------------------------------------


def _bytes(path: Path) -> bytes:
    try:
        return path.read_bytes()
    except OSError as error:
        raise Invalid(f"{path.name} cannot be read: {error.strerror}", at=path.name) from None


def _toml(body: bytes, name: str) -> dict[str, Any]:
    try:
        return tomllib.loads(body.decode("utf-8"), parse_float=Decimal)
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise Invalid(f"{name} cannot be read: {error}", at=name) from None


def _table(entries: Mapping[str, Any], kind: type, file: str) -> dict[str, Any]:
    return {name: _convert(entry, kind, f"{file}:{name}") for name, entry in entries.items()}


def _convert(entry: Any, kind: type, where: str) -> Any:
    try:
        return msgspec.convert(entry, kind, strict=False)
    except msgspec.ValidationError as error:
        said = entry.get("id", "") if isinstance(entry, dict) else ""
        raise Invalid(f"{where} {said}: {error}", at=where) from None


def _check(
    ingredients: Mapping[str, Ingredient],
    groups: Mapping[str, Group],
    allergens: Mapping[str, Allergen],
    rules: Mapping[str, tuple[Any, ...]],
    products: Mapping[str, Any],
) -> None:
    """What a type cannot say. Raises Invalid with every problem."""
    known = {*ingredients, *groups}
    named = [
        *((f"group {n}", m) for n, g in groups.items() for m in (*g.members, *g.from_memory)),
        *((f"product {n}", m) for n, parts in products.items() for m in parts),
    ]
    problems = [f"{who} names the unknown ingredient {m}" for who, m in named if m not in ingredients]
    problems += [
        f"allergen {n} names the unknown group {a.group}"
        for n, a in allergens.items()
        if a.group not in known
    ]
    everything = [rule for found in rules.values() for rule in found]
    problems += [
        f"rule {r.id} names the unknown {value}"
        for r in everything
        for value in _named(r)
        if value not in known
    ]
    for label, values in (
        ("rule id", [rule.id for rule in everything]),
        ("RXCUI", [one.rxcui for one in ingredients.values() if one.rxcui]),
    ):
        problems += [
            f"{label} {value} is used twice" for value in sorted({v for v in values if values.count(v) > 1})
        ]
    if both := sorted({*ingredients} & {*groups}):
        problems.append(f"ingredient and group of the same name: {', '.join(both)}")
    if problems:
        raise Invalid("; ".join(problems), at="pack")


def _named(rule: Any) -> list[str]:
    fields = ("a", "b", "allergy", "order", "group", "drug", "needs", "with_drug")
    return [value for name in fields if (value := getattr(rule, name, ""))]
