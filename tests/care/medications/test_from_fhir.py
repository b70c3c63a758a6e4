"""FHIR as the inputs of a check."""

from __future__ import annotations

import json
from datetime import date
from decimal import Decimal
from typing import Any

import pytest

from commonchart.care.medications.from_fhir import medication, record
from commonchart.care.medications.pack import built_in
from tests.care.medications.records import RXNORM, TODAY, allergy, med, of, patient, pregnant, weight
from tests.shared import shared_data

PACK = built_in()


def _combination(*ingredients: str, text: str = "A compound") -> dict[str, Any]:
    return {
        "resourceType": "Medication", "id": "c", "code": {"text": text},
        "ingredient": [{"itemCodeableConcept": {"text": name}} for name in ingredients],
    }  # fmt: skip


def test_a_contained_medication_with_its_ingredients() -> None:
    one = med(
        "x", contained=[_combination("codeine", "acetaminophen")], medicationReference={"reference": "#c"}
    )
    del one["medicationCodeableConcept"]
    assert medication(one, PACK).drug.ingredients == ("codeine", "acetaminophen")


def test_an_ingredient_that_is_not_known_stays_unknown() -> None:
    one = med("x", medicationReference={"reference": "Medication/c"})
    del one["medicationCodeableConcept"]
    found = of(one, _combination("codeine", "quuxicine")).medications[0].drug
    assert (found.ingredients, found.unknown) == (("codeine",), ("quuxicine",))


def test_a_reference_that_leads_nowhere_is_not_silently_nothing() -> None:
    one = med("x", medicationReference={"reference": "Medication/gone"})
    del one["medicationCodeableConcept"]
    assert of(one).medications[0].drug.unknown == ("a medicine without a name",)


def test_products_of_a_loaded_rxnorm() -> None:
    one = med("")
    one["medicationCodeableConcept"] = {"coding": [{"system": RXNORM, "code": "855332"}]}
    assert of(one).medications[0].drug.unknown == ("code 855332",)
    found = record(patient(), [one], PACK, TODAY, {"855332": ("11289",)})
    assert found.medications[0].drug.ingredients == ("warfarin",)


@pytest.mark.parametrize(
    ("rtype", "status", "counted"),
    [
        ("MedicationRequest", "active", True), ("MedicationRequest", "on-hold", True), ("MedicationRequest", "unknown", True),
        ("MedicationRequest", "cancelled", False), ("MedicationRequest", "entered-in-error", False),
        ("MedicationStatement", "intended", True), ("MedicationStatement", "not-taken", False),
    ],
)  # fmt: skip
def test_which_states_count(rtype, status, counted) -> None:
    assert bool(of(med("warfarin", status=status, rtype=rtype)).medications) is counted


def test_a_dispense_lasts_its_days() -> None:
    def supply(days: int) -> dict[str, Any]:
        return med(
            "warfarin",
            rtype="MedicationDispense",
            status="completed",
            whenHandedOver="2026-11-01",
            daysSupply={"value": days},
        )

    assert of(supply(30)).medications[0].until == date(2026, 12, 1)
    assert of(supply(5)).medications[0].until == date(2026, 11, 6)


def test_an_administration_and_its_dose() -> None:
    one = med(
        "morphine",
        rtype="MedicationAdministration",
        status="completed",
        effectiveDateTime="2026-11-25T08:00:00Z",
    )
    one["dosage"] = {"dose": {"value": 5, "code": "mg"}, "route": {"text": "Intravenous"}}
    found = of(one).medications[0]
    assert (found.until, found.route, found.dose.amount) == (TODAY, "intravenous", 5)


def test_facts() -> None:
    found = of(weight(70), pregnant("Z34.01"), who=patient("1996-05-10", "female")).facts
    assert found.weight is not None
    assert (found.weight.value, found.sex, found.pregnant.value) == (70, "female", True)


def test_pounds_are_converted_by_their_own_factor() -> None:
    pounds = weight(100)
    pounds["valueQuantity"] = {"value": Decimal(100), "code": "[lb_av]"}
    found = of(pounds).facts.weight
    assert found is not None
    assert found.value == Decimal("45.35923700")


def test_an_allergy_with_all_its_parts() -> None:
    one = allergy(
        "Penicillin",
        criticality="high",
        reaction=[{"severity": "mild", "manifestation": [{"text": "Rash"}]}, {"severity": "severe"}],
    )
    found = of(one).allergies.recorded[0]
    assert (found.groups, found.severity, found.reactions, found.certainty) == (
        ("penicillins",), "severe, high risk", ("rash",), "confirmed",
    )  # fmt: skip


@pytest.mark.parametrize(
    "name",
    [
        "medicationrequest0301",
        "medicationstatementexample1",
        "medicationdispense0301",
        "medicationadministration0301",
        "allergyintolerance-example",
    ],
)
def test_the_official_examples_are_read(name) -> None:
    body = json.loads(shared_data("r4-examples", f"{name}.json").read_text(), parse_float=Decimal)
    found = record(patient(), [body], PACK, TODAY)
    assert found is not None
    if body["resourceType"].startswith("Medication"):
        one = medication(body, PACK)
        assert one.drug.ingredients or one.drug.unknown
