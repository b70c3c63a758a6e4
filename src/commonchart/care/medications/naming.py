"""Which ingredients a medicine has: by its RxNorm codes, else by the names in its text; and what was not recognised.

A part of a text that names nothing known is kept: a half-recognised combination must not look wholly checked.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from decimal import Decimal
from functools import lru_cache

from msgspec import Struct

from commonchart.care.medications.pack import Pack, Tokens, tokens

_LONGEST = 5
_SPLIT = re.compile(r"\s+/\s+|\s+and\s+|\s+with\s+|\s*\+\s*|[;,\[\]]|\s+/|/\s+", re.I)
_JOINED = re.compile(r"(?<=[a-z])[-/](?=[a-z])", re.I)
_STRENGTH = re.compile(
    r"(\d+(?:\.\d+)?)\s*(mg|mcg|ug|µg|g|meq|unt|units?)\b(?:\s*/\s*(\d+(?:\.\d+)?)?\s*(ml|hr|h|actuat)\b)?",
    re.I,
)
# words of salts, forms, routes and packs: alone they name no medicine
_FORM_WORDS = """
tablet tablets tab tabs capsule capsules cap caps oral mouth solution suspension syrup elixir drops
injection injectable injector auto inhaler inhalation metered dose dry powder cream ointment gel lotion
patch transdermal system spray mucosal nasal topical ophthalmic otic rectal vaginal ring suppository
chewable disintegrating extended delayed release er xr sr dr ec la cr film coated abuse deterrent pack
kit day days hr hour hours actuat prefilled syringe pen implant intrauterine sodium potassium
hydrochloride hydrocholoride hcl sulfate sulphate succinate tartrate maleate mesylate besylate calcium
magnesium acetate phosphate fumarate citrate bitartrate monohydrate trihydrate anhydrous hydrate
macrocrystals mg ml mcg ug g meq unt unit units per strength regular extra low children s childrens
infants adult allergy to product containing drug medication medicine hypersensitivity allergic reaction
generic po iv im sc daily once twice bid tid qd prn take human combination
"""
_FORMS = frozenset(tokens(_FORM_WORDS))


class Drug(Struct, frozen=True):
    """What a medicine is made of. `unknown`: parts not recognised; `how`: "code", "name", "code and name" or "".

    `strengths`: amount in one unit (tablet, or mL, hour, puff: `per`) by ingredient, as the text says.
    """

    ingredients: tuple[str, ...] = ()
    unknown: tuple[str, ...] = ()
    how: str = ""
    conflict: str = ""
    strengths: Mapping[str, tuple[Decimal, str, str]] = {}


def drug(
    pack: Pack, codes: Iterable[str], texts: Iterable[str], products: Mapping[str, tuple[str, ...]]
) -> Drug:
    """The ingredients by RxNorm codes and by names. `products` gives the ingredient codes of product codes, where loaded."""
    coded, lost = _by_code(pack, codes, products)
    shown = [text for text in dict.fromkeys(texts) if text.strip()]
    read = [by_name(pack, text) for text in shown]
    named = tuple(dict.fromkeys(name for found, _ in read for name in found))
    unknown = tuple(dict.fromkeys([*(part for found, left in read if found for part in left), *lost]))
    strengths = _strengths(pack, shown)
    conflict = _conflict(coded, [found for found, _ in read if found])
    if coded:
        how = "code and name" if set(named) == set(coded) else "code"
        return Drug(tuple(dict.fromkeys((*coded, *named))), unknown, how, conflict, strengths)
    if not named:
        return Drug((), (shown[0] if shown else "a medicine without a name",))
    return Drug(named, unknown, "name", conflict, strengths)


def _conflict(coded: tuple[str, ...], named: list[tuple[str, ...]]) -> str:
    """Where code and text, or two texts, have no ingredient in common."""
    first, what = (coded, "the code") if coded else (named[0] if named else (), "one name")
    for found in named:
        if first and not set(first) & set(found):
            return f"{what} means {' and '.join(first)}, the text says {' and '.join(found)}"
    return ""


def _by_code(
    pack: Pack, codes: Iterable[str], products: Mapping[str, tuple[str, ...]]
) -> tuple[tuple[str, ...], list[str]]:
    """The ingredients that codes mean, and the parts of known products that the pack does not know."""
    found: dict[str, None] = {}
    lost: list[str] = []
    for code in codes:
        if name := pack.codes.get(code):
            found[name] = None
        for part in products.get(code, ()):
            if name := pack.codes.get(part):
                found[name] = None
            else:
                lost.append(f"RxNorm ingredient {part}")
    return tuple(found), lost


def by_name(pack: Pack, text: str) -> tuple[tuple[str, ...], tuple[str, ...]]:
    """The ingredients that a text names, and the parts of it in which none was recognised."""
    return _by_name(_Names(pack), text) if len(text) <= 500 else ((), (text[:80] + " ...",))


class _Names:
    """The names of a pack, equal by its hash so that answers can be kept."""

    def __init__(self, pack: Pack) -> None:
        self.key, self.table = pack.hash, pack.names

    def __hash__(self) -> int:
        return hash(self.key)

    def __eq__(self, other: object) -> bool:
        return isinstance(other, _Names) and self.key == other.key


@lru_cache(maxsize=4096)
def _by_name(names: _Names, text: str) -> tuple[tuple[str, ...], tuple[str, ...]]:
    found: dict[str, None] = {}
    unknown: list[str] = []
    for part in filter(None, (p.strip() for p in _SPLIT.split(text))):
        here = _scan(names.table, tokens(part))
        found |= dict.fromkeys(here)
        if here:
            pieces = [piece for piece in _pieces(part) if not _scan(names.table, tokens(piece))]
            unknown += [piece for piece in pieces if _wordy(piece)]
        elif _wordy(part):
            unknown.append(part)
    return tuple(found), tuple(unknown)


def _pieces(part: str) -> list[str]:
    """Parts joined by a hyphen or a slash: amoxicillin-clavulanate."""
    pieces = _JOINED.split(part)
    return pieces if len(pieces) > 1 else []


def _wordy(text: str) -> bool:
    """Whether a text has a word that could name a medicine."""
    return any(
        len(word) > 3 and not word.isdigit() and word not in _FORMS and word.isalpha()
        for word in tokens(text)
    )


def _scan(names: Mapping[Tokens, tuple[str, ...]], words: Tokens) -> list[str]:
    """The names in a row of words, the longest at each place."""
    found: list[str] = []
    at = 0
    while at < len(words):
        for size in range(min(_LONGEST, len(words) - at), 0, -1):
            parts = names.get(words[at : at + size])
            if parts:
                found += parts
                at += size
                break
        else:
            at += 1
    return found


def allergen_class(pack: Pack, text: str) -> str:
    """The group that a recorded allergen names as a class, "" if none: "penicillins", "sulfa drugs"."""
    words = tuple(
        word
        for word in tokens(text)
        if word not in ("allergy", "to", "drug", "drugs", "substance", "disorder")
    )
    for size in range(min(_LONGEST, len(words)), 0, -1):
        for at in range(len(words) - size + 1):
            if group := pack.classes.get(words[at : at + size]):
                return group
    return ""


def _strengths(pack: Pack, texts: list[str]) -> dict[str, tuple[Decimal, str, str]]:
    found: dict[str, tuple[Decimal, str, str]] = {}
    for text in texts[:2]:
        for part in re.split(r"\s+/\s+|\s*\+\s*|;", re.sub(r"\[.*?\]", "", text)):
            names = _scan(pack.names, tokens(part))
            matches = _STRENGTH.findall(part)
            if len(set(names)) == 1 and len(matches) == 1:
                number, unit, many, per = matches[0]
                amount = Decimal(number) / (Decimal(many) if many else 1)
                found.setdefault(names[0], (amount, unit.lower(), per.lower()))
    return found
