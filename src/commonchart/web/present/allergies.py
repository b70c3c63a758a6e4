"""Allergies: the tags of the banner and the section. `Not recorded` is never `no known allergies`."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from msgspec import Struct

from commonchart.web.present import codes, dates
from commonchart.web.present.absence import is_absence, known_none
from commonchart.web.present.tables import Cell, Fact, Row, Table, entered_in_error, errors_last, notes


class Tag(Struct, frozen=True):
    """One allergy in the banner; `grave` ones are the loudest thing on the page."""

    substance: str
    reaction: str
    severity: str
    grave: bool
    id: str


class Standing(Struct, frozen=True):
    """What is known: the tags, or a sentence when there are none."""

    tags: tuple[Tag, ...]
    sentence: str = ""
    known_none: bool = False

    @property
    def first(self) -> int:
        """How many tags a small screen shows: the grave ones, else two."""
        return sum(tag.grave for tag in self.tags) or min(2, len(self.tags))


def standing(facts: Sequence[Fact]) -> Standing:
    """The banner's allergies. Retracted, refuted, inactive and resolved ones are not in it."""
    current = [fact for fact in facts if fact.rtype == "AllergyIntolerance" and _counts(fact.body)]
    tags = [_tag(fact) for fact in current if not is_absence(fact.body)]
    if tags:
        return Standing(tuple(sorted(tags, key=lambda tag: not tag.grave)))
    if known_none(facts, "AllergyIntolerance"):
        return Standing((), "No known allergies", known_none=True)
    return Standing((), "Allergies not recorded: ask")


def _counts(body: dict[str, Any]) -> bool:
    verification = codes.said(body.get("verificationStatus"))
    return codes.said(body.get("clinicalStatus")) not in ("inactive", "resolved") and verification not in (
        "entered-in-error",
        "refuted",
    )


def _tag(fact: Fact) -> Tag:
    body = fact.body
    return Tag(codes.concept(body.get("code")), _reactions(body), severity(body), grave(body), fact.id)


def grave(body: dict[str, Any]) -> bool:
    """A severe reaction, or high criticality."""
    return body.get("criticality") == "high" or any(
        one.get("severity") == "severe" for one in body.get("reaction") or ()
    )


def severity(body: dict[str, Any]) -> str:
    """The worst reaction's severity, else the criticality, else that none was recorded."""
    found = {one.get("severity") for one in body.get("reaction") or ()}
    for worst in ("severe", "moderate", "mild"):
        if worst in found:
            return worst
    risk = {"high": "high risk", "low": "low risk", "unable-to-assess": "risk not assessed"}
    return risk.get(str(body.get("criticality")), "severity not recorded")


def _reactions(body: dict[str, Any]) -> str:
    return ", ".join(
        text for one in body.get("reaction") or () if (text := codes.concepts(one.get("manifestation")))
    )


def table(facts: Sequence[Fact]) -> list[Table]:
    """Active ones, then those that no longer stand."""
    rows = [
        (fact, _row(fact))
        for fact in facts
        if fact.rtype == "AllergyIntolerance" and not is_absence(fact.body)
    ]
    active = [row for fact, row in rows if _counts(fact.body)]
    past = [row for fact, row in rows if not _counts(fact.body)]
    columns = ("Substance", "Reaction", "Severity", "Kind", "Since")
    none = known_none(facts, "AllergyIntolerance")
    empty = (
        f"No known allergies ({none})."
        if none
        else "Not recorded. This does not mean that there are none: ask."
    )
    tables = [Table("active", "Allergies", columns, errors_last(active), empty=empty, narrow=frozenset({3}))]
    if past:
        tables.append(Table("past", "No longer standing", columns, errors_last(past), narrow=frozenset({3})))
    return tables


def _row(fact: Fact) -> Row:
    body = fact.body
    kind = ", ".join(
        [*([str(body["type"])] if body.get("type") else []), *map(str, body.get("category") or ())]
    )
    since = body.get("onsetDateTime") or body.get("recordedDate")
    doubt = codes.said(body.get("verificationStatus"))
    status = codes.said(body.get("clinicalStatus"))
    said = [
        *([status] if status in ("inactive", "resolved") else []),
        *([doubt] if doubt in ("unconfirmed", "refuted") else []),
    ]
    return Row(
        fact,
        codes.concept(body.get("code")),
        (
            Cell(_reactions(body) or codes.NOT_RECORDED, quiet=not _reactions(body)),
            Cell(severity(body)),
            Cell(kind or codes.NOT_RECORDED, quiet=True, narrow=True),
            Cell(dates.day(since) or codes.NOT_RECORDED, quiet=True, nowrap=True),
        ),
        sub=" · ".join(part for part in (", ".join(said), notes(body)) if part),
        warn="severe" if grave(body) and _counts(body) else "",
        struck=entered_in_error(body),
    )
