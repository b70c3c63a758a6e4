"""The chart of one human over several records: what is there twice, and what contradicts. Nothing is dropped."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from itertools import combinations
from typing import Any

from msgspec import Struct

from commonchart.identity.agreement import compared, folded

NO_ALLERGY = frozenset({"716186003"})
"""No known allergy (SNOMED CT)."""
_PAST = frozenset({"resolved", "inactive", "remission", "completed", "stopped", "cancelled", "ended"})
_KIND = {
    "Condition": "problem",
    "AllergyIntolerance": "allergy",
    "MedicationRequest": "medicine",
    "MedicationStatement": "medicine",
}
_PERSONAL = ("birthDate", "gender", "deceased")


class Held(Struct, frozen=True):
    """One fact of the union: "Type/id", whose Patient record it stands in, which organisation keeps it, the resource."""

    key: str
    patient: str
    org: str
    body: Mapping[str, Any]


class Mark(Struct, frozen=True):
    """What is to be said beside a fact: others like it, others that contradict it ("Type/id"), and the words.

    `counts`: whether it is the one of its likes that is counted.
    """

    like: tuple[str, ...] = ()
    against: tuple[str, ...] = ()
    counts: bool = True

    @property
    def words(self) -> str:
        """For a person to read."""
        said = []
        if self.against:
            said.append("another record contradicts this")
        if self.like:
            said.append(
                "also in another record, counted once" if self.counts else "the same as in another record"
            )
        return "; ".join(said)


def marks(facts: Sequence[Held]) -> dict[str, Mark]:
    """By "Type/id": facts of different records of the person that say the same, or contradict. Others have no mark."""
    known = [one for one in facts if not _retracted(one.body)]
    like: dict[str, set[str]] = {}
    against: dict[str, set[str]] = {}
    for one, other in _meeting(known):
        _add(like if _past(one.body) == _past(other.body) else against, one.key, other.key)
    for none in (one for one in known if _no_allergy(one.body)):
        for other in known:
            if other.patient != none.patient and _stands(other.body):
                _add(against, none.key, other.key)
    order = {one.key: n for n, one in enumerate(facts)}
    return {
        key: Mark(
            tuple(sorted(like.get(key, ()))),
            tuple(sorted(against.get(key, ()))),
            all(order[key] < order[other] for other in like.get(key, ())),
        )
        for key in {*like, *against}
    }


def differing(patients: Sequence[Mapping[str, Any]]) -> list[tuple[str, tuple[str, ...]]]:
    """(title, all values) of what the Patient records of one human disagree on: birth date, sex, death."""
    found: dict[str, list[str]] = {}
    for one, other in combinations(patients, 2):
        for field in compared(one, other):
            if field.name in _PERSONAL and (
                field.verdict == "differs" or (field.name == "deceased" and field.verdict == "one side")
            ):
                found.setdefault(field.title, []).extend((*field.one, *field.other))
    return [(title, tuple(dict.fromkeys(values))) for title, values in found.items()]


def _meeting(facts: Sequence[Held]) -> Iterable[tuple[Held, Held]]:
    """Pairs of different records that name the same thing; each pair once."""
    by_name: dict[tuple[str, str], list[Held]] = {}
    for one in facts:
        for name in _named(one.body):
            by_name.setdefault(name, []).append(one)
    seen = set()
    for held in by_name.values():
        for one, other in combinations(held, 2):
            pair = (one.key, other.key)
            if one.patient != other.patient and pair not in seen:
                seen.add(pair)
                yield one, other


def _named(body: Mapping[str, Any]) -> set[tuple[str, str]]:
    """(kind, code or words) by which a fact is told to be the same thing."""
    kind = _KIND.get(str(body.get("resourceType")))
    concept = body.get("code") or body.get("medicationCodeableConcept")
    if kind is None or not isinstance(concept, dict):
        return set()
    codings = [one for one in concept.get("coding") or () if one.get("code")]
    if any(one["code"] in NO_ALLERGY for one in codings):
        return set()
    if codings:
        return {(kind, f"{one.get('system', '')}|{one['code']}") for one in codings}
    text = folded(str(concept.get("text") or ""))
    return {(kind, text)} if text else set()


def _add(to: dict[str, set[str]], one: str, other: str) -> None:
    to.setdefault(one, set()).add(other)
    to.setdefault(other, set()).add(one)


def _codes(concept: Any) -> set[str]:
    return (
        {str(one.get("code")) for one in concept.get("coding") or ()} if isinstance(concept, dict) else set()
    )


def _retracted(body: Mapping[str, Any]) -> bool:
    wrong = {"entered-in-error", "refuted"}
    return body.get("status") == "entered-in-error" or bool(_codes(body.get("verificationStatus")) & wrong)


def _past(body: Mapping[str, Any]) -> bool:
    return bool(_codes(body.get("clinicalStatus")) & _PAST) or body.get("status") in _PAST


def _no_allergy(body: Mapping[str, Any]) -> bool:
    return body.get("resourceType") == "AllergyIntolerance" and bool(_codes(body.get("code")) & NO_ALLERGY)


def _stands(body: Mapping[str, Any]) -> bool:
    return body.get("resourceType") == "AllergyIntolerance" and not _no_allergy(body) and not _past(body)
