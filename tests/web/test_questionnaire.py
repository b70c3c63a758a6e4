"""The questionnaire of one patient: asked once, answered by a form, kept with its source, and settled by the worker."""

from __future__ import annotations

import json
import re
from typing import Any

from starlette.applications import Starlette

from commonchart.access.records import Put, Records
from commonchart.care.person import person
from commonchart.fhir import json as fhir_json
from commonchart.fhir.validate import validate
from commonchart.search.query import parse
from tests.conftest import Clock
from tests.web.conftest import Client, SignIn, token_of
from tests.web.people import condition
from tests.web.test_plans import post, records, settled

__all__ = ["records"]  # the fixture
PATH = "/patients/ines/questionnaire"


async def found(records: Records, rtype: str, patient: str = "ines") -> list[dict[str, Any]]:
    page = await records.search(parse(rtype, [("patient", patient), ("_count", "200")]))
    return [fhir_json.decode(one.body or b"") for one in page.matches]


def asked(text: str) -> set[str]:
    return set(re.findall(r'name="a-([\w-]+)" value="yes"', text))


async def test_answering_settles_what_waited_and_keeps_its_source(
    app: Starlette, sage: Client, records: Records, clock: Clock
) -> None:
    rows = await settled(records, clock)
    before = {rule for rule, row in rows.items() if row.status == "cannot-tell"}
    names = asked((await sage.get(PATH)).text)
    assert {"postmenopausal", "tuberculosis-risk", "hiv-risk"} <= names
    sent = {f"a__{name.replace('-', '__')}": "no" for name in names}
    answer = await post(sage, PATH, who="patient", **sent)
    assert answer.status_code == 303
    responses = await found(records, "QuestionnaireResponse")
    assert [(one["status"], one["source"]) for one in responses] == [
        ("completed", {"reference": "Patient/ines"})
    ]
    derived = [one for one in await found(records, "Observation") if one.get("derivedFrom")]
    assert len(derived) == len(names)
    assert {one["derivedFrom"][0]["reference"] for one in derived} == {
        f"QuestionnaireResponse/{responses[0]['id']}"
    }
    url, _, version = responses[0]["questionnaire"].partition("|")
    page = await records.search(parse("Questionnaire", [("url", url), ("version", version)]))
    assert len(page.matches) == 1
    rows = await settled(records, clock)
    left = {name for row in rows.values() for name in json.loads(row.why).get("asks", ())}
    assert not left & names
    assert {rule for rule, row in rows.items() if row.status == "cannot-tell"} < before
    assert not asked((await sage.get(PATH)).text) & names


async def test_not_knowing_is_kept_with_its_date_and_asked_again_only_when_wanted(
    app: Starlette, sage: Client, records: Records, clock: Clock
) -> None:
    await settled(records, clock)
    await post(sage, PATH, who="parent", a__tuberculosis__risk="unknown", a__hiv__risk="declined")
    rows = await settled(records, clock)
    assert rows["tuberculosis"].status == "cannot-tell"
    text = (await sage.get(PATH)).text
    assert not {"tuberculosis-risk", "hiv-risk"} & asked(text)
    assert "not known on 18-Nov-2026; ask again from 18-May-2027" in text
    assert "would rather not say on 18-Nov-2026; ask again from 18-Nov-2027" in text
    assert {"tuberculosis-risk", "hiv-risk"} <= asked((await sage.get(f"{PATH}?again=yes")).text)
    kept = [one for one in await found(records, "Observation") if one.get("dataAbsentReason")]
    assert {one["dataAbsentReason"]["coding"][0]["code"] for one in kept} == {
        "asked-unknown",
        "asked-declined",
    }


async def test_birth_date_and_sex_are_recorded_in_the_patient(
    app: Starlette, sage: Client, records: Records, clock: Clock
) -> None:
    path = "/patients/blank/questionnaire"
    await settled(records, clock)
    answer = await post(sage, path, who="staff", d__birth__date="1961-02-03")
    assert answer.status_code == 303, answer.text[:500]
    await settled(records, clock)
    answer = await post(sage, path, who="staff", a__sex="male")
    assert answer.status_code == 303, answer.text[:500]
    body = fhir_json.decode((await records.read("Patient", "blank")).body or b"")
    assert body["birthDate"] == "1961-02-03"
    assert person(body, clock().date()).sex == "male"
    assert "The date of birth is" not in (await sage.get("/patients/blank/due")).text


async def test_a_problem_in_doubt_is_confirmed_or_ruled_out(
    app: Starlette, sage: Client, records: Records, clock: Clock
) -> None:
    made = condition("copd", "COPD?", "J44.9", "2026-10")
    made["verificationStatus"]["coding"][0]["code"] = "provisional"
    await records.commit([Put(validate(made), "copd")])
    assert (await settled(records, clock))["copd-score"].status == "cannot-tell"
    assert "COPD?" in (await sage.get(PATH)).text
    assert (await post(sage, PATH, who="staff", c__copd="yes")).status_code == 303
    assert (await settled(records, clock))["copd-score"].status in ("due", "overdue")


async def test_weight_and_height_give_the_index(
    app: Starlette, sage: Client, records: Records, clock: Clock
) -> None:
    await settled(records, clock)
    text = (await sage.get(PATH)).text
    assert 'name="weight"' in text
    assert "needs both" in (await post(sage, PATH, who="staff", weight="86")).text
    assert (await post(sage, PATH, who="staff", weight="86", height="164")).status_code == 303
    codes = {
        one["code"]["coding"][0]["code"]
        for one in await found(records, "Observation")
        if one.get("derivedFrom")
    }
    assert codes == {"29463-7", "8302-2", "39156-5"}


async def test_what_is_wrong_is_said_and_nothing_is_kept(
    app: Starlette, sage: Client, records: Records
) -> None:
    nobody = await post(sage, PATH, a__hiv__risk="no")
    assert nobody.status_code == 422
    assert "Choose the person who answered" in nobody.text or "Choose" in nobody.text
    empty = await post(sage, PATH, who="patient")
    assert (empty.status_code, "Answer at least one question" in empty.text) == (422, True)
    assert await found(records, "QuestionnaireResponse") == []


async def test_the_sheet_for_the_patient_has_only_what_a_patient_can_answer(
    app: Starlette, sage: Client
) -> None:
    sheet = (await sage.get(f"{PATH}?paper=yes")).text
    assert "Please tick one box" in sheet
    assert "sexually transmitted" in sheet
    assert "Calculate the" not in sheet
    assert "sexually transmitted" not in (await sage.get(f"{PATH}?paper=yes&proxy=yes")).text


async def test_who_may_not_write_is_refused(app: Starlette, sage: Client, sign_in: SignIn) -> None:
    desk = await sign_in("desk")
    assert (await desk.get(PATH)).status_code in (403, 404)
    mine = await sign_in("ines")
    page = await mine.get("/me/you")
    answer = await mine.post(PATH, data={"csrf": token_of(page), "who": "patient", "a-hiv-risk": "no"})
    assert answer.status_code == 403
