"""The calculators page: filled from the record, tried with other values, kept only when its numbers are in the record."""

from __future__ import annotations

from typing import Any

from commonchart.access import users
from commonchart.access.records import Records
from commonchart.fhir import json
from commonchart.record.database import Database
from tests.conftest import Clock
from tests.web.conftest import Client, token_of
from tests.web.test_growth_page import child, measured
from tests.web.test_growth_page import put as put

URL = "/patients/kid/calculators"
ADULT = child(birthDate="1970-05-10")
BODY = [measured("w", "29463-7", "2026-05-01", "70"), measured("h", "8302-2", "2023-05-01", "170")]


async def test_what_is_recorded_is_computed_and_the_rest_says_what_is_missing(sage: Client, put: Any) -> None:
    await put(ADULT, *BODY)
    page = (await sage.get(URL)).text
    assert "24.2 kg/m2" in page
    assert "cannot compute: missing creatinine" in page
    assert "months old" in page
    assert "no opioid is on the medication list" in page
    assert "Review needed" in page
    assert len(page) < 60_000


async def test_another_value_is_tried_and_not_stored(
    sage: Client, put: Any, database: Database, clock: Clock
) -> None:
    await put(ADULT, *BODY)
    sent = {"csrf": token_of(await sage.get(URL)), "weight": "70", "height": "170", "creatinine": "1.0"}
    page = await sage.post(URL, data=sent)
    assert page.status_code == 200
    assert "Nothing was stored" in page.text
    assert "with values not in the record" in page.text
    assert "cannot compute: missing creatinine" not in page.text
    refused = await sage.post(URL, data=sent | {"keep": "egfr"})
    assert refused.status_code == 409
    assert "not in the record" in refused.text
    wrong = await sage.post(URL, data=sent | {"creatinine": "high"})
    assert wrong.status_code == 422
    assert 'href="#creatinine"' in wrong.text


async def test_an_answer_is_kept_with_its_sources(
    sage: Client, put: Any, database: Database, clock: Clock
) -> None:
    await put(ADULT, *BODY)
    sent = {"csrf": token_of(await sage.get(URL)), "keep": "bmi"}
    done = await sage.post(URL, data=sent)
    assert done.status_code == 303
    id = done.headers["location"].rpartition("/")[2]
    stored = await Records(database, users.system(1, "test"), clock).read("Observation", id)
    body = json.decode(stored.body or b"")
    assert {one["reference"] for one in body["derivedFrom"]} == {"Observation/w", "Observation/h"}
    assert body["effectiveDateTime"] == "2026-05-01"
    assert (await sage.post(URL, data=sent | {"keep": "none"})).status_code == 422


async def test_a_record_without_birth_date_and_sex(sage: Client, put: Any) -> None:
    await put(child(birthDate="", gender=""), *BODY)
    page = await sage.get(URL)
    assert "Birth date not recorded" in page.text
    assert "Sex, for this computation only" in page.text
    chosen = await sage.post(URL, data={"csrf": token_of(page), "sex": "female"})
    assert "missing date of birth" in chosen.text


async def test_a_preterm_infant_has_a_corrected_age(sage: Client, put: Any) -> None:
    await put(child(birthDate="2026-06-01"), measured("ga", "76516-4", "2026-06-01", "32"))
    page = (await sage.get(URL)).text
    assert "corrected for birth at 32+0 weeks" in page
    assert "outside the range" in page or "missing creatinine" in page
