"""Dated facts out of resources: what rules see of a chart, each with its source and whether it may be used.

A fact that may not satisfy anything (entered in error, preliminary, implausible, in the future) is kept with the reason,
so that an explanation can say what was not used. How each type of resource becomes facts is in `care.facts`.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping
from datetime import UTC, date, datetime
from decimal import Decimal
from functools import lru_cache
from typing import Any, Literal

from msgspec import Struct
from msgspec.structs import replace

from commonchart.care.schema import Code
from commonchart.fhir import dates
from commonchart.fhir.outcome import Invalid

Kind = Literal[
    "condition", "observation", "procedure", "report", "medication", "immunization", "visit", "order", "coverage", "family",
    "allergy", "plan", "goal",
]  # fmt: skip

RULE_SYSTEM = "https://commonchart.example/rule"
QUESTION_SYSTEM = "https://commonchart.example/question"
DECISION_SYSTEM = "https://commonchart.example/decision"
NOT_FOR_THEM = "not-applicable"
SYSTEMS = {
    "http://loinc.org": "loinc",
    "http://snomed.info/sct": "sct",
    "http://hl7.org/fhir/sid/icd-10-cm": "icd10",
    "http://hl7.org/fhir/sid/icd-10": "icd10",
    "http://www.ama-assn.org/go/cpt": "cpt",
    "https://www.cms.gov/Medicare/Coding/HCPCSReleaseCodeSets": "hcpcs",
    "http://www.cms.gov/Medicare/Coding/HCPCSReleaseCodeSets": "hcpcs",
    "http://www.cms.gov/Medicare/Coding/ICD10": "icd10pcs",
    "http://hl7.org/fhir/sid/icd-10-pcs": "icd10pcs",
    "http://www.ada.org/cdt": "cdt",
    "http://hl7.org/fhir/sid/cvx": "cvx",
    "http://www.nlm.nih.gov/research/umls/rxnorm": "rxnorm",
    "https://nahdo.org/sopt": "sopt",
    "urn:oid:2.16.840.1.113883.3.221.5": "sopt",
    QUESTION_SYSTEM: "question",
    RULE_SYSTEM: "rule",
}


class Fact(Struct, frozen=True, gc=False):
    """One dated fact. `unusable` says why it may not satisfy a rule, "" if it may. `ref` is "Type/id".

    `day` is the first day it may mean (a year means its 1 January), None without a date; `shown` is the date as written.
    `codes` say what it is about, `answers` are coded results, `flags` interpretation codes (N, H, LL, POS), `truth` a yes or
    no, `moment` a result that is a date. `declined` is the reason of something that was not done. `by` is who said so.
    `absent`: a result is expected and the record says why there is none; `unsaid` is that reason where somebody was asked (asked-unknown,
    asked-declined). `aside`: a plan that says the rule is not for this patient. `span` is an interval somebody set, as (number, unit); `low`
    and `high` are a goal's limits.
    `believed`: a clinician looked at it and took it out of quarantine.
    """

    kind: Kind
    codes: frozenset[Code]
    text: str
    day: date | None
    shown: str
    ref: str
    unusable: str = ""
    active: bool = True
    ended: date | None = None
    value: Decimal | None = None
    comparator: str = ""
    unit: str = ""
    words: str = ""
    part_of: str = ""
    answers: frozenset[Code] = frozenset()
    flags: frozenset[str] = frozenset()
    truth: bool | None = None
    moment: date | None = None
    absent: bool = False
    declined: str = ""
    refused: bool = False
    aside: bool = False
    unsaid: str = ""
    by: str = ""
    span: str = ""
    low: Decimal | None = None
    high: Decimal | None = None
    range_low: Decimal | None = None
    range_high: Decimal | None = None
    believed: bool = False

    @property
    def coded(self) -> bool:
        """Whether any of its codes is in a system that rules know."""
        return bool(self.codes)

    @property
    def answered(self) -> bool:
        """Whether there is any result at all."""
        return bool(
            self.value is not None
            or self.words
            or self.answers
            or self.flags
            or self.truth is not None
            or self.moment
        )

    def active_on(self, day: date) -> bool:
        """Whether it is still going on: by its end, else by its status."""
        return self.ended > day if self.ended is not None else self.active


REJECTED = "rejected by a clinician"


class Evidence(Struct, frozen=True):
    """Everything the rules may look at, newest first. `mistaken`: why a result ("Type/id") seems to be somebody else's."""

    facts: tuple[Fact, ...]
    mistaken: Mapping[str, str] = {}

    def of(self, *kinds: str) -> Iterator[Fact]:
        """Facts of these kinds."""
        return (fact for fact in self.facts if fact.kind in kinds)

    def settled(self, released: Collection[str], rejected: Collection[str]) -> Evidence:
        """The evidence after a clinician looked: what was released is believed, what was rejected may satisfy nothing."""
        if not released and not rejected:
            return self
        return Evidence(tuple(_settled(fact, released, rejected) for fact in self.facts), self.mistaken)


def _settled(fact: Fact, released: Collection[str], rejected: Collection[str]) -> Fact:
    if fact.ref in rejected:
        return replace(fact, unusable=fact.unusable or REJECTED)
    return replace(fact, believed=True) if fact.ref in released else fact


def codes_of(*concepts: Any) -> frozenset[Code]:
    """The codes of CodeableConcepts in systems that rules know, by short system name."""
    out: set[Code] = set()
    for concept in concepts:
        for coding in (concept or {}).get("coding") or () if isinstance(concept, dict) else ():
            system = SYSTEMS.get(coding.get("system", ""))
            if system and coding.get("code"):
                out.add((system, coding["code"]))
    return frozenset(out)


def words_of(concept: Any) -> str:
    """A concept in words: its text, else a display, else a code."""
    if not isinstance(concept, dict):
        return ""
    codings = concept.get("coding") or []
    shown = next((c["display"] for c in codings if c.get("display")), "")
    return concept.get("text") or shown or next((c["code"] for c in codings if c.get("code")), "")


def first_day(text: Any) -> date | None:
    """The first day a FHIR date may mean, None if it is none."""
    return _first_day(text) if isinstance(text, str) else None


@lru_cache(20_000)
def first_moment(text: str) -> datetime:
    """The first moment a FHIR date may mean; the beginning of time if it is none."""
    try:
        return dates.bounds(text)[0].astimezone(UTC)
    except Invalid:
        return _NEVER


_NEVER = datetime.min.replace(tzinfo=UTC)


@lru_cache(20_000)
def _first_day(text: str) -> date | None:
    moment = first_moment(text)
    return None if moment == _NEVER else moment.date()


def moment_day(now: datetime) -> date:
    """The day of a moment, in UTC: what a worker passes as `as_of`."""
    return now.astimezone(UTC).date()
