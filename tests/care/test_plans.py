"""What a clinician decided for one patient: put off, refused, another interval, another target."""

from __future__ import annotations

from datetime import date
from decimal import Decimal
from typing import Any

import pytest

from commonchart.care.evidence import DECISION_SYSTEM, NOT_FOR_THEM, RULE_SYSTEM
from tests.care.cases import (
    DIABETES,
    ICD,
    LOINC,
    SCT,
    concept,
    condition,
    due,
    observation,
    patient,
    procedure,
    report,
)

SMITH = {"display": "Dr. Smith"}


def plan(rule: str, said: str = "2026-11-01", **more: Any) -> dict[str, Any]:
    return {
        "resourceType": "ServiceRequest", "id": f"plan-{rule}-{said}", "status": "active", "intent": "plan", "authoredOn": said,
        "code": concept((RULE_SYSTEM, rule)), "requester": SMITH,
    } | more  # fmt: skip


def put_off(
    rule: str, until: str = "", why: str = "After the holidays", code: str = "", **more: Any
) -> dict[str, Any]:
    reason = {"text": why} | ({"coding": [{"system": "x", "code": code}]} if code else {})
    period = {"occurrencePeriod": {"end": until}} if until else {}
    return plan(rule, doNotPerform=True, reasonCode=[reason], **period, **more)


def every_months(rule: str, months: int, why: str = "Adenoma in 2025") -> dict[str, Any]:
    timing = {"repeat": {"period": months, "periodUnit": "mo", "frequency": 1}}
    return plan(rule, occurrenceTiming=timing, reasonCode=[{"text": why}])


def goal(loinc: str, **target: Any) -> dict[str, Any]:
    return {
        "resourceType": "Goal", "id": f"goal-{loinc}", "lifecycleStatus": "active", "startDate": "2026-01-01",
        "description": {"text": "A goal"}, "target": [{"measure": concept((LOINC, loinc))} | target],
    }  # fmt: skip


def test_what_is_put_off_says_who_why_and_until() -> None:
    answer = due("breast", put_off("breast", "2027-03-01"))
    assert (answer.status, answer.until, answer.next_change_on) == (
        "deferred",
        date(2027, 3, 1),
        date(2027, 3, 1),
    )
    assert answer.why["because"] == "Deferred by Dr. Smith on 01-Nov-2026: After the holidays."
    assert due("breast", put_off("breast", "2027-03-01"), on=date(2027, 3, 1)).status == "overdue"


def test_a_refusal_is_another_word_and_holds_for_a_year() -> None:
    answer = due("breast", put_off("breast", code="PATOBJ", why="Does not want it"))
    assert (answer.status, answer.until) == ("declined", date(2027, 11, 1))


@pytest.mark.parametrize("status", ["revoked", "entered-in-error", "draft"])
def test_a_plan_that_was_taken_back_holds_no_longer(status: str) -> None:
    assert due("breast", put_off("breast", "2027-03-01", status=status)).status == "overdue"


def test_a_plan_for_one_rule_says_nothing_of_another() -> None:
    assert due("colorectal", put_off("breast", "2027-03-01")).status == "overdue"


def test_no_deferral_hides_a_result_that_came_after_it() -> None:
    bad = report("24606-6", "2026-11-10", "BI-RADS 4: suspicious")
    assert due("breast", put_off("breast", "2027-03-01"), bad).status == "due"
    before = report("24606-6", "2026-10-10", "BI-RADS 4: suspicious")
    assert due("breast", put_off("breast", "2027-03-01"), before).status == "deferred"


def test_no_deferral_hides_a_result_that_cannot_be_read() -> None:
    assert (
        due("colorectal", put_off("colorectal", "2027-03-01"), observation("29771-3", "2026-10-01")).status
        == "cannot-tell"
    )


def test_what_is_up_to_date_is_not_put_off() -> None:
    assert (
        due("breast", put_off("breast", "2027-03-01"), report("24606-6", "2026-10-10", "negative")).status
        == "up-to-date"
    )


def test_something_not_done_with_a_reason_counts_like_a_deferral() -> None:
    undone = procedure(SCT, "73761001", "2026-06-01", status="not-done")
    assert due("colorectal", undone).status == "overdue"
    refused = undone | {"statusReason": {"text": "Patient refused"}}
    assert (due("colorectal", refused).status, due("colorectal", refused).until) == (
        "declined",
        date(2027, 6, 1),
    )


def test_a_patients_own_interval_replaces_the_rules() -> None:
    scope = procedure(SCT, "73761001", "2025-06-01")
    answer = due("colorectal", scope, every_months("colorectal", 36, "Brother with cancer"))
    assert answer.until == date(2028, 6, 1)
    assert "Every 3 years for this patient: Brother with cancer." in answer.why["because"]
    assert due("colorectal", scope).until == date(2035, 6, 1)


def test_surveillance_asks_for_its_interval_and_keeps_it() -> None:
    polyp, scope = condition((ICD, "Z86.010"), text="Polyp"), procedure(SCT, "73761001", "2025-06-01")
    assert "Colonoscopy surveillance" in due("colorectal", polyp, scope).why["because"]
    asked = due("colorectal-surveillance", polyp, scope)
    assert (asked.status, asked.why["asks"]) == ("cannot-tell", ["set-interval"])
    kept = due("colorectal-surveillance", polyp, scope, every_months("colorectal-surveillance", 36))
    assert (kept.status, kept.until) == ("up-to-date", date(2028, 6, 1))


def test_a_monitoring_interval_of_the_patients_own() -> None:
    sugar = observation("4548-4", "2026-10-01", Decimal("6.5"), "%")
    answer = due("a1c", condition(DIABETES), sugar, every_months("a1c", 2, "Pump started"))
    assert answer.until == date(2026, 12, 1)
    assert "Pump started" in answer.why["because"]


@pytest.mark.parametrize(
    ("target", "value", "within"),
    [
        ({"detailQuantity": {"value": 8, "comparator": "<", "code": "%"}}, "7.9", "in"),
        ({"detailQuantity": {"value": 8, "comparator": "<", "code": "%"}}, "8.0", "out"),
        ({"detailQuantity": {"value": 8, "code": "%"}}, "8.0", "in"),
        ({"detailQuantity": {"value": 64, "comparator": "<", "code": "mmol/mol"}}, "7.9", "in"),
        (
            {"detailRange": {"low": {"value": 7, "code": "%"}, "high": {"value": 8, "code": "%"}}},
            "6.9",
            "out",
        ),
        ({"detailQuantity": {"value": 8, "code": "furlong"}}, "7.5", "out"),
    ],
)
def test_a_goal_overrides_the_pack(target: dict[str, Any], value: str, within: str) -> None:
    sugar = observation("4548-4", "2026-10-01", Decimal(value), "%")
    assert due("a1c", condition(DIABETES), sugar, goal("4548-4", **target)).within == within


@pytest.mark.parametrize("status", ["cancelled", "rejected", "completed", "proposed", "entered-in-error"])
def test_only_a_living_goal_overrides(status: str) -> None:
    sugar = observation("4548-4", "2026-10-01", Decimal("7.5"), "%")
    old = goal("4548-4", detailQuantity={"value": 8, "code": "%"}) | {"lifecycleStatus": status}
    assert due("a1c", condition(DIABETES), sugar, old).within == "out"


def test_frailty_hands_sugar_over_to_a_goal_of_its_own() -> None:
    old = patient("1950-01-01")
    frail = [condition(DIABETES), condition((ICD, "R54")), condition((ICD, "G30.1"))]
    assert "HbA1c with frailty" in due("a1c", *frail, who=old).why["because"]
    assert due("a1c", *frail, who=patient("1962-01-01")).status != "excluded"
    assert due("a1c", *frail[:2], who=old).status != "excluded"


NOT_FOR_HER = [
    {"text": "Bilateral reconstruction", "coding": [{"system": DECISION_SYSTEM, "code": NOT_FOR_THEM}]}
]


def test_what_is_set_aside_says_so_and_comes_back() -> None:
    aside = put_off("breast", "2031-11-01") | {"reasonCode": NOT_FOR_HER}
    answer = due("breast", aside)
    assert (answer.status, answer.until, answer.next_change_on) == (
        "not-applicable",
        date(2031, 11, 1),
        date(2031, 11, 1),
    )
    assert "not for this patient by Dr. Smith" in answer.why["because"]
    assert due("breast", aside, on=date(2031, 11, 1)).status == "overdue"


def test_what_watches_a_drug_is_not_set_aside_while_it_is_taken() -> None:
    warfarin = {
        "resourceType": "MedicationRequest", "id": "w", "status": "active", "authoredOn": "2026-10-01",
        "medicationCodeableConcept": {"text": "warfarin 5 mg"},
    }  # fmt: skip
    aside = put_off("inr", "2031-11-01") | {"reasonCode": NOT_FOR_HER}
    assert due("inr", warfarin, aside).status == "overdue"
    assert due("inr", warfarin, put_off("inr", "2027-01-01")).status == "deferred"


def test_no_deferral_hides_an_alert_that_came_after_it() -> None:
    later = observation("4548-4", "2026-11-10", Decimal("9.6"), "%")
    put = put_off("a1c", "2027-03-01", said="2026-11-01")
    answer = due("a1c", condition(DIABETES), later, put, on=date(2027, 2, 20))
    assert (answer.status, answer.within) == ("due", "alert")
    before = observation("4548-4", "2026-07-10", Decimal("9.6"), "%")
    assert due("a1c", condition(DIABETES), before, put).status == "deferred"


def test_an_interval_ends_on_its_day_and_the_rules_own_counts_again() -> None:
    scope = procedure(SCT, "73761001", "2025-06-01")
    own = every_months("colorectal", 36)
    own["occurrenceTiming"]["repeat"]["boundsPeriod"] = {"end": "2027-01-01"}
    answer = due("colorectal", scope, own)
    assert (answer.until, answer.next_change_on) == (date(2028, 6, 1), date(2027, 1, 1))
    assert due("colorectal", scope, own, on=date(2027, 1, 1)).until == date(2035, 6, 1)
