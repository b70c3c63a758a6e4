"""Whom a rule is for: anatomy, risks, drugs, conditions; what nobody asked is not known."""

from __future__ import annotations

from datetime import date
from decimal import Decimal
from typing import Any

import pytest

from commonchart.care.evidence import QUESTION_SYSTEM
from commonchart.care.facts import QUESTIONNAIRE
from tests.care.cases import (
    DIABETES,
    ICD,
    LOINC,
    SCT,
    concept,
    condition,
    due,
    every,
    observation,
    patient,
    pressure,
    procedure,
)

_US = "http://hl7.org/fhir/us/core/StructureDefinition"
BIRTH_F = {"url": f"{_US}/us-core-birthsex", "valueCode": "F"}
CLINICAL_F = {
    "url": "http://hl7.org/fhir/StructureDefinition/patient-sexParameterForClinicalUse",
    "extension": [{"url": "value", "valueCodeableConcept": {"coding": [{"code": "female-typical"}]}}],
}


def answered(when: str = "2026-11-01", status: str = "completed", **answers: bool) -> dict[str, Any]:
    items = [
        {"linkId": name.replace("_", "-"), "answer": [{"valueBoolean": yes}]} for name, yes in answers.items()
    ]
    return {
        "resourceType": "QuestionnaireResponse", "id": "qr", "status": status, "questionnaire": f"{QUESTIONNAIRE}pre-visit|1",
        "authored": when, "item": items,
    }  # fmt: skip


def drug(
    code: str = "", text: str = "", since: str = "2026-11-01", status: str = "active", **more: Any
) -> dict[str, Any]:
    codes = [("http://www.nlm.nih.gov/research/umls/rxnorm", code)] if code else []
    return {
        "resourceType": "MedicationRequest", "id": f"rx{code}{text}{since}", "status": status, "intent": "order", "authoredOn": since,
        "medicationCodeableConcept": concept(*codes, text=text),
    } | more  # fmt: skip


def test_the_organ_inventory_goes_before_every_record_of_sex() -> None:
    man = patient(sex="male")
    assert due("cervical-30", who=man).status == "not-applicable"
    assert due("cervical-30", answered(organ_cervix=True), who=man).status == "overdue"
    assert due("cervical-30", answered(organ_cervix=False)).status == "not-applicable"


def test_an_organ_can_also_be_an_observation() -> None:
    said = observation("x") | {"code": concept((QUESTION_SYSTEM, "organ-cervix")), "valueBoolean": True}
    assert due("cervical-30", said, who=patient(sex="male")).status == "overdue"


def test_a_conflict_is_asked_and_the_sex_for_clinical_use_decides_but_shows_it() -> None:
    unclear = due("cervical-30", who=patient(sex="male", extension=[BIRTH_F]))
    assert (unclear.status, unclear.why["asks"]) == ("cannot-tell", ["organ-cervix"])
    decided = due("cervical-30", who=patient(sex="male", extension=[CLINICAL_F]))
    assert decided.status == "overdue"
    assert "disagrees" in decided.why["note"]


SMOKER, FORMER, NEVER = ("LA18976-3", "LA15920-4", "LA18978-9")


def smoking(answer: str, when: str = "2026-10-01") -> dict[str, Any]:
    return observation("72166-2", when) | {"valueCodeableConcept": concept((LOINC, answer))}


@pytest.mark.parametrize(
    ("answer", "status"),
    [("", "cannot-tell"), (NEVER, "not-applicable"), (FORMER, "overdue"), (SMOKER, "overdue")],
)
def test_the_aorta_is_a_matter_of_ever_having_smoked(answer: str, status: str) -> None:
    facts = [smoking(answer)] if answer else []
    assert due("aaa", *facts, who=patient("1956-01-01", "male")).status == status


def test_the_newest_answer_decides() -> None:
    man = patient("1956-01-01", "male")
    assert (
        due("aaa", smoking(NEVER, "2026-01-01"), answered("2026-02-01", ever_smoked=True), who=man).status
        == "overdue"
    )
    assert (
        due("aaa", smoking(NEVER, "2026-03-01"), answered("2026-02-01", ever_smoked=True), who=man).status
        == "not-applicable"
    )


@pytest.mark.parametrize(
    ("packs", "answer", "status"),
    [(19, SMOKER, "not-applicable"), (20, SMOKER, "overdue"), (None, SMOKER, "cannot-tell"), (20, "", "cannot-tell"), (None, NEVER, "not-applicable")],
)  # fmt: skip
def test_lung_screening_needs_pack_years_and_when_it_ended(
    packs: int | None, answer: str, status: str
) -> None:
    facts = [smoking(answer)] if answer else []
    facts += [observation("8664-5", "2026-10-01", packs, "{PackYears}")] if packs else []
    assert due("lung", *facts).status == status


def test_a_drug_is_known_by_its_code_or_by_its_name() -> None:
    for one in (
        drug("11289"),
        drug("855332", "Warfarin Sodium 5 MG Oral Tablet"),
        drug(text="warfarin 5 mg"),
    ):
        assert due("inr", one).status == "overdue"
    assert due("inr", drug("6809", "metformin 500 MG")).status == "not-applicable"


def test_a_drug_without_code_or_known_name_is_not_taken_for_another() -> None:
    answer = due("inr", drug(text="blue pill"))
    assert answer.status == "cannot-tell"
    assert "NOT CHECKED: no code for “blue pill”" in answer.why["because"]


@pytest.mark.parametrize("more", [{"status": "stopped"}, {"status": "entered-in-error"}, {"doNotPerform": True},
                                  {"dosageInstruction": [{"timing": {"repeat": {"boundsPeriod": {"end": "2026-11-10"}}}}]}])  # fmt: skip
def test_only_a_drug_that_is_taken_is_monitored(more: dict[str, Any]) -> None:
    assert due("inr", drug("11289", **more)).status == "not-applicable"


def test_a_drug_behind_a_reference_is_seen() -> None:
    medicine = {
        "resourceType": "Medication",
        "id": "m",
        "code": concept(("http://www.nlm.nih.gov/research/umls/rxnorm", "11289")),
    }
    order = {k: v for k, v in drug("11289").items() if k != "medicationCodeableConcept"}
    assert (
        due("inr", order | {"medicationReference": {"reference": "Medication/m"}}, medicine).status
        == "overdue"
    )


def test_clozapine_is_checked_weekly_then_less_often() -> None:
    def until(begun: str) -> date | None:
        cells = observation("751-8", "2026-11-15", Decimal("3.0"), "10*3/uL")
        return due("clozapine-anc", drug("2626", since=begun), cells).until

    assert until("2026-10-01") == date(2026, 11, 22)
    assert until("2026-03-01") == date(2026, 11, 29)
    assert until("2025-03-01") == date(2026, 12, 13)


@pytest.mark.parametrize(
    ("value", "within"), [("0.9", "alert"), ("1.0", "out"), ("1.4", "out"), ("1.5", "in")]
)
def test_clozapine_is_interrupted_below_1_0(value: str, within: str) -> None:
    cells = observation("751-8", "2026-11-15", Decimal(value), "10*3/uL")
    assert due("clozapine-anc", drug("2626"), cells).within == within


def test_vitamin_b12_after_four_years_of_metformin() -> None:
    assert due("vitamin-b12-metformin", drug("6809", since="2022-11-19")).next_change_on == date(2026, 11, 19)
    assert due("vitamin-b12-metformin", drug("6809", since="2022-11-18")).status != "not-applicable"


def test_a_condition_that_ends_later_still_holds_today() -> None:
    ending = condition(DIABETES) | {"abatementDateTime": "2026-12-01"}
    answer = due("a1c", {k: v for k, v in ending.items() if k != "clinicalStatus"})
    assert (answer.status, answer.next_change_on) == ("overdue", date(2026, 12, 1))


def test_hospice_by_a_visit_lasts_a_year() -> None:
    visit = {
        "resourceType": "Encounter", "id": "h", "status": "finished", "type": [concept((SCT, "305336008"))],
        "period": {"start": "2025-11-01", "end": "2025-11-20"},
    }  # fmt: skip
    answer = due("breast", visit)
    assert (answer.status, answer.next_change_on) == ("excluded", date(2026, 11, 20))
    assert due("breast", visit, on=date(2026, 11, 20)).status == "overdue"


def test_leaving_for_hospice_counts_from_the_day_of_leaving() -> None:
    stay = {
        "resourceType": "Encounter", "id": "h", "status": "finished", "period": {"start": "2026-11-01", "end": "2026-11-20"},
        "hospitalization": {"dischargeDisposition": concept((SCT, "428361000124107"))},
    }  # fmt: skip
    assert due("breast", stay).status == "overdue"
    assert due("breast", stay, on=date(2026, 11, 20)).status == "excluded"


@pytest.mark.parametrize("sides", [("Z90.11",), ("Z90.12",), ("Z90.11", "Z90.12")])
def test_one_breast_left_is_still_screened(sides: tuple[str, ...]) -> None:
    answer = due("breast", *(condition((ICD, code)) for code in sides))
    assert answer.status == ("excluded" if len(sides) == 2 else "overdue")


def test_the_side_of_a_mastectomy_may_be_a_body_site() -> None:
    def removed(site: str) -> dict[str, Any]:
        return procedure(SCT, "172043006", "2020-01-01") | {"bodySite": [concept((SCT, site))]}

    assert due("breast", removed("7771000"), removed("24028007")).status == "excluded"
    assert due("breast", removed("7771000"), removed("7771000")).status == "overdue"


def test_eighteen_belongs_to_adults() -> None:
    child, adult = patient("2008-11-19"), patient("2008-11-18")
    for young, old in (("depression-teen", "depression-adult"), ("anxiety-young", "anxiety-adult"), ("blood-pressure-child", "blood-pressure-screen"),
                       ("well-child", "wellness-young-adult"), ("tobacco-young", "tobacco"), ("bmi-percentile", "bmi")):  # fmt: skip
        of_child, of_adult = ({a.rule: a.status for a in every(who=who)} for who in (child, adult))
        assert (of_child[young] != "not-applicable", of_child[old]) == (True, "not-applicable")
        assert (of_adult[young], of_adult[old] != "not-applicable") == ("not-applicable", True)


def test_who_left_the_nursing_home_is_screened_again() -> None:
    old = patient("1955-05-10")
    home, own = ("160734000", "160943002")

    def lives(code: str, when: str) -> dict[str, Any]:
        return observation("71802-3", when) | {"valueCodeableConcept": concept((SCT, code))}

    assert due("breast", lives(home, "2026-01-01"), who=old).status == "excluded"
    assert due("breast", lives(home, "2026-01-01"), lives(own, "2026-02-01"), who=old).status == "overdue"
    assert due("breast", lives(home, "2026-01-01"), who=patient("1965-05-10")).status == "overdue"


def relative(code: tuple[str, str]) -> dict[str, Any]:
    return {
        "resourceType": "FamilyMemberHistory", "id": f"fh{code[1]}", "status": "completed", "relationship": concept(text="mother"),
        "condition": [{"code": concept(code, text="A disease")}],
    }  # fmt: skip


def allergy(code: str) -> dict[str, Any]:
    return {
        "resourceType": "AllergyIntolerance", "id": "al", "clinicalStatus": concept(("x", "active")), "recordedDate": "2020-01-01",
        "code": concept(("http://www.nlm.nih.gov/research/umls/rxnorm", code)),
    }  # fmt: skip


def test_a_relatives_disease_is_not_the_patients() -> None:
    assert due("breast", relative((ICD, "C50.9"))).status == "overdue"
    assert due("colorectal", relative((ICD, "C18.9"))).status == "overdue"
    assert due("a1c", relative(DIABETES)).status == "not-applicable"
    assert due("brca").status == "cannot-tell"
    assert due("brca", relative((ICD, "C50.9"))).status == "overdue"


def test_an_allergy_is_no_taking_and_a_taking_no_allergy() -> None:
    from tests.care.test_pregnancy import WHO, pregnant

    asked = [*pregnant(20), answered(pre_eclampsia_risk=True)]
    assert due("pre-eclampsia-aspirin", *asked, who=WHO).status == "overdue"
    assert due("pre-eclampsia-aspirin", *asked, drug("1191"), who=WHO).status == "up-to-date"
    assert due("pre-eclampsia-aspirin", *asked, allergy("1191"), who=WHO).status == "excluded"
    assert due("inr", allergy("11289")).status == "not-applicable"


@pytest.mark.parametrize(
    ("rule", "to", "code"),
    [("colorectal", "colorectal-surveillance", "Z86.010"), ("breast", "breast-surveillance", "Z85.3"),
     ("cervical-30", "cervical-surveillance", "D06.9"), ("egfr", "kidney-failure", "N18.6"), ("blood-pressure", "blood-pressure-kidney", "N18.6")],
)  # fmt: skip
@pytest.mark.parametrize("clinical", ["active", "resolved"])
def test_nobody_falls_between_a_rule_and_the_one_that_takes_over(
    rule: str, to: str, code: str, clinical: str
) -> None:
    facts = [
        condition((ICD, "I10")),
        condition((ICD, code), clinical=clinical),
        pressure(120, 70),
        observation("33914-3", "2026-10-01", 12, "mL/min/{1.73_m2}"),
    ]
    assert due(rule, *facts).status == "excluded"
    assert due(to, *facts).status not in ("not-applicable", "excluded")
