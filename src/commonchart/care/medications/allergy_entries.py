"""AllergyIntolerance as what a check is given: which ingredient or class, how certain, how severe; or "none known"."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from commonchart.care.evidence import words_of
from commonchart.care.medications.inputs import Allergies, Allergy
from commonchart.care.medications.naming import allergen_class, drug
from commonchart.care.medications.pack import Pack

RXNORM = "http://www.nlm.nih.gov/research/umls/rxnorm"
SNOMED = "http://snomed.info/sct"
NONE_KNOWN = {"716186003": "no known allergies", "409137002": "no known drug allergies"}
_SEVERITY = ("mild", "moderate", "severe")


def allergies(resources: Iterable[dict[str, Any]], pack: Pack) -> Allergies:
    """Every allergy, and "no known allergies" where an entry in force says it; none known of food alone is not that."""
    found: list[Allergy] = []
    none = ""
    for one in resources:
        if one["resourceType"] != "AllergyIntolerance":
            continue
        if said := _none_known(one):
            none = none or ("" if _left_out(one) else said)
        elif not _other_none(one):
            found.append(allergy(one, pack))
    return Allergies(tuple(found), none)


def allergy(one: dict[str, Any], pack: Pack) -> Allergy:
    """One entry. Where its type is not recorded it counts as an allergy."""
    concepts = [
        one.get("code") or {},
        *(r["substance"] for r in one.get("reaction") or () if r.get("substance")),
    ]
    ingredients: dict[str, None] = {}
    groups: dict[str, None] = {}
    half = False
    for concept in concepts:
        found, classes, unknown = _means(concept, pack)
        ingredients |= dict.fromkeys(found)
        groups |= dict.fromkeys(classes)
        half = half or unknown
    categories = set(one.get("category") or ())
    outside = not ingredients and not groups and bool(categories) and categories <= {"food", "environment"}
    kind = one.get("type")
    return Allergy(
        f"AllergyIntolerance/{one.get('id', '')}", words_of(one.get("code")) or "something not named",
        tuple(ingredients), tuple(groups), kind if kind in ("allergy", "intolerance") else "",
        _status(one.get("verificationStatus")), _severity(one), _reactions(one),
        (not ingredients and not groups and not outside) or half, outside, _left_out(one),
    )  # fmt: skip


def _means(concept: dict[str, Any], pack: Pack) -> tuple[tuple[str, ...], tuple[str, ...], bool]:
    codings = concept.get("coding") or ()
    codes = [str(c["code"]) for c in codings if c.get("system") == RXNORM and c.get("code")]
    texts = [str(t) for t in (concept.get("text"), *(c.get("display") for c in codings)) if t]
    groups = [pack.sct[c["code"]] for c in codings if c.get("system") == SNOMED and c.get("code") in pack.sct]
    groups += [group for text in texts if (group := allergen_class(pack, text))]
    found = drug(pack, codes, texts, {})
    # a class that is itself an ingredient of the pack (contrast) is looked for as that
    single = tuple(group for group in groups if group in pack.ingredients)
    classes = tuple(dict.fromkeys(group for group in groups if group in pack.groups))
    return (*found.ingredients, *single), classes, bool(found.ingredients and found.unknown and not classes)


def _codes(one: dict[str, Any]) -> set[str]:
    return {
        str(c.get("code")) for c in (one.get("code") or {}).get("coding") or () if c.get("system") == SNOMED
    }


def _none_known(one: dict[str, Any]) -> str:
    for code, words in NONE_KNOWN.items():
        if code in _codes(one):
            return words
    text = words_of(one.get("code")).strip().lower().rstrip(".")
    return {"no known allergies": "no known allergies", "nka": "no known allergies", "nkda": "no known drug allergies",
            "no known drug allergies": "no known drug allergies"}.get(text, "")  # fmt: skip


def _other_none(one: dict[str, Any]) -> bool:
    """No known food or environmental allergy: says nothing of medicines."""
    return bool(_codes(one) & {"429625007", "428607008"})


def _status(concept: Any) -> str:
    codings = (concept or {}).get("coding") or () if isinstance(concept, dict) else ()
    return next((str(c["code"]) for c in codings if c.get("code")), "")


def _left_out(one: dict[str, Any]) -> str:
    verified, clinical = _status(one.get("verificationStatus")), _status(one.get("clinicalStatus"))
    if verified in ("entered-in-error", "refuted"):
        return verified.replace("-", " ")
    return clinical if clinical in ("inactive", "resolved") else ""


def _severity(one: dict[str, Any]) -> str:
    known = [r["severity"] for r in one.get("reaction") or () if r.get("severity") in _SEVERITY]
    worst = max(known, key=_SEVERITY.index, default="")
    return ", ".join(filter(None, (worst, "high risk" if one.get("criticality") == "high" else "")))


def _reactions(one: dict[str, Any]) -> tuple[str, ...]:
    manifestations = (m for r in one.get("reaction") or () for m in r.get("manifestation") or ())
    return tuple(dict.fromkeys(filter(None, (words_of(m).lower() for m in manifestations))))
