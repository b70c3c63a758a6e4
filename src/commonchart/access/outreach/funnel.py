"""What became of a campaign, person by person: selected, contacted, answered, booked, done. Computed, never stored.

Booked is an Appointment first recorded after the contact; done is that everything the message reminded of is up to date
now, which it was not when the message was sent. Both close by themselves when the record says so.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import TYPE_CHECKING

from msgspec import Struct

from commonchart.access import audit
from commonchart.access.outreach import staff
from commonchart.access.outreach.known import names_of
from commonchart.record import outreach
from commonchart.record.keys import patient_key
from commonchart.record.outreach import Campaign, Message

if TYPE_CHECKING:
    from commonchart.access.records import Records
    from commonchart.record.database import Connection

CONTACTED = ("sent",)
STAGES = ("selected", "contacted", "answered", "booked", "done")
STATES = ("waiting", "sending", "doubt", "failed", "left-out", "stopped")
_BOOKED = ("pending", "booked", "arrived", "fulfilled", "checked-in", "waitlist")


class Step(Struct, frozen=True):
    """One person of a campaign and how far they have come."""

    message: Message
    name: str
    booked: bool = False
    done: bool = False

    def at(self, stage: str) -> bool:
        """Whether they belong to a stage, or to a state of the outbox."""
        contacted = self.message.state in CONTACTED
        if stage in STATES:
            return self.message.state == stage
        return {
            "selected": True, "contacted": contacted, "answered": contacted and bool(self.message.answer),
            "booked": contacted and self.booked, "done": contacted and self.done,
        }.get(stage, False)  # fmt: skip


async def funnel(records: Records, campaign: Campaign) -> list[Step]:
    """Everybody of the campaign. Raises Forbidden."""
    await staff.required(records)
    await records.require("search", "Condition")
    async with records.database.connection() as conn:
        messages = await outreach.messages(conn, campaign.tenant, campaign.id)
        patients = [one.patient for one in messages]
        names = await names_of(conn, records, patients)
        booked = await _booked(conn, records, messages)
        done = await _statuses(conn, records, messages)
        await audit.note(
            conn, records.actor, records.clock(), "read-campaign", id=campaign.id, patients=patients
        )
    return [
        Step(one, names.get(one.patient, "Name not recorded"), _after(one, booked), _is_done(one, done))
        for one in messages
        if one.patient in names
    ]


def counts(steps: Sequence[Step]) -> dict[str, int]:
    """How many people are at each stage and in each state."""
    return {stage: sum(one.at(stage) for one in steps) for stage in (*STAGES, *STATES)}


def _after(one: Message, booked: Mapping[str, datetime]) -> bool:
    return one.sent_at is not None and any(id in booked and booked[id] >= one.sent_at for id in one.linked)


def _is_done(one: Message, statuses: Mapping[tuple[str, str], str]) -> bool:
    return bool(one.rules) and all(statuses.get((one.patient, rule)) == "up-to-date" for rule in one.rules)


async def _booked(conn: Connection, records: Records, messages: Sequence[Message]) -> dict[str, datetime]:
    """Patient -> when their newest living appointment was first recorded."""
    linked = sorted({id for one in messages for id in one.linked})
    predicate, args = records.visible.predicate("r")
    before, before_args = records.visible.predicate("h")
    cursor = await conn.execute(
        "SELECT r.patient, max(coalesce((SELECT min(h.recorded) FROM history h WHERE h.pk = r.pk AND h.tenant = r.tenant "
        f"AND h.rtype = r.rtype AND h.id = r.id AND {before}), r.recorded)) FROM resource r WHERE {predicate} AND r.rtype = 'Appointment' "
        "AND r.pk = ANY(%s) AND r.patient = ANY(%s) AND NOT r.deleted AND r.body::json->>'status' = ANY(%s) GROUP BY r.patient",
        (*before_args, *args, [patient_key(id) for id in linked], linked, list(_BOOKED)),
    )
    return {row[0]: row[1] for row in await cursor.fetchall()}


async def _statuses(
    conn: Connection, records: Records, messages: Sequence[Message]
) -> dict[tuple[str, str], str]:
    deciding, args = records.visible.due("d")
    patients = [one.patient for one in messages]
    cursor = await conn.execute(
        f"SELECT patient, rule, status FROM due d WHERE pk = ANY(%s) AND patient = ANY(%s) AND {deciding}",
        ([patient_key(id) for id in patients], patients, *args),
    )
    return {(row[0], row[1]): row[2] for row in await cursor.fetchall()}
