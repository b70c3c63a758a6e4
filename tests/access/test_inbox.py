"""Signing is once, in the version that was seen, on the record and in FHIR; alerts end with one name; e-mails say nothing."""

from __future__ import annotations

import asyncio
import json
from typing import Any

import pytest

from commonchart.access.inbox import absence, acting, critical, reading, signing, telling
from commonchart.access.inbox.signing import Ask
from commonchart.access.records import Records
from commonchart.fhir.outcome import Conflict, Forbidden, Invalid, NotFound
from commonchart.jobs import outreach
from commonchart.record.database import Database
from commonchart.search.query import parse
from tests.actors import front_desk, patient_of
from tests.conftest import Clock
from tests.inbox import SITE, Ward, lab, patient
from tests.outreach import mail_server

BASED = [{"reference": "ServiceRequest/o1"}]


@pytest.fixture
async def ward(database: Database, clock: Clock) -> Ward:
    return await Ward(database, clock).open()


def ask(id: str = "k1", vid: int = 1) -> Ask:
    return Ask("ada", f"Observation/{id}", f"Observation/{id}/{vid}")


async def provenances(records: Records) -> list[dict[str, Any]]:
    found = await records.search(parse("Provenance", [("target", "Observation/k1")]))
    return [json.loads(one.body or b"{}") for one in found.matches]


async def test_a_signing_is_a_provenance_of_the_version_that_was_seen(ward: Ward) -> None:
    await ward.put(lab("k1", basedOn=BASED))
    await signing.sign(ward.as_("wren"), ask(), note="fine")
    (one,) = await provenances(ward.as_("wren"))
    assert [target["reference"] for target in one["target"]] == ["Observation/k1/_history/1", "Patient/ada"]
    assert one["agent"][0]["who"]["reference"] == "Practitioner/pr-wren"
    assert one["signature"][0]["type"][0]["code"] == "1.2.840.10065.1.12.1.13"
    assert one["reason"][0]["text"] == "fine"


async def test_a_partial_result_has_no_signature(ward: Ward) -> None:
    await ward.put(lab("k1", status="preliminary"))
    await signing.sign(ward.as_("wren"), ask())
    (one,) = await provenances(ward.as_("wren"))
    assert "signature" not in one
    assert (await ward.open_item("Observation/k1")).state == "seen"


async def test_of_two_who_sign_at_once_one_signs_and_the_other_is_told(ward: Ward) -> None:
    await ward.put(lab("k1"))
    found = await asyncio.gather(
        *(signing.sign(ward.as_(one), ask()) for one in ("wren", "otto", "kim")), return_exceptions=True
    )
    refused = [one for one in found if isinstance(one, Conflict)]
    assert len(refused) == 2
    assert all("has already signed it" in str(one) for one in refused)
    assert len(await provenances(ward.as_("wren"))) == 1


async def test_a_cover_signs_on_behalf_of(ward: Ward, clock: Clock) -> None:
    await ward.put(lab("k1", basedOn=BASED))
    wren, otto = ward.users["wren"].id, ward.users["otto"].id
    await absence.arrange(ward.as_("ruth"), wren, otto, clock(), clock().replace(day=20), "leave")
    assert [one.item.item for one in (await reading.listed(ward.as_("otto"))).lines] == ["Observation/k1"]
    await signing.sign(ward.as_("otto"), ask())
    (one,) = await provenances(ward.as_("otto"))
    assert one["agent"][0]["onBehalfOf"]["reference"] == "Practitioner/pr-wren"


async def test_a_batch_is_all_or_nothing(ward: Ward) -> None:
    await ward.put(lab("k1"), lab("k2"), lab("k3", value="5.6"))
    with pytest.raises(Conflict, match="by itself"):
        await signing.sign_together(ward.as_("wren"), [ask(), ask("k2"), ask("k3")])
    with pytest.raises(Conflict, match="newer version"):
        await signing.sign_together(ward.as_("wren"), [ask(), ask("k2", 9)])
    assert [(await ward.open_item(f"Observation/k{n}")).state for n in (1, 2, 3)] == ["open"] * 3
    assert await provenances(ward.as_("wren")) == []
    with pytest.raises(Invalid):
        await signing.sign_together(ward.as_("wren"), [])


async def test_taking_back_is_an_act_and_only_the_signers(ward: Ward) -> None:
    await ward.put(lab("k1"), lab("k2"))
    name = await signing.sign_together(ward.as_("wren"), [ask(), ask("k2")])
    with pytest.raises(Forbidden):
        await signing.undo(ward.as_("otto"), name)
    await ward.put(lab("k2", value="5.9", status="corrected"))
    assert await signing.undo(ward.as_("wren"), name) == 1  # the other one has come back by itself
    assert await provenances(ward.as_("wren")) == []
    with pytest.raises(NotFound):
        await signing.undo(ward.as_("wren"), name)
    found = await reading.one(ward.as_("wren"), "ada", "Observation/k1")
    assert [one.act for one in found.acts] == ["undone", "signed"]
    assert found.acts[1].undone is not None


async def test_every_act_leaves_a_trace_that_names_the_patient(ward: Ward) -> None:
    await ward.put(lab("k1", value="6.4", basedOn=BASED))
    await reading.listed(ward.as_("wren"))
    await reading.one(ward.as_("wren"), "ada", "Observation/k1")
    await critical.acknowledge(ward.as_("wren"), "ada", "Observation/k1")
    await acting.comment(ward.as_("otto"), "ada", "Observation/k1", "seen it too")
    await signing.sign(ward.as_("wren"), ask())
    async with ward.database.single() as conn:
        rows = await conn.fetch(
            "SELECT action, patients, query, detail FROM audit WHERE actor <> 'lab' ORDER BY seq"
        )
    done = [row[0] for row in rows if row[1] == ["ada"]]
    wanted = ["inbox", "read-inbox", "acknowledge-critical", "inbox-commented", "create", "sign-results"]
    assert [one for one in wanted if one not in done] == []
    assert "Emberlow" not in str(rows)
    assert "Potassium" not in str(rows)


@pytest.mark.parametrize("act", ["list", "read", "sign", "acknowledge", "comment", "cover", "report", "ways"])
async def test_nobody_else_gets_in(ward: Ward, clock: Clock, act: str) -> None:
    await ward.put(lab("k1", value="6.4"))
    for actor in (front_desk(), patient_of("ada")):
        records = Records(ward.database, actor, clock)
        todo: dict[str, Any] = {
            "list": lambda r=records: reading.listed(r), "read": lambda r=records: reading.one(r, "ada", "Observation/k1"),
            "sign": lambda r=records: signing.sign(r, ask()), "report": lambda r=records: critical.report(r, clock(), clock()),
            "acknowledge": lambda r=records: critical.acknowledge(r, "ada", "Observation/k1"),
            "comment": lambda r=records: acting.comment(r, "ada", "Observation/k1", "x"), "ways": lambda r=records: telling.ways(r, "ada"),
            "cover": lambda r=records: absence.arrange(r, "a", "b", clock(), clock(), "x"),
        }  # fmt: skip
        with pytest.raises((Forbidden, NotFound)):
            await todo[act]()
    assert (await ward.open_item("Observation/k1")).state == "open"


async def test_forwarding_hands_the_alert_on_when_it_is_taken(ward: Ward) -> None:
    await ward.put(lab("k1", value="6.4", basedOn=BASED))
    await acting.forward(ward.as_("wren"), "ada", "Observation/k1", ward.users["otto"].id, "please")
    assert (await ward.alerts())[0].owner == ward.users["wren"].id
    await acting.take(ward.as_("otto"), "ada", "Observation/k1")
    assert (await ward.alerts())[0].owner == ward.users["otto"].id
    assert await reading.waiting(ward.as_("wren")) is None
    assert (await reading.waiting(ward.as_("otto"))) is not None


# ---- e-mail ----------------------------------------------------------------------------------------------------


async def test_a_critical_notice_says_neither_who_nor_what_and_is_sent_once(
    ward: Ward, tmp_path: Any
) -> None:
    async with mail_server(ward, tmp_path) as (box, _):
        await ward.put(lab("k1", value="6.4", basedOn=BASED))
        await ward.work()
        (letter,) = box.messages
    assert letter["To"] == "wren@alder.example"
    whole = letter.as_string()
    assert "https://chart.example/inbox" in whole
    assert not [word for word in ("Potassium", "6.4", "Emberlow", "Ada", "ada") if word in whole]


async def test_a_notice_that_was_lost_is_sent_again_unless_acknowledged(
    ward: Ward, clock: Clock, tmp_path: Any
) -> None:
    await ward.say(smtp_url="smtp://127.0.0.1:1")
    await ward.put(lab("k1", value="6.4", basedOn=BASED), lab("k2", value="6.5", basedOn=BASED))
    assert await states(ward) == {"waiting": 2}
    await critical.acknowledge(ward.as_("wren"), "ada", "Observation/k2")
    clock.advance(minutes=2)
    async with mail_server(ward, tmp_path) as (box, _):
        await ward.work()
        assert len(box.messages) == 1
    assert await states(ward) == {"sent": 1, "none": 1}


async def states(ward: Ward) -> dict[str, int]:
    async with ward.database.single() as conn:
        return dict(await conn.fetch("SELECT state, count(*)::int FROM critical_notice GROUP BY state"))


async def test_the_patient_is_told_once_without_clinical_detail(
    ward: Ward, clock: Clock, tmp_path: Any
) -> None:
    await ward.put(
        patient(telecom=[{"system": "email", "value": "ada@post.example"}]), lab("k1", value="5.6")
    )
    await ward.say(name="Alder Street", practice_phone="555 0100")
    async with mail_server(ward, tmp_path) as (box, _):
        await telling.sign_and_tell(ward.as_("wren"), ask(), "email")
        for _ in range(3):
            await outreach.drain(ward.database, clock, SITE)
        (letter,) = box.messages
    assert letter["To"] == "ada@post.example"
    assert not [word for word in ("Potassium", "5.6", "result", "abnormal") if word in letter.as_string()]
    found = await ward.as_("wren").search(parse("Communication", [("subject", "Patient/ada")]))
    body = json.loads(found.matches[0].body or b"{}")
    assert body["status"] == "completed"
    assert body["category"][0]["coding"][0]["code"] == "notification"
    async with ward.database.single() as conn:
        (row,) = await conn.fetch("SELECT batch FROM inbox_act WHERE act = 'signed'")
    with pytest.raises(Conflict, match="has been told"):
        await signing.undo(ward.as_("wren"), row[0])


async def test_nothing_is_signed_where_the_patient_cannot_be_told(ward: Ward) -> None:
    await ward.put(patient(deceasedBoolean=True), lab("k1"))
    assert {
        one.why for one in await telling.ways(ward.as_("wren"), "ada") if one.channel in ("letter", "portal")
    } == {"has died"}
    with pytest.raises(Invalid, match="has died"):
        await telling.sign_and_tell(ward.as_("wren"), ask(), "letter")
    assert (await ward.open_item("Observation/k1")).state == "open"
