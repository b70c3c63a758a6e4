"""A rule that nobody has reviewed shows, and neither sends nor is counted, until a clinician approves this very version."""

from __future__ import annotations

from typing import Any

import pytest
from msgspec import structs

from commonchart.access import digest, rules
from commonchart.access.due import Filters, due_of, registry
from commonchart.access.outreach import campaigns, outbox
from commonchart.access.outreach.campaigns import Wanted
from commonchart.access.outreach.policy import policy_of
from commonchart.care.editions import Edition
from commonchart.care.outreach.decide import CHANGED, UNREVIEWED
from commonchart.care.rules import built_in
from commonchart.jobs import worker
from commonchart.record.database import Database
from commonchart.record.rules import Choice
from tests.conftest import Clock
from tests.outreach import Practice, practice_of, woman

WANTED = Wanted(Filters(rule="breast"), "letter", title="Mammograms")


@pytest.fixture
async def practice(database: Database, clock: Clock) -> Practice:
    made = await practice_of(database, clock)
    visit = {
        "resourceType": "Appointment", "id": "today", "status": "booked", "start": "2026-11-18T15:00:00Z", "end": "2026-11-18T15:20:00Z",
        "participant": [{"actor": {"reference": "Patient/ada"}, "status": "accepted"}],
    }  # fmt: skip
    await made.put(woman("ada"), visit)
    return made


async def preview(practice: Practice) -> list[tuple[str, str]]:
    found = await campaigns.preview(practice.records, WANTED)
    return [(one.patient, one.why) for one in found.people]


async def test_it_shows_labelled_and_is_left_out_of_a_campaign_until_it_is_approved(
    practice: Practice,
) -> None:
    [row] = [row for row in await due_of(practice.records, "ada") if row.rule == "breast"]
    assert row.status == "overdue"
    assert row.approved is None
    assert '"review":"needed"' in row.why
    assert await preview(practice) == [("ada", UNREVIEWED)]
    await rules.approve(practice.records, "breast", "2", "Read in the source")
    assert await preview(practice) == [("ada", "")]
    [row] = [row for row in await due_of(practice.records, "ada") if row.rule == "breast"]
    assert row.approved is not None
    assert row.approved.by == "Sage"
    listed = await registry(practice.records, Filters(rule="breast"), as_of=practice.clock().date())
    assert [one.due.approved is not None for one in listed.rows] == [True]
    await rules.withdraw(practice.records, "breast", "2", "The source is another now")
    assert await preview(practice) == [("ada", UNREVIEWED)]


async def test_an_approval_that_is_withdrawn_before_sending_stops_the_message(practice: Practice) -> None:
    await rules.approve(practice.records, "breast", "2", "Read in the source")
    campaign = await practice.begin("letter", "breast")
    await rules.withdraw(practice.records, "breast", "2", "It was wrong")
    async with practice.database.single() as conn:
        site = await policy_of(conn, 1)
    assert await outbox.letters(practice.records, campaign, site) == 0
    message = await practice.message(campaign, "ada")
    assert (message.state, message.why) == ("left-out", f"when it was to be sent: {UNREVIEWED}")
    assert await practice.communications("ada") == []


async def test_the_approval_of_one_version_does_not_count_for_the_next(practice: Practice) -> None:
    await rules.approve(practice.records, "breast", "2", "Read in the source")
    changed = Edition(
        structs.replace(built_in().by_id["breast"], soon_days=30, version="draft", review="needed")
    )
    await rules.draft(practice.records, changed, "Local policy", "box", 0)
    await rules.activate(practice.records, "breast", Choice("site", 1), "Agreed", 0, anyway=True)
    assert await preview(practice) == [("ada", CHANGED)], "the row still rests on the version before"
    await worker.drain(practice.database, practice.clock)
    assert await preview(practice) == [("ada", UNREVIEWED)]
    await rules.approve(practice.records, "breast", "site.1", "Read our change")
    assert await preview(practice) == [("ada", "")]


async def test_a_rule_that_is_switched_off_sends_nothing_at_once(practice: Practice) -> None:
    wanted = Wanted(Filters(rule="colorectal"), "letter", title="Screening")
    assert [one.why for one in (await campaigns.preview(practice.records, wanted)).people] == [""]
    await rules.activate(
        practice.records, "colorectal", Choice("off"), "Another programme does it", 0, anyway=True
    )
    assert [one.why for one in (await campaigns.preview(practice.records, wanted)).people] == [CHANGED]


async def test_the_digest_leaves_it_out_and_says_how_many(practice: Practice) -> None:
    def shown(visitors: list[Any], panel: Any) -> tuple[bool, bool]:
        [visitor] = visitors
        return any(row.rule == "breast" for row in visitor.due), any(
            one.rule == "breast" for one in panel.lines
        )

    visitors, panel = await digest.today(practice.records), await digest.panel(practice.records)
    assert shown(visitors, panel) == (False, False)
    assert visitors[0].unreviewed > 0
    assert panel.unreviewed > 0
    assert all('"review":"needed"' not in row.why for row in visitors[0].due)
    await rules.approve(practice.records, "breast", "2", "Read in the source")
    after, panel_after = await digest.today(practice.records), await digest.panel(practice.records)
    assert shown(after, panel_after) == (True, True)
    assert after[0].unreviewed == visitors[0].unreviewed - 1
    assert panel_after.unreviewed == panel.unreviewed - 1
