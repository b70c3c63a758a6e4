"""`$immds-forecast` about given resources and about the record, and the recommendation as a search answers it."""

from __future__ import annotations

from typing import Any

import pytest

from commonchart.fhir.validate import examine
from tests.rest.conftest import Client, ClientOf

CVX = "http://hl7.org/fhir/sid/cvx"
OTTO = {"resourceType": "Patient", "id": "otto", "birthDate": "2022-07-02", "gender": "male"}


def dose(id: str, cvx: str, day: str, **more: Any) -> dict[str, Any]:
    return {
        "resourceType": "Immunization", "id": id, "status": "completed", "occurrenceDateTime": day,
        "vaccineCode": {"coding": [{"system": CVX, "code": cvx}]}, "patient": {"reference": "Patient/otto"},
    } | more  # fmt: skip


def asked(*resources: tuple[str, dict[str, Any]], day: str = "2026-11-18") -> dict[str, Any]:
    given = [{"name": name, "resource": one} for name, one in resources]
    return {
        "resourceType": "Parameters",
        "parameter": [{"name": "assessmentDate", "valueDate": day}, *given],
    }


def told(answer: Any, name: str) -> list[dict[str, Any]]:
    assert answer.status_code == 200, answer.text
    return [one["resource"] for one in answer.json()["parameter"] if one["name"] == name]


def group(recommendation: dict[str, Any], name: str) -> dict[str, Any]:
    return next(one for one in recommendation["recommendation"] if one["targetDisease"]["text"] == name)


@pytest.fixture
async def client(client_of: ClientOf) -> Client:
    return await client_of("administrator")


async def test_given_doses_are_judged_and_the_next_forecast(client: Client) -> None:
    body = asked(
        ("patient", OTTO),
        ("immunization", dose("m0", "03", "2023-06-27")),
        ("immunization", dose("m1", "03", "2023-12-12")),
    )
    answer = await client.post("/fhir/$immds-forecast", json=body)
    [made] = told(answer, "recommendation")
    mmr = group(made, "MMR")
    assert mmr["doseNumberString"] == "2"
    assert mmr["forecastStatus"]["coding"][0]["code"] == "due"
    days = {one["code"]["coding"][0]["code"]: one["value"] for one in mmr["dateCriterion"]}
    assert days["30980-7"] == "2026-07-02"
    assert {one["reference"] for one in mmr["supportingImmunization"]} == {
        "Immunization/m0",
        "Immunization/m1",
    }
    found = {
        (one["immunizationEvent"]["reference"], one["doseStatus"]["coding"][0]["code"])
        for one in told(answer, "evaluation")
    }
    assert found == {("Immunization/m0", "notvalid"), ("Immunization/m1", "valid")}
    reasons = [r["text"] for one in told(answer, "evaluation") for r in one.get("doseStatusReason", [])]
    assert any("5 days before the minimum age of 12 months" in text for text in reasons)


async def test_everything_told_is_valid_fhir(client: Client) -> None:
    answer = await client.post(
        "/fhir/$immds-forecast",
        json=asked(("patient", OTTO), ("immunization", dose("m1", "03", "2023-12-12"))),
    )
    for name in ("recommendation", "evaluation"):
        for resource in told(answer, name):
            assert [issue for issue in examine(resource, []).issues if issue.severity == "error"] == []


@pytest.mark.parametrize(
    ("change", "status", "at"),
    [
        ({"parameter": []}, 400, "patient"),
        (asked(("patient", {"resourceType": "Patient"})), 422, "Patient.birthDate"),
        (asked(("patient", OTTO), ("immunization", OTTO)), 400, "immunization"),
        (asked(("patient", OTTO), ("immunisation", dose("x", "03", "2023-12-12"))), 400, "immunisation"),
        (asked(("patient", OTTO), ("immunization", dose("x", "03", "2023-12-12", status="gone"))), 422, "Immunization.status"),
        (asked(("patient", OTTO), day="soon"), 400, "assessmentDate"),
    ],
    ids=["no patient", "no birth date", "wrong type", "unknown parameter", "bad dose", "bad date"],
)  # fmt: skip
async def test_what_cannot_be_used_is_refused_by_name(
    client: Client, change: dict[str, Any], status: int, at: str
) -> None:
    answer = await client.post("/fhir/$immds-forecast", json={"resourceType": "Parameters"} | change)
    assert answer.status_code == status
    assert at in str(answer.json()["issue"])


async def test_what_is_not_considered_is_said(client: Client) -> None:
    unknown = dose("u", "9999", "2023-12-12") | {"vaccineCode": {"text": "some vaccine"}}
    future = dose("f", "03", "2030-01-01")
    answer = await client.post(
        "/fhir/$immds-forecast",
        json=asked(("patient", OTTO), ("immunization", unknown), ("immunization", future)),
    )
    [outcome] = told(answer, "outcome")
    assert "some vaccine" in str(outcome)
    assert len(outcome["issue"]) >= 2


async def test_the_record_is_forecast_and_searched(client: Client) -> None:
    for one in (OTTO, dose("m1", "03", "2023-12-12")):
        assert (await client.put(f"/fhir/{one['resourceType']}/{one['id']}", json=one)).status_code == 201
    answer = await client.get("/fhir/Patient/otto/$immds-forecast?assessmentDate=2026-11-18")
    assert group(told(answer, "recommendation")[0], "MMR")["doseNumberString"] == "2"
    found = (await client.get("/fhir/ImmunizationRecommendation?patient=Patient/otto")).json()
    assert (found["total"], [e["search"]["mode"] for e in found["entry"]]) == (1, ["match"])
    assert group(found["entry"][0]["resource"], "MMR")["doseNumberString"] == "2"
    for query in ("patient=nobody", "patient=otto&status=due", "_id=x"):
        assert (await client.get(f"/fhir/ImmunizationRecommendation?{query}")).json()["total"] == 0
    assert (await client.get("/fhir/Patient/nobody/$immds-forecast")).status_code == 404
