"""What may not be believed satisfies nothing, and is critical none the less."""

from __future__ import annotations

from datetime import date
from decimal import Decimal
from typing import Any

import pytest

from commonchart.care.accuracy import measured, series
from commonchart.care.assess import assess
from commonchart.care.facts import evidence
from commonchart.care.person import person
from commonchart.care.quarantine import (
    Critical,
    NotChecked,
    Stated,
    critical,
    identity,
    jumps,
    quarantined,
    timing,
)
from commonchart.care.rules import built_in
from tests.care.cases import DIABETES, TODAY, condition, due, observation, patient

PACK = built_in()
WHO = person(patient(), TODAY)
CHILD = person(patient("2020-01-01"), TODAY)


def _series(name: str, *resources: dict[str, Any]) -> list[Any]:
    return series(PACK, name, evidence(resources).facts)


@pytest.mark.parametrize(
    ("when", "reason"),
    [("2026-11-19", "dated in the future"), ("1960-01-01", "dated before birth"), ("2026-11-18", "")],
)
def test_a_time_that_cannot_be_is_a_reason(when: str, reason: str) -> None:
    fact = evidence([observation("2823-3", when, 4, "mmol/L")]).facts[0]
    assert timing(fact, WHO, TODAY) == reason


def test_a_result_after_death_is_quarantined() -> None:
    dead = person(patient(deceasedDateTime="2026-01-01"), TODAY)
    found = _series("potassium", observation("2823-3", "2026-02-01", 4, "mmol/L"))
    assert [v.reason for v in quarantined(PACK.analytes["potassium"], found, dead, TODAY)] == [
        "dated after death"
    ]


@pytest.mark.parametrize(("value", "count"), [("0.9", 1), ("1", 0), ("12", 0), ("12.1", 1)])
def test_what_nobody_can_have_is_quarantined(value: str, count: int) -> None:
    found = _series("potassium", observation("2823-3", "2026-10-01", Decimal(value), "mmol/L"))
    assert len(quarantined(PACK.analytes["potassium"], found, WHO, TODAY)) == count


@pytest.mark.parametrize(
    ("later", "day", "count"), [("95", "2026-10-08", 1), ("94.9", "2026-10-08", 0), ("95", "2026-10-09", 0)]
)
def test_a_jump_of_the_cell_volume_is_another_patient(later: str, day: str, count: int) -> None:
    first, second = (
        observation("787-2", "2026-10-01", 90, "fL"),
        observation("787-2", day, Decimal(later), "fL"),
    )
    found = _series("mcv", first, second)
    assert len(quarantined(PACK.analytes["mcv"], found, WHO, TODAY)) == count


def test_the_whole_specimen_of_another_patient_satisfies_nothing_until_released() -> None:
    sugar = observation("4548-4", "2026-10-08T08:00:00Z", Decimal("6.1"), "%")
    cells = [
        observation("787-2", "2026-10-01T08:00:00Z", 90, "fL"), observation("787-2", "2026-10-08T08:00:00Z", 99, "fL"),
    ]  # fmt: skip
    resources = [condition(DIABETES, since="2014-01-01"), sugar, *cells]
    held = due("a1c", *resources)
    assert held.status == "overdue"
    assert "another person" in held.why["unused"][0]["reason"]
    refs = [f"Observation/{one['id']}" for one in (sugar, *cells)]
    freed = assess(evidence(resources), WHO, PACK, TODAY, released=refs)
    assert next(one for one in freed if one.rule == "a1c").status == "up-to-date"


def test_a_quarantined_result_closes_nothing() -> None:
    positive = observation("75622-1", "2026-05-01", words="Reactive")
    late = observation("20447-9", "2026-12-24", words="detected")
    assert due("hiv-screen", positive, late).why["follow_up"] is True
    assert due("hiv-screen", positive, late | {"effectiveDateTime": "2026-06-01"}).status == "up-to-date"


@pytest.mark.parametrize(
    ("analyte", "loinc", "earlier", "later", "days", "count"),
    [
        ("sodium", "2951-2", "140", "130", 3, 1), ("sodium", "2951-2", "140", "130", 4, 0), ("sodium", "2951-2", "140", "131", 3, 0),
        ("creatinine", "2160-0", "1.0", "1.3", 2, 1), ("creatinine", "2160-0", "1.3", "1.0", 2, 0),
        ("creatinine", "2160-0", "1.0", "1.5", 7, 1), ("platelets", "777-3", "200", "100", 7, 1),
    ],
)  # fmt: skip
def test_a_change_too_great_for_its_time_is_a_jump(
    analyte: str, loinc: str, earlier: str, later: str, days: int, count: int
) -> None:
    unit = PACK.analytes[analyte].unit
    found = _series(
        analyte, observation(loinc, "2026-10-01", Decimal(earlier), unit), observation(loinc, f"2026-10-{1 + days:02}", Decimal(later), unit)
    )  # fmt: skip
    assert (1 if list(jumps(PACK.analytes[analyte], found)) else 0) == count


def test_somebody_elses_name_birth_or_sex_is_said() -> None:
    assert identity(Stated("Lovelace", date(1970, 5, 10), "female"), "LOVELACE", WHO) == ""
    assert identity(Stated("Byron"), "Lovelace", WHO) == "family name on the result is not the patient's"
    assert "date of birth and sex" in identity(Stated("", date(1970, 5, 11), "male"), "Lovelace", WHO)
    assert identity(Stated(), "Lovelace", WHO) == ""


def _critical(value: str, unit: str = "mmol/L", who: Any = WHO, status: str = "final") -> Any:
    fact = evidence([observation("2823-3", "2026-10-01", Decimal(value), unit, status=status)]).facts[0]
    return critical(PACK.analytes["potassium"], measured(PACK.analytes["potassium"], fact), who)


@pytest.mark.parametrize(
    ("value", "is_critical"), [("2.9", True), ("3.0", False), ("6.1", False), ("6.2", True)]
)
def test_the_critical_limits_are_those_of_the_list(value: str, is_critical: bool) -> None:
    assert isinstance(_critical(value), Critical) is is_critical


def test_quarantine_never_takes_the_critical_alert() -> None:
    impossible = _critical("14")
    assert isinstance(impossible, Critical)
    assert impossible.certain
    nonsense = _critical("7.2", "furlong")
    assert isinstance(nonsense, Critical)
    assert not nonsense.certain
    assert isinstance(_critical("6.9", status="preliminary"), Critical)
    assert _critical("7.2", status="entered-in-error") is None


def test_children_have_no_limits_and_that_is_said() -> None:
    answer = _critical("7.2", who=CHILD)
    assert isinstance(answer, NotChecked)
    assert "children" in answer.reason
