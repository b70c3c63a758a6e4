"""The growth page: a child's charts, what is in quarantine, a record without sex, an adult, nothing at all."""

from __future__ import annotations

from decimal import Decimal
from typing import Any

import pytest

from commonchart.access import users
from commonchart.access.records import Put, Records
from commonchart.fhir.validate import validate
from commonchart.jobs import worker
from commonchart.record.database import Database
from tests.conftest import Clock
from tests.web.conftest import Client

UNIT = {"29463-7": "kg", "8302-2": "cm", "76516-4": "wk"}


def measured(id: str, loinc: str, when: str, value: str, who: str = "kid") -> dict[str, Any]:
    unit = UNIT[loinc]
    return {
        "resourceType": "Observation", "id": id, "status": "final", "effectiveDateTime": when, "subject": {"reference": f"Patient/{who}"},
        "code": {"coding": [{"system": "http://loinc.org", "code": loinc}]},
        "valueQuantity": {"value": Decimal(value), "unit": unit, "system": "http://unitsofmeasure.org", "code": unit},
    }  # fmt: skip


def child(**more: Any) -> dict[str, Any]:
    made = {"resourceType": "Patient", "id": "kid", "birthDate": "2022-01-10", "gender": "female"} | more
    return {key: value for key, value in made.items() if value}


@pytest.fixture
def put(app: Any, database: Database, clock: Clock) -> Any:
    async def store(*bodies: dict[str, Any]) -> None:
        loader = Records(database, users.system(1, "test"), clock)
        await loader.commit([Put(validate(one), one["id"]) for one in bodies])
        await worker.drain(database, clock)

    return store


WEIGHTS = [measured("w1", "29463-7", "2026-05-01", "16.5"), measured("h1", "8302-2", "2026-05-01", "103")]


async def test_a_child_has_charts_and_the_same_numbers_as_tables(sage: Client, put: Any) -> None:
    await put(child(), *WEIGHTS, measured("ga", "76516-4", "2022-01-10", "33"))
    page = (await sage.get("/patients/kid/growth")).text
    assert "Weight for age" in page
    assert "<svg" in page
    assert "16.5 kg" in page
    assert "Born at 33+0 weeks" in page
    assert "CDC" in page
    assert 'href="/patients/kid/growth"' in (await sage.get("/patients/kid")).text
    assert len(page) < 60_000


async def test_what_is_in_quarantine_has_a_row_and_no_point(sage: Client, put: Any) -> None:
    await put(
        child(),
        *WEIGHTS,
        measured("w2", "29463-7", "2026-12-24", "900"),
        measured("w3", "29463-7", "2026-06-01", "900"),
    )
    page = (await sage.get("/patients/kid/growth")).text
    assert "in quarantine" in page
    assert "not drawn" in page


async def test_without_sex_the_chart_is_chosen_for_the_page_only(sage: Client, put: Any) -> None:
    await put(child(gender=""), *WEIGHTS)
    page = (await sage.get("/patients/kid/growth")).text
    assert "No percentile can be computed" in page
    assert "16.5 kg" in page
    chosen = (await sage.get("/patients/kid/growth?sex=male")).text
    assert "Chosen for this page only" in chosen
    assert "boys" in chosen
    assert '<svg class="ch"' in chosen


async def test_without_birth_date_it_says_so(sage: Client, put: Any) -> None:
    await put(child(birthDate=""), *WEIGHTS)
    assert "birth date is not recorded" in (await sage.get("/patients/kid/growth")).text


async def test_an_adult_and_an_empty_record(sage: Client, put: Any) -> None:
    assert "An adult" in (await sage.get("/patients/ines/growth")).text
    await put(child(id="new"))
    assert "No weight, length" in (await sage.get("/patients/new/growth")).text
