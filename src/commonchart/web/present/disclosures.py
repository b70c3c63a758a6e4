"""Disclosures in words: to whom, what, for what, and why the rule would not ask for a line. Pure."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import date

from msgspec import Struct

from commonchart.access.disclosures import Accounting, Disclosure
from commonchart.web.present import dates, scopes
from commonchart.web.present.consents import PURPOSE

KINDS = {
    "organization": "Another organisation", "emergency": "In an emergency (break-glass)", "app": "An app", "link": "A link that the patient made",
    "subscription": "A system that is told of changes", "registry": "A public health registry", "program": "A program with a key", "paper": "Printed",
}  # fmt: skip
RULES = {
    "operations": "treatment, payment or operations: 164.528(a)(1)(i)",
    "individual": "by the patient’s own wish: 164.528(a)(1)(ii), (iv)",
}
COLUMNS = (
    "date",
    "first",
    "last",
    "times",
    "kind",
    "recipient",
    "organization",
    "address",
    "what",
    "purpose",
    "not_asked_for_by_rule",
)


class Line(Struct, frozen=True):
    """One line as tables show it."""

    on: date
    day: str
    kind: str
    who: str
    where: str
    what: str
    purpose: str
    times: int
    rule: str
    urgent: bool


def lines(found: Accounting) -> list[Line]:
    """The disclosures, the latest first."""
    return [_line(one) for one in found.lines]


def _line(one: Disclosure) -> Line:
    name = who(one)
    place = ", ".join(
        part for part in (one.organization if one.organization != name else "", one.address) if part
    )
    return Line(
        one.day, dates.of_date(one.day), KINDS[one.kind], name, place, what(one, scopes.TYPES), PURPOSE.get(one.purpose, one.purpose), one.times,
        RULES.get(one.rule, ""), one.kind == "emergency",
    )  # fmt: skip


def who(one: Disclosure) -> str:
    """The recipient; on paper, nobody has written down who got it."""
    if one.kind == "paper":
        return f"Not recorded: printed by {one.name or one.who}"
    if one.kind == "registry":
        return "A registry"
    return one.name or one.organization or one.who


def what(one: Disclosure, words: Mapping[str, str]) -> str:
    """What it was, by kind."""
    found = dict.fromkeys(
        words.get(name, name) for name in one.types if name not in ("AuditEvent", "Subscription")
    )
    return ", ".join(found) or "parts of the record"


def cells(one: Disclosure) -> tuple[object, ...]:
    """A row of the CSV file, in the order of COLUMNS."""
    return (
        one.day.isoformat(), one.first.isoformat(timespec="seconds"), one.last.isoformat(timespec="seconds"), one.times, KINDS[one.kind],
        who(one), one.organization or one.org, one.address, " ".join(one.types), PURPOSE.get(one.purpose, one.purpose), RULES.get(one.rule, ""),
    )  # fmt: skip
