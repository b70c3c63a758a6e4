"""Medicines against allergies."""

from __future__ import annotations

import pytest

from tests.care.medications.records import NKA, SCT, allergy, med, ordered, reviewed, rules


def test_the_same_ingredient_interrupts() -> None:
    said = allergy(
        "Amoxicillin", reaction=[{"manifestation": [{"text": "Anaphylaxis"}], "severity": "severe"}]
    )
    found = rules(ordered(med("Amoxicillin 500 MG Oral Capsule"), said))["allergy-ingredient"]
    assert (found.tier, found.override_required) == ("interrupt", True)
    assert found.title == "Amoxicillin: recorded allergy to Amoxicillin (anaphylaxis, severe)"
    assert {one.text for one in found.facts} == {"Amoxicillin 500 MG Oral Capsule", "Amoxicillin"}


def test_a_class_and_its_members() -> None:
    found = ordered(med("Amoxicillin 250 MG / Clavulanate 125 MG Oral Tablet"), allergy("Penicillin"))
    assert rules(found)["allergy-class"].tier == "interrupt"
    by_code = allergy("", code={"coding": [{"system": SCT, "code": "91936005"}]})
    assert "allergy-class" in rules(ordered(med("ampicillin"), by_code))


@pytest.mark.parametrize(
    ("to", "order", "rule", "tier"),
    [
        ("amoxicillin", "penicillin V", "penicillin-class", "interrupt"),
        ("ceftriaxone", "cefepime", "side-chain-methoxyimino", "interrupt"),
        ("ceftazidime", "aztreonam", "side-chain-ceftazidime", "interrupt"),
        (
            "amoxicillin",
            "cephalexin",
            "side-chain-amino",
            "passive",
        ),  # membership of cephalexin is from memory
        ("penicillin g", "ceftriaxone", "penicillin-cephalosporin", "passive"),
        ("ibuprofen", "naproxen", "nsaid-class", "interrupt"),
        ("sulfamethoxazole", "sulfadiazine", "sulfonamide-antibiotic-class", "passive"),  # not reviewed
        ("carbamazepine", "phenytoin", "aromatic-anticonvulsant-class", "interrupt"),
        ("carbamazepine", "lamotrigine", "aromatic-anticonvulsant-class", "passive"),
    ],
)
def test_cross_reactions(to, order, rule, tier) -> None:
    found = rules(ordered(med(order), allergy(to)))
    assert found[rule].tier == tier


@pytest.mark.parametrize(
    ("to", "order"),
    [("penicillin g", "cefazolin 1 g"), ("sulfamethoxazole", "furosemide"), ("aspirin", "acetaminophen")],
)
def test_no_interruption_without_ground(to, order) -> None:
    assert not ordered(med(order), allergy(to)).interrupting


def test_an_approved_rule_may_interrupt() -> None:
    found = ordered(
        med("sulfadiazine"), allergy("sulfamethoxazole"), approved=frozenset({"sulfonamide-antibiotic-class"})
    )
    assert (
        rules(found)["sulfonamide-antibiotic-class"].tier,
        rules(found)["sulfonamide-antibiotic-class"].review,
    ) == (
        "interrupt",
        "approved by this site",
    )


def test_an_intolerance_is_no_allergy() -> None:
    found = rules(ordered(med("codeine"), allergy("codeine", type="intolerance")))["allergy-ingredient"]
    assert found.tier == "passive"
    assert "recorded intolerance" in found.title


def test_a_type_that_is_not_recorded_counts_as_an_allergy() -> None:
    untyped = {k: v for k, v in allergy("codeine").items() if k != "type"}
    assert rules(ordered(med("codeine"), untyped))["allergy-ingredient"].tier == "interrupt"


def test_certainty_is_said_and_unconfirmed_still_counts() -> None:
    found = rules(ordered(med("codeine"), allergy("codeine", "unconfirmed")))["allergy-ingredient"]
    assert found.tier == "interrupt"
    assert "certainty: unconfirmed" in found.title


@pytest.mark.parametrize(
    ("verified", "clinical", "why"),
    [
        ("refuted", "active", "refuted"),
        ("entered-in-error", "active", "entered in error"),
        ("confirmed", "resolved", "resolved"),
    ],
)
def test_what_is_left_out_is_said(verified, clinical, why) -> None:
    found = ordered(med("codeine"), allergy("codeine", verified, clinical))
    assert not rules(found, "allergy")
    assert f"Left out: allergy to codeine: {why}" in found.notes


def test_an_allergy_nobody_knows_is_not_checked() -> None:
    assert (
        'NOT CHECKED: no code for the allergy "the pink one"'
        in ordered(med("codeine"), allergy("the pink one")).lines
    )


def test_food_and_surroundings_are_said_to_be_outside() -> None:
    found = ordered(med("codeine"), allergy("House dust mite", category=["environment"]))
    assert not [line for line in found.lines if "dust" in line]
    assert any("food or surroundings" in line for line in found.notes)


def test_not_recorded_is_not_none_known() -> None:
    unknown, none = ordered(med("codeine")), ordered(med("codeine"), NKA)
    assert any("none recorded" in line for line in unknown.lines)
    assert not any("none recorded" in line for line in none.lines)
    assert "0 allergies (no known allergies)" in none.covered


def test_none_known_and_an_allergy_disagree() -> None:
    assert any(
        "disagrees with itself" in line for line in ordered(med("codeine"), NKA, allergy("penicillin")).notes
    )


def test_a_new_allergy_is_checked_against_everything_taken() -> None:
    found = reviewed(med("lisinopril"), med("amoxicillin"), allergy("penicillin"))
    assert rules(found)["allergy-class"].tier == "interrupt"
    assert "2 medications and 1 allergy" in found.covered


def test_a_class_of_pain_killers_interrupts() -> None:
    assert rules(ordered(med("ibuprofen 200 mg"), allergy("NSAIDs")))["allergy-class"].tier == "interrupt"
