"""Units, comparators, words and duplicates: each trap of the clinical corrections."""

from __future__ import annotations

from decimal import Decimal

import pytest

from commonchart.care.accuracy import measured, quotients, series
from commonchart.care.evidence import Evidence, Fact
from commonchart.care.facts import evidence
from commonchart.care.results import under, within
from commonchart.care.rules import built_in
from tests.care.cases import observation


def _fact(value: str, unit: str, comparator: str = "", words: str = "") -> Fact:
    number = Decimal(value) if value else None
    return Fact(
        "observation", frozenset(), "A test", None, "", "Observation/1", value=number, unit=unit, comparator=comparator, words=words
    )  # fmt: skip


def _read(analyte: str, value: str, unit: str) -> Decimal | None:
    return measured(built_in().analytes[analyte], _fact(value, unit)).value


@pytest.mark.parametrize(
    ("analyte", "value", "unit", "expected"),
    [
        ("a1c", "53", "mmol/mol", "7.0"),  # UCUM alone says 5.3
        ("magnesium", "2.0", "meq/L", "2.4"),  # valence 2
        ("calcium", "5.0", "mEq/L", "10.0"),
        ("potassium", "4.1", "meq/L", "4.1"),  # valence 1
        ("glucose", "5.6", "mmol/L", "100.9"),
        ("fasting-glucose", "7.0", "mmol/L", "126.1"),
        ("uacr", "3.4", "mg/mmol", "30.1"),
        ("triglycerides", "1.7", "mmol/L", "150.6"),
        ("total-cholesterol", "5.2", "mmol/L", "201.1"),
        ("ldl", "1.8", "mmol/L", "69.6"),
        ("creatinine", "88.4", "umol/L", "1.0"),
        ("egfr", "59", "mL/min/1.73.m2", "59.0"),  # UCUM reads another dimension
        ("haemoglobin", "140", "g/L", "14.0"),
        ("weight", "154", "[lb_av]", "69.9"),
        ("temperature", "98.6", "[degF]", "37.0"),
        ("platelets", "140", "10*9/L", "140.0"),
        ("neutrophils", "1500", "/uL", "1.5"),
    ],
)
def test_a_unit_of_the_analyte_is_converted(analyte: str, value: str, unit: str, expected: str) -> None:
    found = _read(analyte, value, unit)
    assert found is not None
    assert found.quantize(Decimal("0.1")) == Decimal(expected)


@pytest.mark.parametrize(
    ("analyte", "unit"),
    [
        ("a1c", "mmol/L"), ("hbv-dna", "{copies}/mL"), ("hiv-viral-load", "[IU]/mL"), ("egfr", "mL/min"), ("glucose", "mg/L"),
        ("magnesium", "g/L"), ("calcium", ""), ("potassium", "mg/dL"), ("uacr", "mg/L"), ("inr", "s"),
    ],
)  # fmt: skip
def test_any_other_unit_cannot_be_read(analyte: str, unit: str) -> None:
    one = measured(built_in().analytes[analyte], _fact("5", unit))
    assert one.value is None
    assert one.problem == (f"unit {unit}" if unit else "no unit")
    assert one.raw == 5


def test_factors_of_triglycerides_and_cholesterol_are_those_of_the_corrections() -> None:
    analytes = built_in().analytes
    for name, factor in (("triglycerides", "0.01129"), ("total-cholesterol", "0.02586")):
        assert abs(analytes[name].factors["mmol/L"] * Decimal(factor) - 1) < Decimal("0.001")


@pytest.mark.parametrize(
    ("analyte", "words", "limit", "above"),
    [("egfr", ">60", "60", True), ("a1c", ">14", "14", True), ("hiv-viral-load", "<20", "20", False),
     ("hiv-viral-load", "Not detected", "20", False), ("tsh", "<0.01", "0.01", False)],
)  # fmt: skip
def test_words_that_the_analyte_defines_are_limits(analyte: str, words: str, limit: str, above: bool) -> None:
    one = measured(built_in().analytes[analyte], _fact("", "", words=words))
    assert (one.value, one.at_least, one.at_most) == (Decimal(limit), above, not above)


@pytest.mark.parametrize("words", ["see report", "hemolyzed", "normal", ">", "Yes"])
def test_other_words_are_no_number(words: str) -> None:
    assert (
        measured(built_in().analytes["potassium"], _fact("", "", words=words)).problem == "a result in words"
    )


@pytest.mark.parametrize(
    ("value", "comparator", "limit", "included", "expected"),
    [
        ("5", "", "5", False, False), ("5", "", "5", True, True), ("5", "<", "5", False, True), ("5", "<=", "5", False, None),
        ("5", ">", "5", True, False), ("5", ">=", "5", True, None), ("4", ">", "5", False, None), ("6", "<", "5", False, None),
        ("6", ">", "5", False, False), ("4", "<", "5", False, True),
    ],
)  # fmt: skip
def test_a_comparator_decides_only_what_it_decides(
    value: str, comparator: str, limit: str, included: bool, expected: bool | None
) -> None:
    one = measured(built_in().analytes["a1c"], _fact(value, "%", comparator))
    assert under(one, Decimal(limit), included=included) is expected


def test_what_a_comparator_leaves_open_is_never_inside() -> None:
    one = measured(built_in().analytes["egfr"], _fact("60", "mL/min/{1.73_m2}", ">"))
    assert within(one, Decimal(45), None) is True
    assert within(one, Decimal(90), None) is None
    assert within(one, None, Decimal(60)) is False


def _of(*resources: dict[str, object]) -> Evidence:
    return evidence(resources)


def test_one_result_from_two_sources_counts_once_and_names_both() -> None:
    twice = _of(
        observation("2823-3", "2026-10-01T08:00:00Z", Decimal("4.1"), "mmol/L"),
        observation("2823-3", "2026-10-01T08:00:00Z", Decimal("4.10"), "meq/L"),
        observation("2823-3", "2026-10-01T09:00:00Z", Decimal("4.1"), "mmol/L"),
    )
    found = series(built_in(), "potassium", twice.facts)
    assert len(found) == 2
    assert sorted(len(one.also) for one in found) == [0, 1]


def test_two_results_that_differ_stay_two() -> None:
    both = _of(
        observation("2823-3", "2026-10-01T08:00:00Z", Decimal("4.1"), "mmol/L"),
        observation("2823-3", "2026-10-01T08:00:00Z", Decimal("5.9"), "mmol/L"),
    )
    assert len(series(built_in(), "potassium", both.facts)) == 2


def test_albumin_and_creatinine_of_the_same_days_are_a_ratio() -> None:
    pack = built_in()

    def ratio(creatinine_day: str) -> list[Decimal | None]:
        facts = _of(
            observation("14957-5", "2026-10-01", Decimal(60), "mg/L"),
            observation("2161-8", creatinine_day, Decimal(100), "mg/dL"),
        ).facts
        return [one.value for one in quotients(pack, "uacr", facts, facts)]

    assert ratio("2026-10-05") == [Decimal(60)]
    assert ratio("2026-10-06") == []
