"""What a fact is read from: the spellings of time, negation, reason and supply that QI-Core has had."""

from __future__ import annotations

from datetime import UTC, date, datetime
from decimal import Decimal
from typing import Any

import pytest

from commonchart.measures.evidence import Fact, facts, patient
from tests.measures.patients import concept, condition, done, for_days, observed, ordered, woman

QICORE = "http://hl7.org/fhir/us/qicore/StructureDefinition/"
R5 = "http://hl7.org/fhir/5.0/StructureDefinition/extension-DeviceRequest.doNotPerform"


def one(resource: dict[str, Any], *others: dict[str, Any]) -> Fact:
    return facts([*others, resource])[0]


def marked(url: str, value: bool) -> dict[str, Any]:
    return {"modifierExtension": [{"url": url, "valueBoolean": value}]}


@pytest.mark.parametrize(
    ("spelling", "negated"),
    [
        ({"doNotPerform": True}, True),
        (marked(QICORE + "qicore-doNotPerform", True), True),
        (marked(QICORE + "qicore-doNotPeform", True), True),
        (marked(R5, True), True),
        (marked(R5, False), False),
        (marked("http://example.org/other", True), False),
        ({}, False),
    ],
)
def test_every_spelling_of_do_not(spelling: dict[str, Any], negated: bool) -> None:
    assert one(ordered("DeviceRequest", "Frailty Device", **spelling)).negated is negated


@pytest.mark.parametrize("url", ["notDoneReason", "doNotPerformReason", "reasonRefused"])
def test_every_place_of_a_reason(url: str) -> None:
    extension = [{"url": f"{QICORE}qicore-{url}", "valueCodeableConcept": concept("Medical Reason")}]
    assert one(observed("x", extension=extension)).reasons == {("urn:test", "Medical Reason")}
    assert one(ordered("ServiceRequest", "x", reasonCode=[concept("Medical Reason")])).reasons


def test_onset_as_a_moment_a_period_an_age_or_not_at_all() -> None:
    assert one(condition("x", "2020-05")).start == datetime(2020, 5, 1, tzinfo=UTC)
    spell = {"start": "2020-01-01", "end": "2021-01-01"}
    assert one(condition("x", "", onsetPeriod=spell)).start == datetime(2020, 1, 1, tzinfo=UTC)
    aged = condition("x", "", onsetAge={"value": 50, "code": "a"})
    assert one(aged, woman("1970-06-01")).start == datetime(2020, 6, 1, tzinfo=UTC)
    assert one(aged).start is None
    noted = one(condition("x", "", recordedDate="2022-02-02"))
    assert (noted.start, noted.dated) == (None, datetime(2022, 2, 2, tzinfo=UTC))


def test_abatement_at_an_age_ends_the_year_after_that_birthday() -> None:
    over = one(condition("x", abatementAge={"value": 50, "unit": "years"}), woman("1972-02-29"))
    assert over.end == datetime(2023, 3, 1, tzinfo=UTC)
    assert one(condition("x", abatementAge={"value": 9000, "code": "a"}), woman()).end is None


def test_a_period_without_an_end_goes_on_and_latest_is_then_its_start() -> None:
    going = one(done("x", "", performedPeriod={"start": "2026-01-05T08:00:00+02:00"}))
    assert (going.end, going.latest) == (None, datetime(2026, 1, 5, 6, tzinfo=UTC))


def test_an_unreadable_date_is_no_date() -> None:
    assert one(done("x", "yesterday")).start is None


@pytest.mark.parametrize(
    ("dispense", "dosage", "days"),
    [
        (for_days(90), {}, 90),
        ({"expectedSupplyDuration": {"value": 2, "unit": "weeks"}, "numberOfRepeatsAllowed": 1}, {}, 28),
        ({"quantity": {"value": 60}}, {"doseAndRate": [{"doseQuantity": {"value": 2}}]}, 30),
        (
            {"quantity": {"value": 60}},
            {
                "doseAndRate": [{"doseRange": {"high": {"value": 1}}}],
                "timing": {"repeat": {"frequency": 2, "period": 1, "periodUnit": "d"}},
            },
            30,
        ),
        (
            {},
            {"timing": {"repeat": {"boundsPeriod": {"start": "2026-04-04", "end": "2026-04-13"}}}},
            10,
        ),
    ],
)
def test_how_long_an_order_lasts(dispense: dict[str, Any], dosage: dict[str, Any], days: int) -> None:
    supply = one(
        ordered("MedicationRequest", "x", dispenseRequest=dispense, dosageInstruction=[dosage])
    ).supply
    assert supply is not None
    assert (supply[1].date() - supply[0].date()).days + 1 == days


def test_an_order_whose_length_cannot_be_told_covers_nothing() -> None:
    assert one(ordered("MedicationRequest", "x")).supply is None
    assert one(ordered("MedicationRequest", "x", dispenseRequest={"quantity": {"value": 60}})).supply is None


def test_a_drug_named_by_reference() -> None:
    drug = {"resourceType": "Medication", "id": "m", "code": concept("Dementia Medications")}
    order = ordered("MedicationRequest", "x", medicationReference={"reference": "Medication/m"})
    del order["medicationCodeableConcept"]
    found = one(order, drug)
    assert (found.codes, found.referred) == ({("urn:test", "Dementia Medications")}, True)


def test_values_keep_their_digits_and_a_boolean_is_a_value_without_a_number() -> None:
    exact = one(observed("x", valueQuantity={"value": Decimal("9.10"), "unit": "%"}))
    assert (str(exact.value), exact.unit, exact.valued) == ("9.10", "%", True)
    said = one(observed("x", valueBoolean=True))
    assert (said.value, said.valued) == (None, True)


def test_whom_it_is_about() -> None:
    someone = patient([woman() | {"deceasedDateTime": "2026-05"}])
    assert (someone.born, someone.gender, someone.sex) == (date(1970, 6, 1), "female", "248152002")
    assert someone.died == datetime(2026, 5, 1, tzinfo=UTC)
    assert patient([woman("1970")]).born is None
    assert patient([]).born is None
