"""Orders that alerts speak against: stopped, overridden only after they were seen, and what was checked is kept."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import pytest
from msgspec.structs import replace

from commonchart.access import policy, users, withheld
from commonchart.access.medications import events, gate
from commonchart.access.medications.approvals import approve, withdraw
from commonchart.access.medications.gate import Interrupted, with_override
from commonchart.access.medications.report import Period, report
from commonchart.access.medications.standing import Whole, refreshed, whole
from commonchart.access.policy import ACTIONS, Grant
from commonchart.access.records import Create, Records
from commonchart.fhir.definitions import r4
from commonchart.fhir.outcome import Invalid, NotFound, TooCostly
from commonchart.fhir.validate import validate
from commonchart.record.database import Database
from tests.access.medications.people import ADA, allergy, order, put
from tests.actors import clinician
from tests.conftest import Clock


@pytest.fixture
async def records(database: Database, clock: Clock) -> Records:
    """A clinician's records, with somebody who takes nitroglycerin and is allergic to penicillin."""
    made = Records(database, clinician(), clock)
    await put(
        Records(database, users.system(1, "seed"), clock),
        ADA, order("nitro", "Nitroglycerin 0.4 mg sublingual tablet"), allergy("pen", "Penicillin"),
    )  # fmt: skip
    return made


async def stopped(records: Records, *bodies: dict[str, Any]) -> Sequence[gate.Looked]:
    with pytest.raises(Interrupted) as caught:
        await put(records, *bodies)
    return caught.value.stopped


async def kept(records: Records) -> list[tuple[Any, ...]]:
    async with records.database.single() as conn:
        return await conn.fetch(
            "SELECT id, vid, lines, alerts, reason FROM medication_check ORDER BY at, id, vid"
        )


async def states(records: Records) -> list[tuple[Any, ...]]:
    async with records.database.single() as conn:
        return await conn.fetch("SELECT rule, state, reason FROM alert_event ORDER BY id")


async def test_an_order_that_may_kill_is_not_stored(records: Records) -> None:
    (one,) = await stopped(records, order("s", "Sildenafil 50 mg tablet"))
    assert "itro" in one.checked.interrupting[0].title
    with pytest.raises(NotFound):
        await records.read("MedicationRequest", "s")
    assert [state for _, state, _ in await states(records)] == ["shown"]


async def test_it_is_stored_with_a_reason_given_after_the_alert_was_seen(records: Records) -> None:
    body = order("s", "Sildenafil 50 mg tablet")
    (one,) = await stopped(records, body)
    await put(records, with_override(body, one.digest, "He was told not to take both within two days"))
    ((id, vid, lines, alerts, reason),) = await kept(records)
    assert (id, vid, reason) == ("s", 1, "He was told not to take both within two days")
    assert "Checked 2 medications and 1 allergy against pack medications-2026" in lines
    assert "nitrate" in alerts
    assert (await states(records))[0][1:] == ("overridden", reason)
    (decided,) = [one for one in (await whole(records, "ada")).alerts if one.alert.tier == "interrupt"]
    assert decided.answered is not None
    assert not decided.serious


async def test_a_reason_given_in_advance_changes_nothing(
    records: Records, database: Database, clock: Clock
) -> None:
    body = order("s", "Sildenafil 50 mg tablet")
    other = Records(database, clinician("other"), clock)
    (known,) = await stopped(other, body)
    # somebody else saw the alert, so that the digest is right; this user did not
    (one,) = await stopped(records, with_override(body, known.digest, "Known and wanted"))
    assert one.digest == known.digest
    await put(records, with_override(body, one.digest, "Known and wanted"))


async def test_a_reason_is_for_the_alerts_that_were_shown(records: Records) -> None:
    body = order("s", "Sildenafil 50 mg tablet")
    (one,) = await stopped(records, body)
    await put(Records(records.database, users.system(1, "seed"), records.clock), allergy("sil", "Sildenafil"))
    (again,) = await stopped(records, with_override(body, one.digest, "Known and wanted"))
    assert again.digest != one.digest
    assert len(again.checked.interrupting) == 2


async def test_an_empty_reason_is_none(records: Records) -> None:
    body = order("s", "Sildenafil 50 mg tablet")
    (one,) = await stopped(records, body)
    bare = with_override(body, one.digest, "x")
    bare["extension"][0]["extension"][1]["valueString"] = " \t "
    bare["extension"][0]["extension"][1]["valueString"] = "\u00a0"
    (again,) = await stopped(records, bare)
    assert again.digest == one.digest
    assert len(await states(records)) == 1  # sent again, it is the same showing


async def test_a_reason_counts_once(records: Records) -> None:
    body = order("s", "Sildenafil 50 mg tablet")
    (one,) = await stopped(records, body)
    await put(records, with_override(body, one.digest, "Known and wanted"))
    second = with_override(order("s2", "Sildenafil 50 mg tablet"), one.digest, "Known and wanted")
    await stopped(records, second)


async def test_a_showing_of_yesterday_is_forgotten(records: Records, clock: Clock) -> None:
    body = order("s", "Sildenafil 50 mg tablet")
    (one,) = await stopped(records, body)
    clock.advance(hours=25)
    await stopped(records, with_override(body, one.digest, "Known and wanted"))


async def test_orders_written_together_are_seen_together(records: Records) -> None:
    found = await stopped(
        records, order("a", "Phenelzine 15 mg tablet"), order("b", "Sertraline 50 mg tablet")
    )
    assert {one.id for one in found} == {"a", "b"}
    assert not await kept(records)


async def test_an_allergy_written_with_the_order_counts(records: Records) -> None:
    found = await stopped(records, allergy("war", "Warfarin"), order("w", "Warfarin 5 mg tablet"))
    assert found[0].checked.interrupting[0].rule == "allergy-ingredient"


@pytest.mark.parametrize("intent", ["original-order", "reflex-order", "filler-order", "instance-order"])
async def test_every_kind_of_order_is_one(records: Records, intent: str) -> None:
    await stopped(records, order("s", "Sildenafil 50 mg tablet", intent=intent))


@pytest.mark.parametrize("other", [{"intent": "plan"}, {"status": "draft"}, {"doNotPerform": True}])
async def test_a_plan_is_no_order_until_it_becomes_one(records: Records, other: dict[str, Any]) -> None:
    await put(records, order("s", "Sildenafil 50 mg tablet", **other))
    assert not await kept(records)
    await stopped(records, order("s", "Sildenafil 50 mg tablet"))


async def test_a_note_is_no_new_decision_but_another_dose_is(records: Records) -> None:
    body = order("s", "Sildenafil 50 mg tablet")
    (one,) = await stopped(records, body)
    await put(records, with_override(body, one.digest, "Known and wanted"))
    whole_ = with_override(body, one.digest, "Known and wanted")
    await put(records, whole_ | {"note": [{"text": "spoken to"}]})
    await stopped(records, whole_ | {"dosageInstruction": [{"text": "2 tablets twice a day"}]})


async def test_a_renewal_takes_the_place_of_what_it_renews_and_is_checked(records: Records) -> None:
    await put(records, order("m", "Metformin 500 mg tablet"))
    renewal = order("m2", "Metformin 500 mg tablet", priorPrescription={"reference": "MedicationRequest/m"})
    await put(records, renewal)
    assert "same-ingredient" not in (await kept(records))[-1][3]
    old = order("v", "Nitroglycerin patch", priorPrescription={"reference": "MedicationRequest/nitro"})
    await put(Records(records.database, users.system(1, "seed"), records.clock), order("s", "Sildenafil"))
    await stopped(records, old)


async def test_a_medicine_known_by_text_alone_is_not_checked_and_says_so(records: Records) -> None:
    await put(records, order("b", "blue pill"))
    assert 'NOT CHECKED: no code for \\"blue pill\\"' in (await kept(records))[0][2]
    # a text that names it is as good as a code
    await stopped(records, order("v", "viagra 50 mg"))


async def test_a_medicine_inside_the_order_or_beside_it_is_found(records: Records) -> None:
    inside = {"resourceType": "Medication", "id": "d", "code": {"text": "Sildenafil"}}
    bare = {k: v for k, v in order("s", "").items() if k != "medicationCodeableConcept"}
    await stopped(records, bare | {"contained": [inside], "medicationReference": {"reference": "#d"}})
    beside = {"resourceType": "Medication", "id": "sil", "code": {"text": "Sildenafil"}}
    await stopped(records, beside, bare | {"medicationReference": {"reference": "Medication/sil"}})


async def test_programs_are_not_asked(records: Records, database: Database, clock: Clock) -> None:
    await put(Records(database, users.system(1, "import"), clock), order("s", "Sildenafil"))
    await put(records, order("s3", "Tadalafil"), source="clinic-b")  # a load by a user
    assert not await kept(records)


async def test_another_order_instead_is_an_alert_accepted(records: Records, clock: Clock) -> None:
    await stopped(records, order("s", "Sildenafil 50 mg tablet"))
    await put(records, order("m", "Metformin 500 mg tablet"))
    (one,) = (await report(records, Period(clock().replace(hour=0), clock().replace(hour=23)))).rules
    assert (one.tally.shown, one.tally.accepted, one.tally.overridden) == (1, 1, 0)


async def test_unreviewed_rules_interrupt_only_once_approved(records: Records) -> None:
    patch = order("f", "Fentanyl 25 mcg/hr transdermal patch", "1 patch every 3 days")
    await put(records, patch)
    assert '"rule":"fentanyl-patch-naive","kind":"companion","tier":"passive"' in (await kept(records))[-1][3]
    with pytest.raises(Invalid):
        await approve(records, "fentanyl-patch-naive", " ")
    with pytest.raises(NotFound):
        await approve(records, "no-such-rule", "compared with the label")
    await approve(records, "fentanyl-patch-naive", "compared with the label of 2023")
    (one,) = await stopped(
        records, patch | {"id": "f2", "priorPrescription": {"reference": "MedicationRequest/f"}}
    )
    assert one.checked.interrupting[0].review == "approved by this site"
    await withdraw(records, "fentanyl-patch-naive")
    await put(records, patch | {"id": "f2", "priorPrescription": {"reference": "MedicationRequest/f"}})


async def test_too_many_orders_at_once_are_refused(records: Records) -> None:
    with pytest.raises(TooCostly):
        await put(records, *(order(f"o{n}", "Metformin 500 mg") for n in range(gate.MOST_ORDERS + 1)))


async def test_the_door_names_no_restricted_entry(
    records: Records, database: Database, clock: Clock, monkeypatch: pytest.MonkeyPatch
) -> None:
    shown = frozenset(r4().resource_types) - {"AllergyIntolerance"}
    monkeypatch.setitem(policy.GRANTS, "locum", (Grant(ACTIONS, shown),))
    locum = Records(database, replace(clinician("locum"), role="locum"), clock)
    (one,) = await stopped(locum, order("a", "Amoxicillin 500 mg capsule"))
    (alert,) = one.checked.interrupting
    assert alert.title == "Conflicts with a restricted entry: call or break glass"
    with pytest.raises(Interrupted) as caught:
        await put(locum, order("a", "Amoxicillin 500 mg capsule"))
    assert "enicillin" not in str(caught.value)
    body = with_override(order("a", "Amoxicillin 500 mg capsule"), one.digest, "Called: tolerated last year")
    await put(locum, body)
    # the conflict itself stays open for those who see it
    assert any(one.serious for one in (await reviewed(records)).alerts)


async def test_what_a_label_hides_is_hinted_at_to_who_orders_and_not_checked_to_who_does_not(
    records: Records, database: Database, clock: Clock
) -> None:
    """42 CFR 2.13(c) and the hint of a hidden conflict: docs/explain/medication-safety.md says what it gives away."""
    code = {"system": "http://terminology.hl7.org/CodeSystem/v3-ActCode", "code": "PSYTHPN"}
    hidden = allergy("iod", "Iodixanol") | {"meta": {"security": [code]}}
    seed = Records(database, users.system(1, "seed"), clock)
    auditor = Records(database, replace(clinician("quinn"), role="quality"), clock)
    await put(seed, hidden)
    calm = await whole(auditor, "ada")
    assert "NOT CHECKED: part of this record is withheld" in calm.lines
    await put(records, order("m", "Metformin 500 mg tablet"))  # nothing hidden conflicts: nothing is said
    assert not any("restricted" in row[3] for row in await kept(records))
    await put(seed, allergy("amox", "Amoxicillin") | {"meta": {"security": [code]}}, allergy("pen", "Latex"))
    (one,) = await stopped(records, order("a", "Amoxicillin 500 mg capsule"))
    (alert,) = one.checked.interrupting
    assert (alert.rule, alert.title) == (
        "restricted",
        "Conflicts with a restricted entry: call or break glass",
    )
    assert [fact.ref for fact in alert.facts] == ["MedicationRequest/a"]
    # with a hidden conflict in the record, who does not order is told the very same
    await put(seed, order("amoxi", "Amoxicillin 500 mg capsule"))
    tense = await whole(auditor, "ada")
    withheld_lines = [line for line in tense.lines if "withheld" in line]
    assert withheld_lines == [line for line in calm.lines if "withheld" in line]
    assert not any("restricted" in one.alert.kind for one in tense.alerts)


async def reviewed(records: Records) -> Whole:
    await refreshed(records, "ada")
    return await whole(records, "ada")


async def test_where_even_a_hint_is_forbidden_it_is_not_checked(
    records: Records, database: Database, clock: Clock, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(withheld, "may_be_told", lambda actor, hidden: False)
    shown = frozenset(r4().resource_types) - {"AllergyIntolerance"}
    monkeypatch.setitem(policy.GRANTS, "locum", (Grant(ACTIONS, shown),))
    locum = Records(database, replace(clinician("locum"), role="locum"), clock)
    await put(locum, order("a", "Amoxicillin 500 mg capsule"))
    await put(locum, order("m", "Metformin 500 mg tablet"))
    lines = [row[2] for row in await kept(records)]
    assert all("NOT CHECKED: part of this record is withheld" in one for one in lines)
    assert all("enicillin" not in one for one in lines)


async def test_a_create_is_checked_like_a_put_and_its_check_names_the_new_id(records: Records) -> None:
    body = {k: v for k, v in order("", "Metformin 500 mg tablet").items() if k != "id"}
    (written,) = await records.commit([Create(validate(body))])
    assert [row[0] for row in await kept(records)] == [written.stored.id]


async def test_withdrawing_is_told_to_the_report(records: Records, clock: Clock) -> None:
    (one,) = await stopped(records, order("s", "Sildenafil 50 mg tablet"))
    await events.withdraw(records, "ada", one.digest)
    assert [state for _, state, _ in await states(records)] == ["withdrawn"]


async def test_where_nothing_is_hidden_the_kept_review_is_shown_in_a_network_too(
    records: Records, database: Database, clock: Clock
) -> None:
    """By what it says and when it was made; from the first hidden entry on it is made for each who looks."""
    here = replace(clinician(), network=True)
    seed = Records(database, replace(users.system(1, "seed"), org=here.org), clock)
    nitro = order("nitro", "Nitroglycerin 0.4 mg sublingual tablet") | {"priority": "routine"}
    await put(seed, ADA | {"active": True}, nitro, allergy("pen", "Penicillin") | {"criticality": "high"})
    await refreshed(records, "ada")
    clock.advance(minutes=5)
    network = Records(database, here, clock)
    assert await whole(network, "ada") == await whole(records, "ada")
    hidden = {"system": "http://terminology.hl7.org/CodeSystem/v3-ActCode", "code": "PSYTHPN"}
    body = order("m", "Metformin 500 mg tablet") | {"meta": {"security": [hidden]}}
    await put(seed, body)
    await refreshed(records, "ada")
    clock.advance(minutes=5)
    assert (await whole(network, "ada")).reviewed_at == clock()
