"""Inputs of calculators out of a chart: the newest that may be used, what is passed over, and what nobody recorded."""

from __future__ import annotations

from datetime import date
from decimal import Decimal
from typing import Any

from commonchart.care.calculators.catalogue import CALCULATORS, observation, why_not_kept
from commonchart.care.calculators.from_fhir import Inputs, inputs
from commonchart.care.calculators.sheet import Given, Result
from commonchart.care.rules import built_in
from commonchart.fhir.validate import validate
from tests.care.cases import DIABETES, TODAY, condition, patient
from tests.care.cases import observation as measured

CREATININE = measured("2160-0", "2026-10-01", Decimal("0.9"), "mg/dL")
BY_ID = {one.id: one for one in CALCULATORS}


def known(*resources: dict[str, Any], doubted: tuple[str, ...] = (), **who: Any) -> Inputs:
    return inputs(patient(**who), resources, built_in(), TODAY, doubted)


def run(id: str, given: Inputs, race: Given | None = None) -> Result:
    return BY_ID[id].run(given, race, TODAY)


def test_the_newest_value_is_taken_and_a_doubted_one_passed_over_by_name() -> None:
    newer = measured("2160-0", "2026-11-01", Decimal("9.9"), "mg/dL")
    assert known(CREATININE, newer).numbers["creatinine"].value == Decimal("9.9")
    ref = f"Observation/{newer['id']}"
    found = known(CREATININE, newer, doubted=(ref,))
    assert found.numbers["creatinine"].value == Decimal("0.9")
    assert found.passed == {"creatinine": ref}


def test_the_future_and_errors_are_no_inputs() -> None:
    late = measured("2160-0", "2026-12-01", 2, "mg/dL")
    wrong = measured("2160-0", "2026-11-01", 2, "mg/dL", status="entered-in-error")
    assert known(late, wrong).numbers == {}


def test_a_problem_says_yes_and_its_absence_says_nothing() -> None:
    assert known(condition(DIABETES)).truths["diabetes"].value is True
    assert "diabetes" not in known().truths
    assert run("cha2ds2-vasc", known(condition(DIABETES))).problem.startswith(
        "cannot compute: missing heart failure"
    )


def test_without_birth_date_or_sex_nothing_is_guessed() -> None:
    found = known(CREATININE, born="", sex="")
    assert found.problems
    assert run("egfr", found).problem == "cannot compute: missing sex, date of birth"


def test_outside_its_range_a_formula_refuses() -> None:
    assert "age 18 to 120" in run("egfr", known(CREATININE, born="2015-01-01")).problem


def test_an_answer_is_kept_with_what_it_is_derived_from() -> None:
    found = run("egfr", known(CREATININE))
    assert why_not_kept(found) == ""
    made = observation(BY_ID["egfr"], found, "p", "2026-11-18T10:00:00+00:00")
    assert made["derivedFrom"] == [{"reference": f"Observation/{CREATININE['id']}"}]
    assert made["effectiveDateTime"] == "2026-10-01"
    assert "CKD-EPI 2021" in made["method"]["text"]
    assert "formula version" in made["method"]["text"]
    assert validate(made).rtype == "Observation"


def test_an_answer_from_a_typed_number_is_not_kept() -> None:
    typed = Inputs({"creatinine": Given(Decimal(1), "mg/dL")}, {}, Given("female"), date(1970, 5, 10))
    assert "creatinine is not in the record" in why_not_kept(run("egfr", typed))
    assert why_not_kept(run("egfr", known())) == "there is no answer"
