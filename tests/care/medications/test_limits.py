"""Dose, kidney, age and pregnancy; and NOT CHECKED where a fact is missing."""

from __future__ import annotations

import pytest

from tests.care.medications.records import (
    creatinine,
    dosed,
    measured,
    med,
    ordered,
    patient,
    pregnant,
    reviewed,
    rules,
    weight,
)

WOMAN = patient("1996-05-10", "female")
CHILD = patient("2023-11-01", "female")


def test_four_grams_of_acetaminophen() -> None:
    assert "acetaminophen-day" not in rules(ordered(dosed("acetaminophen", 1000, "mg", 4)))
    found = rules(ordered(dosed("acetaminophen", 1000, "mg", 5)))["acetaminophen-day"]
    assert found.tier == "interrupt"
    assert found.title == "Acetaminophen 5000 mg a day, at most 4000"


def test_methotrexate_is_weekly() -> None:
    assert (
        rules(ordered(med("Methotrexate 2.5 MG Oral Tablet", "4 tablets daily")))["methotrexate-weekly"].tier
        == "interrupt"
    )
    assert "methotrexate-weekly" not in rules(
        ordered(med("Methotrexate 2.5 MG Oral Tablet", "4 tablets once weekly"))
    )
    assert any(
        "how often" in line or "text" in line
        for line in ordered(med("Methotrexate 2.5 MG Oral Tablet", "4 tablets")).lines
    )


def test_methotrexate_without_a_route_is_not_exempt() -> None:
    assert (
        "NOT CHECKED: dose of methotrexate: the route is not recorded"
        in ordered(dosed("methotrexate", 10, "mg")).lines
    )


@pytest.mark.parametrize(
    ("born", "mg", "rule"), [("1990-01-01", 60, "citalopram-day"), ("1960-01-01", 40, "citalopram-60")]
)
def test_citalopram_by_age(born, mg, rule) -> None:
    assert list(rules(ordered(dosed("citalopram", mg, "mg"), who=patient(born)), "dose")) == [rule]
    assert not rules(ordered(dosed("citalopram", mg / 2, "mg"), who=patient(born)), "dose")


def test_micrograms_and_milligrams() -> None:
    slip = rules(ordered(dosed("levothyroxine", 75, "mg")))["levothyroxine-unit"]
    assert "slip of the decimal point or the unit" in slip.title
    assert not rules(ordered(dosed("levothyroxine", 75, "ug")), "dose")


def test_a_child_by_weight() -> None:
    right = dosed("acetaminophen", 180, "mg", 4)
    assert not rules(ordered(right, weight(12), who=CHILD), "dose")
    tenfold = rules(ordered(dosed("acetaminophen", 1800, "mg", 4), weight(12), who=CHILD))
    assert tenfold["acetaminophen-child"].tier == "interrupt"
    assert "slip of the decimal point" in tenfold["acetaminophen-child-single"].title


@pytest.mark.parametrize("when", ["", "2026-05-01"])
def test_a_child_without_a_recent_weight_is_not_checked(when) -> None:
    known = [weight(12, when)] if when else []
    assert (
        "NOT CHECKED: dose of acetaminophen: no recent weight"
        in ordered(dosed("acetaminophen", 180, "mg", 4), *known, who=CHILD).lines
    )


def test_without_a_birth_date_no_age_limit_is_skipped() -> None:
    found = ordered(dosed("codeine", 30, "mg", 4), who=patient(""))
    assert "NOT CHECKED: age limit of codeine: the date of birth is not known" in found.lines


def test_codeine_under_twelve() -> None:
    assert rules(ordered(med("codeine"), who=CHILD))["codeine-12"].tier == "interrupt"
    assert not rules(ordered(med("codeine"), who=patient("1990-01-01")), "age")


def test_a_drug_that_lowers_the_limit() -> None:
    assert "simvastatin-diltiazem" in rules(ordered(dosed("simvastatin", 20, "mg"), med("diltiazem")))
    assert "simvastatin-diltiazem" not in rules(ordered(dosed("simvastatin", 20, "mg")))


def test_a_drug_without_a_limit_in_the_pack_says_so() -> None:
    assert (
        "NOT CHECKED: dose of loratadine: the pack has no limit for it"
        in ordered(dosed("loratadine", 10, "mg")).lines
    )


def test_one_ingredient_in_several_products_is_added_up() -> None:
    tylenol = dosed("Acetaminophen 500 MG Oral Tablet", 2, "{tbl}", 3)
    percocet = dosed("Acetaminophen 325 MG / Oxycodone 5 MG Oral Tablet", 1, "{tbl}", 4)
    found = [a for a in ordered(percocet, tylenol).alerts if a.rule == "acetaminophen-day"]
    assert [a.title for a in found] == ["Acetaminophen together 4300 mg a day, at most 4000"]
    assert found[0].tier == "interrupt"
    assert len(found[0].facts) == 2
    assert not [
        a
        for a in ordered(percocet, dosed("acetaminophen", 500, "mg", 4)).alerts
        if a.rule == "acetaminophen-day"
    ]


def test_a_sum_with_an_unknown_part_is_not_checked() -> None:
    found = ordered(dosed("acetaminophen", 500, "mg", 4), med("Tylenol", "as directed"))
    assert any("all acetaminophen together: Tylenol" in line for line in found.lines)


# ---- kidney -----------------------------------------------------------------------------------------------------


def test_metformin_by_egfr() -> None:
    found = rules(ordered(med("metformin"), creatinine(3.0)))
    assert found["metformin-30"].tier == "interrupt"
    assert any("creatinine 3 mg/dL on 01-Oct-2026" in one.text for one in found["metformin-30"].facts)
    assert not rules(ordered(med("metformin"), creatinine(1.0)), "renal")


def test_a_reported_egfr_is_used_unless_creatinine_is_newer() -> None:
    reported = measured("33914-3", 25, "mL/min/{1.73_m2}", "2026-09-01")
    assert "metformin-30" in rules(ordered(med("metformin"), reported))
    assert "metformin-30" not in rules(ordered(med("metformin"), reported, creatinine(1.0, "2026-10-01")))


@pytest.mark.parametrize(
    "known",
    [
        [],
        [creatinine(3.0, "2025-01-01")],  # too old
        [measured("2160-0", 3.0, "stone")],  # no such unit
        [measured("2160-0", 3.0, "mg/dL", status="entered-in-error")],
        [measured("2160-0", 3.0, "mg/dL", "2027-01-01")],  # in the future
    ],
)
def test_no_usable_creatinine_is_not_checked(known) -> None:
    found = ordered(med("metformin"), *known)
    assert "NOT CHECKED: kidney limit of metformin: no creatinine and no eGFR within 12 months" in found.lines
    assert not rules(found, "renal")


def test_a_newest_result_that_is_no_number_hides_no_older_one() -> None:
    newest = measured(
        "33914-3",
        15,
        "mL/min/{1.73_m2}",
        valueQuantity={"value": 15, "code": "mL/min/{1.73_m2}", "comparator": "<"},
    )
    older = measured("33914-3", 80, "mL/min/{1.73_m2}", "2026-01-01")
    assert any("kidney limit of metformin" in line for line in ordered(med("metformin"), older, newest).lines)


def test_clearance_needs_weight_too() -> None:
    found = ordered(med("dabigatran"), creatinine(4.0), who=patient("1946-05-10"))
    assert "NOT CHECKED: kidney limit of dabigatran: no weight within 12 months" in found.lines
    whole = ordered(med("dabigatran"), creatinine(4.0), weight(70), who=patient("1946-05-10"))
    assert {"dabigatran-15", "dabigatran-30"} & rules(whole).keys()


def test_a_child_has_no_egfr_by_an_adult_formula() -> None:
    assert any(
        "outside the range" in line for line in ordered(med("metformin"), creatinine(0.4), who=CHILD).lines
    )


# ---- pregnancy --------------------------------------------------------------------------------------------------


def test_pregnancy_known() -> None:
    assert rules(ordered(med("lisinopril"), pregnant(), who=WOMAN))["raas-pregnant"].tier == "interrupt"
    assert (
        rules(ordered(med("valproate"), pregnant("O10.919"), who=WOMAN))["valproate-pregnant"].tier
        == "passive"
    )  # not reviewed


@pytest.mark.parametrize(
    "known",
    [
        [],
        [pregnant(since="2025-11-01")],
        [pregnant(clinical="resolved")],
        [pregnant("O80")],
        [pregnant("O03.9")],
    ],
    ids=["nothing recorded", "older than 45 weeks", "ended", "a delivery", "a loss"],
)
def test_pregnancy_not_known(known) -> None:
    found = ordered(med("lisinopril"), *known, who=WOMAN)
    assert not rules(found, "pregnancy")
    assert "NOT CHECKED: lisinopril in pregnancy: pregnancy is not known" in found.lines


def test_not_pregnant_as_recorded_holds_six_weeks() -> None:
    def said(when: str) -> dict:
        answer = {"coding": [{"system": "http://snomed.info/sct", "code": "60001007"}]}
        return measured("82810-3", 0, "", when, valueQuantity=None, valueCodeableConcept=answer)

    recent = {k: v for k, v in said("2026-11-10").items() if v is not None}
    older = {k: v for k, v in said("2026-09-01").items() if v is not None}
    assert not any(
        "pregnancy" in one.what for one in ordered(med("lisinopril"), recent, who=WOMAN).not_checked
    )
    assert any("pregnancy" in one.what for one in ordered(med("lisinopril"), older, who=WOMAN).not_checked)


def test_men_and_those_past_it_are_not_asked() -> None:
    for who in (patient("1996-05-10", "male"), patient("1950-05-10", "female")):
        assert not any("pregnancy" in line for line in ordered(med("lisinopril"), who=who).lines)
    assert any(
        "pregnancy" in line for line in ordered(med("lisinopril"), who=patient("1996-05-10", "")).lines
    )


def test_breastfeeding_is_said_to_be_unknown_once() -> None:
    found = reviewed(med("lithium"), med("codeine"), who=WOMAN)
    assert sum("Breastfeeding" in line for line in found.lines) == 1
    assert not any("Breastfeeding" in line for line in reviewed(med("codeine"), who=CHILD).lines)


# ---- opioids together -------------------------------------------------------------------------------------------


def test_opioids_are_counted_together() -> None:
    one, other = dosed("oxycodone", 10, "mg", 2), dosed("tramadol", 50, "mg", 3)
    assert "opioid-load" in rules(ordered(one, other))  # 30 + 30
    assert "opioid-load" not in rules(ordered(one))
    patch = med("fentanyl 25 MCG/HR transdermal patch")
    assert rules(reviewed(patch))["opioid-load"].title == "Opioids together 60 MME a day"


def test_an_opioid_without_a_dose_leaves_the_sum_unchecked() -> None:
    found = ordered(dosed("oxycodone", 10, "mg", 2), med("codeine"))
    assert any(
        "morphine equivalents of all opioids: missing daily dose of codeine" in line for line in found.lines
    )
