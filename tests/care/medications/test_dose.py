"""Doses from Dosage, and from words only where they are certain."""

from __future__ import annotations

from decimal import Decimal

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from commonchart.care.medications.dose import amount, read
from commonchart.care.medications.naming import Drug, drug
from commonchart.care.medications.pack import built_in

PACK = built_in()


def _structured(value, unit, **repeat):
    return {"doseAndRate": [{"doseQuantity": {"value": value, "code": unit}}], "timing": {"repeat": repeat}}


@pytest.mark.parametrize(
    ("repeat", "a_day"),
    [
        ({"frequency": 2, "period": 1, "periodUnit": "d"}, 2),
        ({"frequency": 1, "frequencyMax": 3, "period": 1, "periodUnit": "d"}, 3),
        ({"period": 6, "periodUnit": "h"}, 4),
        ({"frequency": 1, "period": 1, "periodUnit": "wk"}, Decimal(1) / 7),
        ({"dayOfWeek": ["mon", "thu"]}, Decimal(2) / 7),
        ({"when": ["MORN", "EVE"]}, 2),
    ],
)
def test_how_often(repeat, a_day) -> None:
    assert read([_structured(5, "mg", **repeat)]).a_day == pytest.approx(a_day)


@pytest.mark.parametrize(
    ("text", "value", "unit", "a_day"),
    [
        ("Take 1 tablet by mouth twice daily", 1, "tablet", 2),
        ("500 mg every 8 hours", 500, "mg", 3),
        ("1-2 tablets every 6 hours as needed", 2, "tablets", 4),
        ("take two capsules once a day", 2, "capsules", 1),
        ("10 mg once weekly", 10, "mg", Decimal(1) / 7),
        ("15 mg/kg four times daily", 15, "mg", 4),
    ],
)
def test_words_that_are_certain(text, value, unit, a_day) -> None:
    found = read([{"text": text}])
    assert (found.amount, found.unit, found.from_text) == (value, unit, True)
    assert found.a_day == pytest.approx(a_day)


@pytest.mark.parametrize(
    "text",
    [
        "as directed",
        "1 tablet",
        "5 mg in the morning and 10 mg at bedtime",
        "1 tablet daily then 2 tablets twice daily",
        "daily",
    ],
)
def test_words_that_are_not(text) -> None:
    found = read([{"text": text}])
    assert found.amount is None
    assert found.problem == "the dose is only a text that cannot be read for certain"


def test_structure_goes_before_words() -> None:
    line = _structured(5, "mg", frequency=1, period=1, periodUnit="d") | {"text": "50 mg twice daily"}
    assert read([line]).amount == 5


def test_what_is_missing_is_said() -> None:
    assert read([]).problem == "no dose recorded"
    assert read([_structured(5, "", frequency=1, period=1, periodUnit="d")]).problem == "the dose has no unit"
    assert read([_structured(5, "mg")]).problem == "how often is not recorded"
    assert (
        read([_structured(-5, "mg", frequency=1, period=1, periodUnit="d")]).problem
        == "the dose is not a positive number"
    )
    two = _structured(5, "mg", frequency=1, period=1, periodUnit="d")
    assert read([two, two]).problem == "several dosage instructions"


def test_tablets_by_their_strength() -> None:
    what = drug(PACK, [], ["Acetaminophen 325 MG / Oxycodone 5 MG Oral Tablet"], {})
    found = read([_structured(2, "{tbl}", frequency=4, period=1, periodUnit="d")])
    assert amount(what, found, "acetaminophen", "mg", None).daily == 2600
    assert amount(what, found, "oxycodone", "mg", None).daily == 40
    mg = read([_structured(650, "mg", frequency=4, period=1, periodUnit="d")])
    assert "does not say of which ingredient" in amount(what, mg, "acetaminophen", "mg", None).problem


def test_a_volume_is_not_a_tablet() -> None:
    tablets = drug(PACK, [], ["Amoxicillin 250 MG Oral Capsule"], {})
    found = read([_structured(5, "mL", frequency=3, period=1, periodUnit="d")])
    assert "does not fit the strength" in amount(tablets, found, "amoxicillin", "mg", None).problem


def test_per_kg_needs_the_weight() -> None:
    found = read([_structured(15, "mg/kg", frequency=4, period=1, periodUnit="d")])
    what = Drug(("acetaminophen",))
    assert (
        amount(what, found, "acetaminophen", "mg", None).problem
        == "the dose is per kg and no weight is known"
    )
    assert amount(what, found, "acetaminophen", "mg", Decimal(10)).daily == 600


@settings(deadline=None)
@given(
    st.integers(1, 500),
    st.integers(1, 6),
    st.sampled_from([("mg", 1), ("g", 1000), ("ug", Decimal("0.001"))]),
)
def test_mass_units_agree(value, times, unit) -> None:
    code, factor = unit
    found = read([_structured(value, code, frequency=times, period=1, periodUnit="d")])
    assert amount(Drug(("warfarin",)), found, "warfarin", "mg", None).daily == pytest.approx(
        value * factor * times
    )
