"""What an actor may not see of a person, told apart from what they may, and who may be given a hint."""

from __future__ import annotations

import pytest
from msgspec.structs import replace

from commonchart.access import policy, users
from commonchart.access.actors import Actor
from commonchart.access.medications.reading import TOKENS, TYPES
from commonchart.access.policy import ACTIONS, READ, Grant
from commonchart.access.records import Records
from commonchart.access.withheld import Split, sees_everything, withheld
from commonchart.fhir.definitions import r4
from commonchart.record.database import Database
from tests.access.medications.people import ADA, allergy, order, put
from tests.actors import clinician, front_desk, patient_of
from tests.conftest import Clock

WITHOUT_ALLERGIES = frozenset(r4().resource_types) - {"AllergyIntolerance"}


async def split(database: Database, clock: Clock, actor: Actor) -> Split:
    await put(
        Records(database, users.system(1, "seed"), clock),
        ADA,
        order("m", "Metformin"),
        allergy("p", "Penicillin"),
    )
    async with database.connection() as conn:
        return await withheld(conn, actor, clock(), ["ada"], TYPES, TOKENS)


def types(found: Split) -> tuple[set[str], set[str]]:
    return {one["resourceType"] for one in found.seen}, {one["resourceType"] for one in found.hidden}


async def test_nothing_is_hidden_from_a_clinician(database: Database, clock: Clock) -> None:
    found = await split(database, clock, clinician())
    assert types(found) == ({"Patient", "MedicationRequest", "AllergyIntolerance"}, set())
    assert not found.hint
    assert sees_everything(clinician())


async def test_who_orders_may_be_given_a_hint(
    database: Database, clock: Clock, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(policy.GRANTS, "locum", (Grant(ACTIONS, WITHOUT_ALLERGIES),))
    locum = replace(clinician(), role="locum")
    found = await split(database, clock, locum)
    assert types(found) == ({"Patient", "MedicationRequest"}, {"AllergyIntolerance"})
    assert found.hint
    assert not sees_everything(locum)


async def test_who_only_reads_may_not(
    database: Database, clock: Clock, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(policy.GRANTS, "reader", (Grant(READ, WITHOUT_ALLERGIES),))
    assert not (await split(database, clock, replace(clinician(), role="reader"))).hint


@pytest.mark.parametrize("actor", [front_desk(), patient_of("bea")], ids=["front desk", "another patient"])
async def test_others_are_given_nothing(database: Database, clock: Clock, actor: Actor) -> None:
    found = await split(database, clock, actor)
    assert types(found)[0] <= {"Patient"}
    assert not found.hint
