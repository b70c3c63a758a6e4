"""A result is normal only where something says so; whatever is critical stays critical."""

from __future__ import annotations

from datetime import date
from decimal import Decimal
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from commonchart.care.inbox.judge import KINDS, Judged, Line, Missing, judge
from commonchart.care.person import Person
from commonchart.care.rules import built_in
from tests.inbox import POTASSIUM, SODIUM, TSH, flagged, lab, report

DAY = date(2026, 11, 18)
ADULT = Person("ada", date(1954, 6, 9), sex="male")
CHILD = Person("kid", date(2020, 1, 1))
UCUM = "http://unitsofmeasure.org"


def seen(
    *members: Any, person: Person = ADULT, before: tuple[Any, ...] = (), whole: Any = None, **more: Any
) -> Judged:
    found = judge(whole, members, before, person, built_in(), DAY, **more)
    assert found is not None
    return found


def line(one: Any, **more: Any) -> Line:
    return seen(one, **more).lines[0]


def quantity(value: str, unit: str = "mmol/L", **more: str) -> dict[str, Any]:
    return {"value": Decimal(value), "unit": unit, "code": unit, "system": UCUM, **more}


WORDS: dict[str, Any] = {"valueQuantity": None, "referenceRange": None}


@pytest.mark.parametrize(
    ("more", "kind", "mark"),
    [
        ({}, "normal", ""),
        ({"value": "5.6"}, "abnormal", "H"),
        ({"value": "3.2"}, "abnormal", "L"),
        ({"value": "6.4"}, "critical", "HH"),
        ({"value": "2.9"}, "critical", "LL"),
        ({"value": "6.1"}, "abnormal", "H"),  # the limit itself is not beyond it
        ({"interpretation": flagged("H")}, "abnormal", "H"),
        ({"interpretation": flagged("HH")}, "critical", "HH"),
        ({"interpretation": flagged("AA")}, "critical", "AA"),
        ({"value": "5.6", "interpretation": flagged("N")}, "abnormal", "H"),  # the range is believed, not the N
        ({"referenceRange": None, "interpretation": flagged("N")}, "normal", ""),
        ({"referenceRange": None}, "cannot-tell", ""),
        ({"interpretation": flagged("IND")}, "cannot-tell", ""),
        ({"referenceRange": [{"low": {"value": Decimal(3500), "unit": "umol/L"}}]}, "cannot-tell", ""),
        ({"valueQuantity": quantity("5.0", comparator="<")}, "cannot-tell", ""),  # below 5, perhaps below 3.5
        ({"valueQuantity": quantity("5.0", comparator=">")}, "abnormal", "H"),
        ({"valueQuantity": quantity("3.5", comparator="<")}, "abnormal", "L"),
        ({"valueQuantity": quantity("6.4", "furlong")}, "critical", "HH"),  # unit unknown: the number would be
        ({"valueQuantity": None, "dataAbsentReason": {"text": "hemolyzed"}}, "cannot-tell", ""),
    ],
)  # fmt: skip
def test_numbers(more: dict[str, Any], kind: str, mark: str) -> None:
    found = line(lab("k", **more))
    assert (found.kind, found.mark) == (kind, mark)
    assert found.why


@pytest.mark.parametrize(
    ("more", "kind"),
    [
        ({"valueCodeableConcept": {"text": "Not detected"}}, "normal"),
        ({"valueCodeableConcept": {"text": "Detected"}}, "abnormal"),
        (
            {"valueString": "negative for malignancy"},
            "abnormal",
        ),  # words that could be either are never normal
        ({"valueString": "Negative"}, "normal"),
        ({"valueString": "Positive"}, "abnormal"),
        ({"valueString": "see letter"}, "cannot-tell"),
        ({"valueString": "Specimen insufficient"}, "cannot-tell"),
        ({"valueString": "see letter", "interpretation": flagged("POS")}, "abnormal"),
        ({"valueBoolean": True}, "cannot-tell"),
    ],
)
def test_words(more: dict[str, Any], kind: str) -> None:
    assert line(lab("w", TSH, **WORDS, **more)).kind == kind


def test_a_value_that_no_limit_could_be_applied_to_says_so() -> None:
    child = line(lab("k"), person=CHILD)
    assert "no critical limits for children" in child.not_checked
    assert not seen(lab("k"), person=CHILD).batch
    ageless = line(lab("k"), person=Person("x", None))
    assert ageless.not_checked == "the age is not known"
    unit = line(lab("k", valueQuantity=quantity("4.2", "furlong")))
    assert unit.not_checked
    assert line(lab("t", TSH, "2.1")).not_checked == ""  # no critical limit exists for it at all


def test_a_quarantined_value_is_never_normal_and_keeps_its_alert() -> None:
    future = line(lab("k", taken="2026-12-24"))
    assert (future.kind, future.quarantined) == ("cannot-tell", "dated in the future")
    both = line(lab("k", value="6.8", taken="2026-12-24"))
    assert (both.kind, bool(both.quarantined), bool(both.critical)) == ("critical", True, True)
    assert not seen(lab("k", taken="2026-12-24")).batch
    assert line(lab("k", taken="2026-12-24"), released=["Observation/k"]).kind == "normal"


def test_the_value_before_and_the_trend() -> None:
    earlier = (lab("a", value="4.0", taken="2026-01-01"), lab("b", value="4.8", taken="2026-10-01"),
               lab("c", value="9.9", taken="2026-11-01", status="entered-in-error"), lab("d", value="5.0", taken="2026-12-01"))  # fmt: skip
    found = line(lab("k"), before=earlier)
    assert (found.before, found.before_unit, found.before_day, found.trend) == (
        "4.8",
        "mmol/L",
        "2026-10-01",
        "down",
    )
    other = line(lab("k"), before=(lab("a", valueQuantity=quantity("4200", "umol/L"), taken="2026-01-01"),))
    assert (other.before, other.trend) == ("4200", "")


@pytest.mark.parametrize("status", ["registered", "partial", "preliminary", "unknown"])
def test_partial_looks_partial(status: str) -> None:
    found = seen(lab("k"), whole=report("r", "k", status=status))
    assert found.partial
    assert not found.batch


def test_one_preliminary_value_makes_a_final_report_partial() -> None:
    assert seen(
        lab("k"), lab("na", SODIUM, "139", status="preliminary"), whole=report("r", "k", "na")
    ).partial


def test_a_report_without_any_result_is_nothing_to_look_at() -> None:
    assert judge(report("r", status="registered"), [], [], ADULT, built_in(), DAY) is None
    assert (
        judge(None, [lab("k", status="registered", valueQuantity=None)], [], ADULT, built_in(), DAY) is None
    )


def test_a_report_is_as_urgent_as_its_most_urgent_line_which_comes_first() -> None:
    found = seen(
        lab("na", SODIUM, "139"),
        lab("k", value="6.4"),
        lab("x", TSH, "8.0"),
        whole=report("r", "na", "k", "x"),
    )
    assert (found.kind, [one.name for one in found.lines]) == ("critical", ["Potassium", "TSH", "Sodium"])


def test_what_was_withdrawn_counts_for_nothing() -> None:
    found = seen(
        lab("k", value="6.9", status="entered-in-error"),
        lab("na", SODIUM, "139"),
        whole=report("r", "k", "na"),
    )
    assert (found.kind, found.gone, found.lines[-1].gone) == ("normal", "", "entered in error")
    assert not found.batch
    assert seen(lab("k", status="cancelled")).gone == "cancelled"


def test_a_picture_is_for_a_person_to_read() -> None:
    found = seen(whole=report("r", conclusion="A nodule of 7 mm"))
    assert (found.kind, found.conclusion, found.batch) == ("cannot-tell", "A nodule of 7 mm", False)
    also = seen(lab("k"), whole=report("r", "k", presentedForm=[{"title": "letter"}]))
    assert (also.kind, also.batch) == ("cannot-tell", False)


def test_a_result_that_is_named_and_missing_is_a_line() -> None:
    found = seen(lab("k"), whole=report("r", "k", "x"), missing=[Missing("Observation/x", "Magnesium")])
    assert (found.kind, found.lines[0].name, found.lines[0].value) == (
        "cannot-tell",
        "Magnesium",
        "not received",
    )


def test_components_are_lines_of_their_own() -> None:
    parts = [
        {
            "code": {"coding": [{"system": "http://loinc.org", "code": POTASSIUM}], "text": "Potassium"},
            "valueQuantity": quantity("6.5"),
        }
    ]
    found = seen(lab("p", SODIUM, valueQuantity=None, referenceRange=None, component=parts))
    assert [(one.name, one.part, one.kind) for one in found.lines] == [("Sodium: Potassium", "1", "critical")]


@given(
    value=st.decimals("0.1", "20", places=1),
    low=st.decimals("1", "5", places=1),
    width=st.decimals("0.1", "5", places=1),
)
def test_a_number_is_normal_exactly_within_its_range_unless_critical(
    value: Decimal, low: Decimal, width: Decimal
) -> None:
    limits = [{"low": quantity(str(low)), "high": quantity(str(low + width))}]
    found = line(lab("k", value=str(value), referenceRange=limits))
    beyond = value < 3 or value > Decimal("6.1")
    inside = low <= value <= low + width
    assert (found.kind == "critical") == beyond
    if not beyond and not found.quarantined:
        assert found.kind == ("normal" if inside else "abnormal")


@given(
    st.lists(st.sampled_from(["4.2", "5.6", "6.4", "2.1"]), min_size=1, max_size=5),
    st.sampled_from(["final", "preliminary", "amended"]),
)
def test_only_plain_normals_are_signed_together(values: list[str], status: str) -> None:
    members = [lab(f"k{n}", value=value) for n, value in enumerate(values)]
    found = seen(*members, whole=report("r", *(f"k{n}" for n in range(len(values))), status=status))
    assert found.batch == (status == "final" and set(values) == {"4.2"})
    assert [KINDS.index(one.kind) for one in found.lines] == sorted(
        KINDS.index(one.kind) for one in found.lines
    )
