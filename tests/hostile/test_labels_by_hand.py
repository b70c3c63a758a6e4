"""An entry marked by hand is at no door of whom the label keeps out, and at all of them again once it is lifted (B1)."""

from __future__ import annotations

from starlette.applications import Starlette

from commonchart.access import labelling
from commonchart.access.actors import Actor
from commonchart.access.records import Put, Records
from commonchart.fhir.validate import validate
from commonchart.jobs import worker
from commonchart.record.database import Database
from tests.conftest import Clock
from tests.hostile.conftest import SignedIn, filled, pages, program_of
from tests.hostile.test_labels_everywhere import CANARY, NUMBER, addresses, hidden, without_links
from tests.web.conftest import Client
from tests.web.people import about, concept

SIGNS = (CANARY.lower(), NUMBER)


async def met(client: Client, paths: list[str]) -> set[str]:
    """The addresses that tell of the canary."""
    found = set()
    for path in paths:
        answer = await client.get(path)
        assert answer.status_code < 500, path
        if any(sign in without_links(answer).lower() for sign in SIGNS):
            found.add(path)
    return found


async def test_what_is_marked_by_hand_is_at_no_door_until_it_is_lifted(
    whole: Starlette, database: Database, clock: Clock, signed_in: SignedIn
) -> None:
    sage = Actor(1, "sage", "Dr Sage", "clinician", "alder", "web", network=True)
    alder = Records(database, sage, clock)
    loader = Records(database, Actor(1, "loader", "L", "system", "alder", "test", network=True), clock)
    referral = about("ServiceRequest", "ref", status="active", intent="order", code=concept("Cardiology"),
                     performer=[{"reference": "Organization/birch"}])  # fmt: skip
    facts = [{name: value for name, value in one.items() if name != "meta"} for one in hidden()]
    facts[0]["code"] = concept(CANARY)  # no rule labels it
    made = about("DiagnosticReport", "cr", status="final", code=concept(f"{CANARY} report"), result=[{"reference": "Observation/cx"}])  # fmt: skip
    birch = {"resourceType": "Organization", "id": "birch", "name": "Birch"}
    await loader.commit([Put(validate(one), one["id"]) for one in (birch, referral, *facts, made)])
    await worker.drain(database, clock)
    program = await program_of(whole, database, clock, "birch-app", role="clinician", org="birch")
    kim = await signed_in("kim", role="clinician", org="birch")
    keys = [(one["resourceType"], one["id"]) for one in facts]
    doors = [
        *addresses(),
        "/fhir/DiagnosticReport/cr",
        "/fhir/Condition/cc/_history",
        "/fhir/Condition/cc/_history/1",
    ]
    shown = [filled(path) for path in pages(whole) if "{patient}" in path]
    open_ = await met(program, doors)
    seen = await met(kim, shown)
    assert len(open_) > 20, len(open_)
    assert len(seen) > 5, len(seen)
    for rtype, id in keys:
        await labelling.put(alder, rtype, id, "very-restricted", "she asked for it")
    assert await met(program, doors) == set()
    assert await met(kim, shown) == set()
    await worker.drain(database, clock)
    assert await met(program, doors) == set()
    for rtype, id in keys:
        await labelling.lift(alder, rtype, id, "very-restricted", "no longer")
    await worker.drain(database, clock)
    assert open_ - await met(program, doors) == set()
    assert seen - await met(kim, shown) == set()
    await program.aclose()
