"""Signing a result and telling the patient that it is there: in general words, by a way they agree to, through the outbox.

Whether and why not is known before anything is signed. The message is put into the outbox in the transaction of the
signature; what becomes of it is the outbox's own (sent once, tried again, in doubt), and is shown with the item.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any
from uuid import uuid4

import msgspec
from msgspec import Struct

from commonchart.access.inbox import policy, signing
from commonchart.access.inbox.signing import Answer, Ask
from commonchart.access.outreach import known, staff, words
from commonchart.access.outreach.outbox import RESULT
from commonchart.access.outreach.policy import Policy, policy_of
from commonchart.care.outreach.decide import WORDS, Known, LeftOut, reachable
from commonchart.care.outreach.reach import CHANNELS
from commonchart.fhir.outcome import Invalid, NotFound
from commonchart.record import outreach
from commonchart.record.changes import CHANNEL
from commonchart.record.inbox import items
from commonchart.record.inbox.items import Act
from commonchart.record.outreach import Campaign, Message

if TYPE_CHECKING:
    from commonchart.access.records import Records
    from commonchart.record.database import Connection

WORDING = "result"
TITLE = "Word of a result"
_FIRST = ("portal", "email", "sms", "letter", "voice")


class Way(Struct, frozen=True):
    """A channel, in words; `why` it cannot be used, "" if it can; `text` is what would be sent."""

    channel: str
    words: str
    why: str = ""
    text: str = ""


class State(Struct, frozen=True):
    """What became of a message: its state in the outbox and the reason."""

    campaign: str
    channel: str
    state: str
    why: str


async def ways(records: Records, patient: str) -> list[Way]:
    """Every channel, those that can be used first. Raises Forbidden, NotFound."""
    await policy.may_sign(records)
    async with records.database.connection() as conn:
        return await _ways(conn, records, patient)


async def _ways(conn: Connection, records: Records, patient: str) -> list[Way]:
    site = await policy_of(conn, records.actor.tenant)
    about = (await known.known(conn, records, {patient: ()}, states=known.TAKEN)).get(patient)
    if about is None:
        raise NotFound("There is no Patient with this id")
    texts = [one for one in await words.all_of(conn, records.actor.tenant) if one.name == WORDING]
    names = await words.clinicians(conn, records.actor.tenant, [about.patient])
    found = [_way(channel, about, texts, site, names, records) for channel in CHANNELS]
    return sorted(found, key=lambda one: (bool(one.why), _FIRST.index(one.channel)))


def _way(
    channel: str, about: Known, texts: Any, site: Policy, names: Mapping[str, str], records: Records
) -> Way:
    now = records.clock()
    label = WORDS[channel]
    if channel not in site.ready:
        return Way(channel, label, "this site has not set it up")
    answer = reachable(about, channel, site.day(now), default_language=site.language)
    if isinstance(answer, LeftOut):
        return Way(channel, label, answer.why)
    try:
        content = words.content(texts, channel, answer, about.patient, site, names, now)
    except Invalid as bad:
        return Way(channel, label, "; ".join(one.message for one in bad.issues))
    return Way(channel, label, text=content.text)


async def sign_and_tell(
    records: Records, ask: Ask, channel: str, *, note: str = "", answer: Answer = Answer()
) -> str:
    """Sign, and put the message into the outbox, both or neither; the name under which the signing is known.

    Raises as `signing.sign` does, and Invalid with the reason when the patient cannot be told this way.
    """
    await policy.may_sign(records)
    await staff.required(records, "create")
    async with records.transaction() as tx:
        found = {one.channel: one for one in await _ways(tx.conn, records, ask.patient)}
        way = found.get(channel)
        if way is None or way.why:
            raise Invalid(
                f"The patient cannot be told this way: {way.why}"
                if way
                else "Choose how to tell the patient",
                at="channel",
            )
        name = await signing.signed(tx, [ask], note=note, answer=answer)
        campaign = await _put(tx.conn, records, ask.patient, channel)
        row = await items.read(tx.conn, records.actor.tenant, ask.patient, ask.item)
        assert row is not None
        now = records.clock()
        await items.acted(
            tx.conn, Act(row.tenant, row.patient, row.item, 0, now, records.actor.user, "", "notified", row.version,
                         note=f"by {WORDS[channel]}", resource=f"campaign/{campaign}", batch=""),
        )  # fmt: skip
    return name


async def _put(conn: Connection, records: Records, patient: str, channel: str) -> str:
    actor, now = records.actor, records.clock()
    id = f"{RESULT}-{uuid4().hex}"
    campaign = Campaign(
        actor.tenant,
        id,
        TITLE,
        "{}",
        channel,
        WORDING,
        "running",
        msgspec.json.encode(actor).decode(),
        now,
        "",
        RESULT,
    )
    await outreach.begin(conn, campaign)
    message = Message(
        actor.tenant, patient, id, channel, [], [patient], "waiting", "", 0, None, "", "", now, None, "", None
    )
    await outreach.put(conn, [message])
    await conn.execute("SELECT pg_notify(%s, '')", (CHANNEL,))
    return id


async def states(records: Records, patient: str, acts: tuple[Act, ...]) -> dict[str, State]:
    """What became of the messages of these acts, by the campaign that the act names."""
    wanted = [one.resource.partition("/")[2] for one in acts if one.act == "notified"]
    out: dict[str, State] = {}
    async with records.database.single() as conn:
        for id in wanted:
            one = await outreach.message(conn, records.actor.tenant, id, patient)
            if one is not None:
                out[id] = State(id, one.channel, one.state, one.why)
    return out


async def undelivered(records: Records) -> list[tuple[str, str, str]]:
    """(patient, item, why) of the actor's own words to patients that have not reached them and will not by themselves."""
    async with records.database.single() as conn:
        rows = await conn.fetch(
            "SELECT a.patient, a.item, m.why FROM inbox_act a JOIN outreach_message m ON m.pk = a.pk AND m.tenant = a.tenant "
            "AND m.patient = a.patient AND m.campaign = split_part(a.resource, '/', 2) WHERE a.tenant = %s AND a.actor = %s "
            "AND a.act = 'notified' AND m.state IN ('failed', 'left-out', 'doubt') ORDER BY a.at DESC LIMIT 20",
            (records.actor.tenant, records.actor.user),
        )
    return [(row[0], row[1], row[2]) for row in rows]
