"""The past: unmistakable, without actions, from the versions kept; and a present danger is still announced (hazard H5)."""

from __future__ import annotations

import re
from datetime import UTC, datetime, timedelta

import pytest

from commonchart.access.records import Delete, Put
from commonchart.fhir.outcome import Invalid, NotFound
from commonchart.fhir.validate import validate
from commonchart.record.database import Database
from commonchart.web.clinician import sections
from tests.conftest import Clock
from tests.web import people
from tests.web.conftest import PASSWORD, Client, try_sign_in
from tests.web.fakes import Kept, call
from tests.web.test_pages import records
from tests.web.test_sections import ADA, drawn


async def test_the_past_is_unmistakable_and_offers_no_action() -> None:
    kept = Kept([ADA], recorded=call(None, "/").now.replace(year=2024))
    page = await drawn(kept, "conditions", sections.conditions, query="as_of=2024-12-31")
    assert 'data-mode="past"' in page
    assert "As known on 31-Dec-2024" in page
    assert "Not kept for past dates." in page
    assert "(39y on this date)" in page
    assert "/new/" not in page
    assert "/edit/" not in page
    assert 'href="/patients/p/medications?as_of=2024-12-31"' in page


async def test_allergies_recorded_since_the_past_day_are_announced() -> None:
    then = call(None, "/").now.replace(year=2024)
    allergy = {
        "resourceType": "AllergyIntolerance",
        "id": "a",
        "patient": {"reference": "Patient/p"},
        "code": {"text": "Penicillin"},
    }
    kept = Kept([ADA], recorded=then)
    later = Kept([allergy])
    kept.rows += later.rows
    kept.by_key |= later.by_key
    page = await drawn(kept, "", sections.summary, query="as_of=2024-12-31")
    assert "1 allergy</b> recorded since" in page
    assert "Penicillin" not in page


@pytest.mark.parametrize("day", ["2027-01-01", "soon", "2024-02-31"])
async def test_a_day_that_cannot_be_shown_is_refused_in_words(day: str) -> None:
    with pytest.raises(Invalid):
        await drawn(Kept([ADA]), "", sections.summary, query=f"as_of={day}")


async def test_a_patient_who_was_not_known_on_that_day_is_not_found() -> None:
    with pytest.raises(NotFound, match="not known here on 12-Mar-2024"):
        await drawn(Kept([ADA]), "", sections.summary, query="as_of=2024-03-12")


async def test_the_past_shows_what_was_known_then(sage: Client, database: Database, clock: Clock) -> None:
    first = clock.now.date()
    clock.advance(days=30)
    changed = people.condition("c2", "CKD stage 4", "N18.4", "2025-08")
    allergy = people.about(
        "AllergyIntolerance", "a9", code={"text": "Latex"}, criticality="high",
        clinicalStatus={"coding": [{"system": "http://terminology.hl7.org/CodeSystem/allergyintolerance-clinical", "code": "active"}]},
    )  # fmt: skip
    await records(database, clock).commit(
        [Put(validate(changed), "c2"), Put(validate(allergy), "a9"), Delete("Condition", "c3")]
    )
    again = await try_again(sage)
    past = await again.get(f"/patients/ines/conditions?as_of={first}")
    assert "CKD stage 3a" in past.text
    assert "Hypertension with CKD" in past.text
    assert "CKD stage 4" not in past.text
    assert "1 allergy</b> recorded since" in past.text
    assert 'data-mode="past"' in past.text
    assert not re.search(r"/(new|edit|retract)/", past.text)
    fact = await again.get(f"/patients/ines/facts/Condition/c2?as_of={first}")
    assert "CKD stage 3a" in fact.text
    assert "CKD stage 4" not in fact.text
    today = (await again.get("/patients/ines/conditions")).text.split('<aside class="rail"')[0]
    assert "CKD stage 4" in today
    assert "Hypertension with CKD" not in today


async def try_again(client: Client) -> Client:
    """Sign in once more: the session has long ended."""
    client.cookies.clear()
    await try_sign_in(client, "sage", PASSWORD)
    return client


async def test_a_day_before_anything_was_known_is_not_found(sage: Client) -> None:
    page = await sage.get("/patients/ines?as_of=2020-01-01")
    assert page.status_code == 404
    assert "not known here on 01-Jan-2020" in page.text


async def test_the_newest_moment_of_a_day_counts_as_that_day(
    sage: Client, database: Database, clock: Clock
) -> None:
    clock.set(datetime(2026, 11, 18, 23, 59, 59, tzinfo=UTC))
    await records(database, clock).commit(
        [Put(validate(people.condition("late", "Gout", "M10.9", "2026")), "late")]
    )
    clock.set(clock.now + timedelta(days=2))
    again = await try_again(sage)
    assert "Gout" in (await again.get("/patients/ines/conditions?as_of=18-Nov-2026")).text
