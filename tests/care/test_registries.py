"""Condition registries: who belongs, which value counts, what is said of it; and that the file is checked."""

from __future__ import annotations

from datetime import date
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest

from commonchart.care import assess, registries, rules
from commonchart.care.chart import Chart
from commonchart.care.facts import evidence
from commonchart.care.person import person as asked
from commonchart.care.registries import Row
from commonchart.fhir.outcome import Invalid
from tests.panels import a1c, person, pressure, problem

DAY = date(2026, 11, 18)


def rows_of(*resources: dict[str, Any], day: date = DAY) -> dict[str, Row]:
    chart = Chart(evidence(resources), asked(resources[0], day), rules.built_in(), day)
    found = registries.rows(registries.built_in(), chart, assess.answers(chart))
    return {row.registry: row for row in found}


def diabetes(*resources: dict[str, Any]) -> Row:
    return rows_of(person("p"), problem("p"), *resources)["diabetes"]


def test_the_six_registries_name_only_what_the_pack_has() -> None:
    assert set(registries.built_in().by_name) == {
        "diabetes", "hypertension", "ckd", "asthma-copd", "depression", "anticoagulation",
    }  # fmt: skip


def test_a_value_in_range() -> None:
    row = diabetes(a1c("p", "6.4", "2026-10-01"), a1c("p", "6.6", "2026-04-01", n=2))
    cell = row.cells["a1c"]
    assert (cell.text, cell.day, cell.within, cell.way) == ("6.4", date(2026, 10, 1), "in", "")
    assert cell.points == ((date(2026, 4, 1), Decimal("6.6")), (date(2026, 10, 1), Decimal("6.4")))
    assert cell.high == Decimal("7.0")
    assert row.main == "in"
    assert row.inside == row.known > 0


@pytest.mark.parametrize(("value", "within", "urgency"), [("8.1", "out", 1), ("11.2", "alert", 0)])
def test_out_of_range_comes_first(value: str, within: str, urgency: int) -> None:
    row = diabetes(a1c("p", value, "2026-11-01"))
    assert (row.cells["a1c"].within, row.cells["a1c"].way, row.urgency) == (within, "H", urgency)


def test_overdue_is_said_of_the_parameter() -> None:
    row = diabetes(a1c("p", "6.5", "2025-01-01"))
    assert row.cells["a1c"].status == "overdue"
    assert row.cells["eye"].status == "overdue"
    assert row.cells["eye"].text == ""
    assert row.urgency == 2


def test_what_cannot_be_read_is_a_doubt_and_never_the_value() -> None:
    cell = diabetes(a1c("p", "6.8", "2026-08-01"), a1c("p", "57", "2026-11-01", unit="", n=2)).cells["a1c"]
    assert (cell.text, cell.within, cell.status) == ("6.8", "none", "cannot-tell")
    assert cell.doubt == "57 on 01-Nov-2026: no unit"
    assert all(value < 10 for _, value in cell.points)


def test_a_quarantined_value_never_counts() -> None:
    cell = diabetes(a1c("p", "6.4", "2026-10-01"), a1c("p", "84", "2026-11-01", n=2)).cells["a1c"]
    assert cell.text == "6.4"
    assert "implausible" in cell.doubt
    assert len(cell.points) == 1


def test_an_error_leaves_no_trace() -> None:
    cell = diabetes(
        a1c("p", "6.4", "2026-10-01"), a1c("p", "9.9", "2026-11-01", n=2, status="entered-in-error")
    ).cells["a1c"]
    assert (cell.text, cell.doubt) == ("6.4", "")


def test_a_future_value_does_not_count_yet() -> None:
    cell = diabetes(a1c("p", "6.4", "2026-10-01"), a1c("p", "9.9", "2027-01-01", n=2)).cells["a1c"]
    assert cell.text == "6.4"
    assert cell.doubt.endswith("dated in the future")


def test_a_pair_is_shown_as_one() -> None:
    cell = diabetes(pressure("p", 150, 92, "2026-10-20")).cells["bp"]
    assert (cell.text, cell.way, cell.within) == ("150/92", "H", "out")


def test_a_goal_of_the_patient_is_the_target() -> None:
    goal = {
        "resourceType": "Goal", "id": "g", "lifecycleStatus": "active", "subject": {"reference": "Patient/p"}, "startDate": "2026-01-01",
        "description": {"text": "A1c below 8.5"},
        "target": [{"measure": {"coding": [{"system": "http://loinc.org", "code": "4548-4"}]}, "detailQuantity": {"value": Decimal("8.5"), "comparator": "<", "unit": "%", "code": "%", "system": "http://unitsofmeasure.org"}}],
    }  # fmt: skip
    cell = diabetes(a1c("p", "8.1", "2026-11-01"), goal).cells["a1c"]
    assert (cell.within, cell.high) == ("in", Decimal("8.5"))


def test_only_members_have_rows() -> None:
    assert rows_of(person("p")) == {}
    resolved = problem("p") | {
        "clinicalStatus": {"coding": [{"code": "resolved"}]},
        "abatementDateTime": "2020-01-01",
    }
    assert rows_of(person("p"), resolved) == {}
    assert rows_of(person("p", deceasedBoolean=True), problem("p")) == {}
    warfarin = {
        "resourceType": "MedicationRequest", "id": "w", "intent": "order", "status": "active", "authoredOn": "2026-10-01",
        "subject": {"reference": "Patient/p"},
        "medicationCodeableConcept": {"coding": [{"system": "http://www.nlm.nih.gov/research/umls/rxnorm", "code": "11289"}]},
    }  # fmt: skip
    assert set(rows_of(person("p"), warfarin)) == {"anticoagulation"}


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ('[x]\ntitle = "X"\nconditions = ["nothing"]\ncolumns = []', "unknown code set nothing"),
        ('[x]\ntitle = "X"\ncolumns = [{ id = "a", label = "A", rules = ["no-rule"] }]', "unknown rule no-rule"),
        ('[x]\ntitle = "X"\ncolumns = [{ id = "a", label = "A", analytes = ["no"] }]', "unknown analyte no"),
        ('[x]\ntitle = "X"\ncontrol = "b"\ncolumns = [{ id = "a", label = "A" }]', "unknown column b"),
        ('[x]\ntitle = "X"\ncolumns = [{ id = "a", label = "A" }, { id = "a", label = "B" }]', "two columns a"),
        ('[x]\ntitle = "X"\ncolour = "red"\ncolumns = []', "colour"),
        ("[x", "cannot be read"),
    ],
)  # fmt: skip
def test_a_bad_file_is_refused_whole(tmp_path: Path, text: str, said: str) -> None:
    (tmp_path / "registries.toml").write_text(text)
    with pytest.raises(Invalid) as refused:
        registries.check(registries.read(tmp_path / "registries.toml"), rules.built_in())
    assert said in refused.value.issues[0].message
