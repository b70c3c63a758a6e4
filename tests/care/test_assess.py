"""The first pack at its edges: ages, intervals, results, exclusions, missing data; and that stored dates stay right."""

from __future__ import annotations

from datetime import date, timedelta

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from commonchart.care.assess import STATUSES
from commonchart.care.rules import built_in
from tests.care.cases import (
    DIABETES,
    ICD,
    LOINC,
    SCT,
    TODAY,
    condition,
    due,
    every,
    observation,
    patient,
    pressure,
    procedure,
    report,
)

MAMMOGRAM = "24606-6"


def test_every_rule_answers_once_with_a_known_status_and_a_reason() -> None:
    answers = every()
    assert [a.rule for a in answers] == [r.id for r in built_in().rules]
    for answer in answers:
        assert answer.status in STATUSES
        assert answer.why["because"]
        assert answer.why["authority"]
        assert answer.why["exclusions"]


def test_nobody_who_has_died_is_due_for_anything() -> None:
    assert every(who=patient(deceasedDateTime="2026-01-01")) == []
    assert every(who=patient(deceasedBoolean=True)) == []
    assert every(who=patient(deceasedDateTime="2027-01-01")) != []


@pytest.mark.parametrize(
    ("born", "status"),
    [
        ("1986-11-19", "not-applicable"),
        ("1986-11-18", "due"),
        ("1952-11-19", "overdue"),
        ("1951-11-18", "not-applicable"),
    ],
)
def test_breast_screening_begins_at_40_and_ends_after_74(born: str, status: str) -> None:
    assert due("breast", who=patient(born)).status == status


def test_the_day_somebody_comes_of_age_is_the_next_change() -> None:
    assert due("breast", who=patient("1986-11-19")).next_change_on == date(2026, 11, 19)


@pytest.mark.parametrize(
    ("when", "status"),
    [
        ("2026-10-01", "up-to-date"),
        ("2024-11-19", "due-soon"),
        ("2024-11-18", "due"),
        ("2024-08-21", "due"),
        ("2024-08-20", "overdue"),
    ],
)
def test_a_mammogram_counts_24_months_to_the_day(when: str, status: str) -> None:
    assert due("breast", report(MAMMOGRAM, when, "BI-RADS 1: negative")).status == status


def test_what_would_satisfy_a_rule_is_said_once() -> None:
    """An eye examination counts as a procedure and as an observation alike: two ways in the rule, one for who reads it."""
    answer = due("eye-diabetes", condition(DIABETES))
    assert answer.why["satisfied_by"] == "Retinal examination (counts 1 year)"


@pytest.mark.parametrize("words", ["BI-RADS 4: suspicious", "Abnormal", "malignant"])
def test_a_bad_mammogram_opens_a_follow_up_instead(words: str) -> None:
    answer = due("breast", report(MAMMOGRAM, "2026-10-01", words))
    assert answer.status == "due"
    assert answer.due_on == date(2026, 10, 1)
    assert "biopsy" in answer.why["satisfied_by"].lower()
    closed = due(
        "breast",
        report(MAMMOGRAM, "2026-10-01", words),
        report("10193-1", "2026-10-20", "benign"),
        report(MAMMOGRAM, "2026-10-21", "negative"),
    )
    assert closed.status == "up-to-date"


@pytest.mark.parametrize("status", ["preliminary", "entered-in-error", "cancelled", "registered"])
def test_what_is_not_final_does_not_count_and_says_so(status: str) -> None:
    answer = due("breast", report(MAMMOGRAM, "2026-10-01", status=status))
    assert answer.status == "overdue"
    assert answer.why["unused"][0]["reason"]


def test_what_is_dated_in_the_future_does_not_count_until_then() -> None:
    answer = due("breast", report(MAMMOGRAM, "2026-12-01", "negative"))
    assert answer.status == "overdue"
    assert answer.next_change_on == date(2026, 12, 1)
    assert (
        due("breast", report(MAMMOGRAM, "2026-12-01", "negative"), on=date(2026, 12, 1)).status
        == "up-to-date"
    )


def test_sex_is_asked_when_it_is_not_known_and_a_conflict_is_said() -> None:
    assert due("breast", who=patient(sex="")).status == "cannot-tell"
    birth = {"url": "http://hl7.org/fhir/us/core/StructureDefinition/us-core-birthsex", "valueCode": "F"}
    conflict = due("breast", who=patient(sex="male", extension=[birth]))
    assert conflict.status == "cannot-tell"
    assert "disagrees" in conflict.why["because"]
    assert due("breast", who=patient(sex="male")).status == "not-applicable"


@pytest.mark.parametrize("born", ["", "1970", "1970-05"])
def test_without_a_whole_birth_date_everything_is_cannot_tell(born: str) -> None:
    assert {a.status for a in every(who=patient(born))} == {"cannot-tell"}


def test_hospice_and_palliative_care_exclude_everywhere() -> None:
    answers = every(condition((ICD, "Z51.5"), text="In hospice care"))
    asked = {a.status for a in answers if a.status != "not-applicable"}
    assert asked == {"excluded"}


@pytest.mark.parametrize(
    ("code", "status"), [("Z90.710", "excluded"), ("Z90.712", "excluded"), ("Z90.711", "overdue")]
)
def test_only_an_absent_cervix_excludes(code: str, status: str) -> None:
    assert due("cervical-30", condition((ICD, code))).status == status


def test_hpv_counts_only_from_30_and_for_five_years() -> None:
    young = patient("1995-11-18")
    early = observation("82675-0", "2025-10-01", words="Not detected")
    late = observation("82675-0", "2025-12-01", words="Not detected")
    assert due("cervical-30", early, who=young).status != "up-to-date"
    assert due("cervical-30", late, who=young).status == "up-to-date"
    assert due("cervical-30", late, who=young).until == date(2030, 12, 1)


@pytest.mark.parametrize(
    ("words", "status"),
    [
        ("Negative", "up-to-date"),
        ("Not detected", "up-to-date"),
        ("POSITIVE", "due"),
        ("Inadequate sample", "overdue"),
        ("", "cannot-tell"),
        ("see letter", "cannot-tell"),
    ],
)
def test_a_stool_test_is_read_not_only_dated(words: str, status: str) -> None:
    assert due("colorectal", observation("29771-3", "2026-10-01", words=words)).status == status


def test_a_colonoscopy_closes_a_positive_stool_test() -> None:
    positive = observation("29771-3", "2026-05-01", words="Positive")
    scope = procedure(SCT, "73761001", "2026-06-01")
    answer = due("colorectal", positive, scope)
    assert (answer.status, answer.until) == ("up-to-date", date(2036, 6, 1))


def test_the_test_that_lasts_longest_counts() -> None:
    scope, stool = (
        procedure(SCT, "73761001", "2019-03-01"),
        observation("29771-3", "2026-10-01", words="Negative"),
    )
    assert due("colorectal", stool, scope).until == date(2029, 3, 1)


def test_a_failed_colonoscopy_does_not_count() -> None:
    assert (
        due(
            "colorectal", procedure(SCT, "73761001", "2026-06-01", outcome="Incomplete, failed preparation")
        ).status
        == "overdue"
    )
    assert due("colorectal", procedure(SCT, "73761001", "2026-06-01", status="not-done")).status == "overdue"


@pytest.mark.parametrize("code", ["C18.9", "Z86.010", "K51.90", "Z85.038"])
def test_raised_bowel_risk_is_another_path(code: str) -> None:
    assert due("colorectal", condition((ICD, code))).status == "excluded"


def test_once_is_enough_for_hiv_and_hepatitis_c() -> None:
    answer = due("hiv-screen", observation("75622-1", "2004-01-01", words="Negative"))
    assert (answer.status, answer.until) == ("up-to-date", None)
    reactive = due("hepatitis-c-screen", observation("16128-1", "2026-10-01", words="Reactive"))
    assert reactive.status == "due"
    assert due("hiv-screen", condition((ICD, "B20"))).status == "excluded"


@pytest.mark.parametrize(("born", "status"), [("1990-01-01", "up-to-date"), ("1980-01-01", "overdue")])
def test_blood_pressure_is_checked_more_often_from_40(born: str, status: str) -> None:
    assert due("blood-pressure-screen", pressure(118, 70, "2024-10-01"), who=patient(born)).status == status


def test_turning_40_changes_the_interval() -> None:
    answer = due("blood-pressure-screen", pressure(118, 70, "2025-10-01"), who=patient("1987-02-01"))
    assert answer.status == "up-to-date"
    assert answer.next_change_on == date(2027, 2, 1)
    assert (
        due(
            "blood-pressure-screen",
            pressure(118, 70, "2025-10-01"),
            who=patient("1987-02-01"),
            on=date(2027, 2, 1),
        ).status
        == "overdue"
    )


@pytest.mark.parametrize(
    ("bmi", "status"),
    [(None, "cannot-tell"), ("31.0", "overdue"), ("24.0", "cannot-tell"), ("22.9", "not-applicable")],
)
def test_diabetes_screening_depends_on_a_body_mass_index(bmi: str | None, status: str) -> None:
    from decimal import Decimal

    facts = [observation("39156-5", "2026-01-01", Decimal(bmi), "kg/m2")] if bmi else []
    assert due("diabetes-screen", *facts).status == status


def test_random_glucose_does_not_screen_for_diabetes() -> None:
    bmi = observation("39156-5", "2026-01-01", 31, "kg/m2")
    assert due("diabetes-screen", bmi, observation("2345-7", "2026-10-01", 90, "mg/dL")).status == "overdue"
    assert (
        due("diabetes-screen", bmi, observation("1558-6", "2026-10-01", 90, "mg/dL")).status == "up-to-date"
    )


# ---- monitoring ------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("value", "until"), [("6.9", date(2027, 4, 1)), ("7.0", date(2027, 1, 1)), ("9.1", date(2027, 1, 1))]
)
def test_a1c_is_repeated_sooner_above_its_target(value: str, until: date) -> None:
    from decimal import Decimal

    answer = due("a1c", condition(DIABETES), observation("4548-4", "2026-10-01", Decimal(value), "%"))
    assert answer.until == until
    assert "target < 7.0" in answer.why["because"]


@pytest.mark.parametrize("code", [(SCT, "44054006"), (ICD, "E10.65"), (ICD, "E1122")])
def test_diabetes_is_known_in_every_code_system(code: tuple[str, str]) -> None:
    assert due("a1c", condition(code)).status == "overdue"


def test_an_uncoded_problem_is_asked_about_never_taken_for_none() -> None:
    answer = due("a1c", condition(text="Sugar trouble"))
    assert answer.status == "cannot-tell"
    assert "diabetes" in answer.why["question"].lower()
    assert due("a1c", condition(("urn:local", "S1"), text="Sugar trouble")).status == "cannot-tell"
    assert due("a1c", condition((ICD, "M54.5"), text="Back pain")).status == "not-applicable"


@pytest.mark.parametrize(
    ("verified", "status"),
    [
        ("refuted", "not-applicable"),
        ("entered-in-error", "not-applicable"),
        ("provisional", "cannot-tell"),
        ("confirmed", "overdue"),
    ],
)
def test_only_a_confirmed_condition_is_monitored(verified: str, status: str) -> None:
    assert due("a1c", condition(DIABETES, verified=verified)).status == status


def test_resolved_conditions_are_not_monitored() -> None:
    assert due("a1c", condition(DIABETES, clinical="resolved")).status == "not-applicable"


@pytest.mark.parametrize(
    ("value", "unit", "status"),
    [
        (84, "%", "overdue"),
        (8, "", "cannot-tell"),
        (8, "g/dL", "cannot-tell"),
        (53, "mmol/mol", "up-to-date"),
    ],
)
def test_what_cannot_be_read_is_not_in_range(value: int, unit: str, status: str) -> None:
    assert (
        due(
            "a1c", condition(DIABETES, since="2014-01-01"), observation("4548-4", "2026-10-01", value, unit)
        ).status
        == status
    )


def test_an_implausible_value_is_shown_as_not_used() -> None:
    answer = due("a1c", condition(DIABETES), observation("4548-4", "2026-10-01", 84, "%"))
    assert "implausible" in answer.why["unused"][0]["reason"]


@pytest.mark.parametrize(
    ("comparator", "value", "status"),
    [(">", 14, "up-to-date"), (">", 5, "cannot-tell"), ("<", 5, "up-to-date")],
)
def test_comparators_are_results(comparator: str, value: int, status: str) -> None:
    assert (
        due(
            "a1c", condition(DIABETES), observation("4548-4", "2026-11-01", value, "%", comparator=comparator)
        ).status
        == status
    )


def test_a_blood_pressure_is_a_pair() -> None:
    high = due("blood-pressure", condition((ICD, "I10")), pressure(146, 78, "2026-11-01"))
    assert high.until == date(2026, 12, 1)
    assert "outside" in high.why["because"]
    fine = due("blood-pressure", condition((SCT, "38341003")), pressure(129, 79, "2026-11-01"))
    assert fine.until == date(2027, 5, 1)
    half = due("blood-pressure", condition((ICD, "I10")), observation("8480-6", "2026-11-01", 120, "mm[Hg]"))
    assert half.status == "cannot-tell"


def test_filtration_without_body_surface_is_another_measurement() -> None:
    answer = due("egfr", condition(DIABETES), observation("98979-8", "2026-10-01", 80, "mL/min"))
    assert answer.status == "cannot-tell"


def test_a_corrected_result_is_used_and_an_error_is_not() -> None:
    from decimal import Decimal

    right = observation("4548-4", "2026-11-01", Decimal("6.5"), "%", status="corrected")
    wrong = observation("4548-4", "2026-11-10", Decimal("12.0"), "%", status="entered-in-error")
    assert due("a1c", condition(DIABETES), right, wrong).until == date(2027, 5, 1)


# ---- the promise of stored dates -------------------------------------------------------------------------------

_FACTS = st.lists(
    st.one_of(
        st.builds(
            lambda d, w: report(MAMMOGRAM, d, w),
            st.dates(date(2015, 1, 1), date(2028, 1, 1)).map(str),
            st.sampled_from(["negative", "BI-RADS 4", ""]),
        ),
        st.builds(
            lambda d: procedure(SCT, "73761001", d), st.dates(date(2010, 1, 1), date(2028, 1, 1)).map(str)
        ),
        st.builds(
            lambda d, v: observation("4548-4", d, v, "%"),
            st.dates(date(2020, 1, 1), date(2028, 1, 1)).map(str),
            st.integers(4, 14),
        ),
        st.builds(
            lambda d, w: observation("29771-3", d, words=w),
            st.dates(date(2020, 1, 1), date(2028, 1, 1)).map(str),
            st.sampled_from(["Negative", "Positive", "?"]),
        ),
        st.builds(lambda d: pressure(150, 80, d), st.dates(date(2020, 1, 1), date(2028, 1, 1)).map(str)),
        st.just(condition(DIABETES, since="2020-01-01")),
        st.builds(
            lambda d: condition((ICD, "I10"), since=d), st.dates(date(2020, 1, 1), date(2028, 1, 1)).map(str)
        ),
    ),
    max_size=8,
)


@given(
    _FACTS,
    st.dates(date(1940, 1, 1), date(2015, 1, 1)).map(str),
    st.sampled_from(["female", "male"]),
    st.integers(1, 900),
)
@settings(max_examples=150, deadline=None, suppress_health_check=[HealthCheck.too_slow])
def test_an_answer_stays_right_until_its_next_change(
    facts: list[dict[str, object]], born: str, sex: str, days: int
) -> None:
    who, later = patient(born, sex), TODAY + timedelta(days=days)
    now = {a.rule: a for a in every(*facts, who=who)}
    then = {a.rule: a for a in every(*facts, who=who, on=later)}
    for rule, answer in now.items():
        if answer.next_change_on is None or later < answer.next_change_on:
            assert then[rule].status == answer.status, rule
            assert then[rule].due_on == answer.due_on
        else:
            assert answer.next_change_on > TODAY


@given(_FACTS, st.randoms())
@settings(max_examples=60, deadline=None)
def test_the_order_of_facts_does_not_matter(facts: list[dict[str, object]], random: object) -> None:
    mixed = list(facts)
    random.shuffle(mixed)  # type: ignore[attr-defined]
    assert [(a.status, a.due_on) for a in every(*facts)] == [(a.status, a.due_on) for a in every(*mixed)]


def test_codes_are_compared_whole_but_icd10_by_prefix() -> None:
    pack = built_in()
    assert pack.holds("diabetes", frozenset({("icd10", "E11.65")}))
    assert not pack.holds("diabetes", frozenset({("icd10", "E16.2")}))
    assert not pack.holds("a1c", frozenset({("loinc", "4548-40")}))
    assert LOINC.endswith("loinc.org")
