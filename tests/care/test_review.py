"""Nothing from memory interrupts or is sent before a named clinician approves this version of it."""

from __future__ import annotations

from datetime import UTC, datetime

import pytest

from commonchart.care.person import person
from commonchart.care.review import Approval, may_interrupt, outreach, standing
from commonchart.care.rules import built_in
from tests.care.cases import DIABETES, ICD, TODAY, condition, due, patient

WHO = person(patient(), TODAY)
RULES = built_in().by_id
NOW = datetime(2026, 11, 18, tzinfo=UTC)


def approval(
    rule: str = "a1c", version: str = "", by: str = "Practitioner/1", withdrawn: datetime | None = None
) -> Approval:
    return Approval(rule, version or RULES[rule].version, by, NOW, "Read in the ADA Standards", withdrawn)


@pytest.mark.parametrize(
    ("found", "stands"),
    [([], "needed"), ([approval()], "approved"), ([approval(version="0")], "needed"), ([approval(by=" ")], "needed"),
     ([approval("egfr")], "needed"), ([approval(withdrawn=NOW)], "needed")],
)  # fmt: skip
def test_an_approval_is_for_one_version_by_somebody_with_a_name(found: list[Approval], stands: str) -> None:
    assert standing(RULES["a1c"], found) == stands
    assert may_interrupt(RULES["a1c"], found) is (stands == "approved")


def test_a_reviewed_rule_needs_no_approval() -> None:
    assert standing(RULES["colorectal"], []) == "reviewed"


def test_outreach_waits_for_the_approval() -> None:
    sugar = due("a1c", condition(DIABETES))
    assert "not reviewed" in outreach(RULES["a1c"], sugar, WHO, []).why_not
    assert outreach(RULES["a1c"], sugar, WHO, [approval()]).kind == "detail"


def test_what_is_confidential_is_never_sent_even_if_approved() -> None:
    assert outreach(RULES["hiv-screen"], due("hiv-screen"), WHO, [approval("hiv-screen")]).kind == "never"


def test_nobody_is_contacted_who_must_not_be() -> None:
    rule, item = RULES["colorectal"], due("colorectal")
    assert outreach(rule, item, WHO, []).kind == "detail"
    dead = person(patient(deceasedBoolean=True), TODAY)
    assert outreach(rule, item, dead, []).kind == "never"
    assert outreach(rule, item, WHO, [], merged_away=True).kind == "never"
    hospice = due("colorectal", condition((ICD, "Z51.5")))
    assert outreach(rule, hospice, WHO, []).kind == "never"
