"""What waits for somebody who leaves goes to a colleague or to everybody, in the moment they leave, and says so."""

from __future__ import annotations

import pytest
from msgspec.structs import replace

from commonchart.access.inbox import acting, reading
from commonchart.access.people import staff
from commonchart.access.people.handing_over import POOL, UNSEEN
from commonchart.access.records import Records
from commonchart.fhir.outcome import Invalid
from commonchart.jobs import worker
from commonchart.record.database import Database
from commonchart.record.inbox import alerts
from tests.conftest import Clock
from tests.inbox import Ward, lab, order, patient
from tests.joining import asked

BASED = [{"reference": "ServiceRequest/o1"}]


async def test_results_are_handed_over_with_the_leaving_or_nobody_leaves(
    database: Database, clock: Clock
) -> None:
    ward = await Ward(database, clock).open()
    await ward.put(lab("k1", value="6.9", basedOn=BASED), lab("k2", basedOn=BASED))
    await worker.drain(database, clock)
    wren, otto, ruth = ward.users["wren"], ward.users["otto"], ward.as_("ruth")
    account, _ = await staff.one(ruth, wren.id)
    waiting = await staff.waiting(ruth, account)
    assert (waiting.kinds, waiting.total) == ({"critical": 1, "normal": 1}, 2)
    assert otto.id in {one.id for one in waiting.heirs}
    assert wren.id not in {one.id for one in waiting.heirs}
    for to in ("", wren.id, ward.users["ruth"].id, "nobody"):
        with pytest.raises(Invalid):
            await staff.leave(ruth, wren.id, to)
    assert (await staff.one(ruth, wren.id))[0].active
    assert (await ward.open_item("Observation/k1")).owner == wren.id
    await staff.leave(ruth, wren.id, otto.id)
    listed = await reading.listed(ward.as_("otto"))
    assert {one.item.item: one.item.owner for one in listed.lines} == {
        "Observation/k1": otto.id,
        "Observation/k2": otto.id,
    }
    assert listed.whose == {"mine": 2}
    (alert,) = (await reading.one(ward.as_("otto"), "ada", "Observation/k1")).alerts
    assert alert.owner == otto.id
    (act,) = (await reading.one(ward.as_("otto"), "ada", "Observation/k2")).acts
    assert (act.act, act.actor, act.note) == (
        "handed", ward.users["ruth"].id, f"from {wren.name} to {otto.name} by {ruth.actor.name}",
    )  # fmt: skip
    async with database.single() as conn:
        rows = await conn.fetch(
            "SELECT id, patients, detail FROM audit WHERE action = 'hand-over' ORDER BY id", ()
        )
    assert [tuple(row) for row in rows] == [(n, ["ada"], f"{wren.id} -> {otto.id}") for n in ("k1", "k2")]
    # to everybody
    await staff.leave(ruth, otto.id, POOL)
    listed = await reading.listed(ward.as_("kim"))
    assert listed.whose == {"pool": 2}
    assert "was handed over from" in listed.lines[0].item.owner_by


async def test_each_organisation_has_its_own_results_and_hands_over_its_own(
    database: Database, clock: Clock
) -> None:
    """Wren works for Alder and Birch: a result waits where its patient is kept, and stays when the other one is left."""
    ward = await Ward(database, clock).open()
    wren, otto, ruth = ward.users["wren"], ward.users["otto"], ward.as_("ruth")
    async with database.single() as conn:
        await conn.execute(
            "INSERT INTO membership (id, tenant, actor, org, role, asked, since) VALUES ('b', 1, %s, 'birch', 'clinician', %s, %s)",
            (wren.id, clock(), clock()),
        )
    await ward.put(
        {"resourceType": "Organization", "id": "birch", "name": "Birch"},
        patient("bo", managingOrganization={"reference": "Organization/birch"}),
        order("o2", "pr-wren", "bo"),
    )
    await ward.put(
        lab("a1", value="6.9", basedOn=BASED),
        lab("b1", value="6.9", patient="bo", basedOn=[{"reference": "ServiceRequest/o2"}]),
    )
    await worker.drain(database, clock)
    at_alder = ward.as_("wren")
    at_birch = Records(database, replace(at_alder.actor, org="birch", membership="b"), clock)
    for records, name, other in ((at_alder, "a1", "birch"), (at_birch, "b1", "alder")):
        assert [one.item.item for one in (await reading.listed(records)).lines] == [f"Observation/{name}"]
        waits = await reading.waiting(records)
        assert waits is not None
        assert (waits.count, waits.href.rpartition("/")[2]) == (1, name)
        async with database.single() as conn:
            assert await alerts.elsewhere(conn, 1, wren.id, [other]) == {other: 1}

    place = await asked(database, "wren", "alder")
    account, held = await staff.one(ruth, wren.id, place)
    assert (account.org, held.results) == ("alder", 1)
    assert (await staff.waiting(ruth, account, place)).kinds == {"critical": 1}
    await staff.leave(ruth, wren.id, otto.id, place)
    one, other = await ward.open_item("Observation/a1"), await ward.open_item("Observation/b1", "bo")
    assert (one.owner, one.org, other.owner, other.org) == (otto.id, "alder", wren.id, "birch")
    async with database.single() as conn:
        rows = await conn.fetch("SELECT org, owner FROM critical_alert WHERE state = 'open' ORDER BY org")
    assert rows == [("alder", otto.id), ("birch", wren.id)]
    await staff.leave(ruth, wren.id, POOL)
    last = await ward.open_item("Observation/b1", "bo")
    assert (last.owner, last.org) == ("", "birch")


PSYCHOTHERAPY = {
    "security": [{"system": "http://terminology.hl7.org/CodeSystem/v3-ActCode", "code": "PSYTHPN"}]
}
SHUT_OUT = {
    "resourceType": "Consent", "id": "not-otto", "status": "active", "patient": {"reference": "Patient/bob"},
    "scope": {"coding": [{"system": "http://terminology.hl7.org/CodeSystem/consentscope", "code": "patient-privacy"}]},
    "category": [{"coding": [{"system": "http://loinc.org", "code": "59284-0"}]}], "policyRule": {"text": "as written"},
    "dateTime": "2026-11-01", "provision": {"type": "deny", "actor": [{
        "role": {"coding": [{"system": "http://terminology.hl7.org/CodeSystem/v3-ParticipationType", "code": "IRCP"}]},
        "reference": {"reference": "Practitioner/pr-otto"}}]},
}  # fmt: skip


async def test_nobody_is_handed_what_they_may_not_see_and_nothing_is_lost(
    database: Database, clock: Clock
) -> None:
    ward = await Ward(database, clock).open()
    await ward.put(
        patient("bob"), SHUT_OUT, order("o2", "pr-wren", "bob"), lab("open", basedOn=BASED),
        lab("bobs", value="6.9", patient="bob", basedOn=[{"reference": "ServiceRequest/o2"}]),
        lab("secret", basedOn=BASED, meta=PSYCHOTHERAPY),
    )  # fmt: skip
    await worker.drain(database, clock)
    wren, otto, ruth = ward.users["wren"], ward.users["otto"], ward.as_("ruth")
    account, _ = await staff.one(ruth, wren.id)
    found = await staff.waiting(ruth, account)
    assert found.total == 3
    # by a consent one of them, by a label another, which is nobody's
    assert dict(found.unseen) == {"Kim Person": 1, "Otto Person": 2}
    assert found.nobody == 1
    assert await reading.unseen(ruth) == 0
    await staff.leave(ruth, wren.id, otto.id)
    assert (await ward.open_item("Observation/open")).owner == otto.id
    bobs = await ward.open_item("Observation/bobs", "bob")
    assert (bobs.owner, bobs.org) == ("", "alder")
    assert [one.owner for one in await ward.alerts()] == [""]
    shut_out = Records(database, replace(ward.as_("otto").actor, refused=True), clock)
    assert (await reading.listed(shut_out)).whose == {"mine": 1}
    assert (await reading.listed(ward.as_("kim"))).whose == {"pool": 1}
    # corrected, it stays there; whoever gets the right finds it, and administrators are told that it is there
    await ward.put(lab("secret", value="4.4", status="amended", basedOn=BASED, meta=PSYCHOTHERAPY))
    assert (await ward.open_item("Observation/secret")).owner_by.startswith(UNSEEN)
    assert await reading.unseen(ruth) == 1
    assert await reading.unseen(ward.as_("kim")) == 0
    async with database.single() as conn:
        rows = await conn.fetch(
            "SELECT id, detail FROM audit WHERE action = 'hand-over' AND outcome = 0 ORDER BY id", ()
        )
        await conn.execute("UPDATE resource SET labels = 0 WHERE id = 'secret'")
    beside = f"{wren.id} -> pool, not seen by {otto.id}"
    assert [tuple(row) for row in rows] == [
        ("bobs", beside),
        ("open", f"{wren.id} -> {otto.id}"),
        ("secret", beside),
    ]
    assert (await reading.listed(ward.as_("kim"))).whose == {"pool": 2}
    await acting.take(ward.as_("kim"), "ada", "Observation/secret")
    assert await reading.unseen(ruth) == 0
