"""Every form makes valid resources, reads back what it wrote, keeps what it does not show, and names what is wrong."""

from __future__ import annotations

from datetime import UTC, datetime
from decimal import Decimal
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from commonchart.fhir.outcome import Conflict, Invalid
from commonchart.fhir.validate import validate
from commonchart.web.forms.catalogue import FORMS, corrects
from commonchart.web.forms.fields import Context, blank, fhir_date, parse
from commonchart.web.forms.measurements import body_mass_index
from commonchart.web.forms.retract import TYPES, is_retracted, retracted
from commonchart.web.forms.visits import amended, note_texts, signed

NOW = datetime(2026, 11, 18, 10, 40, tzinfo=UTC)
CONTEXT = Context(
    patient="p1", now=NOW, author="S. Wrenfield, NP", practitioner="pr1", organization="o1", encounter="e1"
)

SENT: dict[str, dict[str, str]] = {
    "condition": {"name": "Type 2 diabetes", "icd10": "E11.9", "status": "active", "certainty": "confirmed", "onset": "2014", "note": "Diet first."},
    "allergy": {"kind": "allergy", "substance": "Penicillin", "category": "medication", "reaction": "Anaphylaxis", "severity": "severe", "criticality": "high", "status": "active", "certainty": "confirmed", "onset": "1990"},
    "medication": {"name": "Metformin 500 mg tablet", "rxnorm": "860975", "dose": "1 tablet twice a day", "needed": "on", "status": "active", "start": "2014-06", "reason": "Diabetes"},
    "order": {"name": "Metformin 500 mg tablet", "rxnorm": "860975", "dose": "1 tablet twice a day", "needed": "on", "status": "active", "day": "2026-11-18", "until": "2026-12-18", "reason": "Diabetes"},
    "vitals": {"when": "2026-11-18T10:00", "systolic": "146", "diastolic": "88", "pulse": "78", "temperature": "36.70", "weight": "86.4", "height": "164"},
    "result": {"test": "4548-4", "value": "8.40", "unit": "%", "low": "4.0", "high": "5.6", "when": "2026-11-02", "status": "final"},
    "pressure": {"when": "2026-11-18T10:00", "systolic": "140", "diastolic": "85"},
    "immunization": {"vaccine": "140", "status": "completed", "when": "12-Oct-2026", "source": "here", "lot": "AB12", "expiry": "2027-05-01", "site": "LA", "route": "IM", "amount": "0.5", "performer": "R. Ashlow"},
    "procedure": {"name": "Colonoscopy", "status": "completed", "when": "2019-04", "performer": "Dr Fell", "site": "Colon", "outcome": "Normal"},
    "family": {"relation": "MTH", "condition": "Breast cancer", "icd10": "C50.9", "age": "44", "alive": "no", "status": "completed"},
    "insurance": {"payer": "Harbour Mutual", "member": "M-1", "group": "G7", "plan": "Gold", "relationship": "self", "order": "1", "start": "2026-01-01", "status": "active"},
    "contact": {"family": "Hallowbrook", "given": "Amos", "relation": "SPS", "emergency": "on", "phone": "555 0143", "email": "amos@example.org", "line": "1 Alder Street, Flat 2", "city": "Riverton", "state": "MA", "postalCode": "02139", "active": "yes"},
    "patient": {"family": "Hallowbrook", "given": "Ines Maria", "born": "1968-03-14", "gender": "female", "phone": "555 0142", "language": "pt"},
    "visit": {"class": "AMB", "status": "in-progress", "start": "2026-11-18T10:40", "reason": "Diabetes review"},
    "note": {"kind": "11506-3", "title": "Review", "text": "Feels well.\nFeet intact."},
}  # fmt: skip


def _build(key: str, base: dict[str, Any] | None = None, **changes: str) -> list[dict[str, Any]]:
    form = FORMS[key]
    return form.build(parse(form, SENT[key] | changes, CONTEXT), CONTEXT, base)


def _fields(refused: pytest.ExceptionInfo[Invalid]) -> set[str]:
    return {issue.at for issue in refused.value.issues}


def test_there_is_an_example_of_every_form() -> None:
    assert SENT.keys() == FORMS.keys()


@pytest.mark.parametrize("key", FORMS)
def test_a_filled_form_makes_valid_resources(key: str) -> None:
    made = _build(key)
    assert made
    for resource in made:
        assert validate(resource).rtype == resource["resourceType"] == FORMS[key].rtype


@pytest.mark.parametrize("key", [key for key in FORMS if key != "vitals"])
def test_correcting_without_a_change_changes_nothing(key: str) -> None:
    form = FORMS[key]
    (resource,) = _build(key)
    again = form.build(parse(form, form.read(resource), CONTEXT), CONTEXT, resource)[0]
    stays = (
        {"status"}
        if resource["resourceType"] == "Observation"
        else {"content", "date"}
        if key == "note"
        else set()
    )
    assert {k: v for k, v in again.items() if k not in stays} == {
        k: v for k, v in resource.items() if k not in stays
    }


@pytest.mark.parametrize("key", [key for key in FORMS if key != "vitals"])
def test_correcting_keeps_what_the_form_does_not_show(key: str) -> None:
    extra = {"extension": [{"url": "http://example.org/kept", "valueString": "yes"}], "language": "en"}
    (resource,) = _build(key)
    form = FORMS[key]
    again = form.build(parse(form, form.read(resource), CONTEXT), CONTEXT, resource | extra)[0]
    assert again["extension"] == extra["extension"]
    assert again["language"] == "en"


@pytest.mark.parametrize("key", FORMS)
def test_an_empty_form_names_each_required_field(key: str) -> None:
    form = FORMS[key]
    with pytest.raises(Invalid) as refused:
        parse(form, {}, CONTEXT)
    assert {field.name for field in form.fields if field.required} <= _fields(refused)


@pytest.mark.parametrize("key", FORMS)
def test_a_blank_form_has_a_value_for_every_field(key: str) -> None:
    assert blank(FORMS[key], CONTEXT).keys() == {field.name for field in FORMS[key].fields}


@pytest.mark.parametrize(
    ("key", "field", "value"),
    [
        ("condition", "onset", "2027"),
        ("condition", "onset", "1999-02-30"),
        ("condition", "onset", "last year"),
        ("condition", "icd10", "diabetes"),
        ("condition", "status", "gone"),
        ("condition", "ended", "2020"),
        ("allergy", "substance", ""),
        ("allergy", "kind", "none"),
        ("order", "until", "2026-11-01"),
        ("order", "dose", ""),
        ("medication", "end", "2013"),
        ("medication", "end", "2020"),
        ("vitals", "diastolic", "150"),
        ("vitals", "diastolic", ""),
        ("vitals", "pulse", "9"),
        ("vitals", "temperature", "98.6"),
        ("vitals", "weight", "heavy"),
        ("vitals", "when", "2026-11-18T11:00"),
        ("result", "value", "84"),
        ("result", "unit", ""),
        ("result", "words", "high"),
        ("immunization", "reason", "PATOBJ"),
        ("immunization", "status", "not-done"),
        ("insurance", "end", "2025-12-31"),
        ("contact", "email", "nobody"),
        ("contact", "phone", "call me"),
        ("patient", "born", "1868-03-14"),
        ("visit", "end", "2026-11-17"),
        ("note", "text", "\x00hidden"),
    ],
)
def test_bad_input_is_refused_at_its_field(key: str, field: str, value: str) -> None:
    with pytest.raises(Invalid) as refused:
        _build(key, **{field: value})
    assert _fields(refused) <= {field, "substance", "reason", "value"}
    assert all(issue.message for issue in refused.value.issues)


def test_numbers_keep_their_decimals() -> None:
    assert str(_build("result")[0]["valueQuantity"]["value"]) == "8.40"


def test_vitals_make_one_observation_each_with_pressure_as_a_pair_and_the_index_computed() -> None:
    made = _build("vitals")
    assert [one["code"]["coding"][0]["code"] for one in made] == [
        "85354-9",
        "8867-4",
        "8310-5",
        "29463-7",
        "8302-2",
        "39156-5",
    ]
    assert [part["valueQuantity"]["value"] for part in made[0]["component"]] == [Decimal(146), Decimal(88)]
    assert (
        body_mass_index(Decimal("86.4"), Decimal(164))
        == Decimal("32.1")
        == made[-1]["valueQuantity"]["value"]
    )


def test_a_corrected_result_says_that_it_is_corrected() -> None:
    (old,) = _build("result")
    form = corrects(old)
    assert form is FORMS["result"]
    assert form.read(old)["status"] == "corrected"


def test_correcting_the_name_of_a_condition_drops_the_code_that_belonged_to_the_old_words() -> None:
    base = _build("condition")[0]
    base["code"]["coding"].append({"system": "urn:oid:1.2.3", "code": "x"})
    kept = _build("condition", base, note="Other note")[0]
    changed = _build("condition", base, name="Type 1 diabetes", icd10="E10.9")[0]
    assert {c["code"] for c in kept["code"]["coding"]} == {"x", "E11.9"}
    assert {c["code"] for c in changed["code"]["coding"]} == {"E10.9"}


def test_no_known_allergies_is_a_fact_of_its_own() -> None:
    (none,) = _build(
        "allergy", kind="none", substance="", reaction="", severity="", category="", criticality=""
    )
    assert none["code"] == {
        "coding": [{"system": "http://snomed.info/sct", "code": "716186003"}],
        "text": "No known allergies",
    }
    assert "reaction" not in none


def test_a_signed_note_is_only_added_to() -> None:
    (draft,) = _build("note")
    final = signed(draft, CONTEXT)
    later = amended(final, "Feet checked again.", CONTEXT)
    assert (draft["docStatus"], final["docStatus"], later["docStatus"]) == ("preliminary", "final", "amended")
    assert later["content"][:1] == draft["content"]
    assert [text for _, _, text in note_texts(later)] == ["Feels well.\nFeet intact.", "Feet checked again."]
    validate(later)
    for refused in (
        lambda: signed(final, CONTEXT),
        lambda: _build("note", final),
        lambda: amended(draft, "x", CONTEXT),
    ):
        with pytest.raises(Conflict):
            refused()
    with pytest.raises(Invalid):
        amended(final, "  ", CONTEXT)


@pytest.mark.parametrize("key", [key for key in FORMS if FORMS[key].rtype in TYPES])
def test_an_error_stays_and_says_so(key: str) -> None:
    resource = _build(key)[0]
    marked = retracted(resource, "Wrong patient", CONTEXT)
    assert is_retracted(marked) or marked["active"] is False
    validate(marked)
    with pytest.raises(Invalid):
        retracted(resource, " ", CONTEXT)


def test_a_patient_cannot_be_marked_as_an_error() -> None:
    with pytest.raises(Invalid):
        retracted(_build("patient")[0], "Wrong", CONTEXT)


@given(st.dates(min_value=datetime(1850, 1, 1).date(), max_value=datetime(2300, 12, 31).date()))
def test_dates_are_read_in_every_usual_spelling(day: Any) -> None:
    text = day.isoformat()
    assert (
        fhir_date(text) == fhir_date(day.strftime("%d-%b-%Y")) == fhir_date(day.strftime("%d %B %Y")) == text
    )
    assert fhir_date(text[:7]) == text[:7]
    assert fhir_date(text[:4]) == text[:4]


@given(st.text(max_size=12))
def test_any_text_is_a_date_or_none(text: str) -> None:
    found = fhir_date(text)
    assert found is None or found[:4].isdigit()
