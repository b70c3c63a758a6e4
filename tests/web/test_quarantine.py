"""The quarantine pages: the work list, one result, and each decision with its errors."""

from __future__ import annotations

from decimal import Decimal
from typing import Any

import httpx
import pytest

from commonchart.access import users
from commonchart.access.records import Put, Records
from commonchart.care.rules import built_in
from commonchart.fhir.validate import validate
from commonchart.jobs import worker
from commonchart.record.database import Database
from commonchart.web.present import quarantine as shown
from tests.conftest import Clock
from tests.web.conftest import Client, SignIn, token_of

ONE = "/patients/ines/quarantine/Observation/odd"


def potassium(id: str, when: str, value: str, unit: str = "mmol/L") -> dict[str, Any]:
    return {
        "resourceType": "Observation", "id": id, "status": "final", "effectiveDateTime": when,
        "subject": {"reference": "Patient/ines"},
        "category": [{"coding": [{"system": "http://terminology.hl7.org/CodeSystem/observation-category", "code": "laboratory"}]}],
        "code": {"coding": [{"system": "http://loinc.org", "code": "2823-3"}], "text": "Potassium"},
        "valueQuantity": {"value": Decimal(value), "unit": unit, "system": "http://unitsofmeasure.org", "code": unit},
    }  # fmt: skip


@pytest.fixture
async def odd(app: Any, database: Database, clock: Clock) -> None:
    """A potassium of 14 after one of 4.1."""
    loader = Records(database, users.system(1, "test"), clock)
    made = [potassium("old", "2026-10-01", "4.1"), potassium("odd", "2026-11-10", "14")]
    await loader.commit([Put(validate(one), one["id"]) for one in made])
    await worker.drain(database, clock)


async def decided(sage: Client, **sent: str) -> httpx.Response:
    page = await sage.get(ONE)
    return await sage.post(ONE, data={"csrf": token_of(page), "vid": "1", "comment": "I called them", **sent})


async def test_the_list_shows_value_reason_and_what_was_before(sage: Client, odd: None) -> None:
    page = (await sage.get("/quarantine")).text
    assert 'href="/patients/ines/quarantine/Observation/odd"' in page
    assert "14 mmol/L" in page
    assert "4.1 mmol/L (01-Oct-2026)" in page
    assert "Nobody can have it" in page
    assert (await sage.get("/quarantine?kind=implausible")).status_code == 200
    assert "Nothing is in quarantine for this reason" in (await sage.get("/quarantine?kind=jump")).text
    assert (await sage.get("/quarantine?kind=none")).status_code == 404


async def test_one_result_stands_beside_the_others(sage: Client, odd: None) -> None:
    page = (await sage.get(ONE)).text
    assert "outside 1 to 12 mmol/L: implausible" in page
    assert "this one" in page
    assert "What releasing it would change" in page


@pytest.mark.parametrize(
    ("decision", "said"), [("released", "Released by a clinician"), ("rejected", "Rejected by a clinician")]
)
async def test_a_decision_and_its_undoing(sage: Client, odd: None, decision: str, said: str) -> None:
    assert (await decided(sage, decision=decision)).status_code == 303
    page = (await sage.get(ONE)).text
    assert said in page
    assert "I called them" in page
    assert ONE not in (await sage.get("/quarantine")).text
    assert (await decided(sage, decision="undone")).status_code == 303
    assert ONE in (await sage.get("/quarantine")).text


async def test_a_corrected_value_is_the_next_version(sage: Client, odd: None) -> None:
    wrong = await decided(sage, decision="corrected", value="four", unit="mmol/L")
    assert wrong.status_code == 422
    assert 'href="#value"' in wrong.text
    assert 'value="four"' in wrong.text
    assert (
        await decided(sage, decision="corrected", value="4.4", unit="mmol/L", day="soon")
    ).status_code == 422
    assert (await decided(sage, decision="corrected", value="4.4", unit="mmol/L")).status_code == 303
    page = (await sage.get(ONE)).text
    assert "Nothing stands against this version" in page
    assert "Undo the correction" in page
    assert (await decided(sage, decision="restore")).status_code == 303
    assert ONE in (await sage.get("/quarantine")).text


async def test_asking_whose_it_is_keeps_it_in_quarantine(sage: Client, odd: None) -> None:
    assert (await decided(sage, decision="asked")).status_code == 303
    page = (await sage.get(ONE)).text
    assert "Asked whose it is" in page
    assert ONE in (await sage.get("/quarantine")).text


@pytest.mark.parametrize(
    ("sent", "status"),
    [({"comment": ""}, 422), ({"vid": "7"}, 409), ({"vid": "x"}, 422), ({"decision": "burn"}, 422), ({"decision": "undone"}, 409)],
)  # fmt: skip
async def test_what_cannot_be_decided_is_said(
    sage: Client, odd: None, sent: dict[str, str], status: int
) -> None:
    answer = await decided(sage, **({"decision": "released"} | sent))
    assert answer.status_code == status
    assert "There is a problem" in answer.text


async def test_several_are_decided_together_or_not_at_all(sage: Client, odd: None) -> None:
    page = await sage.get("/quarantine")
    sent = {"csrf": token_of(page), "chosen": "ines/Observation/odd/1", "decision": "rejected"}
    assert (await sage.post("/quarantine", data=sent | {"comment": ""})).status_code == 422
    assert (
        await sage.post("/quarantine", data={"csrf": sent["csrf"], "decision": "rejected", "comment": "why"})
    ).status_code == 422
    assert (await sage.post("/quarantine", data=sent | {"comment": "a faulty interface"})).status_code == 303
    assert ONE not in (await sage.get("/quarantine")).text


async def test_the_flowsheet_and_the_trend_mark_it(sage: Client, odd: None) -> None:
    sheet = (await sage.get("/patients/ines/results")).text
    assert 'href="/patients/ines/quarantine/Observation/odd"' in sheet
    assert "in quarantine.</strong>" in sheet
    trend = (await sage.get("/patients/ines/results/trend?test=http://loinc.org|2823-3")).text
    assert "in quarantine" in trend
    await decided(sage, decision="rejected")
    assert "rejected" in (await sage.get("/patients/ines/results")).text


async def test_the_summary_shows_the_newest_that_counts_and_says_what_does_not(
    sage: Client, odd: None
) -> None:
    page = (await sage.get("/patients/ines")).text
    latest = page[page.index('id="h-r"') : page.index("</table>", page.index('id="h-r"'))]
    assert "4.1" in latest
    assert "01-Oct-2026" in latest
    assert ">14<" not in latest
    assert f'<a href="{ONE}">Potassium 14 mmol/L</a>, 10-Nov-2026' in page
    await decided(sage, decision="rejected")
    assert ONE not in (await sage.get("/patients/ines")).text
    sheet = (await sage.get("/patients/ines/results")).text
    assert "Counts for nothing" not in sheet
    await decided(sage, decision="undone")


async def test_a_patient_is_not_told_a_doubted_number_as_a_fact(
    sage: Client, sign_in: SignIn, odd: None
) -> None:
    ines = await sign_in("ines")
    home = (await ines.get("/me")).text
    assert "14 mmol" not in home
    assert "4.1 mmol" in home
    listed = (await ines.get("/me/results")).text
    assert "May be wrong: we are checking it" in listed
    one = (await ines.get("/me/results/odd")).text
    assert "This result may be wrong" in one
    assert "Talk to us about this today" not in one
    assert "14" not in (await ines.get("/me/results/old")).text.split("The numbers")[1].split("</table>")[0]
    await decided(sage, decision="rejected")
    assert "This result is wrong" in (await ines.get("/me/results/odd")).text
    assert "Found to be wrong" in (await ines.get("/me/record/results")).text


async def test_only_those_who_may_change_results_decide(sign_in: SignIn, odd: None) -> None:
    desk = await sign_in("desk")
    assert (await desk.get("/quarantine")).status_code == 403
    ines = await sign_in("ines")
    assert (await ines.get("/quarantine")).status_code in (403, 404)
    page = await ines.get(ONE)
    assert page.status_code in (200, 403, 404)
    assert "decision" not in page.text or 'name="decision"' not in page.text


@pytest.mark.parametrize(
    "path", ["/patients/ines/quarantine/Observation/none", "/patients/ines/quarantine/Condition/x"]
)
async def test_what_is_not_there_is_not_found(sage: Client, path: str) -> None:
    assert (await sage.get(path)).status_code == 404


def test_a_number_is_tried_in_every_unit_of_its_test() -> None:
    found = {one.unit: one.plausible for one in shown.tries(built_in(), "a1c", Decimal(48))}
    assert found == {"%": False, "mmol/mol": True}
