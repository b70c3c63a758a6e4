"""Linking by hand, over a database: who may, what it opens, and that taking it back restores exactly what was."""

from __future__ import annotations

import pytest

from commonchart.access import due as due_list
from commonchart.access import emergency, persons
from commonchart.access.records import Put
from commonchart.fhir.outcome import Conflict, Forbidden, Invalid, NotFound
from commonchart.fhir.validate import validate
from commonchart.jobs import persons as job
from commonchart.jobs import worker
from tests.access.test_sharing import World, condition, ids, patient, put, referral, who, world

__all__ = ["world"]
WHY = "Compared both passports at the desk"


async def two(world: World) -> None:
    """Birch keeps a record of the same human, and Ada was referred to Birch."""
    again = patient("ada2") | {"name": [{"family": "Ada", "given": ["A"]}]}
    await world.birch_loader.commit([put(again), put(condition("b-cold", "ada2"))])
    await world.loader.commit(
        [Put(validate(patient("ada") | {"name": [{"family": "ADA", "given": ["A"]}]}), "ada")]
    )
    await world.keeps(referral("r1", "birch"))


async def shown(world: World, id: str) -> list[tuple[str, str, str]]:
    found = await world.birch.facts(id, ["Patient", "Condition"], limit=100)
    return sorted((one.rtype, one.id, one.org) for one in found.items)


async def test_a_link_shows_the_union_and_unlinking_restores_exactly_what_was(world: World) -> None:
    await two(world)
    before = {id: await shown(world, id) for id in ("ada", "ada2")}
    assert [(one.other.id, one.why) for one in await persons.of_patient(world.birch, "ada2")] == [
        ("ada", "name and birth date agree")
    ]
    assert len(await persons.waiting(world.birch)) == 1
    await job.decide(world.birch, "ada2", "ada", WHY, same=True)
    assert (
        await shown(world, "ada2") == await shown(world, "ada") == sorted({*before["ada"], *before["ada2"]})
    )
    assert await persons.waiting(world.birch) == []
    await job.take_back(world.birch, "ada", "ada2", WHY)
    assert {id: await shown(world, id) for id in ("ada", "ada2")} == before
    held = (await persons.beside(world.birch, "ada", "ada2")).decisions
    assert [(one.same, one.why, one.ended_why) for one in held] == [(True, WHY, WHY)]


async def test_a_link_in_between_is_taken_out_and_the_others_stay(world: World) -> None:
    await world.keeps(patient("b"), patient("c"))
    for one, other in (("ada", "b"), ("b", "c")):
        await job.decide(world.alder, one, other, WHY, same=True)
    assert {one.id for one in (await world.alder.facts("c", ["Patient"])).items} == {"ada", "b", "c"}
    await job.take_back(world.alder, "ada", "b", WHY)
    assert {one.id for one in (await world.alder.facts("c", ["Patient"])).items} == {"b", "c"}
    await job.decide(world.alder, "ada", "b", WHY, same=True)
    assert {one.id for one in (await world.alder.facts("ada", ["Patient"])).items} == {"ada", "b", "c"}
    rows = await _links(world, "ada")
    assert [row[1] is None for row in rows] == [False, False, True]


async def _links(world: World, id: str) -> list[tuple[object, ...]]:
    async with world.database.single() as conn:
        return await conn.fetch(
            "SELECT linked_at, unlinked_at, actor, unlinked_by FROM person_link WHERE patient = %s ORDER BY linked_at",
            (id,),
        )


async def test_who_may_not(world: World) -> None:
    await two(world)
    for role in ("front-desk", "nurse", "privacy-officer"):
        with pytest.raises(Forbidden):
            await job.decide(world.of(who("birch", role)), "ada", "ada2", WHY, same=True)  # type: ignore[arg-type]
    with pytest.raises(Forbidden):
        await persons.waiting(world.of(who("birch", "billing")))
    with pytest.raises(NotFound):
        await job.decide(world.alder, "ada", "ada2", WHY, same=True)
    with pytest.raises(NotFound):
        await job.decide(world.birch, "ada", "nobody", WHY, same=True)
    with pytest.raises(Invalid):
        await job.decide(world.birch, "ada", "ada2", "same", same=True)
    assert await _links(world, "ada") == []


async def test_sight_by_break_glass_does_not_let_link(world: World) -> None:
    """A link would outlast the hour (hostile K3, B7)."""
    await world.birch_loader.commit([put(patient("ada2"))])
    await emergency.grant(world.birch, "ada", "Unconscious, no relatives")
    assert (await world.birch.read("Patient", "ada")).id == "ada"
    with pytest.raises(NotFound):
        await job.decide(world.birch, "ada", "ada2", WHY, same=True)
    assert await persons.of_patient(world.birch, "ada2") == []


async def test_a_link_that_a_client_writes_opens_nothing(world: World) -> None:
    """Hostile K3: a record with the victim's name, number and a link to it."""
    claim = patient("trap") | {
        "name": [{"family": "Ada"}],
        "link": [{"other": {"reference": "Patient/ada"}, "type": "seealso"}],
    }
    await world.birch_loader.commit([put(claim)])
    assert await ids(world.birch) == set()
    assert [one.id for one in (await world.birch.facts("trap", ["Patient", "Condition"])).items] == ["trap"]
    assert await persons.of_patient(world.birch, "trap") == []
    with pytest.raises(NotFound):
        await persons.beside(world.birch, "trap", "ada")


async def test_records_said_to_be_of_two_are_not_suggested_again(world: World) -> None:
    await two(world)
    await job.decide(world.birch, "ada", "ada2", WHY, same=False)
    assert await persons.waiting(world.birch) == []
    assert len(await shown(world, "ada2")) == 2
    await job.take_back(world.birch, "ada", "ada2", WHY)
    assert len(await persons.waiting(world.birch)) == 1
    with pytest.raises(Conflict):
        await job.take_back(world.birch, "ada", "ada2", WHY)


async def test_due_lists_and_the_trail_follow_at_once(world: World) -> None:
    await two(world)
    await worker.drain(world.database, world.clock)
    await job.decide(world.birch, "ada", "ada2", WHY, same=True)
    rows = await due_list.due_of(world.birch, "ada2")
    assert rows
    trail = await world.birch.audit_of("ada2")
    assert "link-records" in {event.action for event in trail}
    event = next(one for one in trail if one.action == "link-records")
    assert set(event.patients) == {"ada", "ada2"}
