"""What speaks against a vaccine before it is given; what could not be checked is said."""

from __future__ import annotations

from datetime import date
from typing import Any

import pytest

from commonchart.care.immunizations import pack
from commonchart.care.immunizations.answer import Dose
from commonchart.care.immunizations.before import stops
from commonchart.care.immunizations.from_fhir import facts

TODAY = date(2026, 11, 18)
CVX = "http://hl7.org/fhir/sid/cvx"


def given(cvx: str, day: str) -> dict[str, Any]:
    return {"resourceType": "Immunization", "id": f"i{cvx}{day}", "status": "completed", "occurrenceDateTime": day,
            "vaccineCode": {"coding": [{"system": CVX, "code": cvx}]}}  # fmt: skip


def asked(
    cvx: str, *resources: dict[str, Any], born: str | None = "2022-07-02", **more: Any
) -> list[tuple[str, str]]:
    schedule = pack.load()
    person = {"resourceType": "Patient", "gender": "female", "birthDate": born}
    known = facts({k: v for k, v in person.items() if v}, resources, schedule, TODAY)
    return [(one.kind, one.words) for one in stops(Dose("x", cvx, TODAY, **more), known, schedule)]


def test_a_dose_that_is_due_has_nothing_against_it() -> None:
    assert asked("03", given("03", "2023-12-12")) == []


def test_a_live_vaccine_too_soon_after_another_would_not_count() -> None:
    [(kind, words)] = asked("21", given("03", "2026-11-01"), given("03", "2023-12-12"))
    assert kind == "would not count"
    assert "28 days" in words


def test_an_expired_lot_would_not_count() -> None:
    found = asked("03", given("03", "2023-12-12"), expired_on=date(2026, 11, 17))
    assert [kind for kind, _ in found] == ["would not count"]
    assert "expired on 17-Nov-2026" in found[0][1]


def test_a_contraindication_comes_first_and_names_its_reason() -> None:
    schedule = pack.load()
    code = next(iter(schedule.antigens["Measles"].stop_if))
    system, own = schedule.observations[code].codes[0]
    condition = {
        "resourceType": "Condition", "id": "c", "code": {"coding": [{"system": system, "code": own}]},
        "onsetDateTime": "2026-10-01",
        "clinicalStatus": {"coding": [{"code": "active"}]}, "verificationStatus": {"coding": [{"code": "confirmed"}]},
    }  # fmt: skip
    found = asked("03", condition, given("03", "2023-12-12"))
    assert found[0] == ("contraindicated", f"Contraindicated: {schedule.observations[code].title}")


@pytest.mark.parametrize(
    ("cvx", "born"), [("9999", "2022-07-02"), ("03", None)], ids=["unknown vaccine", "no birth date"]
)
def test_what_cannot_be_checked_is_said(cvx: str, born: str | None) -> None:
    [(kind, words)] = asked(cvx, born=born)
    assert kind == "not checked"
    assert words.startswith("NOT CHECKED")
