"""The pages about records of one human: the list, side by side, and each decision with its errors."""

from __future__ import annotations

from typing import Any

import pytest

from commonchart.access import users
from commonchart.access.records import Put, Records
from commonchart.fhir.validate import validate
from commonchart.record.database import Database
from tests.conftest import Clock
from tests.web.conftest import Client, SignIn, token_of

ONE = "/persons/twin1/twin2"


def twin(id: str, phone: str) -> dict[str, Any]:
    return {
        "resourceType": "Patient", "id": id, "name": [{"family": "Twinsby", "given": ["Noor"]}], "birthDate": "1990-02-03",
        "gender": "female", "telecom": [{"system": "phone", "value": phone}],
    }  # fmt: skip


@pytest.fixture
async def twins(app: Any, database: Database, clock: Clock) -> None:
    loader = Records(database, users.system(1, "test"), clock)
    await loader.commit(
        [Put(validate(one), one["id"]) for one in (twin("twin1", "555-1"), twin("twin2", "555-2"))]
    )


async def decided(client: Client, **sent: str) -> Any:
    page = await client.get(ONE)
    return await client.post(ONE, data={"csrf": token_of(page), **sent})


async def test_a_pair_is_listed_compared_linked_and_taken_back(sage: Client, twins: None) -> None:
    listed = (await sage.get("/persons")).text
    assert f'href="{ONE}"' in listed
    assert "name and birth date agree" in listed
    page = (await sage.get(ONE)).text
    assert "Differs" in page
    assert "555-2" in page
    answer = await decided(sage, do="same", reason="Showed the same passport")
    assert answer.status_code == 303
    assert ONE not in (await sage.get("/persons")).text
    assert "1 other record" in (await sage.get("/patients/twin1/contacts")).text
    assert (await decided(sage, do="back", reason="It was her sister after all")).status_code == 303
    assert "1 other record" not in (await sage.get("/patients/twin1/contacts")).text
    assert "Taken back" in (await sage.get(ONE)).text


async def test_without_reason_or_decision_the_form_comes_back(sage: Client, twins: None) -> None:
    answer = await decided(sage, do="same", reason="so")
    assert answer.status_code == 422
    assert 'href="#reason"' in answer.text
    assert (await decided(sage, reason="Showed the same passport")).status_code == 422


async def test_the_desk_looks_but_does_not_link(sign_in: SignIn, twins: None) -> None:
    desk = await sign_in("desk")
    page = await desk.get(ONE)
    assert "ask a clinician" in page.text
    answer = await desk.post(
        ONE,
        data={
            "csrf": token_of(await desk.get("/account")),
            "do": "same",
            "reason": "Showed the same passport",
        },
    )
    assert answer.status_code == 403
    assert (await (await sign_in("ines")).get("/persons")).status_code == 403


def problem(id: str, patient: str, state: str) -> dict[str, Any]:
    clinical = {"system": "http://terminology.hl7.org/CodeSystem/condition-clinical", "code": state}
    return {
        "resourceType": "Condition", "id": id, "subject": {"reference": f"Patient/{patient}"}, "clinicalStatus": {"coding": [clinical]},
        "code": {"coding": [{"system": "http://hl7.org/fhir/sid/icd-10-cm", "code": f"E11.{len(id)}"}], "text": "Diabetes"},
    }  # fmt: skip


async def test_what_two_records_repeat_or_contradict_is_marked(
    sage: Client, twins: None, database: Database, clock: Clock
) -> None:
    loader = Records(database, users.system(1, "test"), clock)
    made = [
        problem("p1", "twin1", "active"), problem("p2", "twin2", "active"), problem("px1", "twin1", "active"),
        problem("px2", "twin2", "resolved"), twin("twin2", "555-2") | {"gender": "male"},
    ]  # fmt: skip
    await loader.commit([Put(validate(one), one["id"]) for one in made])
    assert "contradicts" not in (await sage.get("/patients/twin1/conditions")).text
    await decided(sage, do="same", reason="Showed the same passport")
    page = (await sage.get("/patients/twin1/conditions")).text
    assert "1 recorded twice, counted once" in page
    assert page.count("another record contradicts this") == 2
    assert "Sex differs between records: female / male" in page
