"""A critical result that a label or a consent hides goes to who may open it, and is never silent where nobody may."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from msgspec.structs import replace

from commonchart.access import users
from commonchart.access.inbox import critical, reading
from commonchart.access.records import Records
from commonchart.record.database import Database
from tests.conftest import Clock
from tests.inbox import Ward, lab, order, patient
from tests.outreach import mail_server

BASED = [{"reference": "ServiceRequest/o1"}]
PSYCHOTHERAPY = {
    "security": [{"system": "http://terminology.hl7.org/CodeSystem/v3-ActCode", "code": "PSYTHPN"}]
}
RELATE = (
    "INSERT INTO relationship (tenant, patient, org, source, kind, starts, ends, why) "
    "VALUES (1, 'ada', %s, 'test', 'treatment', %s, %s, 'treats')"
)
SAYS_NOTHING = (
    "Potassium",
    "6.4",
    "Emberlow",
    "Ada",
    "ada",
    "Bob",
    "bob",
    "sychotherapy",
    "Observation",
    "k1",
)


def shut_out(*logins: str) -> dict[str, Any]:
    """Bob's consent, which keeps these clinicians out."""
    role = {
        "coding": [{"system": "http://terminology.hl7.org/CodeSystem/v3-ParticipationType", "code": "IRCP"}]
    }
    return {
        "resourceType": "Consent", "id": "not-these", "status": "active", "patient": {"reference": "Patient/bob"},
        "scope": {"coding": [{"system": "http://terminology.hl7.org/CodeSystem/consentscope", "code": "patient-privacy"}]},
        "category": [{"coding": [{"system": "http://loinc.org", "code": "59284-0"}]}], "policyRule": {"text": "as written"},
        "dateTime": "2026-11-01", "provision": {"type": "deny", "actor": [
            {"role": role, "reference": {"reference": f"Practitioner/pr-{one}"}} for one in logins]},
    }  # fmt: skip


@pytest.fixture
async def ward(database: Database, clock: Clock) -> Ward:
    """With a privacy officer and a nurse; the administrator and the privacy officer have addresses of their accounts."""
    ward = await Ward(database, clock).open()
    for login, role in (("pia", "privacy-officer"), ("nell", "nurse")):
        ward.users[login] = await users.create(
            database,
            tenant=1,
            login=login,
            name=f"{login.title()} Person",
            role=role,
            org="alder",
            now=clock(),
        )
    async with database.single() as conn:
        await conn.execute(
            "UPDATE app_user SET email = login || '@alder.example' WHERE login IN ('ruth', 'pia')"
        )
    return ward


async def notices(ward: Ward) -> set[tuple[str, str]]:
    """(login, kind) of everybody whom it goes to."""
    async with ward.database.single() as conn:
        rows = await conn.fetch(
            "SELECT u.login, n.kind FROM critical_notice n JOIN app_user u ON u.id = n.user_id"
        )
    return {(row[0], row[1]) for row in rows}


async def audited(ward: Ward) -> list[tuple[str, str, str, list[str]]]:
    async with ward.database.single() as conn:
        rows = await conn.fetch(
            "SELECT action, id, detail, patients FROM audit WHERE action LIKE 'critical-%%' ORDER BY seq"
        )
    return [tuple(row) for row in rows]  # type: ignore[misc]


async def test_what_no_clinician_may_open_is_told_to_who_can_do_something_and_then_to_who_may_open_it(
    ward: Ward, clock: Clock, tmp_path: Path
) -> None:
    async with mail_server(ward, tmp_path) as (box, _):
        await ward.put(lab("k1", value="6.4", basedOn=BASED, meta=PSYCHOTHERAPY))
        await ward.work()
        # wren, to whom it is addressed, gets no letter about what she could not open; the privacy officer does
        assert [letter["To"] for letter in box.messages] == ["pia@alder.example"]
        (letter,) = box.messages
        text = letter.get_payload(decode=True)
        assert isinstance(text, bytes)
        assert "https://chart.example/reports/critical" in text.decode()
        assert [word for word in SAYS_NOTHING if word in f"{letter['Subject']} {text.decode()}"] == []
        assert await reading.waiting(ward.as_("wren")) is None
        assert (await reading.listed(ward.as_("wren"))).lines == ()

        # it is seen where open ones are watched, by who answers for it, with the reason and without the patient
        clock.advance(minutes=16)
        await ward.work()
        assert [letter["To"] for letter in box.messages[1:]] == ["ruth@alder.example"]
        for login in ("pia", "ruth"):
            (one,) = await critical.unseen(ward.as_(login))
            assert one.why == "label:psychotherapy"
            assert {it.name: it.state for it in one.told} == {
                "Pia Person": "sent",
                "Ruth Person": "sent",
            }
            banner = await reading.waiting(ward.as_(login))
            assert banner is not None
            assert (banner.count, banner.unseen, banner.since) == (1, True, one.raised)
        for login in ("wren", "nell", "mina"):
            assert await critical.unseen(ward.as_(login)) == ()
        (alert,) = await ward.alerts()
        assert alert.unseen_since is not None
        assert audited_once(await audited(ward))

        # the label is lifted: those of the step it is at hear of it within minutes
        async with ward.database.single() as conn:
            await conn.execute("UPDATE resource SET labels = 0 WHERE id = 'k1'")
        clock.advance(minutes=6)
        await ward.work()
        found = {letter["To"]: str(letter.get_payload(decode=True)) for letter in box.messages[2:]}
        assert set(found) == {f"{one}@alder.example" for one in ("wren", "otto", "kim", "ruth")}
        assert "/inbox" in found["wren@alder.example"]
        assert await critical.unseen(ward.as_("pia")) == ()
        assert [one[0] for one in await audited(ward)] == ["critical-unseen", "critical-seen"]
        assert await critical.acknowledge(ward.as_("wren"), "ada", "Observation/k1") == 1


def audited_once(found: list[tuple[str, str, str, list[str]]]) -> bool:
    """Who reads the trail finds which result it is."""
    return found == [("critical-unseen", "k1", "label:psychotherapy", ["ada"])]


async def test_it_goes_at_once_to_others_who_may_open_it(ward: Ward) -> None:
    """Wren ordered it and is shut out by the patient: every clinician who is not hears of it, and finds it in the inbox."""
    await ward.put(patient("bob"), shut_out("wren"), order("o2", "pr-wren", "bob"))
    await ward.put(lab("k1", value="6.4", patient="bob", basedOn=[{"reference": "ServiceRequest/o2"}]))
    assert await notices(ward) == {("otto", "beside"), ("kim", "beside"), ("ruth", "beside")}
    assert await audited(ward) == []
    for login in ("otto", "kim"):
        assert [one.item.item for one in (await reading.listed(ward.as_(login))).lines] == ["Observation/k1"]
        assert (await reading.waiting(ward.as_(login))) is not None
    shut = Records(ward.database, replace(ward.as_("wren").actor, refused=True), ward.clock)
    assert await reading.waiting(shut) is None
    assert await critical.acknowledge(ward.as_("kim"), "bob", "Observation/k1") == 1


async def test_a_nurse_has_what_every_clinician_is_shut_out_of(ward: Ward, clock: Clock) -> None:
    await ward.put(patient("bob"), shut_out("wren", "otto", "kim"))
    await ward.put(lab("k1", value="6.4", patient="bob"))
    assert await notices(ward) == {("nell", "beside"), ("ruth", ""), ("pia", "unseen")}
    (line,) = (await reading.listed(ward.as_("nell"))).lines
    assert line.alert is not None
    banner = await reading.waiting(ward.as_("nell"))
    assert banner is not None
    assert not banner.unseen
    assert [one.why for one in await critical.unseen(ward.as_("pia"))] == ["closed"]
    clock.advance(minutes=16)
    await ward.work()
    assert ("ruth", "unseen") in await notices(ward)


async def test_what_is_hidden_later_does_not_wait_in_silence(
    ward: Ward, clock: Clock, tmp_path: Path
) -> None:
    """Everybody was told; then a label came, or the last clinician left, and nobody acknowledged it."""
    await ward.say(smtp_url="smtp://127.0.0.1:1", critical_levels="0=everyone")
    await ward.put(lab("k1", value="6.4", basedOn=BASED))
    assert {one for one, _ in await notices(ward)} == {"wren", "otto", "kim", "ruth"}
    await ward.put(lab("secret", meta=PSYCHOTHERAPY))
    async with ward.database.single() as conn:
        await conn.execute(
            "UPDATE resource SET labels = (SELECT labels FROM resource WHERE id = 'secret') WHERE id = 'k1'"
        )
    clock.advance(minutes=6)
    async with mail_server(ward, tmp_path) as (box, _):
        await ward.work()
        assert [letter["To"] for letter in box.messages] == ["pia@alder.example"]
        assert ("pia", "unseen") in await notices(ward)
        async with ward.database.single() as conn:
            await conn.execute("UPDATE resource SET labels = 0 WHERE id = 'k1'")
        clock.advance(minutes=6)
        await ward.work()
    assert {str(letter["To"]).partition("@")[0] for letter in box.messages[1:]} == {
        "wren",
        "otto",
        "kim",
        "ruth",
    }
    # nobody of the organisation is left who could
    async with ward.database.single() as conn:
        await conn.execute("UPDATE membership SET ended = %s WHERE role = 'clinician'", (clock(),))
    clock.advance(minutes=6)
    await ward.work()
    (one,) = await critical.unseen(ward.as_("pia"))
    assert one.why == "nobody"
    # told again, since it is so again, and once: the mail server is away now
    assert {it.name: it.state for it in one.told} == {
        "Pia Person": "waiting",
        "Nell Person": "none",
    }  # no address
    async with ward.database.single() as conn:
        rows = await conn.fetch("SELECT created FROM critical_notice WHERE kind = 'unseen'")
    assert rows == [(one.since,)]
    clock.advance(minutes=6)
    await ward.work()
    assert (await critical.unseen(ward.as_("pia")))[0].since == one.since
    async with ward.database.single() as conn:
        assert await conn.fetch("SELECT created FROM critical_notice WHERE kind = 'unseen'") == rows


async def test_in_a_network_a_missing_relationship_is_told_and_the_right_clinicians_once_there_is_one(
    ward: Ward, clock: Clock
) -> None:
    """The laboratory keeps the result; the organisation that ordered it has no relation to the patient, another one has."""
    away = await users.create(
        ward.database, tenant=1, login="away", name="Away Person", role="clinician", org="birch", now=clock()
    )
    ward.users["away"] = away
    await relate(ward, "birch")
    await ward.say(mode="network")
    await ward.put(lab("k1", value="6.4", basedOn=BASED))
    assert await notices(ward) == {("pia", "unseen")}
    assert [one.why for one in await critical.unseen(ward.as_("pia"))] == ["closed"]
    elsewhere = Records(ward.database, replace(ward.as_("pia").actor, org="birch", user="other"), clock)
    assert await critical.unseen(elsewhere) == ()
    await relate(ward, "alder")
    clock.advance(minutes=6)
    await ward.work()
    assert await notices(ward) == {("pia", "unseen"), ("wren", "")}
    assert await critical.unseen(ward.as_("pia")) == ()


async def relate(ward: Ward, org: str) -> None:
    """The organisation treats Ada."""
    async with ward.database.single() as conn:
        await conn.execute(RELATE, (org, ward.clock(), ward.clock().replace(year=2027)))
