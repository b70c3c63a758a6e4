"""Signing results: one, or many normal ones; taking it back for a short time. Every signing is a Provenance as well.

Why a Provenance: R4's own results belong to the laboratory and are not ours to change, Task says that work is to be done,
and only Provenance carries a signature over a version: `target` names the versions, `agent` the reviewer (on behalf of whom),
`signature` of the type *review signature* (ASTM E1762 1.2.840.10065.1.12.1.13) says when. docs/decisions/0018 has the rest.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime, timedelta
from typing import TYPE_CHECKING, Any
from uuid import uuid4

from msgspec import Struct
from msgspec.structs import replace

from commonchart.access import audit
from commonchart.access.inbox import critical, policy
from commonchart.access.inbox.reading import desk, seen
from commonchart.access.outreach.policy import local
from commonchart.access.records import Create, Delete
from commonchart.fhir.outcome import Conflict, Forbidden, Invalid, NotFound
from commonchart.fhir.validate import validate
from commonchart.record.inbox import covers, items
from commonchart.record.inbox.items import Act, Item

if TYPE_CHECKING:
    from commonchart.access.inbox.reading import Desk
    from commonchart.access.records import Records, Transaction

UNDO = timedelta(minutes=10)
MOST = 200
REVIEW = {
    "system": "urn:iso-astm:E1762-95:2013",
    "code": "1.2.840.10065.1.12.1.13",
    "display": "Review Signature",
}


class Ask(Struct, frozen=True):
    """An item as it was shown: `version` is what the reader had before them."""

    patient: str
    item: str
    version: str


class Answer(Struct, frozen=True):
    """What whoever acknowledges a critical value may add: the value read back, whom they called, what they did."""

    read_back: str = ""
    called: str = ""
    done: str = ""


async def sign(records: Records, ask: Ask, *, note: str = "", answer: Answer = Answer()) -> str:
    """Sign one item (a partial one is only acknowledged); the name under which it may be taken back.

    A critical value is acknowledged by it. Raises Forbidden, NotFound, Conflict: somebody else was first, or it has changed.
    """
    await policy.may_sign(records)
    async with records.transaction() as tx:
        return await signed(tx, [ask], note=note, answer=answer)


async def sign_together(records: Records, asks: Sequence[Ask]) -> str:
    """Sign many final, normal, checked results, all or none. Raises Forbidden, Invalid, Conflict."""
    await policy.may_sign(records)
    if not asks or len(asks) > MOST:
        raise Invalid(f"Choose 1 to {MOST} results to sign", at="sign")
    async with records.transaction() as tx:
        return await signed(tx, sorted(asks, key=lambda one: (one.patient, one.item)), together=True)


async def signed(
    tx: Transaction, asks: Sequence[Ask], *, note: str = "", answer: Answer = Answer(), together: bool = False
) -> str:
    """The same, in the transaction of the caller."""
    name = uuid4().hex
    at = await desk(tx.conn, tx.records)
    for ask in asks:
        row = await seen(tx.conn, tx.records, ask.patient, ask.item, lock=True)
        await _fresh(tx, row, ask)
        if together and not row.batch:
            raise Conflict(f"{row.title} must be looked at by itself: it is not plainly normal and final")
        await _sign(tx, row, at, name, note, answer)
    tx_patients = sorted({ask.patient for ask in asks})
    await audit.note(
        tx.conn,
        tx.records.actor,
        tx.records.clock(),
        "sign-results",
        patients=tx_patients,
        detail=f"{len(asks)} {name}",
    )
    return name


async def _fresh(tx: Transaction, row: Item, ask: Ask) -> None:
    """Raises Conflict unless the item still waits, in the version that was shown."""
    if row.state != "open":
        raise Conflict(await _already(tx, row))
    if row.version != ask.version:
        raise Conflict(f"{row.title}: a newer version has come since you opened it. Look at it again")


async def _already(tx: Transaction, row: Item) -> str:
    last = await items.last_signed(tx.conn, row.tenant, row.patient, row.item)
    if last is None:
        return f"{row.title} was withdrawn: there is nothing to sign any more"
    who = (await covers.names(tx.conn, row.tenant, [last.actor])).get(last.actor, "Somebody")
    word = "signed" if last.act == "signed" else "acknowledged"
    at = await local(tx.conn, row.tenant, last.at)
    return f"{row.title}: {who} has already {word} it, at {at:%d-%b-%Y %H:%M %Z}. Your signature was not needed and is not stored"


async def _sign(tx: Transaction, row: Item, at: Desk, name: str, note: str, answer: Answer) -> None:
    absent = absent_of(row, at)
    made = await tx.write(
        [Create(validate(provenance(tx.records, row, absent_practitioner(at, absent), note)))]
    )
    now, actor = tx.records.clock(), tx.records.actor
    act = "seen" if row.partial else "signed"
    await items.acted(
        tx.conn,
        Act(row.tenant, row.patient, row.item, 0, now, actor.user, absent, act, row.version, row.content, note.strip()[:1000],
            f"Provenance/{made[0].stored.id}", name),
    )  # fmt: skip
    state = "seen" if row.partial else "signed"
    await items.put(
        tx.conn,
        replace(
            row, state=state, changed="", corrected="", forwarded_to="", forwarded_by="", forward_note=""
        ),
    )
    await critical.answered(tx, row, answer.read_back, answer.called, answer.done)


def absent_of(row: Item, at: Desk) -> str:
    """For whom the actor acts on an item: the colleague that they cover, "" where it is theirs or nobody's."""
    covered = {one.absent for one in at.covered}
    if row.owner == at.me or row.forwarded_to == at.me:
        return ""
    return row.owner if row.owner in covered else row.forwarded_to if row.forwarded_to in covered else ""


def absent_practitioner(at: Desk, absent: str) -> str:
    """The Practitioner of the one who is absent, "" without one."""
    return next((one.practitioner for one in at.staff if one.id == absent), "")


def provenance(records: Records, row: Item, absent: str, note: str) -> dict[str, Any]:
    """The signing as FHIR: which versions, who, for whom, when. A partial result is reviewed without a signature."""
    who = reviewer(records)
    agent: dict[str, Any] = {
        "type": {"coding": [{"system": "http://terminology.hl7.org/CodeSystem/provenance-participant-type", "code": "verifier"}]},
        "who": who,
    }  # fmt: skip
    if absent:
        agent["onBehalfOf"] = {"reference": f"Practitioner/{absent}"}
    when = records.clock().isoformat(timespec="seconds")
    body: dict[str, Any] = {
        "resourceType": "Provenance", "recorded": when, "agent": [agent],
        "target": [*({"reference": _versioned(part)} for part in row.version.split()), {"reference": f"Patient/{row.patient}"}],
        "activity": {"text": "Partial result reviewed: not signed" if row.partial else "Result reviewed and signed"},
    }  # fmt: skip
    if note.strip():
        body["reason"] = [{"text": note.strip()[:1000]}]
    if not row.partial:
        body["signature"] = [{"type": [REVIEW], "when": when, "who": who}]
    return body


def _versioned(part: str) -> str:
    target, _, vid = part.rpartition("/")
    return f"{target}/_history/{vid}"


def reviewer(records: Records) -> dict[str, Any]:
    """The actor as a reference: their Practitioner, else their name and login id."""
    actor = records.actor
    if actor.practitioner:
        return {"reference": f"Practitioner/{actor.practitioner}", "display": actor.name}
    return {
        "identifier": {"system": "http://commonchart.org/NamingSystem/user", "value": actor.user},
        "display": actor.name,
    }


# ---- taking it back --------------------------------------------------------------------------------------------


async def undo(records: Records, name: str) -> int:
    """Take back what was signed together, within ten minutes and by whoever signed; how many wait again.

    Recorded as an act of its own. What has changed or was signed since stays as it is. Raises Forbidden, NotFound, Conflict.
    """
    await policy.may_sign(records)
    now = records.clock()
    async with records.transaction() as tx:
        found = await items.batch(tx.conn, records.actor.tenant, name)
        if not found:
            raise NotFound("There is nothing to take back")
        if found[0].actor != records.actor.user:
            raise Forbidden("Only whoever signed it takes it back")
        for act in found:
            await _untold(tx, act)
        if now > found[0].at + UNDO:
            raise Conflict(
                f"It was signed more than {UNDO.seconds // 60} minutes ago: add a comment to it instead"
            )
        back = sum([await _undone(tx, act, now) for act in found])
        await audit.note(
            tx.conn,
            records.actor,
            now,
            "undo-signing",
            patients=sorted({one.patient for one in found}),
            detail=f"{back} {name}",
        )
    return back


async def _untold(tx: Transaction, act: Act) -> None:
    """Raises Conflict where the patient was told with this signing."""
    later = await items.acts(tx.conn, act.tenant, act.patient, act.item)
    if any(one.act == "notified" and one.at == act.at and one.actor == act.actor for one in later):
        raise Conflict(
            "The patient has been told that it is there: it stays signed. Add a comment to it instead"
        )


async def _undone(tx: Transaction, act: Act, now: datetime) -> bool:
    row = await items.read(tx.conn, act.tenant, act.patient, act.item, lock=True)
    await items.undo(tx.conn, act, now)
    await tx.write([Delete("Provenance", act.resource.partition("/")[2])])
    await items.acted(
        tx.conn, replace(act, at=now, act="undone", content="", note="", resource="", batch="", undone=None)
    )
    if row is None or row.version != act.version or row.state not in ("signed", "seen"):
        return False
    await items.put(tx.conn, replace(row, state="open"))
    return True
