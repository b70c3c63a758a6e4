"""Reminders on their way: a real mail server with STARTTLS, a webhook, and everything that may go wrong with them."""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import Any

import pytest

from commonchart.access import users
from commonchart.access.outreach import campaigns, outbox
from commonchart.access.outreach.policy import policy_of
from commonchart.care.outreach.reach import CONFIDENTIAL, Wishes
from commonchart.fhir.outcome import Invalid
from commonchart.jobs import outreach
from commonchart.jobs.worker import Site
from commonchart.record.database import Database
from tests.conftest import Clock
from tests.outreach import Practice, colonoscopy, condition, hook_server, mail_server, practice_of, woman

SITE = Site(Path("/nowhere"), base_url="http://test")


@pytest.fixture
async def practice(database: Database, clock: Clock) -> Practice:
    return await practice_of(database, clock)


async def drain(practice: Practice) -> None:
    while await outreach.drain(practice.database, practice.clock, SITE):
        pass


async def test_mail_goes_out_over_tls_once_and_the_chart_shows_it(practice: Practice, tmp_path: Path) -> None:
    await practice.put(woman("ada"))
    async with mail_server(practice, tmp_path) as (box, _):
        campaign = await practice.begin("email")
        await drain(practice)
        await drain(practice)
    assert box.recipients == ["ada@post.example"]
    assert box.secure == [True]
    mail = box.messages[0]
    message = await practice.message(campaign, "ada")
    assert message.state == "sent"
    assert str(mail["Message-ID"]) == f"<{message.message_id}@alder.example>"
    text = mail.get_content()
    assert "555 0100" in text
    assert "olorectal" not in text + str(mail["Subject"])
    shown = await practice.communications("ada")
    assert [(one["status"], one["medium"][0]["coding"][0]["code"]) for one in shown] == [
        ("completed", "EMAILWRIT")
    ]
    assert shown[0]["payload"][1]["contentString"].split() == text.split()


async def test_a_server_without_starttls_gets_nothing(practice: Practice, tmp_path: Path) -> None:
    await practice.put(woman("ada"))
    async with mail_server(practice, tmp_path, starttls=False) as (box, _):
        campaign = await practice.begin("email")
        await drain(practice)
        assert box.messages == []
        assert "STARTTLS" in (await practice.message(campaign, "ada")).why


async def test_a_certificate_nobody_signed_gets_nothing(practice: Practice, tmp_path: Path) -> None:
    await practice.put(woman("ada"))
    async with mail_server(practice, tmp_path) as (box, _):
        await practice.say(smtp_ca_file="")
        campaign = await practice.begin("email")
        await drain(practice)
        assert box.messages == []
        assert "certificate" in (await practice.message(campaign, "ada")).why


async def test_a_dead_server_means_waiting_in_sight_and_nothing_is_lost(
    practice: Practice, tmp_path: Path, clock: Clock
) -> None:
    await practice.put(woman("ada"), woman("bea"))
    async with mail_server(practice, tmp_path) as (box, server):
        campaign = await practice.begin("email")
        server.stop()
        await drain(practice)
        states = [await practice.message(campaign, who) for who in ("ada", "bea")]
        assert [one.state for one in states] == ["waiting", "waiting"]
        assert [one.attempts for one in states] == [1, 0]
        assert all("cannot be reached" in one.why and one.next_try is not None for one in states)
        clock.advance(seconds=59)
        assert await outreach.drain(practice.database, clock, SITE) == 0
        server.start()
        clock.advance(seconds=2)
        await drain(practice)
        assert sorted(box.recipients) == ["ada@post.example", "bea@post.example"]


@pytest.mark.parametrize(
    ("said", "state", "status"), [("451 later", "waiting", None), ("550 unknown", "failed", "not-done")]
)
async def test_what_the_server_says_is_believed(
    practice: Practice, tmp_path: Path, said: str, state: str, status: str | None
) -> None:
    await practice.put(woman("ada"))
    async with mail_server(practice, tmp_path) as (box, _):
        box.said = said
        campaign = await practice.begin("email")
        await drain(practice)
    message = await practice.message(campaign, "ada")
    assert (message.state, said[:3] in message.why) == (state, True)
    assert [one["status"] for one in await practice.communications("ada")] == ([status] if status else [])


async def test_a_connection_that_breaks_after_the_text_leaves_it_in_doubt(
    practice: Practice, tmp_path: Path, clock: Clock
) -> None:
    await practice.put(woman("ada"))
    async with mail_server(practice, tmp_path) as (box, _):
        box.hangs_up = True
        campaign = await practice.begin("email")
        await drain(practice)
        clock.advance(days=2)
        await drain(practice)
        assert len(box.messages) == 1
        assert (await practice.message(campaign, "ada")).state == "doubt"
        assert [one["status"] for one in await practice.communications("ada")] == ["unknown"]
        await outbox.resolve(practice.records, campaign, "ada", "sent")
        assert (await practice.message(campaign, "ada")).state == "sent"
        assert [one["status"] for one in await practice.communications("ada")] == ["completed"]


async def test_a_person_may_have_it_sent_again(practice: Practice, tmp_path: Path) -> None:
    await practice.put(woman("ada"))
    async with mail_server(practice, tmp_path) as (box, _):
        box.hangs_up = True
        campaign = await practice.begin("email")
        await drain(practice)
        box.hangs_up = False
        await outbox.resolve(practice.records, campaign, "ada", "again")
        await drain(practice)
    assert (await practice.message(campaign, "ada")).state == "sent"
    assert len({str(one["Message-ID"]) for one in box.messages}) == 1


@pytest.mark.parametrize("channel", ["sms", "voice"])
async def test_texts_and_calls_go_to_the_webhook_without_clinical_detail(
    practice: Practice, channel: str, tmp_path: Path
) -> None:
    (tmp_path / "key").write_text("s3cret\n")
    await practice.put(woman("ada"))
    async with hook_server(practice, channel) as hook:
        await practice.say(outreach_key_file=str(tmp_path / "key"))
        campaign = await practice.begin(channel)
        await drain(practice)
    message = await practice.message(campaign, "ada")
    assert message.state == "sent"
    assert [(one["to"], one["channel"], one["id"]) for one in hook.heard] == [
        ("555 01420", channel, message.message_id)
    ]
    assert "olorectal" not in hook.heard[0]["text"]
    assert "authorization: bearer s3cret" in hook.heads[0]


@pytest.mark.parametrize(
    ("answers", "state"), [(0, "doubt"), (500, "doubt"), (503, "waiting"), (401, "waiting"), (400, "failed")]
)
async def test_what_a_webhook_answers(practice: Practice, answers: int, state: str) -> None:
    await practice.put(woman("ada"))
    async with hook_server(practice) as hook:
        hook.answers = answers
        campaign = await practice.begin("sms")
        await drain(practice)
    assert (await practice.message(campaign, "ada")).state == state
    assert len(hook.heard) == 1


async def test_a_webhook_that_may_not_be_called_or_is_down_is_tried_later(practice: Practice) -> None:
    await practice.put(woman("ada"))
    async with hook_server(practice) as hook:
        await practice.say(egress_origins="https://elsewhere.example")
        campaign = await practice.begin("sms")
        await drain(practice)
    message = await practice.message(campaign, "ada")
    assert (message.state, hook.heard) == ("waiting", [])
    assert "may not be called" in message.why


async def test_nobody_is_disturbed_in_quiet_hours(practice: Practice, clock: Clock) -> None:
    await practice.say(time_zone="America/Chicago", outreach_hours="09:00-19:00")
    await practice.put(woman("ada"))
    async with hook_server(practice) as hook:
        campaign = await practice.begin("sms")
        await drain(practice)  # 10:00 UTC is 04:00 in Chicago
        assert (await practice.message(campaign, "ada")).state == "waiting"
        clock.advance(hours=5, minutes=1)
        await drain(practice)
    assert len(hook.heard) == 1


BY_THEN: list[tuple[str, list[dict[str, Any]], str]] = [
    ("died", [woman("ada", deceasedBoolean=True)], "has died"),
    ("hospice", [condition("h", "ada", "Z51.5")], "hospice"),
    ("opted out", [woman("ada", Wishes(opted_out=frozenset({"all"})))], "asked not"),
    ("no opt-in", [woman("ada", Wishes())], "has not agreed"),
    ("inactive", [woman("ada", active=False)], "merged"),
    ("a loss", [condition("p", "ada", "O03.9", onsetDateTime="2026-11-10")], "a pregnancy has ended"),
    ("done", [colonoscopy("ada", "2026-11-10")], "nothing is due any more"),
]


@pytest.mark.parametrize(("name", "news", "why"), BY_THEN, ids=[one[0] for one in BY_THEN])
async def test_who_may_be_contacted_is_decided_again_when_it_is_sent(
    practice: Practice, name: str, news: list[dict[str, Any]], why: str
) -> None:
    await practice.put(woman("ada"))
    async with hook_server(practice) as hook:
        campaign = await practice.begin("sms")
        await practice.put(*news)
        await drain(practice)
    message = await practice.message(campaign, "ada")
    assert (message.state, hook.heard) == ("left-out", [])
    assert why in message.why


async def test_a_person_with_two_records_is_contacted_once(practice: Practice) -> None:
    await practice.put(woman("ada"), woman("bea"))
    async with practice.database.single() as conn:
        for who in ("ada", "bea"):
            await conn.execute(
                "INSERT INTO person_link (tenant, patient, person, linked_at, actor, reason) VALUES (1, %s, 'bea', now(), 'x', 'y')",
                (who,),
            )
    async with hook_server(practice) as hook:
        campaign = await practice.begin("sms")
        await drain(practice)
    assert len(hook.heard) == 1
    assert (await practice.message(campaign, "bea")).state == "sent"
    assert "merged" in (await practice.message(campaign, "ada")).why


async def test_no_second_reminder_within_the_days_by_any_campaign_or_record(
    practice: Practice, clock: Clock
) -> None:
    await practice.put(woman("ada"))
    async with hook_server(practice) as hook:
        await practice.begin("sms")
        await drain(practice)
        with pytest.raises(Invalid, match="Nobody can be contacted"):
            await practice.begin("sms", rule="cervical-30")
        clock.advance(days=31)
        await practice.begin("sms", rule="cervical-30")
        await drain(practice)
    assert len(hook.heard) == 2


async def test_two_campaigns_that_both_wait_reach_a_person_once(practice: Practice, clock: Clock) -> None:
    """Begun by two people at the same moment: neither saw the other's."""
    await practice.put(woman("ada"))
    async with hook_server(practice) as hook:
        first = await practice.begin("sms")
        async with practice.database.single() as conn:
            await conn.execute("UPDATE outreach_message SET created = %s", (clock.now.replace(year=2020),))
        second = await practice.begin("sms", rule="cervical-30")
        await drain(practice)
    assert len(hook.heard) == 1
    states = {(await practice.message(one, "ada")).state for one in (first, second)}
    assert states == {"sent", "left-out"}


@pytest.mark.parametrize("rule", ["hiv-screen", "a1c"])
async def test_rules_that_no_message_may_mention_and_unreviewed_ones_never_enter(
    practice: Practice, rule: str
) -> None:
    await practice.put(woman("ada"), condition("d", "ada", "E11.9"))
    for channel in ("letter", "portal"):
        with pytest.raises(Invalid, match="Nobody can be contacted"):
            await practice.begin(channel, rule=rule)


async def test_a_missing_field_refuses_the_whole_campaign_and_names_it(practice: Practice) -> None:
    nameless = woman("bea", name=[{"family": "Hallow"}])
    await practice.put(woman("ada"), nameless)
    with pytest.raises(Invalid, match=r"no value for \{given\} for 1 of 2 people"):
        await practice.begin("letter")
    await practice.say(practice_phone="")
    with pytest.raises(Invalid, match=r"\{phone\} for 2 of 2"):
        await practice.begin("letter")
    assert await campaigns.recent(practice.records) == []


async def test_letters_are_written_all_at_once_and_can_be_printed_again(practice: Practice) -> None:
    hidden = woman("bea", address=[{
        "line": ["PO Box 7"], "city": "Alder", "postalCode": "44001",
        "extension": [{"url": CONFIDENTIAL, "valueBoolean": True}]}])  # fmt: skip
    es = [{"preferred": True, "language": {"coding": [{"system": "urn:ietf:bcp:47", "code": "es-US"}]}}]
    await practice.put(woman("ada"), hidden, woman("eva", communication=es))
    campaign = await practice.begin("letter")
    await drain(practice)
    async with practice.database.single() as conn:
        site = await policy_of(conn, 1)
    assert await outbox.letters(practice.records, campaign, site) == 3
    assert await outbox.letters(practice.records, campaign, site) == 0
    ada, bea, eva = await outbox.written(practice.records, campaign)
    assert "olorectal" in ada.text
    assert "olorectal" not in bea.text
    assert bea.to[1] == "PO Box 7"
    assert (eva.language, "Revisamos" in eva.text) == ("es", True)


async def test_a_portal_message_needs_an_account(
    practice: Practice, database: Database, clock: Clock
) -> None:
    await practice.put(woman("ada"), woman("bea"))
    await users.create(
        database, tenant=1, login="ada", name="Ada", role="patient", org="alder", now=clock(), patient="ada"
    )
    campaign = await practice.begin("portal")
    await drain(practice)
    assert (await practice.message(campaign, "ada")).state == "sent"
    assert "no portal account" in (await practice.message(campaign, "bea")).why
    assert "olorectal" in (await practice.communications("ada"))[0]["payload"][1]["contentString"]


async def test_a_campaign_stops_with_the_standing_of_whoever_began_it(
    practice: Practice, clock: Clock
) -> None:
    await practice.put(woman("ada"))
    async with hook_server(practice) as hook:
        campaign = await practice.begin("sms")
        await users.set_active(practice.database, "sage-out", False, clock())
        await drain(practice)
    message = await practice.message(campaign, "ada")
    assert (message.state, hook.heard) == ("stopped", [])
    assert "has ended" in message.why


async def test_the_same_form_sent_twice_begins_one_campaign(practice: Practice) -> None:
    await practice.put(woman("ada"))
    campaign = await practice.begin("letter")
    practice._n = 0
    wanted = campaigns.Wanted(campaigns.Filters(rule="colorectal"), "letter", title="again")
    assert await campaigns.begin(practice.records, campaign.id, wanted, 1) == campaign
    assert len(await campaigns.recent(practice.records)) == 1


async def test_an_answer_is_kept_and_an_opt_out_lasts(practice: Practice, clock: Clock) -> None:
    await practice.put(woman("ada"))
    async with hook_server(practice):
        campaign = await practice.begin("sms")
        await drain(practice)
        await outbox.answer(practice.records, campaign, "ada", "opt-out", "told us on the phone")
        clock.advance(days=400)
        with pytest.raises(Invalid, match="Nobody can be contacted"):
            await practice.begin("sms")
    kept = await practice.communications("ada")
    assert {one["status"] for one in kept} == {"completed"}
    answers = [one for one in kept if "inResponseTo" in one]
    assert [one["sender"]["reference"] for one in answers] == ["Patient/ada"]


async def test_workers_side_by_side_send_each_message_once(practice: Practice) -> None:
    await practice.put(*(woman(f"p{n}") for n in range(10)))
    async with hook_server(practice) as hook:
        await practice.begin("sms")
        await asyncio.gather(*(drain(practice) for _ in range(4)))
    assert len(hook.heard) == len({one["id"] for one in hook.heard}) == 10


async def test_a_password_comes_from_its_file_and_a_missing_one_is_said(
    practice: Practice, tmp_path: Path
) -> None:
    await practice.put(woman("ada"))
    async with mail_server(practice, tmp_path) as (box, _):
        await practice.say(smtp_password_file=str(tmp_path / "nothing"))
        campaign = await practice.begin("email")
        await drain(practice)
        assert box.messages == []
    assert "password" in (await practice.message(campaign, "ada")).why


async def test_a_message_that_the_server_drops_holds_up_nobody(
    practice: Practice, tmp_path: Path, clock: Clock
) -> None:
    await practice.put(woman("ada"), woman("bea"))
    async with mail_server(practice, tmp_path) as (box, _):
        box.drops = "ada@post.example"
        campaign = await practice.begin("email")
        await drain(practice)
        assert box.recipients == ["bea@post.example"]
        assert (await practice.message(campaign, "ada")).state == "waiting"
        box.drops = ""
        clock.advance(minutes=2)
        await drain(practice)
        assert box.recipients == ["bea@post.example", "ada@post.example"]
