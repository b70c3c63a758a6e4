"""What else is done with a result: handing it on, taking it, a comment, an order that follows from it."""

from __future__ import annotations

from datetime import date
from typing import TYPE_CHECKING, Any

from msgspec.structs import replace

from commonchart.access import audit
from commonchart.access.inbox import policy
from commonchart.access.inbox.critical import refs_of
from commonchart.access.inbox.reading import desk, seen
from commonchart.access.inbox.signing import absent_of, reviewer
from commonchart.access.outreach.policy import local
from commonchart.access.records import Create
from commonchart.fhir.outcome import Conflict, Invalid
from commonchart.fhir.validate import validate
from commonchart.record.inbox import alerts, items
from commonchart.record.inbox.items import Act, Item

if TYPE_CHECKING:
    from commonchart.access.records import Records, Transaction

MOST = 1000


async def forward(records: Records, patient: str, item: str, to: str, note: str) -> None:
    """Hand it to a colleague, with a note. It stays with the sender until they take it or sign it.

    Raises Forbidden, NotFound, Invalid (to whom), Conflict (it does not wait any more).
    """
    await policy.required(records)
    async with records.transaction() as tx:
        row = await _waiting(tx, patient, item)
        at = await desk(tx.conn, records)
        if not any(one.id == to and one.role == "clinician" for one in at.staff) or to == records.actor.user:
            raise Invalid("Choose a colleague who signs results", at="to")
        if not note.strip() or len(note) > MOST:
            raise Invalid(f"Say in at most {MOST} characters what they are asked to do", at="forward_note")
        owner = row.owner or (records.actor.user if records.actor.role == "clinician" else "")
        await items.put(
            tx.conn,
            replace(
                row, owner=owner, forwarded_to=to, forwarded_by=records.actor.user, forward_note=note.strip()
            ),
        )
        await _acted(tx, row, "forwarded", f"to {at.name(to)}: {note.strip()}")


async def take(records: Records, patient: str, item: str) -> None:
    """It is mine now: forwarded to me, one that I cover, or one of the pool. Raises Forbidden, NotFound, Conflict."""
    await policy.may_sign(records)
    async with records.transaction() as tx:
        row = await _waiting(tx, patient, item)
        me = records.actor.user
        at = await desk(tx.conn, records)
        if row.owner == me and not row.forwarded_to:
            raise Conflict("It is yours already")
        if row.owner and row.forwarded_to != me and not absent_of(row, at) and row.owner != me:
            raise Conflict(f"It is with {at.name(row.owner)}: ask them to forward it, or sign it")
        await items.put(
            tx.conn,
            replace(
                row,
                owner=me,
                owner_by="took it over",
                org=records.actor.org,
                forwarded_to="",
                forwarded_by="",
                forward_note="",
            ),
        )
        for one in await alerts.of_item(tx.conn, row.tenant, patient, refs_of(row)):
            if one.state == "open":
                await alerts.put(tx.conn, replace(one, owner=me, org=records.actor.org))
        await _acted(tx, row, "took", "")


async def comment(records: Records, patient: str, item: str, text: str) -> None:
    """Add a comment, in any state. Raises Forbidden, NotFound, Invalid."""
    await policy.required(records)
    if not text.strip() or len(text) > MOST:
        raise Invalid(f"Enter a comment of at most {MOST} characters", at="comment")
    async with records.transaction() as tx:
        row = await seen(tx.conn, records, patient, item, lock=True)
        await _acted(tx, row, "commented", text.strip())


async def order(
    records: Records,
    patient: str,
    item: str,
    what: str,
    code: dict[str, Any] | None,
    due: date,
    note: str = "",
) -> str:
    """Order what follows from it, with a day by which; the id of the ServiceRequest. Raises Forbidden, NotFound, Invalid."""
    await policy.may_sign(records)
    if not what.strip() or len(what) > 200:
        raise Invalid("Say in at most 200 characters what is to be done", at="what")
    async with records.transaction() as tx:
        at = await local(tx.conn, records.actor.tenant, records.clock())
        if due < at.date():
            raise Invalid("The day must be today or later", at="due")
        row = await seen(tx.conn, records, patient, item, lock=True)
        body: dict[str, Any] = {
            "resourceType": "ServiceRequest", "status": "active", "intent": "order",
            "code": {**(code or {}), "text": what.strip()}, "subject": {"reference": f"Patient/{patient}"},
            "authoredOn": at.isoformat(timespec="seconds"), "occurrenceDateTime": due.isoformat(),
            "requester": reviewer(records), "reasonReference": [{"reference": item}],
        }  # fmt: skip
        if note.strip():
            body["note"] = [{"text": note.strip()[:MOST]}]
        made = await tx.write([Create(validate(body))])
        id = made[0].stored.id
        await _acted(tx, row, "ordered", f"{what.strip()}, by {due:%d-%b-%Y}", f"ServiceRequest/{id}")
    return id


async def _waiting(tx: Transaction, patient: str, item: str) -> Item:
    row = await seen(tx.conn, tx.records, patient, item, lock=True)
    if row.state != "open":
        raise Conflict("It does not wait any more: somebody has signed it, or it was withdrawn")
    return row


async def _acted(tx: Transaction, row: Item, act: str, note: str, resource: str = "") -> None:
    actor, now = tx.records.actor, tx.records.clock()
    absent = absent_of(row, await desk(tx.conn, tx.records))
    await items.acted(
        tx.conn,
        Act(
            row.tenant,
            row.patient,
            row.item,
            0,
            now,
            actor.user,
            absent,
            act,
            row.version,
            note=note,
            resource=resource,
        ),
    )
    rtype, _, id = row.item.partition("/")
    await audit.note(tx.conn, actor, now, f"inbox-{act}", rtype=rtype, id=id, patients=[row.patient])
