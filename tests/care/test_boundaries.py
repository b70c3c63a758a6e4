"""Mutations of the rules that CMS's cases do not tell apart: each changes a count of these patients at the edges."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from datetime import date, timedelta
from decimal import Decimal
from typing import Any

import pytest
from msgspec import structs

from commonchart.care import chart, facts, screening
from commonchart.care.assess import assess
from commonchart.care.facts import evidence
from commonchart.care.person import person
from commonchart.care.rules import built_in
from commonchart.care.schema import Pack, Rule
from tests.care.cases import (
    DIABETES,
    ICD,
    SCT,
    TODAY,
    condition,
    due,
    observation,
    patient,
    pressure,
    procedure,
    report,
)


@pytest.mark.parametrize(("value", "within"), [("9.0", "out"), ("9.1", "alert")])
def test_poor_control_is_above_9_0(value: str, within: str) -> None:
    assert (
        due("a1c", condition(DIABETES), observation("4548-4", "2026-10-01", Decimal(value), "%")).within
        == within
    )


@pytest.mark.parametrize(
    ("day", "status"),
    [
        ("2024-11-17", "due"),
        ("2024-11-18", "due"),
        ("2024-11-19", "due-soon"),
        ("2024-08-18", "overdue"),
        ("2024-08-20", "overdue"),
        ("2024-08-21", "due"),
    ],
)
def test_a_mammogram_at_24_months_and_a_day_and_at_27(day: str, status: str) -> None:
    assert due("breast", report("24606-6", day, "negative")).status == status


@pytest.mark.parametrize(
    ("systolic", "diastolic", "within"),
    [
        (139, 90, "out"),
        (129, 79, "in"),
        (130, 79, "out"),
        (129, 80, "out"),
        (180, 70, "alert"),
        (150, 120, "alert"),
        (89, 60, "alert"),
    ],
)
def test_either_half_of_a_blood_pressure_is_enough(systolic: int, diastolic: int, within: str) -> None:
    assert (
        due("blood-pressure", condition((ICD, "I10")), pressure(systolic, diastolic, "2026-11-01")).within
        == within
    )


def test_of_two_readings_of_a_day_the_last_counts_whatever_the_lowest() -> None:
    early, late = pressure(122, 70, "2026-11-01T08:00:00Z"), pressure(150, 95, "2026-11-01T09:00:00Z")
    assert due("blood-pressure", condition((ICD, "I10")), early, late).within == "out"
    assert (
        due(
            "blood-pressure",
            condition((ICD, "I10")),
            late | {"effectiveDateTime": "2026-11-01T07:00:00Z"},
            early,
        ).within
        == "in"
    )


def test_an_alert_looks_at_every_reading_of_the_day() -> None:
    high, fine = pressure(184, 100, "2026-11-01T08:00:00Z"), pressure(128, 78, "2026-11-01T09:00:00Z")
    answer = due("blood-pressure", condition((ICD, "I10")), high, fine)
    assert answer.within == "alert"
    assert "184 is 180 or more" in answer.why["because"]
    assert (
        due(
            "blood-pressure", condition((ICD, "I10")), high | {"effectiveDateTime": "2026-10-31"}, fine
        ).within
        == "in"
    )


# ---- mutations ---------------------------------------------------------------------------------------------------

PATIENTS: list[list[dict[str, Any]]] = [
    [],
    [report("24606-6", "2024-11-18", "negative")],
    [report("24606-6", "2024-11-19", "negative")],
    [report("24606-6", "2026-11-19", "negative")],
    [report("24606-6", "2026-10-01", "negative", status="cancelled")],
    [report("24606-6", "2026-10-01", "BI-RADS 4")],
    [condition((ICD, "Z90.13"))],
    [condition((ICD, "C50.9"))],
    [condition((ICD, "Z51.5"))],
    [condition((ICD, "R54")), condition((ICD, "G30.1"))],
    [procedure(SCT, "73761001", "2016-11-19")],
    [procedure(SCT, "73761001", "2020-11-19") | {"modifierExtension": [{"url": "http://x/qicore-doNotPeform", "valueBoolean": True}]}],
    [condition(DIABETES), observation("4548-4", "2026-11-01", Decimal("9.1"), "%")],
    [condition(DIABETES), observation("4548-4", "2026-11-01", Decimal("9.0"), "%")],
]  # fmt: skip


def counts(pack: Pack) -> dict[tuple[str, str, str], int]:
    """How often each answer is given over the patients, for the rules that the mutations touch."""
    out: dict[tuple[str, str, str], int] = {}
    whom = person(patient("1955-05-10"), TODAY)
    for resources in PATIENTS:
        for one in assess(evidence(resources), whom, pack, TODAY):
            if one.rule in ("breast", "colorectal", "a1c"):
                key = one.rule, one.status, one.within
                out[key] = out.get(key, 0) + 1
    return out


def changed(rule: str, change: Callable[[Rule], Rule]) -> Pack:
    """The pack with one rule changed."""
    pack = built_in()
    rules = tuple(change(r) if r.id == rule else r for r in pack.rules)
    return replace(pack, rules=rules, explained={}, idle={}, _plans={})


def _way(rule: Rule, **more: Any) -> Rule:
    return structs.replace(
        rule, satisfied_by=(structs.replace(rule.satisfied_by[0], **more), *rule.satisfied_by[1:])
    )


def _target(rule: Rule, **more: Any) -> Rule:
    assert rule.monitor
    return structs.replace(rule, monitor=structs.replace(rule.monitor, **more))


MUTATIONS: dict[str, Pack] = {
    "dropping an exclusion": changed("breast", lambda r: structs.replace(r, excluded_by=())),
    "dropping a hand-over": changed("breast", lambda r: structs.replace(r, hand_over=())),
    "dropping frailty": changed("breast", lambda r: structs.replace(r, excluded_together=())),
    "dropping hospice": replace(built_in(), everywhere=(), explained={}, idle={}, _plans={}),
    "a longer window": changed("breast", lambda r: _way(r, months=None, lasts="732d")),
    "a shorter window": changed("colorectal", lambda r: _way(r, months=119)),
    "not reading the result": changed("breast", lambda r: _way(r, abnormal=())),
    "an alert from 9.0": changed("a1c", lambda r: _target(r, alert_above=(), alert_from=(Decimal("9.0"),))),
    "inverting the target": changed(
        "a1c", lambda r: _target(r, below=(), at_least=(Decimal("7.0"),), alert_above=())
    ),
}


@pytest.mark.parametrize("name", MUTATIONS)
def test_a_changed_rule_changes_a_count(name: str) -> None:
    assert counts(MUTATIONS[name]) != counts(built_in())


@pytest.mark.parametrize(
    ("where", "name", "instead"),
    [
        (facts, "_negated", lambda resource: False),
        (chart.Chart, "unusable", lambda self, fact: ""),
        (chart.Chart, "unusable", lambda self, fact: fact.unusable),
        (screening, "after", lambda day, span: day + timedelta(days=1) if span == "0d" else date.max),
    ],
    ids=["ignoring doNotPerform", "ignoring status", "counting future facts", "counting for ever"],
)
def test_a_changed_machine_changes_a_count(
    monkeypatch: pytest.MonkeyPatch, where: Any, name: str, instead: Any
) -> None:
    before = counts(built_in())
    monkeypatch.setattr(where, name, instead)
    assert counts(built_in()) != before
