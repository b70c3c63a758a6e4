"""The outbox: taking a message for sending, deciding once more, and keeping what became of it beside a Communication.

Taking is a transaction of its own before anything leaves: a crash after it leaves the message in `sending`, which becomes
*in doubt* and is never sent again by itself. What needs no other server (letters, portal messages) is one transaction.
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime, timedelta
from typing import TYPE_CHECKING, Any
from uuid import NAMESPACE_URL, uuid5

import msgspec
from msgspec import Struct

from commonchart.access import audit
from commonchart.access.outreach import known, staff, words
from commonchart.access.outreach.policy import Policy
from commonchart.access.outreach.words import Content
from commonchart.access.records import Put
from commonchart.care.outreach import reach
from commonchart.care.outreach.decide import Contact, Known, LeftOut, decide, reachable
from commonchart.care.schema import Pack
from commonchart.fhir import json
from commonchart.fhir.outcome import Conflict, Invalid, NotFound
from commonchart.fhir.validate import validate
from commonchart.record import outreach, rules
from commonchart.record.outreach import Campaign, Message

if TYPE_CHECKING:
    from commonchart.access.records import Records, Transaction

HOLD = timedelta(minutes=5)
"""For how long a sender may be at one message before it is in doubt: far more than its time-outs together."""
BATCH = 500
"""How many letters are written together."""
RESULT = "result"
"""The kind of a campaign that tells one person that a result is there."""
IDENTIFIER = "http://commonchart.org/NamingSystem/outreach-message"
_TERM = "http://terminology.hl7.org/CodeSystem/"
_MEDIA = {
    "letter": "MAILWRIT",
    "email": "EMAILWRIT",
    "sms": "SMSWRIT",
    "voice": "PHONE",
    "portal": "ELECWRIT",
}
ANSWERS = {
    "booked": "Will come: an appointment was made",
    "call-back": "Wants to be called",
    "done-elsewhere": "Says that it was done elsewhere",
    "declined": "Does not want it",
    "wrong-address": "The address or number is not right",
    "opt-out": "Does not want to be contacted any more",
}


class Taken(Struct, frozen=True):
    """A message that is being sent: to whom, what, under which id."""

    message: Message
    campaign: Campaign
    content: Content
    message_id: str


async def take(records: Records, campaign: Campaign, patient: str, site: Policy) -> Taken | None:
    """Decide once more, and mark the message as being sent; None when it is not to be sent (then it says why)."""
    async with records.transaction() as tx:
        message = await outreach.message(tx.conn, campaign.tenant, campaign.id, patient, lock=True)
        if message is None or message.state != "waiting":
            return None
        content = await _decided(tx, campaign, message, site)
        if content is None:
            return None
        message_id = _message_id(message)
        until = records.clock() + HOLD
        await outreach.taken(tx.conn, message, message_id, _json(content), until)
        return Taken(message, campaign, content, message_id)


async def _decided(tx: Transaction, campaign: Campaign, message: Message, site: Policy) -> Content | None:
    """What is to be sent, decided from the record as it is now; else the message is settled with the reason."""
    now = tx.records.clock()
    for one in sorted({message.patient, *message.linked}):
        await tx.alone(f"outreach:{one}")
    wanted = {message.patient: message.rules}
    found = await known.known(tx.conn, tx.records, wanted, states=known.TAKEN, but=campaign.id)
    about = found.get(message.patient)
    await audit.note(
        tx.conn, tx.records.actor, now, "outreach-check", id=campaign.id, patients=message.linked
    )
    if about is None:
        await outreach.settle(
            tx.conn, message, "left-out", was="waiting", why="the record is not there any more"
        )
        return None
    answer = _answer(about, campaign, site, now, (await rules.active(tx.conn, campaign.tenant)).pack)
    if isinstance(answer, LeftOut):
        await outreach.settle(
            tx.conn, message, "left-out", was="waiting", why=f"when it was to be sent: {answer.why}"
        )
        return None
    return await _worded(tx, campaign, message, answer, about.patient, site)


def _answer(about: Known, campaign: Campaign, site: Policy, now: datetime, pack: Pack) -> Contact | LeftOut:
    if campaign.kind == RESULT:
        return reachable(about, campaign.channel, site.day(now), default_language=site.language)
    return decide(
        about, campaign.channel, pack, now, site.day(now), gap_days=site.gap_days,
        default_language=site.language,
    )  # fmt: skip


async def _worded(
    tx: Transaction,
    campaign: Campaign,
    message: Message,
    contact: Contact,
    patient: Mapping[str, Any],
    site: Policy,
) -> Content | None:
    tenant, now = campaign.tenant, tx.records.clock()
    texts = [one for one in await words.all_of(tx.conn, tenant) if one.name == campaign.wording]
    names = await words.clinicians(tx.conn, tenant, [patient])
    try:
        content = words.content(texts, campaign.channel, contact, patient, site, names, now)
        _put(
            Taken(message, campaign, content, ""), "completed", now
        )  # what could not be kept must not be sent
    except Invalid as bad:
        why = "; ".join(issue.message for issue in bad.issues)
        await outreach.settle(tx.conn, message, "failed", was="waiting", why=f"when it was to be sent: {why}")
        return None
    return content


def _message_id(message: Message) -> str:
    """The same for every try of one message, and for no other."""
    key = f"commonchart:outreach:{message.tenant}:{message.campaign}:{message.patient}"
    return f"{uuid5(NAMESPACE_URL, key)}"


def communication_id(message: Message) -> str:
    """The id of the Communication of a message."""
    return f"outreach-{_message_id(message)}"


def _json(content: Content) -> str:
    return msgspec.json.encode(content).decode()


# ---- what became of it -----------------------------------------------------------------------------------------


async def sent(records: Records, taken: Taken) -> None:
    """It has been taken over by the other side: keep that, with its Communication."""
    async with records.transaction() as tx:
        await _sent(tx, taken, "sending")


async def _sent(tx: Transaction, taken: Taken, was: str) -> None:
    now = tx.records.clock()
    if await outreach.settle(tx.conn, taken.message, "sent", was=was, now=now):
        await tx.write([_put(taken, "completed", now)])


async def at_once(records: Records, campaign: Campaign, patient: str, site: Policy) -> Taken | None:
    """Decide, write and settle in one transaction, for what leaves by being in the record; None when it is not to be."""
    async with records.transaction() as tx:
        message = await outreach.message(tx.conn, campaign.tenant, campaign.id, patient, lock=True)
        if message is None or message.state != "waiting":
            return None
        return await _made(tx, campaign, message, site)


async def _made(tx: Transaction, campaign: Campaign, message: Message, site: Policy) -> Taken | None:
    content = await _decided(tx, campaign, message, site)
    if content is None:
        return None
    taken = Taken(message, campaign, content, _message_id(message))
    await outreach.written(tx.conn, message, taken.message_id, _json(content))
    await _sent(tx, taken, "waiting")
    return taken


async def letters(records: Records, campaign: Campaign, site: Policy) -> int:
    """Write the letters that still wait, at most `BATCH`, in one transaction; how many.

    Raises Forbidden, Conflict (a stopped campaign).
    """
    await staff.required(records, "create")
    if campaign.state != "running":
        raise Conflict("The campaign was stopped")
    async with records.transaction() as tx:
        waiting = await outreach.messages(tx.conn, campaign.tenant, campaign.id, ["waiting"], lock=True)
        made = [await _made(tx, campaign, message, site) for message in waiting[:BATCH]]
    return sum(one is not None for one in made)


async def written(records: Records, campaign: Campaign) -> list[Content]:
    """What has been written and sent, for printing letters (again). Raises Forbidden; reading it leaves a trace."""
    await staff.required(records, "read")
    async with records.database.connection() as conn:
        found = await outreach.messages(conn, campaign.tenant, campaign.id, ["sent"])
        await audit.note(
            conn,
            records.actor,
            records.clock(),
            "read-letters",
            id=campaign.id,
            patients=[m.patient for m in found],
        )
    return [msgspec.json.decode(one.content, type=Content) for one in found if one.content]


async def not_taken(records: Records, taken: Taken, why: str, *, away: bool) -> None:
    """It certainly was not taken: it waits and is tried again; with the server `away`, so does all of the channel."""
    message, now = taken.message, records.clock()
    again = outreach.retry_at(message.attempts, now)
    async with records.database.connection() as conn:
        await outreach.settle(conn, message, "waiting", was="sending", why=why, next_try=again)
        if away:
            await outreach.postpone(
                conn, message.tenant, message.channel, min(again, now + outreach.PROBE), why
            )


async def refused(records: Records, taken: Taken, why: str) -> None:
    """The other side will never take it."""
    async with records.transaction() as tx:
        if await outreach.settle(tx.conn, taken.message, "failed", was="sending", why=why):
            await tx.write([_put(taken, "not-done", tx.records.clock(), why)])


async def in_doubt(records: Records, taken: Taken, why: str) -> None:
    """Nobody can tell whether it was taken: a person decides."""
    async with records.transaction() as tx:
        if await outreach.settle(
            tx.conn, taken.message, "doubt", was="sending", why=why, now=tx.records.clock()
        ):
            await tx.write([_put(taken, "unknown", tx.records.clock())])


def taken_of(message: Message, campaign: Campaign) -> Taken:
    """A message that was taken before, as it was."""
    return Taken(message, campaign, msgspec.json.decode(message.content, type=Content), message.message_id)


# ---- what a person decides -------------------------------------------------------------------------------------


async def resolve(records: Records, campaign: Campaign, patient: str, todo: str) -> None:
    """A person has found out what became of a message in doubt: `sent`, `again`, or `drop`. Raises NotFound, Invalid."""
    if todo not in ("sent", "again", "drop"):
        raise Invalid("Choose what became of the message")
    await staff.required(records, "create")
    async with records.transaction() as tx:
        message = await outreach.message(tx.conn, campaign.tenant, campaign.id, patient, lock=True)
        if message is None or message.state != "doubt":
            raise NotFound("There is no such message in doubt")
        taken, now = taken_of(message, campaign), records.clock()
        if todo == "sent":
            await outreach.settle(tx.conn, message, "sent", was="doubt", now=message.sent_at)
            await tx.write([_put(taken, "completed", message.sent_at or now)])
        elif todo == "again":
            await outreach.settle(tx.conn, message, "waiting", was="doubt", why="a person had it sent again")
        else:
            await outreach.settle(
                tx.conn, message, "failed", was="doubt", why="a person found that it was not sent"
            )
            await tx.write([_put(taken, "not-done", now, "found not to have been sent")])
        await audit.note(
            tx.conn, records.actor, now, "resolve-message", id=campaign.id, patients=[patient], detail=todo
        )


async def answer(records: Records, campaign: Campaign, patient: str, kind: str, note: str = "") -> None:
    """Record what the person answered, as a Communication; whoever opts out is not contacted again. Raises NotFound, Invalid."""
    if kind not in ANSWERS:
        raise Invalid("Choose an answer", at="answer")
    await staff.required(records, "create")
    async with records.transaction() as tx:
        message = await outreach.message(tx.conn, campaign.tenant, campaign.id, patient, lock=True)
        if message is None or message.state not in ("sent", "doubt"):
            raise NotFound("Nothing was sent to this person in this campaign")
        now = records.clock()
        await tx.write([_answer_put(message, campaign, kind, note.strip()[:400], now)])
        if kind == "opt-out":
            await _opt_out(tx, patient)
        await outreach.answered(tx.conn, message, kind, now)


async def _opt_out(tx: Transaction, patient: str) -> None:
    stored = await tx.read("Patient", patient)
    if stored is None or stored.body is None:
        raise NotFound("There is no Patient with this id")
    body = json.decode(stored.body)
    said = reach.wishes([body])
    wanted = msgspec.structs.replace(said, opted_out=said.opted_out | {"all"})
    await tx.write([Put(validate(reach.with_wishes(body, wanted)), patient, stored.vid)])


def _put(taken: Taken, status: str, now: datetime, why: str = "") -> Put:
    message, content = taken.message, taken.content
    payload = [text for text in (content.subject, content.text) if text]
    body: dict[str, Any] = {
        "resourceType": "Communication", "id": communication_id(message),
        "identifier": [{"system": IDENTIFIER, "value": _message_id(message)}],
        "status": status, "category": [_coded("communication-category", "notification" if taken.campaign.kind else "reminder")],
        "medium": [_coded("v3-ParticipationMode", _MEDIA[message.channel])],
        "subject": {"reference": f"Patient/{message.patient}"}, "topic": {"text": taken.campaign.title},
        "recipient": [{"reference": f"Patient/{message.patient}"}],
        "payload": [{"contentString": text} for text in payload],
    }  # fmt: skip
    if status == "not-done":
        body["statusReason"] = {"text": why or "not sent"}
    else:
        body["sent"] = _instant(now)
    return Put(validate(body), communication_id(message))


def _answer_put(message: Message, campaign: Campaign, kind: str, note: str, now: datetime) -> Put:
    patient = {"reference": f"Patient/{message.patient}"}
    id = f"answer-{uuid5(NAMESPACE_URL, f'{communication_id(message)}:{now.isoformat()}')}"
    body: dict[str, Any] = {
        "resourceType": "Communication", "id": id, "status": "completed",
        "inResponseTo": [{"reference": f"Communication/{communication_id(message)}"}],
        "category": [_coded("communication-category", "notification")],
        "subject": patient, "sender": patient, "received": _instant(now), "topic": {"text": campaign.title},
        "payload": [{"contentString": text} for text in (ANSWERS[kind], note) if text],
    }  # fmt: skip
    return Put(validate(body), id)


def _coded(system: str, code: str) -> dict[str, Any]:
    return {"coding": [{"system": _TERM + system, "code": code}]}


def _instant(now: datetime) -> str:
    return now.isoformat(timespec="seconds")
