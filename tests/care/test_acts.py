"""What can be done for every rule, and that recording it is read as it was meant."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

import pytest

from commonchart.care.acts import acts, read_back, way_of
from commonchart.care.facts import evidence
from commonchart.care.rules import built_in
from commonchart.care.schema import Rule
from commonchart.fhir.outcome import Invalid
from commonchart.fhir.validate import validate
from commonchart.web.forms import doings
from commonchart.web.forms.fields import Context, parse
from tests.care.cases import DIABETES, condition, due, patient

PACK = built_in()
CONTEXT = Context("p", datetime(2026, 11, 18, 10, tzinfo=UTC), "Dr. Smith")
RULES = {rule.id: rule for rule in PACK.rules}


def _ways(rule: Rule) -> list[Any]:
    return [one for one in acts(rule, PACK) if one.type != "MedicationRequest"]


def record(rule: str, **sent: str) -> list[dict[str, Any]]:
    form = doings.record(RULES[rule], PACK, _ways(RULES[rule]))
    values = parse(
        form,
        {"when": "2026-11-18", "where": "here"} | {k.replace("_", "-"): v for k, v in sent.items()},
        CONTEXT,
    )
    made = form.build(values, CONTEXT, None)
    for one in made:
        validate(one)
    return [one | {"id": f"new{n}"} for n, one in enumerate(made)]


@pytest.mark.parametrize("id", RULES)
def test_every_rule_has_something_that_can_be_done_with_a_code_that_it_counts(id: str) -> None:
    rule = RULES[id]
    found = acts(rule, PACK)
    assert found
    for one in found:
        assert one.code, one
        way = way_of(rule, one)
        if way is None or one.type == "MedicationRequest":
            continue
        made: dict[str, Any] = {
            "resourceType": one.type, "id": "x", "status": "completed" if one.type == "Procedure" else "final",
            "code": {"coding": [{"system": one.system, "code": one.code}]},
        }  # fmt: skip
        fact = evidence([made]).facts[0]
        assert PACK.holds(way.codes, fact.codes)
        assert fact.kind in way.kinds


@pytest.mark.parametrize("id", [id for id, rule in RULES.items() if rule.satisfied_by])
def test_what_came_out_is_read_as_it_was_meant(id: str) -> None:
    rule = RULES[id]
    for one in _ways(rule):
        if not one.reads_results or one.measures:
            continue
        for outcome, words in (
            ("normal", ""),
            ("abnormal", "Abnormal: " + ", ".join(way_of(rule, one).abnormal)),
        ):  # type: ignore[union-attr]
            made = record(id, way=one.key, outcome=outcome, words=words)
            assert read_back(rule, one, PACK, made[0]) == outcome, (one, made)


def test_words_that_a_rule_would_take_for_normal_are_not_stored_as_abnormal() -> None:
    with pytest.raises(Invalid, match="would be read as something else"):
        record("eye-diabetes", outcome="abnormal", words="A finding nobody has named")


def test_a_result_that_is_not_known_yet_keeps_the_question_open() -> None:
    made = record("colorectal", way="0", outcome="unknown")
    assert due("colorectal", *made).status == "cannot-tell"


def test_a_bad_result_that_is_recorded_opens_its_follow_up() -> None:
    made = record("colorectal", way="4", outcome="abnormal", words="positive")
    answer = due("colorectal", *made)
    assert answer.status == "due"
    assert "colonoscopy" in answer.why["because"]
    assert due("colorectal", *record("colorectal", way="4", outcome="normal")).status == "up-to-date"


def test_done_elsewhere_needs_a_source_and_counts_from_its_own_date() -> None:
    with pytest.raises(Invalid, match="without a source"):
        record("breast", outcome="normal", where="told", when="2026-02")
    made = record("breast", outcome="normal", where="report", source="Northgate Hospital", when="2026-02")
    assert made[0]["performer"] == [{"display": "Northgate Hospital"}]
    assert "A report was seen" in made[0]["note"][0]["text"]
    assert due("breast", *made).status == "up-to-date"


def test_a_number_is_recorded_in_a_unit_that_the_analyte_knows() -> None:
    sugar = condition(DIABETES)
    assert due("a1c", sugar, *record("a1c", v_a1c="6.5")).within == "in"
    assert due("a1c", sugar, *record("a1c", v_a1c="64", u_a1c="mmol/mol")).within == "out"
    with pytest.raises(Invalid, match="must be between"):
        record("a1c", v_a1c="65")
    with pytest.raises(Invalid, match="Enter the number"):
        record("a1c")


def test_blood_pressure_is_a_pair() -> None:
    high = condition(("http://hl7.org/fhir/sid/icd-10-cm", "I10"))
    made = record("blood-pressure", v_systolic="128", v_diastolic="76")
    assert [len(one["component"]) for one in made] == [2]
    assert due("blood-pressure", high, *made).status == "up-to-date"
    with pytest.raises(Invalid, match="one half of a pair"):
        record("blood-pressure", v_systolic="128")


def test_a_status_of_smoking_is_an_answer_with_a_code() -> None:
    made = record("tobacco", answer="266919005")
    assert due("tobacco", *made).status == "up-to-date"
    assert due("aaa", *made, who=patient("1959-01-01", "male")).status == "not-applicable"
