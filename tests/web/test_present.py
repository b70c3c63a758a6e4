"""Presentation functions: names, dates, numbers, codes, flags, absence, sources; nothing hidden, nothing invented."""

from __future__ import annotations

from datetime import date
from decimal import Decimal
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from commonchart.fhir.outcome import Invalid
from commonchart.web.present import (
    allergies,
    codes,
    dates,
    events,
    medications,
    people,
    problems,
    sources,
    texts,
    trend,
    values,
)
from commonchart.web.present.differences import differences
from commonchart.web.present.readings import read
from commonchart.web.present.tables import Fact

ON = date(2026, 11, 18)


def fact(rtype: str, **body: Any) -> Fact:
    return Fact(rtype, body.get("id", "x"), {"resourceType": rtype, **body})


def observation(**body: Any) -> Fact:
    return fact("Observation", status="final", code={"text": "HbA1c"}, effectiveDateTime="2026-05-06", **body)


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("1985-12-10", "10-Dec-1985"),
        ("1985-12", "Dec-1985"),
        ("1985", "1985"),
        ("2012-02-08T02:43:19+00:00", "08-Feb-2012"),
        (None, ""),
        ("soon", "soon"),
    ],
)
def test_a_date_keeps_the_precision_it_was_recorded_with(text: str | None, shown: str) -> None:
    assert dates.day(text) == shown


@pytest.mark.parametrize(
    ("born", "on", "shown"),
    [
        ("1968-03-14", ON, "58y"),
        ("1968-03-14", date(2024, 3, 13), "55y"),
        ("2022-08-01", ON, "4y 3m"),
        ("2025-09-18", ON, "14m"),
        ("2026-10-01", ON, "6w"),
        ("2026-11-09", ON, "9d"),
        ("1968", ON, "about 58y"),
        ("2030-01-01", ON, ""),
        (None, ON, ""),
    ],
)
def test_ages_are_told_as_finely_as_they_matter(born: str | None, on: date, shown: str) -> None:
    assert dates.age(born, on) == shown


@pytest.mark.parametrize("typed", ["2024-03-12", "12-Mar-2024", "12 March 2024", " 12/mar/2024 "])
def test_a_day_may_be_typed_in_several_ways(typed: str) -> None:
    assert dates.typed(typed) == date(2024, 3, 12)


@pytest.mark.parametrize("typed", ["", "soon", "2024-13-01", "31-Feb-2024", "12-Xyz-2024"])
def test_what_is_not_a_day_is_refused_in_words(typed: str) -> None:
    with pytest.raises(Invalid, match="Enter a date"):
        dates.typed(typed)


@given(st.dates(min_value=date(1850, 1, 1), max_value=date(2300, 12, 31)))
def test_every_day_survives_being_shown_and_typed_again(day: date) -> None:
    assert dates.typed(dates.of_date(day)) == day
    assert dates.first_day(day.isoformat()) == day


@given(st.decimals(allow_nan=False, allow_infinity=False, places=3, min_value=-1000, max_value=1000))
def test_numbers_are_shown_with_every_digit_they_came_with(number: Decimal) -> None:
    assert Decimal(values.number(number).replace("−", "-")) == number
    assert len(values.number(number).split(".")[1]) == 3


def test_trailing_zeros_stay() -> None:
    assert values.quantity({"value": Decimal("1.10"), "unit": "mg/dL"}) == "1.10 mg/dL"


@pytest.mark.parametrize(
    ("text", "cut"),
    [
        ("117.25414917", "117.25…"),
        ("8.4", "8.4"),
        ("0.00012345", "0.00012…"),
        ("1.1000", "1.1000"),
        ("POSITIVE.", "POSITIVE."),
    ],
)
def test_machine_made_fractions_are_cut_and_say_so(text: str, cut: str) -> None:
    assert values.short(text) == cut


def test_codes_fall_back_from_text_to_display_to_code_to_a_word() -> None:
    coding = {"system": "http://loinc.org", "code": "4548-4"}
    assert codes.concept({"text": "A1c", "coding": [coding | {"display": "HbA1c"}]}) == "A1c"
    assert codes.concept({"coding": [coding, {"display": "HbA1c"}]}) == "HbA1c"
    assert codes.concept({"coding": [coding]}) == "4548-4"
    assert codes.concept({}) == codes.concept(None) == "not recorded"


def test_the_banner_puts_the_family_name_in_capitals_and_says_what_is_missing() -> None:
    banner = people.banner(
        {
            "id": "p",
            "name": [{"family": "Hallowbrook", "given": ["Ines"]}],
            "birthDate": "1968-03-14",
            "gender": "female",
        },
        ON,
    )
    assert (banner.name, banner.born, banner.age, banner.sex) == (
        "HALLOWBROOK, Ines",
        "14-Mar-1968",
        "58y",
        "Female",
    )
    assert (banner.mrn, banner.phone) == ("not recorded", "not recorded")
    nobody = people.banner({"id": "p"}, ON)
    assert (nobody.name, nobody.born, nobody.sex) == ("NAME NOT RECORDED", "not recorded", "not recorded")


def test_death_is_told_with_the_age_at_death_and_not_before_it() -> None:
    patient = {"id": "p", "birthDate": "1910-09-19", "deceasedDateTime": "1992-06-11T09:00:00Z"}
    assert people.banner(patient, ON).died == "Died 11-Jun-1992, aged 81y"
    assert people.banner(patient, date(1990, 1, 1)).died == ""
    assert people.banner({"id": "p", "deceasedBoolean": True}, ON).died == "Died, date not recorded"
    assert people.banner({"id": "p", "deceasedBoolean": False}, ON).died == ""


def allergy(**body: Any) -> Fact:
    return fact(
        "AllergyIntolerance",
        **({"code": {"text": "Penicillin"}, "patient": {"reference": "Patient/p"}} | body),
    )


def test_allergies_not_recorded_is_not_no_known_allergies() -> None:
    assert allergies.standing([]).sentence == "Allergies not recorded: ask"
    none = allergy(
        code={"coding": [{"system": "http://snomed.info/sct", "code": "716186003"}]},
        recordedDate="2026-02-03",
    )
    assert allergies.standing([none]).sentence == "No known allergies"
    listed = fact(
        "List",
        status="current",
        code={"coding": [{"code": "52472-8"}]},
        emptyReason={"coding": [{"code": "nilknown"}]},
    )
    assert allergies.standing([listed]).known_none
    assert "No known allergies (recorded 03-Feb-2026)" in allergies.table([none])[0].empty
    assert "does not mean that there are none" in allergies.table([])[0].empty


def test_a_retracted_statement_of_no_allergies_counts_for_nothing() -> None:
    none = allergy(
        code={"coding": [{"code": "716186003"}]},
        verificationStatus={"coding": [{"code": "entered-in-error"}]},
    )
    assert allergies.standing([none]).sentence == "Allergies not recorded: ask"


def test_a_real_allergy_beats_a_statement_that_there_are_none() -> None:
    none = allergy(code={"coding": [{"code": "716186003"}]})
    assert [tag.substance for tag in allergies.standing([none, allergy()]).tags] == ["Penicillin"]


@pytest.mark.parametrize(
    ("body", "word", "grave"),
    [
        (
            {
                "reaction": [
                    {"manifestation": [{"text": "rash"}], "severity": "mild"},
                    {"manifestation": [], "severity": "severe"},
                ]
            },
            "severe",
            True,
        ),
        ({"criticality": "high"}, "high risk", True),
        ({"criticality": "low"}, "low risk", False),
        ({}, "severity not recorded", False),
    ],
)
def test_severity_is_the_worst_known_and_never_a_guess(body: dict[str, Any], word: str, grave: bool) -> None:
    tag = allergies.standing([allergy(**body)]).tags[0]
    assert (tag.severity, tag.grave) == (word, grave)


@pytest.mark.parametrize("status", ["inactive", "resolved"])
def test_allergies_that_no_longer_stand_leave_the_banner_but_not_the_section(status: str) -> None:
    gone = allergy(clinicalStatus={"coding": [{"code": status}]})
    assert allergies.standing([gone]).tags == ()
    assert [row.title for row in allergies.table([gone])[1].rows] == ["Penicillin"]


def test_conditions_without_a_status_are_active_and_say_so() -> None:
    active, past = problems.tables([fact("Condition", id="a", code={"text": "Asthma"})])
    assert [(row.title, row.sub) for row in active.rows] == [("Asthma", "clinical status not recorded")]
    assert past.rows == ()


def test_retracted_conditions_are_struck_and_past() -> None:
    wrong = fact(
        "Condition", code={"text": "Asthma"}, verificationStatus={"coding": [{"code": "entered-in-error"}]}
    )
    active, past = problems.tables([wrong])
    assert (active.rows, past.rows[0].struck) == ((), "entered in error")


@pytest.mark.parametrize(
    ("body", "shown"),
    [
        ({"dosageInstruction": [{"text": "1 tablet at night"}]}, "1 tablet at night"),
        (
            {
                "dosageInstruction": [
                    {
                        "doseAndRate": [{"doseQuantity": {"value": 1, "unit": "tablet"}}],
                        "timing": {"repeat": {"frequency": 2, "period": Decimal("1.0"), "periodUnit": "d"}},
                    }
                ]
            },
            "1 tablet twice every 1.0 days",
        ),
        (
            {
                "dosageInstruction": [
                    {
                        "doseAndRate": [{"doseQuantity": {"value": 1}}],
                        "timing": {"repeat": {"frequency": 1, "period": 1, "periodUnit": "d"}},
                        "asNeededBoolean": True,
                    }
                ]
            },
            "1 once a day as needed",
        ),
        ({"dosage": [{"asNeededCodeableConcept": {"text": "pain"}}]}, "as needed for pain"),
        ({}, ""),
    ],
)
def test_dosage_in_words(body: dict[str, Any], shown: str) -> None:
    assert medications.dosage(body) == shown


def test_a_contained_medicine_is_named() -> None:
    body = {
        "contained": [{"resourceType": "Medication", "id": "m", "code": {"text": "Metformin"}}],
        "medicationReference": {"reference": "#m"},
    }
    assert medications.medicine(body, {}) == "Metformin"


RANGE = [{"low": {"value": Decimal("4.0"), "unit": "%"}, "high": {"value": Decimal("5.6"), "unit": "%"}}]


def value(number: str, **more: Any) -> dict[str, Any]:
    return {"value": Decimal(number), "unit": "%"} | more


@pytest.mark.parametrize(
    ("body", "mark", "computed"),
    [
        ({"valueQuantity": value("8.4"), "referenceRange": RANGE}, "H", True),
        ({"valueQuantity": value("3.9"), "referenceRange": RANGE}, "L", True),
        ({"valueQuantity": value("5.6"), "referenceRange": RANGE}, "", False),
        ({"valueQuantity": value("5.6", comparator=">"), "referenceRange": RANGE}, "H", True),
        ({"valueQuantity": value("3", comparator="<"), "referenceRange": RANGE}, "L", True),
        ({"valueQuantity": value("9", comparator="<"), "referenceRange": RANGE}, "", False),
        ({"valueQuantity": {"value": Decimal("60"), "unit": "mmol/mol"}, "referenceRange": RANGE}, "", False),
        ({"valueQuantity": value("8.4"), "referenceRange": [*RANGE, *RANGE]}, "", False),
        (
            {
                "valueQuantity": value("8.4"),
                "referenceRange": [{**RANGE[0], "age": {}, "appliesTo": [{"text": "children"}]}],
            },
            "",
            False,
        ),
        (
            {
                "valueQuantity": value("8.4"),
                "interpretation": [{"coding": [{"code": "N"}]}],
                "referenceRange": RANGE,
            },
            "",
            False,
        ),
        (
            {
                "valueQuantity": value("5"),
                "interpretation": [{"coding": [{"code": "HH"}]}],
                "referenceRange": RANGE,
            },
            "HH",
            False,
        ),
        ({"valueString": "POSITIVE", "interpretation": [{"coding": [{"code": "POS"}]}]}, "A", False),
        ({"valueQuantity": value("8.4")}, "", False),
    ],
)
def test_flags_come_from_the_laboratory_else_from_the_one_range_that_applies(
    body: dict[str, Any], mark: str, computed: bool
) -> None:
    one = read(observation(**body))[0]
    assert (one.flag.mark, one.flag.computed) == (mark, computed)
    assert not mark or (one.flag.sign and one.flag.letter and one.flag.spoken)


def test_blood_pressure_is_a_pair_with_the_worse_flag() -> None:
    def part(code: str, number: str, **more: Any) -> dict[str, Any]:
        quantity = {"value": Decimal(number), "unit": "mmHg"}
        return {"code": {"coding": [{"code": code}]}, "valueQuantity": quantity} | more

    top = part("8480-6", "182", interpretation=[{"coding": [{"code": "HH"}]}])
    body = {
        "code": {"coding": [{"system": "http://loinc.org", "code": "85354-9"}]},
        "component": [top, part("8462-4", "98")],
    }
    one = read(fact("Observation", status="final", **body))
    assert [(r.text, r.flag.mark, r.unit) for r in one] == [("182/98", "HH", "mmHg")]


def test_a_value_that_is_missing_says_why() -> None:
    assert (
        read(observation(dataAbsentReason={"text": "specimen clotted"}))[0].text
        == "not recorded: specimen clotted"
    )
    assert read(observation())[0].text == "not recorded"


def test_source_marks_are_two_letters_and_never_shared() -> None:
    names = {
        f"Organization/{n}": name
        for n, name in enumerate(
            ["North General", "Northgate Gynaecology", "North Gables", "The", "", "North General"]
        )
    }
    made = sources.marks([str(n) for n in range(6)], names, own="2")
    letters = [mark.letters for mark in made.values()]
    assert len(set(letters)) == 6
    assert all(len(pair) == 2 for pair in letters)
    assert made["2"].letters == "NG"
    assert [id for id, mark in made.items() if mark.own] == ["2"]


@given(st.lists(st.text(max_size=12), max_size=40))
def test_source_marks_are_unique_for_any_names(called: list[str]) -> None:
    made = sources.marks(
        [str(n) for n in range(len(called))],
        {f"Organization/{n}": name for n, name in enumerate(called)},
        own="0",
    )
    assert len({mark.letters for mark in made.values()}) == len(called)


def test_differences_name_the_path_and_both_sides() -> None:
    old = {
        "id": "x",
        "meta": {"versionId": "1"},
        "code": {"text": "A"},
        "value": Decimal("1.10"),
        "gone": True,
    }
    new = {
        "id": "x",
        "meta": {"versionId": "2"},
        "code": {"text": "B"},
        "value": Decimal("1.1"),
        "note": [{"text": "n"}],
    }
    found = {(one.path, one.before, one.after) for one in differences(old, new)}
    assert found == {
        ("code.text", "A", "B"),
        ("value", "1.10", "1.1"),
        ("gone", "true", ""),
        ("note[0].text", "", "n"),
    }


@given(
    st.decimals(allow_nan=False, allow_infinity=False, min_value=-10_000, max_value=10_000),
    st.decimals(allow_nan=False, allow_infinity=False, min_value=0, max_value=10_000),
)
def test_the_scale_of_a_chart_holds_every_value_with_few_lines(least: Decimal, span: Decimal) -> None:
    bottom, top, step = trend.scale(least, least + span)
    assert bottom <= least
    assert least + span <= top
    assert 1 <= (top - bottom) / step <= 8


def test_markup_from_outside_becomes_plain_text() -> None:
    html = "<div><p>Seen <b>today</b></p><script>alert(1)</script><p>Well &amp; happy</p></div>"
    assert texts.plain(html) == "Seen today\nWell & happy"


def test_visits_tell_hospital_stays_apart() -> None:
    assert events.is_stay({"class": {"code": "IMP"}})
    assert not events.is_stay({"class": {"code": "AMB"}})
    assert events.visit_class({"class": {"code": "EMER"}}) == "Emergency"


@pytest.mark.parametrize(
    ("body", "said"),
    [
        (
            {"class": {"code": "IMP"}, "period": {"start": "2011-06-01T08:00:00Z", "end": "2011-06-04"}},
            "3 nights",
        ),
        (
            {"class": {"code": "IMP"}, "status": "in-progress", "period": {"start": "2026-11-17"}},
            "still in, as far as recorded",
        ),
        (
            {"class": {"code": "IMP"}, "status": "finished", "period": {"start": "2026-11-17"}},
            "end not recorded",
        ),
        ({"class": {"code": "AMB"}, "period": {"start": "2011-06-01", "end": "2011-06-04"}}, ""),
        ({"class": {"code": "IMP"}}, ""),
    ],
)
def test_the_length_of_a_hospital_stay(body: dict[str, Any], said: str) -> None:
    assert events.nights(body) == said


@pytest.mark.parametrize("text", ["0001-01-01", "1849-12-31", "2301-01-01", "9999-12-31", "31-Dec-9999"])
def test_a_day_that_nothing_can_mean_is_refused_at_its_field(text: str) -> None:
    with pytest.raises(Invalid) as refused:
        dates.typed(text, at="to")
    assert refused.value.issues[0].at == "to"
